//! What the names in a function's body stand for: arguments, variables, NEW and OLD.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::ColumnRef;

use super::parts;
use crate::replay::order::footprint::catalog::Relation;
use crate::replay::order::footprint::literals::Value;
use crate::replay::order::footprint::template::Given;
use crate::replay::order::footprint::values::KeyType;

/// What a value goes through on its way to where it meets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A cast to the type by this name, or an argument or variable of it.
    Cast(Box<str>),
    /// A column of this type.
    Column(Option<KeyType>),
}

/// A value that a statement gives, and its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) given: Given,
    pub(super) way: Vec<Step>,
}

impl Step {
    /// Whether it leaves a value of a key's type what it is.
    pub(super) fn fits(&self, key: KeyType) -> bool {
        match self {
            Self::Cast(name) => key.takes(name),
            Self::Column(column) => column.is_some_and(|column| column.keeps_for(key)),
        }
    }
}

impl Bound {
    pub(super) fn null() -> Self {
        Self { given: Given::One(Value::Null), way: Vec::new() }
    }

    pub(super) fn through(mut self, step: Step) -> Self {
        self.way.push(step);
        self
    }
}

/// The row that a trigger fires for: NEW or OLD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) columns: BTreeMap<String, Bound>,
    /// Whether there is no such row: all its columns are NULL.
    pub(super) is_null: bool,
}

impl Record {
    /// Where there is none: OLD of an INSERT.
    pub(super) fn null() -> Self {
        Self { columns: BTreeMap::new(), is_null: true }
    }

    fn get(&self, column: &str) -> Option<Bound> {
        let none = || self.is_null.then(Bound::null);
        self.columns.get(column).cloned().or_else(none)
    }
}

/// The names of a body.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// The body's function, which its arguments may be qualified with.
    pub(super) function: String,
    /// Whether a column goes before a variable of its name, as in SQL.
    pub(super) columns_first: bool,
    /// `$1` is the first.
    pub(super) arguments: Vec<Option<Bound>>,
    /// Those by name, those whose value is not known among them.
    pub(super) named: BTreeMap<String, Option<Bound>>,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) sight: Sight,
}

/// What the statement at hand has brought into sight, which its names may mean too.
#[derive(Debug, Default)]
pub(super) struct Sight {
    columns: BTreeSet<String>,
    relations: BTreeSet<String>,
    /// Whether there are columns whose names are not known.
    is_obscured: bool,
}

/// The columns that every table has.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

impl Variables {
    /// Another statement begins.
    pub(super) fn clear_sight(&mut self) {
        self.sight = Sight::default();
    }

    pub(super) fn obscure(&mut self) {
        self.sight.is_obscured = true;
    }

    /// A relation by this name comes into sight.
    pub(super) fn see(&mut self, name: &str, relation: &Relation) {
        self.sight.relations.insert(name.to_owned());
        self.sight.columns.extend(relation.columns.iter().map(|column| column.name.to_string()));
    }

    /// Whether a variable may be meant where a column's name stands.
    pub(super) fn may_mean(&self, reference: &[&str]) -> bool {
        let is_variable =
            |name: &str| self.named.contains_key(name) || self.records.contains_key(name);
        match reference {
            _ if self.columns_first => false,
            [name] => is_variable(name),
            [qualifier, ..] => is_variable(qualifier) || *qualifier == self.function,
            [] => true,
        }
    }

    /// What a name stands for, if that is surely a variable of known value.
    pub(super) fn get(&self, reference: &ColumnRef) -> Option<Bound> {
        let parts = parts(&reference.fields);
        if parts.len() < reference.fields.len() {
            return None;
        }
        match *parts.as_slice() {
            [name] => {
                let is_column = self.sight.is_obscured
                    || self.sight.columns.contains(name)
                    || self.sight.relations.contains(name)
                    || SYSTEM_COLUMNS.contains(&name);
                self.named.get(name).filter(|_| !is_column).cloned().flatten()
            }
            [qualifier, name] if !self.sight.relations.contains(qualifier) => {
                match self.records.get(qualifier) {
                    Some(record) => record.get(name),
                    None if qualifier == self.function && !self.named.contains_key(qualifier) => {
                        self.named.get(name).cloned().flatten()
                    }
                    None => None,
                }
            }
            _ => None,
        }
    }
}
