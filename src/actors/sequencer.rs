//! The sequencer actor: the order across sessions, and what to do when it stands still.

mod catalogs;
mod observer;
mod stall_probe;
mod stalls;
mod turns;
mod withdrawing;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use catalogs::Catalogs;
use foldhash::HashMap;
use stalls::Stalls;
use tracing::debug;
use turns::SilentHolders;
use withdrawing::Withdrawing;

use super::admission::Pressure;
use super::messages::{
    Arrived, Ask, BreakStall, Connected, Disconnected, Finished, InputEnded, Left, ReadOn, Turn,
    VacateDatabase,
};
use super::overview::Overview;
use super::panic_guard::PanicGuard;
use super::target_reachability::TargetReachability;
use crate::health::{Health, MonitoredActor};
use crate::pglog::SessionId;
use crate::postgres::{Login, Target};
use crate::replay::order::backends::Backends;
use crate::replay::order::{Order, Start};
use crate::replay::session::{self, SessionCell};
use crate::replay::settings;

/// Gives turns, and frees statements that wait for the locks of sessions without one.
pub struct Sequencer {
    order: Order,
    /// Whether more records were asked for since the last came.
    asked_for_more: bool,
    silent: SilentHolders,
    sessions: HashMap<SessionId, Connection>,
    backends: Arc<Backends>,
    stalls: Stalls,
    withdrawing: Withdrawing,
    catalogs: Catalogs,
    settings: SequencerSettings,
    input_ended: bool,
    health: Health,
    overview: Arc<Overview>,
    _vital: PanicGuard,
}

/// What the sequencer is told.
#[derive(Clone)]
pub struct SequencerSettings {
    /// What statements wait for.
    pub order: settings::Order,
    /// Whether statements are due at some time.
    pub is_paced: bool,
    /// How long a statement may run before the target is asked what it waits for.
    pub stall_check: Duration,
    /// How long a blocker whose next record has not been read is waited for.
    pub patience: Duration,
    /// The server that is replayed on.
    pub target: Target,
    /// Who looks at it from outside the sessions; `None`: as the first session logs in.
    pub observer: Option<Login>,
    /// Who must know when everything waits for a catalog.
    pub pressure: Pressure,
    /// Who knows how far away the target is.
    pub outage: Arc<TargetReachability>,
    /// Who reads on when everything waits for what has not been read.
    pub read_on: Recipient<ReadOn>,
}

struct Connection {
    backend: i32,
    cell: SessionCell,
    turns: Recipient<Turn>,
    login: Arc<Login>,
}

impl Connection {
    fn view(&self) -> session::View<'_> {
        self.cell.view()
    }
}

impl Sequencer {
    /// A sequencer of nothing yet.
    pub fn new(
        settings: SequencerSettings,
        backends: Arc<Backends>,
        health: Health,
        overview: Arc<Overview>,
        vital: PanicGuard,
    ) -> Self {
        Self {
            order: Order::new(settings.order, settings.is_paced),
            asked_for_more: false,
            silent: SilentHolders::default(),
            sessions: HashMap::default(),
            backends,
            stalls: Stalls::new(settings.stall_check, settings.patience),
            withdrawing: Withdrawing::default(),
            catalogs: Catalogs::default(),
            settings,
            input_ended: false,
            health,
            overview,
            _vital: vital,
        }
    }

    fn let_start(&self, Start { session, seq }: Start) {
        match self.sessions.get(&session) {
            Some(connection) => connection.turns.do_send(Turn::Start(seq)),
            // It lost its connection meanwhile, and will ask again when it has one.
            None => debug!(%session, "is not connected at its turn"),
        }
    }

    fn tell(&self, session: SessionId, turn: Turn) -> bool {
        let connection = self.sessions.get(&session);
        connection.inspect(|connection| connection.turns.do_send(turn)).is_some()
    }

    fn ask_for_more(&self) {
        self.settings.read_on.do_send(ReadOn);
    }
}

impl Actor for Sequencer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Sequencer);
        ctx.run_interval(Duration::from_secs(1), |actor, _| {
            actor.health.beat(MonitoredActor::Sequencer);
            actor.look_after_order();
        });
    }
}

impl Handler<Ask> for Sequencer {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        self.order.ask(ask.seq, ask.session);
        self.go_on(ctx);
    }
}

impl Handler<Finished> for Sequencer {
    type Result = ();

    fn handle(&mut self, Finished(seq): Finished, ctx: &mut Self::Context) {
        self.stalls.note_finished();
        self.order.finish(seq);
        self.finished_withdrawing(seq);
        self.go_on(ctx);
    }
}

impl Handler<Arrived> for Sequencer {
    type Result = ();

    fn handle(&mut self, Arrived(statements): Arrived, ctx: &mut Self::Context) {
        self.asked_for_more = false;
        self.order.arrive(statements);
        self.go_on(ctx);
    }
}

impl Handler<Left> for Sequencer {
    type Result = ();

    fn handle(&mut self, Left { session, ended }: Left, ctx: &mut Self::Context) {
        self.silent.forget(session);
        self.order.close(session, ended);
        self.go_on(ctx);
    }
}

impl Handler<Connected> for Sequencer {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let Connected { session, backend, cell, turns, login } = connected;
        self.settings.observer.get_or_insert_with(|| Login {
            application_name: "kreplay".to_owned(),
            ..(*login).clone()
        });
        self.sessions.insert(session, Connection { backend, cell, turns, login });
    }
}

impl Handler<Disconnected> for Sequencer {
    type Result = ();

    fn handle(&mut self, Disconnected(session): Disconnected, _: &mut Self::Context) {
        self.sessions.remove(&session);
        self.disconnected_withdrawing(session);
    }
}

impl Handler<VacateDatabase> for Sequencer {
    type Result = ();

    fn handle(&mut self, vacate: VacateDatabase, _: &mut Self::Context) {
        self.catalogs.vacate(&vacate.database);
        let observer = self.settings.observer.as_ref();
        if observer.is_some_and(|login| login.database == vacate.database) {
            self.stalls.vacate(vacate.session);
        }
    }
}

impl Handler<InputEnded> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: InputEnded, _: &mut Self::Context) {
        self.input_ended = true;
        self.look_after_order();
    }
}

impl Handler<BreakStall> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: BreakStall, ctx: &mut Self::Context) {
        self.break_standstill(ctx);
    }
}
