//! Transactions that one session prepares and another one finishes.

use super::Case;

const PREPARED: &str = "select count(*) from pg_prepared_xacts";

#[test]
fn a_transaction_is_prepared_before_another_session_finishes_it() {
    Case::new("two_phase_rounds").setup("two_phase").check(|replayed| {
        replayed.all_same().rows("select bal from acct where id = 1", &["64"]);
        replayed.rows(PREPARED, &["0"]);
    });
    Case::new("two_phase_other_sessions").database("postgres").check(|replayed| {
        replayed.all_same().rows("select id, v from acc order by id", &["1|102", "2|102", "3|102"]);
        replayed.rows(PREPARED, &["0"]);
    });
}

#[test]
fn who_waits_for_a_prepared_transaction_is_freed_by_the_session_that_finishes_it() {
    Case::new("two_phase_late_record").setup("two_phase").check(|replayed| {
        replayed.all_same().rows("select bal from acct where id = 1", &["113"]);
        replayed.rows(PREPARED, &["0"]);
    });
}
