//! A report as it is read: what a comparison needs of it. A field that is not there is empty, so that
//! reports of other versions of kreplay can be read as long as what is there means the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::durations;
use crate::replay::report::plans::Plans;
use crate::replay::report::{ClockCounts, Concurrency, PaceCounts, ResourcePeriod, VERSION};

/// What stands before and behind the report in a page that was written by `--report FILE.html`.
const IN_PAGE: (&str, &str) = ("<script type=\"application/json\" id=\"data\">", "</script>");

/// No report has more shapes; without a bound a small file takes much memory.
const MOST_SHAPES: usize = 100_000;
/// Nothing takes longer, in milliseconds: some three hundred years.
const LONGEST_MS: f64 = 1e13;
/// No shape has more calls, so that those of all can be added: a million a second for half a year.
const MOST_CALLS: u64 = 1 << 44;

/// Why a text is no report that can be compared. Each says what would help.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAReport {
    #[error("not a report of kreplay: {0}")]
    NoJson(serde_json::Error),
    #[error("a page without a report in it: give the JSON that `--report FILE.json` writes")]
    NoData,
    #[error("not a report of kreplay: it has no version")]
    NoVersion,
    #[error(
        "a report of version {found}, and this kreplay reads version {VERSION}: replay again, both \
         with one version of kreplay"
    )]
    OtherVersion { found: String },
    #[error("the report is damaged: {0}")]
    Damaged(serde_path_to_error::Error<serde_json::Error>),
    #[error(
        "the report holds no distributions: save what `--report FILE` writes or `/report` serves, not \
         the page"
    )]
    NoDistributions,
    #[error("the report has no digest of what was replayed: replay again with this kreplay")]
    NoDigest,
    #[error("nothing was replayed in this run")]
    Nothing,
    #[error("larger than {most_mib} MiB, which no report is")]
    TooLarge { most_mib: u64 },
}

/// A report.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReplayReport {
    pub kreplay: String,
    pub source: String,
    pub target: String,
    pub order: String,
    pub pace: Option<KeptPace>,
    pub since: String,
    pub until: String,
    pub digest: Digest,
    pub method: Method,
    pub records: Records,
    #[serde(deserialize_with = "shapes")]
    pub shapes: Vec<Shape>,
    pub rest: Option<Shape>,
    pub resources: Option<Resources>,
    pub resource_period: ResourcePeriod,
    pub resource_notes: Vec<String>,
    /// There while the replay runs.
    pub now: Option<IgnoredAny>,
}

/// Counters by view.
pub(super) type Resources = BTreeMap<String, BTreeMap<String, f64>>;

/// What was spent on one shape.
pub(super) type ShapeCounters = serde_json::Map<String, serde_json::Value>;

/// See [`replay::report::KeptPace`](crate::replay::report::KeptPace).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct KeptPace {
    pub speed: f64,
    #[serde(default)]
    pub playout_delay_seconds: f64,
}

impl fmt::Display for KeptPace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--speed {}", self.speed)
    }
}

/// What was replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Digest {
    pub statements: u64,
    pub hash: String,
    pub first_logged_ms: Option<i64>,
    pub last_logged_ms: Option<i64>,
}

/// How durations were measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Method {
    pub round_trip_ms: Option<RoundTrip>,
}

/// What an empty query took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoundTrip {
    #[serde(deserialize_with = "milliseconds")]
    pub p95: f64,
}

/// What became of the records.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Records {
    pub replayed: u64,
    pub failed: u64,
    pub pending: u64,
    pub skipped: Fate,
    pub rejected: Fate,
    pub given_up: Fate,
}

impl Records {
    /// How many statements ran on the target, whatever came of it.
    pub(super) fn ran(&self) -> u64 {
        self.replayed.saturating_add(self.failed)
    }

    /// How many should have been replayed, and were not.
    pub(super) fn left_out(&self) -> u64 {
        [self.skipped.total, self.rejected.total, self.given_up.total, self.pending]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// One fate of records.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fate {
    pub total: u64,
}

/// A query shape.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shape {
    pub fingerprint: Option<String>,
    pub query: Option<String>,
    pub command: String,
    pub calls: u64,
    pub target: Durations,
    pub distributions: Distributions,
    pub errors: Errors,
    pub outcomes: BTreeMap<String, u64>,
    #[serde(deserialize_with = "clock")]
    pub clock: ClockCounts,
    pub pace: PaceCounts,
    pub concurrency: Concurrency,
    pub plans: Plans,
    pub resources: Option<ShapeCounters>,
}

/// Durations of a shape's successful calls, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Durations {
    pub calls: u64,
    #[serde(deserialize_with = "milliseconds")]
    pub total_ms: f64,
    #[serde(deserialize_with = "milliseconds")]
    pub p50_ms: f64,
    #[serde(deserialize_with = "milliseconds")]
    pub p95_ms: f64,
    #[serde(deserialize_with = "milliseconds")]
    pub p99_ms: f64,
    #[serde(deserialize_with = "milliseconds")]
    pub max_ms: f64,
}

/// Distributions, which a report holds in base64.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Distributions {
    /// `None` where the report has none.
    #[serde(deserialize_with = "distribution")]
    pub target: Option<durations::Durations>,
}

/// Errors by SQLSTATE.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Errors {
    pub target: BTreeMap<String, u64>,
}

impl ReplayReport {
    /// Reads a report: JSON, or the page with it.
    pub(super) fn read(text: &str) -> Result<Self, NotAReport> {
        // What some systems begin each file with.
        let text = text.trim_start_matches('\u{feff}');
        let json = match text.trim_start().starts_with('<') {
            true => in_page(text).ok_or(NotAReport::NoData)?,
            false => text,
        };
        let head: Head = serde_json::from_str(json).map_err(NotAReport::NoJson)?;
        match head.version {
            None => return Err(NotAReport::NoVersion),
            Some(version) if version == VERSION => {}
            Some(version) => return Err(NotAReport::OtherVersion { found: version.to_string() }),
        }
        let json = &mut serde_json::Deserializer::from_str(json);
        let report: Self = serde_path_to_error::deserialize(json).map_err(NotAReport::Damaged)?;
        if report.digest.hash.is_empty() {
            return Err(NotAReport::NoDigest);
        }
        if report.digest.statements == 0 {
            return Err(NotAReport::Nothing);
        }
        // One for nothing has some fifty characters too.
        if report.all().any(|shape| shape.distributions.target.is_none()) {
            return Err(NotAReport::NoDistributions);
        }
        Ok(report)
    }

    /// Whether nothing ran, though it was to be replayed.
    pub(super) fn ran_nothing(&self) -> bool {
        self.records.ran() == 0 && self.all().all(|shape| shape.calls == 0)
    }

    /// Its shapes and the rest.
    pub(super) fn all(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter().chain(&self.rest)
    }
}

/// What is read before all else: the meaning of the rest depends on it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    version: Option<serde_json::Value>,
}

/// A duration or a sum of them: no less than nothing, and none that a target can't take.
fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let ms = f64::deserialize(deserializer)?;
    match (0.0..=LONGEST_MS).contains(&ms) {
        true => Ok(ms),
        false => Err(D::Error::custom(format_args!("{ms:e} milliseconds are no duration"))),
    }
}

fn clock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClockCounts, D::Error> {
    let counts = ClockCounts::deserialize(deserializer)?;
    match counts.server.max(counts.client) <= MOST_CALLS {
        true => Ok(counts),
        false => Err(D::Error::custom("more calls than any run has")),
    }
}

fn distribution<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<durations::Durations>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let no_distribution = || D::Error::custom("no distribution of durations as kreplay writes it");
    durations::Durations::decode(&text).ok_or_else(no_distribution).map(Some)
}

fn shapes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Shape>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Shape>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence of shapes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<Shape>, A::Error> {
            let mut shapes = Vec::new();
            while let Some(shape) = all.next_element()? {
                if shapes.len() == MOST_SHAPES {
                    return Err(A::Error::custom(format_args!("more than {MOST_SHAPES} shapes")));
                }
                shapes.push(shape);
            }
            Ok(shapes)
        }
    }

    deserializer.deserialize_seq(Bounded)
}

fn in_page(text: &str) -> Option<&str> {
    Some(text.split_once(IN_PAGE.0)?.1.split_once(IN_PAGE.1)?.0)
}

#[cfg(test)]
pub(super) mod tests;
