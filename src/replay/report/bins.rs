//! How the ratios of a few calls are spread, in some hundred bytes.

/// Bins for each doubling: they are 3 to 6 % wide, and a median between them is told by proportion.
const PER_OCTAVE: u32 = 16;
/// The smallest ratio that is told apart: 1/64.
const SMALLEST_EXPONENT: u64 = 1023 - 6;
/// The highest bits of a number: its exponent, and of its fraction as many as tell the bins apart.
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - PER_OCTAVE.ilog2();
/// The first bin, in those bits.
const FIRST: u64 = SMALLEST_EXPONENT << PER_OCTAVE.ilog2();
/// Bins end at half a bin above a power of two: 1, which all unchanged calls share where the clock is
/// coarse, is in the middle of one.
const CENTRED: f64 = 1.0 + 0.5 / PER_OCTAVE as f64;

/// Counts of ratios, from 1/64 to 1024; what lies beyond counts as these.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bins {
    /// The bin of the first counter.
    first: u8,
    counts: Vec<u16>,
}

impl Bins {
    /// Counts a ratio.
    pub(super) fn add(&mut self, ratio: f64) {
        self.add_many(bin(ratio), 1);
    }

    /// Adds all that another has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        (other.first..=u8::MAX)
            .zip(&other.counts)
            .for_each(|(bin, &count)| self.add_many(bin, count));
    }

    fn add_many(&mut self, bin: u8, count: u16) {
        if count == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.first = bin;
        }
        if bin < self.first {
            let more = usize::from(self.first - bin);
            self.counts.splice(..0, std::iter::repeat_n(0, more));
            self.first = bin;
        }
        let index = usize::from(bin - self.first);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        while self.counts[index].checked_add(count).is_none() {
            // Only their proportion matters.
            self.counts.iter_mut().for_each(|count| *count = count.div_ceil(2));
        }
        self.counts[index] += count;
    }

    /// How many are counted.
    pub(super) fn len(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The ratio of this rank, from 0 to [`Bins::len`]; 0 where nothing is counted.
    pub(super) fn at_rank(&self, rank: f64) -> f64 {
        let mut below = 0.0;
        for (bin, &count) in (self.first..=u8::MAX).zip(&self.counts) {
            let count = f64::from(count);
            if count > 0.0 && below + count >= rank {
                let (low, high) = edges(bin);
                return low + (high - low) * ((rank - below) / count).clamp(0.0, 1.0);
            }
            below += count;
        }
        0.0
    }

    /// The median.
    pub(super) fn median(&self) -> f64 {
        self.at_rank(self.len() as f64 / 2.0)
    }

    /// How many are above a ratio, as far as the bins tell.
    pub(super) fn above(&self, ratio: f64) -> f64 {
        let counted = (self.first..=u8::MAX).zip(&self.counts).map(|(bin, &count)| {
            let (low, high) = edges(bin);
            f64::from(count) * ((high - ratio) / (high - low)).clamp(0.0, 1.0)
        });
        counted.sum()
    }
}

fn bin(ratio: f64) -> u8 {
    // The bits of positive numbers are in the order of the numbers.
    let bits = (ratio.max(0.0) * CENTRED).to_bits() >> SHIFT;
    u8::try_from(bits.saturating_sub(FIRST)).unwrap_or(u8::MAX)
}

fn edges(bin: u8) -> (f64, f64) {
    let edge = |bin: u64| f64::from_bits((FIRST + bin) << SHIFT) / CENTRED;
    (edge(bin.into()), edge(u64::from(bin) + 1))
}

#[cfg(test)]
mod tests;
