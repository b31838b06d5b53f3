//! Whether a shape takes longer on the candidate's target than on the baseline's.
//!
//! What all shapes have in common is the machine's [`Factor`], and no news about a query. So a shape is
//! judged by its ratio beyond that factor. It has to exceed the threshold, how far shapes differ from the
//! factor without any news, what [`LEAST_CHANGE_MS`] is to it, and, where the baseline's target was replayed to twice, how far the shape
//! itself differed between those two runs. The test is that of [`shift`](super::shift); of many shapes
//! some show as much by chance, so the share of false findings is bounded
//! ([`discovery`](crate::replay::report::discovery)).

use super::durations::Durations;
use super::shift::{Shift, excess, upper_tail};
use crate::replay::report::discovery::{FALSE_DISCOVERY_RATE, believed};
use crate::replay::report::factor::{self, Factor, ShapeRatio};
use crate::replay::report::judgement::{LEAST_CALLS, LEAST_CHANGE_MS};
use crate::replay::report::{Change, ClockCounts, Verdict};

/// Unchanged shapes differ from the factor by less than so many standard deviations of their kind: some
/// 95 % of them.
const SPREADS: f64 = 2.0;
/// Where fewer of a shape's calls succeeded on one side, those of both are not the same calls.
const LEAST_SHARE: f64 = 0.8;
/// Where the server measured fewer of a shape's calls, its durations are the client's.
const SERVERS_SHARE: f64 = 0.98;

/// Durations tell something of the machine's factor where the round trip in them makes less.
const CLOSE: f64 = 1.1;

/// Who measured durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The server: what its log would say.
    Server,
    /// kreplay: with the way to the server and back in it.
    Client,
}

impl Clock {
    /// Of a shape's calls.
    pub(super) fn of(ClockCounts { server, client }: ClockCounts) -> Self {
        match server as f64 >= SERVERS_SHARE * (server + client) as f64 && server > 0 {
            true => Self::Server,
            false => Self::Client,
        }
    }
}

/// What a report tells of a shape's durations.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// As they were measured.
    pub at_most: Durations,
    /// Less the way to the server and back, as far as it is in them.
    pub at_least: Durations,
    /// Who measured them.
    pub clock: Clock,
}

impl Measured {
    /// The logarithm of the median.
    fn median(&self) -> f64 {
        self.at_most.median()
    }

    /// Whether the round trip matters little.
    fn is_close(&self) -> bool {
        self.at_most.median() - self.at_least.median() <= CLOSE.ln()
    }
}

/// One shape in both reports.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// On the baseline's target.
    pub baseline: Measured,
    /// On the candidate's.
    pub candidate: Measured,
    /// On the baseline's target, the second time.
    pub repeat: Option<Measured>,
}

fn change(shift: Shift, log_factor: f64) -> Change {
    let beyond = |log: f64| (log - log_factor).exp();
    Change {
        ratio: shift.middle.exp(),
        low: shift.low.exp(),
        high: shift.high.exp(),
        beyond: beyond(shift.middle),
        beyond_low: beyond(shift.low),
        beyond_high: beyond(shift.high),
    }
}

/// What is told of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    /// Why, in a short clause.
    pub why: String,
    pub change: Option<Change>,
    /// The change between the two runs of the baseline's target.
    pub repeat: Option<Change>,
}

impl Judgement {
    /// Nothing, for this reason.
    pub(super) fn cannot_tell(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::CannotTell, why: why.into(), change: None, repeat: None }
    }
}

/// What is told of all shapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    /// What they have in common; `None` of too few.
    pub factor: Option<Factor>,
    /// The same of the two runs of the baseline's target.
    pub repeat_factor: Option<Factor>,
    /// In the order of the shapes.
    pub shapes: Vec<Judgement>,
}

/// Judges all shapes of two reports. A `threshold` of 0.1 is 10 %.
pub(super) fn judge(pairs: &[Pair], threshold: f64) -> Judged {
    let estimates: Vec<_> =
        pairs.iter().map(|pair| estimate(&pair.baseline, &pair.candidate)).collect();
    let repeats: Vec<_> =
        pairs.iter().map(|pair| estimate(&pair.baseline, pair.repeat.as_ref()?).ok()).collect();
    let factor = common(pairs.iter().zip(&estimates).filter_map(|(pair, estimate)| {
        Some((&pair.baseline, &pair.candidate, estimate.as_ref().ok()?))
    }));
    let repeat_factor = common(pairs.iter().zip(&repeats).filter_map(|(pair, estimate)| {
        Some((&pair.baseline, pair.repeat.as_ref()?, estimate.as_ref()?))
    }));
    let log_factor = |factor: Option<Factor>| factor.map_or(0.0, |factor| factor.ratio.ln());
    let spread = factor.map_or(0.0, |factor| SPREADS * factor.spread.ln_1p());
    let tests: Vec<_> = pairs
        .iter()
        .zip(estimates)
        .zip(&repeats)
        .map(|((pair, estimate), repeat)| {
            let repeat = repeat.map(|shift| change(shift, log_factor(repeat_factor)));
            let margins = Margins {
                threshold: threshold.ln_1p(),
                spread,
                least: (LEAST_CHANGE_MS * 1e3 / pair.baseline.median().exp()).ln_1p(),
                noise: repeat.map_or(0.0, |it| it.beyond.ln().abs()),
            };
            let tested =
                estimate.map(|shift| Tested::new(pair, shift, log_factor(factor), margins));
            (tested, repeat)
        })
        .collect();
    let p_values: Vec<f64> = tests.iter().filter_map(|(it, _)| Some(it.as_ref().ok()?.p)).collect();
    let mut believed = believed(&p_values, FALSE_DISCOVERY_RATE).into_iter();
    let shapes = tests.into_iter().map(|(tested, repeat)| {
        let judgement = match tested {
            Ok(tested) => tested.judge(believed.next().unwrap_or_default()),
            Err(why) => Judgement::cannot_tell(why),
        };
        Judgement { repeat, ..judgement }
    });
    let shapes = shapes.collect();
    Judged { factor, repeat_factor, shapes }
}

/// What shapes have in common, each with what was measured before and after.
fn common<'a>(
    shapes: impl Iterator<Item = (&'a Measured, &'a Measured, &'a Shift)>,
) -> Option<Factor> {
    let close = shapes.filter(|(before, after, _)| before.is_close() && after.is_close());
    let ratios = close.map(|(before, _, shift)| ShapeRatio {
        log_ratio: shift.middle,
        weight: factor::weight(before.at_most.calls() as u64, before.median().exp() / 1e3),
    });
    Factor::of(&ratios.collect::<Vec<_>>())
}

/// The ratio of a shape by itself, or why there is none.
fn estimate(baseline: &Measured, candidate: &Measured) -> Result<Shift, String> {
    let (before, after) = (baseline.at_most.calls(), candidate.at_most.calls());
    if before.min(after) < LEAST_CALLS as f64 {
        return Err(format!(
            "fewer than {LEAST_CALLS} calls with a duration in {}",
            match (before < LEAST_CALLS as f64, after < LEAST_CALLS as f64) {
                (true, true) => "both",
                (true, false) => "the baseline",
                _ => "the candidate",
            }
        ));
    }
    if before.min(after) < LEAST_SHARE * before.max(after) {
        return Err(format!(
            "{after} calls succeeded, and {before} in the baseline: they are not the same calls"
        ));
    }
    if baseline.clock != candidate.clock {
        return Err(format!(
            "the server measured it in the {} alone, and the round trip is in the other's durations",
            if baseline.clock == Clock::Server { "baseline" } else { "candidate" },
        ));
    }
    let of = |baseline, candidate| {
        Shift::of(baseline, candidate).ok_or_else(|| "no call has a duration".to_owned())
    };
    let middle = of(&baseline.at_most, &candidate.at_most)?;
    if candidate.clock == Clock::Server {
        return Ok(middle);
    }
    let low = of(&baseline.at_most, &candidate.at_least)?.low;
    let high = of(&baseline.at_least, &candidate.at_most)?.high;
    Ok(Shift { low, high, ..middle })
}

/// What a change has to exceed, as logarithms.
#[derive(Debug, Clone, Copy)]
struct Margins {
    threshold: f64,
    /// How far shapes differ from what they have in common.
    spread: f64,
    /// What [`LEAST_CHANGE_MS`] is to the shape.
    least: f64,
    /// How far the shape differed between two runs of one target.
    noise: f64,
}

impl Margins {
    fn largest(self) -> f64 {
        self.threshold.max(self.spread).max(self.least).max(self.noise)
    }
}

/// A shape, tested against what all have in common.
struct Tested {
    change: Change,
    margins: Margins,
    clock: Clock,
    /// The probability that chance alone shows as much in either direction.
    p: f64,
}

impl Tested {
    fn new(pair: &Pair, shift: Shift, log_factor: f64, margins: Margins) -> Self {
        let Pair { baseline, candidate, .. } = pair;
        let margin = margins.largest();
        let slower = excess(&baseline.at_most, &candidate.at_least, log_factor + margin);
        let faster = -excess(&baseline.at_least, &candidate.at_most, log_factor - margin);
        let p = (2.0 * upper_tail(slower.max(faster))).min(1.0);
        Self { change: change(shift, log_factor), margins, clock: candidate.clock, p }
    }

    fn judge(self, is_believed: bool) -> Judgement {
        let (verdict, why) = self.verdict(is_believed);
        Judgement { verdict, why, change: Some(self.change), repeat: None }
    }

    fn verdict(&self, is_believed: bool) -> (Verdict, String) {
        let Change { beyond_low, beyond_high, .. } = self.change;
        let margin = self.margins.largest();
        if is_believed && beyond_low > margin.exp() {
            (Verdict::Degraded, format!("at least {beyond_low:.2} times as long"))
        } else if is_believed && beyond_high < (-margin).exp() {
            (Verdict::Improved, format!("at most {beyond_high:.2} times as long"))
        } else if self.is_within(self.margins.threshold) {
            (Verdict::Same, format!("within {}", percent(self.margins.threshold)))
        } else {
            (Verdict::CannotTell, self.doubt())
        }
    }

    /// Whether the whole interval is, as logarithms.
    fn is_within(&self, margin: f64) -> bool {
        let Change { beyond_low, beyond_high, .. } = self.change;
        beyond_low.ln() >= -margin && beyond_high.ln() <= margin
    }

    fn doubt(&self) -> String {
        let Margins { threshold, spread, least, noise } = self.margins;
        let changed = self.change.beyond.ln().abs();
        if self.clock == Clock::Client && !self.is_within(self.margins.largest()) {
            "kreplay measured it: it depends on the round trip".to_owned()
        } else if changed <= threshold {
            "too spread: its calls differ too much for their number".to_owned()
        } else if changed <= noise {
            format!("no more than between two runs of the baseline's target, {}", percent(noise))
        } else if changed <= least {
            format!("no more than {LEAST_CHANGE_MS} ms")
        } else if changed <= spread {
            format!("no more than other shapes differ by, {}", percent(spread))
        } else {
            "its calls are too few, or differ too much, to tell it from chance".to_owned()
        }
    }
}

fn percent(log: f64) -> String {
    format!("{:.0} %", 100.0 * log.exp_m1())
}

#[cfg(test)]
mod tests;
