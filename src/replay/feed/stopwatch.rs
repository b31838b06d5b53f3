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
mod tests {
    use super::*;

    #[test]
    fn it_adds_up_the_times_that_it_ran() {
        let mut stopwatch = Stopwatch::default();
        let s = Duration::from_secs;
        for (runs, at) in [(true, 1), (true, 2), (false, 4), (false, 5), (true, 10)] {
            stopwatch.switch(runs, s(at));
        }
        assert_eq!(stopwatch.elapsed(s(11)), s(4));
    }
}
