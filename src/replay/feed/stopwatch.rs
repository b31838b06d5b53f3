//! A clock that stands still now and then.

use std::time::Duration;

/// For how long something has been so, all times together.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    before: Duration,
    since: Option<Duration>,
}

impl Stopwatch {
    /// It is so from now on, or is not.
    pub(super) fn switch(&mut self, runs: bool, now: Duration) {
        if runs != self.since.is_some() {
            self.before = self.elapsed(now);
            self.since = runs.then_some(now);
        }
    }

    /// For how long it has been so.
    pub(super) fn elapsed(&self, now: Duration) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests;
