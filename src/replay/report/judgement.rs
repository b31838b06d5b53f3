//! Whether a shape became slower, from the ratios of its calls.
//!
//! A call's duration on the target is known between two bounds. What kreplay measures has the way to
//! the server and back in it, which the source's log has not: that is the upper bound. Less a round
//! trip, it is the lower one, and nothing where answers came together and can't be told apart. So
//! there are two distributions of ratios target / source over the calls of a shape, and the truth is
//! between them.
//!
//! A median is compared, as one call that waited for a lock says nothing of the shape. The confidence
//! interval of a median needs no assumption on the distribution: the number of calls below the true
//! median is binomial, so it lies between two order statistics. The interval that counts goes from the
//! low end of the lower distribution's to the high end of the upper one's.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::durations::nanos;
use super::{Change, Verdict, durations};
use crate::replay::session::request::Took;

/// By how much a duration has to change to be called changed.
pub const CHANGE: f64 = 0.05;
/// Of the interval.
pub const CONFIDENCE: f64 = 0.95;
/// Fewer calls are not judged.
pub const LEAST_CALLS: u64 = 30;
/// The test in a sentence, for who reads the report alone.
pub const TEST: &str = "the median of the ratios target / source of a shape's calls, by a rank-based \
    (binomial) confidence interval, whose low end has the round trip's 95th percentile taken off \
    every call and whose high end has it left in: degraded or improved if all of it lies beyond the \
    change, same if all of it lies within";

/// A ratio of 1 in the histograms.
const ONE: f64 = 1000.0;
/// Larger ratios count as this one.
const LARGEST: u64 = 100_000_000;

/// The ratios target / source of a shape's calls.
#[derive(Debug, Clone)]
pub(super) struct Ratios {
    at_least: Histogram<u32>,
    at_most: Histogram<u32>,
    /// Calls whose answer came in one read with others.
    together: u64,
}

impl Default for Ratios {
    fn default() -> Self {
        Self { at_least: durations::histogram(), at_most: durations::histogram(), together: 0 }
    }
}

impl Ratios {
    /// Notes a call. Without a round trip, nothing is known of the least that the target took.
    pub(super) fn add(&mut self, source: Duration, target: Took, round_trip: Option<Duration>) {
        // The log's own resolution; a statement of no duration has less than that.
        let scale = ONE / nanos(source).max(500) as f64;
        // Saturates, as `as` does.
        let ratio = |target: Duration| ((nanos(target) as f64 * scale) as u64).min(LARGEST);
        let at_least = round_trip.map_or(Duration::ZERO, |it| target.at_least(it));
        durations::record(&mut self.at_least, ratio(at_least));
        durations::record(&mut self.at_most, ratio(target.at_most));
        self.together += u64::from(target.together > 1);
    }

    /// How many calls have both durations.
    pub(super) fn calls(&self) -> u64 {
        self.at_most.len()
    }

    /// What they tell.
    pub(super) fn judge(&self) -> Judgement {
        if self.calls() < LEAST_CALLS {
            return Judgement::cannot_tell(None, "fewer than 30 calls with both durations");
        }
        let (least, most) = (Interval::of(&self.at_least), Interval::of(&self.at_most));
        let change = Change { ratio: most.median, low: least.low, high: most.high };
        let all = Interval { low: least.low, high: most.high, ..most };
        match all.verdict() {
            Some(Verdict::Degraded) => Judgement {
                change: Some(change),
                verdict: Verdict::Degraded,
                why: format!("at least {:.2} times as long, the round trip taken off", change.low),
            },
            Some(Verdict::Improved) => Judgement {
                change: Some(change),
                verdict: Verdict::Improved,
                why: format!("at most {:.2} times as long, the round trip left in", change.high),
            },
            Some(verdict) => Judgement {
                change: Some(change),
                verdict,
                why: "within 5 %, the round trip taken off or left in".to_owned(),
            },
            // Nothing is known of the least that these took, so the low end of the interval is 0.
            None if most.verdict().is_some() && self.together >= ranks(self.calls()).0 => {
                Judgement::cannot_tell(
                    Some(change),
                    "replayer-bound: answers came together and can't be told apart, which \
                     --pipeline 1 avoids",
                )
            }
            None if least.verdict().is_some() || most.verdict().is_some() => {
                Judgement::cannot_tell(
                    Some(change),
                    "replayer-bound: it depends on the round trip to the target",
                )
            }
            None => Judgement::cannot_tell(
                Some(change),
                "too spread: its calls differ too much for their number",
            ),
        }
    }
}

/// What the calls of a shape tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub change: Option<Change>,
    pub verdict: Verdict,
    pub why: String,
}

impl Judgement {
    pub(super) fn cannot_tell(change: Option<Change>, why: &str) -> Self {
        Self { change, verdict: Verdict::CannotTell, why: why.to_owned() }
    }
}

/// A median with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval {
    low: f64,
    median: f64,
    high: f64,
}

impl Interval {
    fn of(ratios: &Histogram<u32>) -> Self {
        let calls = ratios.len();
        let (low, high) = ranks(calls);
        let value = |rank: u64| {
            let mut below = 0;
            let mut recorded = ratios.iter_recorded();
            let found = recorded.find(|step| {
                below += u64::from(step.count_at_value());
                below >= rank
            });
            found.map_or(0, |step| step.value_iterated_to())
        };
        // A histogram's value stands for all that are counted with it.
        Self {
            low: ratios.lowest_equivalent(value(low)) as f64 / ONE,
            median: ratios.median_equivalent(value(calls.div_ceil(2))) as f64 / ONE,
            high: ratios.highest_equivalent(value(high)) as f64 / ONE,
        }
    }

    /// What it would mean by itself.
    fn verdict(self) -> Option<Verdict> {
        if self.low > 1.0 + CHANGE {
            Some(Verdict::Degraded)
        } else if self.high < 1.0 - CHANGE {
            Some(Verdict::Improved)
        } else if self.low >= 1.0 - CHANGE && self.high <= 1.0 + CHANGE {
            Some(Verdict::Same)
        } else {
            None
        }
    }
}

/// The ranks, from 1, of the order statistics that the median lies between with [`CONFIDENCE`].
fn ranks(calls: u64) -> (u64, u64) {
    /// Up to here the binomial distribution is summed up; beyond, its normal approximation is off by
    /// less than a rank.
    const SUMMED: u64 = 1000;
    /// The normal distribution's quantile for [`CONFIDENCE`].
    const Z: f64 = 1.96;
    let low = if calls <= SUMMED {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        // P(exactly 0 below the median), then 1, 2…
        let mut exactly = 0.5_f64.powi(i32::try_from(calls).unwrap_or(i32::MAX));
        let mut at_most = exactly;
        let mut low = 0;
        while at_most <= tail {
            low += 1;
            exactly *= (calls - low + 1) as f64 / low as f64;
            at_most += exactly;
        }
        low
    } else {
        let n = calls as f64;
        (n / 2.0 - Z * n.sqrt() / 2.0).floor() as u64
    };
    let low = low.max(1);
    (low, calls + 1 - low)
}

#[cfg(test)]
mod tests;
