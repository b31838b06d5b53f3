//! Where two plans differ.

use super::PlanNode;

/// Which nodes of two plans have no like in the other, in the order in which EXPLAIN shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Of the first plan: whether the node differs.
    pub first: Vec<bool>,
    /// Of the second one.
    pub second: Vec<bool>,
}

impl Difference {
    /// Whether they do the same.
    pub fn is_none(&self) -> bool {
        !self.first.iter().chain(&self.second).any(|differs| *differs)
    }

    fn push(&mut self, first: &PlanNode, second: &PlanNode) {
        let differs = !first.does_as(second);
        self.first.push(differs);
        self.second.push(differs);
        let mut later = (0, 0);
        for (left, right) in pairs(&first.children, &second.children) {
            // What has no like stands where it does in its own plan.
            first.children[later.0..left].iter().for_each(|node| all_of(node, &mut self.first));
            second.children[later.1..right].iter().for_each(|node| all_of(node, &mut self.second));
            self.push(&first.children[left], &second.children[right]);
            later = (left + 1, right + 1);
        }
        first.children[later.0..].iter().for_each(|node| all_of(node, &mut self.first));
        second.children[later.1..].iter().for_each(|node| all_of(node, &mut self.second));
    }
}

/// Compares two plans node by node.
pub fn difference(first: &PlanNode, second: &PlanNode) -> Difference {
    let mut difference = Difference::default();
    difference.push(first, second);
    difference
}

/// What has changed from one plan to another, by the nodes that tell the most: those that read the same
/// relation otherwise, or else the first that differ. `None` where nothing has.
pub fn changed_node<'a>(
    first: &'a PlanNode,
    second: &'a PlanNode,
) -> Option<(&'a PlanNode, &'a PlanNode)> {
    let marks = difference(first, second);
    if marks.is_none() {
        return None;
    }
    let differing = |plan: &'a PlanNode, marks: &[bool]| -> Vec<&'a PlanNode> {
        let mut nodes = Vec::new();
        preorder(plan, &mut nodes);
        nodes
            .into_iter()
            .zip(marks)
            .filter(|(_, differs)| **differs)
            .map(|(node, _)| node)
            .collect()
    };
    let (before, after) = (differing(first, &marks.first), differing(second, &marks.second));
    let same_relation = before.iter().filter(|node| node.relation.is_some()).find_map(|old| {
        let new = after.iter().find(|new| new.relation == old.relation)?;
        Some((*old, *new))
    });
    same_relation.or_else(|| {
        let old = before.first().copied().unwrap_or(first);
        Some((old, after.first().copied().unwrap_or(second)))
    })
}

fn preorder<'a>(node: &'a PlanNode, nodes: &mut Vec<&'a PlanNode>) {
    nodes.push(node);
    node.children.iter().for_each(|child| preorder(child, nodes));
}

fn all_of(node: &PlanNode, marks: &mut Vec<bool>) {
    marks.extend(std::iter::repeat_n(true, node.size()));
}

/// Which children are compared with each other, in their order: as many as possible that do the same
/// (the longest common subsequence), and between those one after the other.
fn pairs(first: &[PlanNode], second: &[PlanNode]) -> Vec<(usize, usize)> {
    let mut common = vec![vec![0usize; second.len() + 1]; first.len() + 1];
    for left in (0..first.len()).rev() {
        for right in (0..second.len()).rev() {
            common[left][right] = if first[left].does_as(&second[right]) {
                common[left + 1][right + 1] + 1
            } else {
                common[left + 1][right].max(common[left][right + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut left, mut right, mut later) = (0, 0, (0, 0));
    while left < first.len() && right < second.len() {
        if first[left].does_as(&second[right]) {
            pairs.extend((later.0..left).zip(later.1..right));
            pairs.push((left, right));
            (left, right) = (left + 1, right + 1);
            later = (left, right);
        } else if common[left + 1][right] >= common[left][right + 1] {
            left += 1;
        } else {
            right += 1;
        }
    }
    pairs.extend((later.0..first.len()).zip(later.1..second.len()));
    pairs
}
