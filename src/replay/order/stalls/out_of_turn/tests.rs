use super::*;
use crate::pglog::SessionId;

/// A head of session `backend` at `seq`, that would free a waiter at `waiter`.
fn head(backend: i32, seq: u64, waiter: u64, ahead: &[Ahead]) -> OutOfTurnStart {
    let session = SessionId { start: 1, pid: backend.unsigned_abs() };
    let start = Start { session, seq: Seq(seq) };
    let (waiter, ahead) = (Seq(waiter), ahead.to_vec());
    OutOfTurnStart { start, ends: true, blocker: backend, waiter, ahead }
}

fn locks(waits: &[(i32, &[i32])]) -> Locks {
    let mut locks = Locks::default();
    waits.iter().for_each(|(waiter, blockers)| locks.note(*waiter, blockers.to_vec()));
    locks
}

/// The places of those that start; none waits for another in the order.
fn start(all: &[OutOfTurnStart], locks: &Locks) -> Vec<u64> {
    let starts = overtaking(all.to_vec(), locks, |_, _| false);
    starts.into_iter().map(|it| it.start.seq.0).collect()
}

#[test]
fn a_statement_overtakes_nothing_but_what_waits_for_its_locks() {
    let locks = locks(&[(1, &[9]), (2, &[1]), (3, &[8])]);
    for (ahead, starts) in [
        (vec![], true),
        (vec![Ahead::Runs(1)], true),
        // It waits for what waits.
        (vec![Ahead::Runs(1), Ahead::Runs(2)], true),
        // It waits for other locks, or for none: it comes to an end without us.
        (vec![Ahead::Runs(1), Ahead::Runs(3)], false),
        (vec![Ahead::Runs(1), Ahead::Runs(4)], false),
        (vec![Ahead::Unsent], false),
        (vec![Ahead::Unread], false),
    ] {
        let started = start(&[head(9, 20, 10, &ahead)], &locks);
        assert_eq!(started, if starts { vec![20] } else { vec![] }, "{ahead:?}");
    }
}

#[test]
fn of_two_that_free_others_the_one_that_waits_for_the_other_starts_later() {
    let locks = locks(&[(1, &[8, 9])]);
    let both = || vec![head(9, 20, 10, &[Ahead::Runs(1)]), head(8, 30, 10, &[Ahead::Runs(1)])];
    assert_eq!(start(&both(), &locks), [20, 30]);
    let starts = overtaking(both(), &locks, |seq, other| (seq, other) == (Seq(30), Seq(20)));
    assert_eq!(starts, [both()[0].clone()]);
}

#[test]
fn where_each_waits_for_what_the_other_holds_up_the_first_waiter_decides() {
    let locks = locks(&[(1, &[8]), (2, &[9])]);
    let heads = [head(8, 20, 12, &[Ahead::Runs(2)]), head(9, 30, 11, &[Ahead::Runs(1)])];
    assert_eq!(start(&heads, &locks), [30]);
    // But nothing is decided while 2 waits for somebody of whom nothing more has been read.
    assert_eq!(start(&heads[..1], &locks), [0; 0]);
}
