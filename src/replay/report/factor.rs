//! The machine's factor: what all shapes have in common.
//!
//! Where everything takes 0.8 of its time, the machine is faster, and that says nothing of a query. The
//! factor is the weighted median of the shapes' ratios: up to half of the weight may have changed for
//! reasons of its own before it moves far.
//!
//! - Its interval is Woodruff's: R. S. Woodruff, "Confidence Intervals for Medians and Other Position
//!   Measures", Journal of the American Statistical Association 47 (1952), pages 635 to 646. The number of
//!   shapes below the true median is binomial, so it lies between two of them; with weights, as many
//!   shapes count as Kish's effective size of a sample says, (Σw)² / Σw² (L. Kish, "Survey Sampling",
//!   1965).
//! - Its spread (`factor::spread`) is how far shapes that have not changed lie from it.

mod spread;

use serde::{Deserialize, Serialize};

use spread::Spread;

/// Of fewer shapes it can't be told what they have in common.
pub const LEAST_SHAPES: usize = 3;
/// The most that one shape counts for, as a share of all.
const LARGEST_SHARE: f64 = 0.2;
/// The normal distribution's quantile for an interval of 95 %.
const Z: f64 = 1.96;
/// A shape of this typical duration counts for half as much as a long one, in milliseconds, and so does
/// one of so many calls beside one of many.
const HALF_MS: f64 = 0.1;
const HALF_CALLS: f64 = 100.0;

/// How one shape changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShapeRatio {
    /// The natural logarithm of its ratio.
    pub log_ratio: f64,
    /// How much it counts, more than 0: see [`weight`]. No shape counts for more than a fifth of all, as
    /// long as there are five.
    pub weight: f64,
    /// The logarithm of a change that is none for it, as it is too short to tell: 0 where any is told.
    pub least: f64,
}

/// How much a shape of so many calls and this typical duration counts: the more the better its ratio can be
/// told. That a shape takes most of the time does not make it count more, since it may be the one that
/// changed.
pub fn weight(calls: u64, typical_ms: f64) -> f64 {
    let share = |value: f64, half: f64| value / (value + half);
    (share(calls as f64, HALF_CALLS) * share(typical_ms.max(0.001), HALF_MS)).sqrt()
}

/// The weighted median of the logarithms of these ratios; 0 of nothing.
pub(super) fn median(mut shapes: Vec<ShapeRatio>) -> f64 {
    prepare(&mut shapes);
    quantile(&shapes, 0.5)
}

/// What all shapes have in common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// Target divided by source: 0.8 on a machine that is a quarter faster.
    pub ratio: f64,
    /// The low end of its confidence interval of 95 %.
    pub low: f64,
    /// The high end.
    pub high: f64,
    /// How much shapes differ from it without any news, as a standard deviation: 0.03 is 3 %.
    pub spread: f64,
    /// How much they may differ from it without any news: 49 of 50 do by less.
    pub allowance: f64,
    /// How many shapes it is of.
    pub shapes: usize,
}

impl Factor {
    /// Its logarithm; without one, what all have in common is nothing.
    pub(crate) fn log_of(factor: Option<Self>) -> f64 {
        factor.map_or(0.0, |factor| factor.ratio.ln())
    }

    /// The factor of these shapes, in whatever order they come. `None` for fewer than
    /// [`LEAST_SHAPES`]: of one, everything would be common, and of two, half of a change.
    pub fn of(shapes: &[ShapeRatio]) -> Option<Self> {
        let counts = |it: &&ShapeRatio| it.log_ratio.is_finite() && it.weight > 0.0;
        let mut shapes: Vec<ShapeRatio> = shapes.iter().filter(counts).copied().collect();
        if shapes.len() < LEAST_SHAPES {
            return None;
        }
        prepare(&mut shapes);
        let median = quantile(&shapes, 0.5);
        let reach = Z / 2.0 / effective_size(shapes.iter().map(|it| it.weight)).sqrt();
        let spread = Spread::around(median, &shapes);
        Some(Self {
            ratio: median.exp(),
            low: quantile(&shapes, 0.5 - reach).exp(),
            high: quantile(&shapes, 0.5 + reach).exp(),
            spread: spread.deviation.exp_m1(),
            allowance: spread.allowance.exp_m1(),
            shapes: shapes.len(),
        })
    }
}

/// How many shapes of equal weight tell as much as those of these weights (Kish).
fn effective_size(weights: impl Iterator<Item = f64>) -> f64 {
    let (mut total, mut squares) = (0.0, 0.0);
    weights.for_each(|weight| {
        total += weight;
        squares += weight * weight;
    });
    total * total / squares
}

/// Sorts shapes by their ratios, and lets none count for too much.
fn prepare(shapes: &mut [ShapeRatio]) {
    limit_shares(shapes);
    // By weight too: sums of them do not depend on the order then.
    shapes.sort_unstable_by(|a, b| {
        a.log_ratio.total_cmp(&b.log_ratio).then(a.weight.total_cmp(&b.weight))
    });
}

/// Lets no shape count for more than [`LARGEST_SHARE`] of all, or its equal share where they are few.
fn limit_shares(shapes: &mut [ShapeRatio]) {
    shapes.sort_unstable_by(|a, b| b.weight.total_cmp(&a.weight));
    let share = LARGEST_SHARE.max(1.0 / shapes.len().max(1) as f64);
    let mut others: f64 = shapes.iter().map(|it| it.weight).sum();
    // With the k heaviest at the limit: limit = share × (k × limit + the others').
    for k in 0..shapes.len() {
        let limit = share * others / (1.0 - share * k as f64);
        if shapes[k].weight <= limit {
            shapes[..k].iter_mut().for_each(|it| it.weight = limit);
            return;
        }
        others -= shapes[k].weight;
    }
    // All are, but for rounding.
    shapes.iter_mut().for_each(|it| it.weight = 1.0);
}

/// The ratio below which so much of the weight is, of sorted shapes; between two of them where they
/// meet just there.
fn quantile(sorted: &[ShapeRatio], share: f64) -> f64 {
    let total: f64 = sorted.iter().map(|it| it.weight).sum();
    let (wanted, rounding) = (share * total, total * 1e-9);
    let mut below = 0.0;
    let mut meets = None;
    for it in sorted {
        if let Some(before) = meets {
            return f64::midpoint(before, it.log_ratio);
        }
        below += it.weight;
        if below > wanted + rounding {
            return it.log_ratio;
        }
        if below >= wanted - rounding {
            meets = Some(it.log_ratio);
        }
    }
    sorted.last().map_or(0.0, |it| it.log_ratio)
}

#[cfg(test)]
mod tests;
