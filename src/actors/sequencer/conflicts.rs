//! The conflict order at work: who asks, who holds others up and has nothing more to say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::info;

use super::{Order, Sequencer};
use crate::actors::messages::Turn;
use crate::metrics::{self, StallBreak};
use crate::pglog::SessionId;
use crate::replay::footprint::{Catalog, Costly};
use crate::replay::order::Start;
use crate::replay::order::conflict::{Arrivals, ConflictOrder};
use crate::replay::work::{Seq, Work};
use crate::target::Login;

/// The conflict order, and the sessions that wait for it.
#[derive(Default)]
pub(super) struct Conflicts {
    pub(super) arrivals: Arrivals,
    /// Sessions that asked, and for which statement.
    asking: HashMap<SessionId, Seq>,
    /// What may start and has not been told.
    starts: Vec<Start>,
    /// Whether more records were asked for since the last came.
    asked_for_more: bool,
    /// Sessions that others wait for and that have nothing to do, and since when.
    silent: HashMap<SessionId, Instant>,
}

/// How many shapes of statements the status page names.
const WORST: usize = 10;

impl Conflicts {
    pub(super) fn arrived(&mut self, statements: Vec<(Arc<Work>, Arc<Login>)>) {
        self.asked_for_more = false;
        for (work, login) in statements {
            self.arrivals.take(work, login, &mut self.starts);
        }
    }

    pub(super) fn ask(&mut self, seq: Seq, session: SessionId) -> Option<Start> {
        if self.order().may_start(seq) {
            let seq = self.order().granted(session).unwrap_or(seq);
            return Some(Start { session, seq });
        }
        self.asking.insert(session, seq);
        None
    }

    pub(super) fn finish(&mut self, seq: Seq) {
        self.arrivals.finish(seq, &mut self.starts);
    }

    pub(super) fn left(&mut self, session: SessionId, ended: bool) {
        self.silent.remove(&session);
        if ended {
            self.asking.remove(&session);
        }
        self.arrivals.close(session, ended, &mut self.starts);
    }

    /// This is the catalog of a database from now on; `None`: it can't be read.
    pub(super) fn know(&mut self, database: &str, catalog: Option<Catalog>) {
        self.arrivals.know(database, catalog, &mut self.starts);
    }

    /// The catalog of a database can't be read now: nothing waits for it.
    pub(super) fn go_without(&mut self, database: &str) {
        self.arrivals.go_without(database, &mut self.starts);
    }

    /// Whether a statement waits for others.
    pub(super) fn somebody_waits(&self) -> bool {
        let (unfinished, running) = self.order().in_flight();
        unfinished > running && running > 0
    }

    pub(super) fn order(&self) -> &ConflictOrder {
        self.arrivals.order()
    }

    /// What may start, of those who asked.
    fn take_starts(&mut self) -> Vec<Start> {
        let asking = &mut self.asking;
        let asked = |start: &Start| match asking.get(&start.session) {
            Some(seq) if *seq <= start.seq => asking.remove(&start.session).is_some(),
            _ => false,
        };
        self.starts.drain(..).filter(asked).collect()
    }

    /// Sessions that others have waited for so long and that have nothing to do.
    fn silent_for(&mut self, patience: Duration) -> Vec<SessionId> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.silent);
        let mut due = Vec::new();
        for session in self.arrivals.order().silent_holders() {
            let since = before.get(&session).copied().unwrap_or(now);
            if now - since >= patience {
                due.push(session);
            }
            self.silent.insert(session, since);
        }
        due
    }
}

impl Sequencer {
    /// Does what the conflict order has come to need.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        let Order::Conflict(conflicts) = &mut self.order else { return };
        let starts = conflicts.take_starts();
        let stuck = conflicts.arrivals.is_stuck() && !conflicts.asked_for_more;
        conflicts.asked_for_more |= stuck;
        for start in starts {
            self.let_start(start);
        }
        self.read_catalogs(ctx);
        if stuck {
            // Everything waits for transactions whose ends have not been read.
            if self.input_ended {
                self.look_after_conflicts();
            } else {
                self.ask_for_more();
            }
        }
        self.arm(ctx);
    }

    /// Publishes what the conflict order cost, and gives up sessions that others wait for in vain.
    pub(super) fn look_after_conflicts(&mut self) {
        let Order::Conflict(conflicts) = &mut self.order else { return };
        for (why, count) in conflicts.arrivals.widened() {
            metrics::order_widened(why, count);
        }
        metrics::order_waived(conflicts.arrivals.order().waived());
        let (unfinished, running) = conflicts.arrivals.order().in_flight();
        metrics::order_waiting(unfinished - running);
        let worst: Vec<Costly> = conflicts.arrivals.worst(WORST);
        self.overview.costly(worst);
        let stuck = self.input_ended && conflicts.arrivals.is_stuck();
        let patience = if stuck { Duration::ZERO } else { self.settings.patience };
        for session in conflicts.silent_for(patience) {
            self.overview.stall_broken(StallBreak::BlockerClosed);
            info!(%session, "closed its connection: others wait for its transaction, and no record of it is left that \
                would end it; what it did is rolled back");
            if !self.tell(session, Turn::GiveUp)
                && let Order::Conflict(conflicts) = &mut self.order
            {
                // It has no connection, and so no transaction.
                conflicts.left(session, false);
            }
        }
    }
}
