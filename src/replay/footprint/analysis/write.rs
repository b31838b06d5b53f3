//! What INSERT, UPDATE, DELETE and MERGE write, and what that leads to elsewhere.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CmdType, DeleteStmt, InsertStmt, MergeStmt, Node, OnConflictAction, OnConflictClause, RangeVar,
    ReturningClause, UpdateStmt,
};

use super::pins::{Pin, Scope};
use super::query::item;
use super::{Analysis, Found, Widening, as_select};
use crate::replay::footprint::Access;
use crate::replay::footprint::catalog::{
    Action, Column, ForeignKey, Kind, Oid, Purity, Relation, Storage, Write,
};
use crate::replay::footprint::literals::Value;
use crate::replay::footprint::template::{self, Given, MOST_ROWS};

/// What a statement writes to a column.
enum Written<'n> {
    Null,
    Known(Value, Vec<&'n str>),
    /// Something that no other row has.
    Generated,
    Unknown,
}

/// A row to be inserted, as far as it can be told: what each column is given.
type Row<'n> = Vec<(&'n str, Written<'n>)>;

/// A table that is written.
struct Target<'a> {
    oid: Oid,
    relation: &'a Relation,
    storage: &'a Storage,
}

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
        let values = source.map(|source| source.values_lists.as_slice());
        let rows = match values {
            // DEFAULT VALUES.
            None => vec![Vec::new()],
            Some([]) => return self.insert_query(&target, &columns, insert),
            Some(rows) if rows.len() > MOST_ROWS => {
                self.draw_defaults(&target, &columns);
                self.whole(target.relation.root, true, Widening::ManyRows);
                return self.references(&target, None, &[]);
            }
            Some(rows) => rows.iter().map(|row| self.row(row, &columns)).collect(),
        };
        let all_known = self.insert_rows(&target, &rows);
        if let Some(conflict) = &insert.on_conflict_clause {
            self.conflict(&target, conflict, all_known);
        }
    }

    /// `INSERT … SELECT`: which rows, only the server knows.
    fn insert_query(&mut self, target: &Target<'a>, columns: &[&str], insert: &InsertStmt) {
        self.draw_defaults(target, columns);
        match &insert.on_conflict_clause {
            Some(conflict) => self.conflict(target, conflict, false),
            None => {
                let table = self.table(target.relation.root);
                self.add(Access::Append(table));
            }
        }
        self.references(target, None, &[]);
    }

    fn row<'n>(&self, row: &'n Node, columns: &[&'n str]) -> Row<'n> {
        let Some(NodeEnum::List(values)) = &row.node else { return Vec::new() };
        let written = values.items.iter().map(|value| self.written(value));
        columns.iter().copied().zip(written).collect()
    }

    fn written<'n>(&self, node: &'n Node) -> Written<'n> {
        if matches!(node.node, Some(NodeEnum::SetToDefault(_))) || self.is_generated(node) {
            return Written::Generated;
        }
        match self.cast_value(node) {
            Some((Value::Null, _)) => Written::Null,
            Some((value, casts)) => Written::Known(value, casts),
            None => Written::Unknown,
        }
    }

    /// What a column gets in a row, defaults included.
    fn of<'r>(target: &'r Target<'_>, row: &'r Row<'_>, name: &str) -> &'r Written<'r> {
        let given = row.iter().find(|(column, _)| *column == name).map(|(_, written)| written);
        let has_default = || target.relation.column(name).is_none_or(|column| column.has_default);
        match given {
            // DEFAULT stands for NULL where there is none.
            Some(Written::Generated) | None if !has_default() => &Written::Null,
            Some(written) => written,
            None => &Written::Generated,
        }
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
                        Pinned::Known(pins) => match self.rows_of_key(root, key, &pins, true) {
                            Ok(rows) => self.template.rows.push(rows),
                            Err(_) => self.whole(root, true, Widening::KeyType),
                        },
                        Pinned::Nothing => {
                            all_known = false;
                            self.add(Access::Append(table));
                        }
                        Pinned::Unknown => {
                            all_known = false;
                            self.whole(root, true, Widening::KeyValue);
                        }
                    }
                }
                Err(_) => self.add(Access::Append(table)),
            }
            for other in &target.storage.others {
                match (pins(target, row, other.columns.iter().map(|name| &**name)), &other.exact) {
                    (Pinned::Nothing, _) => {}
                    (Pinned::Known(pins), Some(exact)) => {
                        match self.rows_of_key(root, exact, &pins, true) {
                            Ok(rows) => self.template.rows.push(rows),
                            Err(_) => self.whole(root, true, Widening::OtherKey),
                        }
                    }
                    _ => self.whole(root, true, Widening::OtherKey),
                }
            }
            self.references(target, Some(row), &[]);
        }
        all_known
    }

    /// What ON CONFLICT does to the rows that are there.
    fn conflict(&mut self, target: &Target<'a>, conflict: &OnConflictClause, all_known: bool) {
        let root = target.relation.root;
        if conflict.action != OnConflictAction::OnconflictUpdate as i32 {
            // Whether a row is there decides; where all keys are known, that row is ordered.
            if !all_known && target.storage.key.is_ok() && !names_other_key(target, conflict) {
                self.whole(root, true, Widening::KeyValue);
            }
            return;
        }
        let changed: Vec<&str> = conflict.target_list.iter().filter_map(target_column).collect();
        if self.fires(target, Write::Update, &changed) {
            return;
        }
        if !all_known || !names_key(target, conflict) {
            self.whole(root, true, Widening::OtherKey);
        } else if let Some(why) = changes_key(target, &changed) {
            self.whole(root, true, why);
        }
        self.referenced(root, Write::Update, &changed, &mut Vec::new());
        self.references(target, None, &changed);
    }

    pub(super) fn update(&mut self, update: &UpdateStmt) {
        let before = self.enter(update.with_clause.as_ref());
        let mut scope = Scope::default();
        let changed: Vec<&str> = update.target_list.iter().filter_map(target_column).collect();
        let target = self.target(update.relation.as_ref(), Write::Update, Some(&changed));
        self.others(&update.from_clause, &mut scope);
        self.expressions(&update.target_list);
        self.expressions(update.where_clause.as_deref());
        self.returning(update.returning_clause.as_ref());
        self.leave(before);
        let Some(target) = target else {
            return self.look_at_others(&mut scope, update.where_clause.as_deref());
        };
        let pins = self.target_pins(
            &target,
            update.relation.as_ref(),
            &mut scope,
            update.where_clause.as_deref(),
        );
        match changes_key(&target, &changed) {
            Some(why) => self.whole(target.relation.root, true, why),
            None => self.pinned(target.relation, &pins, true),
        }
        self.referenced(target.relation.root, Write::Update, &changed, &mut Vec::new());
        let row: Row<'_> =
            update.target_list.iter().filter_map(|node| self.assigned(node)).collect();
        self.references(&target, Some(&row), &changed);
    }

    /// The column and value of an element of SET.
    fn assigned<'n>(&self, node: &'n Node) -> Option<(&'n str, Written<'n>)> {
        let Some(NodeEnum::ResTarget(assignment)) = &node.node else { return None };
        let written = match &assignment.val {
            Some(value) if assignment.indirection.is_empty() => match self.written(value) {
                Written::Generated => Written::Unknown,
                written => written,
            },
            _ => Written::Unknown,
        };
        Some((&assignment.name, written))
    }

    pub(super) fn delete(&mut self, delete: &DeleteStmt) {
        let before = self.enter(delete.with_clause.as_ref());
        let mut scope = Scope::default();
        let target = self.target(delete.relation.as_ref(), Write::Delete, None);
        self.others(&delete.using_clause, &mut scope);
        self.expressions(delete.where_clause.as_deref());
        self.returning(delete.returning_clause.as_ref());
        self.leave(before);
        let Some(target) = target else {
            return self.look_at_others(&mut scope, delete.where_clause.as_deref());
        };
        let pins = self.target_pins(
            &target,
            delete.relation.as_ref(),
            &mut scope,
            delete.where_clause.as_deref(),
        );
        if target.storage.others.is_empty() {
            self.pinned(target.relation, &pins, true);
        } else {
            // The values of its other unique indexes are free for others now.
            self.whole(target.relation.root, true, Widening::OtherKey);
        }
        self.referenced(target.relation.root, Write::Delete, &[], &mut Vec::new());
    }

    pub(super) fn merge(&mut self, merge: &MergeStmt) {
        let before = self.enter(merge.with_clause.as_ref());
        let mut scope = Scope::default();
        if let Some(source) = &merge.source_relation {
            self.others(std::slice::from_ref(source), &mut scope);
        }
        self.look_at_others(&mut scope, None);
        self.expressions(merge.join_condition.as_deref());
        for node in &merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &node.node else { continue };
            self.expressions(when.condition.as_deref());
            self.expressions(&when.target_list);
            self.expressions(&when.values);
            let write = match CmdType::try_from(when.command_type) {
                Ok(CmdType::CmdInsert) => Write::Insert,
                Ok(CmdType::CmdUpdate) => Write::Update,
                Ok(CmdType::CmdDelete) => Write::Delete,
                _ => continue,
            };
            let columns: Vec<&str> = when.target_list.iter().filter_map(target_column).collect();
            let changed = (write == Write::Update).then_some(columns.as_slice());
            let Some(target) = self.target(merge.relation.as_ref(), write, changed) else {
                continue;
            };
            self.whole(target.relation.root, true, Widening::WholeTable);
            match write {
                Write::Insert => {
                    self.draw_defaults(&target, &columns);
                    self.references(&target, None, &[]);
                }
                Write::Update => {
                    self.referenced(target.relation.root, write, &columns, &mut Vec::new());
                    self.references(&target, None, &columns);
                }
                Write::Delete => {
                    self.referenced(target.relation.root, write, &[], &mut Vec::new());
                }
            }
        }
        self.returning(merge.returning_clause.as_ref());
        self.leave(before);
    }

    fn returning(&mut self, returning: Option<&ReturningClause>) {
        if let Some(returning) = returning {
            self.expressions(&returning.exprs);
        }
    }

    /// The relations of an UPDATE's FROM or a DELETE's USING.
    fn others<'n>(&mut self, from: &'n [Node], scope: &mut Scope<'n, 'a>) {
        for node in from {
            self.from(node, true, scope, &|_| None);
        }
    }

    fn look_at_others<'n>(&mut self, scope: &mut Scope<'n, 'a>, condition: Option<&'n Node>) {
        scope.conditions.extend(condition);
        for item in 0..scope.items.len() {
            self.look(scope, item, None);
        }
    }

    /// Reads the other relations, and tells what pins the target.
    fn target_pins<'n>(
        &mut self,
        target: &Target<'a>,
        name: Option<&'n RangeVar>,
        scope: &mut Scope<'n, 'a>,
        condition: Option<&'n Node>,
    ) -> Vec<Pin<'n>> {
        self.look_at_others(scope, condition);
        let Some(name) = name else { return Vec::new() };
        let found = Found::Relation(target.oid, target.relation);
        scope.items.push(item(name, found));
        self.pins(scope, scope.items.len() - 1)
    }

    /// The table that a command writes, if nothing but its rows is at stake.
    fn target(
        &mut self,
        name: Option<&RangeVar>,
        write: Write,
        changed: Option<&[&str]>,
    ) -> Option<Target<'a>> {
        let Found::Relation(oid, relation) = self.find(name?)? else { return None };
        if relation.is_ruled(write) || relation.instead {
            self.barrier(Widening::Rule);
            return None;
        }
        match relation.kind {
            Kind::Table => {}
            Kind::View => {
                self.write_view(oid, relation, write);
                return None;
            }
            Kind::Foreign => {
                self.barrier(Widening::Foreign);
                return None;
            }
            Kind::Sequence | Kind::System => {
                self.barrier(Widening::Command);
                return None;
            }
        }
        self.needs(oid, relation, false);
        let Some(storage) = self.names.catalog.storage(relation.root) else {
            self.barrier(Widening::UnknownName);
            return None;
        };
        let target = Target { oid, relation, storage };
        (!self.fires(&target, write, changed.unwrap_or_default())).then_some(target)
    }

    /// Whether a write sets off what may do anything.
    fn fires(&mut self, target: &Target<'a>, write: Write, changed: &[&str]) -> bool {
        if target.storage.fires(write, Some(changed)) {
            self.barrier(Widening::Trigger);
            return true;
        }
        if write != Write::Delete {
            self.impure(target.storage.checks, Widening::VolatileOperator);
        }
        target.storage.checks == Purity::Volatile && write != Write::Delete
    }

    /// A view without rules of its own: what is written goes through to its table.
    fn write_view(&mut self, oid: Oid, view: &Relation, write: Write) {
        self.needs(oid, view, true);
        for base in self.names.catalog.closure(oid).0 {
            let Some(relation) = self.names.catalog.get(base) else { continue };
            if relation.is_ruled(write) || relation.instead {
                self.barrier(Widening::Rule);
            }
            let Some(storage) = self.names.catalog.storage(relation.root) else { continue };
            if storage.fires(write, None) {
                self.barrier(Widening::Trigger);
            }
            if relation.kind == Kind::Table {
                let target = Target { oid: base, relation, storage };
                self.impure(storage.checks, Widening::VolatileOperator);
                self.draw_defaults(&target, &[]);
                self.references(&target, None, &[]);
                let all: Vec<&str> = relation.columns.iter().map(|column| &*column.name).collect();
                self.referenced(relation.root, write, &all, &mut Vec::new());
            }
        }
    }

    /// Draws what the columns that an INSERT leaves out have for defaults.
    fn draw_defaults(&mut self, target: &Target<'a>, given: &[&str]) {
        let is_left_out = |column: &&Column| !given.contains(&&*column.name) && !column.generated;
        for column in target.relation.columns.iter().filter(is_left_out) {
            self.impure(column.default, Widening::VolatileOperator);
            if let Some(sequence) = column.sequence {
                self.add(Access::Draw(template::sequence(self.names.database, sequence)));
            }
        }
    }

    /// Reads the rows that a row references. `changed`: the columns that an UPDATE sets; none: all.
    fn references(&mut self, target: &Target<'a>, row: Option<&Row<'_>>, changed: &[&str]) {
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
                Some(row) => given(Self::of(target, row, child)),
            };
            match written {
                // With a NULL in it, it references nothing.
                Some((Value::Null, _)) => return,
                Some((value, casts)) => {
                    pins.push(Pin { column: parent, given: Given::One(value), casts });
                }
                None => return self.whole(foreign.parent, false, Widening::ForeignKey),
            }
        }
        let parent = self.names.catalog.storage(foreign.parent);
        let key = parent.and_then(|parent| parent.key.as_ref().ok());
        let key = key.filter(|key| key.len() == pins.len());
        match key.map(|key| self.rows_of_key(foreign.parent, key, &pins, false)) {
            Some(Ok(rows)) => self.template.rows.push(rows),
            _ => self.whole(foreign.parent, false, Widening::ForeignKey),
        }
    }

    /// What becomes of the rows that reference those that go or change.
    fn referenced(
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
            let touches = |column: &Box<str>| changed.contains(&&**column);
            if write == Write::Update && !foreign.parent_columns.iter().any(touches) {
                continue;
            }
            let action = match write {
                Write::Update => foreign.on_update,
                Write::Delete => foreign.on_delete,
                Write::Insert => continue,
            };
            self.whole(foreign.child, action != Action::Refuse, Widening::ForeignKey);
            let columns: Vec<&str> = foreign.child_columns.iter().map(|name| &**name).collect();
            let follows = match action {
                Action::Refuse => continue,
                Action::Cascade => write,
                Action::Unset => Write::Update,
            };
            if catalog
                .storage(foreign.child)
                .is_none_or(|child| child.fires(follows, Some(&columns)))
            {
                self.barrier(Widening::Trigger);
            }
            self.referenced(foreign.child, follows, &columns, seen);
        }
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
        match Analysis::of(target, row, column) {
            Written::Null | Written::Generated => return Pinned::Nothing,
            Written::Unknown => is_known = false,
            Written::Known(value, casts) => {
                all.push(Pin { column, given: Given::One(value.clone()), casts: casts.clone() })
            }
        }
    }
    if is_known { Pinned::Known(all) } else { Pinned::Unknown }
}

fn given<'n>(written: &Written<'n>) -> Option<(Value, Vec<&'n str>)> {
    match written {
        Written::Null => Some((Value::Null, Vec::new())),
        Written::Known(value, casts) => Some((value.clone(), casts.clone())),
        Written::Generated | Written::Unknown => None,
    }
}

fn target_column(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(&target.name),
        _ => None,
    }
}

/// Why an UPDATE of these columns writes more than the row it finds.
fn changes_key(target: &Target<'_>, changed: &[&str]) -> Option<Widening> {
    let changes = |name: &str| changed.contains(&name);
    let key = target.storage.key.as_ref().ok()?;
    if key.iter().any(|column| changes(&column.name)) {
        return Some(Widening::KeyChanged);
    }
    let others = &mut target.storage.others.iter();
    others
        .any(|other| other.mentions.iter().any(|name| changes(name)))
        .then_some(Widening::OtherKey)
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

/// Whether the conflict meant is one of another index whose values were told.
fn names_other_key(target: &Target<'_>, conflict: &OnConflictClause) -> bool {
    let Some(columns) = inferred(conflict) else { return false };
    target.storage.others.iter().any(|other| {
        other.exact.is_some()
            && other.columns.len() == columns.len()
            && other.columns.iter().all(|column| columns.contains(&&**column))
    })
}
