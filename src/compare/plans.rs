//! The plans of a shape on both targets, side by side.

use serde::Serialize;

use crate::replay::report::plan::{PlanNode, difference};
use crate::replay::report::plans::Plans;

/// The newest plan of each target, line by line from the top, those lines marked that the other has not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PlanPair {
    /// Whether they are the same plan.
    pub same: bool,
    /// The baseline's.
    pub baseline: Vec<PlanLine>,
    /// The candidate's.
    pub candidate: Vec<PlanLine>,
}

/// One node of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PlanLine {
    /// How deep it stands below the top.
    pub depth: usize,
    /// What it does, to which relation, by which index.
    pub text: String,
    /// The condition that its rows have to meet, if it has one.
    pub filter: Option<String>,
    /// How many rows the planner expects.
    pub rows: f64,
    /// What it takes all of it to cost.
    pub cost: f64,
    /// Whether the other plan has no such node.
    pub differs: bool,
}

impl PlanPair {
    /// `None` where neither is known. What is known of one alone has nothing to differ from.
    pub(super) fn of(baseline: &Plans, candidate: &Plans) -> Option<Self> {
        let newest = |plans: &Plans| plans.target.last().map(|seen| seen.tree.clone());
        let (before, after) = (newest(baseline), newest(candidate));
        let (Some(before), Some(after)) = (&before, &after) else {
            before.as_ref().or(after.as_ref())?;
            let alone = |plan: Option<PlanNode>| plan.map_or_else(Vec::new, |it| lines(&it, &[]));
            return Some(Self { same: false, baseline: alone(before), candidate: alone(after) });
        };
        let marks = difference(before, after);
        Some(Self {
            same: marks.is_none(),
            baseline: lines(before, &marks.first),
            candidate: lines(after, &marks.second),
        })
    }

    /// Whether both are known and differ.
    pub(super) fn changed(&self) -> bool {
        !self.same && !self.baseline.is_empty() && !self.candidate.is_empty()
    }
}

fn lines(plan: &PlanNode, differs: &[bool]) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    let mut open = vec![(0, plan)];
    while let Some((depth, node)) = open.pop() {
        open.extend(node.children.iter().rev().map(|child| (depth + 1, child)));
        lines.push(PlanLine {
            depth,
            text: node.title(),
            filter: node.filter.clone(),
            rows: node.rows,
            cost: node.cost,
            differs: differs.get(lines.len()).is_some_and(|it| *it),
        });
    }
    lines
}

#[cfg(test)]
mod tests;
