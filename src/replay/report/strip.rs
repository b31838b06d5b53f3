//! A shape's durations as a picture: how they are spread on both sides, on one logarithmic axis.

use std::time::Duration;

use serde::Serialize;

use super::durations::{Distribution, ms};

/// How many bins the axis has: the picture of a row is some 150 pixels wide.
const BINS: usize = 40;
/// So much of the calls at each end counts with the outermost bin: one call that waited for a lock
/// would leave the others no room.
const OUTERMOST: f64 = 0.005;

/// How the durations of a shape are spread, in bins that are equally wide on a logarithmic axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strip {
    /// Where the axis begins.
    pub from_ms: f64,
    /// Where it ends.
    pub to_ms: f64,
    /// The source's calls in each bin, in thousandths of them; empty where none has a duration.
    pub source: Vec<u16>,
    /// The same of the target.
    pub target: Vec<u16>,
}

impl Strip {
    /// `None` where neither side has a duration.
    pub(super) fn of(source: &Distribution, target: &Distribution) -> Option<Self> {
        let sides = [source, target].into_iter().filter(|side| side.calls() > 0);
        let (from, to) = sides
            .map(|side| (side.quantile(OUTERMOST), side.quantile(1.0 - OUTERMOST)))
            .reduce(|(from, to), (low, high)| (from.min(low), to.max(high)))?;
        let axis = Axis::new(micros(from), micros(to) + 1.0);
        Some(Self {
            from_ms: axis.low / 1e3,
            to_ms: axis.high / 1e3,
            source: axis.shares(source),
            target: axis.shares(target),
        })
    }
}

fn micros(duration: Duration) -> f64 {
    ms(duration) * 1e3
}

/// A logarithmic axis, in microseconds.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// The shortest duration that it shows: the log's own resolution is a microsecond.
    const LEAST: f64 = 0.5;

    fn new(low: f64, high: f64) -> Self {
        let low = low.max(Self::LEAST);
        // Calls that all took as long have a width, too.
        Self { low, high: high.max(low * 1.1) }
    }

    /// In bins from the beginning.
    fn place(&self, micros: f64) -> f64 {
        let way = (micros / self.low).ln() / (self.high / self.low).ln();
        (way * BINS as f64).clamp(0.0, BINS as f64)
    }

    /// The thousandths of a side's calls in each bin. A value stands for all durations that are counted
    /// with it, so that short ones, in whole microseconds, leave no gaps.
    fn shares(&self, side: &Distribution) -> Vec<u16> {
        if side.calls() == 0 {
            return Vec::new();
        }
        let mut bins = [0.0; BINS];
        for (low, high, calls) in side.recorded() {
            // Both are beyond the same end where the value is: its calls are in the outermost bin.
            let from = self.place((low as f64).max(Self::LEAST)).min(BINS as f64 - 1e-6);
            let to = self.place(high as f64).max(from + 1e-6);
            let density = f64::from(calls) / (to - from);
            let (first, last) = (from as usize, (to.ceil() as usize).min(BINS));
            for (bin, share) in bins.iter_mut().enumerate().take(last).skip(first) {
                let overlap = to.min(bin as f64 + 1.0) - from.max(bin as f64);
                *share += density * overlap.max(0.0);
            }
        }
        let all = side.calls() as f64;
        bins.iter().map(|calls| (1000.0 * calls / all).round() as u16).collect()
    }
}

#[cfg(test)]
mod tests;
