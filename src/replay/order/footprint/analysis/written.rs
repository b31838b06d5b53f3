//! What is written: rows, columns and tables, as far as can be told.

use super::variables::{Record, Step};
use crate::replay::order::footprint::catalog::{Oid, Relation, Storage};
use crate::replay::order::footprint::literals::Value;

/// What a statement writes to a column.
pub(super) enum Written {
    Null,
    Known(Value, Vec<Step>),
    /// Something that no other row has.
    Generated,
    Unknown,
}

/// A row to be inserted, as far as it can be told: what each column is given.
pub(super) type Row<'n> = Vec<(&'n str, Written)>;

/// A table that is written.
pub(super) struct Target<'a> {
    pub(super) oid: Oid,
    pub(super) relation: &'a Relation,
    pub(super) storage: &'a Storage,
}

/// The row before and after a write, as far as it can be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) old: Record,
    pub(super) new: Record,
}
