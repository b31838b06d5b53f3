//! Conflict order: a statement waits for those before it that it conflicts with, and for no other.
//!
//! The log tells in which order statements *ended*; what they conflict over, their footprints tell.
//! The rules, from DESIGN section 3:
//!
//! 1. A write of a row waits for the end of the last earlier transaction that wrote it, even where
//!    that end is not in the log yet: on the source that transaction held the row's lock.
//! 2. A read waits for the ends of earlier writers whose ends were logged before the read.
//! 3. A COMMIT waits for every earlier read, by others, of what its transaction wrote.
//! 4. Where all that has been read waits for ends that have not been, more has to be read:
//!    [`ConflictOrder::is_stuck`].
//!
//! A transaction in which a barrier ran may have written anything, which others see with its end: that
//! is a barrier too.
//!
//! What is written without a key to tell it by is not known to have been locked, so rule 1 does not
//! hold for it: that a statement's record stands before another transaction's end rather shows that
//! the two did *not* meet. Such a statement counts as a read of its table for rules 2 and 3, and its
//! order among the statements that write that table is kept one by one.
//!
//! **Why it never waits for itself.** All waits point to what stands earlier in the log, except
//! those of rule 1 for a transaction that goes on. A statement closes a circle only if it waits for
//! something that waits, directly or through others, for a transaction that the statement itself
//! continues or ends. Such waits are left out ([`ConflictOrder::waived`] counts them): they are those
//! of the records that overtook the COMMIT which freed them, which is logged after its locks are gone.

mod arrivals;
mod graph;
mod steps;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use arrivals::{Arrivals, Wanted};
use foldhash::{HashMap, HashSet};
use graph::{Graph, Hold, Id, Node, Pool, Statement};
pub use steps::{Step, finishes_prepared, steps};
use tables::TableState;

use crate::pglog::SessionId;
use crate::replay::footprint::{Access, Footprint, Object, Table};
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// The conflict order over all sessions.
///
/// Statements come by [`arrive`](Self::arrive) in the order of the log; each answer tells which may
/// start meanwhile.
#[derive(Debug, Default)]
pub struct ConflictOrder {
    graph: Graph,
    statements: HashMap<Seq, Id>,
    sessions: HashMap<SessionId, SessionLine>,
    tables: HashMap<Table, TableState>,
    objects: HashMap<Object, Pool>,
    /// How many tables and objects there may be before those that nobody touches any more are
    /// looked for.
    room: usize,
    /// Statements that read anything at all.
    reading_all: Pool,
    /// Statements that are run and undone: what they wait for may not be released before by a rollback.
    drawing_only: Pool,
    /// Holds whose end is in the log.
    ended: Pool,
    /// Statements that have not finished; from the last barrier on.
    unfinished: Pool,
    /// Statements that may do anything.
    barriers: Pool,
    /// Transactions that were prepared and not finished, by name.
    prepared: HashMap<Box<str>, Prepared>,
    /// What finished before it arrived: a stall let it run ahead.
    early: HashSet<Seq>,
    /// The last statement that has arrived.
    newest: Seq,
    /// Statements that may start and have not finished.
    running: usize,
    waived: u64,
}

/// What a statement waits for in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// A statement that may run.
    Statement(Start),
    /// The end of a transaction of which nothing more has been read.
    Unread,
}

/// A statement as the order sees it.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// Its place.
    pub seq: Seq,
    /// Its session.
    pub session: SessionId,
    /// What it touches.
    pub footprint: Footprint,
    /// What it does to its transaction.
    pub steps: Vec<Step>,
    /// Whether it failed on the source.
    pub failed: bool,
    /// Whether it is run and undone, for what it draws: it has to meet the locks that it met there.
    pub draws_only: bool,
    /// Whether it shares its Sync with the statement that follows: one implicit transaction.
    pub joined: bool,
}

/// A session's statements that have not finished, and its open transaction.
#[derive(Debug, Default)]
struct SessionLine {
    queue: VecDeque<Id>,
    /// How many of the queue, from its front, may start.
    granted: usize,
    transaction: Option<Transaction>,
}

#[derive(Debug, Default)]
struct Transaction {
    /// Whether a BEGIN opened it.
    explicit: bool,
    aborted: bool,
    /// Whether a statement of it may have done anything.
    has_barrier: bool,
    /// The levels of its savepoints; the first is the transaction itself.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    name: Box<str>,
    holds: Vec<Id>,
    /// What was written by these holds.
    written: Vec<Access>,
}

/// A transaction that left its session.
#[derive(Debug, Default)]
struct Prepared {
    holds: Vec<Id>,
    has_barrier: bool,
}

/// Holds that a statement ends, and what they wrote.
#[derive(Debug, Default)]
struct Ending {
    /// Whether others may see anything else from then on.
    is_barrier: bool,
    kept: Vec<Id>,
    written: Vec<Access>,
    undone: Vec<Id>,
}

impl Ending {
    fn add(&mut self, level: Level, undone: bool) {
        if undone {
            self.undone.extend(level.holds);
        } else {
            self.kept.extend(level.holds);
            self.written.extend(level.written);
        }
    }
}

impl ConflictOrder {
    /// Takes the next statement of the log. Adds to `starts` what may start now.
    pub fn arrive(&mut self, arrival: &Arrival, starts: &mut Vec<Start>) {
        let Arrival { seq, session, .. } = *arrival;
        let id = self.graph.add(Node::Statement(Statement {
            seq,
            session,
            previous: self.newest_of(session),
            granted: false,
            ends: Vec::new(),
        }));
        let extended = self.open_holds(arrival);
        let ending = self.step(arrival);
        let stays_open = self.transaction(session).is_some();
        let accesses = match ending.is_barrier {
            true => &[Access::Everything][..],
            false => &arrival.footprint.accesses,
        };
        let mut waits = self.conflicts(session, accesses);
        self.readers(&ending.written, &mut waits);
        if !ending.undone.is_empty() && !arrival.failed {
            waits.extend(self.drawing_only.gather(&mut self.graph));
        }
        if !stays_open && !arrival.failed {
            self.readers(accesses, &mut waits);
        }
        let all = self.wait(id, session, waits, &extended);
        self.end_holds(id, ending);
        let hold = self.hold_for(id, arrival, stays_open);
        self.register(id, accesses, hold, stays_open, all);
        if arrival.draws_only {
            self.drawing_only.add(&self.graph, id);
        }

        self.newest = self.newest.max(seq);
        self.statements.insert(seq, id);
        self.sessions.entry(session).or_default().queue.push_back(id);
        if self.early.remove(&seq) {
            self.finish(seq, starts);
        }
        self.grant(session, starts);
    }

    /// A statement has finished, or will never start. Adds to `starts` what may start now.
    pub fn finish(&mut self, seq: Seq, starts: &mut Vec<Start>) {
        let Some(id) = self.statements.remove(&seq) else {
            if seq > self.newest {
                self.early.insert(seq);
            }
            return;
        };
        let session = self.graph.statement(id).map(|statement| statement.session);
        if let Some(session) = session
            && let Some(line) = self.sessions.get_mut(&session)
            && let Some(at) = line.queue.iter().position(|queued| *queued == id)
        {
            line.queue.remove(at);
            if at < line.granted {
                line.granted -= 1;
                self.running -= 1;
            }
            self.grant(session, starts);
        }
        self.done(id, starts);
    }

    /// The session's connection is closed for good, and what it had open is rolled back.
    pub fn close(&mut self, session: SessionId, starts: &mut Vec<Start>) {
        let Some(line) = self.sessions.get_mut(&session) else { return };
        let transaction = line.transaction.take().unwrap_or_default();
        if line.queue.is_empty() {
            self.sessions.remove(&session);
        }
        for hold in transaction.levels.into_iter().flat_map(|level| level.holds) {
            self.done(hold, starts);
        }
    }

    /// Whether a session may start this statement by now.
    pub fn may_start(&self, seq: Seq) -> bool {
        match self.statements.get(&seq) {
            Some(id) => self.graph.statement(*id).is_some_and(|statement| statement.granted),
            // It has had its turn: it is run again.
            None => seq <= self.newest,
        }
    }

    /// Up to which place a session may start its statements.
    pub fn granted(&self, session: SessionId) -> Option<Seq> {
        let line = self.sessions.get(&session)?;
        let last = line.queue.get(line.granted.checked_sub(1)?)?;
        self.graph.statement(*last).map(|statement| statement.seq)
    }

    /// Whether statements wait, and none may start before more has been read (rule 4).
    pub fn is_stuck(&self) -> bool {
        self.running == 0 && !self.statements.is_empty()
    }

    /// Whether the session's transaction goes on behind all that has arrived of it.
    pub fn is_in_transaction(&self, session: SessionId) -> bool {
        self.transaction(session).is_some()
    }

    /// Whether the statement has arrived and not finished.
    pub fn is_unfinished(&self, seq: Seq) -> bool {
        self.statements.contains_key(&seq)
    }

    /// How many statements have not finished, and how many of them may start.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.statements.len(), self.running)
    }

    /// Sessions whose open transaction others wait for, and of which nothing more has been read.
    pub fn silent_holders(&self) -> impl Iterator<Item = SessionId> {
        let awaited = |line: &SessionLine| {
            let levels = line.transaction.iter().flat_map(|transaction| &transaction.levels);
            line.queue.is_empty()
                && levels.flat_map(|level| &level.holds).any(|hold| self.graph.is_awaited(*hold))
        };
        let silent = self.sessions.iter().filter(move |(_, line)| awaited(line));
        silent.map(|(session, _)| *session)
    }

    /// The first statement that waits for others.
    pub fn first_waiting(&self) -> Option<Start> {
        let waiting = self.sessions.iter().filter_map(|(session, line)| {
            let head = self.graph.statement(*line.queue.get(line.granted)?)?;
            Some(Start { session: *session, seq: head.seq })
        });
        waiting.min_by_key(|start| start.seq)
    }

    /// What a statement waits for in the end, directly or through others.
    pub fn awaited_by(&self, seq: Seq) -> Vec<Awaited> {
        let mut awaited = Vec::new();
        self.meets(seq, |met| {
            if let Some(Statement { granted: true, session, seq, .. }) = self.graph.statement(met) {
                awaited.push(Awaited::Statement(Start { session: *session, seq: *seq }));
            } else if let Some(Hold { ended_by: None, session, .. }) = self.graph.hold(met)
                && self.newest_of(*session).is_none()
            {
                awaited.push(Awaited::Unread);
            }
            false
        });
        awaited
    }

    /// Whether a statement waits, directly or through others, for this other one.
    pub fn waits_for(&self, seq: Seq, other: Seq) -> bool {
        let Some(other) = self.statements.get(&other) else { return false };
        self.meets(seq, |met| met == *other)
    }

    fn meets(&self, seq: Seq, wanted: impl FnMut(Id) -> bool) -> bool {
        let newest = |session| self.newest_of(session);
        self.statements.get(&seq).is_some_and(|id| self.graph.meets(*id, newest, wanted))
    }

    /// How many waits were left out because they would have closed a circle.
    pub fn waived(&self) -> u64 {
        self.waived
    }

    // ---- Transactions ----

    fn transaction(&self, session: SessionId) -> Option<&Transaction> {
        self.sessions.get(&session)?.transaction.as_ref()
    }

    /// The holds that go on at least as long as this statement, and that something waits for.
    fn open_holds(&self, arrival: &Arrival) -> Vec<Id> {
        let levels = self.transaction(arrival.session).into_iter().flat_map(|open| &open.levels);
        let own = levels.flat_map(|level| &level.holds);
        let prepared = arrival.steps.iter().filter_map(|step| match step {
            Step::FinishPrepared { name, .. } => self.prepared.get(name),
            _ => None,
        });
        let prepared = prepared.flat_map(|prepared| &prepared.holds);
        own.chain(prepared).copied().filter(|id| self.graph.is_awaited(*id)).collect()
    }

    /// Takes the session's transaction to where it is after the statement. Returns what ends.
    fn step(&mut self, arrival: &Arrival) -> Ending {
        let mut ending = Ending::default();
        let line = self.sessions.entry(arrival.session).or_default();
        let open = &mut line.transaction;
        // What failed has done none of its steps but, in its transaction, the undoing.
        let steps = if arrival.failed { &[][..] } else { &arrival.steps };
        for step in steps {
            match step {
                Step::Begin => open.get_or_insert_with(Transaction::begun).explicit = true,
                Step::Commit => end_all(open, false, &mut ending),
                Step::Rollback => end_all(open, true, &mut ending),
                Step::Chain { undone } => {
                    end_all(open, *undone, &mut ending);
                    *open = Some(Transaction { explicit: true, ..Transaction::begun() });
                }
                Step::Savepoint(name) => {
                    if let Some(open) = open {
                        open.levels.push(Level { name: name.clone(), ..Level::default() });
                    }
                }
                Step::Release(name) => {
                    if let Some(open) = open
                        && let Some(at) = open.level(name)
                    {
                        open.release(at);
                    }
                }
                Step::RollbackTo(name) => {
                    if let Some(open) = open
                        && let Some(at) = open.level(name)
                    {
                        let undone = open.levels.drain(at..);
                        undone.for_each(|level| ending.add(level, true));
                        open.levels.push(Level { name: name.clone(), ..Level::default() });
                        open.aborted = false;
                    }
                }
                Step::Prepare(name) => {
                    let left = open.take().unwrap_or_default();
                    let holds = left.levels.into_iter().flat_map(|level| level.holds);
                    let prepared =
                        Prepared { holds: holds.collect(), has_barrier: left.has_barrier };
                    self.prepared.insert(name.clone(), prepared);
                }
                Step::FinishPrepared { name, undone } => {
                    let Prepared { holds, has_barrier } =
                        self.prepared.remove(name).unwrap_or_default();
                    ending.is_barrier |= has_barrier && !*undone;
                    if *undone { ending.undone.extend(holds) } else { ending.kept.extend(holds) }
                }
            }
        }
        if arrival.failed
            && let Some(open) = open
        {
            open.aborted = true;
            if let Some(level) = open.levels.last_mut() {
                ending.undone.append(&mut level.holds);
                level.written.clear();
            }
        }
        if let Some(open) = open {
            open.has_barrier |= arrival.footprint.accesses.contains(&Access::Everything);
        }
        match open {
            Some(implicit) if !implicit.explicit && !arrival.joined => {
                end_all(open, false, &mut ending);
            }
            None if arrival.joined => {
                let has_barrier = arrival.footprint.accesses.contains(&Access::Everything);
                *open = Some(Transaction { has_barrier, ..Transaction::begun() });
            }
            _ => {}
        }
        if arrival.failed && arrival.steps.iter().any(Step::ends_transaction) {
            // A COMMIT that was refused; or a string that failed behind its COMMIT.
            end_all(open, arrival.steps.len() == 1, &mut ending);
        }
        ending
    }

    /// These holds end with this statement.
    fn end_holds(&mut self, id: Id, ending: Ending) {
        for hold in &ending.kept {
            self.end_hold(*hold, id, false);
            self.ended.add(&self.graph, *hold);
        }
        for hold in &ending.undone {
            self.end_hold(*hold, id, true);
        }
        for access in ending.written {
            for hold in &ending.kept {
                self.note_end(access, *hold);
            }
        }
    }

    fn end_hold(&mut self, hold: Id, by: Id, undone: bool) {
        if let Some(hold) = self.graph.hold_mut(hold) {
            hold.ended_by = Some(by);
            hold.undone = undone;
        }
        if let Some(statement) = self.graph.statement_mut(by) {
            statement.ends.push(hold);
        }
    }

    /// The end of a hold that wrote this is in the log: reads wait for it from now on.
    fn note_end(&mut self, access: Access, hold: Id) {
        match access {
            Access::WriteRow(table, _) => {
                self.tables.entry(table).or_default().ended_rows.add(&self.graph, hold);
            }
            Access::WriteTable(table) | Access::Append(table) => {
                self.tables.entry(table).or_default().ended_wide.add(&self.graph, hold);
            }
            _ => {}
        }
    }

    // ---- Conflicts ----

    /// What the statement's own accesses wait for.
    fn conflicts(&mut self, session: SessionId, accesses: &[Access]) -> Vec<Id> {
        let Self { graph, tables, .. } = self;
        let mut waits = Vec::new();
        if tables.len() + self.objects.len() >= self.room {
            tables.retain(|_, table| !table.is_done(graph));
            self.objects.retain(|_, drawing| !drawing.is_done(graph));
            self.room = ((tables.len() + self.objects.len()) * 2).max(64);
        }
        waits.extend(self.barriers.gather(graph));
        for access in accesses {
            match *access {
                Access::ReadRow(table, key) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.row(graph, key).last_committed(graph));
                    waits.extend(table.ended_wide.gather(graph));
                }
                Access::WriteRow(table, key) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.row(graph, key).last_writer(graph, session));
                    waits.extend(table.ended_wide.gather(graph));
                    waits.extend(table.writing_wide.gather(graph));
                }
                Access::ReadTable(table) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.ended_rows.gather(graph));
                    waits.extend(table.ended_wide.gather(graph));
                }
                Access::WriteTable(table) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.ended_rows.gather(graph));
                    waits.extend(table.ended_wide.gather(graph));
                    waits.extend(table.writing.gather(graph));
                }
                // What it adds is seen with the end of its transaction.
                Access::Append(table) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.inserting.gather(graph));
                }
                Access::InsertGiven(table) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.appending.gather(graph));
                }
                Access::ReadAll => waits.extend(self.ended.gather(graph)),
                Access::Draw(object) => {
                    waits.extend(self.objects.entry(object).or_default().gather(graph));
                }
                Access::Everything => waits.extend(self.unfinished.gather(graph)),
            }
        }
        waits
    }

    /// Adds what the end of a transaction that wrote this waits for (rule 3).
    fn readers(&mut self, written: &[Access], waits: &mut Vec<Id>) {
        let Self { graph, tables, .. } = self;
        let mut writes = false;
        for access in written {
            match *access {
                Access::WriteRow(table, key) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.row(graph, key).reading.gather(graph));
                    waits.extend(table.reading_wide.gather(graph));
                }
                Access::WriteTable(table) | Access::Append(table) => {
                    let table = tables.entry(table).or_default();
                    waits.extend(table.touching_rows.gather(graph));
                    waits.extend(table.reading_wide.gather(graph));
                }
                _ => continue,
            }
            writes = true;
        }
        if writes {
            waits.extend(self.reading_all.gather(graph));
        }
    }

    /// Lets the statement wait for these, but for what waits for the holds that it extends. Returns
    /// whether it waits for all.
    fn wait(&mut self, id: Id, session: SessionId, waits: Vec<Id>, extended: &[Id]) -> bool {
        let mut all = true;
        for for_id in waits {
            let own = self.graph.statement(for_id).is_some_and(|other| other.session == session);
            if own {
                // It goes before this one anyway.
            } else if extended.is_empty() || !self.waits_for_any(for_id, extended) {
                self.graph.wait(id, for_id);
            } else {
                for member in self.graph.members(for_id) {
                    if self.waits_for_any(member, extended) {
                        self.waived += 1;
                        all = false;
                    } else {
                        self.graph.wait(id, member);
                    }
                }
            }
        }
        all
    }

    fn waits_for_any(&self, id: Id, holds: &[Id]) -> bool {
        self.graph.meets(id, |session| self.newest_of(session), |met| holds.contains(&met))
    }

    fn newest_of(&self, session: SessionId) -> Option<Id> {
        self.sessions.get(&session)?.queue.back().copied()
    }

    /// Notes what the statement touches, for those that follow. `all`: it waits for everything that
    /// it conflicts with, and stands for that from now on. `hold` takes what it writes.
    fn register(
        &mut self,
        id: Id,
        accesses: &[Access],
        hold: Option<Id>,
        stays_open: bool,
        all: bool,
    ) {
        let Self { graph, tables, .. } = self;
        let stand = |pool: &mut Pool| if all { pool.replace(id) } else { pool.add(graph, id) };
        for access in accesses {
            match *access {
                Access::ReadRow(table, key) => {
                    let table = tables.entry(table).or_default();
                    table.row(graph, key).reading.add(graph, id);
                    table.touching_rows.add(graph, id);
                }
                Access::WriteRow(table, key) => {
                    let table = tables.entry(table).or_default();
                    table.row(graph, key).writes(hold, stays_open);
                    table.touching_rows.add(graph, id);
                    table.writing.add(graph, id);
                }
                Access::ReadTable(table) => {
                    tables.entry(table).or_default().reading_wide.add(graph, id);
                }
                Access::WriteTable(table) => {
                    let table = tables.entry(table).or_default();
                    table.reading_wide.add(graph, id);
                    stand(&mut table.writing);
                    stand(&mut table.writing_wide);
                }
                Access::ReadAll => self.reading_all.add(graph, id),
                Access::Draw(object) => stand(self.objects.entry(object).or_default()),
                Access::Append(table) => {
                    tables.entry(table).or_default().appending.add(graph, id);
                }
                Access::InsertGiven(table) => {
                    tables.entry(table).or_default().inserting.add(graph, id);
                }
                Access::Everything => {
                    stand(&mut self.barriers);
                    stand(&mut self.unfinished);
                }
            }
        }
        self.unfinished.add(graph, id);
    }

    /// The hold that takes what the statement writes: its transaction's, or one that ends with it.
    fn hold_for(&mut self, id: Id, arrival: &Arrival, stays_open: bool) -> Option<Id> {
        let writes = arrival.footprint.accesses.iter().copied().filter(Access::is_write);
        let mut writes = writes.peekable();
        writes.peek()?;
        let session = arrival.session;
        if !stays_open {
            let hold = self.graph.add(Node::Hold(Hold::of(session)));
            self.end_hold(hold, id, arrival.failed);
            if !arrival.failed {
                self.ended.add(&self.graph, hold);
                writes.for_each(|access| self.note_end(access, hold));
            }
            return Some(hold);
        }
        let line = self.sessions.get_mut(&session)?;
        let level = line.transaction.as_mut()?.levels.last_mut()?;
        level.written.extend(writes);
        let hold = level.holds.last().copied();
        let hold = hold.unwrap_or_else(|| self.graph.add(Node::Hold(Hold::of(session))));
        if level.holds.is_empty() {
            level.holds.push(hold);
        }
        if arrival.failed {
            // Its locks go with it.
            level.written.clear();
            level.holds.clear();
            self.end_hold(hold, id, true);
        }
        Some(hold)
    }

    // ---- Starts ----

    fn done(&mut self, id: Id, starts: &mut Vec<Start>) {
        for freed in self.graph.done(id) {
            if let Some(statement) = self.graph.statement(freed) {
                let session = statement.session;
                self.grant(session, starts);
            }
        }
    }

    /// Lets a session go as far as nothing holds it.
    fn grant(&mut self, session: SessionId, starts: &mut Vec<Start>) {
        let Some(line) = self.sessions.get_mut(&session) else { return };
        let mut last = None;
        while let Some(id) = line.queue.get(line.granted)
            && self.graph.is_free(*id)
            && let Some(statement) = self.graph.statement_mut(*id)
        {
            statement.granted = true;
            last = Some(statement.seq);
            line.granted += 1;
            self.running += 1;
        }
        starts.extend(last.map(|seq| Start { session, seq }));
    }
}

impl Transaction {
    fn begun() -> Self {
        Self { levels: vec![Level::default()], ..Self::default() }
    }

    /// The last level of that name. The transaction itself has none.
    fn level(&self, name: &str) -> Option<usize> {
        self.levels.iter().skip(1).rposition(|level| *level.name == *name).map(|at| at + 1)
    }

    /// What was done since that level began belongs to the one before it.
    fn release(&mut self, at: usize) {
        let released: Vec<Level> = self.levels.drain(at..).collect();
        if let Some(outer) = self.levels.last_mut() {
            for level in released {
                outer.holds.extend(level.holds);
                outer.written.extend(level.written);
            }
        }
    }
}

fn end_all(open: &mut Option<Transaction>, undone: bool, ending: &mut Ending) {
    if let Some(open) = open.take() {
        let undone = undone || open.aborted;
        ending.is_barrier |= open.has_barrier && !undone;
        open.levels.into_iter().for_each(|level| ending.add(level, undone));
    }
}

#[cfg(test)]
#[derive(Debug, Clone, Copy)]
enum Waited {
    Statement(Seq),
    Transaction(SessionId),
}

#[cfg(test)]
impl ConflictOrder {
    /// What a statement waits for, its session's own statements left out.
    fn waits_of(&self, seq: Seq) -> Vec<Waited> {
        let id = self.statements.get(&seq);
        let waits = id.into_iter().flat_map(|id| self.graph.waits_for(*id));
        let named = waits.filter_map(|id| match (self.graph.statement(id), self.graph.hold(id)) {
            (Some(statement), _) => Some((Waited::Statement(statement.seq), statement.session)),
            (_, Some(hold)) => Some((Waited::Transaction(hold.session), hold.session)),
            _ => None,
        });
        let own = id.and_then(|id| self.graph.statement(*id)).map(|statement| statement.session);
        named.filter(|(_, session)| Some(*session) != own).map(|(waited, _)| waited).collect()
    }
}
