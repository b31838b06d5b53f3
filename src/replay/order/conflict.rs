//! Conflict order: a statement waits for those before it that it conflicts with, and for no other.
//!
//! The log tells in which order statements *ended*; what they conflict over, their footprints tell.
//! The rules, which `docs/internals/architecture.md` has in its section 3:
//!
//! 1. A write of a row waits for the end of the last earlier transaction that wrote it, even where
//!    that end is not in the log yet: on the source that transaction held the row's lock. So it is
//!    between a foreign key's look at a row and the writes that take away or make its key, and between
//!    these and no other writes (PostgreSQL's `FOR KEY SHARE`).
//! 2. A read waits for the ends of earlier writers whose ends were logged before the read.
//! 3. The end of a transaction waits for every earlier read, by others, of what it wrote.
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
//!
//! **What a statement costs** does not grow with what is in flight. Who touched a thing last, and who has
//! looked at it since, is kept for each thing (`tables`); many that are waited for together stand under few
//! names (`pool`); and which open transactions each of them waits for is noted with it (`graph::behind`).

pub(super) mod arrivals;
mod graph;
mod pool;
mod steps;
mod tables;
#[cfg(test)]
mod tests;
mod transactions;
mod two_phase;
mod victims;

use std::collections::{BTreeMap, VecDeque};

pub use arrivals::{Arrivals, Wanted};
use foldhash::{HashMap, HashSet};
use graph::{Graph, Hold, Id, Node, Statement, TransactionId};
use pool::{Pool, Waits};
pub use steps::{Step, finished_prepared, steps};
use tables::TableState;
use transactions::{Ending, Transaction};
use two_phase::TwoPhase;
use victims::{Victims, takes_untold_locks};

use super::Start;
use crate::pglog::SessionId;
use crate::replay::order::footprint::{Access, Footprint, Mode, Object, Table};
use crate::replay::work::Seq;

/// The conflict order over all sessions.
///
/// Statements come by [`arrive`](Self::arrive) in the order of the log; each answer tells which may
/// start meanwhile.
#[derive(Debug, Default)]
pub struct ConflictOrder {
    graph: Graph,
    /// Those that have not finished.
    statements: BTreeMap<Seq, Id>,
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
    prepared: HashMap<Box<str>, Transaction>,
    two_phase: TwoPhase,
    /// Who may become a deadlock's victim.
    victims: Victims,
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

impl ConflictOrder {
    /// Takes the next statement of the log. Adds to `starts` what may start now.
    pub fn arrive(&mut self, arrival: &Arrival, starts: &mut Vec<Start>) {
        let Arrival { seq, session, .. } = *arrival;
        let previous = self.newest_of(session);
        self.two_phase.arrive(arrival);
        let statement = Statement {
            previous,
            ends_transaction: arrival.steps.iter().any(Step::ends_transaction),
            ..Statement::of(session, seq)
        };
        let id = self.graph.add(Node::Statement(statement));
        let mut waits = Waits::of(session, self.own_transactions(arrival));
        let open = &mut self.sessions.entry(session).or_default().transaction;
        let ending = transactions::step(open, &mut self.prepared, id, arrival);
        let transaction = open.as_ref().map(|open| open.id);
        let barrier: Vec<Access>;
        let accesses = if ending.is_barrier {
            // A barrier that stands for a PREPARE may wait for what that holds: its COMMIT would not wait
            // for the barrier then, but has to for the PREPARE.
            let draws =
                arrival.footprint.accesses.iter().filter(|it| matches!(it, Access::Draw(_)));
            barrier = [Access::Everything].into_iter().chain(draws.copied()).collect();
            &barrier
        } else {
            &arrival.footprint.accesses
        };
        self.conflicts(arrival, accesses, &mut waits);
        if takes_untold_locks(accesses) {
            self.victims.before_untold_locks(&mut self.graph, &mut waits);
        }
        for access in ending.written() {
            self.readers(access, &mut waits);
        }
        if !ending.undone.is_empty() && !arrival.failed {
            self.drawing_only.gather(&mut self.graph, &mut waits);
        }
        if transaction.is_none() && !arrival.failed {
            for access in accesses {
                self.readers(*access, &mut waits);
            }
        }
        self.waived += waits.waived;
        let mut nodes = waits.into_nodes(&self.graph);
        nodes.extend(previous.filter(|end| self.must_see_the_end(*end)));
        self.graph.wait(id, nodes, previous);
        self.end(id, ending);
        self.register(id, arrival, accesses, transaction);

        self.newest = self.newest.max(seq);
        self.statements.insert(seq, id);
        self.sessions.entry(session).or_default().queue.push_back(id);
        if let Some(transaction) = transaction {
            self.graph.extend(transaction, id);
        }
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
        self.two_phase.finish(seq);
        let statement = self.graph.statement(id);
        let session = statement.map(|statement| statement.session);
        self.victims.released(statement.map_or(0, |statement| statement.releases));
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
        let transaction = line.transaction.take();
        if line.queue.is_empty() {
            self.sessions.remove(&session);
        }
        let Some(transaction) = transaction else { return };
        self.victims.released(usize::from(transaction.has_untold_locks));
        self.graph.close(transaction.id);
        for held in transaction.into_holds() {
            self.done(held.hold, starts);
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

    /// The first statement of the log that has not finished.
    pub fn first_unfinished(&self) -> Option<Start> {
        let (&seq, id) = self.statements.first_key_value()?;
        let session = self.graph.statement(*id)?.session;
        Some(Start { session, seq })
    }

    /// Whose statement this is, as long as it has not finished.
    pub fn session_of(&self, seq: Seq) -> Option<SessionId> {
        Some(self.graph.statement(*self.statements.get(&seq)?)?.session)
    }

    /// How many statements have not finished, and how many of them may start.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.statements.len(), self.running)
    }

    /// Sessions whose open transaction others wait for, and of which nothing more has been read.
    pub fn silent_holders(&self) -> impl Iterator<Item = SessionId> {
        let awaited = |line: &SessionLine| {
            let mut holds = line.transaction.iter().flat_map(Transaction::holds);
            line.queue.is_empty() && holds.any(|hold| self.graph.is_awaited(hold))
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
            } else if let Some(Hold { ended_by: None, transaction, .. }) = self.graph.hold(met)
                && self.graph.newest(*transaction).is_none()
            {
                awaited.push(Awaited::Unread);
            }
            false
        });
        awaited
    }

    /// Whether a statement must not start whatever waits for it: what it does is not known yet, or it
    /// finishes a transaction that is not prepared yet, and would fail.
    pub fn is_held(&self, seq: Seq) -> bool {
        let prepare = self.two_phase.prepare_of(seq);
        seq > self.newest || prepare.is_some_and(|prepare| self.is_unfinished(prepare))
    }

    /// The prepared transactions that a statement waits for in the end, and whose end has not been read.
    pub fn prepared_awaited_by(&self, seq: Seq) -> Vec<&str> {
        let mut met = HashSet::default();
        self.meets(seq, |id| {
            met.insert(id);
            false
        });
        let waits = |prepared: &Transaction| prepared.holds().any(|hold| met.contains(&hold));
        let awaited = self.prepared.iter().filter(|(_, prepared)| waits(prepared));
        awaited.map(|(name, _)| &**name).collect()
    }

    /// Whether a statement waits, directly or through others, for this other one.
    pub fn waits_for(&self, seq: Seq, other: Seq) -> bool {
        let Some(other) = self.statements.get(&other) else { return false };
        self.meets(seq, |met| met == *other)
    }

    fn meets(&self, seq: Seq, wanted: impl FnMut(Id) -> bool) -> bool {
        self.statements.get(&seq).is_some_and(|id| self.graph.meets(*id, wanted))
    }

    /// How many waits were left out because they would have closed a circle.
    pub fn waived(&self) -> u64 {
        self.waived
    }

    // ---- Transactions ----

    fn transaction(&self, session: SessionId) -> Option<&Transaction> {
        self.sessions.get(&session)?.transaction.as_ref()
    }

    fn newest_of(&self, session: SessionId) -> Option<Id> {
        self.sessions.get(&session)?.queue.back().copied()
    }

    /// The transactions that the statement extends or ends, as far as anything may wait for them.
    fn own_transactions(&self, arrival: &Arrival) -> Vec<TransactionId> {
        let prepared = arrival.steps.iter().filter_map(|step| match step {
            Step::FinishPrepared { name, .. } => self.prepared.get(name),
            _ => None,
        });
        let own = self.transaction(arrival.session).into_iter().chain(prepared);
        own.map(|transaction| transaction.id).filter(|id| self.graph.has_waiters(*id)).collect()
    }

    /// Whether what a session sends behind this statement waits for its answer: it ends a transaction that
    /// may have to be run again.
    fn must_see_the_end(&mut self, previous: Id) -> bool {
        let previous_ends = |statement: &Statement| statement.ends_transaction;
        self.graph.statement(previous).is_some_and(previous_ends)
            && self.victims.must_see(&self.graph, previous)
    }

    /// These end with this statement.
    fn end(&mut self, id: Id, ending: Ending) {
        self.victims.locked(usize::from(ending.takes_untold_locks));
        if let Some(statement) = self.graph.statement_mut(id) {
            statement.releases = ending.releases;
        }
        for held in &ending.undone {
            self.end_hold(held.hold, id, true);
        }
        // The last first: what they wrote last counts.
        for held in ending.kept.iter().rev() {
            self.end_hold(held.hold, id, false);
            self.ended.add(&self.graph, held.hold);
            for access in &held.written {
                self.note_end(*access, held.hold);
            }
        }
        ending.transactions.into_iter().for_each(|transaction| self.graph.close(transaction));
        // It holds what it has written at least until it is prepared.
        ending.prepared.into_iter().for_each(|transaction| self.graph.extend(transaction, id));
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
            Access::Row(table, key, mode) => {
                self.tables.entry(table).or_default().end_row(&self.graph, key, mode, hold);
            }
            Access::Table(table, mode) => {
                self.tables.entry(table).or_default().end_table(&self.graph, mode, hold);
            }
            Access::Append(table) => {
                let table = self.tables.entry(table).or_default();
                table.end_table(&self.graph, Mode::Write, hold);
            }
            Access::InsertGiven(_) | Access::ReadAll | Access::Draw(_) | Access::Everything => {}
        }
    }

    // ---- Conflicts ----

    /// Adds what the statement's own accesses wait for.
    fn conflicts(&mut self, arrival: &Arrival, accesses: &[Access], waits: &mut Waits) {
        let Self { graph, tables, .. } = self;
        if tables.len() + self.objects.len() >= self.room {
            tables.retain(|_, table| !table.is_done(graph));
            self.objects.retain(|_, drawing| !drawing.is_done(graph));
            self.room = ((tables.len() + self.objects.len()) * 2).max(64);
        }
        self.barriers.gather(graph, waits);
        for access in accesses {
            match *access {
                Access::Row(table, key, mode) => {
                    // What failed may have looked for a row that was not there yet.
                    let locks = mode.is_write() || mode == Mode::Reference && !arrival.failed;
                    let locks = locks.then_some(arrival.session);
                    let table = tables.entry(table).or_default();
                    table.before_row(graph, key, mode, locks, waits);
                }
                Access::Table(table, mode) => {
                    tables.entry(table).or_default().before_table(graph, mode, waits);
                }
                Access::Append(table) => {
                    tables.entry(table).or_default().before_append(graph, waits);
                }
                Access::InsertGiven(table) => {
                    tables.entry(table).or_default().before_insert(graph, waits);
                }
                Access::ReadAll => self.ended.gather(graph, waits),
                Access::Draw(object) => {
                    self.objects.entry(object).or_default().gather(graph, waits);
                }
                Access::Everything => self.unfinished.gather(graph, waits),
            }
        }
    }

    /// Adds what the end of a transaction that did this waits for (rule 3).
    fn readers(&mut self, access: Access, waits: &mut Waits) {
        let Self { graph, tables, .. } = self;
        if !access.is_write() {
            return;
        }
        match access {
            Access::Row(table, key, mode) => {
                tables.entry(table).or_default().before_end_of_row(graph, key, mode, waits);
            }
            Access::Table(table, mode) => {
                tables.entry(table).or_default().before_end_of_table(graph, mode, waits);
            }
            Access::Append(table) => {
                let table = tables.entry(table).or_default();
                table.before_end_of_table(graph, Mode::Write, waits);
            }
            Access::InsertGiven(_) | Access::ReadAll | Access::Draw(_) | Access::Everything => {}
        }
        self.reading_all.gather(graph, waits);
    }

    /// Notes what the statement touches, for those that follow.
    fn register(
        &mut self,
        id: Id,
        arrival: &Arrival,
        accesses: &[Access],
        transaction: Option<TransactionId>,
    ) {
        let hold = self.hold_for(id, arrival, transaction);
        let Self { graph, tables, sessions, .. } = self;
        let line = sessions.get_mut(&arrival.session).filter(|_| !arrival.failed);
        let mut open = line.and_then(|line| line.transaction.as_mut());
        for access in accesses {
            let is_first = open.as_mut().is_none_or(|open| open.note(*access));
            match *access {
                Access::Row(table, key, mode) => {
                    let table = tables.entry(table).or_default();
                    if mode.is_write() {
                        table.write_row(graph, key, mode, id, hold.filter(|_| is_first));
                    } else {
                        table.read_row(graph, key, mode, id, hold);
                    }
                }
                Access::Table(table, mode) => {
                    tables.entry(table).or_default().touch_table(graph, mode, id);
                }
                Access::ReadAll => self.reading_all.add(graph, id),
                Access::Draw(object) => self.objects.entry(object).or_default().stand(id),
                Access::Append(table) => {
                    tables.entry(table).or_default().touch_append(graph, id);
                }
                Access::InsertGiven(table) => {
                    tables.entry(table).or_default().touch_insert(graph, id);
                }
                Access::Everything => {
                    self.barriers.stand(id);
                    self.unfinished.stand(id);
                }
            }
        }
        self.unfinished.add(graph, id);
        if arrival.draws_only {
            self.drawing_only.add(graph, id);
        }
        if transaction.is_none()
            && !arrival.failed
            && let Some(hold) = hold
        {
            self.ended.add(&self.graph, hold);
            for access in &arrival.footprint.accesses {
                self.note_end(*access, hold);
            }
        }
    }

    /// The hold that takes what the statement writes: its transaction's, or one that ends with it.
    fn hold_for(
        &mut self,
        id: Id,
        arrival: &Arrival,
        transaction: Option<TransactionId>,
    ) -> Option<Id> {
        let Arrival { session, failed, .. } = *arrival;
        let accesses = &arrival.footprint.accesses;
        let references = |access: &Access| matches!(access, Access::Row(_, _, Mode::Reference));
        let is_held = |access: &Access| access.is_write() || references(access);
        accesses.iter().any(is_held).then_some(())?;
        let Some(transaction) = transaction.filter(|_| !failed) else {
            // What failed has lost its locks with that.
            let hold = self.graph.add(Node::Hold(Hold::of(session, id)));
            self.end_hold(hold, id, failed);
            return Some(hold);
        };
        if accesses.iter().any(references) {
            self.graph.note_awaited(transaction);
        }
        let open = self.sessions.get_mut(&session)?.transaction.as_mut()?;
        open.hold(|id| self.graph.add(Node::Hold(Hold::of(session, id))))
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

    /// How much is noted of tables.
    fn noted(&self) -> usize {
        self.tables.values().map(TableState::noted).sum()
    }

    /// Whether what is noted of each statement is what a walk from it finds: the open transactions that
    /// it waits for.
    fn check_notes(&mut self) -> Result<(), String> {
        let open = self.sessions.values().filter_map(|line| line.transaction.as_ref());
        let open: Vec<TransactionId> = open.map(|transaction| transaction.id).collect();
        for (seq, id) in &self.statements {
            for transaction in &open {
                let holds = |met| match self.graph.hold(met) {
                    Some(hold) => hold.transaction == *transaction && hold.ended_by.is_none(),
                    None => false,
                };
                let waits = self.graph.meets(*id, holds);
                if self.graph.is_behind(*id, &[*transaction]) != waits {
                    return Err(format!("{seq:?} waits for {transaction:?}: {waits}"));
                }
            }
        }
        Ok(())
    }
}
