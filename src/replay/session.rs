//! One session's replay: what to send next, and what an answer means.
//!
//! A state machine without I/O. The session actor asks [`Session::next_step`] what to send, sends it, and
//! hands every answer to [`Session::answered`]; what a lost connection, a late record or a stall
//! means is decided here too. Nothing in it is lost with the actor or the connection: whatever was
//! not settled is in the queue again after [`Session::lost`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::waits::{WaitAccount, Waits};
use crate::pglog::SqlState;
use crate::pglog::statement::Statement;
use crate::replay::order::permits::ConnectionState;
use crate::replay::pace::Moment;
use crate::replay::session::context::{Context, Routines};
use crate::replay::session::parameter_types::TypeSearch;
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::{Seq, Work};

mod answers;
pub mod auto_explain;
mod call_context;
mod cell;
pub mod connecting;
pub mod context;
mod doubts;
pub mod durations;
mod findings;
mod interruptions;
mod leaving;
mod log_ins;
pub mod logins;
mod on_connection;
pub mod parameter_types;
mod preparing;
mod replay_mode;
pub mod request;
pub mod rewriting;
mod running_again;
mod sending;
pub mod silence;
pub mod snapshots;
mod steps;
mod turn;
mod wait_state;
pub mod waits;
mod withdrawing;

pub use answers::{Answer, Answered, Ended};
pub use call_context::CallContext;
pub use cell::{Driver, Inbox, SessionCell, View};
pub use findings::{DatabaseFindings, Findings, LoginFindings};
pub use interruptions::{Amended, Interrupted};
pub use leaving::{Leave, Left};
pub use log_ins::Vacated;
use log_ins::{ChangeOfLogIns, LogInProgress};
use on_connection::OnConnection;
pub use replay_mode::cancel_after;
use running_again::shows_contention;
pub use running_again::{RunAgain, is_want_of_snapshot, snapshot_is_gone};
pub use sending::Next;
use turn::TurnState;

/// The replay of one session.
#[derive(Debug)]
pub struct Session {
    queue: VecDeque<Queued>,
    connection: OnConnection,
    /// The open transaction of a session that was given up for being silent: it is run again if the
    /// session continues after all.
    suspended_transaction: Vec<Arc<Work>>,
    /// The last statement whose failure was not for what is to come.
    accepted: Option<Seq>,
    /// The last one that was canceled since nothing else would have ended it.
    given_up: Option<Seq>,
    /// Searches for parameter types that go on when their statement is run again: the types before have
    /// failed and with them the pipeline.
    searches: HashMap<Seq, TypeSearch>,
    /// Statements of the open transaction that the types which are known of their text were refused for:
    /// each finds out its own when it is run again.
    refused_types: HashSet<Seq>,
    context: Context,
    settings: SessionSettings,
    turn: TurnState,
    /// The last statement that it ran.
    used: Seq,
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
    change: ChangeOfLogIns,
    closing: Option<Closing>,
    /// What its statements have waited for.
    waits: WaitAccount,
    findings: Arc<Findings>,
    /// What is known of its database.
    database: Arc<DatabaseFindings>,
    /// What is known of who it logs in as.
    login: Arc<LoginFindings>,
    /// Who it is, with the settings that it had after so many changes of them.
    call_context: Option<(u64, Arc<CallContext>)>,
    /// What the server has answered about the database's routines: the schema may have changed again since.
    routines: Option<Arc<Routines>>,
    /// Whether the open transaction may have changed the database's schema.
    changes_schema: bool,
    /// How often its statements may have changed what prepared ones give.
    own_changes: u64,
    /// The same, as of its last transaction.
    own_changes_before: u64,
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
    /// Whether the target is asked for its own durations.
    pub server_durations: bool,
    /// Whether the target is asked for the plans that statements use.
    pub explain: bool,
}

#[derive(Debug)]
struct Queued {
    work: Arc<Work>,
    /// It was started before: it has had its turn.
    again: bool,
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
    /// Its partition goes to another kreplay, which continues after its last transaction.
    Revoked,
}

impl Closing {
    /// Whether the source's session is over, not only kreplay's part in it.
    pub fn is_the_sources(self) -> bool {
        matches!(self, Self::Source(_) | Self::ServerEnded | Self::Expired)
    }
}

impl Session {
    /// A new session.
    pub fn new(settings: SessionSettings, findings: Arc<Findings>) -> Self {
        Self {
            queue: VecDeque::new(),
            connection: OnConnection::default(),
            suspended_transaction: Vec::new(),
            accepted: None,
            given_up: None,
            searches: HashMap::new(),
            refused_types: HashSet::new(),
            context: Context::default(),
            settings,
            turn: TurnState::new(settings.takes_turns),
            used: Seq(0),
            answers: 0,
            now: Moment::default(),
            delay: None,
            newest: None,
            newest_succeeded: false,
            log_in: None,
            log_in_progress: LogInProgress::default(),
            change: ChangeOfLogIns::default(),
            closing: None,
            waits: WaitAccount::default(),
            findings,
            database: Arc::default(),
            login: Arc::default(),
            call_context: None,
            routines: None,
            changes_schema: false,
            own_changes: 0,
            own_changes_before: 0,
        }
    }

    /// The same, in a database that other sessions may have found something out about.
    pub fn in_database(self, database: Arc<DatabaseFindings>) -> Self {
        Self { database, ..self }
    }

    /// The same, as somebody whom other sessions may have found something out about.
    pub fn logging_in_as(self, login: Arc<LoginFindings>) -> Self {
        Self { login, ..self }
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
        if self.connection.connected {
            self.connection.restoring.extend(Context::restore_of(statement));
        }
    }

    /// Whether a connection is there.
    pub fn is_connected(&self) -> bool {
        self.connection.connected
    }

    /// A connection is there: what the session had set up is made on it first.
    pub fn connected(&mut self) {
        self.connection.connected = true;
        self.logged_in();
        self.connection.restoring = self.context.restore().into();
    }

    /// The source's session ended, or kreplay stops: when everything before is done, close.
    pub fn close(&mut self, why: Closing) {
        self.closing = Some(why);
    }

    /// Drops what has not been started, and hands it back.
    pub fn drop_queue(&mut self) -> Vec<Arc<Work>> {
        self.queue.drain(..).map(|queued| queued.work).collect()
    }

    /// A transaction that was given up continues: it has to be run again first.
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
        !self.queue.is_empty() || self.is_running() || self.connection.is_to_correct()
    }

    /// Whether a request is without an answer, or a statement takes more requests.
    pub fn is_running(&self) -> bool {
        self.connection.is_running()
    }

    /// Whether kreplay stops, or gives the session away, and nothing is left to be done before.
    pub fn has_only_to_stop(&self) -> bool {
        !self.is_busy() && matches!(self.closing, Some(Closing::Drain | Closing::Revoked))
    }

    /// Whether a transaction is open on the target.
    pub fn in_transaction(&self) -> bool {
        self.connection.status != Status::Idle
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
        self.connection.first_unfinished().or_else(|| self.next())
    }

    /// Whether its connection holds what can't be made again on another one.
    fn is_bound(&self) -> bool {
        self.context.is_bound() || self.connection.log_in_kept
    }

    /// How it stands, as far as its connection goes.
    pub fn connection_state(&self) -> ConnectionState {
        ConnectionState {
            connected: self.connection.connected,
            running: self.is_running() || self.connection.is_to_correct(),
            in_transaction: self.in_transaction() || !self.connection.transaction.is_empty(),
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
        self.connection.running()
    }

    /// The session may start the statement with this place, and those of its own right behind it.
    pub fn grant(&mut self, seq: Seq) {
        self.turn.grant(seq, self.now);
    }

    /// The session may start this statement, if it is its next, ahead of its turn: another waits for
    /// its locks. What stands behind it has to wait, even if the statement has had its turn meanwhile.
    pub fn run_ahead(&mut self, seq: Seq) {
        self.turn.run_ahead(seq, self.now);
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

    /// When the next statement is due, if it is not: as of the last [`Session::advance_to`].
    pub fn not_before(&self) -> Option<Moment> {
        let due = self.queue.front().filter(|queued| !queued.again)?.work.due;
        due.filter(|due| *due > self.now)
    }

    /// How late the last statement was started, where it was due at some time; only once.
    pub fn take_delay(&mut self) -> Option<Duration> {
        self.delay.take()
    }
}

#[cfg(test)]
mod tests;
