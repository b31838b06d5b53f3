//! One session's replay: what to send next, and what an answer means.
//!
//! A state machine without I/O. The session actor asks [`Session::next`] what to send, sends it, and
//! hands every answer to [`Session::answered`]; what a lost connection, a late record or a stall
//! means is decided here too. Nothing in it is lost with the actor or the connection: whatever was
//! not settled is in the queue again after [`Session::lost`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::pglog::SqlState;
use crate::pglog::sql::Command;
use crate::pglog::statement::{Amendment, Protocol, SourceEnd, Statement, SyncEnd};
use crate::replay::context::{Context, Restore};
use crate::replay::request::{ParseMode, Request, TransactionStatus as Status};
use crate::replay::types::{KnownTypes, Rung, is_inference_failure};
use crate::replay::work::{Seq, Work};

/// The replay of one session.
#[derive(Debug)]
pub struct Session {
    queue: VecDeque<Queued>,
    connected: bool,
    /// Requests without an answer yet, in the order they were sent.
    sent: VecDeque<Sent>,
    /// The statement that takes several requests, while it does.
    current: Option<Current>,
    /// Answered statements of the open transaction. They are settled when it ends, and run again if
    /// its connection is lost before.
    transaction: Vec<Arc<Work>>,
    /// The open transaction of a session that was given up for being silent: it is run again if the
    /// session goes on after all.
    dormant: Vec<Arc<Work>>,
    /// Whether the open transaction block is ours and stands for the source's implicit one.
    implicit: bool,
    /// The transaction status that the last answer told.
    status: Status,
    /// Statements prepared on this connection by Parse messages, with their texts.
    prepared: HashMap<Box<str>, Box<str>>,
    context: Context,
    restoring: VecDeque<Restore>,
    settings: SessionSettings,
    /// How far the session may go in its turn.
    granted: Seq,
    /// The last statement that was started in its turn.
    in_turn: Seq,
    asked: Seq,
    /// How many statements a stall lets it run ahead of its turn.
    ahead: usize,
    /// The last statement that came, for records that tell more of it.
    newest: Option<Arc<Work>>,
    closing: Option<Closing>,
    known_types: Arc<KnownTypes>,
}

/// How sessions are replayed.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// How many requests may be without an answer on one connection.
    pub depth: usize,
    /// Whether statements wait for their turn among all sessions.
    pub serial: bool,
    /// Whether what the source canceled is run, to be canceled after the original time.
    pub replay_cancels: bool,
}

#[derive(Debug)]
struct Queued {
    work: Arc<Work>,
    /// It was started before: it has had its turn.
    again: bool,
}

#[derive(Debug)]
struct Sent {
    role: Role,
    /// Nothing may be sent behind it before it is answered.
    alone: bool,
}

#[derive(Debug, Clone)]
enum Role {
    /// Part of the restored context.
    Restore,
    /// A step of `current`.
    Step,
    /// A statement in one request.
    Whole(Arc<Work>),
}

/// A statement that takes several requests.
#[derive(Debug)]
struct Current {
    work: Arc<Work>,
    rung: Rung,
    step: Step,
    /// The answer that will count, once the steps after it are through.
    result: Option<Result<(), SqlState>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// BEGIN for the source's implicit transaction.
    Begin,
    /// A savepoint, so that a failed type inference does not abort the transaction.
    Guard,
    /// The statement itself.
    Run,
    /// Back to the savepoint, to try other types.
    Retry,
    /// The savepoint is not needed any more.
    Release,
    /// The end of the implicit transaction.
    Commit,
    /// A rollback of the implicit transaction.
    RollBack,
}

/// Why the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The source's session ended; with this error if its server ended it.
    Source(Option<SqlState>),
    /// kreplay stops.
    Drain,
}

/// What the session does next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Send this.
    Send(Request),
    /// Ask for the turn of this statement.
    Ask(Seq),
    /// Wait for an answer or a turn.
    Wait,
    /// Nothing is left to do.
    Idle,
    /// Close the connection.
    Close(Closing),
}

/// How a statement ended on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// On the source; `Unknown` where the log has not told.
    pub source: SourceEnd,
    /// On the target.
    pub target: Result<(), SqlState>,
    /// Whether parameter types had to be guessed.
    pub guessed: bool,
}

/// What an answer brought about.
#[derive(Debug, Default)]
pub struct Answered {
    /// The statement that ended with it, and how. Only the first time it is run.
    pub ended: Option<(Arc<Work>, Ended)>,
    /// The statement whose turn is over.
    pub finished: Option<Seq>,
    /// Statements whose effects are final.
    pub settled: Vec<Arc<Work>>,
}

/// An answer, as far as the session looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The transaction status after it.
    pub status: Status,
    /// The error, and whether it was raised before anything was executed (by Parse or Bind).
    pub error: Option<(SqlState, bool)>,
}

/// What a late record asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// Nothing to do: the statement has not started, or ended as the source's did.
    Noted,
    /// The statement still runs and would not end like the source's: cancel it.
    Cancel,
    /// The statement has succeeded where the source's did not.
    TooLate,
}

impl Session {
    /// A new session.
    pub fn new(settings: SessionSettings, known_types: Arc<KnownTypes>) -> Self {
        Self {
            queue: VecDeque::new(),
            connected: false,
            sent: VecDeque::new(),
            current: None,
            transaction: Vec::new(),
            dormant: Vec::new(),
            implicit: false,
            status: Status::Idle,
            prepared: HashMap::new(),
            context: Context::default(),
            restoring: VecDeque::new(),
            settings,
            granted: Seq(0),
            in_turn: Seq(0),
            asked: Seq(0),
            ahead: 0,
            newest: None,
            closing: None,
            known_types,
        }
    }

    /// Takes the session's next statement.
    pub fn push(&mut self, work: Arc<Work>) {
        self.newest = Some(work.clone());
        self.closing = None;
        self.revive();
        self.queue.push_back(Queued { work, again: false });
    }

    /// Notes what a statement set up that an earlier run of kreplay has replayed.
    pub fn remember(&mut self, statement: &Statement) {
        self.context.note(statement);
        self.context.commit();
        if self.connected {
            self.restoring.extend(Restore::of(statement));
        }
    }

    /// Whether a connection is there.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// A connection is there: what the session had set up is made on it first.
    pub fn connected(&mut self) {
        self.connected = true;
        self.restoring = self.context.restore().cloned().collect();
    }

    /// The source's session ended, or kreplay stops: when everything before is done, close.
    pub fn close(&mut self, why: Closing) {
        self.closing = Some(why);
    }

    /// Drops what has not been started, and hands it back.
    pub fn drop_queue(&mut self) -> Vec<Arc<Work>> {
        self.queue.drain(..).map(|queued| queued.work).collect()
    }

    /// A transaction that was given up goes on: it has to be run again first.
    fn revive(&mut self) {
        for work in std::mem::take(&mut self.dormant).into_iter().rev() {
            self.queue.push_front(Queued { work, again: true });
        }
    }

    /// Whether a statement waits to be run, or runs.
    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.is_running()
    }

    /// Whether a request is without an answer, or a statement takes more requests.
    pub fn is_running(&self) -> bool {
        !self.sent.is_empty() || self.current.is_some()
    }

    /// Whether kreplay stops and nothing is left to be done before.
    pub fn has_only_to_stop(&self) -> bool {
        !self.is_busy() && self.closing == Some(Closing::Drain)
    }

    /// Whether a transaction is open on the target.
    pub fn in_transaction(&self) -> bool {
        self.status != Status::Idle
    }

    /// Whether something would be lost if the session were forgotten.
    pub fn has_memory(&self) -> bool {
        !self.context.is_empty() || !self.dormant.is_empty()
    }

    /// The next statement in the queue, if any.
    pub fn head(&self) -> Option<&Arc<Work>> {
        self.queue.front().map(|queued| &queued.work)
    }

    /// The statement that a request is under way for, if any.
    pub fn running(&self) -> Option<&Arc<Work>> {
        let whole = self.sent.iter().find_map(|sent| match &sent.role {
            Role::Whole(work) => Some(work),
            Role::Step | Role::Restore => None,
        });
        whole.or(self.current.as_ref().map(|current| &current.work))
    }

    /// The session may start the statement with this place, and those of its own right behind it.
    pub fn grant(&mut self, seq: Seq) {
        self.granted = self.granted.max(seq);
    }

    /// The session may start its next statement ahead of its turn: another waits for its locks.
    pub fn run_ahead(&mut self) {
        self.ahead = 1;
    }

    // ---- What to send ----

    /// What to do next. To be asked again until it says otherwise than [`Next::Send`].
    #[expect(
        clippy::should_implement_trait,
        reason = "no iterator: after Wait and Idle more may come"
    )]
    pub fn next(&mut self) -> Next {
        if self.sent.len() >= self.settings.depth.max(1)
            || self.sent.back().is_some_and(|sent| sent.alone)
        {
            return Next::Wait;
        }
        if let Some(restore) = self.restoring.pop_front() {
            if let Restore::Parse { name, sql } = &restore {
                self.prepared.insert(name.clone(), sql.clone());
            }
            self.sent.push_back(Sent { role: Role::Restore, alone: false });
            return Next::Send(Request::Restore(restore));
        }
        if self.current.is_some() {
            return if self.sent.is_empty() { self.send_step() } else { Next::Wait };
        }
        let Some(front) = self.queue.front() else {
            return match self.closing {
                _ if !self.sent.is_empty() => Next::Wait,
                Some(why) => Next::Close(why),
                None => Next::Idle,
            };
        };
        let work = front.work.clone();
        let manner = Manner::of(&work, self.settings.replay_cancels);
        let steps = self.takes_steps(&work, &manner);
        let alone = steps || self.wants_solitude(&work, &manner);
        if alone && !self.sent.is_empty() {
            return Next::Wait;
        }
        let in_turn = front.again || self.may_start(work.seq);
        if !in_turn && self.ahead == 0 {
            if self.asked >= work.seq {
                return Next::Wait;
            }
            self.asked = work.seq;
            return Next::Ask(work.seq);
        }
        if !front.again {
            if in_turn {
                self.in_turn = self.in_turn.max(work.seq);
            } else {
                self.ahead -= 1;
            }
        }
        self.queue.pop_front();
        if steps {
            return self.begin_steps(work);
        }
        let request = self.whole_request(&work, manner);
        self.sent.push_back(Sent { role: Role::Whole(work), alone });
        Next::Send(request)
    }

    fn may_start(&self, seq: Seq) -> bool {
        !self.settings.serial
            || seq <= self.granted
            || (self.in_turn > Seq(0) && seq == self.in_turn.next())
    }

    /// Whether the statement takes more than one request.
    fn takes_steps(&self, work: &Work, manner: &Manner) -> bool {
        if *manner != Manner::Extended {
            return false;
        }
        let sync = work.end().sync;
        let starts_implicit = self.status == Status::Idle
            && !work.statement.controls_transaction()
            && sync != SyncEnd::Synced;
        self.implicit || starts_implicit || self.types_unknown(work)
    }

    fn types_unknown(&self, work: &Work) -> bool {
        let Protocol::Extended { parameters, .. } = &work.statement.protocol else { return false };
        !parameters.is_empty()
            && !matches!(work.end().source, SourceEnd::Failed(_))
            && self.known_types.get(&work.statement.sql).is_none()
    }

    /// Whether nothing may be under way before it or sent behind it.
    fn wants_solitude(&self, work: &Work, manner: &Manner) -> bool {
        self.implicit
            || *manner != Manner::Simple && self.parses_by_name(work)
            || work.statement.outline.has(|command| {
                matches!(
                    command,
                    Command::CopyFromStdin
                        | Command::Deallocate
                        | Command::Discard
                        | Command::Prepare
                )
            })
    }

    /// Whether the statement has to be prepared under its name first.
    fn parses_by_name(&self, work: &Work) -> bool {
        let Protocol::Extended { name, .. } = &work.statement.protocol else { return false };
        !name.is_empty() && self.prepared.get(name) != Some(&work.statement.sql)
    }

    fn begin_steps(&mut self, work: Arc<Work>) -> Next {
        let joins = work.end().sync != SyncEnd::Synced;
        let step = if self.status == Status::Idle && joins && !work.statement.controls_transaction()
        {
            Step::Begin
        } else {
            self.first_step(&work)
        };
        let rung = self.known_types.get(&work.statement.sql).unwrap_or_default();
        self.current = Some(Current { work, rung, step, result: None });
        self.send_step()
    }

    /// The step that a statement begins with once its transaction is open.
    fn first_step(&self, work: &Work) -> Step {
        if self.status == Status::InTransaction && self.types_unknown(work) {
            Step::Guard
        } else {
            Step::Run
        }
    }

    fn send_step(&mut self) -> Next {
        let Some(current) = &self.current else { return Next::Wait };
        let request = match current.step {
            Step::Begin => Request::Text("BEGIN".into()),
            Step::Guard => Request::Text("SAVEPOINT kreplay".into()),
            Step::Retry => Request::Text("ROLLBACK TO SAVEPOINT kreplay".into()),
            Step::Release => Request::Text("RELEASE SAVEPOINT kreplay".into()),
            Step::Commit => Request::Text("COMMIT".into()),
            Step::RollBack => Request::Text("ROLLBACK".into()),
            Step::Run => {
                let (work, rung) = (current.work.clone(), current.rung);
                self.extended_request(&work, rung)
            }
        };
        self.sent.push_back(Sent { role: Role::Step, alone: true });
        Next::Send(request)
    }

    fn whole_request(&mut self, work: &Arc<Work>, manner: Manner) -> Request {
        match manner {
            Manner::Simple => Request::Simple(work.clone()),
            Manner::Text(text) => Request::Text(text.into()),
            Manner::ParseOnly => Request::ParseOnly(work.clone()),
            Manner::Extended => {
                let rung = self.known_types.get(&work.statement.sql).unwrap_or_default();
                self.extended_request(work, rung)
            }
        }
    }

    fn extended_request(&mut self, work: &Arc<Work>, rung: Rung) -> Request {
        let Protocol::Extended { name, parameters, .. } = &work.statement.protocol else {
            return Request::Simple(work.clone());
        };
        let parse = if name.is_empty() {
            ParseMode::Unnamed
        } else if !self.parses_by_name(work) {
            ParseMode::Prepared
        } else if work.statement.outline.single() == Some(Command::Prepare) {
            // A Bind to what SQL's PREPARE made is logged with the PREPARE as its text.
            ParseMode::Prepared
        } else {
            self.prepared.insert(name.clone(), work.statement.sql.clone());
            ParseMode::Named
        };
        Request::Extended { work: work.clone(), parse, types: rung.types(parameters) }
    }

    // ---- What came back ----

    /// Takes the answer to the oldest request without one.
    pub fn answered(&mut self, answer: Answer) -> Answered {
        let Some(sent) = self.sent.pop_front() else { return Answered::default() };
        let before = std::mem::replace(&mut self.status, answer.status);
        match sent.role {
            Role::Restore => Answered::default(),
            Role::Step => self.step_answered(answer, before),
            Role::Whole(work) => {
                let result = answer.error.map_or(Ok(()), |(code, _)| Err(code));
                let result = self.as_on_source(&work, result);
                self.end(work, result, false, before)
            }
        }
    }

    /// A rollback in place of a COMMIT that failed on the source succeeds, and stands for that
    /// failure.
    fn as_on_source(&self, work: &Work, result: Result<(), SqlState>) -> Result<(), SqlState> {
        match (result, work.end().source) {
            (Ok(()), SourceEnd::Failed(code))
                if Manner::of(work, self.settings.replay_cancels) == Manner::rollback() =>
            {
                Err(code)
            }
            _ => result,
        }
    }

    fn step_answered(&mut self, answer: Answer, before: Status) -> Answered {
        let Some(mut current) = self.current.take() else { return Answered::default() };
        let result = answer.error.map_or(Ok(()), |(code, _)| Err(code));
        let next = match current.step {
            Step::Begin if result.is_ok() => {
                self.implicit = true;
                Some(self.first_step(&current.work))
            }
            Step::Guard if result.is_ok() => Some(Step::Run),
            Step::Begin | Step::Guard => {
                current.result = Some(result);
                None
            }
            Step::Run => self.run_answered(&mut current, answer, before),
            Step::Retry => Some(Step::Run),
            Step::Release => self.after_run(&current.work),
            Step::Commit => {
                if result.is_err() {
                    current.result = Some(result);
                }
                (answer.status != Status::Idle).then_some(Step::RollBack)
            }
            Step::RollBack => None,
        };
        if let Some(step) = next {
            current.step = step;
            self.current = Some(current);
            return Answered::default();
        }
        if answer.status == Status::Idle {
            self.implicit = false;
        }
        let guessed = current.rung != Rung::Untyped;
        let result = current.result.unwrap_or(Ok(()));
        self.end(current.work, result, guessed, before)
    }

    /// The statement itself was answered: the step that follows, if any.
    fn run_answered(
        &mut self,
        current: &mut Current,
        answer: Answer,
        before: Status,
    ) -> Option<Step> {
        let guarded = before == Status::InTransaction && self.types_unknown(&current.work);
        if let Some((code, before_execute)) = answer.error {
            self.forget_prepared(&current.work);
            let unverified = self.types_unknown(&current.work);
            if unverified
                && before_execute
                && is_inference_failure(code)
                && let Some(rung) = current.rung.next(code)
            {
                current.rung = rung;
                match answer.status {
                    Status::Failed if guarded => return Some(Step::Retry),
                    Status::Idle => return Some(Step::Run),
                    _ => {}
                }
            }
            current.result = Some(Err(code));
            return self.after_run(&current.work);
        }
        current.result = Some(Ok(()));
        self.known_types.put(&current.work.statement.sql, current.rung);
        if guarded { Some(Step::Release) } else { self.after_run(&current.work) }
    }

    /// What follows a statement of an implicit transaction: its end, if the Sync followed.
    fn after_run(&mut self, work: &Work) -> Option<Step> {
        if !self.implicit {
            return None;
        }
        if work.statement.controls_transaction() {
            // The source's own BEGIN made the implicit transaction an explicit one.
            self.implicit = false;
            return None;
        }
        match work.end().sync {
            SyncEnd::Joined if self.status != Status::Failed => None,
            SyncEnd::Synced if self.status != Status::Failed => Some(Step::Commit),
            _ => Some(Step::RollBack),
        }
    }

    fn forget_prepared(&mut self, work: &Work) {
        if let Protocol::Extended { name, .. } = &work.statement.protocol {
            self.prepared.remove(name);
        }
    }

    fn end(
        &mut self,
        work: Arc<Work>,
        target: Result<(), SqlState>,
        guessed: bool,
        before: Status,
    ) -> Answered {
        self.note_context(&work, target, before);
        let mut settled = Vec::new();
        if self.status == Status::Idle {
            settled.append(&mut self.transaction);
            settled.push(work.clone());
        } else {
            self.transaction.push(work.clone());
        }
        let finished = Some(work.seq);
        let ended = work
            .tell()
            .then(|| (work.clone(), Ended { source: work.end().source, target, guessed }));
        Answered { ended, finished, settled }
    }

    fn note_context(&mut self, work: &Work, target: Result<(), SqlState>, before: Status) {
        let statement = &work.statement;
        if target.is_ok() {
            self.context.note(statement);
            if let Protocol::Extended { name, .. } = &statement.protocol
                && !name.is_empty()
                && self.prepared.get(name) == Some(&statement.sql)
            {
                self.context.note_parse(name, &statement.sql);
            }
            for part in &statement.outline.parts {
                let text = &statement.sql[part.range.clone()];
                match part.command {
                    Command::Discard => self.prepared.clear(),
                    Command::Deallocate => match crate::pglog::sql::prepared_name(text) {
                        Some(name) => drop(self.prepared.remove(name.as_str())),
                        None => self.prepared.clear(),
                    },
                    _ => {}
                }
            }
        } else {
            self.forget_prepared(work);
        }
        if self.status == Status::Idle {
            let rolled_back = before == Status::Failed
                || target.is_err()
                || statement.outline.parts.last().is_some_and(|p| p.command == Command::Rollback);
            if rolled_back { self.context.roll_back() } else { self.context.commit() }
        }
    }

    // ---- What happens around it ----

    /// A record tells more of the session's newest statement.
    pub fn amend(&mut self, amendment: Amendment) -> Amended {
        let Some(work) = self.newest.clone() else { return Amended::Noted };
        work.amend(amendment);
        let queued = self.queue.back().is_some_and(|queued| Arc::ptr_eq(&queued.work, &work));
        let fails = matches!(work.end().source, SourceEnd::Failed(_) | SourceEnd::Terminated);
        if queued || !fails {
            return Amended::Noted;
        }
        let running = self.running().is_some_and(|running| Arc::ptr_eq(running, &work))
            || self.sent.iter().any(|s| matches!(&s.role, Role::Whole(w) if Arc::ptr_eq(w, &work)));
        if !running {
            return Amended::TooLate;
        }
        if work.end().source.is_circumstantial() { Amended::Cancel } else { Amended::Noted }
    }

    /// The connection is gone, or was never there: everything that was not settled is in the queue
    /// again. Returns how many statements were under way that may or may not have been committed.
    pub fn lost(&mut self) -> usize {
        let mut again: Vec<Arc<Work>> = std::mem::take(&mut self.transaction);
        let mut in_doubt = 0;
        let mut in_block = !again.is_empty();
        for sent in std::mem::take(&mut self.sent) {
            if let Role::Whole(work) = sent.role {
                let outline = &work.statement.outline;
                let ends = outline.has(Command::ends_transaction);
                let begins = outline.has(|command| command == Command::Begin);
                in_doubt += usize::from(ends || !in_block && !begins);
                in_block = (in_block || begins) && !ends;
                again.push(work);
            }
        }
        if let Some(current) = self.current.take() {
            in_doubt += usize::from(current.step == Step::Commit || !in_block);
            again.push(current.work);
        }
        // Whoever stops leaves it to the next start.
        if self.closing != Some(Closing::Drain) {
            for work in again.into_iter().rev() {
                self.queue.push_front(Queued { work, again: true });
            }
        }
        self.disconnected();
        in_doubt
    }

    /// The connection was closed on purpose, and the open transaction rolled back with it as on the
    /// source. Returns what is settled by that.
    pub fn closed(&mut self) -> Vec<Arc<Work>> {
        self.closing = None;
        let settled = std::mem::take(&mut self.transaction);
        self.context = Context::default();
        self.disconnected();
        settled
    }

    /// The session is given up for now: its connection is closed and its open transaction rolled
    /// back. If it goes on after all, both are made again. Returns what is settled by that; `None` if
    /// the session has something to do, because it has gone on meanwhile.
    pub fn give_up(&mut self) -> Option<Vec<Arc<Work>>> {
        if self.is_busy() {
            return None;
        }
        self.dormant = std::mem::take(&mut self.transaction);
        self.disconnected();
        Some(self.dormant.clone())
    }

    fn disconnected(&mut self) {
        self.connected = false;
        self.sent.clear();
        self.restoring.clear();
        self.current = None;
        self.implicit = false;
        self.status = Status::Idle;
        self.prepared.clear();
        self.asked = Seq(0);
        self.ahead = 0;
        self.context.roll_back();
    }
}

/// How a statement is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Manner {
    Simple,
    Extended,
    ParseOnly,
    /// By another text, which has the effect that it had on the source.
    Text(String),
}

impl Manner {
    fn rollback() -> Self {
        Self::Text("ROLLBACK".to_owned())
    }

    fn of(work: &Work, replay_cancels: bool) -> Self {
        let statement = &work.statement;
        let end = work.end();
        match (&statement.protocol, end.source) {
            (_, SourceEnd::Failed(code))
                if end.source.is_circumstantial()
                    && !(replay_cancels && code == SqlState::QUERY_CANCELED) =>
            {
                instead(work, code)
            }
            // Its session ends next, and takes with it what it did.
            (_, SourceEnd::Terminated) => Self::Text(String::new()),
            (Protocol::Unknown, SourceEnd::Failed(code)) => Self::Text(raise(code)),
            (Protocol::Unknown, _) => Self::Text(String::new()),
            (Protocol::Simple, _) => match without_copy(work) {
                Some(text) => Self::Text(text),
                None => Self::Simple,
            },
            (Protocol::Extended { .. }, _) => match without_copy(work) {
                Some(text) => Self::Text(text),
                None => Self::Extended,
            },
            (Protocol::ParseOnly, _) => Self::ParseOnly,
        }
    }
}

/// What stands for a statement that failed on the source for what happened around it.
///
/// A COMMIT is rolled back. Anything else fails with the same code, so that its transaction is
/// aborted as it was there; of a string of statements, those before the one that failed are run.
fn instead(work: &Work, code: SqlState) -> Manner {
    let statement = &work.statement;
    if statement.only_ends_transaction() {
        return Manner::rollback();
    }
    let parts = &statement.outline.parts;
    let failed =
        work.end().failure.and_then(|failure| failure.part).unwrap_or(parts.len().max(1) - 1);
    match parts[..failed.min(parts.len())].last() {
        Some(before) if !statement.is_extended() => {
            Manner::Text(format!("{};{}", &statement.sql[..before.range.end], raise(code)))
        }
        _ => Manner::Text(raise(code)),
    }
}

/// Fails with this code, in a transaction or outside of one.
fn raise(code: SqlState) -> String {
    format!(
        "DO $kreplay$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', \
         MESSAGE = 'kreplay: failed like this on the source'; END$kreplay$"
    )
}

/// The statement's text without its COPY FROM STDIN, whose data no log holds; `None` where it has
/// none.
fn without_copy(work: &Work) -> Option<String> {
    let statement = &work.statement;
    if !statement.outline.has(|command| command == Command::CopyFromStdin) {
        return None;
    }
    if let SourceEnd::Failed(code) = work.end().source {
        return Some(raise(code));
    }
    let rest = statement.outline.parts.iter().filter(|part| part.command != Command::CopyFromStdin);
    let texts: Vec<&str> = rest.map(|part| &statement.sql[part.range.clone()]).collect();
    Some(texts.join(";"))
}
