//! Which plans a shape has.

use std::sync::Arc;

use super::Shapes;
use crate::pglog::SqlState;
use crate::replay::report::Verdict;
use crate::replay::report::plan::PlanNode;
use crate::replay::report::plan::logged::LoggedPlan;
use crate::replay::report::plans::{Candidate, Due, Occasion, TypicalCall, UsedPlan};
use crate::replay::report::{PlansRead, plans};
use crate::replay::session::CallContext;
use crate::replay::work::Work;
use crate::sql::Outline;

/// Of so many users it is said that they may not use auto_explain.
const REFUSED: usize = 1000;

impl Shapes {
    /// Notes a plan of the source, as auto_explain writes it behind `plan:`.
    pub fn logged_plan(&mut self, text: &str, logged_ms: i64) {
        let Some(logged) = LoggedPlan::read(text) else {
            self.source_plans.unread += 1;
            return;
        };
        self.source_plans.read += 1;
        let outline = Outline::of(&logged.query);
        // Of a string of several statements each has its plan, and none tells which.
        if outline.single().is_none() {
            return;
        }
        if let Some(fingerprint) = self.fingerprint_of(&logged.query, &outline)
            && self.plans.wants(fingerprint, logged_ms)
        {
            match logged.plan() {
                Some(plan) => self.plans.logged(fingerprint, logged_ms, plan),
                None => self.source_plans.unread += 1,
            }
        }
    }

    /// Keeps a call that has succeeded, for its shape to be explained by: now and then another one.
    pub fn keep_call(&mut self, work: &Arc<Work>, context: &Arc<CallContext>) {
        let text = self.texts.get(&work.statement.outline.shape);
        let Some(slot) = text.and_then(|text| text.slot) else { return };
        let kept = &mut self.shapes[slot];
        if kept.call.is_none() || kept.calls.calls().is_power_of_two() {
            let call = TypicalCall::of(work, context);
            kept.call = call.map(Arc::new).or(kept.call.take());
        }
    }

    /// How many plans the source's log had.
    pub fn source_plans(&self) -> PlansRead {
        self.source_plans
    }

    /// Notes a plan that a statement has used on the target, or that it could not be read. What is not
    /// known by its text is kreplay's own, or its shape is not told apart.
    pub fn used_plan(&mut self, plan: Option<UsedPlan>) {
        let Some(UsedPlan { shape, tree, seen_ms }) = plan else {
            self.target_plans.unread += 1;
            return;
        };
        let known = self.texts.get(&shape).filter(|text| text.slot.is_some());
        let Some(fingerprint) = known.map(|text| text.fingerprint) else { return };
        self.target_plans.read += 1;
        if let Some(tree) = tree.filter(|_| self.plans.wants_used(fingerprint, seen_ms)) {
            self.plans.used(fingerprint, seen_ms, tree);
        }
    }

    /// How many plans the target's auto_explain has told.
    pub fn target_plans(&self) -> PlansRead {
        self.target_plans
    }

    /// Notes that the target lets a user not use auto_explain.
    pub fn explain_refused(&mut self, user: &str, code: SqlState) {
        if self.explain_refused.len() < REFUSED || self.explain_refused.contains_key(user) {
            self.explain_refused.insert(user.to_owned(), code);
        }
    }

    /// What has to be known of the target's plans, in sentences.
    pub fn plan_notes(&self) -> Vec<String> {
        let refused = self.explain_refused.iter();
        refused
            .map(|(user, code)| {
                format!(
                    "the target does not let {user} use auto_explain (--explain; SQLSTATE {code}): which \
                     plans its statements use is not known"
                )
            })
            .collect()
    }

    /// The shapes that are to be explained on the target at this time, the most urgent first: those that
    /// became slower or faster, then those that take the longest.
    pub fn to_explain(&mut self, now_ms: i64, occasion: Occasion) -> Vec<Due> {
        let shown = self.summary().shapes;
        let candidates = shown.into_iter().filter_map(|shape| {
            let fingerprint = u64::from_str_radix(shape.fingerprint.as_deref()?, 16).ok()?;
            let slot = *self.slots.get(&fingerprint)?;
            let has_changed = matches!(shape.verdict, Verdict::Degraded | Verdict::Improved);
            let call = self.shapes[slot].call.clone();
            Some(Candidate { fingerprint, has_changed, call })
        });
        self.plans.due(candidates.collect(), now_ms, occasion)
    }

    /// Notes the plan of a call on the target, or why there is none.
    pub fn explained(&mut self, due: Due, now_ms: i64, plan: Result<PlanNode, SqlState>) {
        self.plans.explained(due, now_ms, plan);
    }

    /// The plans of a shape.
    pub(super) fn plans_of(&self, fingerprint: u64) -> plans::Plans {
        self.plans.plans(fingerprint)
    }

    /// The fingerprint of a text, whether or not its shape is told apart.
    fn fingerprint_of(&mut self, sql: &str, outline: &Outline) -> Option<u64> {
        if let Some(text) = self.texts.get(&outline.shape) {
            return Some(text.fingerprint);
        }
        let fingerprint = self.fingerprint(sql, outline)?;
        let slot = self.slots.get(&fingerprint).copied();
        let text = super::Text { fingerprint, slot, is_recent: true };
        self.texts.insert(outline.shape, text);
        Some(fingerprint)
    }
}
