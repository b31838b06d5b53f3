//! A clock that stands still now and then.

use std::time::{Duration, Instant};

/// For how long something has been so, all times together.
#[derive(Debug, Default)]
pub struct Stopwatch {
    before: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    /// It is so from now on, or is not. The time is looked at only where that changes.
    pub fn switch(&mut self, runs: bool) {
        if runs != self.since.is_some() {
            self.before = self.elapsed();
            self.since = runs.then(Instant::now);
        }
    }

    /// For how long it has been so.
    pub fn elapsed(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
