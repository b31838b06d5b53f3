//! Which of many findings to believe.
//!
//! At 5 %, one shape in twenty is called changed by chance alone. The procedure of Benjamini and
//! Hochberg bounds the share of false ones among all that are called changed: Y. Benjamini and
//! Y. Hochberg, "Controlling the False Discovery Rate", Journal of the Royal Statistical Society B
//! 57 (1995), pages 289 to 300. It holds as well where the tests depend on each other positively, as
//! those of shapes on one machine do: Y. Benjamini and D. Yekutieli, The Annals of Statistics 29 (2001),
//! pages 1165 to 1188.

/// The share of false findings among all that are believed.
pub const FALSE_DISCOVERY_RATE: f64 = 0.05;

/// Which of the findings with these p values are believed, so that at most `rate` of those are false.
///
/// The k smallest are, where k is the largest number for which the k-th smallest p value is at most
/// `rate` × k / number of values. A value that is no number is not believed, and counts.
pub fn believed(p_values: &[f64], rate: f64) -> Vec<bool> {
    let mut sorted: Vec<f64> = p_values.iter().copied().filter(|p| !p.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let step = rate / p_values.len() as f64;
    let mut from_last = sorted.iter().enumerate().rev();
    let largest = from_last.find(|&(index, p)| *p <= step * (index + 1) as f64);
    p_values.iter().map(|p| largest.is_some_and(|(_, largest)| p <= largest)).collect()
}

#[cfg(test)]
mod tests;
