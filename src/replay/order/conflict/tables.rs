//! Who has touched a table and is not done yet: the frontier that the next statement waits for.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::graph::{Graph, Id};
use super::pool::{Dependencies, WaitSet};
use super::table_locks::TableLocks;
use crate::pglog::SessionId;
use crate::replay::order::footprint::{Key, LockMode, Mode};

/// What of rows others look at, and what of them a write changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aspect {
    /// All of them.
    Values,
    /// Which there are, by their keys: all that foreign keys look at.
    Keys,
}

impl Aspect {
    /// What an access that is no write looks at.
    fn read_by(mode: Mode) -> Self {
        match mode {
            Mode::Reference => Self::Keys,
            Mode::Read | Mode::Update | Mode::Write => Self::Values,
        }
    }

    /// What a write changes.
    fn written_by(mode: Mode) -> &'static [Self] {
        match mode {
            Mode::Reference | Mode::Read => &[],
            Mode::Update => &[Self::Values],
            Mode::Write => &[Self::Values, Self::Keys],
        }
    }
}

/// The lock that such an access takes on the table of its rows, at most.
fn taken_by(mode: Mode) -> LockMode {
    match mode {
        Mode::Read => LockMode::AccessShare,
        Mode::Reference => LockMode::RowShare,
        Mode::Update | Mode::Write => LockMode::RowExclusive,
    }
}

/// Those who look at an aspect of a table's rows, and those who have changed it.
#[derive(Debug, Default)]
struct Frontier {
    /// Holds with rows that can't be told, whose end is in the log.
    ended_wide: WaitSet,
    /// Holds with rows that can be told, whose end is in the log.
    ended_rows: WaitSet,
    /// Statements that read (or write) rows that can't be told.
    reading_wide: WaitSet,
    /// Statements that read or write rows that can be told.
    touching_rows: WaitSet,
}

/// One table, as far as statements and transactions that are not done have touched it.
#[derive(Debug, Default)]
pub(super) struct TableState {
    rows: HashMap<Key, RowState>,
    /// How many rows there may be before those that nobody touches any more are looked for.
    room: usize,
    /// By aspect.
    frontiers: [Frontier; 2],
    /// Statements that write any row of it.
    writing: WaitSet,
    /// Statements that write rows of it that can't be told.
    writing_wide: WaitSet,
    /// Statements that add rows whose keys can't be told.
    appending: WaitSet,
    /// Statements that add rows under keys that they give.
    inserting: WaitSet,
    /// Who locks the table itself.
    pub(super) locks: TableLocks,
}

/// One row. One transaction may write any number of them.
#[derive(Debug, Default)]
struct RowState {
    values: RowFrontier,
    /// Most rows are neither referenced nor added or deleted meanwhile.
    keys: Option<Box<RowKeys>>,
}

/// A row's key, as foreign keys look at it.
#[derive(Debug, Default)]
struct RowKeys {
    frontier: RowFrontier,
    /// Holds of transactions with rows that reference it: nobody takes its key away before they end.
    sharing: WaitSet,
}

/// Those who look at an aspect of a row, and those who have changed it.
#[derive(Debug, Default)]
struct RowFrontier {
    writers: Writers,
    /// The last of them whose end is in the log and keeps what it wrote, and its place.
    committed: Option<(usize, Id)>,
    /// Statements that look at it.
    reading: WaitSet,
}

/// Holds that wrote a row, in the order of the log. Each transaction waits for the one before.
#[derive(Debug, Default)]
struct Writers {
    spans: VecDeque<Id>,
    /// How many were done and are forgotten: the place of the first.
    forgotten: usize,
}

impl TableState {
    fn frontier(&mut self, aspect: Aspect) -> &mut Frontier {
        &mut self.frontiers[aspect as usize]
    }

    fn row(&mut self, graph: &Graph, key: Key) -> &mut RowState {
        if self.rows.len() >= self.room {
            self.rows.retain(|_, row| !row.is_done(graph));
            self.room = (self.rows.len() * 2).max(64);
        }
        self.rows.entry(key).or_default()
    }

    // ---- What a statement waits for ----

    /// An access to the row with this key; `locks`: it met the locks of those who write what it looks
    /// at.
    pub(super) fn before_row(
        &mut self,
        graph: &mut Graph,
        key: Key,
        mode: Mode,
        locks: Option<SessionId>,
        waits: &mut Dependencies,
    ) {
        let aspect = Aspect::read_by(mode);
        let row = self.row(graph, key);
        if let Some(frontier) = row.known(aspect) {
            match (locks, frontier.committed) {
                (Some(session), _) => frontier.writers.gather(graph, session, waits),
                (None, Some((_, span))) => waits.add(graph, span),
                (None, None) => {}
            }
        }
        if mode == Mode::Write
            && let Some(keys) = &mut row.keys
        {
            keys.sharing.gather(graph, waits);
        }
        self.frontier(aspect).ended_wide.gather(graph, waits);
        if mode.is_write() {
            self.writing_wide.gather(graph, waits);
        }
        self.locks.before_touch(graph, taken_by(mode), waits);
    }

    /// An access to rows that can't be told.
    pub(super) fn before_table(&mut self, graph: &mut Graph, mode: Mode, waits: &mut Dependencies) {
        let frontier = self.frontier(Aspect::read_by(mode));
        frontier.ended_rows.gather(graph, waits);
        frontier.ended_wide.gather(graph, waits);
        if mode.is_write() {
            self.writing.gather(graph, waits);
            self.writing_wide.gather(graph, waits);
        }
        self.locks.before_touch(graph, taken_by(mode), waits);
    }

    /// Adding rows whose keys can't be told: what they add is seen with the end of their transaction.
    pub(super) fn before_append(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        self.inserting.gather(graph, waits);
        self.locks.before_touch(graph, LockMode::RowExclusive, waits);
    }

    /// Adding rows under keys that are given.
    pub(super) fn before_insert(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        self.appending.gather(graph, waits);
        self.locks.before_touch(graph, LockMode::RowExclusive, waits);
    }

    /// `LOCK TABLE`: whatever it would keep from the rows comes first.
    pub(super) fn before_lock(
        &mut self,
        graph: &mut Graph,
        mode: LockMode,
        waits: &mut Dependencies,
    ) {
        for other in mode.conflicts() {
            match other {
                LockMode::AccessShare => self.frontier(Aspect::Values).gather(graph, waits),
                LockMode::RowShare => self.frontier(Aspect::Keys).gather(graph, waits),
                LockMode::RowExclusive => {
                    self.writing.gather(graph, waits);
                    self.appending.gather(graph, waits);
                    self.inserting.gather(graph, waits);
                }
                _ => {}
            }
        }
        self.locks.before_touch(graph, mode, waits);
    }

    /// The end of a transaction that has written this row.
    pub(super) fn before_end_of_row(
        &mut self,
        graph: &mut Graph,
        key: Key,
        mode: Mode,
        waits: &mut Dependencies,
    ) {
        for aspect in Aspect::written_by(mode) {
            if let Some(frontier) = self.row(graph, key).known(*aspect) {
                frontier.reading.gather(graph, waits);
            }
            self.frontier(*aspect).reading_wide.gather(graph, waits);
        }
    }

    /// The end of a transaction that has written or added rows that can't be told.
    pub(super) fn before_end_of_table(
        &mut self,
        graph: &mut Graph,
        mode: Mode,
        waits: &mut Dependencies,
    ) {
        for aspect in Aspect::written_by(mode) {
            self.frontier(*aspect).gather(graph, waits);
        }
    }

    // ---- What is noted for those that follow ----

    /// A statement reads a row, or references it from what `hold` takes.
    pub(super) fn read_row(
        &mut self,
        graph: &Graph,
        key: Key,
        mode: Mode,
        statement: Id,
        span: Option<Id>,
    ) {
        let aspect = Aspect::read_by(mode);
        let row = self.row(graph, key);
        row.frontier(aspect).reading.add(graph, statement);
        if let Some(span) = span.filter(|_| mode == Mode::Reference) {
            row.keys.get_or_insert_default().sharing.add(graph, span);
        }
        self.frontier(aspect).touching_rows.add(graph, statement);
    }

    /// A statement writes a row, which `hold` takes, unless it has it already.
    pub(super) fn write_row(
        &mut self,
        graph: &Graph,
        key: Key,
        mode: Mode,
        statement: Id,
        span: Option<Id>,
    ) {
        let row = self.row(graph, key);
        for aspect in Aspect::written_by(mode) {
            row.frontier(*aspect).writers.spans.extend(span);
        }
        self.writing.add(graph, statement);
        self.frontier(Aspect::Values).touching_rows.add(graph, statement);
    }

    /// A statement accesses rows that can't be told.
    pub(super) fn touch_table(&mut self, graph: &Graph, mode: Mode, statement: Id) {
        self.frontier(Aspect::read_by(mode)).reading_wide.add(graph, statement);
        if mode.is_write() {
            self.writing.stand(statement);
            self.writing_wide.stand(statement);
        }
    }

    /// A statement adds rows whose keys can't be told.
    pub(super) fn touch_append(&mut self, graph: &Graph, statement: Id) {
        self.appending.add(graph, statement);
    }

    /// A statement adds rows under keys that it gives.
    pub(super) fn touch_insert(&mut self, graph: &Graph, statement: Id) {
        self.inserting.add(graph, statement);
    }

    /// The end of a lock span that wrote this row is in the log: reads wait for it from now on.
    pub(super) fn end_row(&mut self, graph: &Graph, key: Key, mode: Mode, span: Id) {
        for aspect in Aspect::written_by(mode) {
            self.row(graph, key).frontier(*aspect).commit(span);
            self.frontier(*aspect).ended_rows.add(graph, span);
        }
    }

    /// The end of a lock span that wrote or added rows that can't be told is in the log.
    pub(super) fn end_table(&mut self, graph: &Graph, mode: Mode, span: Id) {
        for aspect in Aspect::written_by(mode) {
            self.frontier(*aspect).ended_wide.add(graph, span);
        }
    }

    /// Whether nobody touches it any more.
    pub(super) fn is_done(&mut self, graph: &Graph) -> bool {
        self.rows.retain(|_, row| !row.is_done(graph));
        self.rows.is_empty()
            && [&self.writing, &self.writing_wide, &self.appending, &self.inserting]
                .iter()
                .all(|pool| pool.is_done(graph))
            && self.locks.is_done(graph)
            && self.frontiers.iter().all(|frontier| frontier.is_done(graph))
    }
}

#[cfg(test)]
impl TableState {
    /// How much is noted of it.
    pub(super) fn noted(&self) -> usize {
        let of_row = |row: &RowState| {
            let noted = row.frontiers().map(|row| row.writers.spans.len() + row.reading.len());
            noted.sum::<usize>() + row.keys.as_ref().map_or(0, |keys| keys.sharing.len())
        };
        let of_frontier = |frontier: &Frontier| {
            frontier.ended_wide.len()
                + frontier.ended_rows.len()
                + frontier.reading_wide.len()
                + frontier.touching_rows.len()
        };
        self.rows.values().map(of_row).sum::<usize>()
            + self.frontiers.iter().map(of_frontier).sum::<usize>()
            + self.writing.len()
            + self.writing_wide.len()
            + self.locks.len()
    }
}

impl Frontier {
    /// Adds all statements that look at it.
    fn gather(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        self.touching_rows.gather(graph, waits);
        self.reading_wide.gather(graph, waits);
    }

    fn is_done(&self, graph: &Graph) -> bool {
        [&self.ended_wide, &self.ended_rows, &self.reading_wide, &self.touching_rows]
            .iter()
            .all(|pool| pool.is_done(graph))
    }
}

impl RowState {
    fn frontier(&mut self, aspect: Aspect) -> &mut RowFrontier {
        match aspect {
            Aspect::Values => &mut self.values,
            Aspect::Keys => &mut self.keys.get_or_insert_default().frontier,
        }
    }

    /// The same, if anybody has looked at it or changed it.
    fn known(&mut self, aspect: Aspect) -> Option<&mut RowFrontier> {
        match aspect {
            Aspect::Values => Some(&mut self.values),
            Aspect::Keys => self.keys.as_mut().map(|keys| &mut keys.frontier),
        }
    }

    fn frontiers(&self) -> impl Iterator<Item = &RowFrontier> {
        std::iter::once(&self.values).chain(self.keys.iter().map(|keys| &keys.frontier))
    }

    fn is_done(&self, graph: &Graph) -> bool {
        let is_done = |row: &RowFrontier| {
            row.writers.spans.iter().all(|id| !graph.has(*id)) && row.reading.is_done(graph)
        };
        self.frontiers().all(is_done)
            && self.keys.as_ref().is_none_or(|keys| keys.sharing.is_done(graph))
    }
}

impl RowFrontier {
    /// What this hold wrote stays.
    fn commit(&mut self, span: Id) {
        // Of two whose ends are in the log, the one that wrote later counts.
        let after = self.committed.map_or(0, |(place, _)| place + 1);
        if let Some(place) = self.writers.place_of(span, after) {
            self.committed = Some((place, span));
        }
    }
}

impl Writers {
    /// Adds the last transaction of another session: whoever wrote before goes before that one anyway.
    fn gather(&mut self, graph: &mut Graph, session: SessionId, waits: &mut Dependencies) {
        while self.spans.front().is_some_and(|id| !graph.has(*id)) {
            self.spans.pop_front();
            self.forgotten += 1;
        }
        let mut last = None;
        for id in self.spans.iter().rev() {
            let Some(span) = graph.lock_span(*id) else { continue };
            let is_before = last.is_some_and(|last| last != span.transaction);
            if is_before || span.session == session {
                break;
            }
            // It may have written again since a savepoint, and go on if that is undone.
            last = Some(span.transaction);
            waits.add(graph, *id);
        }
    }

    /// The place of a lock span, if it is not before this one.
    fn place_of(&self, span: Id, first: usize) -> Option<usize> {
        let first = first.saturating_sub(self.forgotten).min(self.spans.len());
        let at = self.spans.range(first..).rposition(|writer| *writer == span)?;
        Some(self.forgotten + first + at)
    }
}
