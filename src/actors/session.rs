//! The session actor: one session of the source, one connection to the target, one ordered queue.
//!
//! - `connecting`: how it comes to its connection, loses it and gives it up;
//! - `login_changes`: its statements that change what log-ins find;
//! - `requests`: what is sent for a request;
//! - `rewriting`: statements that name something of the source's server;
//! - `wait_state`: what it waits for, and what becomes of a statement that is given up.

mod connecting;
mod login_changes;
mod requests;
mod rewriting;
mod wait_state;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use self::requests::{batch, draws_only, trace_statement, work_of};
use self::rewriting::Outgoing;
use super::admission::{Admission, Pressure};
use super::messages::{
    Ask, AskChange, AskEarlyEnd, AskLogIn, BecameIdle, Cancel, Fatal, Finished, Gone,
    ReleaseConnection, StatementsEnded, Turn, VacateDatabase, Wake, Withdrawn,
};
use super::sequencer::Sequencer;
use super::spin;
use super::supervisor::LogInGate;
use super::target_reachability::TargetReachability;
use crate::label::Label as _;
use crate::metrics;
use crate::pglog::SessionId;
use crate::pglog::SqlState;
use crate::pglog::statement::SourceEnd;
use crate::postgres::{self, Connection, Login, Reply, Target};
use crate::replay::account::ledger::{Fate, Filtered, GivenUp, Skipped};
use crate::replay::account::policy::Outcome;
use crate::replay::account::settlement::{SessionProgress, Settlement};
use crate::replay::order::Start;
use crate::replay::order::backends::Backends;
use crate::replay::pace::Moment;
use crate::replay::session::request::{Request, Took};
use crate::replay::session::snapshots::Snapshots;
use crate::replay::session::{
    Answer, Answered, Closing, Driver, Leave, Next, RunAgain, SessionCell,
};
use crate::replay::work::{Seq, Work};

/// What all sessions share.
#[derive(Clone)]
pub struct SessionDeps {
    /// The server that is replayed on.
    pub target: Target,
    /// Which backend serves which session.
    pub backends: Arc<Backends>,
    /// Which snapshot of the target stands for which of the source.
    pub snapshots: Arc<Snapshots>,
    /// Who gives turns.
    pub sequencer: Addr<Sequencer>,
    /// Who says which session may have a connection.
    pub admission: Addr<Admission>,
    /// Whether others wait for connections.
    pub pressure: Pressure,
    /// Who hears how statements ended.
    pub progress: Recipient<SessionProgress>,
    /// Who hears that the actor ended.
    pub gone: Recipient<Gone>,
    /// Who says when a session may log in.
    pub log_ins: Recipient<AskLogIn>,
    /// Who says when a statement may start that changes what log-ins find.
    pub changes: Recipient<AskChange>,
    /// Whether that has to be asked, and whether anybody waits for it.
    pub log_in_gate: LogInGate,
    /// Who disconnects sessions from a database.
    pub vacate: Recipient<VacateDatabase>,
    /// Who hears that statements have ended, if anybody does.
    pub ended: Recipient<StatementsEnded>,
    /// Who hears that the replay can't go on.
    pub fatal: Recipient<Fatal>,
    /// Whether the target can be reached.
    pub outage: Arc<TargetReachability>,
    /// Who can log in, as the first session to do so shows.
    pub known_login: Arc<OnceLock<Arc<Login>>>,
    /// Tells whoever is connected as that one, beside the sessions, that nobody may be to its database.
    pub known_login_vacated: Arc<Notify>,
    /// Where statements are measured.
    pub statements: metrics::Statements,
    /// Whether statements wait for turns.
    pub takes_turns: bool,
    /// How long an answer is polled for before it is slept for.
    pub spin: Duration,
    /// When the replay began.
    pub began: Instant,
    /// Whether statements are due some time after that.
    pub paced: bool,
}

impl SessionDeps {
    /// Tells everybody of statements that will not be run. What goes to another process is not
    /// settled: the other one begins with it.
    pub fn give_back(&self, works: Vec<Arc<Work>>, fate: Fate) {
        if works.is_empty() {
            return;
        }
        if self.takes_turns {
            for work in &works {
                self.sequencer.do_send(Finished(work.seq));
            }
        }
        let ended = works.iter().filter(|work| work.mark_reported());
        let ended = ended.map(|work| (work.clone(), Settlement::Not(fate))).collect();
        if works.iter().any(|work| work.statement.outline.imports_snapshot) {
            self.snapshots.import_ended();
        }
        let settled = if fate == Fate::Filtered(Filtered::HandedOver) { Vec::new() } else { works };
        let mut progress = SessionProgress { ended, ..SessionProgress::default() };
        progress.settle(&settled);
        self.progress.do_send(progress);
        self.tell_log_ins();
    }

    /// Something has ended that log-ins may wait for, or changes of them.
    fn tell_log_ins(&self) {
        if self.log_in_gate.has_waiting() {
            self.ended.do_send(StatementsEnded);
        }
    }
}

/// One session of the source.
pub struct SessionActor {
    id: SessionId,
    /// Which of the session's actors this is.
    number: u64,
    login: Arc<Login>,
    cell: SessionCell,
    around: SessionDeps,
    connection: Option<Connection>,
    phase: Phase,
    permit: Permit,
    log_in: LogInState,
    /// What the consumer has still to hear of: it does even if what is next makes the actor panic.
    progress: SessionProgress,
    /// Wakes [`Answers`] when there is a connection to listen to.
    listener: Option<Waker>,
    /// A statement that names what the target does not have: it is answered for, not sent.
    withheld: Option<(Arc<Work>, Skipped)>,
    /// Its end is put off until others have seen a snapshot that it has exported.
    stays: bool,
    /// A cancel request is on its way: anything sent meanwhile could be hit by it.
    canceling: bool,
    /// When it looks again whether its next statement is due.
    alarm: Option<(Moment, SpawnHandle)>,
    backoff: Duration,
    lost_before: bool,
    /// A statement has ended on this connection that had not before.
    made_progress: bool,
    /// The target has refused its connection for good.
    refused: bool,
}

/// What the actor is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Disconnected,
    Connecting,
    Connected,
    Closing,
}

/// Whether it may have a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    None,
    /// Asked for, in case there is one to spare.
    Hoped,
    /// Asked for, for a statement, since then.
    Asked(Instant),
    Held,
}

/// Whether its log-in has come, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogInState {
    Unasked,
    /// It waits for statements before it.
    Asked,
    /// It may log in; `is_final`: if it is refused, nothing can mend that any more.
    Due {
        is_final: bool,
    },
}

/// How long before its next statement is due a session connects.
const LEAD: Duration = Duration::from_secs(1);
/// By so much, and up to twice as much, timers are late: they are set to be early by it.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

impl SessionActor {
    /// An actor around a session's decisions; `number` is what [`Gone`] calls it.
    pub fn new(
        id: SessionId,
        number: u64,
        login: Arc<Login>,
        cell: SessionCell,
        around: SessionDeps,
    ) -> Self {
        Self {
            id,
            number,
            login,
            cell,
            around,
            connection: None,
            phase: Phase::Disconnected,
            permit: Permit::None,
            log_in: LogInState::Unasked,
            progress: SessionProgress::default(),
            listener: None,
            withheld: None,
            stays: false,
            canceling: false,
            alarm: None,
            backoff: FIRST_BACKOFF,
            lost_before: false,
            made_progress: false,
            refused: false,
        }
    }

    fn state(&self) -> Driver<'_> {
        self.cell.driver()
    }

    /// Its decisions, which are told what time it is: something about it is to change.
    fn state_at(&self, now: Instant) -> Driver<'_> {
        let now = self.moment(now);
        let mut state = self.state();
        state.advance_to(now);
        state
    }

    /// The same, for what happens seldom.
    fn state_now(&self) -> Driver<'_> {
        self.state_at(Instant::now())
    }

    /// Does whatever can be done now.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        self.pump_at(Instant::now(), ctx);
    }

    /// What goes out together has one time.
    fn pump_at(&mut self, now: Instant, ctx: &mut Context<Self>) {
        match self.phase {
            Phase::Connecting => {
                // A stop does not wait for a target that can't be reached.
                let stops = self.state().has_only_to_stop();
                if stops {
                    self.closed(Closing::Drain);
                    ctx.stop();
                }
                return;
            }
            Phase::Closing => return,
            Phase::Disconnected => {
                let awaited = {
                    let state = self.state();
                    state.is_log_in_awaited().then(|| state.is_log_in_needed())
                };
                match awaited {
                    Some(true) => return self.reconnect(ctx),
                    Some(false) => return self.connect_ahead(ctx),
                    None => {}
                }
                // What was under way on a connection that is gone has been put back already.
                let connect_at = self.next_due().map(|due| due.before(LEAD));
                if let Some(at) = connect_at.filter(|at| *at > self.now()) {
                    self.return_permit();
                    self.wake_at(at, ctx);
                    return;
                }
                if self.state().is_busy() {
                    self.reconnect(ctx);
                    return;
                }
                self.return_permit();
                if let Next::Close(why) = self.next_step(now) {
                    self.closed(why);
                    ctx.stop();
                }
                return;
            }
            Phase::Connected => {}
        }
        while !self.canceling && !self.withholds() {
            match self.next_step(now) {
                Next::Send(request) => {
                    if let Some(delay) = self.take_delay() {
                        self.around.statements.started(delay);
                    }
                    self.send(request, now, ctx);
                }
                Next::Ask(seq) => {
                    self.around.sequencer.do_send(Ask { seq, session: self.id });
                    return;
                }
                Next::AskChange(seq) => {
                    self.ask_change(seq);
                    return;
                }
                Next::TellHeld(seq) => {
                    let start = Start { session: self.id, seq };
                    self.around.sequencer.do_send(Withdrawn { start, is_held: true });
                    return;
                }
                Next::AskEarlyEnd(seq) => {
                    let start = Start { session: self.id, seq };
                    self.around.sequencer.do_send(AskEarlyEnd(start));
                    return;
                }
                Next::WaitUntil(due) => {
                    self.wake_at(due, ctx);
                    return;
                }
                Next::Wait | Next::Idle => return,
                Next::Close(why) => {
                    self.stays = why.is_the_sources() && self.stays_for_its_snapshots();
                    if !self.stays {
                        self.close(why, ctx);
                    }
                    return;
                }
                Next::Leave(left) => {
                    self.leave(left, ctx);
                    if left.kept {
                        continue;
                    }
                    return;
                }
            }
        }
    }

    fn next_step(&mut self, now: Instant) -> Next {
        self.state_at(now).next_step()
    }

    // ---- The pace ----

    fn moment(&self, at: Instant) -> Moment {
        Moment::after(at.saturating_duration_since(self.around.began))
    }

    /// How late it is.
    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// When its next statement is due, if it is not.
    fn next_due(&self) -> Option<Moment> {
        if self.around.paced { self.state_now().not_before() } else { None }
    }

    fn take_delay(&self) -> Option<Duration> {
        if self.around.paced { self.state().take_delay() } else { None }
    }

    /// Looks about then what there is to do. One look is enough: it finds when the next one is due,
    /// be it some moments later.
    fn wake_at(&mut self, at: Moment, ctx: &mut Context<Self>) {
        match self.alarm {
            Some((set, _)) if set <= at => return,
            Some((_, later)) => {
                ctx.cancel_future(later);
            }
            None => {}
        }
        let wait = at.since(self.now());
        let alarm = ctx.run_later(wait.checked_sub(TIMER_GRAIN).unwrap_or(wait), |actor, ctx| {
            actor.alarm = None;
            actor.pump(ctx);
        });
        self.alarm = Some((at, alarm));
    }

    // ---- Requests and answers ----

    fn send(&mut self, request: Request, now: Instant, ctx: &mut Context<Self>) {
        let Some(connection) = &self.connection else { return };
        let work = work_of(&request);
        // If it was withheld before, that was in a transaction that is run again.
        self.withheld.take_if(|(before, _)| work.is_some_and(|work| work.seq == before.seq));
        let (rewritten, withheld) = match work.map_or(Outgoing::Own, |work| self.outgoing(work)) {
            Outgoing::Own => (None, None),
            Outgoing::Rewritten(text) => (Some(text), None),
            Outgoing::Withheld(why) => (Some(String::new()), work.cloned().zip(Some(why))),
        };
        let is_withheld = withheld.is_some();
        self.withheld = withheld.or(self.withheld.take());
        if let Some(work) = work {
            trace_statement(self.id, work);
            self.vacate_database(work);
            if !draws_only(&request) {
                self.cancel_in_time(work, ctx);
            }
        }
        if let Request::Inspect(sql) = &request {
            connection.send_for_rows(postgres::Request::Simple(sql));
            return;
        }
        let outgoing = match &request {
            Request::Text(text) => postgres::Request::Simple(text),
            Request::Simple(work) => {
                let sql = rewritten.as_deref().unwrap_or(&work.statement.sql);
                postgres::Request::Simple(sql)
            }
            // An empty query stands for a statement that must not be sent.
            Request::Extended { .. } if is_withheld => postgres::Request::Simple(""),
            Request::Pipelined { syncs, .. } if is_withheld => {
                let request = Box::new(Request::Text("".into()));
                postgres::Request::Batch(batch(
                    &Request::Pipelined { request, syncs: *syncs },
                    None,
                ))
            }
            _ => postgres::Request::Batch(batch(&request, rewritten.as_deref())),
        };
        match work.and_then(|work| work.statement.exporter) {
            // The identifiers are among them.
            Some(_) => connection.send_for_rows(outgoing),
            None => connection.send(outgoing),
        }
        spin::stay_awake(now, self.around.spin);
    }

    /// A statement that the source canceled is canceled after the same time, where it is run at all.
    fn cancel_in_time(&self, work: &Arc<Work>, ctx: &mut Context<Self>) {
        let Some(failure) = work.end().failure.filter(|f| f.code == SqlState::QUERY_CANCELED)
        else {
            return;
        };
        let work = work.clone();
        let after = Duration::from_micros((failure.after_ms.unwrap_or_default() * 1000.0) as u64);
        ctx.run_later(after, move |actor, ctx| {
            let running = actor.state().running().is_some_and(|now| Arc::ptr_eq(now, &work));
            if running {
                actor.cancel(ctx);
            }
        });
    }

    fn answered(&mut self, reply: Reply, now: Instant) {
        let error = reply.error.as_ref().map(|error| (error.sqlstate, error.before_execute));
        let took = reply.took;
        let parameter = reply.error.as_ref().and_then(|error| error.parameter);
        match error {
            Some((code, _)) => self.note_failure(code),
            None if !reply.result.is_empty() => self.note_exports(&reply.result),
            None => {}
        }
        let answer = Answer {
            status: reply.status,
            error,
            parameter,
            completed: reply.completed as usize,
            rows: reply.result,
            foreign_encoding: reply.foreign_encoding,
            took,
        };
        let answered = self.state_at(now).answered(answer);
        self.take_answered(answered, reply.error.as_ref(), took);
    }

    /// Tells what came of an answer; `error`, if it is that of the statement that ended by it.
    fn take_answered(
        &mut self,
        answered: Answered,
        error: Option<&postgres::ServerError>,
        took: Took,
    ) {
        if answered.misread > 0 {
            warn!(session = %self.id, statements = answered.misread,
                "client_encoding was set by what does not say so (a function), while statements \
                with other than ASCII characters were on their way behind it: the target has read \
                these in that encoding, and text of theirs may be wrong there. With --pipeline 1 \
                nothing is sent behind");
        }
        let withheld = self.withheld.take_if(|(work, _)| answered.finished == Some(work.seq));
        if let Some((work, end)) = answered.ended {
            self.made_progress = true;
            self.backoff = FIRST_BACKOFF;
            if work.statement.outline.imports_snapshot {
                self.around.snapshots.import_ended();
            }
            if let Some((_, why)) = withheld {
                info!(session = %self.id, reason = why.label(),
                    "skipped: it names what no replayed session has");
                self.progress.ended.push((work, Settlement::Not(Fate::Skipped(why))));
            } else if answered.given_up {
                let fate = Fate::GivenUp(GivenUp::Stalled);
                self.progress.ended.push((work, Settlement::Not(fate)));
            } else {
                if let (Some(error), SourceEnd::Succeeded | SourceEnd::Unknown) =
                    (error, end.source)
                {
                    debug!(session = %self.id, sqlstate = %error.sqlstate, error = %error.message,
                        sql = %work.statement.sql, "failed on the target alone");
                }
                let on_source = work.source_duration_ms().map(|ms| ms / 1e3);
                let on_target = end.took.unwrap_or(took).share().as_secs_f64();
                let outcome = Outcome::of(end);
                let verb = work.statement.outline.verb();
                self.around.statements.ran(verb, on_source, on_target, outcome);
                self.progress.ended.push((work, Settlement::Ran(end, answered.waited)));
            }
        }
        if let Some(why) = answered.retried {
            debug!(session = %self.id, ?why, "its transaction failed on the target alone, and is run again");
            self.around.snapshots.forget(self.id);
            if let RunAgain::Conflict(code) = why {
                self.progress.retried.push(code);
            }
        }
        if let Some(seq) = answered.finished
            && self.around.takes_turns
        {
            self.around.sequencer.do_send(Finished(seq));
        }
        self.end_exports(&answered.settled);
        self.progress.settle(&answered.settled);
    }

    /// Tells the consumer of all the answers that came together.
    fn tell_progress(&mut self) {
        if !self.progress.is_empty() {
            self.around.progress.do_send(std::mem::take(&mut self.progress));
            self.around.tell_log_ins();
        }
    }

    /// Others may wait for its connection.
    fn tell_if_idle(&self, connected: bool) {
        if self.around.pressure.is_on() && !self.state().is_running() {
            self.around.admission.do_send(BecameIdle { connected });
        }
    }

    /// Takes back this statement if it still runs, to run it again later.
    fn withdraw(&mut self, seq: Seq, ctx: &mut Context<Self>) {
        if !self.canceling && self.state().withdraw(seq) {
            return self.cancel(ctx);
        }
        let start = Start { session: self.id, seq };
        self.around.sequencer.do_send(Withdrawn { start, is_held: false });
    }

    fn cancel(&mut self, ctx: &mut Context<Self>) {
        let Some(connection) = &self.connection else { return };
        self.canceling = true;
        ctx.spawn(connection.cancel().into_actor(self).map(|result, actor, ctx| {
            actor.canceling = false;
            if let Err(error) = result {
                warn!(session = %actor.id, "its statement runs on, though it was to be canceled: {error}");
            }
            actor.pump(ctx);
        }));
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // An actor that follows one that panicked finds what that one had under way.
        let was_connected = self.state().is_connected();
        self.interrupted();
        self.lost_before = was_connected;
        ctx.spawn(Answers);
        // On the source it may be hours until its first statement.
        if self.around.paced || self.state().is_busy() {
            self.pump(ctx);
        } else {
            self.connect_ahead(ctx);
        }
    }
}

/// Takes the answers in the order of their requests.
///
/// One future for all: an actor's context does not keep the order of the futures that are spawned
/// on it.
struct Answers;

impl ActorFuture<SessionActor> for Answers {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut SessionActor,
        ctx: &mut Context<SessionActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        // What came together is told together, and makes room for as many statements at once.
        let mut loss = None;
        let mut answered = None;
        while let Some(connection) = &actor.connection
            && let Poll::Ready(answer) = connection.poll_answer(task)
        {
            match answer {
                Ok(reply) => {
                    let now = *answered.get_or_insert_with(Instant::now);
                    actor.answered(reply, now);
                }
                Err(lost) => {
                    loss = Some(lost);
                    break;
                }
            }
        }
        if let Some(lost) = loss {
            actor.tell_progress();
            actor.lost(&lost, ctx);
        } else if let Some(now) = answered {
            // What is next goes out before the account is kept.
            actor.pump_at(now, ctx);
            actor.tell_progress();
            actor.tell_if_idle(false);
        } else if actor.stays {
            // Woken by whoever has seen its snapshot.
            actor.pump(ctx);
        }
        if actor.listener.as_ref().is_none_or(|listener| !listener.will_wake(task.waker())) {
            actor.listener = Some(task.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for SessionActor {
    fn drop(&mut self) {
        self.tell_progress();
        self.forget_connection();
        // Whatever it has asked for or been given.
        self.around.admission.do_send(ReleaseConnection(self.id));
        let (session, actor) = (self.id, self.number);
        self.around.gone.do_send(Gone { session, actor, panicked: std::thread::panicking() });
    }
}

impl Handler<Wake> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<Cancel> for SessionActor {
    type Result = ();

    fn handle(&mut self, Cancel(seq): Cancel, ctx: &mut Self::Context) {
        // It may have ended meanwhile: the next one must not be hit.
        let runs = self.state().running().is_some_and(|work| work.seq == seq);
        if runs {
            self.cancel(ctx);
        }
    }
}

impl Handler<Turn> for SessionActor {
    type Result = ();

    fn handle(&mut self, turn: Turn, ctx: &mut Self::Context) {
        let now = Instant::now();
        match turn {
            Turn::Start(seq) => self.state_at(now).grant(seq),
            Turn::RunAhead(seq) => self.state_at(now).run_ahead(seq),
            Turn::Withdraw(seq) => return self.withdraw(seq, ctx),
            Turn::RunAgain(seq) => self.state_at(now).run_again_behind(seq),
            Turn::SeesLess(seq) => return self.state_at(now).may_see_less(seq),
            Turn::AcceptFailure(seq) => {
                let answered = self.state_at(now).accept_failure(seq);
                answered.into_iter().for_each(|it| self.take_answered(it, None, Took::default()));
                self.pump_at(now, ctx);
                return self.tell_progress();
            }
            Turn::GiveUp => return self.begin_leave(Leave::Idle, ctx),
            Turn::GiveUpStatement(seq) => return self.give_up_statement(seq, ctx),
            Turn::Abort(last) => return self.cut_off(last, ctx),
            Turn::LogIn { is_final } => return self.log_in_came(is_final, ctx),
            Turn::Change(seq) => self.state_at(now).grant_change(seq),
            Turn::Connect => return self.admitted(ctx),
            Turn::NoneToSpare => return self.not_admitted(ctx),
            Turn::Evict { roll_back } => {
                return self.begin_leave(Leave::Evicted { roll_back }, ctx);
            }
        }
        self.pump_at(now, ctx);
    }
}
