//! Where foreign keys lead.

use super::pins::Pin;
use super::variables::Step;
use super::written::Change;
use super::written::{Row, Target, Written};
use super::{Analysis, Widening};
use crate::replay::order::footprint::Mode;
use crate::replay::order::footprint::catalog::{Action, ForeignKey, Oid, Write};
use crate::replay::order::footprint::literals::Value;
use crate::replay::order::footprint::template::Given;

impl<'a> Analysis<'a> {
    /// Reads the rows that a row references. `changed`: the columns that an UPDATE sets; none: all.
    pub(super) fn references(
        &mut self,
        target: &Target<'a>,
        row: Option<&Row<'_>>,
        changed: &[&str],
    ) {
        let catalog = self.names.catalog;
        for key in catalog.parents_of(target.relation.root) {
            let touches = |column: &str| changed.is_empty() || changed.contains(&column);
            if key.child_columns.iter().any(|column| touches(column)) {
                self.reference(target, key, row, !changed.is_empty());
            }
        }
    }

    fn reference(
        &mut self,
        target: &Target<'a>,
        foreign: &ForeignKey,
        row: Option<&Row<'_>>,
        is_update: bool,
    ) {
        let mut pins = Vec::new();
        for (child, parent) in foreign.child_columns.iter().zip(&foreign.parent_columns) {
            let written = match row {
                None => None,
                Some(row) if is_update => {
                    let set = row.iter().find(|(name, _)| **name == **child);
                    set.and_then(|(_, written)| given(written))
                }
                Some(row) => given(target.given(row, child)),
            };
            match written {
                // With a NULL in it, it references nothing.
                Some((Value::Null, _)) => return,
                Some((value, way)) => {
                    pins.push(Pin { column: parent, given: Given::One(value), way });
                }
                None => return self.whole(foreign.parent, Mode::Reference, Widening::ForeignKey),
            }
        }
        let parent = self.names.catalog.storage(foreign.parent);
        let key = parent.and_then(|parent| parent.key.as_ref().ok());
        let key = key.filter(|key| key.len() == pins.len());
        match key.map(|key| self.rows_of_key(foreign.parent, key, &pins, Mode::Reference)) {
            Some(Ok(rows)) => self.template.rows.push(rows),
            _ => self.whole(foreign.parent, Mode::Reference, Widening::ForeignKey),
        }
    }

    /// What becomes of the rows that reference those that go or change.
    pub(super) fn referenced(
        &mut self,
        root: Oid,
        write: Write,
        changed: &[&str],
        seen: &mut Vec<(Oid, Write)>,
    ) {
        if seen.contains(&(root, write)) {
            return;
        }
        seen.push((root, write));
        let catalog = self.names.catalog;
        for foreign in catalog.children_of(root) {
            let mut columns = foreign.parent_columns.iter();
            if write == Write::Update && !columns.any(|column| changed.contains(&&**column)) {
                continue;
            }
            let action = match write {
                Write::Update => foreign.on_update,
                Write::Delete => foreign.on_delete,
                Write::Insert => continue,
            };
            let mode = if action == Action::Refuse { Mode::Read } else { Mode::Write };
            self.whole(foreign.child, mode, Widening::ForeignKey);
            let columns: Vec<&str> = foreign.child_columns.iter().map(|name| &**name).collect();
            let follows = match action {
                Action::Refuse => continue,
                Action::Cascade => write,
                Action::Unset => Write::Update,
            };
            let Some(child) = self.written_table(foreign.child) else {
                self.barrier(Widening::UnknownName);
                continue;
            };
            let rewritten = self.fire(&child, follows, Some(&columns), &[Change::default()]);
            let columns = rewritten.with(&columns, &child);
            self.referenced(foreign.child, follows, &columns, seen);
            if !rewritten.is_none() {
                self.references(&child, None, &columns);
            }
        }
    }
}

fn given(written: &Written) -> Option<(Value, Vec<Step>)> {
    match written {
        Written::Null => Some((Value::Null, Vec::new())),
        Written::Known(value, way) => Some((value.clone(), way.clone())),
        Written::Generated | Written::Unknown => None,
    }
}
