//! Functions and procedures whose bodies can be read.

use super::{Catalog, Oid, RoutineRow, along};
use crate::replay::order::footprint::sessions::schemas;

/// A function or procedure in SQL or PL/pgSQL.
#[derive(Debug)]
pub(in crate::replay::order::footprint) struct Routine {
    pub(in crate::replay::order::footprint) row: RoutineRow,
    /// The schemas that its names are looked up in, where they are not its caller's.
    pub(in crate::replay::order::footprint) path: Option<Vec<Box<str>>>,
    /// Whether what it sets leaves the meaning of its statements alone.
    pub(in crate::replay::order::footprint) is_settled: bool,
}

/// Settings that change what a statement does beyond what is followed here.
const UNSETTLING: [&str; 4] =
    ["role", "session_authorization", "session_replication_role", "standard_conforming_strings"];

impl Routine {
    pub(super) fn new(row: RoutineRow) -> Self {
        let settings = || row.settings.iter().filter_map(|setting| setting.split_once('='));
        let path = settings().find(|(name, _)| *name == "search_path");
        let path = path.map(|(_, value)| schemas(value));
        let follows_user = |path: &Vec<Box<str>>| path.iter().any(|schema| &**schema == "$user");
        let is_settled = !settings().any(|(name, _)| UNSETTLING.contains(&name))
            && !path.as_ref().is_some_and(follows_user);
        Self { row, path, is_settled }
    }

    /// The modes of the arguments that a call gives.
    pub(in crate::replay::order::footprint) fn is_given(&self, mode: char) -> bool {
        matches!(mode, 'i' | 'b' | 'v') || self.row.is_procedure && mode == 'o'
    }
}

impl Catalog {
    /// The functions of somebody's own by that name: all that the path may lead to.
    pub(in crate::replay::order::footprint) fn overloads(
        &self,
        schema: &str,
        name: &str,
        path: &[Box<str>],
    ) -> Vec<Oid> {
        let look = |schema: &str| self.overloads.get(schema)?.get(name).cloned();
        match schema.is_empty() {
            true => along(path).filter_map(look).flatten().collect(),
            false => look(schema).unwrap_or_default(),
        }
    }

    pub(in crate::replay::order::footprint) fn routine(&self, function: Oid) -> Option<&Routine> {
        self.routines.get(&function)
    }

    /// Whether there is a relation or function in a schema.
    pub(in crate::replay::order::footprint) fn has_schema(&self, schema: &str) -> bool {
        self.names.contains_key(schema) || self.functions.contains_key(schema)
    }
}
