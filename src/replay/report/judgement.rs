//! Whether a shape became slower.
//!
//! A shape's calls are put together by blocks of time (`blocks`), of each block the
//! median ratio target / source is taken, and what all shapes share in a block is taken off
//! (`polish`). What is left are observations of the shape: up to 64, which do not
//! depend on each other as neighbouring calls do. A median is compared, as one call that waited for a
//! lock says nothing of the shape.
//!
//! What the shapes have in common is the machine's [`Factor`]. A shape is degraded or improved by what
//! exceeds the factor by more than a margin: the largest of the threshold, of what unchanged
//! shapes differ from the factor by, and of what [`LEAST_CHANGE_MS`] is to the shape. Whether it does is told by the
//! sign test, and of many shapes by `discovery`. It is the same where
//! the interval of its median lies within the margin.

use super::bins::Bins;
use super::blocks::Block;
use super::discovery::{FALSE_DISCOVERY_RATE, believed};
use super::factor::{self, Factor, ShapeRatio};
use super::polish::{Row, median, polish};
use super::sign_test::{p_above, ranks};
use super::{Change, Verdict};

/// Fewer calls are not judged.
pub const LEAST_CALLS: u64 = 30;
/// Calls in fewer blocks are too close to each other to tell a change from a disturbance, unless their
/// duration has doubled or halved.
pub(super) const LEAST_BLOCKS: usize = 10;
/// How much a shape has to change whatever its duration, in milliseconds. By so much unchanged statements
/// of some 0.1 ms differ with how busy the machine is: whether a core had to be woken up for them, and
/// what was left in its caches.
pub const LEAST_CHANGE_MS: f64 = 0.02;
/// A client's measurement tells something of the machine's factor where its bounds are this close.
pub(crate) const CLOSE: f64 = 1.1;
/// The test in a sentence, for who reads the report alone.
pub const TEST: &str = "the median ratio target / source over blocks of time (at most 64 a run) of a \
    shape's calls that ran at the source's pace and on a warm target, less what all shapes share in a \
    block; degraded or improved if more blocks than by chance lie beyond the machine's factor times the \
    margin (sign test, then Benjamini and Hochberg over all shapes), same if the rank-based (binomial) \
    interval of the median lies within; the margin is the largest of the threshold, what \
    unchanged shapes differ from the factor by, and the least change beside the shape's median duration; where the target does not tell its \
    durations, the low end has the round trip's 95th percentile taken off and the high end has it left in";

/// What the calls of a shape that count tell.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// By the least that each may have taken on the target.
    pub at_least: Observed,
    /// By the most.
    pub at_most: Observed,
    /// Whether these are the same.
    pub is_exact: bool,
    pub calls: u64,
    /// The median on the source.
    pub source_ms: f64,
    /// Whether too few came after the warm-up.
    pub within_warm_up: bool,
    /// Calls whose answers came in one read with others.
    pub together: u64,
}

/// The ratios of a shape's calls.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    /// The logarithms of the medians of blocks.
    rows: Row,
    /// Of all calls.
    all: Bins,
}

impl Observed {
    pub(super) fn of(blocks: &[Block]) -> Self {
        let mut all = Bins::default();
        blocks.iter().for_each(|block| all.merge(&block.ratios));
        let rows = blocks.iter().map(|block| (block.number, block.ratios.median().ln())).collect();
        Self { rows, all }
    }
}

/// A shape of which too few calls count.
#[derive(Debug, Clone, Default)]
pub(super) struct Unjudged {
    /// The ratios of all its calls.
    pub all: Bins,
    pub why: String,
}

/// What is told of a shape.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Judgement {
    pub change: Option<Change>,
    pub verdict: Verdict,
    pub why: String,
}

/// Judges all shapes together. A `threshold` of 0.1 is 10 %.
pub(super) fn judge(
    shapes: &[Result<Evidence, Unjudged>],
    threshold: f64,
) -> (Option<Factor>, Vec<Judgement>) {
    let evidence: Vec<&Evidence> = shapes.iter().filter_map(|it| it.as_ref().ok()).collect();
    let measured = without_shared(&evidence);
    let factor = common(&evidence, &measured);
    let tests: Vec<Test> = evidence
        .iter()
        .zip(&measured)
        .map(|(evidence, measured)| Test::of(evidence, measured, factor, threshold))
        .collect();
    let p_values: Vec<f64> = tests.iter().map(Test::p).collect();
    let mut tests = tests.iter().zip(believed(&p_values, FALSE_DISCOVERY_RATE));
    let judgements = shapes.iter().filter_map(|shape| match shape {
        Err(unjudged) => Some(unjudged.judgement(factor)),
        Ok(evidence) => {
            let (test, believed) = tests.next()?;
            Some(test.judgement(evidence, believed, factor))
        }
    });
    let judgements = judgements.collect();
    (factor, judgements)
}

/// The sorted logarithms of a shape's ratios by block.
struct Measured {
    at_least: Vec<f64>,
    at_most: Vec<f64>,
}

/// Takes off what all shapes share in a block, in both bounds alike.
fn without_shared(evidence: &[&Evidence]) -> Vec<Measured> {
    let rows: Vec<Row> = evidence.iter().map(|it| it.at_most.rows.clone()).collect();
    let weights: Vec<f64> =
        evidence.iter().map(|it| factor::weight(it.calls, it.source_ms)).collect();
    let polished = polish(&rows, &weights);
    let measured = evidence.iter().zip(&polished).map(|(it, polished)| {
        let shared = it.at_most.rows.iter().zip(polished).map(|(raw, less)| raw.1 - less.1);
        let at_least = it.at_least.rows.iter().zip(shared).map(|(raw, shared)| raw.1 - shared);
        Measured {
            at_least: sorted(at_least.collect()),
            at_most: sorted(polished.iter().map(|(_, ratio)| *ratio).collect()),
        }
    });
    measured.collect()
}

/// What the least change is to a shape: 0.2 is 20 %.
fn least_change(evidence: &Evidence) -> f64 {
    LEAST_CHANGE_MS / evidence.source_ms.max(0.001)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The factor of the shapes whose ratios are known well enough.
fn common(evidence: &[&Evidence], measured: &[Measured]) -> Option<Factor> {
    let ratios = evidence.iter().zip(measured).filter_map(|(evidence, measured)| {
        let (low, high) = (median(&measured.at_least), median(&measured.at_most));
        (high - low <= CLOSE.ln()).then(|| ShapeRatio {
            log_ratio: f64::midpoint(low, high),
            weight: factor::weight(evidence.calls, evidence.source_ms),
            least: least_change(evidence).ln_1p(),
        })
    });
    Factor::of(&ratios.collect::<Vec<_>>())
}

/// What one bound says of a shape beyond the factor, as logarithms.
#[derive(Debug, Clone, Copy)]
struct Side {
    low: f64,
    middle: f64,
    high: f64,
    /// Observations that are slower by more than the margin, faster by more, and all.
    slower: u64,
    faster: u64,
    all: u64,
}

impl Side {
    /// By its blocks.
    fn of_blocks(sorted: &[f64], factor: f64, margin: f64) -> Self {
        let all = sorted.len() as u64;
        let (low, high) = ranks(all);
        let at =
            |rank: u64| usize::try_from(rank).ok().and_then(|it| sorted.get(it.checked_sub(1)?));
        let value = |rank| at(rank).copied().unwrap_or(0.0) - factor;
        Self {
            low: value(low),
            middle: median(sorted) - factor,
            high: value(high),
            slower: sorted.iter().filter(|it| **it - factor > margin).count() as u64,
            faster: sorted.iter().filter(|it| **it - factor < -margin).count() as u64,
            all,
        }
    }

    /// By its calls.
    fn of_calls(calls: &Bins, factor: f64, margin: f64) -> Self {
        let all = calls.len();
        let (low, high) = ranks(all);
        let value = |rank: f64| calls.at_rank(rank).ln() - factor;
        let slower = calls.above((factor + margin).exp());
        let faster = all as f64 - calls.above((factor - margin).exp());
        Self {
            low: value(low as f64 - 1.0),
            middle: value(all as f64 / 2.0),
            high: value(high as f64),
            slower: slower.floor() as u64,
            faster: faster.floor() as u64,
            all,
        }
    }
}

/// What makes the margin.
#[derive(Debug, Clone, Copy)]
enum Margin {
    Threshold(f64),
    Spread(f64),
    LeastChange(f64),
}

impl Margin {
    fn of(evidence: &Evidence, factor: Option<Factor>, threshold: f64) -> Self {
        let spread = factor.map_or(0.0, |factor| factor.allowance);
        let least = least_change(evidence);
        if least > threshold.max(spread) {
            Self::LeastChange(least)
        } else if spread > threshold {
            Self::Spread(spread)
        } else {
            Self::Threshold(threshold)
        }
    }

    fn share(self) -> f64 {
        match self {
            Self::Threshold(share) | Self::Spread(share) | Self::LeastChange(share) => share,
        }
    }

    /// The share that counts: twice or half, where calls are looked at in too few blocks.
    fn share_of(self, is_brief: bool) -> f64 {
        if is_brief { self.share().max(1.0) } else { self.share() }
    }

    fn words(self) -> String {
        let percent = self.share() * 100.0;
        match self {
            Self::Threshold(_) => format!("{percent:.0} % counts"),
            Self::Spread(_) => format!("{percent:.0} % counts, as shapes differ by up to that"),
            Self::LeastChange(_) => format!("{percent:.0} % counts, which is {LEAST_CHANGE_MS} ms"),
        }
    }
}

/// The test of one shape.
struct Test {
    margin: Margin,
    at_least: Side,
    at_most: Side,
    /// Whether calls are looked at, since there are too few blocks.
    is_brief: bool,
}

impl Test {
    fn of(
        evidence: &Evidence,
        measured: &Measured,
        factor: Option<Factor>,
        threshold: f64,
    ) -> Self {
        let margin = Margin::of(evidence, factor, threshold);
        let factor = Factor::log_of(factor);
        let is_brief = measured.at_most.len() < LEAST_BLOCKS;
        let (at_least, at_most) = if is_brief {
            let margin = margin.share_of(is_brief).ln_1p();
            let side = |of: &Observed| Side::of_calls(&of.all, factor, margin);
            (side(&evidence.at_least), side(&evidence.at_most))
        } else {
            let side = |of: &[f64]| Side::of_blocks(of, factor, margin.share().ln_1p());
            (side(&measured.at_least), side(&measured.at_most))
        };
        Self { margin, at_least, at_most, is_brief }
    }

    fn p_slower(&self) -> f64 {
        p_above(self.at_least.slower, self.at_least.all)
    }

    fn p_faster(&self) -> f64 {
        p_above(self.at_most.faster, self.at_most.all)
    }

    /// How likely it is that a shape looks like this whose change is within the margin.
    fn p(&self) -> f64 {
        (2.0 * self.p_slower().min(self.p_faster())).min(1.0)
    }

    fn judgement(&self, evidence: &Evidence, believed: bool, factor: Option<Factor>) -> Judgement {
        let change = Change::beyond(
            (self.at_least.low, self.at_most.middle, self.at_most.high),
            Factor::log_of(factor),
            Some(self.margin.share_of(self.is_brief)),
        );
        let margin = self.margin.words();
        let Change { beyond, beyond_low: low, beyond_high: high, .. } = change;
        let machine =
            factor.map_or_else(String::new, |it| format!(" beyond the machine's {:.2}", it.ratio));
        let (verdict, why) = if believed {
            let is_slower = self.p_slower() < self.p_faster();
            let verdict = if is_slower { Verdict::Degraded } else { Verdict::Improved };
            let margin = if self.is_brief { "twice or half counts" } else { &margin };
            let why =
                format!("{beyond:.2} times as long ({low:.2} to {high:.2}){machine}; {margin}");
            (verdict, why)
        } else if self.is_brief {
            let blocks = evidence.at_most.rows.len();
            let why = format!(
                "too brief: its {} calls ran within {blocks} of the run's blocks of time, {beyond:.2} \
                 times as long{machine}; twice or half counts",
                evidence.calls
            );
            (Verdict::CannotTell, why)
        } else if self.lies_within(self.at_least.low, self.at_most.high) {
            let why = format!("{low:.2} to {high:.2} times as long{machine}; {margin}");
            (Verdict::Same, why)
        } else {
            let why = self.why_not(evidence).unwrap_or_else(|| {
                format!("too spread: {low:.2} to {high:.2} times as long{machine}; {margin}")
            });
            (Verdict::CannotTell, why)
        };
        let when = if evidence.within_warm_up { ", within the warm-up" } else { "" };
        Judgement { change: Some(change), verdict, why: why + when }
    }

    /// What of the replayer's own measurement makes it impossible to tell, if that does.
    fn why_not(&self, evidence: &Evidence) -> Option<String> {
        let Evidence { calls, together, .. } = *evidence;
        if evidence.is_exact || !(self.is_clear(&self.at_least) || self.is_clear(&self.at_most)) {
            None
        } else if together >= ranks(calls).0 {
            // Nothing is known of the least that these took, so the low end of the interval is about 0.
            Some(format!(
                "replayer-bound: {together} answers came together and can't be told apart, which \
                 --pipeline 1 or the target's own durations avoid"
            ))
        } else {
            Some("replayer-bound: it depends on the round trip to the target".to_owned())
        }
    }

    /// Whether one bound alone would tell.
    fn is_clear(&self, side: &Side) -> bool {
        let margin = self.margin.share().ln_1p();
        side.low > margin || side.high < -margin || self.lies_within(side.low, side.high)
    }

    fn lies_within(&self, low: f64, high: f64) -> bool {
        let margin = self.margin.share().ln_1p();
        low >= -margin && high <= margin
    }
}

impl Unjudged {
    fn judgement(&self, factor: Option<Factor>) -> Judgement {
        let change = (self.all.len() >= LEAST_CALLS).then(|| {
            let Side { low, middle, high, .. } =
                Side::of_calls(&self.all, Factor::log_of(factor), 0.0);
            Change::beyond((low, middle, high), Factor::log_of(factor), None)
        });
        Judgement { change, verdict: Verdict::CannotTell, why: self.why.clone() }
    }
}

impl Change {
    /// From the logarithms of a ratio beyond the factor, with its interval.
    pub(crate) fn beyond(
        (low, middle, high): (f64, f64, f64),
        factor: f64,
        margin: Option<f64>,
    ) -> Self {
        Self {
            ratio: (middle + factor).exp(),
            low: (low + factor).exp(),
            high: (high + factor).exp(),
            beyond: middle.exp(),
            beyond_low: low.exp(),
            beyond_high: high.exp(),
            margin,
        }
    }
}

#[cfg(test)]
mod tests;
