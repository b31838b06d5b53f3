//! What INSERT writes.

use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, Node, OnConflictAction, OnConflictClause, OverridingKind};

use super::pins::Pin;
use super::triggers::Rewritten;
use super::variables::Record;
use super::write::{changes_key, target_column};
use super::written::Change;
use super::written::{Row, Target, Written};
use super::{Analysis, Widening, as_select};
use crate::replay::order::footprint::catalog::Write;
use crate::replay::order::footprint::template::{Given, MOST_ROWS};
use crate::replay::order::footprint::{Access, Mode};

/// How many added rows triggers are followed for one by one.
const MOST_FIRED: usize = 20;

impl<'a> Analysis<'a> {
    pub(super) fn insert(&mut self, insert: &InsertStmt) {
        let before = self.enter(insert.with_clause.as_ref());
        let source = insert.select_stmt.as_deref().and_then(as_select);
        if let Some(source) = source {
            self.select(source, None);
        }
        let values = source.map_or(&[][..], |source| source.values_lists.as_slice());
        // What is written has to be told before columns come into sight.
        let values: Vec<Vec<Written>> = match values.len() {
            0..=MOST_ROWS => values.iter().map(|row| self.written_row(row)).collect(),
            _ => Vec::new(),
        };
        self.beside(insert);
        self.leave(before);
        let Some(target) = self.target(insert.relation.as_ref(), Write::Insert) else { return };
        self.check(&target);
        let columns: Vec<&str> = match insert.cols.as_slice() {
            [] => {
                let all = target.relation.columns.iter();
                all.map(|column| &*column.name).collect()
            }
            columns => columns.iter().filter_map(target_column).collect(),
        };
        if insert.r#override == OverridingKind::OverridingUserValue as i32 {
            // The identity draws, whatever is given.
            self.fire_inserts(&target, &[]);
            return self.insert_query(&target, &[], insert);
        }
        let row = |values: Vec<Written>| columns.iter().copied().zip(values).collect();
        let rows: Vec<Row<'_>> = match source {
            // DEFAULT VALUES.
            None => vec![Vec::new()],
            Some(_) => values.into_iter().map(row).collect(),
        };
        let rewritten = self.fire_inserts(&target, &rows);
        match source.map_or(0, |source| source.values_lists.len()) {
            0 if rows.is_empty() => self.insert_query(&target, &columns, insert),
            0..=MOST_ROWS => self.insert_values(&target, rows, &rewritten, insert),
            _ => {
                self.draw_defaults(&target, &columns);
                let table = self.table(target.relation.root);
                self.add(Access::InsertGiven(table));
                self.whole(target.relation.root, Mode::Write, Widening::ManyRows);
                self.references(&target, None, &[]);
            }
        }
    }

    /// What an INSERT does besides adding rows.
    fn beside(&mut self, insert: &InsertStmt) {
        if let Some(conflict) = &insert.on_conflict_clause {
            self.obscure();
            self.expressions(&conflict.target_list);
            self.expressions(conflict.where_clause.as_deref());
            if let Some(infer) = &conflict.infer {
                self.expressions(&infer.index_elems);
            }
        }
        self.obscure();
        self.returning(insert.returning_clause.as_ref());
    }

    fn insert_values<'n>(
        &mut self,
        target: &'n Target<'a>,
        mut rows: Vec<Row<'n>>,
        rewritten: &'n Rewritten,
        insert: &InsertStmt,
    ) {
        self.draw_left_out(target, &rows);
        for row in &mut rows {
            row.retain(|(column, _)| !rewritten.of(target).any(|other| other == *column));
            row.extend(rewritten.of(target).map(|column| (column, Written::Unknown)));
        }
        let all_known = self.insert_rows(target, &rows);
        if let Some(conflict) = &insert.on_conflict_clause
            && conflict.action == OnConflictAction::OnconflictUpdate as i32
        {
            self.update_instead(target, conflict, all_known);
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

    fn written_row(&self, row: &Node) -> Vec<Written> {
        let Some(NodeEnum::List(values)) = &row.node else { return Vec::new() };
        values.items.iter().map(|value| self.written(value)).collect()
    }

    /// Sets off the triggers of rows that are added; none: nothing is known of them.
    fn fire_inserts(&mut self, target: &Target<'a>, rows: &[Row<'_>]) -> Rewritten {
        let change = |new| Change { old: Record::null(), new };
        let changes: Vec<Change> = match rows {
            rows if (1..=MOST_FIRED).contains(&rows.len()) => {
                rows.iter().map(|row| change(self.inserted_row(target, row))).collect()
            }
            _ => vec![change(Record::default())],
        };
        self.fire(target, Write::Insert, None, &changes)
    }

    /// Draws the defaults of columns that a row does not give.
    fn draw_left_out(&mut self, target: &Target<'a>, rows: &[Row<'_>]) {
        let given = |column: &str| {
            rows.iter().all(|row| {
                let written = row.iter().find(|(name, _)| *name == column);
                written.is_some_and(|(_, written)| !matches!(written, Written::Generated))
            })
        };
        let all = target.relation.columns.iter().map(|column| &*column.name);
        let given: Vec<&str> = all.filter(|name| given(name)).collect();
        self.draw_defaults(target, &given);
    }

    /// Writes rows under their keys. Returns whether the table's key could be told for all of them.
    fn insert_rows(&mut self, target: &Target<'a>, rows: &[Row<'_>]) -> bool {
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
        let rewritten = self.fire(target, Write::Update, Some(&changed), &[Change::default()]);
        let changed = rewritten.with(&changed, target);
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
            Written::Known(value, way) => {
                all.push(Pin { column, given: Given::One(value.clone()), way: way.clone() })
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
