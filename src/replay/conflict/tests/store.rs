//! A database small enough to run every history on: rows, rows that were added, one sequence;
//! READ COMMITTED, row locks to the end of the transaction.

use std::collections::{BTreeMap, HashMap};

/// A statement of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Read(u32, u64),
    ReadTable(u32),
    Write(u32, u64),
    WriteTable(u32),
    Append(u32),
    /// Adds a row that holds the sequence's next value.
    AppendDrawn(u32),
    /// Reads everything, and lets the sequence depend on it.
    Anything,
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
}

/// A row: one of a key, or one that the statement with this number has added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Key(u32, u64),
    Added(u32, u64),
}

impl Place {
    fn table(self) -> u32 {
        match self {
            Self::Key(table, _) | Self::Added(table, _) => table,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    committed: Option<i64>,
    written: Option<(usize, i64)>,
}

#[derive(Debug, Default)]
struct Open {
    undo: Vec<(Place, Option<(usize, i64)>)>,
    savepoint: Option<usize>,
    block: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    rows: BTreeMap<Place, Row>,
    sequence: i64,
    open: HashMap<usize, Open>,
}

/// The session that holds the lock which was wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blocked(pub(super) usize);

impl Store {
    pub(super) fn new(tables: u32, keys: u64) -> Self {
        let places = (0..tables).flat_map(|table| (0..keys).map(move |key| Place::Key(table, key)));
        let row = Row { committed: Some(1), written: None };
        let rows = places.map(|place| (place, row)).collect();
        Self { rows, sequence: 0, open: HashMap::new() }
    }

    /// Runs a statement; `number` tells it from all others. Returns what it read.
    pub(super) fn run(&mut self, session: usize, op: Op, number: u64) -> Result<i64, Blocked> {
        let mut seen = 0;
        match op {
            Op::Read(table, key) => seen = self.sum(session, |at| at == Place::Key(table, key)),
            Op::ReadTable(table) => seen = self.sum(session, |at| at.table() == table),
            Op::Write(table, key) => {
                self.change(session, number, |at| at == Place::Key(table, key))?;
            }
            Op::WriteTable(table) => self.change(session, number, |at| at.table() == table)?,
            Op::Append(table) => self.write(session, Place::Added(table, number), 1),
            Op::AppendDrawn(table) => {
                self.sequence += 1;
                self.write(session, Place::Added(table, number), self.sequence);
            }
            Op::Anything => {
                seen = self.sum(session, |_| true);
                self.sequence = self.sequence.wrapping_mul(7).wrapping_add(seen);
            }
            Op::Begin => self.open.entry(session).or_default().block = true,
            Op::Commit | Op::Rollback => self.end(session, op == Op::Commit),
            Op::Savepoint => {
                let open = self.open.entry(session).or_default();
                open.savepoint = Some(open.undo.len());
            }
            Op::RollbackTo => self.undo(session),
        }
        if !self.open.get(&session).is_some_and(|open| open.block) {
            self.end(session, true);
        }
        Ok(seen)
    }

    fn visible(&self, session: usize, row: &Row) -> Option<i64> {
        let own = row.written.filter(|(writer, _)| *writer == session);
        own.map(|(_, value)| value).or(row.committed)
    }

    fn sum(&self, session: usize, wanted: impl Fn(Place) -> bool) -> i64 {
        let rows = self.rows.iter().filter(|(place, _)| wanted(**place));
        let values = rows.filter_map(|(_, row)| self.visible(session, row));
        values.fold(0, |sum, value| sum.wrapping_mul(3).wrapping_add(value))
    }

    fn change(
        &mut self,
        session: usize,
        number: u64,
        wanted: impl Fn(Place) -> bool,
    ) -> Result<(), Blocked> {
        let mut new = Vec::new();
        for (place, row) in self.rows.iter().filter(|(place, _)| wanted(**place)) {
            let Some(value) = self.visible(session, row) else { continue };
            if let Some((holder, _)) = row.written
                && holder != session
            {
                return Err(Blocked(holder));
            }
            new.push((*place, value.wrapping_mul(31).wrapping_add(number as i64)));
        }
        new.into_iter().for_each(|(place, value)| self.write(session, place, value));
        Ok(())
    }

    fn write(&mut self, session: usize, place: Place, value: i64) {
        let row = self.rows.entry(place).or_default();
        let before = row.written.replace((session, value));
        self.open.entry(session).or_default().undo.push((place, before));
    }

    fn undo(&mut self, session: usize) {
        let open = self.open.entry(session).or_default();
        let from = open.savepoint.unwrap_or(0);
        for (place, before) in open.undo.split_off(from).into_iter().rev() {
            if let Some(row) = self.rows.get_mut(&place) {
                row.written = before;
            }
        }
        self.rows.retain(|_, row| row.committed.is_some() || row.written.is_some());
    }

    fn end(&mut self, session: usize, keep: bool) {
        let Some(open) = self.open.get_mut(&session) else { return };
        if !keep {
            open.savepoint = None;
            self.undo(session);
        }
        for (place, _) in self.open.remove(&session).unwrap_or_default().undo {
            if let Some(row) = self.rows.get_mut(&place)
                && let Some((_, value)) = row.written.take()
            {
                row.committed = Some(value);
            }
        }
    }

    /// Everything that is committed, and the sequence.
    pub(super) fn state(&self) -> (Vec<(String, Option<i64>)>, i64) {
        let rows = self.rows.iter().map(|(place, row)| (format!("{place:?}"), row.committed));
        (rows.collect(), self.sequence)
    }
}
