//! What the order answers about statements: who may start, and who waits for whom.

use foldhash::HashSet;

use super::graph::{Id, LockSpan, Statement};
use super::transactions::Transaction;
use super::{ConflictOrder, SessionLine};
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// What a statement waits for in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// A statement that may run, or does.
    Statement(Start),
    /// The end of a transaction of which nothing more has been read.
    Unread,
}

impl ConflictOrder {
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
            let mut spans = line.transaction.iter().flat_map(Transaction::spans);
            line.queue.is_empty() && spans.any(|span| self.graph.is_awaited(span))
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

    /// What a statement waits for in the end, directly or through others. `runs`: which statements run,
    /// even those that have been let ahead of their turn.
    pub fn awaited_by(&self, seq: Seq, runs: &dyn Fn(Start) -> bool) -> Vec<Awaited> {
        let Some(id) = self.statements.get(&seq) else { return Vec::new() };
        let start =
            |statement: &Statement| Start { session: statement.session, seq: statement.seq };
        let runs = |statement: &Statement| runs(start(statement));
        let mut awaited = Vec::new();
        self.graph.meets_before(*id, runs, |met| {
            if let Some(statement) = self.graph.statement(met).filter(|it| it.granted || runs(it)) {
                awaited.push(Awaited::Statement(start(statement)));
            } else if let Some(LockSpan { ended_by: None, transaction, .. }) =
                self.graph.lock_span(met)
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

    /// Whether the end of this prepared transaction has arrived and not finished.
    pub fn is_prepared_end_ahead(&self, gid: &str) -> bool {
        self.two_phase.is_end_ahead(gid)
    }

    /// The prepared transactions that a statement waits for in the end, and whose end has not been read.
    pub fn prepared_awaited_by(&self, seq: Seq) -> Vec<&str> {
        let mut met = HashSet::default();
        self.meets(seq, |id| {
            met.insert(id);
            false
        });
        let waits = |prepared: &Transaction| prepared.spans().any(|span| met.contains(&span));
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
}
