//! One session's replay: what to send next, and what an answer means.
//!
//! A state machine without I/O. The session actor asks [`Session::next_step`] what to send, sends it, and
//! hands every answer to [`Session::answered`]; what a lost connection, a late record or a stall
//! means is decided here too. Nothing in it is lost with the actor or the connection: whatever was
//! not settled is in the queue again after [`Session::lost`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::waits::{Wait, WaitAccount, Waits};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use crate::replay::order::permits::ConnectionState;
use crate::replay::order::stalls::Activity;
use crate::replay::pace::Moment;
use crate::replay::session::context::{Context, Limits, Restore, Routines};
use crate::replay::session::parameter_types::TypeSearch;
use crate::replay::session::request::{Request, ResultRow, Took, TransactionStatus as Status};
use crate::replay::work::{End, Seq, Work};
use crate::sql::{self, CLIENT_ENCODING, Command};

mod answers;
mod cell;
pub mod context;
mod doubts;
mod findings;
mod interruptions;
mod leaving;
mod log_ins;
pub mod logins;
pub mod parameter_types;
mod preparing;
mod replay_mode;
pub mod request;
mod running_again;
pub mod silence;
pub mod snapshots;
mod steps;
mod wait_state;
pub mod waits;
mod withdrawing;

pub use cell::{Driver, Inbox, SessionCell, View};
use doubts::Doubt;
pub use findings::{DatabaseFindings, Findings};
pub use interruptions::Interrupted;
use leaving::Leaving;
pub use leaving::{Leave, Left};
use log_ins::{ChangeOfLogIns, LogInProgress};
use preparing::Prepared;
use replay_mode::{ReplayMode, draw_only, has_stale_plan, raise};
use running_again::Undoing;
pub use running_again::{RunAgain, is_want_of_snapshot, snapshot_is_gone};
use running_again::{may_revive_transaction, shows_contention};
use steps::{Current, Pipeline};
use withdrawing::Withdrawing;

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
    suspended_transaction: Vec<Arc<Work>>,
    /// The failed transaction that is undone, to be run again.
    undoing: Option<Undoing>,
    /// How often the open transaction has been run again.
    tries: u8,
    /// The statement that is taken back, to be run again behind the end of another session's transaction.
    withdrawing: Option<Withdrawing>,
    /// The statement whose failure may be for what is to come.
    doubt: Option<Doubt>,
    /// The last one whose failure was not.
    accepted: Option<Seq>,
    /// The last one that was canceled since nothing else would have ended it.
    given_up: Option<Seq>,
    /// Whether a statement of the open transaction has waited here until another one had ended, and gone
    /// on with a snapshot from before: it may have seen less than on the source.
    may_have_seen_less: bool,
    /// The implicit transaction of the extended protocol that is open.
    pipeline: Pipeline,
    /// The transaction status that the last answer told. Within a pipeline none does: it counts as a
    /// transaction.
    status: Status,
    /// Searches for parameter types that go on when their statement is run again: the types before have
    /// failed and with them the pipeline.
    searches: HashMap<Seq, TypeSearch>,
    /// Statements of the open transaction that the types which are known of their text were refused for:
    /// each finds out its own when it is run again.
    refused_types: HashSet<Seq>,
    /// Statements prepared on this connection by Parse messages, by name.
    prepared: HashMap<Box<str>, Prepared>,
    /// The error that the open transaction has to be aborted with: on the source it was, as a record
    /// told after the statement had succeeded here.
    abort: Option<SqlState>,
    /// Whether the pipeline ends here: the statement before its Sync is not replayed.
    syncs: bool,
    context: Context,
    restoring: VecDeque<Restore>,
    /// How far it is with giving up its connection, if it does.
    leaving: Option<Leaving>,
    /// Something has set `client_encoding`: UTF-8 is set again before anything else is sent.
    foreign_encoding: bool,
    /// That has happened on this connection, and may happen again unforeseen.
    met_foreign_encoding: bool,
    settings: SessionSettings,
    /// How far the session may go in its turn.
    granted: Seq,
    asked: Seq,
    /// The last statement that it ran.
    used: Seq,
    /// The statement that a stall lets it run ahead of its turn.
    ahead: Option<Seq>,
    /// How many answers it has got.
    answers: u64,
    /// What time it is, where the replay keeps a pace.
    now: Moment,
    /// How late the statement was that was started last.
    delay: Option<Duration>,
    /// The last statement that came, for records that tell more of it.
    newest: Option<Arc<Work>>,
    /// Whether that one has succeeded here.
    newest_succeeded: bool,
    /// The place that its log-in comes before, where the log tells.
    log_in: Option<Seq>,
    log_in_progress: LogInProgress,
    /// Whether the log-in that its connection was made by may not be possible any more.
    log_in_kept: bool,
    change: ChangeOfLogIns,
    closing: Option<Closing>,
    /// What its statements have waited for.
    waits: WaitAccount,
    findings: Arc<Findings>,
    /// What is known of its database.
    database: Arc<DatabaseFindings>,
    /// What it has been told of the database's routines: the schema may have changed again since.
    routines: Option<Arc<Routines>>,
    /// Whether the open transaction may have changed the database's schema.
    changes_schema: bool,
    /// How often its statements may have changed what prepared ones give.
    own_changes: u64,
    /// The same, as of its last transaction.
    own_changes_before: u64,
    /// Whether a question to the server has ended by limits that the session has set, though no
    /// statement of the log tells.
    limited: bool,
}

/// How sessions are replayed.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// How many requests may be without an answer on one connection.
    pub depth: usize,
    /// Whether a statement waits until it may start.
    pub takes_turns: bool,
    /// Whether what the source canceled is run, to be canceled after the original time.
    pub replay_cancels: bool,
    /// Whether sessions must stay unable to write, whatever they set.
    pub read_only: bool,
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
    Restore(Restore),
    /// A question to the server about what the session has.
    Inspect { limits: Limits },
    /// A question about the routines of its database, as of so many changes of the schema.
    Routines { as_of: u64, limits: Limits },
    /// Back to UTF-8.
    Encoding,
    /// The rollback of a transaction whose connection is given up.
    LeaveTransaction,
    /// A failure that is not this session's, to abort its transaction.
    Abort,
    /// The end of a pipeline whose last statement is not replayed.
    Sync,
    /// Part of undoing a failed transaction.
    Undo,
    /// A step of `current`.
    Step,
    /// A statement in one request, and what that holds.
    Whole(Arc<Work>, Content),
}

/// What is sent for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The statement.
    Itself,
    /// Another text in its place.
    Other,
    /// A rollback in its place.
    RollBack,
    /// The statement within limits, and a failure that undoes it.
    DrawOnly,
}

impl Content {
    fn of(mode: &ReplayMode) -> Self {
        match mode {
            ReplayMode::Simple | ReplayMode::Extended => Self::Itself,
            ReplayMode::Text(_) | ReplayMode::ParseOnly | ReplayMode::BindOnly => Self::Other,
            ReplayMode::RollBack => Self::RollBack,
            ReplayMode::DrawOnly { .. } => Self::DrawOnly,
        }
    }
}

/// Why the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The source's session ended; with this error if its server ended it.
    Source(Option<SqlState>),
    /// The source's server ended, and all its sessions with it.
    ServerEnded,
    /// The session has been silent for so long that the record of its end must be lost.
    Expired,
    /// kreplay stops.
    Drain,
    /// Its partition goes to another kreplay, which goes on behind its last transaction.
    Revoked,
}

impl Closing {
    /// Whether the source's session is over, not only kreplay's part in it.
    pub fn is_the_sources(self) -> bool {
        matches!(self, Self::Source(_) | Self::ServerEnded | Self::Expired)
    }
}

/// What the session does next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Send this.
    Send(Request),
    /// Ask for the turn of this statement.
    Ask(Seq),
    /// Ask whether the log-ins before this statement have been made, which it changes.
    AskChange(Seq),
    /// Wait for an answer or a turn.
    Wait,
    /// Wait until then: the next statement is not due.
    WaitUntil(Moment),
    /// Nothing is left to do.
    Idle,
    /// Close the connection.
    Close(Closing),
    /// Give up the connection, unless it is kept.
    Leave(Left),
    /// Tell that the statement was taken back, and waits to be let run again.
    TellHeld(Seq),
    /// Ask whether this statement, which has failed, is to be run again behind the end of another
    /// session's transaction.
    AskEarlyEnd(Seq),
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
    /// Whether it may have drawn from sequences on the source what it did not here.
    pub may_have_drawn: bool,
    /// Whether the source's failure may be of what its log does not hold.
    pub beyond_log: bool,
    /// How long it took on the target; `None` where something else was sent in its place.
    pub took: Option<Took>,
}

/// What an answer brought about.
#[derive(Debug, Default)]
pub struct Answered {
    /// The statement that ended with it, and how. Only the first time it is run.
    pub ended: Option<(Arc<Work>, Ended)>,
    /// The statement whose turn is over.
    pub finished: Option<Seq>,
    /// Why the statement's transaction is run again, where it is.
    pub retried: Option<RunAgain>,
    /// Statements whose effects are final.
    pub settled: SmallVec<[Arc<Work>; 1]>,
    /// How many statements were under way that the server has read in another encoding than theirs.
    pub misread: usize,
}

/// An answer, as far as the session looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The transaction status after it.
    pub status: Status,
    /// The error, and whether it was raised before anything was executed (by Parse or Bind).
    pub error: Option<(SqlState, bool)>,
    /// How many statements of the request ended well, before the error if there was one.
    pub completed: usize,
    /// The rows of a question to the server.
    pub rows: Vec<ResultRow>,
    /// Whether the server does not take UTF-8 from us any more.
    pub foreign_encoding: bool,
    /// The parameter that the error names, from 1.
    pub parameter: Option<u16>,
    /// How long the server took.
    pub took: Took,
}

impl Answer {
    /// How the request ended, and whether that was before anything was executed.
    fn result(&self) -> (Result<(), SqlState>, bool) {
        self.error.map_or((Ok(()), false), |(code, before_execute)| (Err(code), before_execute))
    }
}

/// What a late record asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// Nothing to do: the statement has not started, or ended as the source's did.
    Noted,
    /// The statement still runs and would not end like the source's: cancel it.
    Cancel(Seq),
    /// The session has something to do for it: ask for its next step.
    Wake,
    /// The statement has succeeded where the source's did not, in a transaction that is still open.
    /// The session aborts it: ask for its next step.
    Abort,
    /// The statement has succeeded where the source's did not, and is settled.
    TooLate,
}

impl Session {
    /// A new session.
    pub fn new(settings: SessionSettings, findings: Arc<Findings>) -> Self {
        Self {
            queue: VecDeque::new(),
            connected: false,
            sent: VecDeque::new(),
            current: None,
            transaction: Vec::new(),
            suspended_transaction: Vec::new(),
            undoing: None,
            tries: 0,
            withdrawing: None,
            doubt: None,
            accepted: None,
            given_up: None,
            may_have_seen_less: false,
            pipeline: Pipeline::Closed,
            searches: HashMap::new(),
            refused_types: HashSet::new(),
            status: Status::Idle,
            prepared: HashMap::new(),
            context: Context::default(),
            restoring: VecDeque::new(),
            leaving: None,
            foreign_encoding: false,
            met_foreign_encoding: false,
            settings,
            granted: Seq(0),
            asked: Seq(0),
            used: Seq(0),
            ahead: None,
            answers: 0,
            now: Moment::default(),
            delay: None,
            abort: None,
            syncs: false,
            newest: None,
            newest_succeeded: false,
            log_in: None,
            log_in_progress: LogInProgress::default(),
            log_in_kept: false,
            change: ChangeOfLogIns::default(),
            closing: None,
            waits: WaitAccount::default(),
            findings,
            database: Arc::default(),
            routines: None,
            changes_schema: false,
            own_changes: 0,
            own_changes_before: 0,
            limited: false,
        }
    }

    /// The same, in a database that other sessions may have found something out about.
    pub fn in_database(self, database: Arc<DatabaseFindings>) -> Self {
        Self { database, ..self }
    }

    /// Takes the session's next statement.
    pub fn push(&mut self, work: Arc<Work>) {
        self.newest = Some(work.clone());
        self.newest_succeeded = false;
        self.closing = None;
        self.revive();
        if shows_contention(&work) {
            self.findings.expect_victims();
        }
        self.queue.push_back(Queued { work, again: false });
    }

    /// Notes what a statement set up that an earlier run of kreplay has replayed.
    pub fn remember(&mut self, statement: &Statement) {
        if self.would_write(statement) {
            return;
        }
        self.context.ran(statement, statement.outline.parts.len(), false);
        self.context.commit();
        // The connection that knew it is gone.
        self.context.give_up_unknown();
        if self.connected {
            self.restoring.extend(Context::restore_of(statement));
        }
    }

    /// Whether a connection is there.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// A connection is there: what the session had set up is made on it first.
    pub fn connected(&mut self) {
        self.connected = true;
        self.logged_in();
        self.restoring = self.context.restore().into();
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
        let suspended_transaction = std::mem::take(&mut self.suspended_transaction);
        self.put_back(suspended_transaction);
    }

    /// These come first again, in their order. They have had their turn.
    fn put_back(&mut self, works: Vec<Arc<Work>>) {
        for work in works.into_iter().rev() {
            self.queue.push_front(Queued { work, again: true });
        }
    }

    /// Whether a statement waits to be run, or runs.
    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.is_running() || self.abort.is_some() || self.syncs
    }

    /// Whether a request is without an answer, or a statement takes more requests.
    pub fn is_running(&self) -> bool {
        !self.sent.is_empty()
            || self.current.is_some()
            || self.undoing.is_some()
            || self.doubt.is_some()
    }

    /// Whether what the server works on ends by itself, even if it waits for a lock.
    pub fn is_limited(&self) -> bool {
        self.sent.front().is_some_and(|sent| match &sent.role {
            Role::Whole(work, content) => replay_mode::is_limited(work, *content),
            Role::Step => self.current.as_ref().is_some_and(Current::is_limited),
            _ => false,
        })
    }

    /// What it is about on its connection: to be compared with what it is about later.
    pub fn activity(&self) -> Activity {
        Activity { running: self.is_running(), answers: self.answers }
    }

    /// Whether kreplay stops, or gives the session away, and nothing is left to be done before.
    pub fn has_only_to_stop(&self) -> bool {
        !self.is_busy() && matches!(self.closing, Some(Closing::Drain | Closing::Revoked))
    }

    /// Whether a transaction is open on the target.
    pub fn in_transaction(&self) -> bool {
        self.status != Status::Idle
    }

    /// Whether something would be lost if the session were forgotten.
    pub fn has_memory(&self) -> bool {
        !self.context.is_empty() || !self.suspended_transaction.is_empty()
    }

    /// The place of the next statement that something may wait for: one that has not been run.
    pub fn next(&self) -> Option<Seq> {
        let mut queued = self.queue.iter().map(|queued| &queued.work);
        queued.find(|work| !work.is_reported()).map(|work| work.seq)
    }

    /// The first statement that has not finished.
    pub fn first_unfinished(&self) -> Option<Seq> {
        let whole = self.sent.iter().find_map(|sent| match &sent.role {
            Role::Whole(work, _) if !work.is_reported() => Some(work.seq),
            _ => None,
        });
        let current = self.current.as_ref().map(|current| &current.work);
        let current = current.filter(|work| !work.is_reported()).map(|work| work.seq);
        let doubtful = self.doubtful().map(|work| work.seq);
        doubtful.or(whole).or(current).or_else(|| self.next())
    }

    /// Whether its connection holds what can't be made again on another one.
    fn is_bound(&self) -> bool {
        self.context.is_bound() || self.log_in_kept
    }

    /// How it stands, as far as its connection goes.
    pub fn connection_state(&self) -> ConnectionState {
        ConnectionState {
            connected: self.connected,
            running: self.is_running() || self.abort.is_some() || self.syncs,
            in_transaction: self.in_transaction() || !self.transaction.is_empty(),
            bound: self.is_bound(),
            next: self.next(),
            used: self.used,
        }
    }

    /// The next statement in the queue, if any.
    pub fn head(&self) -> Option<&Arc<Work>> {
        self.queue.front().map(|queued| &queued.work)
    }

    /// The statements in the queue, in their order.
    pub fn queued(&self) -> impl Iterator<Item = &Arc<Work>> {
        self.queue.iter().map(|queued| &queued.work)
    }

    /// The place of the last statement that it ran.
    pub fn used(&self) -> Seq {
        self.used
    }

    /// The place of the last statement that came.
    pub fn newest(&self) -> Option<Seq> {
        self.newest.as_ref().map(|work| work.seq)
    }

    /// The statement that a request is under way for, if any.
    pub fn running(&self) -> Option<&Arc<Work>> {
        let whole = self.sent.iter().find_map(|sent| match &sent.role {
            Role::Whole(work, _) => Some(work),
            _ => None,
        });
        whole.or(self.current.as_ref().map(|current| &current.work))
    }

    /// The session may start the statement with this place, and those of its own right behind it.
    pub fn grant(&mut self, seq: Seq) {
        self.granted = self.granted.max(seq);
    }

    /// The session may start this statement, if it is its next, ahead of its turn: another waits for
    /// its locks. What stands behind it has to wait, even if the statement has had its turn meanwhile.
    pub fn run_ahead(&mut self, seq: Seq) {
        self.ahead = Some(seq);
    }

    /// It is this late: what is due by now may start. Up to now its statements have waited as they
    /// stand: to be called before anything changes.
    pub fn advance_to(&mut self, now: Moment) {
        if now > self.now {
            self.waits.advance(now, self.waiting());
            self.now = now;
        }
    }

    /// What its statements have waited for since this was called last.
    pub fn take_waits(&mut self) -> Waits {
        self.waits.take()
    }

    fn waiting(&self) -> waits::QueueState {
        let sent = self.sent.len().max(usize::from(self.current.is_some()));
        let head = self.queue.front().and_then(|front| {
            let seq = front.work.seq;
            let asks = !front.again && self.asked >= seq && self.ahead != Some(seq);
            match () {
                () if self.not_before().is_some() => Some(Wait::Schedule),
                () if self.is_held() => Some(Wait::Order),
                () if !self.connected => Some(Wait::Connection),
                () if asks && !self.may_start(seq) => Some(Wait::Order),
                () => (sent > 0).then_some(Wait::Session),
            }
        });
        waits::QueueState { sent, queued: self.queue.len(), head }
    }

    /// When the next statement is due, if it is not: as of the last [`Session::advance_to`].
    pub fn not_before(&self) -> Option<Moment> {
        let due = self.queue.front().filter(|queued| !queued.again)?.work.due;
        due.filter(|due| *due > self.now)
    }

    /// How late the last statement was started, where it was due at some time; only once.
    pub fn take_delay(&mut self) -> Option<Duration> {
        self.delay.take()
    }

    // ---- What to send ----

    /// What to do next. To be asked again until it says otherwise than [`Next::Send`].
    pub fn next_step(&mut self) -> Next {
        if self.sent.len() >= self.settings.depth.max(1)
            || self.sent.back().is_some_and(|sent| sent.alone)
        {
            return Next::Wait;
        }
        let first = [Self::doubt_step, Self::undo_step, Self::withdrawal_step];
        if let Some(next) = first.into_iter().find_map(|step| step(self)) {
            return next;
        }
        if let Some(restore) = self.restoring.pop_front() {
            if let Restore::Parse { name, sql } = &restore {
                let (sql, types) = (sql.clone(), Vec::new());
                let as_of = self.result_changes();
                self.prepared.insert(name.clone(), Prepared { sql, types, noted: true, as_of });
            }
            self.sent.push_back(Sent { role: Role::Restore(restore.clone()), alone: false });
            return Next::Send(Request::Restore(restore));
        }
        if let Some(leaving) = self.leaving.take() {
            return self.leave_step(leaving);
        }
        if self.current.is_some() {
            return if self.sent.is_empty() { self.send_step() } else { Next::Wait };
        }
        if self.abort.is_some() || self.syncs {
            if !self.sent.is_empty() {
                return Next::Wait;
            }
            if let Some(request) = self.correction() {
                return Next::Send(request);
            }
        }
        if let Some(next) = self.look_after_connection() {
            return next;
        }
        if !self.queue.is_empty()
            && let Some(next) = self.hold_step()
        {
            return next;
        }
        let Some(front) = self.queue.front() else {
            return match self.closing {
                _ if !self.sent.is_empty() => Next::Wait,
                Some(why) => Next::Close(why),
                None => Next::Idle,
            };
        };
        if let Some(due) = self.not_before() {
            return Next::WaitUntil(due);
        }
        let (work, again) = (front.work.clone(), front.again);
        let end = work.end();
        let mode = match self.pipeline {
            Pipeline::Failed => ReplayMode::Text(raise(SqlState::IN_FAILED_TRANSACTION).into()),
            _ => ReplayMode::of(&work, end, self.status, &self.settings, &self.context),
        };
        let steps = self.takes_steps(&work, end, &mode);
        let alone = steps || self.must_run_alone(&work, end, &mode);
        if (alone || may_revive_transaction(&work.statement)) && !self.sent.is_empty() {
            return Next::Wait;
        }
        let in_turn = again || self.may_start(work.seq);
        if !in_turn && self.ahead != Some(work.seq) {
            if self.asked >= work.seq {
                return Next::Wait;
            }
            self.asked = work.seq;
            return Next::Ask(work.seq);
        }
        if self.must_see_the_end() {
            return Next::Wait;
        }
        if !again && self.waits_for_log_ins(&work) {
            return self.ask_change(work.seq);
        }
        if !again {
            if !in_turn {
                self.ahead = None;
            }
            self.delay = work.due.map(|due| self.now.since(due));
        }
        self.queue.pop_front();
        if steps {
            return self.begin_steps(work, end, mode);
        }
        let content = Content::of(&mode);
        let types = match mode {
            ReplayMode::Extended | ReplayMode::DrawOnly { .. } => self.known_param_types(&work),
            _ => Vec::new(),
        };
        let request = self.request(&work, mode, types);
        self.sent.push_back(Sent { role: Role::Whole(work, content), alone });
        Next::Send(request)
    }

    /// What the connection itself needs before anything else is sent: UTF-8, and to be asked for what
    /// only the server knows of the session.
    fn look_after_connection(&mut self) -> Option<Next> {
        let encoding = self.foreign_encoding && self.status != Status::Failed;
        let inspect = self.context.is_unknown() && self.status == Status::Idle;
        if self.pipeline == Pipeline::Open || (!encoding && !inspect) {
            return None;
        }
        if !self.sent.is_empty() {
            // What follows an unknown setting may well go with it; text in UTF-8 may not.
            return encoding.then_some(Next::Wait);
        }
        if inspect && !encoding {
            return Some(self.inspect());
        }
        self.sent.push_back(Sent { role: Role::Encoding, alone: true });
        Some(Next::Send(Request::Text("SET client_encoding TO 'UTF8'".into())))
    }

    /// What brings the open transaction to where the source's was, as records told that came late.
    fn correction(&mut self) -> Option<Request> {
        if let Some(code) = self.abort.take()
            && self.status == Status::InTransaction
        {
            self.sent.push_back(Sent { role: Role::Abort, alone: true });
            let request = Request::Text(raise(code).into());
            if self.pipeline != Pipeline::Open {
                return Some(request);
            }
            self.syncs = false;
            return Some(Request::Pipelined { request: Box::new(request), syncs: true });
        }
        if std::mem::take(&mut self.syncs) && std::mem::take(&mut self.pipeline) == Pipeline::Open {
            self.sent.push_back(Sent { role: Role::Sync, alone: true });
            return Some(Request::Sync);
        }
        None
    }

    fn may_start(&self, seq: Seq) -> bool {
        !self.settings.takes_turns || seq <= self.granted
    }

    /// Whether nothing may be under way before it or sent behind it.
    fn must_run_alone(&self, work: &Work, end: End, mode: &ReplayMode) -> bool {
        self.pipeline != Pipeline::Closed
            // It may have been its doing, or that something was sent behind it: the server ends a
            // session that sends anything else than data while it asks for that of a COPY.
            || work.has_lost_connection()
            // Where a pipeline begins is known once the status is.
            || end.sync != SyncEnd::Synced
            || *mode != ReplayMode::Simple && self.parses_by_name(work)
            // It is to be canceled, and must not take what follows with it.
            || end.source.is_transient() && matches!(mode, ReplayMode::Simple | ReplayMode::Extended)
            // What it means for those behind it is known when it has ended.
            || matches!(end.source, SourceEnd::Failed(code)
                if work.statement.fails_beyond_log(code) || has_stale_plan(&work.statement, code))
            || sets_encoding(&work.statement)
            || (self.met_foreign_encoding && !is_ascii(&work.statement))
            || work.statement.outline.has(|command| {
                matches!(
                    command,
                    Command::Chain
                        | Command::CopyFromStdin
                        | Command::Deallocate
                        | Command::Discard
                        | Command::Prepare
                )
            })
    }

    fn request(&mut self, work: &Arc<Work>, mode: ReplayMode, types: Vec<u32>) -> Request {
        match mode {
            ReplayMode::Simple => Request::Simple(work.clone()),
            ReplayMode::Text(text) => Request::Text(text),
            ReplayMode::RollBack => Request::Text("ROLLBACK".into()),
            ReplayMode::ParseOnly => Request::ParseOnly(work.clone()),
            ReplayMode::BindOnly => Request::BindOnly(work.clone()),
            ReplayMode::Extended => self.extended_request(work, types),
            ReplayMode::DrawOnly { limits, code } => match &work.statement.protocol {
                Protocol::Extended { .. } => Request::DrawOnly {
                    work: work.clone(),
                    types,
                    limits: limits.into(),
                    failure: raise(code).into(),
                },
                _ => Request::Text(draw_only(&work.statement, work.end(), &limits, code).into()),
            },
        }
    }
}

/// Whether a statement may set `client_encoding`: nothing may be sent behind it before it has.
fn sets_encoding(statement: &Statement) -> bool {
    let outline = &statement.outline;
    if !outline.names_settings && !outline.has(|c| matches!(c, Command::Set | Command::SetLocal)) {
        return false;
    }
    let names = |text: &str| sql::mentions(text, CLIENT_ENCODING) || sql::mentions(text, "names");
    names(&statement.sql) || statement.parameters().iter().flatten().any(|value| names(value))
}

fn is_ascii(statement: &Statement) -> bool {
    statement.sql.is_ascii() && statement.parameters().iter().flatten().all(|v| v.is_ascii())
}

#[cfg(test)]
mod tests;
