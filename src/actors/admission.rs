//! The admission actor: says which session may have a connection, and whose it gets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tracing::{debug, warn};

use super::messages::{
    AcquireConnection, BecameIdle, KeepConnection, Refused, ReleaseConnection, Turn,
};
use super::panic_guard::PanicGuard;
use crate::health::{Health, MonitoredActor};
use crate::metrics;
use crate::pglog::SessionId;
use crate::replay::order::permits::{ConnectionState, Permits, Quiet, Step};
use crate::replay::session::SessionCell;

/// Knows who has a connection and who waits for one.
pub(crate) struct Admission {
    permits: Permits,
    limit: usize,
    /// Everybody who has a connection or waits for one.
    sessions: HashMap<SessionId, Member>,
    pressure: Pressure,
    last_change: Instant,
    /// After how long the server is asked again that has refused, each time.
    backoff: ExponentialBackoff,
    backing_off: bool,
    /// How often the limit was passed, and how often the server refused.
    exceeded: u64,
    refused: u64,
    health: Health,
    _panic_guard: PanicGuard,
}

struct Member {
    cell: SessionCell,
    turns: Recipient<Turn>,
}

/// Whether it matters to somebody that a session has nothing to do. Read by every session after
/// every statement; so long as there are connections for all, nobody is told anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pressure {
    on: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
    awaits_catalog: Arc<AtomicBool>,
}

impl Pressure {
    /// Whether it does.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether the server has ever had no connection left for a session.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether statements wait for a catalog that is being read: then nothing moves, and nobody is in
    /// anybody's way.
    pub(crate) fn awaits_catalog(&self, awaits: bool) {
        self.awaits_catalog.store(awaits, Ordering::Relaxed);
    }
}

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often those who wait are looked after.
const TICK: Duration = Duration::from_millis(100);
/// How often it shows that it lives.
const BEAT: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

/// Twice as long each time, and never for many sessions at the same moment.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_BACKOFF)
        .with_max_delay(LONGEST_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Admission {
    /// Lets in so many sessions. `in_turns` says that statements run one at a time.
    pub(crate) fn new(
        limit: usize,
        in_turns: bool,
        pressure: Pressure,
        health: Health,
        panic_guard: PanicGuard,
    ) -> Self {
        Self {
            permits: Permits::new(limit, in_turns),
            limit,
            sessions: HashMap::new(),
            pressure,
            last_change: Instant::now(),
            backoff: backoff(),
            backing_off: false,
            exceeded: 0,
            refused: 0,
            health,
            _panic_guard: panic_guard,
        }
    }

    /// Something has changed: does what follows from it.
    fn changed(&mut self) {
        self.last_change = Instant::now();
        self.go_on(Quiet::Not);
    }

    fn go_on(&mut self, quiet: Quiet) {
        let sessions = &self.sessions;
        let connection_state =
            |session| sessions.get(&session).map_or(GONE, Member::connection_state);
        for step in self.permits.steps(connection_state, quiet) {
            self.take(step);
        }
        self.pressure.on.store(self.permits.is_pressed(), Ordering::Relaxed);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect(session) => self.tell(session, Turn::Connect),
            Step::Exceed(session) => {
                metrics::CONNECTIONS_BEYOND.add(1);
                self.exceeded += 1;
                if self.exceeded.is_power_of_two() {
                    let (limit, times) = (self.limit, self.exceeded);
                    warn!(
                        limit,
                        times,
                        "every connection that --max-sessions allows is in use, \
                        by open transactions or statements that do not end, and the next \
                        statement needs one: going past the limit until one of them ends"
                    );
                }
                self.tell(session, Turn::Connect);
            }
            Step::Evict { session, roll_back } => {
                debug!(%session, roll_back, "gives its connection to another session");
                self.tell(session, Turn::Evict { roll_back });
            }
        }
    }

    fn tell(&self, session: SessionId, turn: Turn) {
        if let Some(member) = self.sessions.get(&session) {
            member.turns.do_send(turn);
        }
    }

    fn tick(&mut self) {
        if !self.permits.is_pressed() {
            return;
        }
        if self.pressure.awaits_catalog.load(Ordering::Relaxed) {
            self.last_change = Instant::now();
        }
        let quiet = match self.last_change.elapsed() {
            quiet if quiet >= LONG => Quiet::Long,
            quiet if quiet >= SHORT => Quiet::Short,
            _ => Quiet::Not,
        };
        if quiet == Quiet::Long {
            // One more each time, and not one with every tick.
            self.last_change = Instant::now();
        }
        self.go_on(quiet);
    }
}

/// How a session stands that has gone without a word; its permit is about to be returned.
const GONE: ConnectionState = ConnectionState {
    connected: false,
    running: false,
    in_transaction: false,
    bound: false,
    next: None,
    used: crate::replay::work::Seq(0),
};

impl Member {
    fn connection_state(&self) -> ConnectionState {
        self.cell.view().connection_state()
    }
}

impl Actor for Admission {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(MonitoredActor::Admission);
        ctx.run_interval(BEAT, |actor, _| actor.health.beat(MonitoredActor::Admission));
        ctx.run_interval(TICK, |actor, _| actor.tick());
    }
}

impl Handler<AcquireConnection> for Admission {
    type Result = ();

    fn handle(&mut self, admit: AcquireConnection, _: &mut Self::Context) {
        let AcquireConnection { session, needed_by, cell, turns } = admit;
        match needed_by {
            Some(seq) => self.permits.want(session, seq),
            None if self.permits.take_spare(session) => turns.do_send(Turn::Connect),
            None => return turns.do_send(Turn::NoneToSpare),
        }
        self.sessions.insert(session, Member { cell, turns });
        // Nothing that was asked to move has moved.
        self.go_on(Quiet::Not);
    }
}

impl Handler<ReleaseConnection> for Admission {
    type Result = ();

    fn handle(&mut self, ReleaseConnection(session): ReleaseConnection, _: &mut Self::Context) {
        self.sessions.remove(&session);
        self.permits.release(session);
        self.changed();
    }
}

impl Handler<KeepConnection> for Admission {
    type Result = ();

    fn handle(&mut self, KeepConnection(session): KeepConnection, _: &mut Self::Context) {
        self.permits.stays(session);
        self.go_on(Quiet::Not);
    }
}

impl Handler<BecameIdle> for Admission {
    type Result = ();

    fn handle(&mut self, BecameIdle { connected }: BecameIdle, _: &mut Self::Context) {
        if connected && !self.backing_off {
            self.backoff = backoff();
        }
        self.changed();
    }
}

impl Handler<Refused> for Admission {
    type Result = ();

    fn handle(&mut self, Refused { session, error }: Refused, ctx: &mut Self::Context) {
        metrics::CONNECTIONS_REFUSED.add(1);
        self.pressure.refused.store(true, Ordering::Relaxed);
        self.sessions.remove(&session);
        self.permits.refused(session);
        self.refused += 1;
        if self.refused.is_power_of_two() {
            let (held, times) = (self.permits.held(), self.refused);
            warn!(
                held,
                times,
                "the target has no more connections, and sessions wait for each \
                other's: lower --max-sessions below what it allows ({error})"
            );
        }
        if !self.backing_off {
            self.backing_off = true;
            // The jitter comes on top of what the builder bounds.
            let after = self.backoff.next().unwrap_or(LONGEST_BACKOFF).min(LONGEST_BACKOFF);
            ctx.run_later(after, |actor, _| {
                actor.backing_off = false;
                actor.permits.retry();
                actor.changed();
            });
        }
        self.changed();
    }
}
