//! Records of auto_explain: the text of a statement and its plan.

use std::borrow::Cow;

use serde_json::Value;

use super::text::Quotes;
use super::{PlanNode, json, text};

/// Longer records are not read, in bytes.
pub const LONGEST: usize = 256 * 1024;

/// A statement with its plan, as auto_explain logs it (behind `duration: … ms  plan:`).
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedPlan<'a> {
    /// The statement's text, or that of the string that it stands in.
    pub query: Cow<'a, str>,
    tree: Tree<'a>,
}

#[derive(Debug, Clone, PartialEq)]
enum Tree<'a> {
    Text(&'a str),
    Json(Value),
}

impl<'a> LoggedPlan<'a> {
    /// Reads it from text or JSON; `None` of other formats, and of what is too long.
    pub fn read(body: &'a str) -> Option<Self> {
        if body.len() > LONGEST {
            return None;
        }
        let body = body.trim_start_matches('\n');
        if body.starts_with('{') {
            let value: Value = serde_json::from_str(body).ok()?;
            let query = value.get("Query Text")?.as_str()?.to_owned().into();
            return Some(Self { query, tree: Tree::Json(value) });
        }
        let body = body.strip_prefix("Query Text: ")?;
        let (query, tree) = match body.split_once("\nQuery Parameters: $1 = ") {
            // From PostgreSQL 16 on. Values are quoted as literals are.
            Some((query, rest)) => (query, text::behind_line(rest)),
            None => {
                let root = root(body)?;
                (body[..root].strip_suffix('\n')?, &body[root..])
            }
        };
        Some(Self { query: query.into(), tree: Tree::Text(tree) })
    }

    /// Its plan; `None` where it is not whole.
    pub fn plan(&self) -> Option<PlanNode> {
        match &self.tree {
            Tree::Text(text) => text::read_text(text),
            Tree::Json(value) => json::read_value(value),
        }
    }
}

/// Where the plan begins behind the statement's text: at the last line that can be a root. (The text
/// may quote plans, in a comment.) One within a literal of a condition is none.
fn root(body: &str) -> Option<usize> {
    let mut root = None;
    let mut at = 0;
    let mut quotes = Quotes::default();
    for line in body.split_inclusive('\n') {
        // The text has the first line.
        if at > 0 && (root.is_none() || quotes.are_closed()) && text::read_line(line).is_some() {
            root = Some(at);
            quotes = Quotes::default();
        }
        line.bytes().for_each(|byte| quotes.pass(byte));
        at += line.len();
    }
    root
}
