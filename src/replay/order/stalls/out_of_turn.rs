//! Statements that start ahead of their turn, and in which order.

use std::collections::HashSet;

use super::locks::Locks;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// A statement that could start ahead of its turn: others wait for locks of its session, or it is the
/// next in the order and they wait for a prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfTurnStart {
    /// The statement.
    pub start: Start,
    /// Whether it ends its transaction, and with it the locks.
    pub ends: bool,
    /// Who blocks the others: its session's backend, or 0.
    pub blocker: i32,
    /// The first of the statements that wait for the blocker.
    pub waiter: Seq,
    /// What it waits for in the order, in the end.
    pub ahead: Vec<Ahead>,
}

/// What a statement waits for in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// A statement that this backend runs, or for which it has to end one that it runs.
    Runs(i32),
    /// One that may run and that no backend runs: it is about to be sent, or has just ended.
    Unsent,
    /// One that has not been read.
    Unread,
}

/// Which of these start ahead of their turn.
///
/// Those that nothing else brings on: all that the statement waits for in the order waits itself for
/// the locks that it is to free. Whatever else it waits for comes to an end without it, so the order of
/// the two is kept; and so is that among those that start. `waits_for(a, b)` tells whether a waits for b
/// in the order, directly or through others. Where they wait for nothing but what each other's locks
/// hold up, the waiter that is the first in the log decides, as with one statement after the other.
pub fn overtaking(
    mut all: Vec<OutOfTurnStart>,
    locks: &Locks,
    waits_for: impl Fn(Seq, Seq) -> bool,
) -> Vec<OutOfTurnStart> {
    all.sort_unstable_by_key(|it| it.start.seq);
    let mut starts: Vec<&OutOfTurnStart> = Vec::new();
    let all_ahead = |it: &OutOfTurnStart, freed: &dyn Fn(&HashSet<i32>) -> bool| {
        it.ahead.iter().all(|ahead| match ahead {
            Ahead::Runs(backend) => freed(&locks.ahead_of(*backend)),
            Ahead::Unsent | Ahead::Unread => false,
        })
    };
    for it in &all {
        let alone = all_ahead(it, &|blockers| blockers.contains(&it.blocker));
        if alone && !starts.iter().any(|earlier| waits_for(it.start.seq, earlier.start.seq)) {
            starts.push(it);
        }
    }
    if starts.is_empty() {
        let blocks = |backend: &i32| all.iter().any(|it| it.blocker == *backend);
        let together = |it: &&OutOfTurnStart| {
            all_ahead(it, &|blockers| {
                let last = |backend: &&i32| !locks.waits(**backend);
                !blockers.is_empty() && blockers.iter().filter(last).all(blocks)
            })
        };
        starts.extend(all.iter().filter(together).min_by_key(|it| it.waiter));
    }
    starts.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
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
}
