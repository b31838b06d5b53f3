//! The plans of a shape on both targets, side by side.

use serde::{Deserialize, Serialize};

/// The plans that a report holds of a shape.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Plans {
    /// The target's, the newest last.
    pub target: Vec<PlanSeen>,
}

/// A plan that was seen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct PlanSeen {
    pub hash: String,
    pub tree: PlanNode,
}

/// A node of a plan.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct PlanNode {
    pub node: String,
    pub relation: Option<String>,
    pub index: Option<String>,
    pub rows: f64,
    pub cost: f64,
    pub filter: Option<String>,
    pub children: Vec<PlanNode>,
}

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
        let newest =
            |plans: &Plans| plans.target.last().map(|seen| (seen.hash.clone(), lines(seen)));
        let (baseline, candidate) = (newest(baseline), newest(candidate));
        let (mut before, mut after) = match (baseline, candidate) {
            (None, None) => return None,
            (one, other) => (one.unwrap_or_default(), other.unwrap_or_default()),
        };
        let comparable = !before.1.is_empty() && !after.1.is_empty();
        if comparable {
            mark_differences(&mut before.1, &mut after.1);
        }
        let differs = before.1.iter().chain(&after.1).any(|line| line.differs);
        Some(Self { same: comparable && !differs, baseline: before.1, candidate: after.1 })
    }

    /// Whether both are known and differ.
    pub(super) fn changed(&self) -> bool {
        !self.same && !self.baseline.is_empty() && !self.candidate.is_empty()
    }
}

fn lines(seen: &PlanSeen) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    let mut open = vec![(0, &seen.tree)];
    while let Some((depth, node)) = open.pop() {
        open.extend(node.children.iter().rev().map(|child| (depth + 1, child)));
        let mut text = node.node.clone();
        for (word, name) in [(" on ", &node.relation), (" using ", &node.index)] {
            if let Some(name) = name {
                text.push_str(word);
                text.push_str(name);
            }
        }
        let PlanNode { filter, rows, cost, .. } = node.clone();
        lines.push(PlanLine { depth, text, filter, rows, cost, differs: false });
    }
    lines
}

/// Marks what is not in the longest sequence of nodes that both have in common, whatever they expect.
fn mark_differences(before: &mut [PlanLine], after: &mut [PlanLine]) {
    let alike = |a: &PlanLine, b: &PlanLine| a.text == b.text && a.filter == b.filter;
    // How long that sequence is from each pair of lines on.
    let mut common = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for a in (0..before.len()).rev() {
        for b in (0..after.len()).rev() {
            common[a][b] = match alike(&before[a], &after[b]) {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < before.len() || b < after.len() {
        if a < before.len() && b < after.len() && alike(&before[a], &after[b]) {
            (a, b) = (a + 1, b + 1);
        } else if b == after.len() || a < before.len() && common[a + 1][b] >= common[a][b + 1] {
            before[a].differs = true;
            a += 1;
        } else {
            after[b].differs = true;
            b += 1;
        }
    }
}

#[cfg(test)]
mod tests;
