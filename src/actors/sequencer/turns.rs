//! The order at work: who may start, what it cost, and who holds others up and has nothing more to say.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::info;

use super::Sequencer;
use crate::actors::messages::Turn;
use crate::metrics::{self, StallBreak};
use crate::pglog::SessionId;
use crate::replay::order::footprint::TopFallback;
use crate::replay::order::view::OrderView;

/// Sessions that others wait for and that have nothing to do, and since when.
#[derive(Default)]
pub(super) struct SilentHolders(HashMap<SessionId, Instant>);

/// How many shapes of statements the status page names.
const WORST: usize = 10;

impl SilentHolders {
    /// The session has come to an end.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// Those of these that have been silent for so long.
    fn silent_for(
        &mut self,
        holders: impl Iterator<Item = SessionId>,
        patience: Duration,
    ) -> Vec<SessionId> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.0);
        let mut due = Vec::new();
        for session in holders {
            let since = before.get(&session).copied().unwrap_or(now);
            if now - since >= patience {
                due.push(session);
            }
            self.0.insert(session, since);
        }
        due
    }
}

impl Sequencer {
    /// Does what the order has come to need.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        if !self.order.takes_turns() {
            return;
        }
        let starts = self.order.take_starts();
        let stuck = self.order.is_stuck() && !self.asked_for_more;
        self.asked_for_more |= stuck;
        let turn = self.order.turn();
        // It counts from its start: a statement may have to wait for its time when its turn has come.
        self.stalls.note_turn(
            turn.map(|it| it.seq),
            turn.is_some_and(|turn| starts.iter().any(|start| start.session == turn.session)),
        );
        for start in starts {
            self.let_start(start);
        }
        self.read_catalogs(ctx);
        if stuck {
            // Everything waits for transactions whose ends have not been read.
            if self.input_ended {
                self.look_after_order();
            } else {
                self.ask_for_more();
            }
        }
        self.watch_stalls(ctx);
    }

    /// Publishes what the order cost, and gives up sessions that others wait for in vain.
    pub(super) fn look_after_order(&mut self) {
        let Some(arrivals) = self.order.arrivals() else { return };
        for (why, count) in arrivals.widened() {
            metrics::footprint_fallbacks(why, count);
        }
        metrics::dependency_cycles_broken(arrivals.order().waived());
        metrics::order_waiting(self.order.waiting());
        let worst: Vec<TopFallback> = arrivals.worst(WORST);
        self.overview.costly(worst);
        let stuck = self.input_ended && arrivals.is_stuck();
        let patience = if stuck { Duration::ZERO } else { self.settings.patience };
        for session in self.silent.silent_for(arrivals.order().silent_holders(), patience) {
            self.overview.stall_broken(StallBreak::BlockerClosed);
            info!(%session, "closed its connection: others wait for its transaction, and no record of it is left that \
                would end it; what it did is rolled back");
            if !self.tell(session, Turn::GiveUp) {
                // It has no connection, and so no transaction.
                self.silent.forget(session);
                self.order.close(session, false);
            }
        }
    }
}
