//! Two ways to look at a shape's durations on both targets.
//!
//! A *typical* call is what users wait for. But what makes one shape slower keeps the machine busy, and
//! that makes all others slower, short ones otherwise than long ones. An *undisturbed* call, of the
//! fastest tenth, did not have to wait for a processor: by these a shape's own change stands out where the
//! machine is busy. What depends on a call's parameters shows in the typical calls alone. So both are
//! looked at, each beyond what all shapes have in common there.

use super::judgement::{Clock, Measured, Pair};
use super::shift::{Shift, upper_tail};
use crate::replay::report::Change;
use crate::replay::report::factor::{self, Factor, ShapeRatio};
use crate::replay::report::judgement::{CLOSE, LEAST_CHANGE_MS};

/// How much of the calls is not slower than an undisturbed one.
const FASTEST: f64 = 0.1;
/// Of fewer calls, that share is too few.
const LEAST_FOR_FASTEST: f64 = 100.0;

/// Which calls are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// All of them, by ranks.
    Typical,
    /// The fastest.
    Undisturbed,
}

/// What is seen of all shapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// What they have in common; `None` of too few.
    pub factor: Option<Factor>,
    /// The same of the two runs of the baseline's target.
    pub repeat_factor: Option<Factor>,
    /// In the order of the shapes; `None` where nothing can be seen.
    pub shapes: Vec<Option<Tested>>,
}

/// A shape, tested against what all have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tested {
    pub change: Change,
    /// The change between the two runs of the baseline's target.
    pub repeat: Option<Change>,
    pub margins: Margins,
    /// The probability that chance alone shows as much in either direction.
    pub p: f64,
}

/// What a change has to exceed, as logarithms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    pub threshold: f64,
    /// How far unchanged shapes differ from what they have in common.
    pub spread: f64,
    /// How far the shape differed between two runs of one target.
    pub noise: f64,
    /// What [`LEAST_CHANGE_MS`] is to the shape.
    pub least: f64,
}

impl Level {
    /// Looks at all shapes. `threshold` is a logarithm.
    pub(super) fn look(self, pairs: &[Pair], threshold: f64) -> Seen {
        let shifts = |after: fn(&Pair) -> Option<&Measured>| {
            let shift = |pair: &Pair| self.shift(&pair.baseline, after(pair)?);
            pairs.iter().map(shift).collect::<Vec<Option<Shift>>>()
        };
        let (changes, repeats) =
            (shifts(|pair| Some(&pair.candidate)), shifts(|pair| pair.repeat.as_ref()));
        let factor = self.common(pairs, &changes);
        let repeat_factor = self.common(pairs, &repeats);
        let shapes =
            pairs.iter().zip(changes.into_iter().zip(repeats)).map(|(pair, (shift, again))| {
                let repeat = again.map(|shift| change(shift, Factor::log_of(repeat_factor)));
                let margins = Margins {
                    threshold: self.threshold(threshold),
                    spread: factor.map_or(0.0, |factor| factor.allowance.ln_1p()),
                    noise: repeat.map_or(0.0, |repeat| repeat.beyond.ln().abs()),
                    least: self.least(&pair.baseline, Factor::log_of(factor)),
                };
                let shift = shift?;
                let p = self.p(pair, shift, Factor::log_of(factor), margins);
                Some(Tested { change: change(shift, Factor::log_of(factor)), repeat, margins, p })
            });
        let shapes = shapes.collect();
        Seen { factor, repeat_factor, shapes }
    }

    fn shift(self, baseline: &Measured, candidate: &Measured) -> Option<Shift> {
        match self {
            Self::Typical => {
                let middle = Shift::of(&baseline.at_most, &candidate.at_most)?;
                if candidate.clock == Clock::Server {
                    return Some(middle);
                }
                let low = Shift::of(&baseline.at_most, &candidate.at_least)?.low;
                let high = Shift::of(&baseline.at_least, &candidate.at_most)?.high;
                Some(Shift { low, high, ..middle })
            }
            // What kreplay measures has its own share of a busy machine in it.
            Self::Undisturbed => {
                let can_be_seen = [baseline, candidate]
                    .iter()
                    .all(|it| it.clock == Clock::Server && it.at_most.calls() >= LEAST_FOR_FASTEST);
                let shift = || Shift::of_quantile(FASTEST, &baseline.at_most, &candidate.at_most);
                can_be_seen.then(shift).flatten()
            }
        }
    }

    /// What shapes have in common.
    fn common(self, pairs: &[Pair], shifts: &[Option<Shift>]) -> Option<Factor> {
        let is_close = |it: &Measured| it.at_most.median() - it.at_least.median() <= CLOSE.ln();
        let close = pairs.iter().zip(shifts);
        let close = close.filter(|(pair, _)| is_close(&pair.baseline) && is_close(&pair.candidate));
        let ratios = close.filter_map(|(Pair { baseline, .. }, shift)| {
            let calls = baseline.at_most.calls() as u64;
            let weight = factor::weight(calls, self.duration_ms(baseline));
            Some(ShapeRatio { log_ratio: (*shift)?.middle, weight, least: 0.0 })
        });
        Factor::of(&ratios.collect::<Vec<_>>())
    }

    /// A tenth of the calls has to tell more than all of them.
    fn threshold(self, threshold: f64) -> f64 {
        match self {
            Self::Typical => threshold,
            Self::Undisturbed => 2.0 * threshold,
        }
    }

    /// What such a call takes.
    fn duration_ms(self, measured: &Measured) -> f64 {
        let log = match self {
            Self::Typical => measured.at_most.median(),
            Self::Undisturbed => measured.at_most.quantile(FASTEST).unwrap_or_default(),
        };
        log.exp() / 1e3
    }

    /// What the least change is to a shape, whether by its duration before or by what is expected of it.
    fn least(self, baseline: &Measured, log_factor: f64) -> f64 {
        let shorter = self.duration_ms(baseline) * log_factor.exp().min(1.0);
        let least = match self {
            Self::Typical => LEAST_CHANGE_MS,
            // No processor had to be woken up for it.
            Self::Undisturbed => LEAST_CHANGE_MS / 2.0,
        };
        (least / shorter).ln_1p()
    }

    /// The probability that chance alone shows a change beyond the margins.
    fn p(self, pair: &Pair, shift: Shift, log_factor: f64, margins: Margins) -> f64 {
        let Pair { baseline, candidate, .. } = pair;
        let (slower, faster) = (log_factor + margins.slower(), log_factor - margins.faster());
        let (slower, faster) = match self {
            Self::Typical => (
                super::shift::excess(&baseline.at_most, &candidate.at_least, slower),
                -super::shift::excess(&baseline.at_least, &candidate.at_most, faster),
            ),
            Self::Undisturbed => (shift.excess(slower), -shift.excess(faster)),
        };
        // Where the change is just what one margin allows for, the other is that much farther away.
        (upper_tail(slower.max(faster)) + upper_tail(-slower.min(faster))).min(1.0)
    }
}

impl Margins {
    /// What a change to the slower has to exceed.
    fn slower(self) -> f64 {
        self.threshold.max(self.spread).max(self.noise).max(self.least)
    }

    /// What a change to the faster has to exceed: to less than nothing, nothing can become faster.
    fn faster(self) -> f64 {
        let least = match self.least.exp_m1() {
            share if share < 1.0 => -(-share).ln_1p(),
            _ => f64::INFINITY,
        };
        self.threshold.max(self.spread).max(self.noise).max(least)
    }
}

impl Tested {
    /// Whether all of the interval is slower than the margins allow.
    pub(super) fn is_slower(&self) -> bool {
        self.change.beyond_low.ln() > self.margins.slower()
    }

    /// Whether all of it is faster.
    pub(super) fn is_faster(&self) -> bool {
        self.change.beyond_high.ln() < -self.margins.faster()
    }

    /// Whether all of it is within the threshold.
    pub(super) fn is_same(&self) -> bool {
        let Change { beyond_low, beyond_high, .. } = self.change;
        let threshold = self.margins.threshold;
        beyond_low.ln() >= -threshold && beyond_high.ln() <= threshold
    }
}

fn change(Shift { low, middle, high }: Shift, factor: f64) -> Change {
    Change::beyond((low - factor, middle - factor, high - factor), factor, None)
}
