//! The supervisor actor: owns the map of sessions; opens, times out, restarts and drains them.
//!
//! - `log_ins`: when sessions may log in;
//! - `stall_probe`: where they stand when nothing ends any more.

mod log_ins;
mod stall_probe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use foldhash::HashMap;
use tokio::sync::oneshot;
use tracing::warn;

pub(crate) use log_ins::LogInGate;

use super::messages::{
    Abort, Cancel, CloseAll, Deliver, Drain, Gone, InputEnded, RevokePartitions, Turn, Wake,
};
use super::overview::Overview;
use super::panic_guard::PanicGuard;
use super::session::{SessionActor, SessionDeps};
use crate::health::{Health, MonitoredActor};
use crate::label::Label as _;
use crate::metrics::{self, SessionState};
use crate::pglog::SessionId;
use crate::replay::account::ledger::{Fate, Filtered};
use crate::replay::intake::{Delivery, SessionEvent};
use crate::replay::pace::Moment;
use crate::replay::session::logins::LogIns;
use crate::replay::session::silence::{Forgettable, SilentSession};
use crate::replay::session::waits::Waits;
use crate::replay::session::{
    Amended, Closing, Findings, Inbox, Session, SessionCell, SessionSettings,
};
use crate::replay::settings::Login;

/// What the supervisor is told.
#[derive(Clone)]
pub(crate) struct SupervisorSettings {
    /// How sessions are replayed.
    pub sessions: SessionSettings,
    /// After how long without a record a session is given up; `None`: never.
    pub idle_timeout: Option<Duration>,
}

/// Owns the sessions.
pub(crate) struct Supervisor {
    sessions: HashMap<SessionId, Entry>,
    settings: SupervisorSettings,
    deps: SessionDeps,
    log_ins: LogIns,
    warned_of_put_off: bool,
    findings: Arc<Findings>,
    /// The threads that sessions are spread over; none: this one.
    arbiters: Vec<ArbiterHandle>,
    next_arbiter: usize,
    /// How many session actors there have been.
    actors: u64,
    draining: bool,
    drained: Vec<oneshot::Sender<()>>,
    /// Partitions whose sessions are being ended for another process, and who waits for that.
    handed_over: Vec<(Vec<i32>, oneshot::Sender<()>)>,
    health: Health,
    overview: Arc<Overview>,
    _panic_guard: PanicGuard,
}

struct Entry {
    /// Which of the actors that there have been.
    actor: u64,
    address: Addr<SessionActor>,
    cell: SessionCell,
    login: Arc<Login>,
    /// The partition that its records come from.
    partition: i32,
    last_record: Instant,
    given_up: bool,
}

impl Supervisor {
    /// A supervisor of nothing yet; `deps` is what its sessions share.
    pub(crate) fn new(
        settings: SupervisorSettings,
        deps: SessionDeps,
        arbiters: Vec<ArbiterHandle>,
        health: Health,
        overview: Arc<Overview>,
        panic_guard: PanicGuard,
    ) -> Self {
        Self {
            sessions: HashMap::default(),
            settings,
            deps,
            log_ins: LogIns::default(),
            warned_of_put_off: false,
            findings: Arc::default(),
            arbiters,
            next_arbiter: 0,
            actors: 0,
            draining: false,
            drained: Vec::new(),
            handed_over: Vec::new(),
            health,
            overview,
            _panic_guard: panic_guard,
        }
    }

    fn deliver(&mut self, delivery: Delivery, now: Instant, woken: &mut Vec<SessionId>) {
        let Delivery { session, partition, login, event } = delivery;
        if let SessionEvent::Work(work) = &event
            && work.statement.outline.changes_logins
        {
            self.note_login_change(work);
        }
        if !self.sessions.contains_key(&session) && !self.open(session, partition, login, &event) {
            return;
        }
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.partition = partition;
        entry.last_record = now;
        entry.given_up = false;
        let mut state = entry.cell.inbox();
        state.advance_to(Moment::after(now.saturating_duration_since(self.deps.began)));
        match event {
            SessionEvent::Open(_) => return,
            SessionEvent::Remember(statement) => return state.remember(&statement),
            SessionEvent::Work(work) => {
                if work.statement.outline.imports_snapshot {
                    self.deps.snapshots.await_import(&work);
                }
                state.push(work);
            }
            SessionEvent::Close(code) => state.close(Closing::Source(code)),
            SessionEvent::Amend(amendment) => match state.amend(amendment) {
                Amended::Nothing => return,
                Amended::Cancel(seq) => return entry.address.do_send(Cancel(seq)),
                Amended::Wake => {}
                Amended::Abort => metrics::LATE_FAILURES.add(1),
                Amended::TooLate => {
                    metrics::LATE_FAILURES.add(1);
                    warn!(%session, "a statement has succeeded of which the log tells only now \
                        that it failed on the source: what it did is on the target alone. Where \
                        the source logs with log_min_duration_statement = 0 instead of \
                        log_statement, its failure is known before it runs");
                    return;
                }
            },
        }
        drop(state);
        // One message wakes an actor for all that came for it in one delivery.
        if woken.last() != Some(&session) {
            woken.push(session);
        }
    }

    /// Makes a new session. Returns whether there is one now.
    fn open(
        &mut self,
        session: SessionId,
        partition: i32,
        login: Arc<Login>,
        event: &SessionEvent,
    ) -> bool {
        if matches!(event, SessionEvent::Amend(_) | SessionEvent::Close(_)) {
            return false;
        }
        let mut state = Session::new(self.settings.sessions, self.findings.clone())
            .in_database(self.findings.database(&login.database))
            .logging_in_as(self.findings.login(&login.user, &login.database));
        match event {
            SessionEvent::Open(place) => state.logs_in_before(*place),
            SessionEvent::Work(work) => state.logs_in_before(work.seq),
            _ => {}
        }
        self.start(session, partition, login, SessionCell::new(state));
        self.sessions.contains_key(&session)
    }

    fn start(&mut self, session: SessionId, partition: i32, login: Arc<Login>, cell: SessionCell) {
        let deps = self.deps.clone();
        let (actor_login, actor_cell) = (login.clone(), cell.clone());
        self.actors += 1;
        let number = self.actors;
        let actor = move || SessionActor::new(session, number, actor_login, actor_cell, deps);
        let address = match self.arbiters.get(self.next_arbiter) {
            Some(arbiter) => SessionActor::start_in_arbiter(arbiter, |_| actor()),
            None => actor().start(),
        };
        self.next_arbiter = (self.next_arbiter + 1) % self.arbiters.len().max(1);
        let entry = Entry {
            actor: number,
            address,
            cell,
            login,
            partition,
            last_record: Instant::now(),
            given_up: false,
        };
        self.sessions.insert(session, entry);
    }

    /// Looks after all sessions, once a second.
    fn sweep(&mut self) {
        self.health.beat(MonitoredActor::Supervisor);
        let idle_timeout = self.settings.idle_timeout;
        let now = Moment::after(self.deps.began.elapsed());
        let mut waits = Waits::default();
        let mut states = [0usize; SessionState::ALL.len()];
        let mut forgettable = Forgettable::default();
        for (session, entry) in &mut self.sessions {
            let silent = entry.last_record.elapsed();
            let mut state = entry.cell.inbox();
            states[kind(&state) as usize] += 1;
            // Also what goes on for hours counts by and by.
            state.advance_to(now);
            waits.add_all(&state.take_waits());
            if state.is_busy() {
                // It is not silent: what has come for it may not be due for long.
                entry.last_record = Instant::now();
                continue;
            }
            let idle = idle_timeout.is_some_and(|timeout| silent >= timeout);
            if !entry.given_up && idle && state.is_connected() {
                entry.given_up = true;
                entry.address.do_send(Turn::GiveUp);
            }
            forgettable.note(SilentSession {
                session: *session,
                silent,
                is_connected: state.is_connected(),
                has_memory: state.has_memory(),
            });
        }
        for session in forgettable.forgotten() {
            let Some(entry) = self.sessions.get(&session) else { continue };
            // As if its source had ended it: the record that says so is lost.
            entry.cell.inbox().close(Closing::Expired);
            entry.address.do_send(Wake);
        }
        self.overview.waited(&waits);
        let connections = self.deps.backends.len();
        self.overview.sessions(&states, connections);
        self.let_log_in(true);
    }

    fn check_handed_over(&mut self) {
        let sessions = &self.sessions;
        let waiting = std::mem::take(&mut self.handed_over).into_iter();
        let (done, waiting): (Vec<_>, Vec<_>) = waiting
            .partition(|(partitions, _)| !sessions.values().any(|entry| entry.is_of(partitions)));
        self.handed_over = waiting;
        for (_, waiting) in done {
            // Whoever waited may have lost patience.
            let _ = waiting.send(());
        }
    }

    fn check_drained(&mut self) {
        if self.draining && self.sessions.is_empty() {
            for waiting in self.drained.drain(..) {
                // Whoever waited may have lost patience.
                let _ = waiting.send(());
            }
        }
    }
}

impl Entry {
    fn is_of(&self, partitions: &[i32]) -> bool {
        partitions.contains(&self.partition)
    }
}

fn kind(state: &Inbox<'_>) -> SessionState {
    match (state.is_connected(), state.is_running()) {
        (false, _) if state.is_busy() && state.not_before().is_none() => SessionState::Connecting,
        (false, _) => SessionState::Disconnected,
        (true, true) => SessionState::Active,
        (true, false) if state.in_transaction() => SessionState::IdleInTransaction,
        (true, false) => SessionState::Idle,
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Supervisor);
        ctx.run_interval(Duration::from_secs(1), |actor, _| actor.sweep());
    }
}

impl Handler<Deliver> for Supervisor {
    type Result = ();

    fn handle(&mut self, Deliver(deliveries): Deliver, _: &mut Self::Context) {
        if self.draining {
            return;
        }
        let mut woken = Vec::new();
        let now = Instant::now();
        for delivery in deliveries {
            self.deliver(delivery, now, &mut woken);
        }
        woken.sort_unstable();
        woken.dedup();
        for session in woken {
            if let Some(entry) = self.sessions.get(&session) {
                entry.address.do_send(Wake);
            }
        }
    }
}

impl Handler<CloseAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: CloseAll, _: &mut Self::Context) {
        for entry in self.sessions.values() {
            entry.cell.inbox().close(Closing::ServerEnded);
            entry.address.do_send(Wake);
        }
    }
}

impl Handler<InputEnded> for Supervisor {
    type Result = ();

    fn handle(&mut self, ended: InputEnded, _: &mut Self::Context) {
        self.deps.sequencer.do_send(ended);
    }
}

impl Handler<Gone> for Supervisor {
    type Result = ();

    fn handle(&mut self, Gone { session, actor, panicked }: Gone, _: &mut Self::Context) {
        let Some(entry) = self.sessions.get(&session).filter(|entry| entry.actor == actor) else {
            // Another actor has taken its place already. (Whether its address is still open does
            // not tell: on a thread of its own it may be about to close.)
            return;
        };
        let mut state = entry.cell.inbox();
        let busy = state.is_busy();
        self.overview.waited(&state.take_waits());
        drop(state);
        let Some(entry) = self.sessions.remove(&session) else { return };
        if panicked {
            metrics::RESTARTS.add(1);
            warn!(%session, "its actor panicked, which is a defect of kreplay: please report what \
                is above this line. A new one continues with what was not settled");
        }
        self.log_ins.forget(session);
        if panicked || busy {
            self.start(session, entry.partition, entry.login, entry.cell);
        }
        self.let_log_in(false);
        self.check_drained();
        self.check_handed_over();
    }
}

impl Handler<RevokePartitions> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        RevokePartitions(partitions): RevokePartitions,
        _: &mut Self::Context,
    ) -> Self::Result {
        for entry in self.sessions.values().filter(|entry| entry.is_of(&partitions)) {
            let mut state = entry.cell.inbox();
            let works = state.drop_queue();
            state.close(Closing::Revoked);
            drop(state);
            self.deps.give_back(works, Fate::Filtered(Filtered::HandedOver));
            entry.address.do_send(Wake);
        }
        let (done, handed_over) = oneshot::channel();
        self.handed_over.push((partitions, done));
        self.check_handed_over();
        Box::pin(async move {
            // An error means that the supervisor is gone, and with it every session.
            let _ = handed_over.await;
        })
    }
}

impl Handler<Abort> for Supervisor {
    type Result = ();

    fn handle(&mut self, Abort(partitions): Abort, _: &mut Self::Context) {
        for entry in self.sessions.values().filter(|entry| entry.is_of(&partitions)) {
            let last = entry.cell.inbox().newest();
            if let Some(last) = last {
                entry.address.do_send(Turn::Abort(last));
            }
        }
    }
}

impl Handler<Drain> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.draining = true;
        for entry in self.sessions.values() {
            let mut state = entry.cell.inbox();
            state.drop_queue();
            state.close(Closing::Drain);
            drop(state);
            entry.address.do_send(Wake);
        }
        let (done, drained) = oneshot::channel();
        self.drained.push(done);
        self.check_drained();
        Box::pin(async move {
            // An error means that the supervisor is gone, and with it every session.
            let _ = drained.await;
        })
    }
}
