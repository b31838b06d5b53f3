//! Named statements: when one has to be prepared, first or anew.

use std::sync::Arc;

use super::Session;
use super::on_connection::Role;
use crate::pglog::statement::{Protocol, Statement};
use crate::replay::session::parameter_types::{all_fit, types_of_values};
use crate::replay::session::request::{ParseMode, Request};
use crate::replay::work::Work;
use crate::sql::{self, Command, Verb};

/// A statement prepared by a Parse message.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) sql: Box<str>,
    /// The types of its parameters that were guessed, as OIDs; empty where the server inferred all.
    pub(super) types: Vec<u32>,
    /// Whether the context knows it.
    pub(super) noted: bool,
    /// As of which changes of what statements give.
    pub(super) as_of: ResultChanges,
}

/// How often what prepared statements give may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ResultChanges {
    /// By this session's statements, those of its open transaction among them.
    own: u64,
    /// By the transactions of all.
    committed: u64,
}

impl Session {
    /// Whether the statement has to be prepared under its name first.
    pub(super) fn parses_by_name(&self, work: &Work) -> bool {
        let Protocol::Extended { name, parameters, prepared_anew, .. } = &work.statement.protocol
        else {
            return false;
        };
        // Its client may have prepared it again since its tables changed, which need not be logged; if it has
        // not, the source did not need that either.
        let is_prepared = || {
            self.prepared_as(work).is_some_and(|prepared| {
                all_fit(&prepared.types, parameters) && prepared.as_of == self.result_changes()
            }) && !self.changes_results_ahead()
        };
        !name.is_empty() && (*prepared_anew || !is_prepared())
    }

    /// Whether something is under way that may change what prepared statements give.
    fn changes_results_ahead(&self) -> bool {
        self.connection.sent.iter().any(|sent| match &sent.role {
            Role::Whole(work, _) => may_change_results(&work.statement),
            _ => false,
        })
    }

    /// Whether the schema may have changed since statements were prepared.
    pub(super) fn may_have_stale_plans(&self) -> bool {
        self.changes_schema || self.database.schema_changes() > 0
    }

    pub(super) fn result_changes(&self) -> ResultChanges {
        ResultChanges { own: self.own_changes, committed: self.database.result_changes() }
    }

    /// The statement that is prepared under this one's name, if it has the same text.
    pub(super) fn prepared_as(&self, work: &Work) -> Option<&Prepared> {
        let Protocol::Extended { name, .. } = &work.statement.protocol else { return None };
        self.connection.prepared.get(name).filter(|prepared| prepared.sql == work.statement.sql)
    }

    pub(super) fn extended_request(&mut self, work: &Arc<Work>, types: Vec<u32>) -> Request {
        let Protocol::Extended { name, .. } = &work.statement.protocol else {
            return Request::Simple(work.clone());
        };
        let parse = if name.is_empty() {
            ParseMode::Unnamed
        } else if !self.parses_by_name(work) {
            ParseMode::Prepared
        } else if work.statement.outline.single() == Some(Command::Prepare) {
            // A Bind to what SQL's PREPARE made is logged with the PREPARE as its text.
            ParseMode::Prepared
        } else {
            let sql = work.statement.sql.clone();
            let types = types_of_values(&types, work.statement.parameters());
            let as_of = self.result_changes();
            self.connection
                .prepared
                .insert(name.clone(), Prepared { sql, types, noted: false, as_of });
            ParseMode::Named
        };
        Request::Extended { work: work.clone(), parse, types }
    }
}

/// Whether a statement may change the columns of a table, a view or what a routine gives, which other
/// statements may have been prepared for. What is dropped and made anew is known when the server
/// refuses to run them: that is often a temporary table that nobody else has.
pub(super) fn may_change_results(statement: &Statement) -> bool {
    const KINDS: [&str; 6] = ["table", "view", "materialized", "foreign", "type", "domain"];
    let mut of_ddl = statement.outline.parts.iter().filter(|part| part.verb == Verb::Ddl);
    of_ddl.any(|part| {
        let key = sql::key(&statement.sql[part.range.clone()], 3);
        key.starts_with("create or replace")
            || key
                .strip_prefix("alter ")
                .is_some_and(|what| KINDS.contains(&what.split(' ').next().unwrap_or_default()))
    })
}
