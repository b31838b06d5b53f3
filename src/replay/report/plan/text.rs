//! Plans as EXPLAIN's text has them: a node a line, what it gets its rows from further in behind an arrow.

use super::{CONDITIONS, MOST_LEVELS, MOST_NODES, PlanNode};

const COST: &str = "  (cost=";
/// Of a node with its index and its relation, in bytes: what is longer is no node's.
const LONGEST_TITLE: usize = 1024;

/// Reads a plan; `None` if the text is none. What stands behind it (JIT, triggers) is left.
pub fn read_text(text: &str) -> Option<PlanNode> {
    let mut lines = Lines(text);
    let mut tree = OpenTree::of(read_line(lines.next()?)?);
    for line in lines {
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        if indent == 0 {
            break;
        }
        if let Some(node) = body.strip_prefix("->  ") {
            tree.close(indent);
            match tree.has_room() {
                true => tree.add(indent, read_line(node)?),
                false => tree.leave_out(),
            }
        } else if is_label(body) {
            tree.close(indent);
        } else if let (Some((name, condition)), Some(last)) = (body.split_once(": "), tree.last())
            && CONDITIONS.contains(&name)
        {
            last.add_condition(name, condition);
        }
    }
    tree.close(1);
    tree.open.pop().map(Open::whole)
}

/// A plan of which a part has been read.
struct OpenTree {
    /// From the root to the node that was read last, as far as that is kept.
    open: Vec<Open>,
    nodes: usize,
    last_is_kept: bool,
}

/// A node whose children may follow.
struct Open {
    indent: usize,
    node: PlanNode,
    /// How many nodes below it are not kept.
    left_out: usize,
}

impl OpenTree {
    /// The root is not indented.
    fn of(root: PlanNode) -> Self {
        let root = Open { indent: 0, node: root, left_out: 0 };
        Self { open: vec![root], nodes: 1, last_is_kept: true }
    }

    /// Nothing more comes for the nodes that are this far in, or further.
    fn close(&mut self, indent: usize) {
        while let Some(last) = self.open.pop_if(|last| last.indent >= indent) {
            match self.open.last_mut() {
                Some(parent) => parent.node.children.push(last.whole()),
                None => self.open.push(last),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.nodes < MOST_NODES && self.open.len() < MOST_LEVELS
    }

    fn add(&mut self, indent: usize, node: PlanNode) {
        self.nodes += 1;
        self.open.push(Open { indent, node, left_out: 0 });
        self.last_is_kept = true;
    }

    fn leave_out(&mut self) {
        if let Some(above) = self.open.last_mut() {
            above.left_out += 1;
        }
        self.last_is_kept = false;
    }

    /// The node that was read last, if it is kept.
    fn last(&mut self) -> Option<&mut PlanNode> {
        self.open.last_mut().filter(|_| self.last_is_kept).map(|last| &mut last.node)
    }
}

impl Open {
    fn whole(mut self) -> PlanNode {
        self.node.leave_out(self.left_out);
        self.node
    }
}

/// `InitPlan 1 (returns $0)`, `SubPlan 2`, `CTE name`: which part the next node is.
fn is_label(body: &str) -> bool {
    ["InitPlan ", "SubPlan ", "CTE "].iter().any(|label| body.starts_with(label))
        && !body.contains(COST)
}

/// `Index Scan using i on t alias  (cost=0.29..8.30 rows=1 width=4) (actual …)`.
pub(super) fn read_line(line: &str) -> Option<PlanNode> {
    let (title, estimates) = line.rsplit_once(COST)?;
    if title.len() > LONGEST_TITLE || !title.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    let (cost, rest) = estimates.split_once(" rows=")?;
    let (_, cost) = cost.split_once("..")?;
    let (rows, _) = rest.split_once(" width=")?;
    let mut node =
        PlanNode { rows: rows.parse().ok()?, cost: cost.parse().ok()?, ..PlanNode::default() };
    let (name, object) = match split_at_word(title, " using ") {
        Some((name, rest)) => {
            let (index, rest) = identifier(rest)?;
            node.index = Some(index);
            (name, rest.strip_prefix(" on "))
        }
        None => match split_at_word(title, " on ") {
            Some((name, rest)) => (name, Some(rest)),
            None => (title, None),
        },
    };
    node.node = name.to_owned();
    let object = object.and_then(identifier).map(|(object, _)| object);
    match name {
        "Bitmap Index Scan" => node.index = object,
        _ => node.relation = object,
    }
    Some(node)
}

/// Splits at a word outside of quotes.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut quotes = Quotes::default();
    let at = text.bytes().enumerate().position(|(at, byte)| {
        quotes.pass(byte);
        quotes.are_closed() && text.as_bytes()[at..].starts_with(word.as_bytes())
    })?;
    Some((&text[..at], &text[at + word.len()..]))
}

/// The last part of a name that may be qualified and quoted; and what follows it.
fn identifier(mut text: &str) -> Option<(String, &str)> {
    loop {
        let (name, rest) = part(text)?;
        match rest.strip_prefix('.') {
            Some(next) => text = next,
            None => return Some((name, rest)),
        }
    }
}

/// A part of a name, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', ' ']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut end = quoted.find('"')?;
    while quoted[end + 1..].starts_with('"') {
        end += 2 + quoted[end + 2..].find('"')?;
    }
    Some((quoted[..end].replace("\"\"", "\""), &quoted[end + 1..]))
}

/// Whether one is within quotes, on the way through a text. (Those within are doubled.)
#[derive(Default)]
pub(super) struct Quotes(Option<u8>);

impl Quotes {
    pub(super) fn pass(&mut self, byte: u8) {
        match self.0 {
            None if matches!(byte, b'\'' | b'"') => self.0 = Some(byte),
            Some(open) if open == byte => self.0 = None,
            _ => {}
        }
    }

    pub(super) fn are_closed(&self) -> bool {
        self.0.is_none()
    }
}

/// What follows the first line.
pub(super) fn behind_line(text: &str) -> &str {
    let mut lines = Lines(text);
    lines.next();
    lines.0
}

/// The lines of a plan. A literal of a condition may hold line feeds.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.0.lines().next().unwrap_or_default();
        // The name of a CTE stands there without quotes, whatever it holds.
        let is_name = is_label(first.trim_start_matches(' '));
        let mut quotes = Quotes::default();
        let end = self.0.bytes().position(|byte| {
            quotes.pass(byte);
            byte == b'\n' && (is_name || quotes.are_closed())
        });
        let (line, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}
