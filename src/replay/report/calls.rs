//! What is kept of a shape's calls.

use std::collections::BTreeMap;
use std::time::Duration;

use super::blocks::Timeline;
use super::durations::{Distribution, ms};
use super::judgement::{Evidence, Judgement, LEAST_CALLS, Unjudged};
use super::ratios::{Ratios, When};
use super::strip::Strip;
use super::{Concurrency, Distributions, Errors, Outcomes, PaceCounts, QueryShape, Sample};
use crate::pglog::SqlState;
use crate::pglog::statement::SourceEnd;
use crate::replay::account::policy::Outcome;
use crate::replay::session::Ended;

/// One statement that was run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub ended: Ended,
    pub outcome: Outcome,
    /// How long it took on the source, where its log tells.
    pub source: Option<Duration>,
    /// How long it waited for its turn.
    pub waited: Duration,
    /// When it ran.
    pub when: When,
    /// How many statements were active on each side; `None` where it is not known yet.
    pub active: Option<Concurrency>,
}

/// All of a shape's.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    calls: u64,
    source: Distribution,
    target: Distribution,
    ratios: Ratios,
    concurrency: MeanConcurrency,
    source_errors: Codes,
    target_errors: Codes,
    outcomes: Outcomes,
    sample: Option<Sample>,
    waited: Duration,
}

impl Calls {
    /// Notes one. `sample` is asked for if it is worth to be shown.
    pub(super) fn add(
        &mut self,
        call: &Call,
        round_trip: Option<Duration>,
        timeline: &Timeline,
        sample: impl FnOnce() -> Sample,
    ) {
        self.calls += 1;
        self.waited = self.waited.saturating_add(call.waited);
        let Call { ended, outcome, .. } = *call;
        if let Some(active) = call.active {
            self.concurrency.add(active);
        }
        match outcome {
            Outcome::Same => self.outcomes.same += 1,
            Outcome::NewError => self.outcomes.new_error += 1,
            Outcome::FixedError => self.outcomes.fixed_error += 1,
            Outcome::OtherError => self.outcomes.other_error += 1,
            Outcome::CannotTell => self.outcomes.cannot_tell += 1,
        }
        if !matches!(outcome, Outcome::Same | Outcome::CannotTell) && self.sample.is_none() {
            self.sample = Some(sample());
        }
        // How long something took that failed says nothing of the shape.
        let source = match ended.source {
            SourceEnd::Failed(code) => {
                self.source_errors.add(code);
                None
            }
            _ => call.source,
        };
        let target = match ended.target {
            Err(code) => {
                self.target_errors.add(code);
                None
            }
            Ok(()) => ended.took,
        };
        if let Some(source) = source {
            self.source.add(source);
        }
        if let Some(target) = target {
            self.target.add(target.on_server.unwrap_or(target.share()));
        }
        if let (Some(source), Some(target)) = (source, target) {
            self.ratios.add(source, target, round_trip, call.when, timeline);
        }
    }

    /// Adds the calls of another shape. Their durations can't be compared any more.
    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.source.merge(&other.source);
        self.target.merge(&other.target);
        self.source_errors.merge(&other.source_errors);
        self.target_errors.merge(&other.target_errors);
        self.outcomes.same += other.outcomes.same;
        self.outcomes.new_error += other.outcomes.new_error;
        self.outcomes.fixed_error += other.outcomes.fixed_error;
        self.outcomes.other_error += other.outcomes.other_error;
        self.outcomes.cannot_tell += other.outcomes.cannot_tell;
        self.waited = self.waited.saturating_add(other.waited);
        self.concurrency.merge(other.concurrency);
    }

    /// How many there were.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// The total time on the target.
    pub(super) fn total(&self) -> Duration {
        self.target.total()
    }

    /// How many ended otherwise than on the source.
    pub(super) fn changed(&self) -> u64 {
        self.outcomes.changed()
    }

    /// What they tell of whether the shape became slower. From the block `warm` on the target is warm.
    pub(super) fn evidence(
        &self,
        timeline: &Timeline,
        warm: u32,
    ) -> (PaceCounts, Result<Evidence, Unjudged>) {
        let (pace, evidence) = self.ratios.evidence(timeline, warm, self.source.median_ms());
        if self.calls >= LEAST_CALLS && self.source.calls() == 0 && self.target.calls() > 0 {
            let why = "the source's log tells no durations".to_owned();
            return (pace, Err(Unjudged { why, ..Unjudged::default() }));
        }
        (pace, evidence)
    }

    /// What the report says of them, the shape itself left open.
    pub(super) fn summary(&self, pace: PaceCounts, judgement: Judgement) -> QueryShape {
        let Judgement { change, verdict, why } = judgement;
        QueryShape {
            calls: self.calls,
            source: self.source.summary(),
            target: self.target.summary(),
            strip: Strip::of(&self.source, &self.target),
            errors: Errors {
                source: self.source_errors.listed(),
                target: self.target_errors.listed(),
            },
            distributions: Distributions {
                source: self.source.encoded(),
                target: self.target.encoded(),
            },
            outcomes: self.outcomes,
            sample: self.sample.clone(),
            waited_order_ms: ms(self.waited),
            clock: self.ratios.clock(),
            pace,
            concurrency: self.concurrency.mean(),
            change,
            verdict,
            why,
            ..QueryShape::default()
        }
    }
}

/// How many statements were active when calls of a shape ended.
#[derive(Debug, Clone, Copy, Default)]
struct MeanConcurrency {
    sum: Concurrency,
    calls: u64,
}

impl MeanConcurrency {
    fn add(&mut self, active: Concurrency) {
        self.merge(Self { sum: active, calls: 1 });
    }

    fn merge(&mut self, other: Self) {
        self.sum.source += other.sum.source;
        self.sum.target += other.sum.target;
        self.calls += other.calls;
    }

    fn mean(self) -> Concurrency {
        let calls = self.calls.max(1) as f64;
        Concurrency { source: self.sum.source / calls, target: self.sum.target / calls }
    }
}

/// Errors by SQLSTATE.
#[derive(Debug, Clone, Default)]
struct Codes {
    /// A few, in no order.
    counts: Vec<(SqlState, u64)>,
    others: u64,
}

impl Codes {
    /// How many codes are told apart: routines may raise any.
    const MOST: usize = 16;

    fn add(&mut self, code: SqlState) {
        self.add_many(code, 1);
    }

    fn add_many(&mut self, code: SqlState, count: u64) {
        if let Some((_, counted)) = self.counts.iter_mut().find(|(known, _)| *known == code) {
            *counted += count;
        } else if self.counts.len() < Self::MOST {
            self.counts.push((code, count));
        } else {
            self.others += count;
        }
    }

    fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|&(code, count)| self.add_many(code, count));
        self.others += other.others;
    }

    fn listed(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.iter().map(|(code, count)| (code.to_string(), *count));
        let others = (self.others > 0).then(|| ("other".to_owned(), self.others));
        counts.chain(others).collect()
    }
}
