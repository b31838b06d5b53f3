//! The conflict order at work: who asks, whose catalog has to be read, who holds others up and has
//! nothing more to say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::{Order, Sequencer};
use crate::actors::messages::Turn;
use crate::metrics::{self, StallBreak};
use crate::pglog::SessionId;
use crate::replay::conflict::{Arrivals, ConflictOrder};
use crate::replay::footprint::{Catalog, Costly};
use crate::replay::order::Start;
use crate::replay::work::{Seq, Work};
use crate::target::{Login, Target};

/// The conflict order, and the sessions that wait for it.
#[derive(Default)]
pub(super) struct Conflicts {
    arrivals: Arrivals,
    /// Sessions that asked, and for which statement.
    asking: HashMap<SessionId, Seq>,
    /// What may start and has not been told.
    starts: Vec<Start>,
    reading: Reading,
    /// Whether more records were asked for since the last came.
    asked_for_more: bool,
    /// Sessions that others wait for and that have nothing to do, and since when.
    silent: HashMap<SessionId, Instant>,
}

/// How the reading of the catalog stands that is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Idle,
    UnderWay,
    /// The target did not let it in, while statements run that may mend that.
    Refused,
}

/// How many shapes of statements the status page names.
const WORST: usize = 10;
const RETRY: Duration = Duration::from_secs(1);

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
        self.arrivals.close(session, ended, &mut self.starts);
    }

    /// Whose catalog is to be read now.
    fn take_wanted(&mut self) -> Option<Arc<Login>> {
        let (_, running) = self.order().in_flight();
        if self.reading == Reading::Refused && running == 0 {
            self.reading = Reading::Idle;
        }
        let wanted = self.arrivals.wanted().filter(|_| self.reading == Reading::Idle).cloned();
        if wanted.is_some() {
            self.reading = Reading::UnderWay;
        }
        wanted
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
        let wanted = conflicts.take_wanted();
        for start in starts {
            self.let_start(start);
        }
        if let Some(login) = wanted {
            self.read_catalog(&login, ctx);
        }
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

    fn read_catalog(&mut self, login: &Login, ctx: &mut Context<Self>) {
        let observer = self.settings.observer.as_ref();
        let user = observer.map_or(&login.user, |observer| &observer.user).clone();
        let as_observer = Login { user, application_name: "kreplay".to_owned(), ..login.clone() };
        let as_session = Login { application_name: "kreplay".to_owned(), ..login.clone() };
        let target = self.settings.target.clone();
        let reading = async move {
            loop {
                let read = match catalog(&target, &as_observer).await {
                    // The observer's user need not be let into every database.
                    Err(Unread::Refused(_) | Unread::ForGood(_)) if as_observer != as_session => {
                        catalog(&target, &as_session).await
                    }
                    read => read,
                };
                match read {
                    Err(Unread::ForNow(error)) => {
                        debug!(database = as_session.database, "reading its catalog: {error}");
                        tokio::time::sleep(RETRY).await;
                    }
                    read => break read,
                }
            }
        };
        let database = login.database.clone();
        ctx.spawn(reading.into_actor(self).map(move |read, actor, ctx| {
            actor.catalog_read(&database, read, ctx);
        }));
    }

    fn catalog_read(
        &mut self,
        database: &str,
        read: Result<Catalog, Unread>,
        ctx: &mut Context<Self>,
    ) {
        let Order::Conflict(conflicts) = &mut self.order else { return };
        conflicts.reading = Reading::Idle;
        let (_, running) = conflicts.order().in_flight();
        let catalog = match read {
            Ok(catalog) => Some(catalog),
            Err(Unread::Refused(error)) if running > 0 => {
                debug!(database, "its catalog can't be read yet: {error}");
                conflicts.reading = Reading::Refused;
                ctx.run_later(RETRY, Self::read_again);
                return;
            }
            Err(Unread::Refused(error) | Unread::ForGood(error) | Unread::ForNow(error)) => {
                warn!(
                    database,
                    "its catalog can't be read, so that each statement in it waits for every                     other, as with --order serial; let the user of --db-user, or the sessions'                     own, read it: {error}"
                );
                None
            }
        };
        conflicts.arrivals.know(database, catalog, &mut conflicts.starts);
        self.go_on(ctx);
    }

    /// Nothing that ran has ended meanwhile, or it has not mended the refusal.
    fn read_again(&mut self, ctx: &mut Context<Self>) {
        if let Order::Conflict(conflicts) = &mut self.order
            && conflicts.reading == Reading::Refused
        {
            conflicts.reading = Reading::Idle;
            self.go_on(ctx);
        }
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

/// Why a catalog was not read.
enum Unread {
    ForNow(String),
    /// The target lets nobody in who asks.
    Refused(String),
    ForGood(String),
}

async fn catalog(target: &Target, login: &Login) -> Result<Catalog, Unread> {
    let observer = target.observe(login).await.map_err(|error| {
        let text = error.to_string();
        if error.is_permanent() { Unread::Refused(text) } else { Unread::ForNow(text) }
    })?;
    observer.catalog().await.map(Catalog::new).map_err(|error| {
        let text = error.to_string();
        if observer.is_closed() { Unread::ForNow(text) } else { Unread::ForGood(text) }
    })
}
