//! The plans of query shapes, on the target and on the source, and when they changed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::logged::LoggedPlan;
use super::plan::{PlanNode, changed_node};
use crate::display::moment;
use crate::pglog::SqlState;
use crate::pglog::statement::Protocol;
use crate::replay::session::CallContext;
use crate::replay::work::Work;
use crate::sql::{Outline, Verb};

/// How many plans of a shape are kept, the newest.
const KEPT: usize = 5;
/// Of how many shapes the source's plans are kept.
const SHAPES: usize = 2000;
/// A shape's plan is not looked at again before so long has passed in the source's log.
const LOGGED_EVERY_MS: i64 = 1000;
/// The same on the target; and at the end of a run.
const EXPLAINED_EVERY_MS: i64 = 60_000;
const EXPLAINED_LAST_MS: i64 = 1000;
/// The shapes with the largest total time that are explained whether or not they have changed.
const TOP: usize = 50;
/// Longer texts are not explained, in bytes; nor calls with longer parameters.
const LONGEST_TEXT: usize = 16 * 1024;
const LARGEST_CALL: usize = 64 * 1024;
/// Shapes that can't be explained are tried less and less often.
const MOST_DOUBLINGS: u32 = 6;

/// The plans of a shape, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plans {
    /// On the target: those that its calls used, where auto_explain tells, each once, by when it was met
    /// last; or else of one typical call, by EXPLAIN, each time that it changed.
    pub target: Vec<PlanSeen>,
    /// On the source, as its log has them: each once, by when it was met first.
    pub source: Vec<PlanSeen>,
    /// The SQLSTATE for which the target's can't be told, where it can't.
    pub refused: Option<String>,
}

/// A plan, and when it was met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanSeen {
    /// When it was met first (RFC 3339).
    pub since: String,
    /// When it was met last.
    pub until: String,
    /// [`PlanNode::hash`].
    pub hash: String,
    /// Who told it.
    #[serde(default)]
    pub from: PlanOrigin,
    /// The plan.
    pub tree: PlanNode,
}

/// Who told a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanOrigin {
    /// EXPLAIN, which was asked: as a call would be run.
    #[default]
    Explain,
    /// auto_explain: as a call was run.
    AutoExplain,
}

impl Plans {
    /// What is other on the target than on the source, or than it was on the target before; in a
    /// sentence.
    pub fn change(&self) -> Option<String> {
        let now = self.target.last()?;
        let (before, when) = match (self.source.last(), self.target.len().checked_sub(2)) {
            (Some(_), _) if self.source.iter().any(|seen| seen.hash == now.hash) => return None,
            (Some(source), _) => (source, String::new()),
            // Calls have the one or the other by their parameters.
            (None, Some(before)) if self.target[before].until > now.since => return None,
            (None, Some(before)) => (&self.target[before], format!(" at {}", now.since)),
            (None, None) => return None,
        };
        let (old, new) = changed_node(&before.tree, &now.tree)?;
        let what = match now.from {
            PlanOrigin::Explain => "plan",
            PlanOrigin::AutoExplain => "used plan",
        };
        Some(format!("{what} changed{when}: {} → {}", old.title(), new.title()))
    }
}

/// A call that a shape is explained by.
#[derive(Debug)]
pub struct TypicalCall {
    /// The statement with its parameters.
    pub work: Arc<Work>,
    /// By whom, and under which settings.
    pub context: Arc<CallContext>,
}

impl TypicalCall {
    /// This call, if it can be explained: one statement that EXPLAIN knows.
    pub(super) fn of(work: &Arc<Work>, context: &Arc<CallContext>) -> Option<Self> {
        let statement = &work.statement;
        let is_whole = matches!(statement.protocol, Protocol::Simple | Protocol::Extended { .. });
        let has_plan = matches!(
            statement.outline.verb(),
            Verb::Select | Verb::Insert | Verb::Update | Verb::Delete | Verb::Merge
        );
        let is_one = statement.outline.single().is_some();
        let is_short = statement.sql.len() <= LONGEST_TEXT && work.size() <= LARGEST_CALL;
        let can_be = is_whole && has_plan && is_one && is_short;
        can_be.then(|| Self { work: work.clone(), context: context.clone() })
    }
}

/// A plan that a statement has used on the target.
#[derive(Debug)]
pub struct UsedPlan {
    /// The hash of the statement's text, see [`Outline::shape`].
    pub(super) shape: u64,
    /// `None` where several statements have this text: none tells which it is of.
    pub(super) tree: Option<PlanNode>,
    /// When it came, in Unix milliseconds.
    pub(super) seen_ms: i64,
}

impl UsedPlan {
    /// Reads what auto_explain writes behind `plan:`; `None` where it is not whole.
    pub fn read(text: &str, seen_ms: i64) -> Option<Self> {
        let logged = LoggedPlan::read(text)?;
        let outline = Outline::of(&logged.query);
        let tree = match outline.single() {
            Some(_) => Some(logged.plan()?),
            None => None,
        };
        Some(Self { shape: outline.shape, tree, seen_ms })
    }
}

/// A shape that may be explained.
#[derive(Debug)]
pub(super) struct Candidate {
    pub fingerprint: u64,
    /// Whether its duration has changed.
    pub has_changed: bool,
    /// A call of it.
    pub call: Option<Arc<TypicalCall>>,
}

/// When shapes are explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// While the replay runs.
    NowAndThen,
    /// When it has ended: once more, to know of changes up to here.
    End,
}

/// A shape that is to be explained now.
#[derive(Debug, Clone)]
pub struct Due {
    /// The shape.
    pub fingerprint: u64,
    /// By this call.
    pub call: Arc<TypicalCall>,
}

/// All plans that are known.
#[derive(Debug, Default)]
pub(super) struct PlanBook {
    source: HashMap<u64, History>,
    target: HashMap<u64, OnTarget>,
}

/// What a shape's plans were.
#[derive(Debug, Default)]
struct History {
    seen: VecDeque<Seen>,
    looked_ms: Option<i64>,
}

#[derive(Debug)]
struct Seen {
    since_ms: i64,
    until_ms: i64,
    hash: String,
    from: PlanOrigin,
    tree: PlanNode,
}

/// A shape whose plans on the target are known, or could not be told.
#[derive(Debug, Default)]
struct OnTarget {
    history: History,
    /// By the same call each time, so that what changes is the plan.
    call: Option<Arc<TypicalCall>>,
    tried_ms: i64,
    failures: u32,
    refused: Option<SqlState>,
}

impl PlanBook {
    // ---- The source's ----

    /// Whether a plan that was logged at this time is worth reading.
    pub(super) fn wants(&self, fingerprint: u64, logged_ms: i64) -> bool {
        self.source.get(&fingerprint).is_none_or(|history| history.wants(logged_ms))
    }

    /// Notes a plan of the source.
    pub(super) fn logged(&mut self, fingerprint: u64, logged_ms: i64, plan: PlanNode) {
        if !self.source.contains_key(&fingerprint) && self.source.len() >= SHAPES {
            let oldest = self.source.iter().min_by_key(|(_, history)| history.looked_ms);
            let oldest = oldest.map(|(fingerprint, _)| *fingerprint);
            oldest.map(|oldest| self.source.remove(&oldest));
        }
        self.source.entry(fingerprint).or_default().meet(logged_ms, plan);
    }

    // ---- The target's ----

    /// The shapes that are to be explained now, the most urgent first: `candidates` stand by their
    /// total time, the largest first.
    pub(super) fn due(
        &self,
        candidates: Vec<Candidate>,
        now_ms: i64,
        occasion: Occasion,
    ) -> Vec<Due> {
        let mut due = Vec::new();
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let Candidate { fingerprint, has_changed, call } = candidate;
            let known = self.target.get(&fingerprint);
            let is_due = (has_changed || rank < TOP)
                && known.is_none_or(|known| known.is_due(now_ms, occasion));
            let call = known.and_then(|known| known.call.clone()).or(call).filter(|_| is_due);
            if let Some(call) = call {
                let has_plan = known.is_some_and(|known| !known.history.seen.is_empty());
                due.push(((!has_changed, has_plan, rank), Due { fingerprint, call }));
            }
        }
        due.sort_by_key(|(urgency, _)| *urgency);
        due.into_iter().map(|(_, due)| due).collect()
    }

    /// Whether a plan that was used at this time is worth reading.
    pub(super) fn wants_used(&self, fingerprint: u64, seen_ms: i64) -> bool {
        self.target.get(&fingerprint).is_none_or(|known| known.history.wants(seen_ms))
    }

    /// Notes a plan that a call on the target has used.
    pub(super) fn used(&mut self, fingerprint: u64, seen_ms: i64, plan: PlanNode) {
        let known = self.target.entry(fingerprint).or_default();
        known.refused = None;
        if !known.is_used() {
            known.history.keep_only_if_last(&plan.hash());
        }
        known.history.meet(seen_ms, plan);
        known.history.seen.make_contiguous().sort_by_key(|seen| seen.until_ms);
    }

    /// Notes what the target said.
    pub(super) fn explained(
        &mut self,
        Due { fingerprint, call }: Due,
        now_ms: i64,
        plan: Result<PlanNode, SqlState>,
    ) {
        let known = self.target.entry(fingerprint).or_default();
        // It may have come meanwhile.
        if known.is_used() {
            return;
        }
        known.tried_ms = now_ms;
        match plan {
            Ok(plan) => {
                known.history.change(now_ms, plan);
                (known.call, known.failures, known.refused) = (Some(call), 0, None);
            }
            Err(code) => {
                known.call = None;
                known.failures += 1;
                known.refused = Some(code);
            }
        }
    }

    /// Forgets the target's plans of shapes that are no longer told apart.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.target.retain(|fingerprint, _| is_kept(*fingerprint));
    }

    /// The plans of a shape.
    pub(super) fn plans(&self, fingerprint: u64) -> Plans {
        let source = self.source.get(&fingerprint);
        let target = self.target.get(&fingerprint);
        Plans {
            target: target.map_or_else(Vec::new, |known| known.history.report()),
            source: source.map_or_else(Vec::new, History::report),
            refused: target.and_then(|known| known.refused).map(|code| code.to_string()),
        }
    }
}

impl OnTarget {
    /// Whether auto_explain has told a plan of it.
    fn is_used(&self) -> bool {
        self.history.seen.iter().any(|seen| seen.from == PlanOrigin::AutoExplain)
    }

    fn is_due(&self, now_ms: i64, occasion: Occasion) -> bool {
        if self.is_used() {
            return false;
        }
        let every = match occasion {
            Occasion::NowAndThen => EXPLAINED_EVERY_MS << self.failures.min(MOST_DOUBLINGS),
            Occasion::End => EXPLAINED_LAST_MS,
        };
        now_ms - self.tried_ms >= every
    }
}

impl History {
    /// Whether a plan of this time is worth looking at.
    fn wants(&self, at_ms: i64) -> bool {
        self.looked_ms.is_none_or(|looked| (at_ms - looked).abs() >= LOGGED_EVERY_MS)
    }

    /// Notes a plan that a call has used; others may have others in turn.
    fn meet(&mut self, at_ms: i64, tree: PlanNode) {
        self.looked_ms = Some(at_ms);
        let (hash, from) = (tree.hash(), PlanOrigin::AutoExplain);
        match self.seen.iter_mut().find(|seen| seen.hash == hash) {
            Some(seen) => seen.again(at_ms, from, tree),
            None => self.push(at_ms, hash, from, tree),
        }
    }

    /// Notes a plan that holds from now on, as EXPLAIN tells.
    fn change(&mut self, at_ms: i64, tree: PlanNode) {
        let (hash, from) = (tree.hash(), PlanOrigin::Explain);
        match self.seen.back_mut().filter(|seen| seen.hash == hash) {
            Some(seen) => seen.again(at_ms, from, tree),
            None => self.push(at_ms, hash, from, tree),
        }
    }

    /// Forgets all unless this is the last: EXPLAIN has told of other plans than those that are used.
    fn keep_only_if_last(&mut self, hash: &str) {
        if self.seen.back().is_some_and(|last| last.hash != hash) {
            self.seen.clear();
        }
    }

    fn push(&mut self, at_ms: i64, hash: String, from: PlanOrigin, tree: PlanNode) {
        if self.seen.len() >= KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { since_ms: at_ms, until_ms: at_ms, hash, from, tree });
    }

    fn report(&self) -> Vec<PlanSeen> {
        self.seen
            .iter()
            .map(|seen| PlanSeen {
                since: moment(seen.since_ms),
                until: moment(seen.until_ms),
                hash: seen.hash.clone(),
                from: seen.from,
                tree: seen.tree.clone(),
            })
            .collect()
    }
}

impl Seen {
    /// Records come a little out of order.
    fn again(&mut self, at_ms: i64, from: PlanOrigin, tree: PlanNode) {
        self.from = from;
        self.since_ms = self.since_ms.min(at_ms);
        self.until_ms = self.until_ms.max(at_ms);
        self.tree = tree;
    }
}

#[cfg(test)]
mod tests;
