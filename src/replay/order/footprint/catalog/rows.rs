//! What the server's catalogs say, row by row.

use super::{Oid, Volatility};

/// Everything that a [`Catalog`](super::Catalog) is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// `search_path` and `default_transaction_isolation`.
    pub settings: Vec<SettingRow>,
    /// Everything with rows or that looks like it, PostgreSQL's own included.
    pub relations: Vec<RelationRow>,
    /// Which table is a partition or heir of which.
    pub heirs: Vec<HeirRow>,
    /// The columns of relations that are not PostgreSQL's own.
    pub columns: Vec<ColumnRow>,
    /// The unique indexes and exclusion constraints.
    pub indexes: Vec<IndexRow>,
    /// The foreign keys.
    pub foreign_keys: Vec<ForeignKeyRow>,
    /// The triggers that somebody made and that fire.
    pub triggers: Vec<TriggerRow>,
    /// The rules that are no view's.
    pub rules: Vec<RuleRow>,
    /// What views, defaults, checks and policies are made of.
    pub dependencies: Vec<DependencyRow>,
    /// The functions, PostgreSQL's own included.
    pub functions: Vec<FunctionRow>,
    /// The bodies of those that are somebody's own, in SQL and PL/pgSQL.
    pub routines: Vec<RoutineRow>,
    /// Operators of somebody's own whose functions do more than compute.
    pub operators: Vec<ImpureRow>,
    /// Types with casts or input functions of somebody's own that do more than compute.
    pub types: Vec<ImpureRow>,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    /// For whom; `None` for everybody else.
    pub role: Option<String>,
    /// Its name.
    pub name: String,
    /// Its value, as `SHOW` tells it.
    pub value: String,
}

/// A row of `pg_class`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationRow {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `relkind`.
    pub kind: char,
}

/// A row of `pg_inherits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeirRow {
    /// The partition or heir.
    pub child: Oid,
    /// Of which table.
    pub parent: Oid,
    /// Whether it is a partition.
    pub is_partition: bool,
}

/// A row of `pg_attribute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRow {
    /// Whose.
    pub relation: Oid,
    /// Its number there.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type; of a domain the type below, of an enumeration `text`.
    pub type_oid: Oid,
    /// The type's modifier; −1 if it has none.
    pub modifier: i32,
    /// Whether it is never NULL.
    pub not_null: bool,
    /// Whether equal values are the same bytes: its collation is deterministic, or it has none.
    pub is_deterministic: bool,
    /// Whether it is computed from others.
    pub is_generated: bool,
    /// Whether it has a default or is an identity.
    pub has_default: bool,
}

/// A row of `pg_index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Its number.
    pub oid: Oid,
    /// The table.
    pub relation: Oid,
    /// Its key columns; 0 for an expression.
    pub columns: Vec<i16>,
    /// All columns that it looks at: in expressions and in its condition too.
    pub mentions: Vec<i16>,
    /// Whether it is the primary key's.
    pub is_primary: bool,
    /// Whether it is checked at once, row by row.
    pub is_immediate: bool,
    /// Whether it holds all rows.
    pub is_whole: bool,
    /// Whether it is unique, and no exclusion constraint's.
    pub is_unique: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKeyRow {
    /// Its number.
    pub oid: Oid,
    /// The table that references.
    pub child: Oid,
    /// With which columns.
    pub child_columns: Vec<i16>,
    /// The table that is referenced.
    pub parent: Oid,
    /// Which of its columns.
    pub parent_columns: Vec<i16>,
    /// `confupdtype`.
    pub on_update: char,
    /// `confdeltype`.
    pub on_delete: char,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerRow {
    /// Its number.
    pub oid: Oid,
    /// On which table or view.
    pub relation: Oid,
    /// `tgtype`.
    pub kind: i16,
    /// The columns of `UPDATE OF`; none: all.
    pub columns: Vec<i16>,
    /// Whether its function is known to change the row at hand at the most.
    pub is_harmless: bool,
    /// Its function.
    pub function: Oid,
    /// Whether it fires with its statement, and its condition does nothing but compare.
    pub is_plain: bool,
    /// The names that its function knows the changed rows by.
    pub transition_tables: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Its number.
    pub oid: Oid,
    /// On which table or view.
    pub relation: Oid,
    /// `ev_type`: `2` update, `3` insert, `4` delete.
    pub event: char,
}

/// Something of a relation that is made of something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyRow {
    /// The relation.
    pub relation: Oid,
    /// What of it.
    pub dependent: Dependent,
    /// What it is made of.
    pub needed: Needed,
}

/// What of a relation depends on something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependent {
    /// The view's query, or one of the table's policies.
    Query,
    /// The default of this column.
    Default(i16),
    /// One of the table's checks.
    Check,
}

/// What something depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needed {
    /// A table, view or sequence.
    Relation(Oid),
    /// A function.
    Function(Oid),
}

/// A row of `pg_proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is declared to do at the most.
    pub volatility: Volatility,
    /// Whether it is written in C.
    pub is_in_c: bool,
    /// Whether it is PostgreSQL's own.
    pub is_built_in: bool,
}

/// What a row of `pg_proc` tells of a function's inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineRow {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `sql` or `plpgsql`.
    pub language: String,
    /// `prosrc`; empty where it was parsed when it was made.
    pub body: String,
    /// All arguments, those that it returns included.
    pub arguments: Vec<ArgumentRow>,
    /// How many of the last arguments may be left out.
    pub defaults: i16,
    /// Whether the last argument takes any number of values.
    pub is_variadic: bool,
    /// Whether it is a procedure.
    pub is_procedure: bool,
    /// The name of the type that it returns.
    pub returns: String,
    /// Whether it returns any number of rows.
    pub returns_set: bool,
    /// As whom it runs, where that is not its caller.
    pub runs_as: Option<String>,
    /// What it sets while it runs, as `name=value`.
    pub settings: Vec<String>,
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentRow {
    /// Its name; empty if it has none.
    pub name: String,
    /// `proargmodes`: `i` in, `o` out, `b` both, `v` variadic, `t` a column of the result.
    pub mode: char,
    /// The name of its type.
    pub type_name: String,
}

/// An operator or type that may do more than compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpureRow {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub volatility: Volatility,
}
