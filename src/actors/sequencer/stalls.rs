//! Statements that wait for the locks of sessions that wait for their turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::{Connection, Sequencer};
use crate::actors::messages::Turn;
use crate::actors::target_reachability::TargetReachability;
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::replay::order::conflict::{self, Awaited};
use crate::replay::order::{Order, Start};
use crate::replay::stall::{
    Activity, Ahead, Blocker, Locks, NextOf, OutOfTurnStart, PREPARED, StallAction, overtaking,
    relief,
};
use crate::replay::work::{Seq, Work};
use crate::target::Observer;

/// What is known of statements that have not finished for long.
pub(super) struct Stalls {
    observer: Watch,
    /// In serial order: the statement whose turn it is, and since when.
    turn: (Seq, Instant),
    /// In the other orders: what each session runs, and since when that is known.
    running: HashMap<SessionId, (Seq, Instant)>,
    /// Whether a look is due.
    armed: bool,
    stall_check: Duration,
    outage: Arc<TargetReachability>,
    /// How long until the next look: longer each time nothing was found.
    pause: Duration,
    /// How many sessions the next look asks about at first: more each time nothing was found.
    width: usize,
    /// How many statements have finished.
    finished: u64,
    warned_of_strangers: bool,
    /// The session whose statement wants nobody on the observer's database, and since when.
    away: Option<(SessionId, Instant)>,
    /// How many looks in a row the target has not answered.
    blind: u64,
}

/// The connection that looks at the target from outside the sessions.
enum Watch {
    Absent,
    Busy,
    /// The same, and then it is to be closed.
    Leaving,
    Ready(Observer),
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Statements that others wait for have not finished.
    AtTurn,
    /// Nothing has finished in any session, and there is no room to read on.
    AtAll,
}

/// What the target said, and how things stood when it was asked.
struct Seen {
    locks: Locks,
    /// The prepared transactions that are among those who hold them.
    prepared: Vec<String>,
    /// What the session of each backend was about.
    before: HashMap<i32, Activity>,
    finished: u64,
    /// In the other orders than serial: for how long a statement had run at the most.
    held: Duration,
}

/// A question about a backend's locks stops the target's lock manager for a moment, so that no more than
/// these are asked about without need.
const NARROW: usize = 32;
/// A statement that takes less than so many ways to the target and back need not have waited there.
const ROUND_TRIPS: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A server waits five seconds for others to leave a database (`CountOtherDBBackends`). By then its
/// statement has failed, or waits for something else.
const LONGEST_AWAY: Duration = Duration::from_secs(6);

impl Stalls {
    pub(super) fn new(stall_check: Duration, outage: Arc<TargetReachability>) -> Self {
        Self {
            observer: Watch::Absent,
            turn: (Seq(1), Instant::now()),
            running: HashMap::new(),
            armed: false,
            stall_check,
            outage,
            pause: stall_check,
            width: NARROW,
            finished: 0,
            warned_of_strangers: false,
            away: None,
            blind: 0,
        }
    }

    /// In serial order: this statement's turn it is, if any's; `started`: it starts now.
    pub(super) fn at_turn(&mut self, turn: Option<Seq>, started: bool) {
        if let Some(turn) = turn
            && (turn != self.turn.0 || started)
        {
            self.turn = (turn, Instant::now());
            self.pause = self.check_after();
        }
    }

    /// Nobody may be connected to the observer's database while this session runs its statement.
    pub(super) fn disconnect(&mut self, session: SessionId) {
        self.away = Some((session, Instant::now()));
        self.observer = match self.observer {
            Watch::Busy | Watch::Leaving => Watch::Leaving,
            Watch::Absent | Watch::Ready(_) => Watch::Absent,
        };
    }

    /// How long a statement may run before the target is asked about it: `--stall-check`, or what shows
    /// at this distance that it runs for long.
    fn check_after(&self) -> Duration {
        self.stall_check.max(self.outage.round_trip() * ROUND_TRIPS)
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
            Order::Serial(..) => self.stalls.turn.1.elapsed(),
            Order::Conflict(_) if self.order.is_waited_for() => self.longest_running(),
            Order::Conflict(_) | Order::Session => {
                self.stalls.running.clear();
                return;
            }
        };
        if held < self.stalls.check_after() {
            return self.arm_after(self.stalls.check_after() - held, ctx);
        }
        let waiters = self.stalled();
        if !waiters.is_empty() {
            self.look(Look::AtTurn, held, waiters, ctx);
        } else if self.order.is_waited_for() {
            self.arm(ctx);
        }
    }

    /// The backends of statements that may wait for a lock, those first that are the first in the log. In
    /// serial order all with a request under way: the one whose turn it is, and any that run something
    /// again after their connection was lost.
    fn stalled(&self) -> Vec<i32> {
        let long = |session: &SessionId| match self.order {
            Order::Conflict(_) => {
                let running = self.stalls.running.get(session);
                running.is_some_and(|(_, since)| since.elapsed() >= self.stalls.check_after())
            }
            Order::Serial(..) | Order::Session => true,
        };
        let stalled = self.sessions.iter().filter(|(session, _)| long(session));
        let mut stalled: Vec<(Option<Seq>, i32)> = stalled
            .filter_map(|(_, connection)| {
                let state = connection.state();
                let running = state.running().map(|work| work.seq);
                let waits = state.is_running() && !state.is_limited();
                waits.then_some((running, connection.backend))
            })
            .collect();
        stalled.sort_unstable();
        stalled.into_iter().map(|(_, backend)| backend).take(self.stalls.width).collect()
    }

    /// Brings up to date what each session runs. Returns for how long one has at the most.
    fn longest_running(&mut self) -> Duration {
        let now = Instant::now();
        let before = std::mem::take(&mut self.stalls.running);
        let mut oldest = now;
        for (session, connection) in &self.sessions {
            let Some(seq) = connection.running() else { continue };
            let known = before.get(session).filter(|(running, _)| *running == seq);
            let since = known.map_or(now, |(_, since)| *since);
            oldest = oldest.min(since);
            self.stalls.running.insert(*session, (seq, since));
        }
        now - oldest
    }

    /// Nothing has finished, and nothing more can be read: somebody waits for what is to come.
    pub(super) fn look_at_all(&mut self, ctx: &mut Context<Self>) {
        let held = self.longest_running();
        let waiters = self.stalled();
        if !waiters.is_empty() {
            self.look(Look::AtAll, held, waiters, ctx);
        }
    }

    /// Asks the target whose locks these backends wait for.
    fn look(&mut self, look: Look, held: Duration, waiters: Vec<i32>, ctx: &mut Context<Self>) {
        if self.stays_away() {
            return self.arm_after(LONGEST_PAUSE, ctx);
        }
        let observer = match std::mem::replace(&mut self.stalls.observer, Watch::Busy) {
            Watch::Busy => return,
            Watch::Leaving => {
                self.stalls.observer = Watch::Leaving;
                return;
            }
            Watch::Absent => None,
            Watch::Ready(observer) => Some(observer),
        };
        let before: HashMap<i32, Activity> = self
            .sessions
            .values()
            .map(|connection| (connection.backend, connection.state().activity()))
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
            let mut locks = Locks::default();
            let mut asked = HashSet::new();
            let mut ask = waiters;
            while !ask.is_empty() {
                asked.extend(ask.iter().copied());
                for (waiter, blockers) in observer.locks(&ask).await.map_err(|e| e.to_string())? {
                    locks.note(waiter, blockers);
                }
                // Who runs may wait for somebody in turn.
                let runs = |backend: &i32| before.get(backend).is_some_and(|it| it.running);
                let blockers = locks.blockers().into_keys();
                ask = blockers.filter(|it| !asked.contains(it) && runs(it)).collect();
            }
            let prepared = match locks.blockers().get(&PREPARED) {
                Some(waiters) => {
                    observer.prepared_blockers(waiters).await.map_err(|e| e.to_string())?
                }
                None => Vec::new(),
            };
            Ok((observer, Seen { locks, prepared, before, finished, held }))
        };
        ctx.spawn(asking.into_actor(self).map(move |answer, actor, ctx| {
            actor.looked(look, answer, ctx);
        }));
    }

    /// Whether a statement runs that wants nobody on the observer's database.
    pub(super) fn stays_away(&mut self) -> bool {
        let sessions = &self.sessions;
        let runs = |session| sessions.get(session).is_some_and(|it| it.running().is_some());
        let away = self.stalls.away.as_ref();
        let stays =
            away.is_some_and(|(session, since)| since.elapsed() < LONGEST_AWAY && runs(session));
        self.stalls.away.take_if(|_| !stays);
        stays
    }

    fn looked(
        &mut self,
        look: Look,
        answer: Result<(Observer, Seen), String>,
        ctx: &mut Context<Self>,
    ) {
        let mut relieved = false;
        match answer {
            Ok((observer, seen)) => {
                self.stalls.observer = match self.stalls.observer {
                    Watch::Leaving => Watch::Absent,
                    _ => Watch::Ready(observer),
                };
                self.stalls.blind = 0;
                let waited = match &self.order {
                    Order::Serial(..) => self.stalls.turn.1.elapsed(),
                    Order::Conflict(_) | Order::Session => seen.held,
                };
                // What a look at the turn found is of no use once the turn has gone on.
                if look == Look::AtAll || waited >= self.stalls.check_after() {
                    relieved = self.relieve(look, &seen, waited);
                }
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
            }
        }
        (self.stalls.pause, self.stalls.width) = if relieved {
            (self.stalls.check_after(), NARROW)
        } else {
            let longest = LONGEST_PAUSE.max(self.stalls.check_after());
            ((self.stalls.pause * 2).min(longest), self.stalls.width.saturating_mul(2))
        };
        self.arm(ctx);
    }

    /// Who holds these locks. Of a prepared transaction: the session that will finish it.
    fn blocker(&self, backend: i32, seen: &Seen) -> Blocker {
        let known = match backend {
            PREPARED => self.finisher(&seen.prepared),
            _ => self.backends.session(backend),
        };
        let Some((session, connection)) =
            known.and_then(|session| Some((session, self.sessions.get(&session)?)))
        else {
            return match backend {
                PREPARED => Blocker::Prepared { still: self.stalls.finished == seen.finished },
                _ => Blocker::ForeignBackend,
            };
        };
        let state = connection.state();
        let next = match state.head() {
            None => NextOf::Nothing,
            Some(_) if state.not_before().is_some() => NextOf::Later,
            Some(work) if work.ends_locks() => NextOf::End(work.seq),
            Some(work) => NextOf::Statement(work.seq),
        };
        let before = seen.before.get(&connection.backend).copied();
        let rests = state.activity().has_rested_since(before);
        Blocker::Session { session, rests, next }
    }

    /// The session that finishes one of these prepared transactions further on.
    fn finisher(&self, prepared: &[String]) -> Option<SessionId> {
        let finishes = |work: &Arc<Work>| {
            let finished = conflict::finished_prepared(&work.statement);
            finished.into_iter().any(|gid| prepared.iter().any(|it| **it == *gid))
        };
        let place = |it: &Connection| it.state().queued().find(|it| finishes(it)).map(|it| it.seq);
        let finishers = self.sessions.iter().filter_map(|(id, it)| Some((place(it)?, *id)));
        finishers.min_by_key(|(seq, _)| *seq).map(|(_, session)| session)
    }

    /// Does what can be done about what was seen. Returns whether anything was set going.
    fn relieve(&mut self, look: Look, seen: &Seen, waited: Duration) -> bool {
        // In session order nothing waits for a turn: sessions go on by themselves.
        let in_turns = match self.order {
            Order::Serial(..) => look == Look::AtTurn,
            Order::Conflict(_) => true,
            Order::Session => false,
        };
        let patience = self.settings.patience;
        let mut relieved = false;
        let mut may_overtake = Vec::new();
        for (backend, waiters) in seen.locks.blockers() {
            let blocker = self.blocker(backend, seen);
            if blocker == Blocker::ForeignBackend {
                self.warn_of_stranger(backend);
            }
            let (start, ends) = match relief(blocker, waited, patience, self.input_ended) {
                StallAction::EndEarly(start) => (Some(start), true),
                StallAction::Advance(start) => (Some(start), false),
                StallAction::StartNext => (self.order.first_waiting(), false),
                StallAction::Wait => continue,
                StallAction::ReadOn(_) => {
                    self.ask_for_more();
                    continue;
                }
                StallAction::GiveUp(session) => {
                    relieved |= self.give_up(session);
                    continue;
                }
            };
            match start.filter(|_| in_turns) {
                Some(start) => {
                    let running = waiters.iter().filter_map(|waiter| self.running_on(*waiter));
                    may_overtake.push(OutOfTurnStart {
                        start,
                        ends,
                        blocker: backend,
                        waiter: running.min().unwrap_or(start.seq),
                        ahead: self.ahead_of(start, waited >= patience),
                    });
                }
                None if backend == PREPARED => self.ask_for_more(),
                None => {}
            }
        }
        relieved | self.let_overtake(may_overtake, &seen.locks)
    }

    /// Lets those start that nothing else brings on. Returns whether one does.
    fn let_overtake(&mut self, may_overtake: Vec<OutOfTurnStart>, locks: &Locks) -> bool {
        let unread = may_overtake.iter().any(|it| it.ahead.contains(&Ahead::Unread));
        let waits_for = |seq, other| self.order.waits_for(seq, other);
        let overtaking = overtaking(may_overtake, locks, waits_for);
        if overtaking.is_empty() && unread {
            self.ask_for_more();
        }
        let mut relieved = false;
        for early in overtaking {
            let OutOfTurnStart { start: Start { session, seq }, ends, .. } = early;
            if self.withdraw_before(&early, locks) {
                relieved = true;
                continue;
            }
            self.note_they_see_less(&early, locks);
            let reason = if ends { StallBreak::EarlyEnd } else { StallBreak::EarlyAdvance };
            self.overview.stall_broken(reason);
            debug!(%session, "goes on ahead of its turn: others wait for its locks");
            relieved |= self.tell(session, Turn::RunAhead(seq));
        }
        relieved
    }

    fn give_up(&self, session: SessionId) -> bool {
        self.overview.stall_broken(StallBreak::BlockerClosed);
        info!(%session, "closed its connection: others wait for its locks, and no record of it is left \
            that would free them; what its open transaction did is rolled back");
        self.tell(session, Turn::GiveUp)
    }

    fn warn_of_stranger(&mut self, backend: i32) {
        if !std::mem::replace(&mut self.stalls.warned_of_strangers, true) {
            warn!(
                backend,
                "statements wait for the locks of a connection to the target that is not kreplay's: \
                end its transaction there (pg_terminate_backend), or wait; until then the replay may \
                stand still"
            );
        }
    }

    /// What this statement waits for in the order, as far as it can still be waited for.
    fn ahead_of(&self, start: Start, lost_patience: bool) -> Vec<Ahead> {
        // In serial order for all before it, of which only one may run: the one that is blocked.
        let Order::Conflict(_) = &self.order else { return Vec::new() };
        let order = self.order.conflict_order();
        let awaited = order.map(|order| order.awaited_by(start.seq)).into_iter().flatten();
        let ahead = awaited.map(|awaited| match awaited {
            Awaited::Unread => Ahead::Unread,
            Awaited::Statement(Start { session, seq }) => match self.sessions.get(&session) {
                Some(connection) if connection.running().is_some_and(|running| running <= seq) => {
                    Ahead::Runs(connection.backend)
                }
                _ => Ahead::Unsent,
            },
        });
        let waited_for = |ahead: &Ahead| match ahead {
            Ahead::Runs(_) => true,
            Ahead::Unsent => !lost_patience,
            Ahead::Unread => !lost_patience && !self.input_ended,
        };
        ahead.filter(waited_for).collect()
    }

    /// The statement that a backend runs for a session.
    fn running_on(&self, backend: i32) -> Option<Seq> {
        self.sessions.get(&self.backends.session(backend)?)?.running()
    }
}
