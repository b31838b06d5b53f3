//! The regression report: what changed between source and target, query shape by query shape.
//!
//! These are the plain data of it, which is what `/report` serves and `--report FILE` writes as JSON.
//! No literal, parameter or comment of any statement is in it.
//!
//! - `shapes`: the account that it is made from, in bounded memory.
//! - `at_pace`: whether the replay is at the source's pace; `active`: how many statements are active;
//! - `ratios`: which calls of a shape count, and how they changed; `bins`, `blocks`: how they are kept;
//! - `judgement`: when a shape became slower, and when that can't be told, by these `rules`;
//! - `polish`: what shapes share for a while is taken off;
//! - `factor`: what all shapes have in common;
//! - `sign_test`: what a median is by counting alone; `discovery`: which of many findings to believe;
//! - `plan`: plans as trees, and `plans`: which a shape has had, on both sides;
//! - `resources`: what the target spent, by its own statistics;
//! - `untold`: of which shapes nothing can be told.

mod active;
mod at_pace;
mod bins;
mod blocks;
mod calls;
pub mod discovery;
mod durations;
pub mod factor;
pub mod judgement;
pub mod plan;
pub mod plans;
mod polish;
mod ratios;
pub mod resources;
pub mod rules;
mod shapes;
pub mod sign_test;
mod stall;
mod strip;
mod table;
pub(crate) mod untold;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use self::factor::Factor;
pub use self::plans::{Due, Plans};
use self::resources::statements::ShapeResources;
pub use self::resources::{ResourcePeriod, Resources, Spending};
pub use self::shapes::{Shapes, Summary};
pub use self::stall::{StallReport, WaitReport};
pub use self::strip::Strip;
pub use self::untold::Untold;
use crate::replay::account::policy::Tally;
use crate::replay::account::progress::PartitionProgress;

/// The version of the JSON: it changes with the meaning of a field, not with a new one.
pub const VERSION: u32 = 2;

/// What changed between source and target.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// kreplay's version and revision.
    pub kreplay: String,
    /// What is read, in words: the topic and the brokers, or the files.
    pub source: String,
    /// What is written to, in words: host and port.
    pub target: String,
    /// The order, as on the command line.
    pub order: String,
    /// The pace that is kept, if any.
    pub pace: Option<KeptPace>,
    /// When the replay began (RFC 3339).
    pub since: String,
    /// When the report was made.
    pub until: String,
    /// How durations are compared.
    pub method: Method,
    /// The account of the run.
    #[serde(flatten)]
    pub tally: Tally,
    /// What all shapes have in common: the machine's; `None` of too few.
    pub factor: Option<Factor>,
    /// How many shapes have which verdict.
    pub verdicts: Verdicts,
    /// Those of which nothing can be told.
    pub untold: Untold,
    /// The shapes with the longest total time on the target, the longest first.
    pub shapes: Vec<QueryShape>,
    /// All other statements together.
    pub rest: Option<QueryShape>,
    /// How far the replay is behind the source.
    pub lag: Lag,
    /// For how many seconds statements waited, all of them together, by what they waited for.
    pub waits: BTreeMap<&'static str, f64>,
    /// What costs the conflict order the most concurrency, the worst first.
    pub costly: Vec<CostlyShape>,
    /// The last time that nothing went on for --stall-timeout, if there was one.
    pub stall: Option<StallReport>,
    /// The plans that the source's log had.
    pub source_plans: PlansRead,
    /// The plans of statements that the target's auto_explain told (`--explain`).
    pub target_plans: PlansRead,
    /// What has to be known to read the target's plans.
    pub plan_notes: Vec<String>,
    /// What the target counted during the run, by view and counter; `None` where it could not be asked.
    pub resources: Option<Resources>,
    /// When that was read, and why that is not the whole run.
    pub resource_period: ResourcePeriod,
    /// What has to be known to read those.
    pub resource_notes: Vec<String>,
}

impl Report {
    /// The same without the distributions, which are half of its size: for a page that is fetched anew
    /// every few seconds.
    pub fn without_distributions(mut self) -> Self {
        let all = self.shapes.iter_mut().chain(&mut self.rest);
        all.for_each(|shape| shape.distributions = Distributions::default());
        self
    }

    /// The calls of all shapes by whether the verdicts rest on them.
    pub fn paces(&self) -> PaceCounts {
        let shapes = self.shapes.iter().chain(&self.rest);
        shapes.fold(PaceCounts::default(), |all, QueryShape { pace, .. }| PaceCounts {
            judged: all.judged + pace.judged,
            off_pace: all.off_pace + pace.off_pace,
            cold: all.cold + pace.cold,
        })
    }
}

/// The pace of the source, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KeptPace {
    /// How many times as fast as the source.
    pub speed: f64,
    /// How much later than it could be every statement is due.
    pub playout_delay_seconds: f64,
}

/// Statements of one shape that the conflict order takes to touch more than they do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostlyShape {
    /// Their text with `?` for every literal.
    pub shape: String,
    /// What they are taken to touch, in words.
    pub touches: &'static str,
    /// Why, as in the metrics.
    pub because: &'static str,
    /// How many there were.
    pub times: u64,
}

/// How durations are compared.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Method {
    /// By how much a shape has to change beyond the machine's factor to be called changed: 0.1 is 10 %.
    pub threshold: f64,
    /// By how much whatever its duration, in milliseconds.
    pub least_change_ms: f64,
    /// Of the confidence intervals.
    pub confidence: f64,
    /// The share of false findings among the shapes that are called changed.
    pub false_discovery_rate: f64,
    /// Fewer calls are not judged.
    pub least_calls: u64,
    /// How long the target is taken to warm up.
    pub warm_up_seconds: f64,
    /// The test in a sentence.
    pub test: String,
    /// Who measures the target's durations, as on the command line; [`QueryShape::clock`] says who did.
    pub target_durations: String,
    /// What an empty query takes; `None` where none was answered.
    pub round_trip_ms: Option<RoundTrip>,
}

/// What an empty query takes between kreplay and the target, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RoundTrip {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
}

/// A shape's duration on the target, compared with the source's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// Shorter.
    Improved,
    /// The same within the change that counts.
    Same,
    /// Longer.
    Degraded,
    /// What was measured does not tell.
    #[default]
    CannotTell,
}

/// Plans that auto_explain has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PlansRead {
    /// Those that could be read.
    pub read: u64,
    /// Those in another format (XML, YAML), cut off or too long.
    pub unread: u64,
}

/// How many shapes have which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Shapes that became faster.
    pub improved: u64,
    /// Shapes that take as long as before.
    pub same: u64,
    /// Shapes that became slower.
    pub degraded: u64,
    /// Shapes of which it can't be told.
    pub cannot_tell: u64,
}

impl Verdicts {
    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Improved => &mut self.improved,
            Verdict::Same => &mut self.same,
            Verdict::Degraded => &mut self.degraded,
            Verdict::CannotTell => &mut self.cannot_tell,
        } += 1;
    }

    /// How many have this one.
    pub fn count(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Improved => self.improved,
            Verdict::Same => self.same,
            Verdict::Degraded => self.degraded,
            Verdict::CannotTell => self.cannot_tell,
        }
    }
}

/// All statements that differ in nothing but their literals.
#[derive(Debug, Clone, Default, Serialize)]
pub struct QueryShape {
    /// pg_query's fingerprint, 16 hexadecimal digits; `None` in [`Report::rest`], as the next.
    pub fingerprint: Option<String>,
    /// The text of one of them with `?` for every literal, without comments, cut.
    pub query: Option<String>,
    /// What it commands: `select`, `insert`, `ddl`…
    pub command: &'static str,
    /// How often it was run.
    pub calls: u64,
    /// How long it took on the source, as its log tells.
    pub source: Durations,
    /// How long it took on the target, as kreplay measured.
    pub target: Durations,
    /// How these are spread; `None` where no call has a duration.
    pub strip: Option<Strip>,
    /// All of these durations, for `kreplay compare`.
    pub distributions: Distributions,
    /// Errors by SQLSTATE.
    pub errors: Errors,
    /// Calls by how their ends compare.
    pub outcomes: Outcomes,
    /// One call that ended otherwise than on the source, the first.
    pub sample: Option<Sample>,
    /// How long its calls waited for their turn, all together, in milliseconds.
    pub waited_order_ms: f64,
    /// Who measured the target's durations of the calls that have both.
    pub clock: ClockCounts,
    /// Which of these calls tell whether the shape became slower.
    pub pace: PaceCounts,
    /// How many statements were active when they ended, in the mean.
    pub concurrency: Concurrency,
    /// The target's duration divided by the source's; `None` where too few calls have both. Where too few
    /// are judged, it is that of all calls, and means little.
    pub change: Option<Change>,
    /// What that means.
    pub verdict: Verdict,
    /// Why, in a short clause.
    pub why: String,
    /// Its plans.
    pub plans: Plans,
    /// What the target spent on it, as pg_stat_statements tells.
    pub resources: Option<ShapeResources>,
}

/// Durations of a shape's successful calls, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Durations {
    /// How many calls have one.
    pub calls: u64,
    /// Their sum.
    pub total_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The distributions of a shape's durations on each side: HdrHistogram's format V2, base64. Their unit is
/// a microsecond.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Distributions {
    /// On the source.
    pub source: String,
    /// On the target.
    pub target: String,
}

/// Errors by SQLSTATE, on each side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// On the source.
    pub source: BTreeMap<String, u64>,
    /// On the target.
    pub target: BTreeMap<String, u64>,
}

/// Calls by how their ends compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// As on the source.
    pub same: u64,
    /// Failed on the target alone.
    pub new_error: u64,
    /// Failed on the source alone.
    pub fixed_error: u64,
    /// Failed on both, otherwise.
    pub other_error: u64,
    /// Failed on the source for what its log does not hold.
    pub cannot_tell: u64,
}

impl Outcomes {
    /// How many ended otherwise than on the source.
    pub fn changed(&self) -> u64 {
        self.new_error + self.fixed_error + self.other_error
    }
}

/// A call that ended otherwise than on the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Its session, as the log calls it.
    pub session: String,
    /// Where its record stands.
    pub place: String,
    /// `success` or the SQLSTATE on the source.
    pub source: String,
    /// The same on the target.
    pub target: String,
}

/// Calls by who measured how long the target took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockCounts {
    /// The target itself, as its log would.
    pub server: u64,
    /// kreplay, with the way to the server and back in it.
    pub client: u64,
}

/// Calls by whether they tell if a shape became slower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceCounts {
    /// They do.
    pub judged: u64,
    /// They ran while the replay was not at the source's pace.
    pub off_pace: u64,
    /// They ran while the target was cold, or warming up where enough came later.
    pub cold: u64,
}

/// How many statements are active at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// On the source.
    pub source: f64,
    /// On the target.
    pub target: f64,
}

/// The target's duration divided by the source's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The median over blocks of time: 1.2 is 20 % longer on the target.
    pub ratio: f64,
    /// The low end of its confidence interval; the round trip is taken off what the target has not
    /// measured.
    pub low: f64,
    /// The high end; the round trip is left in.
    pub high: f64,
    /// The ratio divided by the machine's factor.
    pub beyond: f64,
    /// The low end divided by it.
    pub beyond_low: f64,
    /// The high end divided by it.
    pub beyond_high: f64,
    /// By how much the ratio beyond the factor has to exceed 1, or its inverse, to count: 0.1 is 10 %. `None`
    /// where too few calls are judged.
    pub margin: Option<f64>,
}

/// How far the replay is behind the source.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lag {
    /// In seconds; `None` before anything was replayed.
    pub behind_source_seconds: Option<f64>,
    /// Where each partition stands; none for files.
    pub partitions: Vec<PartitionProgress>,
}
