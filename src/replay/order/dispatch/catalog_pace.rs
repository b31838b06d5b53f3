//! When a catalog is read: not so often that the target feels it.

use std::time::Duration;

/// When a catalog is read.
#[derive(Debug, Default)]
pub(super) struct CatalogPace {
    is_reading: bool,
    /// Whether the end of its rest is waited for.
    is_resting: bool,
    /// Until when no catalog is read that nothing waits for.
    rests_until: Option<Duration>,
    /// How long it rests when the target has not let it read.
    backoff: Duration,
}

/// Whether a reading may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Read,
    /// Not before it has rested for that long.
    Rest(Duration),
    /// Not now, and something will happen before it may.
    Wait,
}

/// A reading is followed by a rest of so many times its duration: where schemas change all the time,
/// they cost the target a quarter of a core.
const REST: u32 = 3;

const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

impl CatalogPace {
    /// Whether a reading may begin.
    pub(super) fn may_read(&mut self, is_waited_for: bool, now: Duration) -> May {
        let rest = self.rests_until.map_or(Duration::ZERO, |until| until.saturating_sub(now));
        if self.is_reading {
            return May::Wait;
        }
        if rest.is_zero() || is_waited_for {
            return May::Read;
        }
        if std::mem::replace(&mut self.is_resting, true) { May::Wait } else { May::Rest(rest) }
    }

    pub(super) fn begin(&mut self) {
        self.is_reading = true;
    }

    /// The rest that was asked for is over.
    pub(super) fn rested(&mut self) {
        self.is_resting = false;
    }

    pub(super) fn read(&mut self, took: Duration, now: Duration) {
        self.is_reading = false;
        self.rests_until = Some(now + took * REST);
        self.backoff = Duration::ZERO;
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.is_reading = false;
        self.backoff = (self.backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
        self.rests_until = Some(now + self.backoff);
    }
}

#[cfg(test)]
mod tests;
