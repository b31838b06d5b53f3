//! Plans as EXPLAIN (FORMAT JSON) writes them.

use serde_json::{Map, Value};

use super::{CONDITIONS, MOST_LEVELS, MOST_NODES, PlanNode};

/// Reads the answer of EXPLAIN (FORMAT JSON), or a plan of auto_explain; `None` if it is neither.
pub fn read_json(text: &str) -> Option<PlanNode> {
    read_value(&serde_json::from_str(text).ok()?)
}

/// The same, parsed.
pub(super) fn read_value(value: &Value) -> Option<PlanNode> {
    let explained = value.as_array().map_or(Some(value), |list| list.first())?;
    let mut room = MOST_NODES;
    read_node(explained.get("Plan")?.as_object()?, 1, &mut room)
}

/// Reads a node of this level, the root's being 1, and those below it as far as there is room.
fn read_node(node: &Map<String, Value>, level: usize, room: &mut usize) -> Option<PlanNode> {
    *room = room.saturating_sub(1);
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let number = |key: &str| node.get(key).and_then(Value::as_f64).unwrap_or_default();
    let relation = ["Relation Name", "Function Name", "Table Function Name", "CTE Name"];
    let relation = relation.iter().chain(&["Tuplestore Name", "Alias"]);
    let mut read = PlanNode {
        node: name(node)?,
        relation: relation.copied().find_map(text).map(str::to_owned),
        index: text("Index Name").map(str::to_owned),
        rows: number("Plan Rows"),
        cost: number("Total Cost"),
        ..PlanNode::default()
    };
    for condition in CONDITIONS {
        if let Some(value) = text(condition) {
            read.add_condition(condition, value);
        }
    }
    let mut left_out = 0;
    for child in children(node) {
        if *room == 0 || level >= MOST_LEVELS {
            left_out += size(child);
        } else {
            read.children.push(read_node(child.as_object()?, level + 1, room)?);
        }
    }
    read.leave_out(left_out);
    Some(read)
}

fn children(node: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    node.get("Plans").and_then(Value::as_array).into_iter().flatten()
}

/// How many nodes there are.
fn size(node: &Value) -> usize {
    1 + node.as_object().into_iter().flat_map(children).map(size).sum::<usize>()
}

/// The node's name as EXPLAIN's text has it, which JSON takes apart.
fn name(node: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let is = |key: &str| node.get(key).and_then(Value::as_bool) == Some(true);
    let kind = text("Node Type")?;
    let mut name = String::new();
    if is("Parallel Aware") {
        name.push_str("Parallel ");
    }
    if is("Async Capable") {
        name.push_str("Async ");
    }
    match (kind, text("Strategy").unwrap_or_default()) {
        ("Aggregate", strategy) => {
            if let Some(mode @ ("Partial" | "Finalize")) = text("Partial Mode") {
                name.push_str(&format!("{mode} "));
            }
            name.push_str(match strategy {
                "Sorted" => "GroupAggregate",
                "Hashed" => "HashAggregate",
                "Mixed" => "MixedAggregate",
                _ => "Aggregate",
            });
        }
        ("SetOp", strategy) => {
            name.push_str(if strategy == "Hashed" { "HashSetOp" } else { "SetOp" });
            name.push_str(&format!(" {}", text("Command").unwrap_or_default()));
        }
        ("ModifyTable", _) => name.push_str(text("Operation")?),
        ("Foreign Scan", _) => match text("Operation") {
            None | Some("Select") => name.push_str(kind),
            Some(operation) => name.push_str(&format!("Foreign {operation}")),
        },
        ("Custom Scan", _) => {
            let provider = text("Custom Plan Provider").unwrap_or_default();
            name.push_str(&format!("{kind} ({provider})"));
        }
        _ => match text("Join Type") {
            None | Some("Inner") => name.push_str(kind),
            Some(join) => {
                let kind = kind.strip_suffix(" Join").unwrap_or(kind);
                name.push_str(&format!("{kind} {join} Join"));
            }
        },
    }
    if text("Scan Direction") == Some("Backward") {
        name.push_str(" Backward");
    }
    Some(name)
}
