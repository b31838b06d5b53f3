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
mod tests {
    use super::*;
    use crate::replay::order::footprint::catalog::{FunctionRow, RelationRow, Volatility};

    fn marks(shared: i64, functions: i64, relations: &[(Oid, i64)]) -> Marks {
        Marks { shared, functions, relations: relations.iter().copied().collect() }
    }

    #[test]
    fn what_is_new_or_other_is_read_and_what_is_gone_forgotten() {
        let before = marks(1, 1, &[(1, 10), (2, 20), (3, 30)]);
        let now = marks(1, 1, &[(1, 10), (2, 21), (4, 40)]);
        let changed = Changed::Some { relations: vec![2, 4], gone: vec![3], functions: false };
        assert_eq!(now.changed_since(&before), changed);
        assert_eq!(marks(2, 1, &[]).changed_since(&before), Changed::All);
    }

    #[test]
    fn nothing_is_read_again_where_nothing_has_changed() {
        let marks = marks(1, 1, &[(1, 10)]);
        let nothing = Changed::Some { relations: vec![], gone: vec![], functions: false };
        assert_eq!(marks.changed_since(&marks.clone()), nothing);
    }

    fn relation(oid: Oid, name: &str) -> RelationRow {
        RelationRow { oid, schema: "public".to_owned(), name: name.to_owned(), kind: 'r' }
    }

    fn function(oid: Oid, is_built_in: bool) -> FunctionRow {
        let (schema, name) = ("s".to_owned(), format!("f{oid}"));
        FunctionRow {
            oid,
            schema,
            name,
            volatility: Volatility::Immutable,
            is_in_c: false,
            is_built_in,
        }
    }

    #[test]
    fn rows_that_were_read_again_stand_where_they_would_if_all_were_read() {
        let mut rows = Rows {
            relations: vec![relation(1, "a"), relation(2, "b"), relation(3, "c")],
            functions: vec![function(1, true), function(20_000, false)],
            ..Rows::default()
        };
        let read = Rows { relations: vec![relation(2, "B")], ..Rows::default() };
        let functions = Rows { functions: vec![function(20_001, false)], ..Rows::default() };
        rows.update(Update {
            settings: Vec::new(),
            relations: Some((vec![2, 3], read)),
            functions: Some(functions),
        });
        assert_eq!(rows.relations, [relation(1, "a"), relation(2, "B")]);
        assert_eq!(rows.functions, [function(1, true), function(20_001, false)]);
    }
}
