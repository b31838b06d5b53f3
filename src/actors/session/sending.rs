//! How a session actor sends a request.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use tracing::{debug, info};

use super::SessionActor;
use super::requests::wire_request;
use crate::actors::spin;
use crate::metrics;
use crate::pglog::SessionId;
use crate::pglog::statement::Protocol;
use crate::postgres;
use crate::replay::session::cancel_after;
use crate::replay::session::request::Request;
use crate::replay::session::rewriting::Outgoing;
use crate::replay::work::Work;

impl SessionActor {
    pub(super) fn send(&mut self, request: Request, now: Instant, ctx: &mut Context<Self>) {
        let Some(connection) = &self.connection else { return };
        if let Request::Inspect(sql) = &request {
            connection.send_for_rows(postgres::Request::Simple(sql));
            return;
        }
        let work = request.work();
        // If it was withheld before, that was in a transaction that is run again.
        self.withheld.take_if(|(before, _)| work.is_some_and(|work| work.seq == before.seq));
        let outgoing = work.map_or(Outgoing::Own, |work| self.outgoing(work));
        if let Some(work) = work {
            if let Outgoing::Withheld(why, _) = outgoing {
                self.withheld = Some((work.clone(), why));
            }
            trace_statement(self.id, work);
            self.vacate_database(work);
            if !request.draws_only() {
                self.cancel_in_time(work, ctx);
            }
        }
        let message = wire_request(&request, &outgoing);
        match work.and_then(|work| work.statement.exporter) {
            // The identifiers are among them.
            Some(_) => connection.send_for_rows(message),
            None => connection.send(message),
        }
        spin::stay_awake(now, self.deps.spin);
    }

    fn outgoing(&self, work: &Work) -> Outgoing {
        let outgoing = Outgoing::of(work, &self.deps.backends, &self.deps.snapshots);
        if outgoing.left_out() > 0 {
            metrics::UNKNOWN_SNAPSHOTS.add(outgoing.left_out() as u64);
            info!(session = %self.id, "a SET TRANSACTION SNAPSHOT is left out, and its transaction \
                sees what the target holds: the log has no export of that snapshot, or its \
                exporter's transaction is over on the target");
        }
        outgoing
    }

    /// Whether the answer is still to come that stands for a withheld statement's.
    pub(super) fn withholds(&self) -> bool {
        self.withheld.is_some() && self.connection.as_ref().is_some_and(|it| it.unanswered() > 0)
    }

    /// A statement that the source canceled is canceled after the same time, where it is run at all.
    fn cancel_in_time(&self, work: &Arc<Work>, ctx: &mut Context<Self>) {
        let Some(after) = cancel_after(work) else { return };
        let work = work.clone();
        ctx.run_later(after, move |actor, ctx| {
            let running = actor.session().running().is_some_and(|now| Arc::ptr_eq(now, &work));
            if running {
                actor.cancel(ctx);
            }
        });
    }
}

fn trace_statement(session: SessionId, work: &Work) {
    debug!(%session, seq = work.seq.0, sql = %work.statement.sql, "send");
    if let Protocol::Extended { parameters, .. } = &work.statement.protocol {
        tracing::trace!(%session, seq = work.seq.0, ?parameters, "send");
    }
}
