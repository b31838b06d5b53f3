//! The account by query shape, in bounded memory.

mod plans;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::active::Active;
use super::at_pace::PaceWatch;
use super::blocks::Timeline;
use super::calls::{Call, Calls};
use super::discovery::FALSE_DISCOVERY_RATE;
use super::durations::{Distribution, ms};
use super::factor::Factor;
use super::judgement::{Judgement, LEAST_CALLS, LEAST_CHANGE_MS, TEST, judge};
use super::plans::{PlanBook, TypicalCall};
use super::ratios::When;
use super::rules::Rules;
use super::sign_test::CONFIDENCE;
use super::{Concurrency, Method, PlansRead, QueryShape, RoundTrip, Sample, Verdicts};
use crate::label::Label as _;
use crate::pglog::SqlState;
use crate::pglog::statement::SourceEnd;
use crate::replay::account::policy::Outcome;
use crate::replay::pace;
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
/// The first of so many parts of the warm-up, in which the target is cold.
const COLD: u32 = 10;

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
    rules: Rules,
    /// Whether there is a schedule: statements are due by when they began on the source.
    is_paced: bool,
    pace: PaceWatch,
    on_source: Active,
    on_target: Active,
    /// When the first statement began on the target.
    first: Option<Duration>,
    timeline: Timeline,
    statements: u64,
    parsed: u64,
    plans: PlanBook,
    source_plans: PlansRead,
    target_plans: PlansRead,
    /// By user.
    explain_refused: BTreeMap<String, SqlState>,
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
    /// One that it can be explained by.
    call: Option<Arc<TypicalCall>>,
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
            rules: Rules::default(),
            is_paced: false,
            pace: PaceWatch::of_stream(Duration::ZERO),
            on_source: Active::default(),
            on_target: Active::default(),
            first: None,
            timeline: Timeline::default(),
            statements: 0,
            parsed: 0,
            plans: PlanBook::default(),
            source_plans: PlansRead::default(),
            target_plans: PlansRead::default(),
            explain_refused: BTreeMap::new(),
        }
    }

    /// The same with these rules, for a replay that keeps a schedule or does not, and may hold back
    /// statements for so long.
    pub fn with_rules(self, rules: Rules, is_paced: bool, lookahead: Duration) -> Self {
        let pace = match is_paced {
            true => PaceWatch::of_schedule(),
            false => PaceWatch::of_stream(lookahead),
        };
        Self { rules, is_paced, pace, ..self }
    }

    /// Notes a statement that was run, after it had waited so long for its turn, and ended about `now`,
    /// since the replay began. `place` says where its record stands.
    pub fn ran(
        &mut self,
        work: &Work,
        ended: Ended,
        outcome: Outcome,
        waited: Duration,
        now: Duration,
        place: impl FnOnce() -> String,
    ) {
        self.statements += 1;
        // A log may say anything: it saturates, as `as` does.
        let source = work.source_duration_ms().map(|ms| Duration::from_nanos((ms * 1e6) as u64));
        let when = self.when(work, ended, now);
        let active = self.active(work, ended, source, now);
        let call = Call { ended, outcome, source, waited, when, active };
        let overhead = self.overhead;
        let sample = || sample(work, ended, place());
        let slot = self.slot(&work.statement.sql, &work.statement.outline);
        let calls = match slot {
            Some(slot) => &mut self.shapes[slot].calls,
            None => &mut self.rest,
        };
        calls.add(&call, overhead, &self.timeline, sample);
    }

    /// When a statement ran: at which pace, and on how warm a target.
    fn when(&mut self, work: &Work, ended: Ended, now: Duration) -> When {
        let Some(took) = ended.took else { return When::OffPace };
        let began = now.saturating_sub(took.at_most);
        // The first that ends need not be the first that began.
        let first = self.first.map_or(began, |first| first.min(began));
        self.first = Some(first);
        let statement = &work.statement;
        let on_source = match self.is_paced {
            true => pace::began(statement),
            false => statement.logged_ms.saturating_mul(1000),
        };
        if !self.pace.is_at_pace(began, on_source) {
            When::OffPace
        } else if began < first + self.rules.warm_up / COLD {
            When::Cold
        } else {
            When::In(self.timeline.block(began))
        }
    }

    /// How many statements are active about now.
    fn active(
        &mut self,
        work: &Work,
        ended: Ended,
        source: Option<Duration>,
        now: Duration,
    ) -> Option<Concurrency> {
        let took = ended.took.map_or(Duration::ZERO, |it| it.on_server.unwrap_or(it.at_most));
        let source = self.on_source.ended(work.statement.logged_ms, source.unwrap_or_default());
        let target = self.on_target.ended(pace::micros(now) / 1000, took);
        Some(Concurrency { source: source?, target: target? })
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
            call: None,
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
        self.plans.retain(|fingerprint| self.slots.contains_key(&fingerprint));
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

    /// What the report says of all shapes.
    pub fn summary(&self) -> Summary {
        let ranks = self.ranks();
        let (shown, others) = ranks.split_at(self.limit.min(ranks.len()));
        let warm = self.first.map_or(0, |first| {
            self.timeline.first_block_after(first.saturating_add(self.rules.warm_up))
        });
        let (pace, evidence): (Vec<_>, Vec<_>) = shown
            .iter()
            .map(|&slot| self.shapes[slot].calls.evidence(&self.timeline, warm))
            .unzip();
        let (factor, judgements) = judge(&evidence, self.rules.threshold);
        let judged = shown.iter().zip(pace).zip(judgements);
        let mut shapes: Vec<QueryShape> = judged
            .map(|((&slot, pace), judgement)| {
                let Kept { fingerprint, query, command, calls, .. } = &self.shapes[slot];
                QueryShape {
                    fingerprint: Some(format!("{fingerprint:016x}")),
                    query: Some(query.clone()),
                    command,
                    plans: self.plans_of(*fingerprint),
                    ..calls.summary(pace, judgement)
                }
            })
            .collect();
        shapes.sort_by(|a, b| b.target.total_ms.total_cmp(&a.target.total_ms));
        let mut rest = self.rest.clone();
        others.iter().for_each(|&slot| rest.merge(&self.shapes[slot].calls));
        let (pace, _) = rest.evidence(&self.timeline, warm);
        let why = "more than one shape".to_owned();
        let rest = QueryShape {
            command: "other",
            sample: None,
            ..rest.summary(pace, Judgement { why, ..Judgement::default() })
        };
        Summary { factor, shapes, rest: Some(rest).filter(|rest| rest.calls > 0) }
    }

    /// How durations are compared.
    pub fn method(&self) -> Method {
        let measured = self
            .overhead
            .map(|p95| RoundTrip { p50: ms(self.round_trip.quantile(0.5)), p95: ms(p95) });
        Method {
            threshold: self.rules.threshold,
            least_change_ms: LEAST_CHANGE_MS,
            confidence: CONFIDENCE,
            false_discovery_rate: FALSE_DISCOVERY_RATE,
            least_calls: LEAST_CALLS,
            warm_up_seconds: self.rules.warm_up.as_secs_f64(),
            test: TEST.to_owned(),
            round_trip_ms: measured,
            ..Method::default()
        }
    }
}

/// What is told of all shapes.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What they have in common.
    pub factor: Option<Factor>,
    /// Those told apart, the one with the longest total time on the target first.
    pub shapes: Vec<QueryShape>,
    /// All others together.
    pub rest: Option<QueryShape>,
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
