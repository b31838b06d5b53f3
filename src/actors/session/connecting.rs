//! How a session actor comes to its connection, loses it and gives it up.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::SessionActor;
use crate::actors::messages::{
    AcquireConnection, AskLogIn, Connected, Disconnected, Fatal, KeepConnection, Left, Refused,
    ReleaseConnection,
};
use crate::metrics::{self, Eviction, SessionEnd};
use crate::pglog::SessionId;
use crate::postgres::{ConnectError, Connection, Lost};
use crate::replay::account::ledger::{Fate, Filtered, GivenUp};
use crate::replay::session::connecting::{Admitted, Phase, Refusal, SetupStep};
use crate::replay::session::{Closing, Interrupted, Leave, Left as SessionLeft};
use crate::replay::work::Seq;

/// Between two requests to cancel: by then the server goes on with what stands behind the canceled one.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

impl SessionActor {
    /// Does what comes next without a connection.
    pub(super) fn set_up(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let is_guarded = self.deps.log_in_gate.is_guarded();
        let mut session = self.cell.driver();
        session.advance_to(self.deps.moment(now));
        let step = self.setup.step(&mut session, is_guarded);
        drop(session);
        self.take_setup_step(step, ctx);
    }

    /// Connects, though there is nothing to do yet, if there is a connection to spare.
    pub(super) fn connect_ahead(&mut self, ctx: &mut Context<Self>) {
        let is_guarded = self.deps.log_in_gate.is_guarded();
        let session = self.cell.driver();
        let step = self.setup.connect_ahead(&session, is_guarded);
        drop(session);
        self.take_setup_step(step, ctx);
    }

    fn take_setup_step(&mut self, step: SetupStep, ctx: &mut Context<Self>) {
        match step {
            SetupStep::Wait => {}
            SetupStep::AskLogIn => self.ask_log_in(false),
            SetupStep::Acquire(needed_by) => self.ask_for_connection(needed_by, ctx),
            SetupStep::Connect => self.connect(ctx),
            SetupStep::ConnectAt(at) => {
                self.return_permit();
                self.wake_at(at, ctx);
            }
            SetupStep::Rest => self.return_permit(),
            SetupStep::Close(why) => {
                self.return_permit();
                self.closed(why);
                ctx.stop();
            }
        }
    }

    /// There is no connection to spare. Changes do not wait for its log-in.
    pub(super) fn not_admitted(&mut self, ctx: &mut Context<Self>) {
        if self.setup.not_admitted() {
            self.session_now().log_in_put_off();
            self.deps.tell_log_ins();
            self.pump(ctx);
        }
    }

    fn ask_log_in(&self, refused: bool) {
        self.deps.log_ins.do_send(AskLogIn { session: self.id, refused });
    }

    pub(super) fn log_in_came(&mut self, is_final: bool, ctx: &mut Context<Self>) {
        if !self.setup.log_in_came(is_final) {
            return;
        }
        let connects_ahead = self.setup.connects_ahead(&self.session());
        if connects_ahead {
            self.connect_ahead(ctx);
        } else {
            self.pump(ctx);
        }
    }

    fn ask_for_connection(&self, needed_by: Option<Seq>, ctx: &Context<Self>) {
        self.deps.admission.do_send(AcquireConnection {
            session: self.id,
            needed_by,
            cell: self.cell.clone(),
            turns: ctx.address().recipient(),
        });
    }

    fn return_permit(&mut self) {
        if self.setup.return_permit() {
            self.deps.admission.do_send(ReleaseConnection(self.id));
        }
    }

    pub(super) fn admitted(&mut self, ctx: &mut Context<Self>) {
        let Admitted { waited, connects } = self.setup.admitted(self.deps.moment(Instant::now()));
        if let Some(waited) = waited {
            metrics::connection_waited(waited);
        }
        if connects {
            self.connect(ctx);
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        self.setup.connecting();
        let (target, login) = (self.deps.target.clone(), self.login.clone());
        ctx.spawn(
            async move { target.connect(&login).await }
                .into_actor(self)
                .map(Self::connect_answered),
        );
    }

    fn connect_answered(
        result: Result<Connection, ConnectError>,
        actor: &mut Self,
        ctx: &mut Context<Self>,
    ) {
        match result {
            Ok(connection) => actor.connected(connection, ctx),
            Err(error) if error.is_permanent() => actor.refused(&error, ctx),
            Err(error) if error.is_full() => {
                actor.deps.reachability.answered();
                actor.setup.found_none_left();
                let (session, error) = (actor.id, error.to_string());
                actor.deps.admission.do_send(Refused { session, error });
                actor.pump(ctx);
            }
            Err(error) => {
                actor.deps.reachability.failed(&error);
                Self::connect_later(actor.setup.retries_after(), ctx);
                actor.pump(ctx);
            }
        }
    }

    /// Nobody else tries, the timer alone does.
    fn connect_later(after: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(after, |actor, ctx| actor.connect(ctx));
    }

    fn connected(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        self.deps.reachability.reached();
        self.deps.known_login.get_or_init(|| self.login.clone());
        self.deps.spending.lock().replays_to(&self.login.database);
        let backend = connection.backend_pid();
        self.deps.backends.connected(self.id, backend);
        self.deps.sequencer.do_send(Connected {
            session: self.id,
            backend,
            cell: self.cell.clone(),
            turns: ctx.address().recipient(),
            login: self.login.clone(),
        });
        if self.deps.explain {
            connection.keep_plans();
        }
        self.connection = Some(connection);
        if let Some(listener) = &self.listener {
            listener.wake_by_ref();
        }
        if self.setup.connected() {
            metrics::RECONNECTS.add(1);
        }
        self.session_now().connected();
        self.deps.tell_log_ins();
        self.pump(ctx);
        self.tell_if_idle(true);
    }

    /// The target refuses this session. What it holds can't be replayed, unless something earlier is
    /// unfinished that may mend that.
    fn refused(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        self.session_now().log_in_refused();
        self.deps.tell_log_ins();
        let refusal = self.setup.refused(&self.cell.driver());
        if refusal == Refusal::Final {
            self.give_up_refused(error);
        } else {
            debug!(session = %self.id, "refused ahead of its turn: {error}");
            self.deps.reachability.answered();
            self.return_permit();
            if refusal == Refusal::AheadOfTurn {
                self.ask_log_in(true);
            }
        }
        self.pump(ctx);
    }

    fn give_up_refused(&self, error: &ConnectError) {
        let returns = self.session().logs_in_again();
        let works = self.session_now().drop_queue();
        // A session that has nothing to replay may well be one that the source refused too.
        if !works.is_empty() && !self.deps.reachability.was_ever_reached() {
            self.deps.fatal.do_send(Fatal::TargetRefused(error.to_string()));
        }
        let statements = works.len();
        match returns {
            _ if statements == 0 => debug!(session = %self.id, "not let in: {error}"),
            true => warn!(session = %self.id, statements,
                "given up, the target does not let this session in again, whose connection was lost or \
                went to another session: it needs one of its own (--max-sessions, --idle-timeout): \
                {error}"),
            false => warn!(session = %self.id, statements,
                "given up, the target does not let this session in: mend that there, or choose other \
                names (--map-user, --map-db, -u, -d) or sessions (--source-db): {error}"),
        }
        self.deps.give_back(works, Fate::GivenUp(GivenUp::ConnectFailed));
    }

    pub(super) fn lost(&mut self, lost: &Lost, ctx: &mut Context<Self>) {
        self.forget_connection();
        let in_doubt = self.interrupted();
        warn!(session = %self.id, in_doubt,
            "lost the connection: it is opened again, and what was open is run again; what is in \
            doubt may be applied twice: {}", lost.reason);
        self.withheld = None;
        if let Some(after) = self.setup.lost() {
            Self::connect_later(after, ctx);
        }
        self.pump(ctx);
    }

    /// Puts back what was under way. Returns how many statements of it are in doubt.
    pub(super) fn interrupted(&mut self) -> usize {
        let Interrupted { in_doubt, poison_statement, left, state_lost, was_leaving } =
            self.session_now().lost();
        if was_leaving {
            self.deps.admission.do_send(KeepConnection(self.id));
        }
        if state_lost {
            warn!(session = %self.id, "the connection had what can't be made again (temporary tables, \
                session-level advisory locks, cursors WITH HOLD, or settings whose values only it \
                knew): what needs them will fail");
        }
        (0..in_doubt).for_each(|_| metrics::IN_DOUBT.add(1));
        if let Some(work) = poison_statement {
            warn!(session = %self.id, seq = work.seq.0,
                "given up: each time this statement ran, the connection was lost; it may crash the \
                server, whose own log tells");
            self.deps.give_back(vec![work], Fate::GivenUp(GivenUp::ConnectionLost));
        }
        self.deps.give_back(left, Fate::Filtered(Filtered::HandedOver));
        in_doubt
    }

    pub(super) fn forget_connection(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        self.setup.disconnected();
        self.canceling = false;
        self.deps.backends.disconnected(self.id, connection.backend_pid());
        self.deps.snapshots.forget(self.id);
        self.deps.sequencer.do_send(Disconnected(self.id));
        Some(connection)
    }

    pub(super) fn close(&mut self, why: Closing, ctx: &mut Context<Self>) {
        let Some(connection) = self.forget_connection() else { return };
        self.setup.closing();
        self.closed(why);
        ctx.spawn(connection.close().into_actor(self).map(|(), actor, ctx| {
            actor.setup.disconnected();
            actor.return_permit();
            if actor.session().is_busy() {
                actor.pump(ctx);
            } else {
                ctx.stop();
            }
        }));
    }

    /// What was rolled back with the source's session is settled; a stop leaves it to the next start.
    pub(super) fn closed(&mut self, why: Closing) {
        metrics::session_closed(self.end(why));
        let settled = self.session_now().closed();
        // If its partition comes back, it begins anew.
        self.left(why.is_the_sources() || why == Closing::Revoked);
        if why.is_the_sources() {
            self.progress.settle(&settled);
            self.tell_progress();
        }
    }

    pub(super) fn end(&self, why: Closing) -> SessionEnd {
        match why {
            Closing::Drain => SessionEnd::Drained,
            Closing::Revoked => SessionEnd::HandedOver,
            _ if self.setup.is_refused() => SessionEnd::Refused,
            Closing::Source(None) => SessionEnd::Disconnected,
            Closing::Source(Some(_)) => SessionEnd::Terminated,
            Closing::ServerEnded => SessionEnd::ServerEnded,
            Closing::Expired => SessionEnd::Lost,
        }
    }

    /// The order need not wait any more for what the session had open.
    fn left(&self, ended: bool) {
        if self.deps.takes_turns {
            self.deps.sequencer.do_send(Left { session: self.id, ended });
        }
    }

    /// Begins to give up the connection, for the session's silence or for another session.
    pub(super) fn begin_leave(&mut self, why: Leave, ctx: &mut Context<Self>) {
        let begins = self.setup.phase() == Phase::Connected
            && !self.canceling
            && self.session_now().leave(why);
        if begins {
            self.pump(ctx);
        } else if why != Leave::Idle {
            self.deps.admission.do_send(KeepConnection(self.id));
        }
    }

    /// The server has been asked what the session has: gives up the connection, unless it is kept.
    pub(super) fn leave(&mut self, left: SessionLeft, ctx: &mut Context<Self>) {
        let SessionLeft { why, kept, rolled_back, bound } = left;
        if rolled_back > 0 {
            self.left(false);
            self.account_for_rollback(why, rolled_back);
        }
        if kept {
            match why {
                Leave::Idle => metrics::KEPT_IDLE.add(1),
                Leave::Evicted { .. } => {
                    self.deps.admission.do_send(KeepConnection(self.id));
                }
            }
            return;
        }
        if let Leave::Evicted { .. } = why {
            metrics::evicted(match (rolled_back, bound) {
                (1.., _) => Eviction::RolledBack,
                (0, true) => Eviction::StateLost,
                (0, false) => Eviction::Restorable,
            });
        }
        if bound {
            warn!(session = %self.id, "closed a connection that had temporary tables, session-level \
                advisory locks, cursors WITH HOLD or a log-in that is not possible any more: what needs \
                them will fail; others waited for it: for a connection (--max-sessions), or its locks");
        }
        let Some(connection) = self.forget_connection() else { return };
        self.setup.closing();
        ctx.spawn(connection.close().into_actor(self).map(move |(), actor, ctx| {
            actor.setup.disconnected();
            actor.return_permit();
            let remembers = actor.session().is_busy() || actor.session().has_memory();
            if remembers || why != Leave::Idle {
                // It may have been told to close meanwhile.
                actor.pump(ctx);
            } else {
                metrics::session_closed(SessionEnd::Idle);
                ctx.stop();
            }
        }));
    }

    fn account_for_rollback(&self, why: Leave, statements: usize) {
        match why {
            Leave::Idle => {
                metrics::SILENT_ROLLBACKS.add(1);
                info!(session = %self.id, statements,
                    "rolled back a transaction that its source left open for --idle-timeout; it is \
                    run again if it continues");
            }
            Leave::Evicted { .. } => info!(session = %self.id, statements,
                "rolled back an open transaction, to be run again: the target has no connection \
                left for the statement whose turn it is (--max-sessions)"),
        }
    }

    /// Cancels what is under way, and closes the connection without hearing what came of it: whatever
    /// that is, the next owner of the partition runs it again.
    pub(super) fn cut_off(&mut self, last: Seq, ctx: &mut Context<Self>) {
        let Some(connection) = self.forget_connection() else { return };
        let in_flight = connection.unanswered();
        let left = self.session().cut_off(last);
        warn!(session = %self.id, statements = left.len(),
            "cut off: its partition goes to another process");
        self.withheld = None;
        self.left(false);
        self.deps.give_back(left, Fate::Filtered(Filtered::HandedOver));
        actix::spawn(cancel_all(self.id, connection, in_flight));
        self.pump(ctx);
    }
}

/// Closes a connection with so many requests in flight, and cancels them one after the other: the server
/// would run them to the last, even after its client has gone.
async fn cancel_all(session: SessionId, connection: Connection, in_flight: usize) {
    let cancels: Vec<_> = (0..=in_flight).map(|_| connection.cancel()).collect();
    let canceling = async {
        for cancel in cancels {
            if let Err(error) = cancel.await {
                warn!(%session, "{error}");
            }
            tokio::time::sleep(CANCEL_INTERVAL).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = connection.close() => {}
        () = canceling => {}
    }
}
