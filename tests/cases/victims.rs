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
