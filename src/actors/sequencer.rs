//! The sequencer actor: tells [`Dispatcher`] what happens across sessions, and does what it decides.
//!
//! - `actions`: does what the dispatcher asks for;
//! - `catalogs`: reads catalogs;
//! - `observer`: looks at the target from outside the sessions;
//! - `stall_probe`: finds who holds up whom when nothing ends any more.

mod actions;
mod catalogs;
mod observer;
mod stall_probe;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use foldhash::HashMap;

use self::catalogs::Catalogs;
use self::observer::ObserverState;
use super::admission::Pressure;
use super::messages::{
    Arrived, Ask, AskEarlyEnd, BreakStall, Connected, Disconnected, Finished, InputEnded, Left,
    ReadOn, Turn, VacateDatabase, Withdrawn,
};
use super::overview::Overview;
use super::panic_guard::PanicGuard;
use super::target_reachability::TargetReachability;
use crate::health::{Health, MonitoredActor};
use crate::pglog::SessionId;
use crate::postgres::Target;
use crate::replay::order::Start;
use crate::replay::order::backends::Backends;
use crate::replay::order::dispatch::{
    ConnectedSessions, DispatchAction, DispatchSettings, Dispatcher, Round, SessionWork,
};
use crate::replay::order::stalls::OnTarget;
use crate::replay::session::SessionCell;
use crate::replay::settings::Login;

/// Gives turns, and frees statements that wait for the locks of sessions without one.
pub(crate) struct Sequencer {
    dispatcher: Dispatcher,
    /// What the dispatcher asks for; empty while it is not asked anything.
    actions: Vec<DispatchAction>,
    connections: Connections,
    backends: Arc<Backends>,
    observer: ObserverState,
    catalogs: Catalogs,
    /// When the next check for stalls is, and the timer for it.
    timer: Option<(Duration, SpawnHandle)>,
    began: Instant,
    settings: SequencerSettings,
    health: Health,
    overview: Arc<Overview>,
    _panic_guard: PanicGuard,
}

/// What the sequencer is given.
#[derive(Clone)]
pub(crate) struct SequencerSettings {
    /// How turns are given.
    pub dispatch: DispatchSettings,
    /// The server that is replayed on.
    pub target: Target,
    /// Who looks at it from outside the sessions; `None`: as the first session logs in.
    pub observer: Option<Login>,
    /// Who must know when everything waits for a catalog.
    pub pressure: Pressure,
    /// Who knows how far away the target is.
    pub reachability: Arc<TargetReachability>,
    /// Who reads on when everything waits for what has not been read.
    pub read_on: Recipient<ReadOn>,
}

/// The sessions with a connection.
#[derive(Default)]
struct Connections(HashMap<SessionId, Connection>);

struct Connection {
    backend: i32,
    cell: SessionCell,
    turns: Recipient<Turn>,
    login: Arc<Login>,
}

impl ConnectedSessions for Connections {
    fn on_target(&self, prepared: &[String]) -> Vec<OnTarget> {
        let on_target = |(session, it): (&SessionId, &Connection)| {
            it.cell.view().on_target(*session, it.backend, prepared)
        };
        self.0.iter().map(on_target).collect()
    }

    fn works(&self) -> Vec<SessionWork> {
        self.0.iter().map(|(session, connection)| connection.work(*session)).collect()
    }

    fn work_of(&self, session: SessionId) -> Option<SessionWork> {
        self.0.get(&session).map(|connection| connection.work(session))
    }
}

impl Connection {
    fn work(&self, session: SessionId) -> SessionWork {
        let view = self.cell.view();
        SessionWork {
            session,
            backend: self.backend,
            running: view.running().cloned(),
            head: view.head().cloned(),
            used: view.used(),
            is_ready: !view.is_running() && view.not_before().is_none(),
            in_transaction: view.in_transaction(),
            doubtful: view.doubtful().cloned(),
        }
    }
}

impl Sequencer {
    /// A sequencer of nothing yet.
    pub(crate) fn new(
        settings: SequencerSettings,
        backends: Arc<Backends>,
        health: Health,
        overview: Arc<Overview>,
        panic_guard: PanicGuard,
    ) -> Self {
        Self {
            dispatcher: Dispatcher::new(settings.dispatch),
            actions: Vec::new(),
            connections: Connections::default(),
            backends,
            observer: ObserverState::default(),
            catalogs: Catalogs::default(),
            timer: None,
            began: Instant::now(),
            settings,
            health,
            overview,
            _panic_guard: panic_guard,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has the dispatcher decide something, and does what it asks for.
    fn decide(
        &mut self,
        ctx: &mut Context<Self>,
        event: impl FnOnce(&mut Dispatcher, &mut Round<'_>),
    ) {
        let mut actions = std::mem::take(&mut self.actions);
        let (now, sessions) = (self.now(), &self.connections);
        event(&mut self.dispatcher, &mut Round { now, sessions, out: &mut actions });
        actions.drain(..).for_each(|action| self.act(action, ctx));
        self.actions = actions;
        self.set_timer(ctx);
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let Some(check) = self.dispatcher.next_check() else { return };
        if let Some((at, timer)) = self.timer {
            if at <= check {
                return;
            }
            ctx.cancel_future(timer);
        }
        let after = check.saturating_sub(self.now());
        let timer = ctx.run_later(after, |actor, ctx| {
            actor.timer = None;
            let round_trip = actor.settings.reachability.round_trip();
            actor.decide(ctx, |dispatcher, round| dispatcher.check_stall(round_trip, round));
        });
        self.timer = Some((check, timer));
    }
}

impl Actor for Sequencer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Sequencer);
        ctx.run_interval(Duration::from_secs(1), |actor, ctx| {
            actor.health.beat(MonitoredActor::Sequencer);
            actor.decide(ctx, Dispatcher::look_after);
        });
    }
}

impl Handler<Ask> for Sequencer {
    type Result = ();

    fn handle(&mut self, Ask { seq, session }: Ask, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.ask(Start { session, seq }, round));
    }
}

impl Handler<Finished> for Sequencer {
    type Result = ();

    fn handle(&mut self, Finished(seq): Finished, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.finish(seq, round));
    }
}

impl Handler<Arrived> for Sequencer {
    type Result = ();

    fn handle(&mut self, Arrived(statements): Arrived, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.arrive(statements, round));
    }
}

impl Handler<Left> for Sequencer {
    type Result = ();

    fn handle(&mut self, Left { session, ended }: Left, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.close(session, ended, round));
    }
}

impl Handler<Connected> for Sequencer {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let Connected { session, backend, cell, turns, login } = connected;
        self.settings.observer.get_or_insert_with(|| login.for_kreplay());
        self.connections.0.insert(session, Connection { backend, cell, turns, login });
    }
}

impl Handler<Disconnected> for Sequencer {
    type Result = ();

    fn handle(&mut self, Disconnected(session): Disconnected, ctx: &mut Self::Context) {
        self.connections.0.remove(&session);
        self.decide(ctx, |dispatcher, round| dispatcher.disconnected(session, round));
    }
}

impl Handler<VacateDatabase> for Sequencer {
    type Result = ();

    fn handle(&mut self, vacate: VacateDatabase, _: &mut Self::Context) {
        self.catalogs.vacate(&vacate.database);
        let observer = self.settings.observer.as_ref();
        if observer.is_some_and(|login| login.database == vacate.database) {
            self.dispatcher.vacate(vacate.session, self.began.elapsed());
            self.observer.leave();
        }
    }
}

impl Handler<InputEnded> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: InputEnded, ctx: &mut Self::Context) {
        self.decide(ctx, Dispatcher::input_ended);
    }
}

impl Handler<BreakStall> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: BreakStall, ctx: &mut Self::Context) {
        self.decide(ctx, Dispatcher::break_stall);
    }
}

impl Handler<Withdrawn> for Sequencer {
    type Result = ();

    fn handle(&mut self, Withdrawn { start, is_held }: Withdrawn, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.withdrawn(start, is_held, round));
    }
}

impl Handler<AskEarlyEnd> for Sequencer {
    type Result = ();

    fn handle(&mut self, AskEarlyEnd(failed): AskEarlyEnd, ctx: &mut Self::Context) {
        self.decide(ctx, |dispatcher, round| dispatcher.ask_early_end(failed, round));
    }
}
