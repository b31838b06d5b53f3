//! The session actor: one session of the source, one connection to the target, one ordered queue.
//!
//! - `deps`: what all session actors share;
//! - `connecting`: how it comes to its connection, loses it and gives it up;
//! - `login_changes`: its statements that change what log-ins find;
//! - `sending`: how a request is sent, and `requests`: by which messages;
//! - `answers`: what it does with the answers;
//! - `snapshots`: snapshots that its statements export, or are to see;
//! - `wait_state`: what it waits for, and what becomes of a statement that is given up.
//!
//! What it does, [`crate::replay::session`] decides.

mod answers;
mod connecting;
mod deps;
mod login_changes;
mod requests;
mod sending;
mod snapshots;
mod wait_state;

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::warn;

use self::answers::Answers;
pub(crate) use self::deps::SessionDeps;
pub(crate) use self::requests::restore;
use super::messages::{
    Ask, AskEarlyEnd, BecameIdle, Cancel, Gone, ReleaseConnection, Turn, Wake, Withdrawn,
};
use crate::pglog::SessionId;
use crate::postgres::Connection;
use crate::replay::account::ledger::Skipped;
use crate::replay::account::settlement::SessionProgress;
use crate::replay::order::Start;
use crate::replay::pace::Moment;
use crate::replay::session::connecting::{ConnectionSetup, Phase};
use crate::replay::session::request::Took;
use crate::replay::session::{Closing, Driver, Leave, Next, SessionCell};
use crate::replay::settings::Login;
use crate::replay::work::{Seq, Work};

/// One session of the source.
pub(crate) struct SessionActor {
    id: SessionId,
    /// Which of the session's actors this is.
    number: u64,
    login: Arc<Login>,
    cell: SessionCell,
    deps: SessionDeps,
    connection: Option<Connection>,
    setup: ConnectionSetup,
    /// What is still to be reported to the consumer: it is even if what is next makes the actor panic.
    progress: SessionProgress,
    /// Wakes [`Answers`] when there is a connection to listen to.
    listener: Option<Waker>,
    /// A statement that names what the target does not have: it is answered for, not sent.
    withheld: Option<(Arc<Work>, Skipped)>,
    /// Its end is put off until others have seen a snapshot that it has exported.
    stays: bool,
    /// A cancel request is on its way: anything sent meanwhile could be hit by it.
    canceling: bool,
    /// When it checks again whether its next statement is due.
    alarm: Option<(Moment, SpawnHandle)>,
}

/// By so much, and up to twice as much, timers are late: they are set to be early by it.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

impl SessionActor {
    /// An actor around a session's decisions; `number` is what [`Gone`] calls it.
    pub(crate) fn new(
        id: SessionId,
        number: u64,
        login: Arc<Login>,
        cell: SessionCell,
        deps: SessionDeps,
    ) -> Self {
        Self {
            id,
            number,
            login,
            cell,
            setup: ConnectionSetup::new(deps.paced),
            deps,
            connection: None,
            progress: SessionProgress::default(),
            listener: None,
            withheld: None,
            stays: false,
            canceling: false,
            alarm: None,
        }
    }

    fn session(&self) -> Driver<'_> {
        self.cell.driver()
    }

    /// Its decisions as of this moment: something about them is to change.
    fn session_at(&self, now: Instant) -> Driver<'_> {
        let now = self.deps.moment(now);
        let mut session = self.session();
        session.advance_to(now);
        session
    }

    /// The same, for what happens seldom.
    fn session_now(&self) -> Driver<'_> {
        self.session_at(Instant::now())
    }

    /// Does whatever can be done now.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        self.pump_at(Instant::now(), ctx);
    }

    /// What goes out together has one time.
    fn pump_at(&mut self, now: Instant, ctx: &mut Context<Self>) {
        match self.setup.phase() {
            Phase::Connected => self.drive(now, ctx),
            Phase::Disconnected => self.set_up(now, ctx),
            Phase::Connecting => {
                // A stop does not wait for a target that can't be reached.
                let stops = self.session().has_only_to_stop();
                if stops {
                    self.closed(Closing::Drain);
                    ctx.stop();
                }
            }
            Phase::Closing => {}
        }
    }

    /// Does on its connection what can be done now.
    fn drive(&mut self, now: Instant, ctx: &mut Context<Self>) {
        while !self.canceling && !self.withholds() {
            let next = self.session_at(now).next_step();
            if !self.take_step(next, now, ctx) {
                return;
            }
        }
    }

    /// Returns whether another step may follow.
    fn take_step(&mut self, next: Next, now: Instant, ctx: &mut Context<Self>) -> bool {
        let start = |seq| Start { session: self.id, seq };
        match next {
            Next::Send(request) => {
                if let Some(delay) = self.take_delay() {
                    self.deps.statements.started(delay);
                }
                self.send(request, now, ctx);
                return true;
            }
            Next::Ask(seq) => self.deps.sequencer.do_send(Ask { seq, session: self.id }),
            Next::AskChange(seq) => self.ask_change(seq),
            Next::ReportHeld(seq) => {
                let start = start(seq);
                self.deps.sequencer.do_send(Withdrawn { start, is_held: true });
            }
            Next::AskEarlyEnd(seq) => self.deps.sequencer.do_send(AskEarlyEnd(start(seq))),
            Next::WaitUntil(due) => self.wake_at(due, ctx),
            Next::Wait | Next::Idle => {}
            Next::Close(why) => {
                self.stays = why.is_the_sources() && self.stays_for_its_snapshots();
                if !self.stays {
                    self.close(why, ctx);
                }
            }
            Next::Leave(left) => {
                self.leave(left, ctx);
                return left.kept;
            }
        }
        false
    }

    fn take_delay(&self) -> Option<Duration> {
        if self.deps.paced { self.session().take_delay() } else { None }
    }

    /// Wakes about then. One alarm is enough: it finds when the next statement is due, be it some
    /// moments later.
    fn wake_at(&mut self, at: Moment, ctx: &mut Context<Self>) {
        match self.alarm {
            Some((set, _)) if set <= at => return,
            Some((_, later)) => {
                ctx.cancel_future(later);
            }
            None => {}
        }
        let wait = at.since(self.deps.moment(Instant::now()));
        let alarm = ctx.run_later(wait.checked_sub(TIMER_GRAIN).unwrap_or(wait), |actor, ctx| {
            actor.alarm = None;
            actor.pump(ctx);
        });
        self.alarm = Some((at, alarm));
    }

    /// Others may wait for its connection.
    fn tell_if_idle(&self, connected: bool) {
        if self.deps.pressure.is_on() && !self.session().is_running() {
            self.deps.admission.do_send(BecameIdle { connected });
        }
    }

    /// Takes back this statement if it still runs, to run it again later.
    fn withdraw(&mut self, seq: Seq, ctx: &mut Context<Self>) {
        if !self.canceling && self.session().withdraw(seq) {
            return self.cancel(ctx);
        }
        let start = Start { session: self.id, seq };
        self.deps.sequencer.do_send(Withdrawn { start, is_held: false });
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
        let was_connected = self.session().is_connected();
        self.interrupted();
        self.setup.replaces_panicked(was_connected);
        ctx.spawn(Answers);
        // On the source it may be hours until its first statement.
        if self.deps.paced || self.session().is_busy() {
            self.pump(ctx);
        } else {
            self.connect_ahead(ctx);
        }
    }
}

impl Drop for SessionActor {
    fn drop(&mut self) {
        self.tell_progress();
        self.forget_connection();
        // Whatever it has asked for or been given.
        self.deps.admission.do_send(ReleaseConnection(self.id));
        let (session, actor) = (self.id, self.number);
        self.deps.gone.do_send(Gone { session, actor, panicked: std::thread::panicking() });
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
        let runs = self.session().running().is_some_and(|work| work.seq == seq);
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
            Turn::Start(seq) => self.session_at(now).grant(seq),
            Turn::RunAhead(seq) => self.session_at(now).run_ahead(seq),
            Turn::Withdraw(seq) => return self.withdraw(seq, ctx),
            Turn::RunAgain(seq) => self.session_at(now).run_again_behind(seq),
            Turn::SeesLess(seq) => return self.session_at(now).may_see_less(seq),
            Turn::AcceptFailure(seq) => {
                let answered = self.session_at(now).accept_failure(seq);
                answered.into_iter().for_each(|it| self.take_answered(it, None, Took::default()));
                self.pump_at(now, ctx);
                return self.tell_progress();
            }
            Turn::GiveUp => return self.begin_leave(Leave::Idle, ctx),
            Turn::GiveUpStatement(seq) => return self.give_up_statement(seq, ctx),
            Turn::Abort(last) => return self.cut_off(last, ctx),
            Turn::LogIn { is_final } => return self.log_in_came(is_final, ctx),
            Turn::Change(seq) => self.session_at(now).grant_change(seq),
            Turn::Connect => return self.admitted(ctx),
            Turn::NoneToSpare => return self.not_admitted(ctx),
            Turn::Evict { roll_back } => {
                return self.begin_leave(Leave::Evicted { roll_back }, ctx);
            }
        }
        self.pump_at(now, ctx);
    }
}
