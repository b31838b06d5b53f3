//! Conflict order: a statement waits for those before it that it conflicts with, and for no other.
//!
//! The log tells in which order statements *ended*; what they conflict over, their footprints tell.
//! The rules, which `docs/internals/architecture.md` has in its section 3:
//!
//! 1. A write of a row waits for the end of the last earlier transaction that wrote it, even where
//!    that end is not in the log yet: on the source that transaction held the row's lock. So it is
//!    between a foreign key's look at a row and the writes that take away or make its key, and between
//!    these and no other writes (PostgreSQL's `FOR KEY SHARE`). So it is, too, between a lock on a whole
//!    table and those that are in its way, by PostgreSQL's table of conflicting modes.
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
//! order among the statements that write that table is kept one by one. Nor is it known which tables
//! functions, triggers and foreign keys lock: behind `LOCK TABLE` these wait for the statement itself, and it
//! waits for them.
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
mod asking;
mod graph;
mod pool;
mod registration;
mod steps;
mod table_locks;
mod tables;
#[cfg(test)]
mod tests;
mod transactions;
mod two_phase;
mod victims;

use std::collections::{BTreeMap, VecDeque};

pub use arrivals::{Arrivals, Wanted};
pub use asking::Awaited;
use foldhash::{HashMap, HashSet};
use graph::{Graph, Id, Node, Statement, TransactionId};
use pool::{Dependencies, WaitSet};
pub use steps::{Step, finished_prepared, steps};
use tables::TableState;
use transactions::{Ending, Transaction};
use two_phase::TwoPhase;
use victims::{Victims, takes_untold_locks};

use super::Start;
use crate::pglog::SessionId;
use crate::replay::order::footprint::{Access, Footprint, Mode, Object, Table, TableLock};
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
    objects: HashMap<Object, WaitSet>,
    /// How many tables and objects there may be before those that nobody touches any more are
    /// looked for.
    room: usize,
    /// Whether any statement has locked a table against others.
    has_locked_tables: bool,
    /// Statements that read anything at all.
    reading_all: WaitSet,
    /// Statements that are run and undone: what they wait for may not be released before by a rollback.
    drawing_only: WaitSet,
    /// Holds whose end is in the log.
    ended: WaitSet,
    /// Statements that have not finished; from the last barrier on.
    unfinished: WaitSet,
    /// Statements that may do anything.
    barriers: WaitSet,
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
        let locks_tables = arrival.footprint.locks.iter().any(|lock| !lock.mode.is_weak());
        if locks_tables && let Some(open) = self.transaction(session) {
            // What it holds itself is not in its way.
            self.graph.note_awaited(open.id);
        }
        let mut waits = Dependencies::of(session, self.own_transactions(arrival));
        let open = &mut self.sessions.entry(session).or_default().transaction;
        let ending = transactions::step(open, &mut self.prepared, id, arrival);
        let transaction = open.as_ref().map(|open| open.id);
        let barrier: Vec<Access>;
        let accesses = if ending.is_barrier {
            // A barrier that stands for a PREPARE may wait for what that holds: its COMMIT would not wait
            // for the barrier then, but has to for the PREPARE.
            let draws =
                arrival.footprint.accesses.iter().filter(|it| matches!(it, Access::Advance(_)));
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
        if let Some(transaction) = transaction {
            self.graph.extend(transaction, id);
            if locks_tables {
                self.graph.note_awaited(transaction);
            }
        }
        self.register(id, arrival, accesses, transaction);

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
            self.done(held.span, starts);
        }
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
            self.end_span(held.span, id, true);
        }
        // The last first: what they wrote last counts.
        for held in ending.kept.iter().rev() {
            self.end_span(held.span, id, false);
            if !held.written.is_empty() {
                self.ended.add(&self.graph, held.span);
            }
            for access in &held.written {
                self.note_end(*access, held.span);
            }
        }
        ending.transactions.into_iter().for_each(|transaction| self.graph.close(transaction));
        // It holds what it has written at least until it is prepared.
        ending.prepared.into_iter().for_each(|transaction| self.graph.extend(transaction, id));
    }

    fn end_span(&mut self, span: Id, by: Id, undone: bool) {
        if let Some(span) = self.graph.lock_span_mut(span) {
            span.ended_by = Some(by);
            span.undone = undone;
        }
        if let Some(statement) = self.graph.statement_mut(by) {
            statement.ends.push(span);
        }
    }

    /// The end of a lock span that wrote this is in the log: reads wait for it from now on.
    fn note_end(&mut self, access: Access, span: Id) {
        match access {
            Access::Row(table, key, mode) => {
                self.tables.entry(table).or_default().end_row(&self.graph, key, mode, span);
            }
            Access::Table(table, mode) => {
                self.tables.entry(table).or_default().end_table(&self.graph, mode, span);
            }
            Access::Append(table) => {
                let table = self.tables.entry(table).or_default();
                table.end_table(&self.graph, Mode::Write, span);
            }
            Access::InsertGiven(_)
            | Access::ReadAll
            | Access::Lock(..)
            | Access::Advance(_)
            | Access::Everything => {}
        }
    }

    // ---- Conflicts ----

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
