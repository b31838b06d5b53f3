//! How far shapes that have not changed lie from the factor.
//!
//! Each lies away by what this machine is to it, of the spread that is looked for, and by how little its own
//! ratio can be told: half of the change that is none for it ([`ShapeRatio::least`]). A shape whose ratio
//! can't be told says little of the spread, and counts for little.
//!
//! - Which shapes have changed is not known. The median absolute distance (F. R. Hampel, "The Influence
//!   Curve and Its Role in Robust Estimation", Journal of the American Statistical Association 69 (1974),
//!   pages 383 to 393) is no longer about the others where four in ten have. So a first estimate is the
//!   distance that a third of the weight does not exceed, times 2.32, which makes a standard deviation of it
//!   where distances are normal.
//! - It is too large by half where four in ten have changed, and of ten shapes it rests on three. So those
//!   farther than 2.5 times that are taken to have changed, and the spread is the standard deviation of all
//!   others: P. J. Rousseeuw and A. M. Leroy, "Robust Regression and Outlier Detection", 1987, the
//!   reweighted estimate.
//! - That part of it which their own ratios explain is none of it: R. C. Paule and J. Mandel, "Consensus
//!   Values and Weighting Factors", Journal of Research of the National Bureau of Standards 87 (1982), pages
//!   377 to 385.
//! - Of a few shapes the spread itself is hardly known. So what is allowed for is Student's quantile, and of
//!   a spread that is put together with what unchanged shapes differ by elsewhere: G. K. Smyth, "Linear
//!   Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments",
//!   Statistical Applications in Genetics and Molecular Biology 3 (2004), the moderated t-statistic.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::{ShapeRatio, effective_size, quantile};

/// So much of the weight is looked at for a first estimate,
const INNER: f64 = 1.0 / 3.0;
/// and its largest distance times this is a standard deviation, where distances are normal.
const NORMAL: f64 = 2.3217;
/// Shapes that lie so many times as far have changed,
const OUTLYING: f64 = 2.5;
/// and the standard deviation of the others times this is that of all that have not, where distances are
/// normal.
const TRUNCATED: f64 = 1.0476;
/// A shape whose ratio can be told to this, as a logarithm, says as much as can be said.
const TOLD_WELL: f64 = 0.05;
/// So many of the unchanged shapes lie within what is allowed for, on both sides together.
const CONFIDENCE: f64 = 0.98;
/// What unchanged shapes differ by elsewhere, as a logarithm (`benches/verdicts`: between two replays to one
/// target 0.00 to 0.08), and for how many shapes that counts.
const ELSEWHERE: f64 = 0.05;
const ELSEWHERE_COUNTS: f64 = 4.0;
/// The estimate is right to this part of the largest distance.
const HALVINGS: u32 = 40;

/// How far unchanged shapes lie from the factor, as logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// The standard deviation.
    pub deviation: f64,
    /// What 49 of 50 do not exceed.
    pub allowance: f64,
}

/// A shape as seen from the factor.
#[derive(Debug, Clone, Copy)]
struct Distance {
    away: f64,
    /// The part of it that its own ratio explains.
    noise: f64,
    weight: f64,
}

impl Spread {
    /// Of shapes around this logarithm.
    pub(super) fn around(factor: f64, shapes: &[ShapeRatio]) -> Self {
        let distance = |it: &ShapeRatio| {
            let noise = it.least / 2.0;
            let told = TOLD_WELL / noise.max(TOLD_WELL);
            let weight = it.weight * told * told;
            Distance { away: (it.log_ratio - factor).abs(), noise, weight }
        };
        let mut distances: Vec<Distance> = shapes.iter().map(distance).collect();
        let outlying = OUTLYING * first_estimate(&distances);
        distances.retain(|it| it.away <= outlying.hypot(OUTLYING * it.noise));
        let size = effective_size(distances.iter().map(|it| it.weight));
        // The factor is one of them, or lies between two: that takes one away.
        let freedom = (size - 1.0).max(1.0);
        let deviation = deviation(&distances, size / freedom);
        let variance = |deviation: f64, counts: f64| counts * deviation * deviation;
        let sum = variance(deviation, freedom) + variance(ELSEWHERE, ELSEWHERE_COUNTS);
        let freedom = freedom + ELSEWHERE_COUNTS;
        Self { deviation, allowance: students_quantile(freedom) * (sum / freedom).sqrt() }
    }
}

/// The deviation for which a third of the weight lies as near as it should.
fn first_estimate(distances: &[Distance]) -> f64 {
    // For which each of them lies just as near.
    let explained = |it: &Distance| {
        let beyond_noise = (NORMAL * it.away).powi(2) - it.noise.powi(2);
        ShapeRatio { log_ratio: beyond_noise.max(0.0).sqrt(), weight: it.weight, least: 0.0 }
    };
    let mut explained: Vec<ShapeRatio> = distances.iter().map(explained).collect();
    explained.sort_unstable_by(|a, b| a.log_ratio.total_cmp(&b.log_ratio));
    quantile(&explained, INNER)
}

/// The deviation that, with what their own ratios explain, makes the distances what they are; 0 where these
/// explain them all.
fn deviation(distances: &[Distance], correction: f64) -> f64 {
    let total: f64 = distances.iter().map(|it| it.weight).sum();
    let is_explained_by = |deviation: f64| {
        let variance = |it: &Distance| deviation.mul_add(deviation, it.noise * it.noise);
        let square =
            |it: &Distance| it.weight * it.away * it.away / variance(it).max(f64::MIN_POSITIVE);
        let squares: f64 = distances.iter().map(square).sum();
        TRUNCATED * TRUNCATED * correction * squares <= total
    };
    let farthest = distances.iter().map(|it| it.away).fold(0.0, f64::max);
    if farthest == 0.0 || is_explained_by(0.0) {
        return 0.0;
    }
    // The correction is 2 at most.
    let (mut low, mut high) = (0.0, 2.0 * farthest);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        *(if is_explained_by(middle) { &mut high } else { &mut low }) = middle;
    }
    high
}

/// How many deviations [`CONFIDENCE`] lie within, where the deviation is known with this freedom.
fn students_quantile(freedom: f64) -> f64 {
    let students = StudentsT::new(0.0, 1.0, freedom);
    students.map_or(f64::INFINITY, |it| it.inverse_cdf(f64::midpoint(CONFIDENCE, 1.0)))
}
