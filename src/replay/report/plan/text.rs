//! Plans as EXPLAIN's text has them: a node a line, what it gets its rows from further in behind an arrow.

use super::{CONDITIONS, MOST_NODES, PlanNode};

const COST: &str = "  (cost=";

/// Reads a plan; `None` if the text is none. What stands behind it (JIT, triggers) is left.
pub fn read_text(text: &str) -> Option<PlanNode> {
    let mut lines = Lines(text);
    let root = read_line(lines.next()?)?;
    let mut open = vec![Open { indent: 0, node: root }];
    let mut nodes = 1;
    for line in lines {
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        if indent == 0 {
            break;
        }
        if let Some(node) = body.strip_prefix("->  ") {
            nodes += 1;
            close(&mut open, indent);
            open.push(Open { indent, node: read_line(node)? });
        } else if is_label(body) {
            close(&mut open, indent);
        } else if let (Some((name, condition)), Some(last)) =
            (body.split_once(": "), open.last_mut())
            && CONDITIONS.contains(&name)
        {
            last.node.add_condition(name, condition);
        }
    }
    close(&mut open, 1);
    let mut root = open.pop()?.node;
    if nodes > MOST_NODES {
        cut(&mut root, &mut MOST_NODES.clone());
    }
    Some(root)
}

/// A node whose children may follow.
struct Open {
    indent: usize,
    node: PlanNode,
}

/// Nothing more comes for the nodes that are this far in, or further.
fn close(open: &mut Vec<Open>, indent: usize) {
    while let Some(last) = open.pop_if(|last| last.indent >= indent) {
        match open.last_mut() {
            Some(parent) => parent.node.children.push(last.node),
            // The root is not indented.
            None => open.push(last),
        }
    }
}

/// Leaves out what is too much, as it is when read from JSON.
fn cut(node: &mut PlanNode, room: &mut usize) {
    *room = room.saturating_sub(1);
    let mut kept = 0;
    for child in &mut node.children {
        if *room == 0 {
            break;
        }
        cut(child, room);
        kept += 1;
    }
    let left_out = node.children.len() - kept;
    if left_out > 0 {
        node.children.truncate(kept);
        node.children.push(PlanNode::left_out(left_out));
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
    let (cost, rest) = estimates.split_once(" rows=")?;
    let (_, cost) = cost.split_once("..")?;
    let (rows, _) = rest.split_once(" width=")?;
    let mut node =
        PlanNode { rows: rows.parse().ok()?, cost: cost.parse().ok()?, ..PlanNode::default() };
    if !title.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
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
    let is_outside = |at: usize| text[..at].matches('"').count().is_multiple_of(2);
    let at = text.match_indices(word).map(|(at, _)| at).find(|at| is_outside(*at))?;
    Some((&text[..at], &text[at + word.len()..]))
}

/// The last part of a name that may be qualified and quoted; and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        None => {
            let end = text.find(['.', ' ']).unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
        Some(quoted) => {
            let mut end = quoted.find('"')?;
            while quoted[end + 1..].starts_with('"') {
                end += 2 + quoted[end + 2..].find('"')?;
            }
            (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
        }
    };
    match rest.strip_prefix('.') {
        Some(rest) => identifier(rest),
        None => Some((name, rest)),
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
        let mut quote = None;
        let ends = |(at, byte): (usize, u8)| {
            match (quote, byte) {
                (None, b'\'' | b'"') => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                (None, b'\n') => return Some(at),
                _ => {}
            }
            None
        };
        let end = self.0.bytes().enumerate().find_map(ends);
        let (line, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}
