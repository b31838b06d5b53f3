//! Whether a shape takes longer on the candidate's target than on the baseline's.
//!
//! What all shapes have in common is the machine's [`Factor`], and no news about a query. So a shape is
//! judged by its ratio beyond that factor. It has to exceed the threshold, how far shapes differ from the
//! factor without any news, what [`LEAST_CHANGE_MS`] is to it, and, where the baseline's target was
//! replayed to twice, how far the shape itself differed between those two runs. The test is that of
//! [`shift`](super::shift); of many shapes some show as much by chance, so the share of false findings
//! is bounded ([`discovery`](crate::replay::report::discovery)).

use super::durations::Durations;
use super::level::{Level, Margins, Tested};
use crate::replay::report::discovery::{FALSE_DISCOVERY_RATE, believed};
use crate::replay::report::factor::Factor;
use crate::replay::report::judgement::{LEAST_CALLS, LEAST_CHANGE_MS};
use crate::replay::report::{Change, ClockCounts, Verdict};

/// Where fewer of a shape's calls succeeded on one side, those of both are not the same calls.
const LEAST_SHARE: f64 = 0.8;
/// Where the server measured fewer of a shape's calls, its durations are the client's.
const SERVERS_SHARE: f64 = 0.98;

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

/// What is told of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    /// Why, in a short clause.
    pub why: String,
    pub change: Option<Change>,
    /// The change of its fastest calls.
    pub undisturbed: Option<Change>,
    /// The change between the two runs of the baseline's target.
    pub repeat: Option<Change>,
}

impl Judgement {
    /// Nothing, for this reason.
    pub(super) fn cannot_tell(why: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::CannotTell,
            why: why.into(),
            change: None,
            undisturbed: None,
            repeat: None,
        }
    }
}

/// What is told of all shapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    /// What they have in common; `None` of too few.
    pub factor: Option<Factor>,
    /// The same of the two runs of the baseline's target.
    pub repeat_factor: Option<Factor>,
    /// What their fastest calls have in common.
    pub undisturbed_factor: Option<Factor>,
    /// In the order of the shapes.
    pub shapes: Vec<Judgement>,
}

/// Judges all shapes of two reports. A `threshold` of 0.1 is 10 %.
pub(super) fn judge(pairs: &[Pair], threshold: f64) -> Judged {
    let reasons: Vec<Option<String>> =
        pairs.iter().map(|pair| why_not(&pair.baseline, &pair.candidate)).collect();
    let comparable = pairs.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
    let comparable: Vec<Pair> = comparable.map(|(pair, _)| pair.with_comparable_repeat()).collect();
    let look = |level: Level| level.look(&comparable, threshold.ln_1p());
    let (typical, undisturbed) = (look(Level::Typical), look(Level::Undisturbed));
    let shapes = comparable.iter().zip(typical.shapes).zip(undisturbed.shapes);
    let shapes: Vec<Levels> = shapes
        .map(|((pair, typical), undisturbed)| Levels {
            clock: pair.candidate.clock,
            typical,
            undisturbed,
        })
        .collect();
    let p_values: Vec<f64> = shapes.iter().map(Levels::p).collect();
    let believed = believed(&p_values, FALSE_DISCOVERY_RATE);
    let mut judged = shapes.iter().zip(believed).map(|(shape, believed)| shape.judge(believed));
    let shapes = reasons.into_iter().map(|reason| match reason {
        Some(why) => Judgement::cannot_tell(why),
        None => judged.next().unwrap_or_else(|| Judgement::cannot_tell("")),
    });
    Judged {
        factor: typical.factor,
        repeat_factor: typical.repeat_factor,
        undisturbed_factor: undisturbed.factor,
        shapes: shapes.collect(),
    }
}

impl Pair {
    fn with_comparable_repeat(&self) -> Self {
        let mut pair = self.clone();
        pair.repeat = pair.repeat.filter(|it| why_not(&self.baseline, it).is_none());
        pair
    }
}

/// Why the durations of a shape can't be compared, if they can't.
fn why_not(baseline: &Measured, candidate: &Measured) -> Option<String> {
    let (before, after) = (baseline.at_most.calls(), candidate.at_most.calls());
    let least = LEAST_CALLS as f64;
    let few = match (before < least, after < least) {
        (true, true) => Some("both"),
        (true, false) => Some("the baseline"),
        (false, true) => Some("the candidate"),
        (false, false) => None,
    };
    if let Some(side) = few {
        Some(format!("fewer than {LEAST_CALLS} calls with a duration in {side}"))
    } else if before.min(after) < LEAST_SHARE * before.max(after) {
        Some(format!(
            "{after} calls succeeded, and {before} in the baseline: they are not the same calls"
        ))
    } else if baseline.clock != candidate.clock {
        let server = if baseline.clock == Clock::Server { "baseline" } else { "candidate" };
        Some(format!(
            "the server measured it in the {server} alone, and the round trip is in the other's \
                 durations"
        ))
    } else {
        None
    }
}

/// What was seen of a shape.
struct Levels {
    clock: Clock,
    typical: Option<Tested>,
    undisturbed: Option<Tested>,
}

impl Levels {
    fn all(&self) -> impl Iterator<Item = &Tested> {
        self.typical.iter().chain(&self.undisturbed)
    }

    /// How likely it is that chance alone shows as much at any of the levels (Bonferroni).
    fn p(&self) -> f64 {
        let least = self.all().map(|it| it.p).fold(1.0, f64::min);
        (least * self.all().count() as f64).min(1.0)
    }

    fn judge(&self, is_believed: bool) -> Judgement {
        let (verdict, why) = self.verdict(is_believed);
        Judgement {
            verdict,
            why,
            change: self.typical.map(|it| it.change),
            undisturbed: self.undisturbed.map(|it| it.change),
            repeat: self.typical.and_then(|it| it.repeat),
        }
    }

    fn verdict(&self, is_believed: bool) -> (Verdict, String) {
        let slower = self.all().find(|it| is_believed && it.is_slower());
        let faster = self.all().find(|it| is_believed && it.is_faster());
        let whose = |found: &Tested| match &self.typical {
            Some(typical) if std::ptr::eq(typical, found) => "",
            _ => ", by its fastest tenth",
        };
        match (slower, faster) {
            (Some(_), Some(_)) => {
                let why = "its fastest calls and the others differ in opposite directions";
                (Verdict::CannotTell, why.to_owned())
            }
            (Some(found), None) => {
                let low = found.change.beyond_low;
                (Verdict::Degraded, format!("at least {low:.2} times as long{}", whose(found)))
            }
            (None, Some(found)) => {
                let high = found.change.beyond_high;
                (Verdict::Improved, format!("at most {high:.2} times as long{}", whose(found)))
            }
            (None, None) => match &self.typical {
                None => (Verdict::CannotTell, "no call has a duration".to_owned()),
                Some(typical) if typical.is_same() => {
                    (Verdict::Same, format!("within {}", percent(typical.margins.threshold)))
                }
                Some(typical) => (Verdict::CannotTell, self.doubt(typical)),
            },
        }
    }

    fn doubt(&self, typical: &Tested) -> String {
        let Margins { threshold, spread, noise, .. } = typical.margins;
        let changed = typical.change.beyond.ln().abs();
        if self.clock == Clock::Client {
            "kreplay measured it: it depends on the round trip".to_owned()
        } else if changed <= threshold {
            "too spread: its calls differ too much for their number".to_owned()
        } else if changed <= noise {
            format!("no more than between two runs of the baseline's target, {}", percent(noise))
        } else if changed <= typical.margins.least {
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
