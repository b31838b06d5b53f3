//! Who has touched a table and is not done yet.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::graph::{Graph, Id, Pool};
use crate::pglog::SessionId;
use crate::replay::footprint::Key;

/// One table, as far as statements and transactions that are not done have touched it.
#[derive(Debug, Default)]
pub(super) struct TableState {
    rows: HashMap<Key, RowState>,
    /// How many rows there may be before those that nobody touches any more are looked for.
    room: usize,
    /// Holds with rows of it that can't be told, whose end is in the log.
    pub(super) ended_wide: Pool,
    /// Holds with rows of it that can be told, whose end is in the log.
    pub(super) ended_rows: Pool,
    /// Statements that write any row of it.
    pub(super) writing: Pool,
    /// Statements that write rows of it that can't be told.
    pub(super) writing_wide: Pool,
    /// Statements that read (or write) rows of it that can't be told.
    pub(super) reading_wide: Pool,
    /// Statements that read or write rows of it that can be told.
    pub(super) touching_rows: Pool,
    /// Statements that add rows whose keys can't be told.
    pub(super) appending: Pool,
    /// Statements that add rows under keys that they give.
    pub(super) inserting: Pool,
}

/// One row.
#[derive(Debug, Default)]
pub(super) struct RowState {
    /// Holds that wrote it, in the order of the log. Each but the first waits for the one before.
    pub(super) writers: VecDeque<Id>,
    /// Statements that read it.
    pub(super) reading: Pool,
}

impl TableState {
    pub(super) fn row(&mut self, graph: &Graph, key: Key) -> &mut RowState {
        if self.rows.len() >= self.room {
            self.rows.retain(|_, row| !row.is_done(graph));
            self.room = (self.rows.len() * 2).max(64);
        }
        self.rows.entry(key).or_default()
    }

    /// Whether nobody touches it any more.
    pub(super) fn is_done(&mut self, graph: &Graph) -> bool {
        self.rows.retain(|_, row| !row.is_done(graph));
        self.rows.is_empty()
            && [
                &self.ended_wide,
                &self.ended_rows,
                &self.writing,
                &self.writing_wide,
                &self.reading_wide,
                &self.touching_rows,
                &self.appending,
                &self.inserting,
            ]
            .iter()
            .all(|pool| pool.is_done(graph))
    }
}

impl RowState {
    /// The last hold of another session that wrote it.
    pub(super) fn last_writer(&mut self, graph: &Graph, session: SessionId) -> Option<Id> {
        self.forget_done(graph);
        let last = *self.writers.back()?;
        graph.hold(last).filter(|hold| hold.session != session).map(|_| last)
    }

    /// The last hold that wrote it, whose end is in the log and keeps what it wrote.
    pub(super) fn last_committed(&mut self, graph: &Graph) -> Option<Id> {
        self.forget_done(graph);
        let ended =
            |id: &&Id| graph.hold(**id).is_some_and(|hold| hold.ended_by.is_some() && !hold.undone);
        self.writers.iter().rev().find(ended).copied()
    }

    /// A hold writes it; `again`: it may have done so before.
    pub(super) fn writes(&mut self, hold: Option<Id>, again: bool) {
        self.writers.extend(hold.filter(|hold| !again || !self.writers.contains(hold)));
    }

    /// They are done in their order, as each waits for the one before.
    fn forget_done(&mut self, graph: &Graph) {
        while self.writers.front().is_some_and(|id| !graph.has(*id)) {
            self.writers.pop_front();
        }
    }

    fn is_done(&self, graph: &Graph) -> bool {
        self.writers.iter().all(|id| !graph.has(*id)) && self.reading.is_done(graph)
    }
}
