//! Puts the server's rows in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Action, Catalog, Column, ColumnRow, Dependent, ForeignKey, Function, IndexRow, KeyColumn, Kind,
    Needed, Oid, OtherKey, Relation, Routine, Rows, Storage, Trigger, Volatility,
};
use crate::replay::order::footprint::Widening;
use crate::replay::order::footprint::analysis::built_in;
use crate::replay::order::footprint::values::KeyType;

const FOR_EACH_ROW: i16 = 1;
const BEFORE: i16 = 1 << 1;
const ON_INSERT: i16 = 1 << 2;
const ON_DELETE: i16 = 1 << 3;
const ON_UPDATE: i16 = 1 << 4;
const INSTEAD: i16 = 1 << 6;

pub(super) fn catalog(rows: &Rows) -> Catalog {
    let mut catalog = Catalog::default();
    for setting in &rows.settings {
        let of_role = catalog.settings.entry(setting.role.as_deref().map(Into::into)).or_default();
        of_role.insert((*setting.name).into(), (*setting.value).into());
    }
    functions(&mut catalog, rows);
    relations(&mut catalog, rows);
    let mut tables = Tables::of(rows);
    for (root, members) in std::mem::take(&mut tables.members) {
        catalog.storages.insert(root, tables.storage(root, members));
    }
    foreign_keys(&mut catalog, rows, &tables);
    for relation in &rows.relations {
        if let Some(known) = catalog.relations.get_mut(&relation.oid) {
            known.root = tables.root(relation.oid);
        }
    }
    catalog
}

fn functions(catalog: &mut Catalog, rows: &Rows) {
    for row in &rows.functions {
        let volatility =
            if row.is_built_in { built_in(&row.name, row.volatility) } else { row.volatility };
        catalog.function_volatility.insert(row.oid, volatility);
        if !row.is_built_in {
            let names = catalog.overloads.entry((*row.schema).into()).or_default();
            names.entry((*row.name).into()).or_default().push(row.oid);
        }
        let names = catalog.functions.entry((*row.schema).into()).or_default();
        let this =
            Function { volatility: row.volatility, built_in: row.is_built_in, in_c: row.is_in_c };
        names
            .entry((*row.name).into())
            .and_modify(|all| {
                all.volatility = all.volatility.max(this.volatility);
                all.built_in &= this.built_in;
                all.in_c &= this.in_c;
            })
            .or_insert(this);
    }
    for row in &rows.routines {
        catalog.routines.insert(row.oid, Routine::new(row.clone()));
    }
    for (impure, all) in
        [(&rows.operators, &mut catalog.operators), (&rows.types, &mut catalog.types)]
    {
        for row in impure {
            let volatility = all.entry((*row.name).into()).or_default();
            *volatility = row.volatility.max(*volatility);
        }
    }
}

fn relations(catalog: &mut Catalog, rows: &Rows) {
    for row in &rows.relations {
        let kind = match (&*row.schema, row.kind) {
            ("pg_catalog" | "information_schema" | "pg_toast", _) => Kind::System,
            (_, 'v') => Kind::View,
            (_, 'S') => Kind::Sequence,
            (_, 'f') => Kind::Foreign,
            _ => Kind::Table,
        };
        let relation = Relation {
            kind,
            root: row.oid,
            columns: Vec::new(),
            rules: [false; 3],
            instead: false,
            needs: Vec::new(),
        };
        catalog.relations.insert(row.oid, relation);
        let names = catalog.names.entry((*row.schema).into()).or_default();
        names.insert((*row.name).into(), row.oid);
    }
    let defaults = dependencies(catalog, rows);
    for row in &rows.columns {
        if let Some(relation) = catalog.relations.get_mut(&row.relation) {
            let at = (row.relation, row.number);
            relation.columns.push(Column {
                name: (*row.name).into(),
                kind: KeyType::of(row.type_oid, row.modifier).filter(|_| row.is_deterministic),
                generated: row.is_generated,
                has_default: row.has_default,
                sequence: defaults.sequences.get(&at).copied(),
                default: defaults.volatility.get(&at).copied().unwrap_or_default(),
            });
        }
    }
    for row in &rows.rules {
        let event = match row.event {
            '3' => 0,
            '2' => 1,
            '4' => 2,
            _ => continue,
        };
        if let Some(relation) = catalog.relations.get_mut(&row.relation) {
            relation.rules[event] = true;
        }
    }
    for row in rows.triggers.iter().filter(|row| row.kind & INSTEAD != 0) {
        if let Some(relation) = catalog.relations.get_mut(&row.relation) {
            relation.instead = true;
        }
    }
}

/// What the defaults of columns need: a column is a relation's and a number.
#[derive(Default)]
struct Defaults {
    sequences: HashMap<(Oid, i16), Oid>,
    volatility: HashMap<(Oid, i16), Volatility>,
}

/// What relations and the defaults of their columns depend on.
fn dependencies(catalog: &mut Catalog, rows: &Rows) -> Defaults {
    let mut defaults = Defaults::default();
    for row in &rows.dependencies {
        match (row.dependent, row.needed) {
            (Dependent::Query, needed) => {
                if let Some(relation) = catalog.relations.get_mut(&row.relation) {
                    relation.needs.push(needed);
                }
            }
            (Dependent::Default(column), Needed::Relation(sequence)) => {
                defaults.sequences.insert((row.relation, column), sequence);
            }
            (Dependent::Default(column), Needed::Function(function)) => {
                let volatility = defaults.volatility.entry((row.relation, column)).or_default();
                *volatility = catalog
                    .function_volatility
                    .get(&function)
                    .copied()
                    .unwrap_or(Volatility::Volatile)
                    .max(*volatility);
            }
            (Dependent::Check, _) => {}
        }
    }
    defaults
}

/// The tables' trees, and what belongs to each as a whole.
struct Tables<'a> {
    rows: &'a Rows,
    roots: HashMap<Oid, Oid>,
    members: BTreeMap<Oid, Vec<Oid>>,
    columns: HashMap<(Oid, i16), &'a ColumnRow>,
    indexes: HashMap<Oid, Vec<&'a IndexRow>>,
    triggers: HashMap<Oid, Vec<Trigger>>,
    checks: HashMap<Oid, Volatility>,
    /// The roots of trees that are not made of partitions alone.
    inherited: BTreeSet<Oid>,
}

impl<'a> Tables<'a> {
    fn of(rows: &'a Rows) -> Self {
        let mut tables = Self {
            rows,
            roots: HashMap::new(),
            members: BTreeMap::new(),
            columns: rows.columns.iter().map(|row| ((row.relation, row.number), row)).collect(),
            indexes: HashMap::new(),
            triggers: HashMap::new(),
            checks: HashMap::new(),
            inherited: BTreeSet::new(),
        };
        tables.find_roots();
        for row in &rows.indexes {
            tables.indexes.entry(row.relation).or_default().push(row);
        }
        for row in rows.triggers.iter().filter(|row| !row.is_harmless) {
            let is = |bit| row.kind & bit != 0;
            let trigger = Trigger {
                on: [ON_INSERT, ON_UPDATE, ON_DELETE].map(is),
                columns: tables.names(row.relation, &row.columns),
                function: row.function,
                rewrites: is(FOR_EACH_ROW) && is(BEFORE),
                has_row: is(FOR_EACH_ROW),
                is_plain: row.is_plain,
                transition_tables: row.transition_tables.iter().map(|it| (**it).into()).collect(),
            };
            let root = tables.root(row.relation);
            // Every partition has its own copy of a trigger.
            let triggers = tables.triggers.entry(root).or_default();
            if !triggers.contains(&trigger) {
                triggers.push(trigger);
            }
        }
        let volatility: HashMap<Oid, Volatility> =
            rows.functions.iter().map(|row| (row.oid, row.volatility)).collect();
        for row in &rows.dependencies {
            if let (Dependent::Check, Needed::Function(function)) = (row.dependent, row.needed) {
                let root = tables.root(row.relation);
                let check = tables.checks.entry(root).or_default();
                *check =
                    volatility.get(&function).copied().unwrap_or(Volatility::Volatile).max(*check);
            }
        }
        tables
    }

    /// Tables that heirs connect are one tree, named after the one that inherits from none (the
    /// first of them, where there are several).
    fn find_roots(&mut self) {
        let mut parent: HashMap<Oid, Oid> = HashMap::new();
        fn top(parent: &HashMap<Oid, Oid>, mut of: Oid) -> Oid {
            while let Some(&next) = parent.get(&of) {
                of = next;
            }
            of
        }
        for row in &self.rows.heirs {
            let (child, of) = (top(&parent, row.child), top(&parent, row.parent));
            if child != of {
                parent.insert(child, of);
            }
        }
        for row in &self.rows.relations {
            let root = top(&parent, row.oid);
            self.roots.insert(row.oid, root);
            if matches!(row.kind, 'r' | 'p' | 'm' | 'f' | 'v') {
                self.members.entry(root).or_default().push(row.oid);
            }
        }
        for row in self.rows.heirs.iter().filter(|row| !row.is_partition) {
            self.inherited.insert(top(&parent, row.child));
        }
    }

    fn root(&self, relation: Oid) -> Oid {
        self.roots.get(&relation).copied().unwrap_or(relation)
    }

    fn names(&self, relation: Oid, numbers: &[i16]) -> Vec<Box<str>> {
        let name = |&number: &i16| self.columns.get(&(relation, number)).map(|row| &*row.name);
        numbers.iter().filter_map(name).map(Into::into).collect()
    }

    /// The index's columns with their types, if its values can be compared here; why not otherwise.
    fn comparable(&self, index: &IndexRow) -> Result<Vec<KeyColumn>, Widening> {
        let column = |&number: &i16| {
            let row = self.columns.get(&(index.relation, number)).ok_or(Widening::NoKey)?;
            let kind = KeyType::of(row.type_oid, row.modifier).filter(|_| row.is_deterministic);
            Ok(KeyColumn { name: (*row.name).into(), kind: kind.ok_or(Widening::KeyType)? })
        };
        if !(index.is_immediate && index.is_whole && index.is_unique) {
            return Err(Widening::NoKey);
        }
        index.columns.iter().map(column).collect()
    }

    fn never_null(&self, index: &IndexRow) -> bool {
        index.columns.iter().all(|&number| {
            self.columns.get(&(index.relation, number)).is_some_and(|column| column.not_null)
        })
    }

    fn storage(&mut self, root: Oid, mut members: Vec<Oid>) -> Storage {
        let triggers = self.triggers.remove(&root).unwrap_or_default();
        let checks = self.checks.remove(&root).unwrap_or_default();
        // The root's indexes hold the rows of all partitions, and come first.
        members.sort_by_key(|&member| member != root);
        let of = |relation: Oid| self.indexes.get(&relation).into_iter().flatten().copied();
        let is_inherited = self.inherited.contains(&root);
        let mut key = Err(Widening::NoKey);
        let mut keyed: Vec<&IndexRow> =
            of(root).filter(|index| !is_inherited && self.never_null(index)).collect();
        keyed.sort_by_key(|index| (!index.is_primary, index.columns.len(), index.oid));
        for index in keyed {
            let found = self.comparable(index);
            if key.is_err() && (found.is_ok() || index.is_primary) {
                key = found;
            }
        }
        let mut others: Vec<OtherKey> = Vec::new();
        for member in members {
            for index in of(member) {
                let columns = self.names(member, &index.columns);
                let exact = self.comparable(index);
                // A partition's index holds its own rows alone.
                let exact = exact.ok().filter(|_| member == root && !is_inherited);
                let is_key = key
                    .as_ref()
                    .is_ok_and(|key| same_columns(&columns, key.iter().map(|column| &column.name)));
                let covered = is_key && index.is_unique
                    || others.iter().any(|other| {
                        other.exact.is_some() && same_columns(&columns, other.columns.iter())
                    });
                if !covered {
                    let mentions = self.names(member, &index.mentions);
                    others.push(OtherKey { columns, mentions, exact });
                }
            }
        }
        Storage { key, others, triggers, checks }
    }
}

fn same_columns<'a>(some: &[Box<str>], others: impl Iterator<Item = &'a Box<str>>) -> bool {
    let others: BTreeSet<&Box<str>> = others.collect();
    some.len() == others.len() && some.iter().collect::<BTreeSet<_>>() == others
}

fn foreign_keys(catalog: &mut Catalog, rows: &Rows, tables: &Tables<'_>) {
    let action = |code| match code {
        'c' => Action::Cascade,
        'n' | 'd' => Action::Unset,
        _ => Action::Refuse,
    };
    // Every partition has its own copy of a foreign key.
    let keys: BTreeSet<ForeignKey> = rows
        .foreign_keys
        .iter()
        .map(|row| ForeignKey {
            child: tables.root(row.child),
            child_columns: tables.names(row.child, &row.child_columns),
            parent: tables.root(row.parent),
            parent_columns: tables.names(row.parent, &row.parent_columns),
            on_update: action(row.on_update),
            on_delete: action(row.on_delete),
        })
        .collect();
    for key in keys {
        catalog.parents_of.entry(key.child).or_default().push(key.clone());
        catalog.children_of.entry(key.parent).or_default().push(key);
    }
}
