//! How many times as long a shape takes on one target as on another, from the durations of both.
//!
//! The reports hold distributions and no pairs of calls, so this is a comparison of two samples, by
//! ranks: one call that waited for a lock says as much as one that took a little longer.
//!
//! - The test is Brunner and Munzel's: E. Brunner and U. Munzel, "The Nonparametric Behrens-Fisher
//!   Problem", Biometrical Journal 42 (2000), pages 17 to 25. It asks as the Wilcoxon-Mann-Whitney test
//!   does whether a call of the one takes longer than a call of the other more often than not, and
//!   does not take both to be spread alike. Durations that are equal by the clock lie anywhere within
//!   its resolution.
//! - The estimate is Hodges and Lehmann's: the factor that the test can't tell from the truth least of
//!   all, and the interval has all factors in it that the test does not refuse: J. L. Hodges and E. L.
//!   Lehmann, "Estimates of Location Based on Rank Tests", The Annals of Mathematical Statistics 34
//!   (1963), pages 598 to 611.

use statrs::function::erf::erfc;

use super::durations::Durations;

/// The normal distribution's quantile for an interval of 95 %.
const Z: f64 = 1.96;
/// The interval's ends are right to this, on the logarithmic scale.
const PRECISION: f64 = 1e-4;

/// A ratio with its confidence interval of 95 %, as natural logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// The low end.
    pub low: f64,
    /// The estimate.
    pub middle: f64,
    /// The high end.
    pub high: f64,
}

impl Shift {
    /// Of `candidate` by `baseline`; `None` where one of them has no calls.
    pub(super) fn of(baseline: &Durations, candidate: &Durations) -> Option<Self> {
        let (shortest, longest) = baseline.ends()?;
        let (least, most) = candidate.ends()?;
        // Beyond these, no call of the one overlaps one of the other.
        let all = (least - longest, most - shortest);
        let at = |z| falls_to(z, all, |shift| excess(baseline, candidate, shift));
        Some(Self { low: at(Z), middle: at(0.0), high: at(-Z) })
    }
}

impl Shift {
    /// Of the duration that this share of the calls does not exceed. The interval puts those of both
    /// sides together: G. Y. Zou and A. Donner, "Construction of Confidence Limits about Effect Measures:
    /// A General Approach", Statistics in Medicine 27 (2008), pages 1693 to 1702.
    pub(super) fn of_quantile(
        share: f64,
        baseline: &Durations,
        candidate: &Durations,
    ) -> Option<Self> {
        // The number of calls below the true quantile is binomial.
        let with_interval = |side: &Durations| {
            let reach = Z * (share * (1.0 - share) / side.calls()).sqrt();
            let at = |share: f64| side.quantile(share.clamp(0.0, 1.0));
            Some((at(share - reach)?, at(share)?, at(share + reach)?))
        };
        let (before, after) = (with_interval(baseline)?, with_interval(candidate)?);
        let middle = after.1 - before.1;
        Some(Self {
            low: middle - (after.1 - after.0).hypot(before.2 - before.1),
            middle,
            high: middle + (after.2 - after.1).hypot(before.1 - before.0),
        })
    }

    /// By how many standard deviations it exceeds a value; less than 0 where it is below.
    pub(super) fn excess(self, value: f64) -> f64 {
        let above = self.middle - value;
        let side = if above > 0.0 { self.middle - self.low } else { self.high - self.middle };
        Z * above / side.max(f64::MIN_POSITIVE)
    }
}

/// How surely the candidate takes longer than the baseline would that took `shift` longer, in standard
/// deviations; less than 0 where it takes less.
pub(super) fn excess(baseline: &Durations, candidate: &Durations, shift: f64) -> f64 {
    let candidates = baseline.places_of(candidate, -shift);
    let baselines = candidate.places_of(baseline, shift);
    let variance = candidates.variance_of_mean + baselines.variance_of_mean;
    // None where all of the one lie behind all of the other: as sure as can be.
    (candidates.mean - 0.5) / variance.sqrt().max(f64::MIN_POSITIVE)
}

/// The probability that chance alone shows as much.
pub(super) fn upper_tail(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// Where a falling function reaches a value.
fn falls_to(value: f64, (mut low, mut high): (f64, f64), falling: impl Fn(f64) -> f64) -> f64 {
    while high - low > PRECISION {
        let middle = f64::midpoint(low, high);
        if falling(middle) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests;
