//! Statements that wait for the locks of sessions that wait for their turn.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::{Order, Sequencer};
use crate::actors::messages::Turn;
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::stall::{Activity, Blocker, NextOf, Relief, relief};
use crate::replay::work::Seq;
use crate::target::Observer;

/// What is known of statements that have not finished for long.
pub(super) struct Stalls {
    observer: Watch,
    /// In serial order: the statement whose turn it is, and since when.
    turn: (Seq, Instant),
    /// In conflict order: what each session runs, and since when that is known.
    running: HashMap<SessionId, (Seq, Instant)>,
    /// Whether a look is due.
    armed: bool,
    stall_check: Duration,
    /// How long until the next look: longer each time nothing was found.
    pause: Duration,
    /// How many statements have finished.
    finished: u64,
    warned_of_strangers: bool,
    /// How many looks in a row the target has not answered.
    blind: u64,
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
    /// Statements that others wait for have not finished for so long.
    AtTurn(Duration),
    /// Nothing has finished in any session, and there is no room to read on.
    AtAll,
}

/// What the target said, and how things stood when it was asked.
struct Seen {
    blockers: Vec<i32>,
    /// What the session of each backend was about.
    before: HashMap<i32, Activity>,
    finished: u64,
}

/// A look goes no further than this along a chain of sessions that wait for each other.
const LONGEST_CHAIN: usize = 32;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Stalls {
    pub(super) fn new(stall_check: Duration) -> Self {
        Self {
            observer: Watch::Absent,
            turn: (Seq(1), Instant::now()),
            running: HashMap::new(),
            armed: false,
            stall_check,
            pause: stall_check,
            finished: 0,
            warned_of_strangers: false,
            blind: 0,
        }
    }

    /// This statement's turn it is; `started`: it starts now.
    pub(super) fn at_turn(&mut self, turn: Seq, started: bool) {
        if turn != self.turn.0 || started {
            self.turn = (turn, Instant::now());
            self.pause = self.stall_check;
        }
    }

    /// A statement has finished.
    pub(super) fn note_finished(&mut self) {
        self.finished += 1;
    }
}

impl Sequencer {
    /// A look is due in a while.
    pub(super) fn arm(&mut self, ctx: &mut Context<Self>) {
        self.arm_after(self.stalls.pause, ctx);
    }

    fn arm_after(&mut self, after: Duration, ctx: &mut Context<Self>) {
        if !self.stalls.armed {
            self.stalls.armed = true;
            ctx.run_later(after, Self::look_at_turn);
        }
    }

    fn look_at_turn(&mut self, ctx: &mut Context<Self>) {
        self.stalls.armed = false;
        let held = match &self.order {
            Order::Serial(_) => self.stalls.turn.1.elapsed(),
            Order::Conflict(conflicts) if conflicts.somebody_waits() => self.longest_running(),
            Order::Conflict(_) | Order::Session => {
                self.stalls.running.clear();
                return;
            }
        };
        if held < self.stalls.stall_check {
            return self.arm_after(self.stalls.stall_check - held, ctx);
        }
        let waiters = self.stalled();
        if !waiters.is_empty() {
            self.look(Look::AtTurn(held), waiters, ctx);
        } else if self.is_waited_for() {
            self.arm(ctx);
        }
    }

    fn is_waited_for(&self) -> bool {
        match &self.order {
            Order::Serial(order) => order.is_waited_for(),
            Order::Conflict(conflicts) => conflicts.somebody_waits(),
            Order::Session => false,
        }
    }

    /// Sessions whose statement may wait for a lock. In serial order all with a request under way:
    /// the one whose turn it is, and any that run something again after their connection was lost.
    fn stalled(&self) -> Vec<SessionId> {
        if let Order::Conflict(_) = self.order {
            let stall_check = self.stalls.stall_check;
            let long = |since: &Instant| since.elapsed() >= stall_check;
            let stalled = self.stalls.running.iter().filter(|(_, (_, since))| long(since));
            return stalled.map(|(session, _)| *session).take(LONGEST_CHAIN).collect();
        }
        let runs = |connection: &super::Connection| {
            connection.state.lock().unwrap_or_else(PoisonError::into_inner).is_running()
        };
        let running = self.sessions.iter().filter(|(_, connection)| runs(connection));
        running.map(|(session, _)| *session).take(LONGEST_CHAIN).collect()
    }

    /// Brings up to date what each session runs. Returns for how long one has at the most.
    fn longest_running(&mut self) -> Duration {
        let now = Instant::now();
        let before = std::mem::take(&mut self.stalls.running);
        let mut oldest = now;
        for (session, connection) in &self.sessions {
            let state = connection.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(work) = state.running() else { continue };
            let known = before.get(session).filter(|(seq, _)| *seq == work.seq);
            let since = known.map_or(now, |(_, since)| *since);
            oldest = oldest.min(since);
            self.stalls.running.insert(*session, (work.seq, since));
        }
        now - oldest
    }

    /// Nothing has finished, and nothing more can be read: somebody waits for what is to come.
    pub(super) fn look_at_all(&mut self, ctx: &mut Context<Self>) {
        if let Order::Conflict(_) = self.order {
            self.longest_running();
        }
        let waiters = self.stalled();
        if !waiters.is_empty() {
            self.look(Look::AtAll, waiters, ctx);
        }
    }

    /// Asks the target what these sessions wait for.
    fn look(&mut self, look: Look, waiters: Vec<SessionId>, ctx: &mut Context<Self>) {
        let observer = match std::mem::replace(&mut self.stalls.observer, Watch::Busy) {
            Watch::Busy => return,
            Watch::Absent => None,
            Watch::Ready(observer) => Some(observer),
        };
        let waiters =
            waiters.into_iter().filter_map(|id| Some((id, self.sessions.get(&id)?.backend)));
        let waiters: Vec<(SessionId, i32)> = waiters.collect();
        let before: HashMap<i32, Activity> = self
            .sessions
            .values()
            .map(|connection| {
                let state = connection.state.lock().unwrap_or_else(PoisonError::into_inner);
                (connection.backend, state.activity())
            })
            .collect();
        let finished = self.stalls.finished;
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
                    if asked < LONGEST_CHAIN && before.get(&blocker).is_some_and(|b| b.running) {
                        ask.push(blocker);
                    }
                }
            }
            Ok((observer, Seen { blockers, before, finished }))
        };
        ctx.spawn(asking.into_actor(self).map(move |answer, actor, ctx| {
            actor.looked(look, answer, ctx);
        }));
    }

    fn looked(
        &mut self,
        look: Look,
        answer: Result<(Observer, Seen), String>,
        ctx: &mut Context<Self>,
    ) {
        let seen = match answer {
            Ok((observer, seen)) => {
                self.stalls.observer = Watch::Ready(observer);
                self.stalls.blind = 0;
                Some(seen)
            }
            Err(error) => {
                self.stalls.observer = Watch::Absent;
                self.stalls.blind += 1;
                // The target may be away for long.
                if self.stalls.blind.is_power_of_two() {
                    let times = self.stalls.blind;
                    warn!(
                        times,
                        "can't ask the target what statements wait for, and ask again: until then \
                        one that waits for a lock that a later record frees holds up the others \
                        (asked as the user of --db-user, else postgres): {error}"
                    );
                }
                None
            }
        };
        let waited = match (look, &self.order) {
            (Look::AtTurn(held), Order::Conflict(_)) => held,
            _ => self.stalls.turn.1.elapsed(),
        };
        let mut relieved = false;
        // What a look at the turn found is of no use once the turn has gone on.
        if let Some(seen) = seen
            && (look == Look::AtAll || waited >= self.stalls.stall_check)
        {
            for &backend in &seen.blockers {
                let blocker = self.blocker(backend, &seen);
                if blocker == Blocker::Stranger && !self.stalls.warned_of_strangers {
                    self.stalls.warned_of_strangers = true;
                    warn!(
                        backend,
                        "statements wait for the locks of a connection to the target \
                        that is not kreplay's: end its transaction there \
                        (pg_terminate_backend), or wait; until then the replay may stand still"
                    );
                }
                let step = relief(blocker, waited, self.settings.patience, self.input_ended);
                relieved |= self.relieve(step, look);
            }
        }
        self.stalls.pause = if relieved {
            self.stalls.stall_check
        } else {
            (self.stalls.pause * 2).min(LONGEST_PAUSE.max(self.stalls.stall_check))
        };
        self.arm(ctx);
    }

    fn blocker(&self, backend: i32, seen: &Seen) -> Blocker {
        if backend == 0 {
            return Blocker::Prepared { still: self.stalls.finished == seen.finished };
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
            Some(work) if work.ends_locks() => NextOf::End(work.seq),
            Some(work) => NextOf::Statement(work.seq),
        };
        let rests = state.activity().has_rested_since(seen.before.get(&backend).copied());
        Blocker::Session { session, rests, next }
    }

    /// Returns whether anything was set going.
    fn relieve(&self, step: Relief, look: Look) -> bool {
        // In session order nothing waits for a turn: sessions go on by themselves.
        let in_turns = match self.order {
            Order::Serial(_) => matches!(look, Look::AtTurn(_)),
            Order::Conflict(_) => true,
            Order::Session => false,
        };
        match step {
            Relief::EndEarly(Start { session, seq }) if in_turns => {
                self.overview.stall_broken(StallBreak::EarlyEnd);
                debug!(%session, "ends its transaction ahead of its turn: others wait for its locks");
                self.tell(session, Turn::RunAhead(seq))
            }
            Relief::Advance(Start { session, seq }) if in_turns => {
                self.overview.stall_broken(StallBreak::EarlyAdvance);
                debug!(%session, "goes on ahead of its turn: others wait for its locks");
                self.tell(session, Turn::RunAhead(seq))
            }
            Relief::StartNext if in_turns => match self.first_waiting() {
                Some(Start { session, seq }) => {
                    self.overview.stall_broken(StallBreak::EarlyAdvance);
                    self.tell(session, Turn::RunAhead(seq))
                }
                None => {
                    self.ask_for_more();
                    false
                }
            },
            Relief::ReadOn(_) | Relief::StartNext => {
                self.ask_for_more();
                false
            }
            Relief::GiveUp(session) => {
                self.overview.stall_broken(StallBreak::BlockerClosed);
                info!(%session, "closed its connection: others wait for its locks, and no record of it is left that would \
                    free them; what its open transaction did is rolled back");
                self.tell(session, Turn::GiveUp)
            }
            Relief::Wait | Relief::EndEarly(_) | Relief::Advance(_) => false,
        }
    }

    fn first_waiting(&self) -> Option<Start> {
        match &self.order {
            Order::Serial(order) => order.first_waiting(),
            Order::Conflict(conflicts) => conflicts.first_waiting(),
            Order::Session => None,
        }
    }
}
