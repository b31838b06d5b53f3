//! How many statements are active at a time, on one side.
//!
//! By Little's law: as many are active in the mean as statements end in a second, times how long one
//! takes (J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9 (1961), pages
//! 383 to 387). Looked at is the second before the one at hand.

use std::time::Duration;

/// The statements of the last seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Active {
    second: i64,
    busy: Duration,
    before: Option<f64>,
}

impl Active {
    /// Notes a statement that ended then, in milliseconds of any beginning. Returns how many were active
    /// in the second before; `None` in the first.
    pub(super) fn ended(&mut self, at_ms: i64, took: Duration) -> Option<f64> {
        let second = at_ms.div_euclid(1000);
        // A little earlier is as good as now: records are not quite in the order of their time.
        if second > self.second {
            let known = self.second != 0;
            let busy = if second == self.second + 1 { self.busy } else { Duration::ZERO };
            self.before = known.then_some(busy.as_secs_f64());
            (self.second, self.busy) = (second, Duration::ZERO);
        }
        self.busy = self.busy.saturating_add(took);
        self.before
    }
}

#[cfg(test)]
mod tests;
