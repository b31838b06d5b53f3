//! Statements that wait for locks whose holders wait for their turn: when the target is asked about
//! them, and what is done about its answer.
//!
//! A strict order can wait for itself. On the source the waiter's record can stand before the COMMIT that
//! freed it: a COMMIT is logged after its locks are gone, and with `log_statement` a statement is logged
//! when it starts. Here is decided what is done where the log says how such a stall is broken. What is
//! left is the [watchdog](super::stall_watch)'s, which looks when nothing has ended for
//! `--stall-timeout`.
//!
//! - `locks`: what the target says;
//! - `blocker`: what is done about one who holds locks;
//! - `breaks`: how stalls are broken, for those who count them;
//! - `found`: what is done about all that are found;
//! - `out_of_turn`: which of the statements that could start ahead of their turn do.

mod blocker;
mod breaks;
mod found;
mod locks;
mod out_of_turn;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use blocker::Waiting;
pub use blocker::{NextOf, StallAction};
pub use breaks::StallBreak;
use found::{Connected, Found};
pub use locks::{Activity, LockSnapshot, Locks, PREPARED};
pub use out_of_turn::{Ahead, OutOfTurnStart, overtaking};

use super::Start;
use super::view::OrderView;
use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// Stalls over locks: what is known of statements that have not finished for long. All times count
/// from any one moment.
#[derive(Debug)]
pub struct LockStalls {
    stall_check: Duration,
    /// How long a blocker whose next record has not been read is waited for.
    patience: Duration,
    /// The way to the target and back.
    round_trip: Duration,
    /// Where one statement runs at a time: the one whose turn it is, and since when.
    turn: (Seq, Duration),
    /// Otherwise: what each session runs, and since when that is known.
    running: HashMap<SessionId, (Seq, Duration)>,
    /// When it is time to see whether a probe is due.
    next_check: Option<Duration>,
    /// Whether the target is being asked.
    is_probing: bool,
    /// How long until the next probe: longer each time nothing was found.
    pause: Duration,
    /// How many backends the next probe asks about at first: more each time nothing was found.
    width: usize,
    /// How many statements have finished.
    finished: u64,
    /// How many probes in a row the target has not answered.
    failed_probes: u64,
    has_reported_foreign: bool,
    /// The session whose statement wants nobody on the observer's database, and since when.
    vacated: Option<(SessionId, Duration)>,
}

/// A question to the target: whose locks do these backends wait for?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Why it is asked.
    pub reason: ProbeReason,
    /// The backends, those first whose statements are the first in the log.
    pub waiters: Vec<i32>,
    /// What the session of each backend is about while that is asked.
    before: HashMap<i32, Activity>,
    /// How many statements have finished so far.
    finished: u64,
    /// For how long a statement has run.
    held: Duration,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeReason {
    /// Statements that others wait for have not finished.
    SlowStatement,
    /// Nothing has finished in any session, and there is no room to read on.
    NoProgress,
}

/// A session with a connection to the target, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTarget {
    /// Which.
    pub session: SessionId,
    /// The backend that serves it.
    pub backend: i32,
    /// The statement that a request is under way for.
    pub running: Option<Seq>,
    /// What it is about on its connection.
    pub activity: Activity,
    /// Whether what it runs ends by itself, even if it waits for a lock.
    pub is_limited: bool,
    /// Its next statement.
    pub next: NextOf,
    /// Where it finishes one of the prepared transactions in question.
    pub finishes: Option<Seq>,
}

/// The replay as it stands.
pub trait StallView {
    /// The order across sessions.
    fn order(&self) -> &impl OrderView;

    /// The sessions with a connection. Where they finish one of these prepared transactions, they say so.
    fn sessions(&self, prepared: &[String]) -> Vec<OnTarget>;

    /// Whether nothing more will get a place in the order.
    fn no_more(&self) -> bool;
}

/// A question about a backend's locks stops the target's lock manager for a moment, so that no more than
/// these are asked about without need.
const NARROW: usize = 32;
/// A statement that takes less than so many ways to the target and back need not have waited there.
const ROUND_TRIPS: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A server waits five seconds for others to leave a database (`CountOtherDBBackends`). By then its
/// statement has failed, or waits for something else.
const LONGEST_VACANCY: Duration = Duration::from_secs(6);

impl LockStalls {
    /// Nothing has begun. `stall_check`: how long a statement may run before the target is asked;
    /// `patience`: how long a blocker is waited for whose next record has not been read.
    pub fn new(stall_check: Duration, patience: Duration) -> Self {
        Self {
            stall_check,
            patience,
            round_trip: Duration::ZERO,
            turn: (Seq(1), Duration::ZERO),
            running: HashMap::new(),
            next_check: None,
            is_probing: false,
            pause: stall_check,
            width: NARROW,
            finished: 0,
            failed_probes: 0,
            has_reported_foreign: false,
            vacated: None,
        }
    }

    // ---- What happens ----

    /// The target is so far away.
    pub fn measured(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// It is this statement's turn; `started`: it starts now. Its time counts from its start: it may have
    /// to wait until it is due when its turn has come.
    pub fn note_turn(&mut self, turn: Seq, started: bool, now: Duration) {
        if turn != self.turn.0 || started {
            self.turn = (turn, now);
            self.pause = self.check_after();
        }
    }

    /// A statement has finished.
    pub fn note_finished(&mut self) {
        self.finished += 1;
    }

    /// Statements may wait for others from now on.
    pub fn watch(&mut self, now: Duration) {
        if !self.is_probing {
            let due = now + self.pause;
            self.next_check = Some(self.next_check.map_or(due, |check| check.min(due)));
        }
    }

    /// Nobody may be connected to the observer's database while this session runs its statement.
    pub fn vacate(&mut self, session: SessionId, now: Duration) {
        self.vacated = Some((session, now));
    }

    /// Whether a statement runs that wants nobody on the observer's database.
    pub fn stays_away(&mut self, now: Duration, view: &impl StallView) -> bool {
        let Some((session, since)) = self.vacated else { return false };
        let is_it = |it: &OnTarget| it.session == session && it.running.is_some();
        let stays =
            now.saturating_sub(since) < LONGEST_VACANCY && view.sessions(&[]).iter().any(is_it);
        self.vacated = self.vacated.filter(|_| stays);
        stays
    }

    // ---- When the target is asked ----

    /// When [`due`](Self::due) is to be asked next; `None`: not before something happens.
    pub fn next_check(&self) -> Option<Duration> {
        self.next_check
    }

    /// The probe that is due, if one is.
    pub fn due(&mut self, now: Duration, view: &impl StallView) -> Option<Probe> {
        self.next_check = None;
        if self.is_probing {
            return None;
        }
        let order = view.order();
        let held = if order.is_serial() {
            now.saturating_sub(self.turn.1)
        } else if order.is_waited_for() {
            self.longest_running(&view.sessions(&[]), now)
        } else {
            self.running.clear();
            return None;
        };
        if held < self.check_after() {
            self.next_check = Some(now + self.check_after() - held);
            return None;
        }
        let probe = self.probe(ProbeReason::SlowStatement, held, now, view);
        if probe.is_none() && self.next_check.is_none() && order.is_waited_for() {
            self.next_check = Some(now + self.pause);
        }
        probe
    }

    /// Nothing has finished, and nothing more can be read: somebody waits for what is to come. Returns
    /// the probe for that, unless one is under way.
    pub fn no_progress(&mut self, now: Duration, view: &impl StallView) -> Option<Probe> {
        if self.is_probing {
            return None;
        }
        let held = self.longest_running(&view.sessions(&[]), now);
        self.probe(ProbeReason::NoProgress, held, now, view)
    }

    fn probe(
        &mut self,
        reason: ProbeReason,
        held: Duration,
        now: Duration,
        view: &impl StallView,
    ) -> Option<Probe> {
        let sessions = view.sessions(&[]);
        let waiters = self.stalled(&sessions, now, view.order());
        if waiters.is_empty() {
            return None;
        }
        if self.stays_away(now, view) {
            self.next_check = Some(now + LONGEST_PAUSE);
            return None;
        }
        self.is_probing = true;
        let before = sessions.iter().map(|it| (it.backend, it.activity)).collect();
        Some(Probe { reason, waiters, before, finished: self.finished, held })
    }

    /// The backends of statements that may wait for a lock, those first that are the first in the log.
    /// Where one statement runs at a time, all with a request under way: the one whose turn it is, and
    /// any that run something again after their connection was lost.
    fn stalled(&self, sessions: &[OnTarget], now: Duration, order: &impl OrderView) -> Vec<i32> {
        let is_slow = |it: &&OnTarget| {
            let running = self.running.get(&it.session);
            !order.takes_turns()
                || order.is_serial()
                || running
                    .is_some_and(|(_, since)| now.saturating_sub(*since) >= self.check_after())
        };
        let waits = |it: &&OnTarget| it.activity.running && !it.is_limited;
        let stalled = sessions.iter().filter(waits).filter(is_slow);
        let mut stalled: Vec<_> = stalled.map(|it| (it.running, it.backend)).collect();
        stalled.sort_unstable();
        stalled.into_iter().map(|(_, backend)| backend).take(self.width).collect()
    }

    /// Brings up to date what each session runs. Returns for how long one has at most.
    fn longest_running(&mut self, sessions: &[OnTarget], now: Duration) -> Duration {
        let before = std::mem::take(&mut self.running);
        let mut oldest = now;
        for it in sessions {
            let Some(seq) = it.running else { continue };
            let known = before.get(&it.session).filter(|(running, _)| *running == seq);
            let since = known.map_or(now, |(_, since)| *since);
            oldest = oldest.min(since);
            self.running.insert(it.session, (seq, since));
        }
        now.saturating_sub(oldest)
    }

    /// How long a statement may run before the target is asked about it: `--stall-check`, or what shows
    /// at this distance that it runs for long.
    fn check_after(&self) -> Duration {
        self.stall_check.max(self.round_trip * ROUND_TRIPS)
    }

    // ---- What is done about the answer ----

    /// The target could not be asked. Returns how often in a row, if that is worth a line in the log: it
    /// may be away for long.
    pub fn probe_failed(&mut self, now: Duration) -> Option<u64> {
        self.failed_probes += 1;
        self.next_probe(false, now);
        Some(self.failed_probes).filter(|times| times.is_power_of_two())
    }

    /// The target has answered. Returns what is done about it, and leaves in the answer what still holds.
    pub fn probed(
        &mut self,
        answer: &mut LockSnapshot,
        now: Duration,
        view: &impl StallView,
    ) -> Vec<StallAction> {
        self.failed_probes = 0;
        let waited = match view.order().is_serial() {
            true => now.saturating_sub(self.turn.1),
            false => answer.probe.held,
        };
        // What was found about a slow statement is of no use once the turn has gone on.
        let is_late =
            answer.probe.reason == ProbeReason::SlowStatement && waited < self.check_after();
        let actions = if is_late { Vec::new() } else { self.actions(answer, waited, view) };
        self.next_probe(actions.iter().any(StallAction::breaks_stall), now);
        actions
    }

    /// Less and less often, and about ever more backends, where nothing was found that could be done.
    fn next_probe(&mut self, stall_broken: bool, now: Duration) {
        self.is_probing = false;
        (self.pause, self.width) = if stall_broken {
            (self.check_after(), NARROW)
        } else {
            let longest = LONGEST_PAUSE.max(self.check_after());
            ((self.pause * 2).min(longest), self.width.saturating_mul(2))
        };
        self.next_check = Some(now + self.pause);
    }

    fn actions(
        &mut self,
        answer: &mut LockSnapshot,
        waited: Duration,
        view: &impl StallView,
    ) -> Vec<StallAction> {
        let order = view.order();
        let by_turn = match order.is_serial() {
            true => answer.probe.reason == ProbeReason::SlowStatement,
            false => order.takes_turns(),
        };
        let sessions = Connected::new(view.sessions(answer.prepared()));
        answer.keep_waits(|backend, before| sessions.still_waits(backend, before));
        let runs = |start: &Start| sessions.of(start.session).is_some_and(|it| it.activity.running);
        let waiting = Waiting {
            waited,
            patience: self.patience,
            no_more: view.no_more(),
            // One that has been started ahead of its turn waits for the same.
            first_waiting: order.first_waiting().filter(|start| !runs(start)),
        };
        let found = Found { answer, order, sessions, waiting, finished: self.finished, by_turn };
        let mut actions = found.actions();
        actions.retain(|action| {
            let is_foreign = matches!(action, StallAction::ReportForeign(_));
            !is_foreign || !std::mem::replace(&mut self.has_reported_foreign, true)
        });
        actions
    }
}
