//! The sequencer actor: the order across sessions, and what to do when it stands still.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::messages::{
    Ask, Connected, Disconnected, Finished, InputEnded, ReadOn, Relieve, SharedSession, Turn,
};
use super::overview::Overview;
use super::vital::Vital;
use crate::http::{Beating, Health};
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::replay::backends::Backends;
use crate::replay::order::{SerialOrder, Start};
use crate::replay::stall::{Blocker, NextOf, Relief, relief};
use crate::replay::work::Seq;
use crate::target::{Login, Observer, Target};

/// Gives turns, and frees statements that wait for the locks of sessions without one.
pub struct Sequencer {
    order: SerialOrder,
    sessions: HashMap<SessionId, Connection>,
    backends: Arc<Backends>,
    read_on: Option<Recipient<ReadOn>>,
    observer: Watch,
    settings: SequencerSettings,
    /// The statement whose turn it is, and since when.
    turn: (Seq, Instant),
    /// Whether a look is due.
    armed: bool,
    /// How long until the next look: longer each time nothing was found.
    pause: Duration,
    input_ended: bool,
    warned_of_strangers: bool,
    health: Health,
    overview: Arc<Overview>,
    _vital: Vital,
}

/// What the sequencer is told.
#[derive(Clone)]
pub struct SequencerSettings {
    /// How long a statement may run before the target is asked what it waits for.
    pub stall_check: Duration,
    /// How long a blocker whose next record has not been read is waited for.
    pub patience: Duration,
    /// The server that is replayed on.
    pub target: Target,
    /// Who looks at it from outside the sessions; `None`: as the first session logs in.
    pub observer: Option<Login>,
}

struct Connection {
    backend: i32,
    state: SharedSession,
    turns: Recipient<Turn>,
}

/// The connection that looks at the target from outside the sessions.
enum Watch {
    Absent,
    Busy,
    Ready(Observer),
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The statement that holds the turn has not finished.
    AtTurn,
    /// Nothing has finished in any session, and there is no room to read on.
    AtAll,
}

/// A look goes no further than this along a chain of sessions that wait for each other.
const LONGEST_CHAIN: usize = 32;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Sequencer {
    /// A sequencer of nothing yet.
    pub fn new(
        settings: SequencerSettings,
        backends: Arc<Backends>,
        health: Health,
        overview: Arc<Overview>,
        vital: Vital,
    ) -> Self {
        Self {
            order: SerialOrder::default(),
            sessions: HashMap::new(),
            backends,
            read_on: None,
            observer: Watch::Absent,
            pause: settings.stall_check,
            settings,
            turn: (Seq(1), Instant::now()),
            armed: false,
            input_ended: false,
            warned_of_strangers: false,
            health,
            overview,
            _vital: vital,
        }
    }

    fn start(&mut self, start: Option<Start>, ctx: &mut Context<Self>) {
        let turn = self.order.turn();
        // It counts from its start: a statement may have to wait for its time when its turn has come.
        if turn != self.turn.0 || start.is_some_and(|start| start.seq == turn) {
            self.turn = (turn, Instant::now());
            self.pause = self.settings.stall_check;
        }
        if let Some(Start { session, seq }) = start {
            match self.sessions.get(&session) {
                Some(connection) => connection.turns.do_send(Turn::Start(seq)),
                // It lost its connection meanwhile, and will ask again when it has one.
                None => debug!(%session, "is not connected at its turn"),
            }
        }
        self.arm(self.pause, ctx);
    }

    // ---- Stalls ----

    fn arm(&mut self, after: Duration, ctx: &mut Context<Self>) {
        if !self.armed {
            self.armed = true;
            ctx.run_later(after, Self::look_at_turn);
        }
    }

    fn look_at_turn(&mut self, ctx: &mut Context<Self>) {
        self.armed = false;
        let held = self.turn.1.elapsed();
        if held < self.settings.stall_check {
            return self.arm(self.settings.stall_check - held, ctx);
        }
        let running = self.running();
        if !running.is_empty() {
            self.look(Look::AtTurn, running, ctx);
        } else if self.order.is_waited_for() {
            self.arm(self.pause, ctx);
        }
    }

    /// Sessions with a request under way: the one whose turn it is, and any that run something again
    /// after their connection was lost.
    fn running(&self) -> Vec<SessionId> {
        let runs = |connection: &Connection| {
            connection.state.lock().unwrap_or_else(PoisonError::into_inner).is_running()
        };
        let running = self.sessions.iter().filter(|(_, connection)| runs(connection));
        running.map(|(session, _)| *session).take(LONGEST_CHAIN).collect()
    }

    /// Asks the target what these sessions wait for.
    fn look(&mut self, look: Look, waiters: Vec<SessionId>, ctx: &mut Context<Self>) {
        let observer = match std::mem::replace(&mut self.observer, Watch::Busy) {
            Watch::Busy => return,
            Watch::Absent => None,
            Watch::Ready(observer) => Some(observer),
        };
        let waiters =
            waiters.into_iter().filter_map(|id| Some((id, self.sessions.get(&id)?.backend)));
        let waiters: Vec<(SessionId, i32)> = waiters.collect();
        let running: HashMap<i32, bool> = self
            .sessions
            .values()
            .map(|connection| {
                let state = connection.state.lock().unwrap_or_else(PoisonError::into_inner);
                (connection.backend, state.is_running())
            })
            .collect();
        let settings = self.settings.clone();
        let asking = async move {
            let observer = match observer {
                Some(observer) if !observer.is_closed() => observer,
                _ => {
                    let login = settings.observer.ok_or("no session has logged in")?;
                    settings.target.observe(&login).await.map_err(|e| e.to_string())?
                }
            };
            let mut blockers = Vec::new();
            let mut ask: Vec<i32> = waiters.iter().map(|(_, backend)| *backend).collect();
            let mut asked = 0;
            while let Some(backend) = ask.pop() {
                asked += 1;
                for blocker in observer.blockers(backend).await.map_err(|e| e.to_string())? {
                    if blockers.contains(&blocker) {
                        continue;
                    }
                    blockers.push(blocker);
                    if asked < LONGEST_CHAIN && running.get(&blocker) == Some(&true) {
                        ask.push(blocker);
                    }
                }
            }
            Ok((observer, blockers))
        };
        ctx.spawn(asking.into_actor(self).map(move |answer, actor, ctx| {
            actor.looked(look, answer, ctx);
        }));
    }

    fn looked(
        &mut self,
        look: Look,
        answer: Result<(Observer, Vec<i32>), String>,
        ctx: &mut Context<Self>,
    ) {
        let blockers = match answer {
            Ok((observer, blockers)) => {
                self.observer = Watch::Ready(observer);
                blockers
            }
            Err(error) => {
                self.observer = Watch::Absent;
                warn!("can't see what statements wait for: {error}");
                Vec::new()
            }
        };
        let waited = self.turn.1.elapsed();
        let mut relieved = false;
        // What a look at the turn found is of no use once the turn has gone on.
        if look == Look::AtAll || waited >= self.settings.stall_check {
            for backend in blockers {
                let blocker = self.blocker(backend);
                if blocker == Blocker::Stranger && !self.warned_of_strangers {
                    self.warned_of_strangers = true;
                    warn!(
                        backend,
                        "statements wait for the locks of a connection to the target \
                        that is not kreplay's"
                    );
                }
                let step = relief(blocker, waited, self.settings.patience, self.input_ended);
                relieved |= self.relieve(step, look);
            }
        }
        self.pause = if relieved {
            self.settings.stall_check
        } else {
            (self.pause * 2).min(LONGEST_PAUSE.max(self.settings.stall_check))
        };
        self.arm(self.pause, ctx);
    }

    fn blocker(&self, backend: i32) -> Blocker {
        if backend == 0 {
            return Blocker::Prepared;
        }
        let known = self.backends.session(backend);
        let Some((session, connection)) =
            known.and_then(|session| Some((session, self.sessions.get(&session)?)))
        else {
            return Blocker::Stranger;
        };
        let state = connection.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match state.head() {
            None => NextOf::Nothing,
            Some(_) if state.not_before().is_some() => NextOf::Later,
            Some(work) if work.ends_locks() => NextOf::End,
            Some(_) => NextOf::Statement,
        };
        Blocker::Session { session, running: state.is_running(), next }
    }

    /// Returns whether anything was set going.
    fn relieve(&self, step: Relief, look: Look) -> bool {
        // In session order nothing waits for a turn: sessions go on by themselves.
        let in_turns = look == Look::AtTurn;
        match step {
            Relief::EndEarly(session) if in_turns => {
                self.overview.stall_broken(StallBreak::EarlyEnd);
                debug!(%session, "ends its transaction ahead of its turn: others wait for its locks");
                self.tell(session, Turn::RunAhead)
            }
            Relief::Advance(session) if in_turns => {
                self.overview.stall_broken(StallBreak::EarlyAdvance);
                debug!(%session, "goes on ahead of its turn: others wait for its locks");
                self.tell(session, Turn::RunAhead)
            }
            Relief::StartNext if in_turns => match self.order.first_waiting() {
                Some(Start { session, .. }) => {
                    self.overview.stall_broken(StallBreak::EarlyAdvance);
                    self.tell(session, Turn::RunAhead)
                }
                None => self.ask_for_more(),
            },
            Relief::ReadOn(_) | Relief::StartNext => self.ask_for_more(),
            Relief::GiveUp(session) => {
                self.overview.stall_broken(StallBreak::BlockerClosed);
                info!(%session, "given up: others wait for its locks, and no record of it is left");
                self.tell(session, Turn::GiveUp)
            }
            Relief::Wait | Relief::EndEarly(_) | Relief::Advance(_) => false,
        }
    }

    fn tell(&self, session: SessionId, turn: Turn) -> bool {
        let connection = self.sessions.get(&session);
        connection.inspect(|connection| connection.turns.do_send(turn)).is_some()
    }

    fn ask_for_more(&self) -> bool {
        if let Some(consumer) = &self.read_on {
            consumer.do_send(ReadOn);
        }
        false
    }
}

impl Actor for Sequencer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.health.beat(Beating::Sequencer);
        ctx.run_interval(Duration::from_secs(1), |actor, _| actor.health.beat(Beating::Sequencer));
    }
}

/// Daemon → sequencer: who reads on when everything waits for what has not been read.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadsOn(pub Recipient<ReadOn>);

impl Handler<ReadsOn> for Sequencer {
    type Result = ();

    fn handle(&mut self, ReadsOn(consumer): ReadsOn, _: &mut Self::Context) {
        self.read_on = Some(consumer);
    }
}

impl Handler<Ask> for Sequencer {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        let start = self.order.ask(ask.seq, ask.session);
        self.start(start, ctx);
    }
}

impl Handler<Finished> for Sequencer {
    type Result = ();

    fn handle(&mut self, Finished(seq): Finished, ctx: &mut Self::Context) {
        let start = self.order.finish(seq);
        self.start(start, ctx);
    }
}

impl Handler<Connected> for Sequencer {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let Connected { session, backend, state, turns, login } = connected;
        self.settings.observer.get_or_insert_with(|| Login {
            application_name: "kreplay".to_owned(),
            ..(*login).clone()
        });
        self.sessions.insert(session, Connection { backend, state, turns });
    }
}

impl Handler<Disconnected> for Sequencer {
    type Result = ();

    fn handle(&mut self, Disconnected(session): Disconnected, _: &mut Self::Context) {
        self.sessions.remove(&session);
    }
}

impl Handler<InputEnded> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: InputEnded, _: &mut Self::Context) {
        self.input_ended = true;
    }
}

impl Handler<Relieve> for Sequencer {
    type Result = ();

    fn handle(&mut self, _: Relieve, ctx: &mut Self::Context) {
        let waiters = self.running();
        if !waiters.is_empty() {
            self.look(Look::AtAll, waiters, ctx);
        }
    }
}
