//! A strict order can wait for itself: what to do about a statement that waits for a lock whose
//! holder waits for its turn.
//!
//! On the source the waiter's record can stand before the COMMIT that freed it: a COMMIT is logged
//! after its locks are gone, and with `log_statement` a statement is logged when it starts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// What a session is about on its connection, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Whether a request is under way.
    pub running: bool,
    /// How many answers it has got.
    pub answers: u64,
}

impl Activity {
    /// Whether the session has done nothing at all since `before`.
    ///
    /// What the target says of its locks is old when it is heard, and a statement takes locks that it
    /// gives back as it goes on: to make a table longer, say. A session that ran when the target was
    /// asked, and does not when the answer is there, need not hold anything.
    pub fn has_rested_since(self, before: Option<Self>) -> bool {
        !self.running && before == Some(self)
    }
}

/// A session that another one's statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
    /// A replayed session.
    Session {
        /// Which.
        session: SessionId,
        /// Whether it has done nothing since before the target was asked, so that what it holds is its
        /// transaction's.
        rests: bool,
        /// Its next statement.
        next: NextOf,
    },
    /// A prepared transaction: some session will finish it, further on in the log.
    Prepared {
        /// Whether no statement has finished since before the target was asked.
        still: bool,
    },
    /// A connection that is not ours.
    ForeignBackend,
}

/// The next statement of a session, as far as it matters to those who wait for its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextOf {
    /// None has been read.
    Nothing,
    /// One that ends its transaction, and with it its locks.
    End(Seq),
    /// Any other.
    Statement(Seq),
    /// One that is not due.
    Later,
}

/// What is done about a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Let the session end its transaction ahead of its turn.
    EndEarly(Start),
    /// Let the session alone go on, with this statement, ahead of its turn.
    Advance(Start),
    /// Let the next statement in the order start: one further on holds the key.
    StartNext,
    /// Read on: the session's next statement has not been read.
    ReadOn(SessionId),
    /// Close the session's connection: nothing more will come of it.
    GiveUp(SessionId),
    /// Wait: the blocker runs, has a statement that will be due, or is not ours.
    Wait,
}

/// What is done about a blocker, after the waiter has waited so long.
///
/// `no_more` says that nothing more will be read; otherwise a blocker without a next statement is
/// given up after `patience`.
pub fn relief(
    blocker: Blocker,
    waited: Duration,
    patience: Duration,
    no_more: bool,
) -> StallAction {
    match blocker {
        Blocker::Session { rests: false, .. }
        | Blocker::Session { next: NextOf::Later, .. }
        | Blocker::Prepared { still: false }
        | Blocker::ForeignBackend => StallAction::Wait,
        Blocker::Session { session, next: NextOf::End(seq), .. } => {
            StallAction::EndEarly(Start { session, seq })
        }
        Blocker::Session { session, next: NextOf::Statement(seq), .. } => {
            StallAction::Advance(Start { session, seq })
        }
        Blocker::Session { session, next: NextOf::Nothing, .. }
            if no_more || waited >= patience =>
        {
            StallAction::GiveUp(session)
        }
        Blocker::Session { session, next: NextOf::Nothing, .. } => StallAction::ReadOn(session),
        Blocker::Prepared { still: true } => StallAction::StartNext,
    }
}

/// What `pg_blocking_pids` gives for a prepared transaction.
pub const PREPARED: i32 = 0;

/// Who waits for whose locks, as the target said: backends, and 0 for a prepared transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    waits: HashMap<i32, Vec<i32>>,
}

impl Locks {
    /// This backend waits for those, if for any.
    pub fn note(&mut self, waiter: i32, blockers: Vec<i32>) {
        if !blockers.is_empty() {
            self.waits.insert(waiter, blockers);
        }
    }

    /// Whether this backend waits for anybody.
    pub fn waits(&self, backend: i32) -> bool {
        self.waits.contains_key(&backend)
    }

    /// Those that others wait for, each once, with who waits for them.
    pub fn blockers(&self) -> BTreeMap<i32, Vec<i32>> {
        let mut blockers: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (waiter, all) in &self.waits {
            for blocker in all {
                blockers.entry(*blocker).or_default().push(*waiter);
            }
        }
        blockers
    }

    /// All that this backend waits for, directly or because it waits for others that do.
    pub fn ahead_of(&self, waiter: i32) -> HashSet<i32> {
        let mut all = HashSet::new();
        let mut ahead = vec![waiter];
        while let Some(backend) = ahead.pop() {
            for blocker in self.waits.get(&backend).into_iter().flatten() {
                if all.insert(*blocker) {
                    ahead.push(*blocker);
                }
            }
        }
        all
    }
}

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

    const A: SessionId = SessionId { start: 1, pid: 1 };
    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    const HEAD: Start = Start { session: A, seq: Seq(7) };

    fn blocked_by(next: NextOf, waited: Duration, no_more: bool) -> StallAction {
        relief(Blocker::Session { session: A, rests: true, next }, waited, LONG, no_more)
    }

    #[test]
    fn a_blocker_ends_early_or_goes_on_alone() {
        assert_eq!(blocked_by(NextOf::End(HEAD.seq), SHORT, false), StallAction::EndEarly(HEAD));
        assert_eq!(
            blocked_by(NextOf::Statement(HEAD.seq), SHORT, false),
            StallAction::Advance(HEAD)
        );
        assert_eq!(blocked_by(NextOf::Later, LONG, true), StallAction::Wait);
    }

    #[test]
    fn a_blocker_that_has_moved_since_the_target_was_asked_is_not_let_ahead_of_its_turn() {
        let resting = Activity { running: false, answers: 3 };
        let running = Activity { running: true, ..resting };
        let moved = Activity { answers: 4, ..resting };
        assert!(resting.has_rested_since(Some(resting)));
        assert!(!moved.has_rested_since(Some(running)), "the lock may have been that statement's");
        assert!(!moved.has_rested_since(Some(resting)));
        assert!(!running.has_rested_since(Some(resting)));
        assert!(!resting.has_rested_since(None), "it was not connected then");
        for next in [NextOf::Statement(HEAD.seq), NextOf::End(HEAD.seq), NextOf::Nothing] {
            let moved = Blocker::Session { session: A, rests: false, next };
            assert_eq!(relief(moved, LONG, LONG, true), StallAction::Wait);
        }
    }

    #[test]
    fn a_blocker_without_a_record_left_is_given_up_in_the_end() {
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, false), StallAction::ReadOn(A));
        assert_eq!(blocked_by(NextOf::Nothing, LONG, false), StallAction::GiveUp(A));
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, true), StallAction::GiveUp(A));
    }

    #[test]
    fn a_prepared_transaction_is_finished_by_somebody_further_on() {
        let prepared = |still| relief(Blocker::Prepared { still }, SHORT, LONG, false);
        assert_eq!(prepared(true), StallAction::StartNext);
        assert_eq!(prepared(false), StallAction::Wait, "that may have been its end");
        assert_eq!(relief(Blocker::ForeignBackend, LONG, LONG, true), StallAction::Wait);
    }

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
