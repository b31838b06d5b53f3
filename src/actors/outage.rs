//! Whether the target can be reached: told when that changes, and ever less often while it can't.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tracing::{info, warn};

use crate::http::{Condition, Health};

/// What everybody who connects to the target knows together.
#[derive(Debug)]
pub struct Outage {
    /// Attempts in vain since somebody was let in.
    attempts: AtomicU64,
    /// Whether anybody was ever let in.
    ever_reached: AtomicBool,
    health: Health,
}

impl Outage {
    /// Nobody has tried yet.
    pub fn new(health: Health) -> Self {
        Self { attempts: AtomicU64::new(0), ever_reached: AtomicBool::new(false), health }
    }

    /// An attempt to connect has failed, and is repeated.
    pub fn failed(&self, error: &dyn Display) {
        self.health.target(Condition::Disconnected(error.to_string()));
        let attempts = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        if attempts.is_power_of_two() {
            warn!(attempts, "waiting for the target: {error}");
        }
    }

    /// The target answers, be it that it does not let this one in.
    pub fn answered(&self) {
        self.health.target(Condition::Connected);
        let attempts = self.attempts.swap(0, Ordering::Relaxed);
        if attempts > 0 {
            info!(attempts, "the target is there again");
        }
    }

    /// Somebody was let in.
    pub fn reached(&self) {
        self.ever_reached.store(true, Ordering::Relaxed);
        self.answered();
    }

    /// Whether anybody was ever let in: until then a refusal for good ends the replay.
    pub fn was_ever_reached(&self) -> bool {
        self.ever_reached.load(Ordering::Relaxed)
    }
}
