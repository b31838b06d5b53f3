//! The account by query shape, in bounded memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::calls::{Call, Calls};
use super::durations::{Distribution, ms};
use super::judgement::{CHANGE, CONFIDENCE, LEAST_CALLS, TEST};
use super::{Method, QueryShape, RoundTrip, Sample, Verdicts};
use crate::label::Label as _;
use crate::pglog::statement::SourceEnd;
use crate::replay::account::policy::Outcome;
use crate::replay::session::Ended;
use crate::replay::work::Work;
use crate::sql::Outline;
use crate::sql::shape::Shape;

/// How many texts without their literals are known by their fingerprint. When there are more, those
/// go that were not met since the last time.
const TEXTS: usize = 20_000;
/// Longer texts are not parsed for their fingerprint, in bytes.
const LONGEST: usize = 64 * 1024;
/// How much of a text is shown, in bytes.
const SHOWN: usize = 2000;
/// So many texts may be parsed whatever they cost, for a start.
const FREE: u64 = 2000;
/// Beyond those, one text for so many statements: parsing one costs as much as replaying some ten.
const ONE_IN: u64 = 200;

/// The account of a run by query shape.
///
/// Statements belong together if they have one fingerprint: pg_query's, which looks through literals,
/// the lengths of IN lists, letter case, blanks and aliases.
#[derive(Debug)]
pub struct Shapes {
    limit: usize,
    /// By the shape's hash, see [`Outline::shape`].
    texts: HashMap<u64, Text, FixedState>,
    slots: HashMap<u64, usize, FixedState>,
    shapes: Vec<Kept>,
    rest: Calls,
    round_trip: Distribution,
    /// Its 95th percentile.
    overhead: Option<Duration>,
    statements: u64,
    parsed: u64,
}

/// A text without its literals.
#[derive(Debug, Clone, Copy)]
struct Text {
    fingerprint: u64,
    /// Where its shape is, if it is kept.
    slot: Option<usize>,
    is_recent: bool,
}

#[derive(Debug)]
struct Kept {
    fingerprint: u64,
    query: String,
    command: &'static str,
    calls: Calls,
}

impl Shapes {
    /// An account that tells `limit` shapes apart.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            texts: HashMap::default(),
            slots: HashMap::default(),
            shapes: Vec::new(),
            rest: Calls::default(),
            round_trip: Distribution::default(),
            overhead: None,
            statements: 0,
            parsed: 0,
        }
    }

    /// Notes a statement that was run, after it had waited so long for its turn. `place` says where
    /// its record stands.
    pub fn ran(
        &mut self,
        work: &Work,
        ended: Ended,
        outcome: Outcome,
        waited: Duration,
        place: impl FnOnce() -> String,
    ) {
        self.statements += 1;
        // A log may say anything: it saturates, as `as` does.
        let source = work.source_duration_ms().map(|ms| Duration::from_nanos((ms * 1e6) as u64));
        let call = Call { ended, outcome, source, waited };
        let overhead = self.overhead;
        let sample = || sample(work, ended, place());
        let slot = self.slot(&work.statement.sql, &work.statement.outline);
        let calls = match slot {
            Some(slot) => &mut self.shapes[slot].calls,
            None => &mut self.rest,
        };
        calls.add(&call, overhead, sample);
    }

    /// Notes what an empty query took.
    pub fn round_trip(&mut self, took: Duration) {
        self.round_trip.add(took);
        self.overhead = Some(self.round_trip.quantile(0.95));
    }

    // ---- Which shape a text has ----

    /// Where the shape of a text is kept; `None`: with the rest.
    fn slot(&mut self, sql: &str, outline: &Outline) -> Option<usize> {
        let known = self.texts.get_mut(&outline.shape);
        let fingerprint = match known {
            Some(Text { slot: Some(slot), is_recent, .. }) => {
                *is_recent = true;
                return Some(*slot);
            }
            Some(text) => text.fingerprint,
            None => self.fingerprint(sql, outline)?,
        };
        let slot = match self.slots.get(&fingerprint) {
            Some(&slot) => slot,
            None => self.keep(fingerprint, sql, outline),
        };
        let text = Text { fingerprint, slot: Some(slot), is_recent: true };
        self.texts.insert(outline.shape, text);
        Some(slot)
    }

    /// The fingerprint of a new text, unless there were too many of late.
    fn fingerprint(&mut self, sql: &str, outline: &Outline) -> Option<u64> {
        if self.parsed > FREE + self.statements / ONE_IN {
            return None;
        }
        self.parsed += 1;
        if self.texts.len() >= TEXTS {
            self.texts.retain(|_, text| std::mem::take(&mut text.is_recent));
            if self.texts.len() > TEXTS / 4 * 3 {
                self.texts.clear();
            }
        }
        let parsed = (sql.len() <= LONGEST).then(|| pg_query::fingerprint(sql, 0, 0));
        // What PostgreSQL's parser does not know has the shape of its tokens.
        Some(parsed.and_then(Result::ok).map_or(outline.shape, |it| it.value))
    }

    fn keep(&mut self, fingerprint: u64, sql: &str, outline: &Outline) -> usize {
        if self.shapes.len() >= self.limit + (self.limit / 4).max(16) {
            self.make_room();
        }
        let slot = self.shapes.len();
        self.shapes.push(Kept {
            fingerprint,
            query: Shape::shown(sql, SHOWN),
            command: outline.verb().label(),
            calls: Calls::default(),
        });
        self.slots.insert(fingerprint, slot);
        slot
    }

    /// Adds the calls of the shapes that matter least to the rest. If such a shape comes again, it
    /// begins anew: what was added is not found again.
    fn make_room(&mut self) {
        let ranks = self.ranks();
        let (kept, gone) = ranks.split_at(self.limit.min(ranks.len()));
        for &slot in gone {
            self.rest.merge(&self.shapes[slot].calls);
        }
        let mut moved = vec![None; self.shapes.len()];
        let mut kept = kept.to_vec();
        kept.sort_unstable();
        for (to, &from) in kept.iter().enumerate() {
            moved[from] = Some(to);
        }
        let mut from = 0;
        self.shapes.retain(|_| {
            from += 1;
            moved[from - 1].is_some()
        });
        self.slots.retain(|_, slot| match moved[*slot] {
            Some(to) => {
                *slot = to;
                true
            }
            None => false,
        });
        for text in self.texts.values_mut() {
            text.slot = text.slot.and_then(|slot| moved[slot]);
        }
    }

    /// The shapes, those that matter most first: some that ended otherwise than on the source, however
    /// short they took, then by their total time on the target.
    fn ranks(&self) -> Vec<usize> {
        let mut ranks: Vec<usize> = (0..self.shapes.len()).collect();
        ranks.sort_by_key(|&slot| Reverse(self.shapes[slot].calls.changed()));
        let changed = ranks.iter().take_while(|&&slot| self.shapes[slot].calls.changed() > 0);
        let first = changed.count().min(self.limit / 2);
        ranks[first..].sort_by_key(|&slot| Reverse(self.shapes[slot].calls.total()));
        ranks
    }

    // ---- What the report says ----

    /// The shapes told apart, those with the longest total time on the target first, and the rest.
    pub fn summary(&self) -> (Vec<QueryShape>, Option<QueryShape>) {
        let ranks = self.ranks();
        let (shown, others) = ranks.split_at(self.limit.min(ranks.len()));
        let mut shapes: Vec<QueryShape> = shown
            .iter()
            .map(|&slot| {
                let Kept { fingerprint, query, command, calls } = &self.shapes[slot];
                QueryShape {
                    fingerprint: Some(format!("{fingerprint:016x}")),
                    query: Some(query.clone()),
                    command,
                    ..calls.summary()
                }
            })
            .collect();
        shapes.sort_by(|a, b| b.target.total_ms.total_cmp(&a.target.total_ms));
        let mut rest = self.rest.clone();
        others.iter().for_each(|&slot| rest.merge(&self.shapes[slot].calls));
        let rest = QueryShape {
            command: "other",
            change: None,
            verdict: super::Verdict::CannotTell,
            why: "more than one shape".to_owned(),
            sample: None,
            ..rest.summary()
        };
        (shapes, Some(rest).filter(|rest| rest.calls > 0))
    }

    /// How durations are compared.
    pub fn method(&self) -> Method {
        let measured = self
            .overhead
            .map(|p95| RoundTrip { p50: ms(self.round_trip.quantile(0.5)), p95: ms(p95) });
        Method {
            change: CHANGE,
            confidence: CONFIDENCE,
            least_calls: LEAST_CALLS,
            test: TEST.to_owned(),
            round_trip_ms: measured,
        }
    }
}

impl Verdicts {
    /// How many of these shapes have which.
    pub fn of(shapes: &[QueryShape]) -> Self {
        let mut verdicts = Self::default();
        shapes.iter().for_each(|shape| verdicts.add(shape.verdict));
        verdicts
    }
}

fn sample(work: &Work, ended: Ended, place: String) -> Sample {
    let success = || "success".to_owned();
    Sample {
        session: work.session.to_string(),
        place,
        source: match ended.source {
            SourceEnd::Failed(code) => code.to_string(),
            _ => success(),
        },
        target: ended.target.err().map_or_else(success, |code| code.to_string()),
    }
}

#[cfg(test)]
mod tests;
