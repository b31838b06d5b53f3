//! When a session may send on behind the end of a transaction before that is answered.
//!
//! The target may choose a transaction as the victim of a deadlock. It is run again then, which can't be
//! done any more once its session's next one has been sent behind its end. But only what waits for a lock
//! in the server can become a victim, and what statements whose rows can be told would wait for there, they
//! wait for here. So an end has to be answered first only while something is under way that may take locks
//! which can't be told; and where ends have been passed already, that waits until they are answered.

use super::graph::{Graph, Id};
use super::pool::{Dependencies, WaitSet};
use crate::replay::order::footprint::{Access, LockMode, Mode};

/// Who may take locks that can't be told, and which ends have been passed.
#[derive(Debug, Default)]
pub(super) struct Victims {
    /// Transactions that have taken such locks, or may have, and whose ends have not finished.
    lockers: usize,
    /// Ends of transactions behind which their sessions may have sent on.
    passed: WaitSet,
}

/// Whether a statement that does this may wait in the server for locks that nobody foresees, or let others
/// wait for such.
pub(super) fn takes_untold_locks(accesses: &[Access]) -> bool {
    accesses.iter().any(|access| match access {
        Access::Everything => true,
        Access::Table(_, mode) => *mode != Mode::Read,
        // What VACUUM takes is in no other statement's way.
        Access::Lock(_, mode) => *mode > LockMode::ShareUpdateExclusive,
        Access::Row(..)
        | Access::ReadAll
        | Access::Append(_)
        | Access::InsertGiven(_)
        | Access::Advance(_) => false,
    })
}

impl Victims {
    /// Adds what a statement has to wait for that takes such locks.
    pub(super) fn before_untold_locks(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        self.passed.gather(graph, waits);
    }

    /// The statement before the next of its session ends a transaction. Returns whether the next has to
    /// wait for it.
    pub(super) fn must_see(&mut self, graph: &Graph, end: Id) -> bool {
        if self.lockers == 0 {
            self.passed.add(graph, end);
        }
        self.lockers > 0
    }

    /// So many transactions have taken such locks.
    pub(super) fn locked(&mut self, transactions: usize) {
        self.lockers += transactions;
    }

    /// So many transactions that had taken such locks have ended.
    pub(super) fn released(&mut self, transactions: usize) {
        self.lockers = self.lockers.saturating_sub(transactions);
    }
}
