//! How a session actor comes to its connection, loses it and gives it up.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::{LogInState, Permit, Phase, SessionActor};
use crate::actors::messages::{
    AcquireConnection, AskLogIn, Connected, Disconnected, Fatal, KeepConnection, Left, Refused,
    ReleaseConnection,
};
use crate::metrics::{self, Eviction, SessionEnd};
use crate::pglog::SessionId;
use crate::postgres::{ConnectError, Connection, Lost};
use crate::replay::account::ledger::{Fate, Filtered, GivenUp};
use crate::replay::session::{Closing, Interrupted, Leave, Left as SessionLeft};
use crate::replay::work::Seq;

/// Between two requests to cancel: by then the server goes on with what stands behind the canceled one.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

impl SessionActor {
    /// There is nothing to do yet, or nothing that is due: connects if there is a connection to spare.
    pub(super) fn connect_ahead(&mut self, ctx: &mut Context<Self>) {
        if !self.may_log_in() {
            return;
        }
        match self.permit {
            Permit::Held => return self.connect(ctx),
            Permit::None => self.permit = Permit::Hoped,
            Permit::Hoped | Permit::Asked(_) => {}
        }
        self.ask_for_connection(None, ctx);
    }

    /// There is no connection to spare. Changes do not wait for its log-in.
    pub(super) fn not_admitted(&mut self, ctx: &mut Context<Self>) {
        match self.permit {
            // It was let in before that.
            Permit::Held => return,
            Permit::Hoped => self.permit = Permit::None,
            Permit::None | Permit::Asked(_) => {}
        }
        self.state_now().log_in_put_off();
        self.around.tell_log_ins();
        self.pump(ctx);
    }

    /// Whether its log-in has come; asks for it if it has not.
    fn may_log_in(&mut self) -> bool {
        // What it waits for is less once a change waits for it.
        let asks_anew = self.log_in == LogInState::Asked && self.state().is_log_in_awaited();
        if self.log_in == LogInState::Unasked || asks_anew {
            let is_over = self.state().log_in().is_none();
            if is_over || !self.around.log_in_gate.is_guarded() {
                self.log_in = LogInState::Due { is_final: is_over };
            } else {
                self.ask_log_in(false);
            }
        }
        matches!(self.log_in, LogInState::Due { .. })
    }

    fn ask_log_in(&mut self, refused: bool) {
        self.log_in = LogInState::Asked;
        self.around.log_ins.do_send(AskLogIn { session: self.id, refused });
    }

    pub(super) fn log_in_came(&mut self, is_final: bool, ctx: &mut Context<Self>) {
        if self.log_in != LogInState::Asked {
            return;
        }
        self.log_in = LogInState::Due { is_final };
        let is_idle = {
            let state = self.state();
            !state.is_busy() && !state.is_log_in_needed()
        };
        if self.phase == Phase::Disconnected && !self.around.paced && is_idle {
            self.connect_ahead(ctx);
        } else {
            self.pump(ctx);
        }
    }

    /// There is something to do and no connection to do it on.
    pub(super) fn reconnect(&mut self, ctx: &mut Context<Self>) {
        if !self.may_log_in() {
            return;
        }
        match self.permit {
            Permit::Held => self.connect(ctx),
            Permit::Asked(_) if !self.state().is_log_in_needed() => {}
            Permit::Asked(_) | Permit::None | Permit::Hoped => {
                self.permit = Permit::Asked(Instant::now());
                let needed_by = self.state().needs_connection_by();
                self.ask_for_connection(Some(needed_by), ctx);
            }
        }
    }

    pub(super) fn ask_for_connection(&self, needed_by: Option<Seq>, ctx: &Context<Self>) {
        self.around.admission.do_send(AcquireConnection {
            session: self.id,
            needed_by,
            cell: self.cell.clone(),
            turns: ctx.address().recipient(),
        });
    }

    pub(super) fn return_permit(&mut self) {
        if matches!(self.permit, Permit::Asked(_) | Permit::Held) {
            self.permit = Permit::None;
            self.around.admission.do_send(ReleaseConnection(self.id));
        }
    }

    pub(super) fn admitted(&mut self, ctx: &mut Context<Self>) {
        match self.permit {
            // It was returned while the answer was on its way.
            Permit::None => return,
            Permit::Asked(since) => metrics::connection_waited(since.elapsed()),
            Permit::Hoped | Permit::Held => {}
        }
        self.permit = Permit::Held;
        if self.phase == Phase::Disconnected {
            self.connect(ctx);
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Connecting;
        let (target, login) = (self.around.target.clone(), self.login.clone());
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
                actor.around.outage.answered();
                actor.phase = Phase::Disconnected;
                actor.permit = Permit::None;
                let (session, error) = (actor.id, error.to_string());
                actor.around.admission.do_send(Refused { session, error });
                actor.pump(ctx);
            }
            Err(error) => {
                actor.around.outage.failed(&error);
                actor.connect_later(ctx);
                actor.pump(ctx);
            }
        }
    }

    /// Still connecting: nobody else tries, the timer alone does.
    fn connect_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(self.backoff, |actor, ctx| actor.connect(ctx));
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }

    fn connected(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        self.around.outage.reached();
        self.around.known_login.get_or_init(|| self.login.clone());
        (self.made_progress, self.refused) = (false, false);
        self.log_in = LogInState::Unasked;
        if std::mem::take(&mut self.lost_before) {
            metrics::reconnected();
        }
        let backend = connection.backend_pid();
        self.around.backends.connected(self.id, backend);
        self.around.sequencer.do_send(Connected {
            session: self.id,
            backend,
            cell: self.cell.clone(),
            turns: ctx.address().recipient(),
            login: self.login.clone(),
        });
        self.connection = Some(connection);
        if let Some(listener) = &self.listener {
            listener.wake_by_ref();
        }
        self.phase = Phase::Connected;
        self.state_now().connected();
        self.around.tell_log_ins();
        self.pump(ctx);
        self.tell_if_idle(true);
    }

    /// The target refuses this session. What it holds can't be replayed, unless something earlier is
    /// unfinished that may mend that.
    fn refused(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        self.phase = Phase::Disconnected;
        self.state_now().log_in_refused();
        self.around.tell_log_ins();
        let log_in = self.state().log_in();
        if let Some(log_in) = log_in
            && self.log_in != (LogInState::Due { is_final: true })
        {
            debug!(session = %self.id, "refused ahead of its turn: {error}");
            self.around.outage.answered();
            self.return_permit();
            match log_in.first {
                Some(_) => self.ask_log_in(true),
                None => self.log_in = LogInState::Unasked,
            }
            return self.pump(ctx);
        }
        (self.refused, self.log_in) = (true, LogInState::Unasked);
        let returns = self.state().logs_in_again();
        let works = self.state_now().drop_queue();
        // A session that has nothing to replay may well be one that the source refused too.
        if !works.is_empty() && !self.around.outage.was_ever_reached() {
            self.around.fatal.do_send(Fatal::TargetRefused(error.to_string()));
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
        self.around.give_back(works, Fate::GivenUp(GivenUp::ConnectFailed));
        self.pump(ctx);
    }

    pub(super) fn lost(&mut self, lost: &Lost, ctx: &mut Context<Self>) {
        self.forget_connection();
        let in_doubt = self.interrupted();
        warn!(session = %self.id, in_doubt,
            "lost the connection: it is opened again, and what was open is run again; what is in \
            doubt may come twice: {}", lost.reason);
        self.lost_before = true;
        self.withheld = None;
        if !self.made_progress {
            // It may be our own doing: what is sent again ends the connection each time.
            self.phase = Phase::Connecting;
            self.connect_later(ctx);
        }
        self.pump(ctx);
    }

    /// Puts back what was under way. Returns how many statements of it are in doubt.
    pub(super) fn interrupted(&mut self) -> usize {
        let Interrupted { in_doubt, poison_statement, left, state_lost, was_leaving } =
            self.state_now().lost();
        if was_leaving {
            self.around.admission.do_send(KeepConnection(self.id));
        }
        if state_lost {
            warn!(session = %self.id, "the connection had what can't be made again (temporary tables, \
                session-level advisory locks, cursors WITH HOLD, or settings whose values only it \
                knew): what needs them will fail");
        }
        (0..in_doubt).for_each(|_| metrics::in_doubt());
        if let Some(work) = poison_statement {
            warn!(session = %self.id, seq = work.seq.0,
                "given up: each time this statement ran, the connection was lost; it may crash the \
                server, whose own log tells");
            self.around.give_back(vec![work], Fate::GivenUp(GivenUp::ConnectionLost));
        }
        self.around.give_back(left, Fate::Filtered(Filtered::HandedOver));
        in_doubt
    }

    pub(super) fn forget_connection(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        self.phase = Phase::Disconnected;
        self.canceling = false;
        self.around.backends.disconnected(self.id, connection.backend_pid());
        self.around.snapshots.forget(self.id);
        self.around.sequencer.do_send(Disconnected(self.id));
        Some(connection)
    }

    pub(super) fn close(&mut self, why: Closing, ctx: &mut Context<Self>) {
        let Some(connection) = self.forget_connection() else { return };
        self.phase = Phase::Closing;
        self.closed(why);
        ctx.spawn(connection.close().into_actor(self).map(|(), actor, ctx| {
            actor.phase = Phase::Disconnected;
            actor.return_permit();
            if actor.state().is_busy() {
                actor.pump(ctx);
            } else {
                ctx.stop();
            }
        }));
    }

    /// What was rolled back with the source's session is settled; a stop leaves it to the next start.
    pub(super) fn closed(&mut self, why: Closing) {
        metrics::session_closed(self.end(why));
        let settled = self.state_now().closed();
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
            _ if self.refused => SessionEnd::Refused,
            Closing::Source(None) => SessionEnd::Disconnected,
            Closing::Source(Some(_)) => SessionEnd::Terminated,
            Closing::ServerEnded => SessionEnd::ServerEnded,
            Closing::Expired => SessionEnd::Lost,
        }
    }

    /// The order need not wait any more for what the session had open.
    fn left(&self, ended: bool) {
        if self.around.takes_turns {
            self.around.sequencer.do_send(Left { session: self.id, ended });
        }
    }

    /// Begins to give up the connection, for the session's silence or for another session.
    pub(super) fn begin_leave(&mut self, why: Leave, ctx: &mut Context<Self>) {
        let begins =
            self.phase == Phase::Connected && !self.canceling && self.state_now().leave(why);
        if begins {
            self.pump(ctx);
        } else if why != Leave::Idle {
            self.around.admission.do_send(KeepConnection(self.id));
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
                Leave::Idle => metrics::kept_idle_connection(),
                Leave::Evicted { .. } => {
                    self.around.admission.do_send(KeepConnection(self.id));
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
        self.phase = Phase::Closing;
        ctx.spawn(connection.close().into_actor(self).map(move |(), actor, ctx| {
            actor.phase = Phase::Disconnected;
            actor.return_permit();
            let remembers = actor.state().is_busy() || actor.state().has_memory();
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
                metrics::rolled_back_silent();
                info!(session = %self.id, statements,
                    "rolled back a transaction that its source left open for --idle-timeout; it is \
                    run again if it goes on");
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
        let left = self.state().cut_off(last);
        warn!(session = %self.id, statements = left.len(),
            "cut off: its partition goes to another process");
        self.withheld = None;
        self.left(false);
        self.around.give_back(left, Fate::Filtered(Filtered::HandedOver));
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
