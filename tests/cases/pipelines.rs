//! What shared a Sync on the source: the server's own rules decide what is committed.

use super::{Case, SITUATIONS, source_rows};

#[test]
fn a_routine_commits_within_a_pipeline() {
    Case::new("call_with_commit_in_pipeline").check(|replayed| {
        let right = ["1", "2", "3", "100", "200", "300", "301", "302"];
        replayed.rows("select n from x order by n", &right).all_same();
    });
}

#[test]
fn pipelines_leave_the_rows_that_they_left_on_the_source() {
    // What commits or may only be the first, first, in the middle and last; blocks that begin or end
    // within; errors, before and behind a COMMIT; what sets up the session; no Sync at all.
    let right = source_rows("pipelines");
    Case::new("pipelines").orders(&["serial", "conflict", "session"]).check(|replayed| {
        replayed.rows(SITUATIONS, &right).all_same();
    });
}

#[test]
fn pipelines_that_are_logged_when_they_start_leave_the_same_rows() {
    // Two VACUUMs in one pipeline look like two pipelines: nothing of the first's transaction is left.
    let mut right = source_rows("pipelines");
    right.retain(|line| !line.starts_with("vacuum_two: "));
    let case = Case::new("pipelines_start_logged").setup("pipelines");
    case.orders(&["conflict"]).check(|replayed| {
        replayed.rows(SITUATIONS, &right).all_same();
    });
}
