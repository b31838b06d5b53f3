//! The distribution of a shape's durations.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use super::Durations;

/// Significant digits: quantiles are right within 1 %.
const DIGITS: u8 = 2;

/// A histogram that grows with the largest value in it. 32 bits a counter, which stays at its limit.
pub(super) fn histogram() -> Histogram<u32> {
    // From 1 to 2, at the least.
    Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits are few: {error}"))
}

/// Counts a value.
pub(super) fn record(histogram: &mut Histogram<u32>, value: u64) {
    // It resizes itself, and values are far below the 2⁶³ that it can't count.
    let _ = histogram.record(value);
}

/// Durations of calls, in microseconds: the resolution of PostgreSQL's log, and of what it tells its
/// client. Finer ones would tell nothing.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    histogram: Histogram<u32>,
    total: Duration,
    longest: Duration,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { histogram: histogram(), total: Duration::ZERO, longest: Duration::ZERO }
    }
}

impl Distribution {
    pub(super) fn add(&mut self, took: Duration) {
        record(&mut self.histogram, nanos(took).saturating_add(500) / 1000);
        self.total = self.total.saturating_add(took);
        self.longest = self.longest.max(took);
    }

    /// Adds all that another holds.
    pub(super) fn merge(&mut self, other: &Self) {
        // Fails where the sum can't be resized to hold the other's values: it resizes itself.
        let _ = self.histogram.add(&other.histogram);
        self.total = self.total.saturating_add(other.total);
        self.longest = self.longest.max(other.longest);
    }

    pub(super) fn calls(&self) -> u64 {
        self.histogram.len()
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// So much of the calls took at most this long.
    pub(super) fn quantile(&self, quantile: f64) -> Duration {
        let value = self.histogram.value_at_quantile(quantile);
        // A histogram's value stands for all that are counted with it.
        Duration::from_micros(value).min(self.longest)
    }

    /// Every value that was counted as the durations that it stands for, from and up to but without, and
    /// how many calls took so long.
    pub(super) fn recorded(&self) -> impl Iterator<Item = (u64, u64, u32)> {
        self.histogram.iter_recorded().map(|step| {
            let value = step.value_iterated_to();
            let beyond = self.histogram.highest_equivalent(value).saturating_add(1);
            (self.histogram.lowest_equivalent(value), beyond, step.count_at_value())
        })
    }

    /// All of it, for who compares two reports: HdrHistogram's format V2, in base64. A value v stands for
    /// v - 0.5 to v + 0.5 microseconds.
    pub(super) fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        // Fails where a buffer can't be had, or a counter is beyond 63 bits.
        let _ = V2Serializer::new().serialize(&self.histogram, &mut bytes);
        BASE64_STANDARD.encode(bytes)
    }

    pub(super) fn median_ms(&self) -> f64 {
        ms(self.quantile(0.5))
    }

    pub(super) fn summary(&self) -> Durations {
        Durations {
            calls: self.calls(),
            total_ms: ms(self.total),
            p50_ms: self.median_ms(),
            p95_ms: ms(self.quantile(0.95)),
            p99_ms: ms(self.quantile(0.99)),
            max_ms: ms(self.longest),
        }
    }
}

/// In nanoseconds: five hundred years at the most. Without the 128 bits that the library takes.
pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

/// In milliseconds, to the microsecond.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests;
