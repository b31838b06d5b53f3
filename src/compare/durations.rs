//! The durations of a shape's calls on one target, as its report holds them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::Serialize;

/// A report's histograms have two digits; more would take memory for nothing.
const MOST_DIGITS: u32 = 3;
/// With so many digits, all that a histogram can hold is shorter in base64.
const MOST_CHARACTERS: usize = 1 << 20;
/// How a histogram in the format V2 begins.
const COOKIE: u32 = 0x1c84_9313;
/// What stands before the counts: the cookie, how many bytes the counts take, an offset, the digits, the
/// lowest and the highest value, a ratio.
const HEADER: usize = 40;
/// A count that takes so many bytes is one that no run reaches, and that the reading can't negate.
const LONGEST_COUNT: usize = 8;
/// Shorter durations count as this one, in microseconds: a clock that counts microseconds shows 0 for
/// all of them, and a logarithm needs more.
const LEAST: f64 = 0.25;

/// Durations as steps on a logarithmic axis.
///
/// A histogram's value stands for all durations that are counted with it, which lie anywhere between its
/// ends. So there are no ties: a short statement takes 10 or 11 microseconds by the clock, and what
/// is 3 % slower takes 11 a little more often.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Durations {
    steps: Vec<Step>,
    calls: f64,
}

/// Calls that took from `low` up to `high`: natural logarithms of microseconds. Steps don't overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    low: f64,
    high: f64,
    calls: f64,
    /// How many calls took less.
    before: f64,
}

impl Durations {
    /// Reads what a report holds. `None` where it is no such thing.
    pub(super) fn decode(base64: &str) -> Option<Self> {
        if base64.len() > MOST_CHARACTERS {
            return None;
        }
        let bytes = BASE64_STANDARD.decode(base64).ok()?;
        if !is_bounded(&bytes) {
            return None;
        }
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).ok()?;
        Some(Self::of(read.iter_recorded().map(|step| {
            let value = step.value_iterated_to();
            let (low, high) = (read.lowest_equivalent(value), read.highest_equivalent(value));
            (low as f64 - 0.5, high as f64 + 0.5, step.count_at_value())
        })))
    }

    /// So many calls took from so many up to so many microseconds, the shortest first.
    fn of(steps: impl IntoIterator<Item = (f64, f64, u64)>) -> Self {
        let mut durations = Self::default();
        for (low, high, calls) in steps {
            let (low, high) = (low.max(LEAST).ln(), high.max(LEAST * 2.0).ln());
            let (calls, before) = (calls as f64, durations.calls);
            durations.calls += calls;
            match durations.steps.last_mut() {
                // What is shorter than the least, all together.
                Some(last) if low < last.high => last.calls += calls,
                _ => durations.steps.push(Step { low, high, calls, before }),
            }
        }
        durations
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> f64 {
        self.calls
    }

    /// The same with so many milliseconds less for every call.
    pub(super) fn less(&self, ms: f64) -> Self {
        let less = |log: f64| log.exp() - ms * 1e3;
        Self::of(self.steps.iter().map(|it| (less(it.low), less(it.high), it.calls as u64)))
    }

    /// The natural logarithms of the shortest and the longest, in microseconds.
    pub(super) fn ends(&self) -> Option<(f64, f64)> {
        Some((self.steps.first()?.low, self.steps.last()?.high))
    }

    /// The logarithm of the median, in microseconds; 0 of nothing.
    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5).unwrap_or_default()
    }

    /// The logarithm of the duration that this share of the calls did not exceed.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.calls;
        let step = self.steps.iter().find(|it| it.before + it.calls >= wanted)?;
        Some(step.low + (step.high - step.low) * ((wanted - step.before) / step.calls))
    }

    /// The mean and the variance of a call's place among these, for the calls of `others`, all of which
    /// took `shift` longer: 0 before all of these, 1 behind them.
    ///
    /// Simpson's rule over each step: it is exact for the mean, and for the variance but where both
    /// sides have steps that end within each other.
    pub(super) fn places_of(&self, others: &Self, shift: f64) -> Places {
        let mut cursor = 0;
        let (mut sum, mut squares) = (0.0, 0.0);
        for step in &others.steps {
            let (low, high) = (step.low + shift, step.high + shift);
            let [a, b, c] =
                [low, f64::midpoint(low, high), high].map(|log| self.share_below(log, &mut cursor));
            sum += step.calls * (a + 4.0 * b + c) / 6.0;
            squares += step.calls * (a * a + 4.0 * b * b + c * c) / 6.0;
        }
        let mean = sum / others.calls;
        let variance = (squares / others.calls - mean * mean).max(0.0);
        Places { mean, variance_of_mean: variance / (others.calls - 1.0).max(1.0) }
    }

    /// The share of calls below; asked for values that only grow, from a cursor at 0.
    fn share_below(&self, log: f64, cursor: &mut usize) -> f64 {
        while self.steps.get(*cursor).is_some_and(|step| step.high <= log) {
            *cursor += 1;
        }
        let below = match self.steps.get(*cursor) {
            None => self.calls,
            Some(step) => {
                let part = ((log - step.low) / (step.high - step.low)).max(0.0);
                step.before + step.calls * part
            }
        };
        below / self.calls
    }
}

/// Whether reading this takes no more memory than what kreplay writes does: what a histogram tells of its
/// size is believed before it is read.
fn is_bounded(bytes: &[u8]) -> bool {
    let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let goes_on = |count: &[u8]| count.iter().all(|byte| byte & 0x80 != 0);
    bytes.len() >= HEADER
        && word(0) == Some(COOKIE)
        && word(4).is_some_and(|length| length as usize == bytes.len() - HEADER)
        && word(12).is_some_and(|digits| digits <= MOST_DIGITS)
        && !bytes[HEADER..].windows(LONGEST_COUNT).any(goes_on)
}

/// Where calls stand among those of another target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Places {
    /// The mean.
    pub mean: f64,
    /// How far that mean is off by chance.
    pub variance_of_mean: f64,
}

/// Durations of both targets as a picture: bins that are equally wide on one logarithmic axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Strip {
    /// Where the axis begins.
    from_ms: f64,
    /// Where it ends.
    to_ms: f64,
    /// The baseline's calls in each bin, in thousandths of them.
    baseline: Vec<u16>,
    /// The candidate's.
    candidate: Vec<u16>,
}

impl Strip {
    const BINS: u32 = 40;
    /// So much at each end counts with the outermost bin: one call that waited would leave no room to
    /// the others.
    const OUTERMOST: f64 = 0.005;

    /// `None` where neither has a duration.
    pub(super) fn of(baseline: &Durations, candidate: &Durations) -> Option<Self> {
        let ends = |side: &Durations| {
            Some((side.quantile(Self::OUTERMOST)?, side.quantile(1.0 - Self::OUTERMOST)?))
        };
        let sides = [baseline, candidate].into_iter().filter_map(ends);
        let (from, to) = sides.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let width = (to - from).max(0.1) / f64::from(Self::BINS);
        let bins = |side: &Durations| {
            if side.calls == 0.0 {
                return Vec::new();
            }
            let mut cursor = 0;
            let mut before = 0.0;
            let share = |bin: u32| {
                let below = match bin {
                    Self::BINS => 1.0,
                    _ => side.share_below(from + width * f64::from(bin), &mut cursor),
                };
                let share = below - before;
                before = below;
                (1000.0 * share).round() as u16
            };
            (1..=Self::BINS).map(share).collect()
        };
        Some(Self {
            from_ms: from.exp() / 1e3,
            to_ms: (from + width * f64::from(Self::BINS)).exp() / 1e3,
            baseline: bins(baseline),
            candidate: bins(candidate),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
