//! Locks on a whole table: who holds them, and who asks for them by `LOCK TABLE`.

use super::graph::{Graph, Id};
use super::pool::{Dependencies, WaitSet};
use crate::replay::order::footprint::LockMode;

/// By mode.
type ByMode = [WaitSet; LockMode::ALL.len()];

/// Locks on one table.
#[derive(Debug, Default)]
pub(super) struct TableLocks {
    /// Those who hold a lock: lock spans of transactions, and statements on their own.
    held: ByMode,
    /// Statements that lock the table, a partition of it or the root that it belongs to. Most tables are
    /// never locked.
    locking: Option<Box<ByMode>>,
}

impl TableLocks {
    /// A statement surely takes a lock: behind the ends of those who hold one that is in its way, even
    /// where these ends are not in the log yet (rule 1).
    pub(super) fn before(&mut self, graph: &mut Graph, mode: LockMode, waits: &mut Dependencies) {
        for other in mode.conflicts() {
            self.held[*other as usize].gather(graph, waits);
        }
    }

    /// A statement touches rows in a way that takes such a lock, if it comes to that: behind the statements
    /// that lock the table against it.
    pub(super) fn before_touch(
        &mut self,
        graph: &mut Graph,
        mode: LockMode,
        waits: &mut Dependencies,
    ) {
        let Some(locking) = &mut self.locking else { return };
        for other in mode.conflicts() {
            locking[*other as usize].gather(graph, waits);
        }
    }

    /// Somebody holds a lock.
    pub(super) fn hold(&mut self, graph: &Graph, mode: LockMode, holder: Id) {
        self.held[mode as usize].add(graph, holder);
    }

    /// A statement locks the table.
    pub(super) fn lock(&mut self, graph: &Graph, mode: LockMode, statement: Id) {
        self.locking.get_or_insert_default()[mode as usize].add(graph, statement);
    }

    fn all(&self) -> impl Iterator<Item = &WaitSet> {
        self.held.iter().chain(self.locking.iter().flat_map(|locking| locking.iter()))
    }

    pub(super) fn is_done(&self, graph: &Graph) -> bool {
        self.all().all(|locks| locks.is_done(graph))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all().map(WaitSet::len).sum()
    }
}
