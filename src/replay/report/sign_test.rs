//! What a median is, and what it is not, by counting alone.
//!
//! How many of n independent observations lie below their true median is binomial, whatever their
//! distribution. So the median lies between two of the sorted observations with a confidence that can be
//! told (W. J. Conover, "Practical Nonparametric Statistics", 3rd edition, sections 3.2 and 3.4), and that
//! it lies above a limit is believed where more observations do than chance would have it: the sign test.

/// Of the intervals.
pub const CONFIDENCE: f64 = 0.95;
/// Up to here the binomial distribution is summed up.
const SUMMED: u64 = 1000;

/// The ranks, from 1, of the sorted observations that their median lies between with [`CONFIDENCE`].
pub fn ranks(observations: u64) -> (u64, u64) {
    /// The normal distribution's quantile for [`CONFIDENCE`].
    const Z: f64 = 1.96;
    let low = if observations <= SUMMED {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        // P(exactly 0 below the median), then 1, 2…
        let mut exactly = 0.5_f64.powi(i32::try_from(observations).unwrap_or(i32::MAX));
        let mut at_most = exactly;
        let mut low = 0;
        while at_most <= tail {
            low += 1;
            exactly *= (observations - low + 1) as f64 / low as f64;
            at_most += exactly;
        }
        low
    } else {
        // The normal approximation is off by less than a rank.
        let n = observations as f64;
        (n / 2.0 - Z * n.sqrt() / 2.0).floor() as u64
    };
    let low = low.max(1);
    (low, (observations + 1).saturating_sub(low))
}

/// How likely it is that this many or more of the observations lie above a limit that is their median.
pub fn p_above(above: u64, observations: u64) -> f64 {
    if above * 2 <= observations {
        return 1.0;
    }
    if observations > SUMMED {
        // Hoeffding's bound, which is never too small: exp(-2n (k/n - 1/2)²).
        let (n, k) = (observations as f64, above as f64);
        return (-2.0 * n * (k / n - 0.5).powi(2)).exp();
    }
    // P(exactly all), then all but one…
    let mut exactly = 0.5_f64.powi(i32::try_from(observations).unwrap_or(i32::MAX));
    let mut at_least = exactly;
    for below in 1..=observations.saturating_sub(above) {
        exactly *= (observations - below + 1) as f64 / below as f64;
        at_least += exactly;
    }
    at_least.min(1.0)
}

#[cfg(test)]
mod tests;
