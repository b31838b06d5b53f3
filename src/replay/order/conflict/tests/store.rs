//! A database small enough to run every history on: rows, rows that were added, one sequence;
//! READ COMMITTED, locks on rows and tables to the end of the transaction.

use std::collections::{BTreeMap, HashMap};

use crate::replay::order::footprint::LockMode;

/// A statement of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Read(u32, u64),
    ReadTable(u32),
    /// Tells which incarnation of the row is there, and keeps it there.
    Reference(u32, u64),
    Update(u32, u64),
    UpdateTable(u32),
    /// Deletes the row and adds it again.
    Replace(u32, u64),
    /// `LOCK TABLE`.
    Lock(u32, LockMode),
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
    /// The transaction leaves its session, under this name.
    Prepare(u64),
    /// Ends it from any session; whether it is kept.
    FinishPrepared(u64, bool),
}

impl Op {
    /// The lock that it takes on its table.
    pub(super) fn table_lock(self) -> Option<(u32, LockMode)> {
        match self {
            Self::Read(table, _) | Self::ReadTable(table) => Some((table, LockMode::AccessShare)),
            Self::Reference(table, _) => Some((table, LockMode::RowShare)),
            Self::Update(table, _)
            | Self::UpdateTable(table)
            | Self::Replace(table, _)
            | Self::Append(table)
            | Self::AppendDrawn(table) => Some((table, LockMode::RowExclusive)),
            Self::Lock(table, mode) => Some((table, mode)),
            _ => None,
        }
    }
}

/// Prepared transactions own locks by their names, behind all sessions.
const PREPARED: usize = 1 << 20;

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

#[derive(Debug, Clone, Copy)]
struct Version {
    value: i64,
    /// The statement that added it.
    incarnation: u64,
}

#[derive(Debug, Clone, Default)]
struct Row {
    committed: Option<Version>,
    written: Option<(usize, Version)>,
    /// Who keeps it there, once for each time.
    sharing: Vec<usize>,
}

impl Row {
    fn stop_sharing(&mut self, session: usize) {
        let at = self.sharing.iter().position(|other| *other == session);
        if let Some(at) = at {
            self.sharing.swap_remove(at);
        }
    }
}

#[derive(Debug)]
enum Undo {
    Write(Place, Option<(usize, Version)>),
    Share(Place),
    Lock,
}

/// A lock on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TableLock {
    holder: usize,
    table: u32,
    mode: LockMode,
}

#[derive(Debug, Default)]
struct Open {
    undo: Vec<Undo>,
    savepoint: Option<usize>,
    block: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    rows: BTreeMap<Place, Row>,
    /// Those of each holder in the order in which it took them.
    locks: Vec<TableLock>,
    sequence: i64,
    open: HashMap<usize, Open>,
}

/// Who holds the lock that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    Session(usize),
    Prepared(u64),
}

impl Blocked {
    fn by(owner: usize) -> Self {
        match owner.checked_sub(PREPARED) {
            Some(gid) => Self::Prepared(gid as u64),
            None => Self::Session(owner),
        }
    }
}

impl Store {
    pub(super) fn new(tables: u32, keys: u64) -> Self {
        let places = (0..tables).flat_map(|table| (0..keys).map(move |key| Place::Key(table, key)));
        let first = Some(Version { value: 1, incarnation: 0 });
        let row = |place| (place, Row { committed: first, ..Row::default() });
        let rows = places.map(row).collect();
        Self { rows, locks: Vec::new(), sequence: 0, open: HashMap::new() }
    }

    /// Runs a statement; `number` tells it from all others. Returns what it read.
    pub(super) fn run(&mut self, session: usize, op: Op, number: u64) -> Result<i64, Blocked> {
        let mut seen = 0;
        let lock = op.table_lock();
        let lock = lock.map(|(table, mode)| TableLock { holder: session, table, mode });
        if let Some(holder) = lock.and_then(|lock| self.in_the_way(lock)) {
            return Err(Blocked::by(holder));
        }
        match op {
            Op::Read(table, key) => seen = self.sum(session, |at| at == Place::Key(table, key)),
            Op::ReadTable(table) => seen = self.sum(session, |at| at.table() == table),
            Op::Reference(table, key) => seen = self.share(session, Place::Key(table, key))?,
            Op::Update(table, key) => {
                self.change(session, number, |at| at == Place::Key(table, key))?;
            }
            Op::UpdateTable(table) => self.change(session, number, |at| at.table() == table)?,
            Op::Replace(table, key) => self.replace(session, number, Place::Key(table, key))?,
            Op::Append(table) => self.append(session, table, number, 1),
            Op::AppendDrawn(table) => {
                self.sequence += 1;
                self.append(session, table, number, self.sequence);
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
            Op::Prepare(gid) => self.prepare(session, PREPARED + gid as usize),
            Op::FinishPrepared(gid, keep) => {
                let owner = PREPARED + gid as usize;
                assert!(self.open.contains_key(&owner), "{gid} is finished before it is prepared");
                self.end(owner, keep);
            }
            Op::Lock(..) => {}
        }
        if let Some(lock) = lock {
            self.locks.push(lock);
            self.open.entry(session).or_default().undo.push(Undo::Lock);
        }
        if !self.open.get(&session).is_some_and(|open| open.block) {
            self.end(session, true);
        }
        Ok(seen)
    }

    /// Whether the session is in a transaction block.
    pub(super) fn in_block(&self, session: usize) -> bool {
        self.open.get(&session).is_some_and(|open| open.block)
    }

    /// What the session has open is undone.
    pub(super) fn roll_back(&mut self, session: usize) {
        self.end(session, false);
    }

    /// All that the session holds is the prepared transaction's from now on.
    fn prepare(&mut self, session: usize, prepared: usize) {
        let mut open = self.open.remove(&session).unwrap_or_default();
        for lock in self.locks.iter_mut().filter(|lock| lock.holder == session) {
            lock.holder = prepared;
        }
        for undo in &mut open.undo {
            let (Undo::Write(place, _) | Undo::Share(place)) = undo else { continue };
            if let Some(row) = self.rows.get_mut(place) {
                let holders = row.written.iter_mut().map(|(holder, _)| holder);
                let holders = holders.chain(&mut row.sharing);
                holders.filter(|it| **it == session).for_each(|it| *it = prepared);
            }
            if let Undo::Write(_, Some((holder, _))) = undo {
                *holder = prepared;
            }
        }
        self.open.insert(prepared, open);
    }

    /// Who holds a lock that keeps others from taking this one.
    fn in_the_way(&self, lock: TableLock) -> Option<usize> {
        let is_in_the_way = |held: &&TableLock| {
            held.table == lock.table
                && held.holder != lock.holder
                && lock.mode.conflicts().contains(&held.mode)
        };
        self.locks.iter().find(is_in_the_way).map(|held| held.holder)
    }

    fn visible(&self, session: usize, row: &Row) -> Option<Version> {
        let own = row.written.filter(|(writer, _)| *writer == session);
        own.map(|(_, version)| version).or(row.committed)
    }

    fn share(&mut self, session: usize, place: Place) -> Result<i64, Blocked> {
        let Some(row) = self.rows.get_mut(&place) else { return Ok(-1) };
        let incarnation = |version: Version| version.incarnation;
        if let Some((holder, version)) = row.written
            && holder != session
            && row.committed.map(incarnation) != Some(version.incarnation)
        {
            return Err(Blocked::by(holder));
        }
        row.sharing.push(session);
        self.open.entry(session).or_default().undo.push(Undo::Share(place));
        let visible = self.visible(session, &self.rows[&place]);
        Ok(visible.map_or(-1, |version| version.incarnation as i64))
    }

    fn replace(&mut self, session: usize, number: u64, place: Place) -> Result<(), Blocked> {
        let sharing = self.rows[&place].sharing.iter();
        if let Some(other) = sharing.copied().find(|other| *other != session) {
            return Err(Blocked::by(other));
        }
        self.change(session, number, |at| at == place)?;
        if let Some((_, version)) = self.rows.get_mut(&place).and_then(|row| row.written.as_mut()) {
            version.incarnation = number;
        }
        Ok(())
    }

    fn append(&mut self, session: usize, table: u32, number: u64, value: i64) {
        let version = Version { value, incarnation: number };
        self.write(session, Place::Added(table, number), version);
    }

    fn sum(&self, session: usize, wanted: impl Fn(Place) -> bool) -> i64 {
        let rows = self.rows.iter().filter(|(place, _)| wanted(**place));
        let values = rows.filter_map(|(_, row)| self.visible(session, row));
        values.fold(0, |sum, version| sum.wrapping_mul(3).wrapping_add(version.value))
    }

    fn change(
        &mut self,
        session: usize,
        number: u64,
        wanted: impl Fn(Place) -> bool,
    ) -> Result<(), Blocked> {
        let mut new = Vec::new();
        for (place, row) in self.rows.iter().filter(|(place, _)| wanted(**place)) {
            let Some(version) = self.visible(session, row) else { continue };
            if let Some((holder, _)) = row.written
                && holder != session
            {
                return Err(Blocked::by(holder));
            }
            let value = version.value.wrapping_mul(31).wrapping_add(number as i64);
            new.push((*place, Version { value, ..version }));
        }
        new.into_iter().for_each(|(place, version)| self.write(session, place, version));
        Ok(())
    }

    fn write(&mut self, session: usize, place: Place, version: Version) {
        let row = self.rows.entry(place).or_default();
        let before = row.written.replace((session, version));
        self.open.entry(session).or_default().undo.push(Undo::Write(place, before));
    }

    fn undo(&mut self, session: usize) {
        let open = self.open.entry(session).or_default();
        let from = open.savepoint.unwrap_or(0);
        for undo in open.undo.split_off(from).into_iter().rev() {
            match undo {
                Undo::Write(place, before) => {
                    self.rows.entry(place).and_modify(|row| row.written = before);
                }
                Undo::Share(place) => {
                    self.rows.entry(place).and_modify(|row| row.stop_sharing(session));
                }
                Undo::Lock => {
                    let last = self.locks.iter().rposition(|lock| lock.holder == session);
                    last.map(|at| self.locks.remove(at));
                }
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
        self.locks.retain(|lock| lock.holder != session);
        for undo in self.open.remove(&session).unwrap_or_default().undo {
            let (Undo::Write(place, _) | Undo::Share(place)) = &undo else { continue };
            let Some(row) = self.rows.get_mut(place) else { continue };
            match undo {
                Undo::Lock => {}
                Undo::Write(..) => {
                    row.committed = row.written.take().map(|it| it.1).or(row.committed)
                }
                Undo::Share(_) => row.stop_sharing(session),
            }
        }
    }

    /// Everything that is committed, and the sequence.
    pub(super) fn state(&self) -> (Vec<(String, Option<i64>)>, i64) {
        let value = |row: &Row| row.committed.map(|version| version.value);
        let rows = self.rows.iter().map(|(place, row)| (format!("{place:?}"), value(row)));
        (rows.collect(), self.sequence)
    }
}
