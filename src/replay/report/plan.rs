//! A plan as a tree of nodes, without any literal of its statement.
//!
//! - `json`: as EXPLAIN (FORMAT JSON) and auto_explain write it;
//! - `text`: as auto_explain writes it by default;
//! - `logged`: a whole record of auto_explain;
//! - `difference`: where two plans differ.
//!
//! Both formats name a node as EXPLAIN's text does, so that the source's plan can be compared with the
//! target's, whichever format either is in.

mod difference;
mod json;
pub mod logged;
mod text;

use std::hash::Hasher;

use serde::{Deserialize, Serialize};

pub use self::difference::{Difference, changed_node, difference};
pub use self::json::read_json;
pub use self::text::read_text;
use crate::sql::lexer::{Lexer, Token};
use crate::sql::shape::Shape;

/// A plan over more partitions is cut.
const MOST_NODES: usize = 200;
/// So is one that nests deeper. (A report has two levels of JSON for each, and serde_json reads 128.)
const MOST_LEVELS: usize = 40;
/// How much of a node's conditions is shown, in bytes.
const LONGEST_FILTER: usize = 500;
/// What selects rows, by EXPLAIN's names.
const CONDITIONS: [&str; 9] = [
    "Index Cond",
    "Recheck Cond",
    "TID Cond",
    "Order By",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "One-Time Filter",
];

/// A node of a plan, with those that it gets its rows from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanNode {
    /// What it does, as EXPLAIN calls it: `Index Scan`, `Hash Left Join`, `Parallel Seq Scan`.
    pub node: String,
    /// The table, view or function that it reads or writes.
    pub relation: Option<String>,
    /// The index that it reads.
    pub index: Option<String>,
    /// How many rows the planner expects of it.
    pub rows: f64,
    /// What it costs in all, by the planner's estimate.
    pub cost: f64,
    /// By what it selects rows, with `?` for every literal.
    pub filter: Option<String>,
    /// Where its rows come from.
    pub children: Vec<Self>,
}

impl PlanNode {
    /// A hash of what the plan does: nodes, relations, indexes and how they stand to each other; not
    /// of estimates. The same in every version of kreplay.
    pub fn hash(&self) -> String {
        let mut hasher = StableHasher::default();
        self.add_to(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    fn add_to(&self, hasher: &mut StableHasher) {
        for text in [Some(&self.node), self.relation.as_ref(), self.index.as_ref()] {
            hasher.write(text.map_or(&[][..], |text| text.as_bytes()));
            hasher.write(&[0]);
        }
        self.children.iter().for_each(|child| child.add_to(hasher));
        hasher.write(&[1]);
    }

    /// The node in a line, as EXPLAIN has it: `Index Scan using orders_pkey on orders`.
    pub fn title(&self) -> String {
        let mut title = self.node.clone();
        if let Some(index) = &self.index {
            title.push_str(&format!(" using {index}"));
        }
        if let Some(relation) = &self.relation {
            title.push_str(&format!(" on {relation}"));
        }
        title
    }

    /// Whether it does the same, whatever its rows come from.
    fn does_as(&self, other: &Self) -> bool {
        (&self.node, &self.relation, &self.index) == (&other.node, &other.relation, &other.index)
    }

    /// How many nodes there are.
    fn size(&self) -> usize {
        1 + self.children.iter().map(Self::size).sum::<usize>()
    }

    /// Adds a condition, unless it is not whole: where one ends within a literal, what is taken to be
    /// outside of literals may be within.
    fn add_condition(&mut self, name: &str, condition: &str) {
        if !has_all_brackets(condition) {
            return;
        }
        let shown = format!("{name}: {}", Shape::shown(condition, LONGEST_FILTER));
        match &mut self.filter {
            None => self.filter = Some(shown),
            Some(filter) if filter.len() < LONGEST_FILTER => {
                filter.push_str("; ");
                filter.push_str(&shown);
            }
            Some(_) => {}
        }
    }

    /// Says of how many nodes below it none is kept.
    fn leave_out(&mut self, nodes: usize) {
        if nodes > 0 {
            self.children.push(Self { node: format!("… {nodes} more"), ..Self::default() });
        }
    }
}

/// Whether each bracket that opens is closed.
fn has_all_brackets(condition: &str) -> bool {
    let depth = Lexer::new(condition).try_fold(0usize, |depth, (token, _)| match token {
        Token::Open => Some(depth + 1),
        Token::Close => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

/// FNV-1a: the same on every machine, for ever.
struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
