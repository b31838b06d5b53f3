//! Does what the dispatcher asks for.

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::observer::{lock_snapshot, open};
use super::{Connection, Sequencer};
use crate::actors::messages::{ReadOn, Turn};
use crate::metrics;
use crate::pglog::SessionId;
use crate::postgres::Observer;
use crate::replay::order::Start;
use crate::replay::order::dispatch::{DispatchAction, Holding};
use crate::replay::order::stalls::{LockSnapshot, Probe, StallBreak};
use crate::replay::settings::Login;

/// How many shapes of statements the status page names.
const WORST: usize = 10;

impl Sequencer {
    pub(super) fn act(&mut self, action: DispatchAction, ctx: &mut Context<Self>) {
        match action {
            DispatchAction::Start(Start { session, seq }) => {
                if !self.tell(session, Turn::Start(seq)) {
                    // It lost its connection meanwhile, and will ask again when it has one.
                    debug!(%session, "is not connected at its turn");
                }
            }
            DispatchAction::RunAhead(Start { session, seq }, how) => {
                self.overview.stall_broken(how);
                debug!(%session, "continues ahead of its turn: others wait for its locks");
                self.tell(session, Turn::RunAhead(seq));
            }
            DispatchAction::Withdraw(Start { session, seq }) => {
                self.tell(session, Turn::Withdraw(seq));
            }
            DispatchAction::RunAgain(Start { session, seq }) => {
                self.tell(session, Turn::RunAgain(seq));
            }
            DispatchAction::AcceptFailure(Start { session, seq }) => {
                self.tell(session, Turn::AcceptFailure(seq));
            }
            DispatchAction::SeesLess(Start { session, seq }) => {
                self.tell(session, Turn::SeesLess(seq));
            }
            DispatchAction::GiveUp { session, holding } => self.give_up(session, holding),
            DispatchAction::HeldToRunAgain { session, has_failed } => {
                self.overview.stall_broken(StallBreak::RunAgain);
                if has_failed {
                    debug!(%session, "has failed on the target alone, and is run again after an end \
                        that stands later in the log");
                } else {
                    debug!(%session, "runs again after the end that it waited for");
                }
            }
            DispatchAction::ReportForeign(backend) => warn!(
                backend,
                "statements wait for the locks of a connection to the target that is not kreplay's: \
                end its transaction there (pg_terminate_backend), or wait; until then the replay may \
                stand still"
            ),
            DispatchAction::ReadOn => self.settings.read_on.do_send(ReadOn),
            DispatchAction::Probe(probe) => self.probe(probe, ctx),
            DispatchAction::AskDrawn { end, waiters } => self.ask_drawn(end, waiters, ctx),
            DispatchAction::ReadCatalog { login, is_waited_for } => {
                self.settings.pressure.awaits_catalog(is_waited_for);
                self.read_catalog(&login, is_waited_for, ctx);
            }
            DispatchAction::RestCatalogs(rest) => {
                ctx.run_later(rest, |actor, ctx| {
                    actor.decide(ctx, |dispatcher, round| dispatcher.catalogs_rested(round));
                });
            }
            DispatchAction::CatalogNotYet { database, error } => {
                debug!(database, "its catalog can't be read yet: {error}");
            }
            DispatchAction::CatalogUnread { database, error } => warn!(
                database,
                "its catalog can't be read, so that each statement in it waits for every other, as \
                with --order serial; let the user of --db-user, or the sessions' own, read it: {error}"
            ),
            DispatchAction::ShowCosts => self.show_costs(),
        }
    }

    /// Returns whether the session is connected, and so has been told.
    fn tell(&self, session: SessionId, turn: Turn) -> bool {
        let connection = self.connections.0.get(&session);
        connection.inspect(|connection| connection.turns.do_send(turn)).is_some()
    }

    fn give_up(&self, session: SessionId, holding: Holding) {
        self.overview.stall_broken(StallBreak::BlockerClosed);
        match holding {
            Holding::Locks => {
                info!(%session, "closed its connection: others wait for its locks, and no record of it is \
                    left that would free them; what its open transaction did is rolled back");
            }
            Holding::Transaction => {
                info!(%session, "closed its connection: others wait for its transaction, and no record of it is left that \
                    would end it; what it did is rolled back");
            }
        }
        self.tell(session, Turn::GiveUp);
    }

    fn show_costs(&self) {
        let order = self.dispatcher.order();
        let Some(arrivals) = order.arrivals() else { return };
        for (why, count) in arrivals.widened() {
            metrics::footprint_fallbacks(why, count);
        }
        metrics::dependency_cycles_broken(arrivals.order().waived());
        metrics::STATEMENTS_WAITING.set((order.waiting()) as f64);
        self.overview.costly(arrivals.worst(WORST));
    }

    // ---- Asking the target ----

    fn probe(&mut self, probe: Probe, ctx: &mut Context<Self>) {
        let observer = self.observer.take();
        let (target, login) = (self.settings.target.clone(), self.settings.observer.clone());
        let asking = async move { lock_snapshot(&target, login, observer, probe).await };
        ctx.spawn(asking.into_actor(self).map(|answer, actor, ctx| actor.on_probe(answer, ctx)));
    }

    fn on_probe(
        &mut self,
        answer: Result<(Observer, LockSnapshot), String>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok((observer, snapshot)) => {
                self.observer.keep(observer);
                self.decide(ctx, |dispatcher, round| dispatcher.probed(snapshot, round));
            }
            Err(error) => {
                self.observer.lost();
                if let Some(times) = self.dispatcher.probe_failed(self.began.elapsed()) {
                    warn!(
                        times,
                        "can't ask the target what statements wait for, and ask again: until then \
                        one that waits for a lock that a later record frees holds up the others \
                        (asked as the user of --db-user, else postgres): {error}"
                    );
                }
                self.set_timer(ctx);
            }
        }
    }

    /// Asks in their database which of these have surely drawn from no sequence.
    fn ask_drawn(&mut self, end: Start, waiters: Vec<Start>, ctx: &mut Context<Self>) {
        let connections: Vec<&Connection> =
            waiters.iter().filter_map(|waiter| self.connections.0.get(&waiter.session)).collect();
        let backends: Vec<i32> = connections.iter().map(|it| it.backend).collect();
        let database = connections.first().map(|it| it.login.database.clone());
        let observer = self.settings.observer.clone().zip(database);
        let login = observer.map(|(login, database)| Login { database, ..login });
        let target = self.settings.target.clone();
        let asking = async move {
            let observer = open(&target, login).await?;
            observer.drawn_nothing(&backends).await.map_err(|error| error.to_string())
        };
        ctx.spawn(asking.into_actor(self).map(move |answer, actor, ctx| {
            let none = answer.unwrap_or_else(|error| {
                debug!("can't ask what a waiting statement has drawn from sequences: {error}");
                Vec::new()
            });
            actor.decide(ctx, |dispatcher, round| dispatcher.drawn(end, waiters, &none, round));
        }));
    }
}
