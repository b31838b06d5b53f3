//! What the targets spent, side by side.
//!
//! Both replayed the same log, so what each spent on all of it can be compared as it is. Where a target was
//! asked for a part of its run alone, the figures are of different amounts of work: then ratios are of what
//! a transaction took. A shape's are of what a call took.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::comparison::Sides;
use super::report::{ReplayReport, Resources, ShapeCounters};
use crate::display::{bytes, grouped};
use crate::replay::report::ResourcePeriod;
use crate::replay::report::resources::DATABASES;

/// Two times are as good as one where they differ by no more than this share, or by a second.
const LITTLE: f64 = 0.1;
/// The work of ratios that are of all that was spent.
const AS_IT_IS: Sides<f64> = Sides { baseline: 1.0, candidate: 1.0 };

/// What the targets spent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Spent {
    /// By view and counter.
    #[serde(rename = "resources")]
    views: BTreeMap<String, Counters>,
    /// When that was counted.
    #[serde(rename = "resource_periods")]
    periods: Sides<Period>,
    /// What the ratios are of.
    #[serde(rename = "resource_ratios")]
    ratios: Ratios,
    /// What has to be known to read it.
    #[serde(rename = "resource_notes")]
    pub notes: Vec<String>,
}

/// Counters on both sides.
pub(super) type Counters = BTreeMap<String, Counter>;

/// What both targets counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Counter {
    #[serde(flatten)]
    pub sides: Sides<Option<f64>>,
    /// The candidate's over the baseline's, for as much work; `None` where one of them is nothing.
    pub ratio: Option<f64>,
}

/// When a target's counters were read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Period {
    #[serde(flatten)]
    read: ResourcePeriod,
    /// From the first reading to the last.
    seconds: Option<f64>,
}

/// What ratios are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ratios {
    /// What the whole replay took.
    Run,
    /// What a transaction took, on average.
    Transaction,
    /// There are none: the targets counted different parts of the run, and no transactions.
    None,
}

impl Spent {
    pub(super) fn of(baseline: &ReplayReport, candidate: &ReplayReport) -> Self {
        let reports = [baseline, candidate];
        let [before, after] = reports.map(|it| it.resources.as_ref());
        let is_known = before.is_some() && after.is_some();
        let are_whole = reports.iter().all(|it| it.counted_whole_run());
        let (ratios, work) = match transactions(before, after) {
            _ if are_whole => (Ratios::Run, Some(AS_IT_IS)),
            Some(work) => (Ratios::Transaction, Some(work)),
            None => (Ratios::None, None),
        };
        let mut notes = reported_notes(baseline, candidate);
        if is_known {
            notes.extend(period_note(baseline, candidate, ratios));
        }
        Self {
            views: views(before, after, work),
            periods: Sides { baseline: Period::of(baseline), candidate: Period::of(candidate) },
            ratios,
            notes,
        }
    }

    /// What matters of it to most, in a line; `None` where one of the targets could not be asked.
    pub(super) fn in_words(&self) -> Option<String> {
        let number = |it: f64| grouped(it as u64);
        let size = |it: f64| bytes(it as u64);
        let known = [
            ("pg_stat_wal", "wal_bytes", "WAL", size as fn(f64) -> String),
            (DATABASES, "blks_read", "blocks read", number),
            (DATABASES, "temp_bytes", "temporary", size),
            (DATABASES, "xact_commit", "commits", number),
        ];
        let words = known.into_iter().filter_map(|(view, counter, name, show)| {
            let Counter { sides, ratio } = self.views.get(view)?.get(counter)?;
            let (before, after) = (show(sides.baseline?), show(sides.candidate?));
            let ratio = ratio.map_or_else(String::new, |it| format!(" (×{it:.2})"));
            Some(format!("{name} {before} → {after}{ratio}"))
        });
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// What was spent on a shape on both sides, with ratios by call.
pub(super) fn of_shape(
    baseline: Option<&ShapeCounters>,
    candidate: Option<&ShapeCounters>,
) -> Counters {
    let calls = |of: Option<&ShapeCounters>| of.and_then(|it| it.get("calls")?.as_f64());
    let work = some_of_both(calls(baseline), calls(candidate));
    let figures = |of: Option<&ShapeCounters>| {
        let figures = of.into_iter().flatten();
        figures.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
    };
    let mut counters = counters(&figures(baseline), &figures(candidate), work);
    // More calls are no more of each.
    if let Some(calls) = counters.get_mut("calls") {
        calls.ratio = ratio(calls.sides, AS_IT_IS);
    }
    counters
}

impl Period {
    fn of(report: &ReplayReport) -> Self {
        let read = report.resource_period.clone();
        Self { seconds: seconds(read.since.as_ref(), read.until.as_ref()), read }
    }
}

impl ReplayReport {
    /// Whether its figures are of all that was replayed.
    fn counted_whole_run(&self) -> bool {
        let ResourcePeriod { since, until, gap } = &self.resource_period;
        let is_read = since.is_some() && until.is_some() && gap.is_none();
        // The last reading is at the end; until then, it is a while ago.
        let missing = seconds(until.as_ref(), Some(&self.until)).unwrap_or_default();
        let run = seconds(Some(&self.since), Some(&self.until)).unwrap_or_default();
        is_read && (self.now.is_none() || missing <= LITTLE * run)
    }
}

fn seconds(since: Option<&String>, until: Option<&String>) -> Option<f64> {
    let moment = |text: &String| text.parse::<Timestamp>().ok();
    let (since, until) = (moment(since?)?, moment(until?)?);
    Some(until.duration_since(since).as_secs_f64().max(0.0))
}

/// How many transactions each target counted in the same time as all else.
fn transactions(baseline: Option<&Resources>, candidate: Option<&Resources>) -> Option<Sides<f64>> {
    let of = |resources: Option<&Resources>| {
        let counters = resources?.get(DATABASES)?;
        let count = |counter| counters.get(counter).copied().unwrap_or_default();
        Some(count("xact_commit") + count("xact_rollback"))
    };
    some_of_both(of(baseline), of(candidate))
}

fn some_of_both(baseline: Option<f64>, candidate: Option<f64>) -> Option<Sides<f64>> {
    let is_some = |it: &f64| *it > 0.0;
    let (baseline, candidate) = (baseline.filter(is_some)?, candidate.filter(is_some)?);
    Some(Sides { baseline, candidate })
}

fn views(
    baseline: Option<&Resources>,
    candidate: Option<&Resources>,
    work: Option<Sides<f64>>,
) -> BTreeMap<String, Counters> {
    let none = BTreeMap::new();
    let names = baseline.into_iter().chain(candidate).flat_map(BTreeMap::keys);
    names
        .map(|view| {
            let [before, after] =
                [baseline, candidate].map(|side| side.and_then(|it| it.get(view)).unwrap_or(&none));
            (view.clone(), counters(before, after, work))
        })
        .collect()
}

fn counters(
    baseline: &BTreeMap<String, f64>,
    candidate: &BTreeMap<String, f64>,
    work: Option<Sides<f64>>,
) -> Counters {
    let names = baseline.keys().chain(candidate.keys());
    names
        .map(|name| {
            let of = |side: &BTreeMap<String, f64>| side.get(name).copied();
            let sides = Sides { baseline: of(baseline), candidate: of(candidate) };
            (name.clone(), Counter { sides, ratio: work.and_then(|work| ratio(sides, work)) })
        })
        .collect()
}

/// How many times as much the candidate's target spent on as much work.
fn ratio(spent: Sides<Option<f64>>, work: Sides<f64>) -> Option<f64> {
    let Sides { baseline, candidate } = some_of_both(spent.baseline, spent.candidate)?;
    let ratio = (candidate / work.candidate) / (baseline / work.baseline);
    Some(ratio).filter(|it| it.is_finite())
}

/// What the reports say of what they could not tell of the targets' spending.
fn reported_notes(baseline: &ReplayReport, candidate: &ReplayReport) -> Vec<String> {
    let (before, after) = (&baseline.resource_notes, &candidate.resource_notes);
    let said = |note: &String| match after.contains(note) {
        true => format!("both targets: {note}"),
        false => format!("the baseline's target: {note}"),
    };
    let only = after.iter().filter(|note| !before.contains(note));
    let only = only.map(|note| format!("the candidate's target: {note}"));
    before.iter().map(said).chain(only).collect()
}

/// That the figures are not of the whole run on both sides, or of times of other lengths.
fn period_note(
    baseline: &ReplayReport,
    candidate: &ReplayReport,
    ratios: Ratios,
) -> Option<String> {
    let reports = [baseline, candidate];
    let [before, after] = reports.map(|it| Period::of(it).seconds);
    if ratios != Ratios::Run {
        let part = |report: &ReplayReport, counted: Option<f64>| {
            let run = seconds(Some(&report.since), Some(&report.until));
            match (counted, run) {
                (Some(_), _) if report.counted_whole_run() => "the whole run".to_owned(),
                (Some(counted), Some(run)) => format!("{counted:.0} s of {run:.0} s"),
                _ => "a time that is not known".to_owned(),
            }
        };
        let what = match ratios {
            Ratios::Transaction => "ratios are per transaction",
            Ratios::Run | Ratios::None => "they are not of the same work, and have no ratios",
        };
        return Some(format!(
            "counted for {} in the baseline, {} in the candidate: {what}",
            part(baseline, before),
            part(candidate, after)
        ));
    }
    let (before, after) = (before?, after?);
    let (less, more) = (before.min(after), before.max(after));
    (more - less > (LITTLE * more).max(1.0)).then(|| {
        format!(
            "counted for {before:.0} s in the baseline, {after:.0} s in the candidate: what servers do \
             by the clock (timed checkpoints, the background writer) differs by that, too"
        )
    })
}

#[cfg(test)]
mod tests;
