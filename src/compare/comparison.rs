//! The comparison: the plain data that the table, the JSON and the page show.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::differences::notes;
use super::durations::Strip;
use super::errors::{ErrorChange, ErrorNews, Unmatched};
use super::judgement::{Clock, Judgement, Measured, Pair, judge};
use super::losses::{Losses, lost_most};
use super::plans::PlanPair;
use super::report::{self, ReplayReport, RoundTrip, Shape};
use super::resources::{self, Counters, Spent};
use crate::cli;
use crate::replay::report::discovery::FALSE_DISCOVERY_RATE;
use crate::replay::report::factor::Factor;
use crate::replay::report::judgement::LEAST_CALLS;
use crate::replay::report::sign_test::CONFIDENCE;
use crate::replay::report::untold::Told;
use crate::replay::report::{Change, Untold, Verdict, Verdicts};

/// The version of the JSON: it changes with the meaning of a field, not with a new one.
const VERSION: u32 = 1;
/// The test in a sentence, for who reads the comparison alone.
const TEST: &str = "how many times as long a call takes on the candidate's target, by Hodges and Lehmann's \
    estimate and an interval from Brunner and Munzel's test, divided by what all shapes have in common; \
    degraded or improved if all of the interval exceeds the threshold, 0.02 ms, what unchanged \
    shapes differ by and what the repeat shows, and the false discovery rate allows for it; the fastest tenth of the \
    calls likewise, beyond its own factor and twice the threshold";
/// What fewer shapes have in common is little more than what each of them is.
const FEW_SHAPES: usize = 6;

/// Two reports, compared.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    version: u32,
    kreplay: &'static str,
    pub(super) baseline: Run,
    pub(super) candidate: Run,
    /// The second run of the baseline's target.
    pub(super) repeat: Option<Run>,
    /// What else differs between the runs.
    pub(super) notes: Vec<String>,
    pub(super) method: Method,
    /// What all shapes have in common.
    pub(super) factor: Option<Factor>,
    /// The same of the two runs of the baseline's target.
    pub(super) repeat_factor: Option<Factor>,
    /// What the fastest tenths of their calls have in common.
    pub(super) undisturbed_factor: Option<Factor>,
    pub(super) verdicts: Verdicts,
    /// Those of which nothing can be told.
    pub(super) untold: Untold,
    /// What ran on the baseline's target and not on the candidate's.
    pub(super) losses: Losses,
    /// SQLSTATEs of shapes that only the candidate has, those left out that are a matter of chance.
    pub(super) new_errors: u64,
    /// Those that only the baseline has.
    pub(super) gone_errors: u64,
    /// Those that took the longest on the baseline's target first.
    pub(super) shapes: Vec<ShapeComparison>,
    #[serde(flatten)]
    pub(super) spent: Spent,
    /// The verdict in a sentence.
    pub(super) result: String,
}

/// A run of a replay.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    /// The report's file, as it was given.
    pub file: String,
    kreplay: String,
    source: String,
    pub target: String,
    pub order: String,
    pace: Option<String>,
    pub since: String,
    pub until: String,
    statements: u64,
}

/// How durations are compared.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Method {
    /// 0.1 is 10 %.
    pub threshold: f64,
    confidence: f64,
    least_calls: u64,
    false_discovery_rate: f64,
    test: &'static str,
}

/// One thing on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Sides<T> {
    pub baseline: T,
    pub candidate: T,
}

/// A query shape in both reports.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ShapeComparison {
    /// `None` for all statements of shapes that are not told apart.
    pub fingerprint: Option<String>,
    pub query: Option<String>,
    pub command: String,
    pub sides: Sides<Option<ShapeRun>>,
    pub change: Option<Change>,
    /// The change of the fastest tenth of its calls.
    pub undisturbed: Option<Change>,
    /// The change between two runs of the baseline's target.
    pub repeat: Option<Change>,
    pub verdict: Verdict,
    pub why: String,
    /// Whether most of its calls did not run on the candidate's target, or failed there.
    pub lost: bool,
    /// Errors that only one of the reports has.
    pub errors: Vec<ErrorChange>,
    /// How the durations are spread on both sides.
    pub strip: Option<Strip>,
    pub plans: Option<PlanPair>,
    /// What the targets spent on it.
    pub resources: Counters,
}

/// A shape in one run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ShapeRun {
    pub calls: u64,
    pub target: report::Durations,
    /// By SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    pub outcomes: BTreeMap<String, u64>,
}

/// A report with the name of its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub file: &'a str,
    pub report: &'a ReplayReport,
}

impl Comparison {
    /// Compares two reports of one log, and with a second run of the baseline's target. A `threshold` of
    /// 0.1 is 10 %.
    pub(super) fn new(
        baseline: Named<'_>,
        candidate: Named<'_>,
        repeat: Option<Named<'_>>,
        threshold: f64,
    ) -> Self {
        let (before, after) = (baseline.report, candidate.report);
        let mut notes = notes(before, after, "candidate");
        notes.extend(repeat.iter().flat_map(|it| self::notes(before, it.report, "repeat")));
        let again = repeat.map(|it| Again { report: it.report, shapes: by_fingerprint(it.report) });
        let mut shapes = matched(before, after);
        let paired: Vec<Option<Pair>> =
            shapes.iter().map(|it| it.pair(before, after, again.as_ref())).collect();
        let pairs: Vec<Pair> = paired.iter().flatten().cloned().collect();
        let judged = judge(&pairs, threshold);
        notes.extend(judged.factor.and_then(few_shapes));
        let untold = shapes.iter().filter(|it| !it.is_told_apart());
        let context = Context {
            unmatched: Unmatched::of(untold.map(|it| (it.baseline, it.candidate))),
            again: again.as_ref(),
            rest: after.rest.as_ref().map_or(0, |rest| rest.calls),
        };
        let mut judgements = judged.shapes.into_iter();
        let mut compared: Vec<ShapeComparison> = shapes
            .drain(..)
            .zip(&paired)
            .map(|(shape, pair)| {
                let judgement = pair.as_ref().and_then(|_| judgements.next());
                shape.compared(pair.as_ref(), judgement, &context)
            })
            .collect();
        // The rest is the last.
        compared.sort_by(|a, b| {
            let is_rest = |it: &ShapeComparison| it.fingerprint.is_none();
            is_rest(a).cmp(&is_rest(b)).then(b.total_ms().total_cmp(&a.total_ms()))
        });
        let of_one_shape = || compared.iter().filter(|it| it.fingerprint.is_some());
        let mut verdicts = Verdicts::default();
        of_one_shape().for_each(|it| verdicts.add(it.verdict));
        let untold = Untold::among(of_one_shape().map(ShapeComparison::told));
        let count = |news| {
            let errors = compared.iter().flat_map(|it| &it.errors);
            errors.filter(|it| it.what == news).count() as u64
        };
        let mut comparison = Self {
            version: VERSION,
            kreplay: cli::VERSION,
            baseline: Run::of(baseline),
            candidate: Run::of(candidate),
            repeat: repeat.map(Run::of),
            notes,
            method: Method {
                threshold,
                confidence: CONFIDENCE,
                least_calls: LEAST_CALLS,
                false_discovery_rate: FALSE_DISCOVERY_RATE,
                test: TEST,
            },
            factor: judged.factor,
            repeat_factor: judged.repeat_factor,
            undisturbed_factor: judged.undisturbed_factor,
            verdicts,
            untold,
            losses: Losses::of(before, after, compared.iter().filter(|it| it.lost).count()),
            new_errors: count(ErrorNews::New),
            gone_errors: count(ErrorNews::Gone),
            shapes: compared,
            spent: Spent::of(before, after),
            result: String::new(),
        };
        comparison.result = comparison.in_words();
        comparison
    }

    /// All of it as JSON.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether anything became slower.
    pub(super) fn has_degraded(&self) -> bool {
        self.verdicts.degraded > 0
    }

    /// Whether so much did not run that the rest tells little.
    pub(super) fn has_losses(&self) -> bool {
        self.losses.are_worse()
    }

    /// Whether anything fails that did not.
    pub(super) fn has_new_errors(&self) -> bool {
        self.new_errors > 0
    }
}

impl ShapeComparison {
    /// How long its calls took: on the baseline's target, where they ran there.
    fn total_ms(&self) -> f64 {
        let side = self.sides.baseline.as_ref().or(self.sides.candidate.as_ref());
        side.map_or(0.0, |side| side.target.total_ms)
    }

    fn told(&self) -> Told<'_> {
        Told { verdict: self.verdict, why: &self.why, total_ms: self.total_ms() }
    }
}

impl Run {
    fn of(Named { file, report }: Named<'_>) -> Self {
        Self {
            file: file.to_owned(),
            kreplay: report.kreplay.clone(),
            source: report.source.clone(),
            target: report.target.clone(),
            order: report.order.clone(),
            pace: report.pace.map(|pace| pace.to_string()),
            since: report.since.clone(),
            until: report.until.clone(),
            statements: report.digest.statements,
        }
    }
}

// ---- Which shapes belong together ----

/// One shape, in the reports that have it.
#[derive(Debug, Clone, Copy)]
struct Matched<'a> {
    baseline: Option<&'a Shape>,
    candidate: Option<&'a Shape>,
}

/// The second run of the baseline's target.
#[derive(Debug)]
struct Again<'a> {
    report: &'a ReplayReport,
    shapes: HashMap<&'a str, &'a Shape>,
}

/// What a shape is compared in the light of.
#[derive(Debug)]
struct Context<'a> {
    unmatched: Unmatched<'a>,
    again: Option<&'a Again<'a>>,
    /// How many of the candidate's calls are of no shape of their own.
    rest: u64,
}

fn by_fingerprint(report: &ReplayReport) -> HashMap<&str, &Shape> {
    let shapes = report.shapes.iter();
    shapes.filter_map(|shape| Some((shape.fingerprint.as_deref()?, shape))).collect()
}

/// All shapes of both, and the rest.
fn matched<'a>(baseline: &'a ReplayReport, candidate: &'a ReplayReport) -> Vec<Matched<'a>> {
    let mut after = by_fingerprint(candidate);
    let mut matched: Vec<Matched<'a>> = baseline
        .shapes
        .iter()
        .map(|shape| {
            let same = shape.fingerprint.as_deref().and_then(|it| after.remove(it));
            Matched { baseline: Some(shape), candidate: same }
        })
        .collect();
    let new = candidate.shapes.iter();
    let new = new.filter(|it| it.fingerprint.as_deref().is_some_and(|it| after.contains_key(it)));
    matched.extend(new.map(|shape| Matched { baseline: None, candidate: Some(shape) }));
    let rest = Matched { baseline: baseline.rest.as_ref(), candidate: candidate.rest.as_ref() };
    if rest.baseline.is_some() || rest.candidate.is_some() {
        matched.push(rest);
    }
    matched
}

impl Matched<'_> {
    /// Whether both reports have it as a shape.
    fn is_told_apart(&self) -> bool {
        let is_shape = |side: Option<&Shape>| side.is_some_and(|it| it.fingerprint.is_some());
        is_shape(self.baseline) && is_shape(self.candidate)
    }

    fn pair(
        &self,
        baseline: &ReplayReport,
        candidate: &ReplayReport,
        again: Option<&Again<'_>>,
    ) -> Option<Pair> {
        let (before, after) = (self.baseline?, self.candidate?);
        let fingerprint = before.fingerprint.as_deref()?;
        Some(Pair {
            baseline: measured(before, baseline)?,
            candidate: measured(after, candidate)?,
            repeat: again.and_then(|it| measured(it.shapes.get(fingerprint)?, it.report)),
        })
    }

    fn compared(
        self,
        pair: Option<&Pair>,
        judgement: Option<Judgement>,
        context: &Context<'_>,
    ) -> ShapeComparison {
        let Self { baseline, candidate } = self;
        let one = baseline.or(candidate);
        let errors = self.error_changes(context);
        // What fails otherwise than it did is told by its SQLSTATE.
        let lost = baseline.filter(|it| it.fingerprint.is_some()).is_some_and(|before| {
            lost_most(before, candidate, context.rest)
                && errors.iter().all(|it| it.what != ErrorNews::New)
        });
        let Judgement { verdict, why, change, undisturbed, repeat } =
            judgement.unwrap_or_else(|| match lost {
                true => Judgement::cannot_tell("most of its calls did not run in the candidate"),
                false => Judgement::cannot_tell(self.why_not()),
            });
        ShapeComparison {
            fingerprint: one.and_then(|it| it.fingerprint.clone()),
            query: one.and_then(|it| it.query.clone()),
            command: one.map_or_else(String::new, |it| it.command.clone()),
            sides: Sides {
                baseline: baseline.map(ShapeRun::of),
                candidate: candidate.map(ShapeRun::of),
            },
            change,
            undisturbed,
            repeat,
            verdict,
            why,
            lost,
            errors,
            strip: pair.and_then(|it| Strip::of(&it.baseline.at_most, &it.candidate.at_most)),
            plans: baseline.zip(candidate).and_then(|(a, b)| PlanPair::of(&a.plans, &b.plans)),
            resources: resources::of_shape(
                baseline.and_then(|it| it.resources.as_ref()),
                candidate.and_then(|it| it.resources.as_ref()),
            ),
        }
    }

    fn error_changes(&self, Context { unmatched, again, .. }: &Context<'_>) -> Vec<ErrorChange> {
        let again = again.and_then(|it| {
            let fingerprint = self.baseline.or(self.candidate)?.fingerprint.as_deref();
            fingerprint.and_then(|of| it.shapes.get(of).copied()).or(it.report.rest.as_ref())
        });
        let told_apart = self.is_told_apart();
        unmatched.changes((self.baseline, self.candidate), told_apart, again)
    }

    /// Why there is no pair.
    fn why_not(&self) -> &'static str {
        match (self.baseline, self.candidate) {
            (Some(Shape { fingerprint: None, .. }), _)
            | (_, Some(Shape { fingerprint: None, .. })) => "more than one shape",
            (Some(_), None) => "told apart in the baseline alone: --report-shapes tells more apart",
            (None, _) => "told apart in the candidate alone: --report-shapes tells more apart",
            (Some(_), Some(_)) => "one of the reports has no durations of it",
        }
    }
}

impl ShapeRun {
    fn of(shape: &Shape) -> Self {
        let Shape { calls, target, errors, outcomes, .. } = shape.clone();
        Self { calls, target, errors: errors.target, outcomes }
    }
}

/// That the machine's factor rests on few shapes.
fn few_shapes(factor: Factor) -> Option<String> {
    (factor.shapes < FEW_SHAPES).then(|| {
        format!(
            "machine: its factor rests on {} shapes, fewer than {FEW_SHAPES}: what some of them changed \
             by may be taken for the machine's",
            factor.shapes
        )
    })
}

/// A shape's durations; `None` where they can't be read.
fn measured(shape: &Shape, report: &ReplayReport) -> Option<Measured> {
    let at_most = shape.distributions.target.clone()?;
    let clock = Clock::of(shape.clock);
    let at_least = match (clock, report.method.round_trip_ms) {
        (Clock::Server, _) => at_most.clone(),
        (Clock::Client, Some(RoundTrip { p95 })) => at_most.less(p95),
        // Nothing is known of the least that they took.
        (Clock::Client, None) => at_most.less(f64::MAX),
    };
    Some(Measured { at_most, at_least, clock })
}

#[cfg(test)]
pub(super) mod tests;
