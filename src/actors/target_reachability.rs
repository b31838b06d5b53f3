//! Whether the target can be reached: told when that changes, and ever less often while it can't.

use parking_lot::Mutex;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::health::{Condition, Health};

/// What everybody who connects to the target knows together.
#[derive(Debug)]
pub(crate) struct TargetReachability {
    /// A lock that is held for a few assignments.
    silence: Mutex<Option<Silence>>,
    /// Whether anybody was ever let in.
    ever_reached: AtomicBool,
    /// The shortest way to the target and back so far, in microseconds; 0: not measured.
    round_trip: AtomicU64,
    health: Health,
}

/// The time without an answer.
#[derive(Debug)]
struct Silence {
    since: Instant,
    attempts: u64,
    /// Why the last attempt failed.
    last_failure: String,
    /// When it is told next, by the time without an answer.
    tell_after: Duration,
}

impl TargetReachability {
    /// Nobody has tried yet.
    pub(crate) fn new(health: Health) -> Self {
        Self {
            silence: Mutex::default(),
            ever_reached: AtomicBool::new(false),
            round_trip: AtomicU64::new(0),
            health,
        }
    }

    /// An attempt to connect has failed, and is repeated.
    pub(crate) fn failed(&self, error: &dyn Display) {
        let failure = error.to_string();
        self.health.target(Condition::Disconnected(failure.clone()));
        let mut silence = self.silence.lock();
        let silence = silence.get_or_insert_with(|| Silence {
            since: Instant::now(),
            attempts: 0,
            last_failure: String::new(),
            tell_after: Duration::ZERO,
        });
        silence.attempts += 1;
        silence.last_failure = failure;
        let waited = silence.since.elapsed();
        if waited >= silence.tell_after {
            silence.tell_after = (waited * 2).max(Duration::from_secs(1));
            warn!(
                attempts = silence.attempts,
                "waiting for the target (--db-host, --db-port), which is tried again and again: {error}"
            );
        }
    }

    /// Why the last attempt failed, where the target has not answered since.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.silence.lock().as_ref().map(|silence| silence.last_failure.clone())
    }

    /// The target answers, be it that it does not let this one in.
    pub(crate) fn answered(&self) {
        self.health.target(Condition::Connected);
        if let Some(Silence { since, attempts, .. }) = self.silence.lock().take() {
            info!(after = ?since.elapsed(), attempts, "the target is there again");
        }
    }

    /// The way to the target and back took so long.
    pub(crate) fn took(&self, round_trip: Duration) {
        let took = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1);
        let shorter = |known: u64| (known == 0 || took < known).then_some(took);
        // Where it is not shorter, nothing changes.
        let _ = self.round_trip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
    }

    /// The shortest way to the target and back so far; zero before the first was measured.
    pub(crate) fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip.load(Ordering::Relaxed))
    }

    /// Somebody was let in.
    pub(crate) fn reached(&self) {
        self.ever_reached.store(true, Ordering::Relaxed);
        self.answered();
    }

    /// Whether anybody was ever let in: until then a refusal for good ends the replay.
    pub(crate) fn was_ever_reached(&self) -> bool {
        self.ever_reached.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
