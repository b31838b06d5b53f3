//! Transactions that the target alone chose as victims.

use super::Case;

#[test]
fn a_worker_of_a_queue_that_the_target_alone_finds_in_a_deadlock_does_its_job_all_the_same() {
    Case::new("skip_locked_deadlock").check(|replayed| {
        replayed.all_same().rows("select count(*) from job where state = 'done'", &["15"]);
        let retried = &replayed.finished.report["target_conflicts_retried"];
        assert!(retried["40P01"].as_u64() > Some(0), "{}", replayed.finished);
    });
}

/// The target's trigger fails three statements: one before its savepoint is rolled back, one behind
/// that, and one of a session's statements of their own.
#[test]
fn a_victim_is_run_again_with_its_savepoints_and_where_no_transaction_was_begun() {
    let case = Case::new("victims_with_savepoints").orders(&["serial", "conflict", "session"]);
    case.check(|replayed| {
        let right = ["1|101", "2|0", "3|0", "4|10", "5|1", "6|6", "7|8", "8|8", "9|0"];
        replayed.all_same().rows("select * from a order by id", &right);
        let retried = &replayed.finished.report["target_conflicts_retried"];
        assert_eq!(retried["40P01"], 3, "{}", replayed.finished);
    });
}
