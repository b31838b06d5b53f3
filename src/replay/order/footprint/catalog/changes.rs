//! What has changed of a catalog since it was read, and its rows brought up to date with that.

use std::collections::{HashMap, HashSet};

use super::{Oid, Rows, SettingRow};

/// What tells whether the server's rows are still those that were read: numbers that change whenever a
/// row that they stand for comes, goes or becomes another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of what any relation may depend on: schemas, operators, collations, the checks of domains.
    pub shared: i64,
    /// Of functions, of the types that they take, and of casts and types of somebody's own.
    pub functions: i64,
    /// Of each relation with all that belongs to it: columns, indexes, constraints, triggers, rules.
    pub relations: HashMap<Oid, i64>,
}

/// What has to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Everything.
    All,
    /// These alone.
    Some {
        /// The relations that are new or other than before.
        relations: Vec<Oid>,
        /// The relations that are gone.
        gone: Vec<Oid>,
        /// Whether functions are.
        functions: bool,
    },
}

impl Marks {
    /// What has changed since those before.
    pub fn changed_since(&self, before: &Self) -> Changed {
        if self.shared != before.shared {
            return Changed::All;
        }
        let of = |marks: &Self, others: &Self, differs: fn(Option<&i64>, i64) -> bool| {
            let all = marks.relations.iter();
            let changed = all.filter(|(oid, mark)| differs(others.relations.get(oid), **mark));
            let mut changed: Vec<Oid> = changed.map(|(oid, _)| *oid).collect();
            changed.sort_unstable();
            changed
        };
        Changed::Some {
            relations: of(self, before, |other, mark| other != Some(&mark)),
            gone: of(before, self, |other, _| other.is_none()),
            functions: self.functions != before.functions,
        }
    }
}

/// Rows that were read again, in place of those of before.
#[derive(Debug, Default)]
pub struct Update {
    /// The settings, which are always read.
    pub settings: Vec<SettingRow>,
    /// The rows of the relations that are new or other than before, and which these and those that are
    /// gone are.
    pub relations: Option<(Vec<Oid>, Rows)>,
    /// What goes with functions, those of PostgreSQL's own left out.
    pub functions: Option<Rows>,
}

impl Rows {
    /// Brings the rows up to date. They stand in the order in which they are read as a whole. Returns
    /// whether any may be other than before.
    pub fn update(&mut self, update: Update) -> bool {
        let has_changed = update.relations.is_some()
            || update.functions.is_some()
            || update.settings != self.settings;
        self.settings = update.settings;
        if let Some((replaced, read)) = update.relations {
            let replaced: HashSet<Oid> = replaced.into_iter().collect();
            let is_replaced = |oid: &Oid| replaced.contains(oid);
            replace(&mut self.relations, read.relations, is_replaced, |it| it.oid, |it| it.oid);
            replace(
                &mut self.heirs,
                read.heirs,
                is_replaced,
                |it| it.child,
                |it| (it.child, it.parent),
            );
            replace(
                &mut self.columns,
                read.columns,
                is_replaced,
                |it| it.relation,
                |it| (it.relation, it.number),
            );
            replace(&mut self.indexes, read.indexes, is_replaced, |it| it.relation, |it| it.oid);
            replace(
                &mut self.foreign_keys,
                read.foreign_keys,
                is_replaced,
                |it| it.child,
                |it| it.oid,
            );
            replace(&mut self.triggers, read.triggers, is_replaced, |it| it.relation, |it| it.oid);
            replace(&mut self.rules, read.rules, is_replaced, |it| it.relation, |it| it.oid);
            replace(
                &mut self.dependencies,
                read.dependencies,
                is_replaced,
                |it| it.relation,
                |it| (it.relation, it.dependent, it.needed),
            );
        }
        if let Some(read) = update.functions {
            self.functions.retain(|function| function.is_built_in);
            self.functions.extend(read.functions);
            self.triggers = read.triggers;
            self.routines = read.routines;
            self.operators = read.operators;
            self.types = read.types;
        }
        has_changed
    }
}

/// Puts rows in the place of those of these relations.
fn replace<T, K: Ord>(
    rows: &mut Vec<T>,
    read: Vec<T>,
    is_replaced: impl Fn(&Oid) -> bool,
    relation: impl Fn(&T) -> Oid,
    key: impl Fn(&T) -> K,
) {
    rows.retain(|row| !is_replaced(&relation(row)));
    rows.extend(read);
    rows.sort_by_key(key);
}

#[cfg(test)]
mod tests;
