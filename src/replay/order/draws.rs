//! What a statement may have drawn from sequences that failed on the source for what happened around it.
//!
//! No rollback gives a drawn number back. So that later numbers are the source's, the same has to be
//! drawn here, although the statement is not to be run to its end.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, WithClause};

use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::work::End;
use crate::sql::lexer::{Lexer, Token};

/// Whether a statement draws from sequences, as far as its text tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draws {
    /// It does not.
    #[default]
    No,
    /// It may, and each run draws the same: the text has the rows.
    Repeatable,
    /// It may, and how often depends on the rows that it meets, or on what a routine does.
    Varying,
    /// It may, and can't be run to see how often.
    Unknown,
}

impl Draws {
    /// Whether it is run for what it draws.
    pub fn is_run(self) -> bool {
        matches!(self, Self::Repeatable | Self::Varying)
    }

    /// Whether it may draw another number of times than on the source.
    pub fn is_uncertain(self) -> bool {
        matches!(self, Self::Varying | Self::Unknown)
    }
}

/// Which statement of its string failed.
pub fn failed_part(statement: &Statement, end: End) -> usize {
    let last = statement.outline.parts.len().saturating_sub(1);
    end.failure.and_then(|failure| failure.part).map_or(last, |part| part.min(last))
}

/// What the statement that failed may have drawn, where what happened around it is the cause: any other
/// failure comes again when it is run again. `prepared` gives the statement prepared under a name, with
/// or without the PREPARE before it.
pub fn of_failed(
    statement: &Statement,
    end: End,
    prepared: impl Fn(&str) -> Option<Box<str>>,
) -> Draws {
    if !matches!(end.source, SourceEnd::Failed(_)) || !end.source.is_transient() {
        return Draws::No;
    }
    let part = statement.outline.parts.get(failed_part(statement, end));
    let draws =
        part.map_or(Draws::No, |part| of_text(&statement.sql[part.range.clone()], &prepared));
    match (&statement.protocol, draws) {
        // Nothing was executed.
        (Protocol::ParseOnly | Protocol::BindOnly { .. }, _) => Draws::No,
        // What it was executed with is not in the log.
        (Protocol::Unknown, draws) if draws.is_run() => Draws::Unknown,
        (_, draws) => draws,
    }
}

fn of_text(sql: &str, prepared: &dyn Fn(&str) -> Option<Box<str>>) -> Draws {
    let draws = parsed(sql).into_iter().map(|node| match node {
        NodeEnum::ExecuteStmt(execute) => {
            prepared(&execute.name).map_or(Draws::No, |text| of_prepared(&text))
        }
        node => of_node(&node, calls_nextval(sql)),
    });
    draws.max().unwrap_or_default()
}

fn of_prepared(sql: &str) -> Draws {
    let nextval = calls_nextval(sql);
    let draws = parsed(sql).into_iter().map(|node| match node {
        NodeEnum::PrepareStmt(prepare) => prepare
            .query
            .and_then(|query| query.node)
            .map_or(Draws::No, |query| of_node(&query, nextval)),
        node => of_node(&node, nextval),
    });
    draws.max().unwrap_or_default()
}

/// The statements of a text; none where PostgreSQL's parser does not take it.
fn parsed(sql: &str) -> Vec<NodeEnum> {
    // The parser's summary of the tree, which is not used here, asserts more than it checks.
    let parsed = std::panic::catch_unwind(|| pg_query::parse(sql, 0));
    let Ok(Ok(parsed)) = parsed else { return Vec::new() };
    parsed.protobuf.stmts.into_iter().filter_map(|statement| statement.stmt?.node).collect()
}

/// `nextval`: whether the text calls it, somewhere.
fn of_node(node: &NodeEnum, nextval: bool) -> Draws {
    let own = if nextval { Draws::Repeatable } else { Draws::No };
    match node {
        NodeEnum::InsertStmt(insert) => {
            let rows = match insert.select_stmt.as_ref().and_then(|rows| rows.node.as_ref()) {
                // DEFAULT VALUES
                None => Draws::Repeatable,
                Some(NodeEnum::SelectStmt(rows)) if !rows.values_lists.is_empty() => {
                    Draws::Repeatable
                }
                Some(_) => Draws::Varying,
            };
            rows.max(of_with(insert.with_clause.as_ref(), nextval))
        }
        NodeEnum::UpdateStmt(update) => own.max(of_with(update.with_clause.as_ref(), nextval)),
        NodeEnum::DeleteStmt(delete) => own.max(of_with(delete.with_clause.as_ref(), nextval)),
        NodeEnum::SelectStmt(select) => {
            own.max(of_with(select.with_clause.as_ref(), nextval)).max(of_select(select, nextval))
        }
        NodeEnum::CopyStmt(copy) if copy.is_from => Draws::Unknown,
        NodeEnum::CreateTableAsStmt(create) => {
            let query = create.query.as_ref().and_then(|query| query.node.as_ref());
            match query.map_or(Draws::No, |query| of_node(query, nextval)) {
                Draws::No => Draws::No,
                _ => Draws::Varying,
            }
        }
        NodeEnum::MergeStmt(_) | NodeEnum::CallStmt(_) | NodeEnum::DoStmt(_) => Draws::Varying,
        NodeEnum::ExplainStmt(explain) if explain.options.iter().any(is_analyze) => {
            let query = explain.query.as_ref().and_then(|query| query.node.as_ref());
            query.map_or(Draws::No, |query| of_node(query, nextval))
        }
        _ => Draws::No,
    }
}

fn of_with(with: Option<&WithClause>, nextval: bool) -> Draws {
    let queries = with.into_iter().flat_map(|with| &with.ctes);
    let draws = queries.filter_map(|query| match query.node.as_ref()? {
        NodeEnum::CommonTableExpr(query) => {
            Some(of_node(query.ctequery.as_ref()?.node.as_ref()?, nextval))
        }
        _ => None,
    });
    draws.max().unwrap_or_default()
}

/// A SELECT that calls a function and reads nothing, or reads what a function gives, is how routines
/// that write are called.
fn of_select(select: &SelectStmt, nextval: bool) -> Draws {
    let calls = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(column)) => {
            column.val.as_ref().is_some_and(|value| calls_routine(value))
        }
        Some(NodeEnum::RangeFunction(function)) => function.functions.iter().any(|item| {
            let Some(NodeEnum::List(list)) = &item.node else { return false };
            list.items.first().is_some_and(calls_routine)
        }),
        _ => false,
    };
    let routine = match select.from_clause.as_slice() {
        [] => select.target_list.iter().any(calls),
        from => from.iter().any(calls),
    };
    if routine || nextval && select.into_clause.is_some() { Draws::Varying } else { Draws::No }
}

/// Whether an option of EXPLAIN has the statement run.
fn is_analyze(option: &Node) -> bool {
    matches!(&option.node, Some(NodeEnum::DefElem(option)) if option.defname == "analyze")
}

/// Whether it calls a function that PostgreSQL does not have itself, as far as its name tells.
fn calls_routine(node: &Node) -> bool {
    let Some(NodeEnum::FuncCall(call)) = &node.node else { return false };
    let name = call.funcname.last().and_then(|name| match &name.node {
        Some(NodeEnum::String(name)) => Some(name.sval.as_str()),
        _ => None,
    });
    let is_own = |name: &str| name.starts_with("pg_") || OWN_FUNCTIONS.contains(&name);
    call.funcname.len() <= 2 && name.is_some_and(|name| !is_own(name))
}

/// Functions of PostgreSQL's own that are called like this.
const OWN_FUNCTIONS: [&str; 23] = [
    "array_agg",
    "clock_timestamp",
    "coalesce",
    "count",
    "currval",
    "current_setting",
    "format",
    "gen_random_uuid",
    "generate_series",
    "json_array_elements",
    "jsonb_array_elements",
    "json_to_recordset",
    "jsonb_to_recordset",
    "lastval",
    "nextval",
    "now",
    "random",
    "regexp_matches",
    "set_config",
    "setval",
    "string_to_table",
    "unnest",
    "version",
];

fn calls_nextval(sql: &str) -> bool {
    let mut names = Lexer::new(sql).peekable();
    while let Some((token, range)) = names.next() {
        let text = &sql[range];
        let is_name = match token {
            Token::Word => text.eq_ignore_ascii_case("nextval"),
            Token::Quoted => text == "\"nextval\"",
            _ => false,
        };
        if is_name && names.peek().is_some_and(|(next, _)| *next == Token::Open) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
