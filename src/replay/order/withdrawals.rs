//! Statements that are withdrawn and run again, since they began here before the end of a transaction
//! that they began behind on the source.
//!
//! A COMMIT is logged after its locks are gone: the record of a statement that came right behind it can
//! stand before its own. Run in the order of the log, such a statement waits for the lock and goes on,
//! when the COMMIT is run early, with the snapshot from before it: it sees less than it saw on the
//! source. So it is withdrawn before the COMMIT is sent (canceled, and its transaction undone), held,
//! and run again behind it. A statement that has failed for what the end frees is held and run
//! again in the same way.

mod judgement;
#[cfg(test)]
mod tests;

pub use judgement::{began_behind, may_have_begun_behind, shows_more};

use super::Start;
use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// The ends that statements are withdrawn for.
#[derive(Debug, Default)]
pub struct Withdrawals(Vec<Withdrawal>);

/// An end that is run early, and the statements that are run again behind it.
#[derive(Debug)]
struct Withdrawal {
    end: Start,
    phase: Phase,
    /// In the order of the log.
    waiters: Vec<Waiter>,
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    start: Start,
    /// Whether it has been undone and waits to be run again; until then it is being canceled.
    is_held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The end waits until all are held: one that was left would go on with the old snapshot.
    Withdrawing,
    /// The end runs.
    Ending,
    /// It has ended: those held run again one by one, as this one does now.
    RunningAgain(Option<Start>),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Cancel this statement, and hold it.
    Withdraw(Start),
    /// Let this end run ahead of its turn.
    RunAhead(Start),
    /// Let this statement run again.
    RunAgain(Start),
}

impl Withdrawals {
    /// An end is to be run early, and these statements under way are to be run again behind it.
    pub fn begin(&mut self, end: Start, waiters: Vec<Start>) -> Vec<Direction> {
        let mut directions: Vec<Direction> =
            waiters.iter().copied().map(Direction::Withdraw).collect();
        self.add(end, waiters, false);
        directions.extend(self.advance());
        directions
    }

    /// An end is to be run before this statement is run again, which has failed and is held.
    pub fn begin_for_failed(&mut self, end: Start, failed: Start) -> Vec<Direction> {
        self.add(end, vec![failed], true);
        self.advance()
    }

    fn add(&mut self, end: Start, waiters: Vec<Start>, is_held: bool) {
        let mut waiters: Vec<Waiter> =
            waiters.into_iter().map(|start| Waiter { start, is_held }).collect();
        waiters.sort_unstable_by_key(|waiter| waiter.start.seq);
        self.0.push(Withdrawal { end, phase: Phase::Withdrawing, waiters });
    }

    /// Whether this end is run early, and has not ended.
    pub fn has_end(&self, end: Seq) -> bool {
        self.0.iter().any(|it| it.end.seq == end && !matches!(it.phase, Phase::RunningAgain(_)))
    }

    /// Whether this statement is withdrawn, and has not been let run again.
    pub fn has_waiter(&self, seq: Seq) -> bool {
        self.0.iter().any(|it| it.waiters.iter().any(|waiter| waiter.start.seq == seq))
    }

    /// A statement's transaction is undone, and it is held.
    pub fn held(&mut self, held: Start) -> Vec<Direction> {
        let waiters = self.0.iter_mut().flat_map(|it| &mut it.waiters);
        match waiters.into_iter().find(|waiter| waiter.start == held) {
            Some(waiter) => waiter.is_held = true,
            // What it was withdrawn for has been given up meanwhile.
            None => return vec![Direction::RunAgain(held)],
        }
        self.advance()
    }

    /// A statement has ended, can't be withdrawn, or will never start.
    pub fn finished(&mut self, seq: Seq) -> Vec<Direction> {
        self.over(|start| start.seq == seq)
    }

    /// A session's connection is gone: what was not settled is run again over the next one.
    pub fn disconnected(&mut self, session: SessionId) -> Vec<Direction> {
        self.over(|start| start.session == session)
    }

    /// The statements that are withdrawn for this end are not waited for any longer.
    pub fn give_up(&mut self, end: Seq) -> Vec<Direction> {
        for it in self.0.iter_mut().filter(|it| it.end.seq == end) {
            it.waiters.retain(|waiter| waiter.is_held);
        }
        self.advance()
    }

    fn over(&mut self, is_over: impl Fn(Start) -> bool) -> Vec<Direction> {
        if self.0.is_empty() {
            return Vec::new();
        }
        for it in &mut self.0 {
            it.waiters.retain(|waiter| !is_over(waiter.start));
            match &mut it.phase {
                Phase::RunningAgain(running) => drop(running.take_if(|start| is_over(*start))),
                Phase::Withdrawing | Phase::Ending if is_over(it.end) => {
                    it.phase = Phase::RunningAgain(None);
                }
                Phase::Withdrawing | Phase::Ending => {}
            }
        }
        self.advance()
    }

    fn advance(&mut self) -> Vec<Direction> {
        let directions = self.0.iter_mut().filter_map(Withdrawal::advance).collect();
        self.0.retain(|it| it.phase != Phase::RunningAgain(None) || !it.waiters.is_empty());
        directions
    }
}

impl Withdrawal {
    fn advance(&mut self) -> Option<Direction> {
        match self.phase {
            Phase::Withdrawing if self.waiters.iter().all(|waiter| waiter.is_held) => {
                self.phase = Phase::Ending;
                Some(Direction::RunAhead(self.end))
            }
            Phase::RunningAgain(None) if self.waiters.first().is_some_and(|it| it.is_held) => {
                let first = self.waiters.remove(0).start;
                self.phase = Phase::RunningAgain(Some(first));
                Some(Direction::RunAgain(first))
            }
            _ => None,
        }
    }
}
