//! From a statement's text to its template: what it does, its keys still open.
//!
//! The text is parsed by PostgreSQL's own parser. What its grammar has and this does not know is a
//! barrier.

use std::ops::Range;

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, SelectStmt};

use super::Tables;
use super::catalog::{Kind, Oid, Relation, Volatility};
use super::template::{Names, Template};
use super::{Access, Table, Widening};
use routines::Followed;
use variables::Variables;

mod constants;
mod expression;
mod functions;
mod insert;
mod pins;
mod plpgsql;
mod query;
mod references;
mod routines;
mod triggers;
mod utility;
mod variables;
mod write;
mod written;

pub(super) use functions::built_in;

/// The template of a text that is one statement.
pub(super) fn template(
    sql: &str,
    literals: &[Range<usize>],
    names: Names<'_>,
    is_temporary: &dyn Fn(&str) -> bool,
    tables: &mut Tables,
) -> Template {
    // The parser's summary of the tree, which is not used here, asserts more than it checks.
    let parsed = std::panic::catch_unwind(|| pg_query::parse(sql, 0));
    let parsed = match parsed {
        Ok(Ok(parsed)) => parsed,
        // The tree is handed over with its own limit on nesting.
        Ok(Err(pg_query::Error::Decode(_))) => return Template::everything(Widening::TooLong),
        Ok(Err(_)) | Err(_) => return Template::everything(Widening::Unparsable),
    };
    let mut analysis = Analysis {
        sql,
        literals,
        names,
        is_temporary,
        tables,
        ctes: Vec::new(),
        frame: None,
        followed: Vec::new(),
        bodies: 0,
        transition_tables: Vec::new(),
        template: Template::default(),
    };
    for statement in &parsed.protobuf.stmts {
        match &statement.stmt {
            Some(node) => analysis.statement(node),
            None => analysis.barrier(Widening::Construct),
        }
    }
    let mut template = analysis.template;
    template.footprint.settle();
    if template.footprint.accesses == [Access::Everything] {
        template.rows.clear();
        template.sequences.clear();
        template.locks.clear();
    }
    template
}

struct Analysis<'a> {
    sql: &'a str,
    literals: &'a [Range<usize>],
    names: Names<'a>,
    is_temporary: &'a dyn Fn(&str) -> bool,
    tables: &'a mut Tables,
    /// The names of the WITH queries in sight.
    ctes: Vec<String>,
    /// The names of the body at hand, where it is one.
    frame: Option<Variables>,
    /// The bodies that are being read.
    followed: Vec<Followed>,
    /// How many bodies have been read.
    bodies: usize,
    /// The tables of changed rows that the next body has.
    transition_tables: Vec<String>,
    template: Template,
}

/// What a name in a FROM stands for.
#[derive(Clone, Copy)]
enum Found<'a> {
    Relation(Oid, &'a Relation),
    /// A WITH query, a temporary table, one of PostgreSQL's own: nothing to put in order.
    Private,
}

impl<'a> Analysis<'a> {
    fn add(&mut self, access: Access) {
        self.template.footprint.add(access);
    }

    fn widen(&mut self, why: Widening) {
        self.template.footprint.widen(Some(why));
    }

    fn barrier(&mut self, why: Widening) {
        self.add(Access::Everything);
        self.widen(why);
    }

    fn impure(&mut self, volatility: Volatility, why: Widening) {
        match volatility {
            Volatility::Immutable => {}
            Volatility::Stable => {
                self.add(Access::ReadAll);
                self.widen(Widening::StableFunction);
            }
            Volatility::Volatile => self.barrier(why),
        }
    }

    fn table(&mut self, root: Oid) -> Table {
        self.tables.number(self.names.database, root)
    }

    /// Looks a name up; unknown ones are a barrier.
    fn find(&mut self, name: &RangeVar) -> Option<Found<'a>> {
        let schema = name.schemaname.as_str();
        if schema.is_empty() && self.ctes.contains(&name.relname) {
            return Some(Found::Private);
        }
        self.find_table(schema, &name.relname)
    }

    fn find_table(&mut self, schema: &str, name: &str) -> Option<Found<'a>> {
        let comes_late = || self.names.path.iter().any(|schema| &**schema == "pg_temp");
        if schema.is_empty() && (self.is_temporary)(name) && self.frame.is_some() && comes_late() {
            self.barrier(Widening::UnknownName);
            return None;
        }
        if schema == "pg_temp" || schema.is_empty() && (self.is_temporary)(name) {
            return Some(Found::Private);
        }
        if matches!(schema, "pg_catalog" | "information_schema") {
            return Some(Found::Private);
        }
        let catalog = self.names.catalog;
        let found = catalog.find(schema, name, self.names.path);
        match found.and_then(|oid| Some((oid, catalog.get(oid)?))) {
            Some((_, relation)) if relation.kind == Kind::System => Some(Found::Private),
            Some((oid, relation)) => Some(Found::Relation(oid, relation)),
            None => {
                self.barrier(Widening::UnknownName);
                None
            }
        }
    }
}

/// The parts of a dotted name.
fn parts(names: &[Node]) -> Vec<&str> {
    let part = |node| match node {
        &Node { node: Some(NodeEnum::String(ref text)) } => Some(text.sval.as_str()),
        _ => None,
    };
    names.iter().filter_map(part).collect()
}

/// A dotted name as its schema, empty if there is none, and its last part.
fn qualified(names: &[Node]) -> (&str, &str) {
    match parts(names).as_slice() {
        [.., schema, name] => (schema, name),
        [name] => ("", name),
        [] => ("", ""),
    }
}

/// The SELECT in a node.
fn as_select(node: &Node) -> Option<&SelectStmt> {
    match &node.node {
        Some(NodeEnum::SelectStmt(select)) => Some(select),
        _ => None,
    }
}
