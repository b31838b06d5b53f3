//! What INSERT writes.

use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, Node, OnConflictAction, OnConflictClause, OverridingKind};

use super::pins::Pin;
use super::write::{Row, Target, Written, changes_key, target_column};
use super::{Analysis, Widening, as_select};
use crate::replay::footprint::catalog::Write;
use crate::replay::footprint::template::{Given, MOST_ROWS};
use crate::replay::footprint::{Access, Mode};

impl<'a> Analysis<'a> {
    pub(super) fn insert(&mut self, insert: &InsertStmt) {
        let before = self.enter(insert.with_clause.as_ref());
        let source = insert.select_stmt.as_deref().and_then(as_select);
        if let Some(source) = source {
            self.select(source, None);
        }
        if let Some(conflict) = &insert.on_conflict_clause {
            self.expressions(&conflict.target_list);
            self.expressions(conflict.where_clause.as_deref());
            if let Some(infer) = &conflict.infer {
                self.expressions(&infer.index_elems);
            }
        }
        self.returning(insert.returning_clause.as_ref());
        self.leave(before);
        let Some(target) = self.target(insert.relation.as_ref(), Write::Insert, None) else {
            return;
        };
        let columns: Vec<&str> = match insert.cols.as_slice() {
            [] => {
                let all = target.relation.columns.iter();
                all.map(|column| &*column.name).collect()
            }
            columns => columns.iter().filter_map(target_column).collect(),
        };
        if insert.r#override == OverridingKind::OverridingUserValue as i32 {
            // The identity draws, whatever is given.
            return self.insert_query(&target, &[], insert);
        }
        let values = source.map(|source| source.values_lists.as_slice());
        let rows = match values {
            // DEFAULT VALUES.
            None => vec![Vec::new()],
            Some([]) => return self.insert_query(&target, &columns, insert),
            Some(rows) if rows.len() > MOST_ROWS => {
                self.draw_defaults(&target, &columns);
                let table = self.table(target.relation.root);
                self.add(Access::InsertGiven(table));
                self.whole(target.relation.root, Mode::Write, Widening::ManyRows);
                return self.references(&target, None, &[]);
            }
            Some(rows) => rows.iter().map(|row| self.row(row, &columns)).collect(),
        };
        let all_known = self.insert_rows(&target, &rows);
        if let Some(conflict) = &insert.on_conflict_clause
            && conflict.action == OnConflictAction::OnconflictUpdate as i32
        {
            self.update_instead(&target, conflict, all_known);
        }
    }

    /// `INSERT … SELECT`: which rows, only the server knows. `columns`: those that it gives.
    fn insert_query(&mut self, target: &Target<'a>, columns: &[&str], insert: &InsertStmt) {
        self.draw_defaults(target, columns);
        let table = self.table(target.relation.root);
        match &insert.on_conflict_clause {
            None => self.add(Access::Append(table)),
            // The rows that are there decide.
            Some(conflict) => {
                self.whole(target.relation.root, Mode::Write, Widening::KeyValue);
                if conflict.action == OnConflictAction::OnconflictUpdate as i32 {
                    self.update_instead(target, conflict, false);
                }
            }
        }
        self.references(target, None, &[]);
    }

    fn row<'n>(&self, row: &'n Node, columns: &[&'n str]) -> Row<'n> {
        let Some(NodeEnum::List(values)) = &row.node else { return Vec::new() };
        let written = values.items.iter().map(|value| self.written(value));
        columns.iter().copied().zip(written).collect()
    }

    /// Writes rows under their keys. Returns whether the table's key could be told for all of them.
    fn insert_rows(&mut self, target: &Target<'a>, rows: &[Row<'_>]) -> bool {
        let given = |column: &str| {
            rows.iter().all(|row| {
                let written = row.iter().find(|(name, _)| *name == column);
                written.is_some_and(|(_, written)| !matches!(written, Written::Generated))
            })
        };
        let given: Vec<&str> = target
            .relation
            .columns
            .iter()
            .map(|column| &*column.name)
            .filter(|name| given(name))
            .collect();
        self.draw_defaults(target, &given);
        let root = target.relation.root;
        let table = self.table(root);
        let mut all_known = target.storage.key.is_ok();
        for row in rows {
            match &target.storage.key {
                Ok(key) => {
                    let names = key.iter().map(|column| &*column.name);
                    match pins(target, row, names) {
                        Pinned::Known(pins) => {
                            self.add(Access::InsertGiven(table));
                            match self.rows_of_key(root, key, &pins, Mode::Write) {
                                Ok(rows) => self.template.rows.push(rows),
                                Err(_) => self.whole(root, Mode::Write, Widening::KeyType),
                            }
                        }
                        Pinned::Nothing => {
                            all_known = false;
                            self.add(Access::Append(table));
                        }
                        Pinned::Unknown => {
                            all_known = false;
                            self.add(Access::InsertGiven(table));
                            self.whole(root, Mode::Write, Widening::KeyValue);
                        }
                    }
                }
                Err(_) => self.add(Access::Append(table)),
            }
            for other in &target.storage.others {
                match (pins(target, row, other.columns.iter().map(|name| &**name)), &other.exact) {
                    (Pinned::Nothing, _) => {}
                    (Pinned::Known(pins), Some(exact)) => {
                        match self.rows_of_key(root, exact, &pins, Mode::Write) {
                            Ok(rows) => self.template.rows.push(rows),
                            Err(_) => self.whole(root, Mode::Write, Widening::OtherKey),
                        }
                    }
                    _ => self.whole(root, Mode::Write, Widening::OtherKey),
                }
            }
            self.references(target, Some(row), &[]);
        }
        all_known
    }

    /// What ON CONFLICT DO UPDATE does to the rows that are there.
    fn update_instead(
        &mut self,
        target: &Target<'a>,
        conflict: &OnConflictClause,
        all_known: bool,
    ) {
        let root = target.relation.root;
        let changed: Vec<&str> = conflict.target_list.iter().filter_map(target_column).collect();
        if self.fires(target, Write::Update, &changed) {
            return;
        }
        if !all_known || !names_key(target, conflict) {
            self.whole(root, Mode::Write, Widening::OtherKey);
        } else if let Some(why) = changes_key(target, &changed) {
            self.whole(root, Mode::Write, why);
        }
        self.referenced(root, Write::Update, &changed, &mut Vec::new());
        self.references(target, None, &changed);
    }
}

/// What a row has in the columns of a key.
enum Pinned<'n> {
    Known(Vec<Pin<'n>>),
    /// A NULL, or something that no other row has: nobody can be in its way.
    Nothing,
    Unknown,
}

fn pins<'n>(
    target: &'n Target<'_>,
    row: &'n Row<'n>,
    columns: impl Iterator<Item = &'n str>,
) -> Pinned<'n> {
    let mut all = Vec::new();
    let mut is_known = true;
    for column in columns {
        match target.given(row, column) {
            Written::Null | Written::Generated => return Pinned::Nothing,
            Written::Unknown => is_known = false,
            Written::Known(value, casts) => {
                all.push(Pin { column, given: Given::One(value.clone()), casts: casts.clone() })
            }
        }
    }
    if is_known { Pinned::Known(all) } else { Pinned::Unknown }
}

fn inferred<'n>(conflict: &'n OnConflictClause) -> Option<Vec<&'n str>> {
    let infer = conflict.infer.as_ref()?;
    let column = |node: &'n Node| match &node.node {
        Some(NodeEnum::IndexElem(element)) if element.expr.is_none() => Some(element.name.as_str()),
        _ => None,
    };
    let columns: Option<Vec<&str>> = infer.index_elems.iter().map(column).collect();
    columns.filter(|columns| !columns.is_empty())
}

/// Whether the conflict meant is one of the table's key.
fn names_key(target: &Target<'_>, conflict: &OnConflictClause) -> bool {
    let Ok(key) = &target.storage.key else { return false };
    match inferred(conflict) {
        Some(columns) => {
            columns.len() == key.len() && key.iter().all(|column| columns.contains(&&*column.name))
        }
        // By the constraint's name: there may be others.
        None => target.storage.others.is_empty(),
    }
}
