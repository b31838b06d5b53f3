//! Statements that the source canceled when part of their work was committed.

use super::Case;

#[test]
fn a_routine_that_was_canceled_has_committed_what_it_had_done_by_then() {
    Case::new("canceled_midway").database("postgres").check(|replayed| {
        let rows = "select count(*) between 1 and 99, min(n), max(n) = count(*) from job";
        replayed.all_same().rows(rows, &["t|1|t"]);
    });
}
