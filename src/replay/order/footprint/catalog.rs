//! What has to be known of a database to tell what a statement reads and writes.
//!
//! [`Rows`] are what the server's catalogs say, row by row; [`Catalog`] is that put in order. Columns
//! are told by their names: they are the same in every partition of a table, their numbers are not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Widening;
use super::values::KeyType;

mod build;
mod changes;
mod routines;
mod rows;

pub use changes::{Changed, Marks, Update};
pub(super) use routines::Routine;
pub use rows::{
    ArgumentRow, ColumnRow, DependencyRow, Dependent, ForeignKeyRow, FunctionRow, HeirRow,
    ImpureRow, IndexRow, Needed, RelationRow, RoutineRow, Rows, RuleRow, SettingRow, TriggerRow,
};

/// An object's number in its database.
pub type Oid = u32;

/// What a function, or what is built of functions, may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volatility {
    /// Nothing but compute.
    #[default]
    Immutable,
    /// Read anything.
    Stable,
    /// Anything.
    Volatile,
}

/// What kind of relation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A table, partitioned or not, or a materialized view.
    Table,
    View,
    Sequence,
    Foreign,
    /// One of PostgreSQL's own, which the replay does not put in order.
    System,
}

/// Which commands something applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Insert,
    Update,
    Delete,
}

#[derive(Debug)]
pub(super) struct Relation {
    pub(super) kind: Kind,
    /// The root of its partitions or heirs, itself where it has none.
    pub(super) root: Oid,
    pub(super) columns: Vec<Column>,
    /// Whether a rule of its own rewrites INSERT, UPDATE and DELETE, in this order.
    rules: [bool; 3],
    /// Whether it has INSTEAD OF triggers.
    pub(super) instead: bool,
    /// What a view is made of, and what the policies of a table look at.
    pub(super) needs: Vec<Needed>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: Box<str>,
    /// Its type, where values of it can be compared here.
    pub(super) kind: Option<KeyType>,
    /// Whether it is computed from others.
    pub(super) generated: bool,
    /// Whether it has a value where an INSERT gives none.
    pub(super) has_default: bool,
    /// The sequence that its default draws from.
    pub(super) sequence: Option<Oid>,
    /// What its default may do beyond that.
    pub(super) default: Volatility,
}

/// Where rows are kept: a table with all its partitions or heirs.
#[derive(Debug)]
pub(super) struct Storage {
    /// The columns that tell a row, or why none do.
    pub(super) key: Result<Vec<KeyColumn>, Widening>,
    /// Its other unique indexes.
    pub(super) others: Vec<OtherKey>,
    triggers: Vec<Trigger>,
    /// What the table's checks may do.
    pub(super) checks: Volatility,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: Box<str>,
    pub(super) kind: KeyType,
}

/// A unique index or exclusion constraint that is not the table's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherKey {
    /// Its columns, those of expressions left out.
    pub(super) columns: Vec<Box<str>>,
    /// All columns that it looks at: in expressions and in its condition too.
    pub(super) mentions: Vec<Box<str>>,
    /// Its columns with their types, where two equal values are surely in each other's way.
    pub(super) exact: Option<Vec<KeyColumn>>,
}

/// A trigger that may do more than change the row at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trigger {
    on: [bool; 3],
    /// The columns of UPDATE OF; none: all.
    columns: Vec<Box<str>>,
    pub(super) function: Oid,
    /// Whether it fires for each row, before that is written.
    pub(super) rewrites: bool,
    /// Whether it fires for each row.
    pub(super) has_row: bool,
    /// Whether its function is all that it does, and it does it with its statement.
    pub(super) is_plain: bool,
    /// The names that its function knows the changed rows by.
    pub(super) transition_tables: Vec<Box<str>>,
}

/// What happens to the rows that reference one that goes or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Action {
    /// The statement fails if there are any.
    Refuse,
    /// They go with it.
    Cascade,
    /// They lose the reference.
    Unset,
}

/// A foreign key between two storages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ForeignKey {
    pub(super) child: Oid,
    pub(super) child_columns: Vec<Box<str>>,
    pub(super) parent: Oid,
    pub(super) parent_columns: Vec<Box<str>>,
    pub(super) on_update: Action,
    pub(super) on_delete: Action,
}

/// One database of the target.
#[derive(Debug, Default)]
pub struct Catalog {
    relations: HashMap<Oid, Relation>,
    storages: HashMap<Oid, Storage>,
    names: HashMap<Box<str>, HashMap<Box<str>, Oid>>,
    functions: HashMap<Box<str>, HashMap<Box<str>, Function>>,
    function_volatility: HashMap<Oid, Volatility>,
    /// Those of somebody's own, by schema and name.
    overloads: HashMap<Box<str>, HashMap<Box<str>, Vec<Oid>>>,
    routines: HashMap<Oid, Routine>,
    operators: BTreeMap<Box<str>, Volatility>,
    types: BTreeMap<Box<str>, Volatility>,
    children_of: HashMap<Oid, Vec<ForeignKey>>,
    parents_of: HashMap<Oid, Vec<ForeignKey>>,
    /// By role, `None` for everybody, and by name.
    settings: HashMap<Option<Box<str>>, Settings>,
}

/// Settings' values by their names.
type Settings = HashMap<Box<str>, Box<str>>;

/// All functions of one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Function {
    /// The most that any of them may do.
    pub(super) volatility: Volatility,
    /// Whether they are PostgreSQL's own.
    pub(super) built_in: bool,
    /// Whether they are all written in C.
    pub(super) in_c: bool,
}

impl Catalog {
    /// Puts the server's rows in order.
    pub fn new(rows: &Rows) -> Self {
        build::catalog(rows)
    }

    pub(super) fn get(&self, relation: Oid) -> Option<&Relation> {
        self.relations.get(&relation)
    }

    pub(super) fn storage(&self, root: Oid) -> Option<&Storage> {
        self.storages.get(&root)
    }

    /// The relation by that name, in a schema or along the path.
    pub(super) fn find(&self, schema: &str, name: &str, path: &[Box<str>]) -> Option<Oid> {
        let look = |schema: &str| self.names.get(schema)?.get(name).copied();
        if !schema.is_empty() {
            return look(schema);
        }
        along(path).find_map(look)
    }

    /// The functions by that name, whichever their arguments: all that the path may lead to.
    pub(super) fn function(&self, schema: &str, name: &str, path: &[Box<str>]) -> Option<Function> {
        let look = |schema: &str| self.functions.get(schema)?.get(name).copied();
        if !schema.is_empty() {
            return look(schema);
        }
        along(path).filter_map(look).reduce(|a, b| Function {
            volatility: a.volatility.max(b.volatility),
            built_in: a.built_in && b.built_in,
            in_c: a.in_c && b.in_c,
        })
    }

    pub(super) fn volatility_of(&self, function: Oid) -> Volatility {
        self.function_volatility.get(&function).copied().unwrap_or(Volatility::Volatile)
    }

    /// What the operators by that name may do, whichever their arguments.
    pub(super) fn operator(&self, name: &str) -> Volatility {
        self.operators.get(name).copied().unwrap_or_default()
    }

    /// What casting to the types by that name may do.
    pub(super) fn cast(&self, name: &str) -> Volatility {
        self.types.get(name).copied().unwrap_or_default()
    }

    /// The foreign keys of a table's own columns.
    pub(super) fn parents_of(&self, root: Oid) -> &[ForeignKey] {
        self.parents_of.get(&root).map_or(&[], Vec::as_slice)
    }

    /// The foreign keys that reference a table.
    pub(super) fn children_of(&self, root: Oid) -> &[ForeignKey] {
        self.children_of.get(&root).map_or(&[], Vec::as_slice)
    }

    /// A setting as a new session of this role has it.
    pub(super) fn setting(&self, role: &str, name: &str) -> Option<&str> {
        let of = |role: Option<&str>| self.settings.get(&role.map(Into::into))?.get(name);
        of(Some(role)).or_else(|| of(None)).map(|value| &**value)
    }

    /// The partitions and heirs of the root of a table, itself left out.
    pub(super) fn heirs(&self, root: Oid) -> impl Iterator<Item = Oid> {
        let all = self.relations.iter();
        all.filter(move |(oid, it)| it.root == root && **oid != root).map(|(oid, _)| *oid)
    }

    /// The tables that are partitions or heirs of no others.
    pub(super) fn roots(&self) -> impl Iterator<Item = Oid> {
        let roots = self.relations.iter().filter(|(oid, it)| it.root == **oid);
        roots.filter(|(_, it)| it.kind == Kind::Table).map(|(oid, _)| *oid)
    }

    /// The tables and views that a statement locks which names this one: itself, and where that is a view,
    /// those that its query names.
    pub(super) fn named_by(&self, relation: Oid) -> BTreeSet<Oid> {
        let mut named = BTreeSet::new();
        let mut open = vec![relation];
        while let Some(oid) = open.pop() {
            let Some(found) = self.relations.get(&oid) else { continue };
            if !matches!(found.kind, Kind::Table | Kind::View) || !named.insert(oid) {
                continue;
            }
            if found.kind == Kind::View {
                open.extend(found.needs.iter().filter_map(|needed| match needed {
                    Needed::Relation(relation) => Some(*relation),
                    Needed::Function(_) => None,
                }));
            }
        }
        named
    }

    /// What a relation leads to: the tables that it reads, and what the functions on the way may do.
    pub(super) fn closure(&self, relation: Oid) -> (BTreeSet<Oid>, Volatility) {
        let (mut seen, mut volatility) = (BTreeSet::new(), Volatility::Immutable);
        let mut open = vec![relation];
        while let Some(relation) = open.pop() {
            if !seen.insert(relation) {
                continue;
            }
            let Some(found) = self.relations.get(&relation) else {
                volatility = Volatility::Volatile;
                continue;
            };
            for need in &found.needs {
                match *need {
                    Needed::Relation(relation) => open.push(relation),
                    Needed::Function(function) => {
                        volatility = volatility.max(self.volatility_of(function))
                    }
                }
            }
        }
        (seen, volatility)
    }
}

/// The schemas that are looked through: `pg_catalog` first, unless the path names it.
fn along(path: &[Box<str>]) -> impl Iterator<Item = &str> {
    let is_named = path.iter().any(|schema| &**schema == "pg_catalog");
    let implicit = (!is_named).then_some("pg_catalog");
    implicit.into_iter().chain(path.iter().map(|schema| &**schema))
}

impl Relation {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    pub(super) fn is_ruled(&self, write: Write) -> bool {
        self.rules[write as usize]
    }
}

impl Storage {
    /// The triggers that fire and may do anything; `changed` are the columns that an UPDATE sets.
    pub(super) fn firing(&self, write: Write, changed: Option<&[&str]>) -> Vec<&Trigger> {
        let fires = |trigger: &&Trigger| {
            let of = |changed: &[&str]| {
                trigger.columns.iter().any(|column| changed.contains(&&**column))
            };
            trigger.on[write as usize]
                && (trigger.columns.is_empty() || write != Write::Update || changed.is_none_or(of))
        };
        self.triggers.iter().filter(fires).collect()
    }
}
