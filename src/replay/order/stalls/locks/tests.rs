use std::time::Duration;

use super::super::ProbeReason;
use super::*;

const RESTING: Activity = Activity { running: false, answers: 3 };
const RUNNING: Activity = Activity { running: true, answers: 3 };

#[test]
fn a_session_rests_if_it_runs_nothing_and_has_got_no_answer_since() {
    let moved = Activity { answers: 4, ..RESTING };
    assert!(RESTING.has_rested_since(Some(RESTING)));
    assert!(!moved.has_rested_since(Some(RUNNING)), "the lock may have been that statement's");
    assert!(!moved.has_rested_since(Some(RESTING)));
    assert!(!RUNNING.has_rested_since(Some(RESTING)));
    assert!(!RESTING.has_rested_since(None), "it was not connected then");
}

#[test]
fn a_session_has_run_if_it_has_a_request_under_way_and_has_got_no_answer_since() {
    let moved = Activity { answers: 4, ..RUNNING };
    assert!(RUNNING.has_run_since(Some(RUNNING)));
    assert!(!moved.has_run_since(Some(RUNNING)), "the wait may have been that statement's");
    assert!(!RUNNING.has_run_since(Some(RESTING)));
    assert!(!RESTING.has_run_since(Some(RESTING)), "it waits for nothing");
    assert!(!RUNNING.has_run_since(None), "it was not connected then");
}

#[test]
fn blockers_that_run_are_asked_about_in_turn_and_each_only_once() {
    let before = [(1, RUNNING), (2, RUNNING), (3, RUNNING), (4, RESTING)];
    let mut snapshot = LockSnapshot::of(Probe {
        reason: ProbeReason::SlowStatement,
        waiters: vec![1],
        before: before.into_iter().collect(),
        finished: 0,
        held: Duration::ZERO,
    });
    assert_eq!(snapshot.next_to_ask(), [1]);
    snapshot.note(1, vec![2, 4, 99]);
    assert_eq!(snapshot.next_to_ask(), [2], "4 runs nothing, and 99 is not ours");
    snapshot.note(2, vec![3, 1]);
    assert_eq!(snapshot.next_to_ask(), [3]);
    snapshot.note(3, vec![PREPARED]);
    assert_eq!(snapshot.next_to_ask(), [0; 0]);
    assert_eq!(snapshot.wait_for_prepared(), [3]);
    assert_eq!(snapshot.locks.ahead_of(1), [1, 2, 3, 4, 99, PREPARED].into_iter().collect());
}

#[test]
fn a_backend_that_waits_for_nobody_holds_nobody_up() {
    let mut locks = Locks::default();
    locks.note(1, Vec::new());
    locks.note(2, vec![1, 3]);
    assert!(!locks.waits(1) && locks.waits(2));
    assert_eq!(locks.blockers(), [(1, vec![2]), (3, vec![2])].into_iter().collect());
}
