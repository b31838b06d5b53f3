//! What UPDATE, DELETE and MERGE write, and what is common to all commands that do.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CmdType, DeleteStmt, MergeStmt, Node, RangeVar, ReturningClause, UpdateStmt,
};

use super::pins::{Pin, Scope};
use super::query::item;
use super::variables::Record;
use super::written::{Change, Row, Target, Written};
use super::{Analysis, Found, Widening};
use crate::replay::order::footprint::catalog::{Column, Kind, Oid, Relation, Write};
use crate::replay::order::footprint::literals::Value;
use crate::replay::order::footprint::template;
use crate::replay::order::footprint::{Access, LockMode, Mode};

impl<'a> Analysis<'a> {
    pub(super) fn update(&mut self, update: &UpdateStmt) {
        let before = self.enter(update.with_clause.as_ref());
        let mut scope = Scope::default();
        let changed: Vec<&str> = update.target_list.iter().filter_map(target_column).collect();
        let target = self.target(update.relation.as_ref(), Write::Update);
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
        let row: Row<'_> =
            update.target_list.iter().filter_map(|node| self.assigned(node)).collect();
        let old = self.found_row(&target, &pins);
        let new = self.updated_row(&target, &old, &row, &changed);
        let rewritten = self.fire(&target, Write::Update, Some(&changed), &[Change { old, new }]);
        let changed = rewritten.with(&changed, &target);
        self.check(&target);
        match changes_key(&target, &changed) {
            Some(why) => self.whole(target.relation.root, Mode::Write, why),
            None => self.pinned(target.relation, &pins, self.mode_of_update(&target, &changed)),
        }
        self.referenced(target.relation.root, Write::Update, &changed, &mut Vec::new());
        let mut row = row;
        row.retain(|(column, _)| !rewritten.of(&target).any(|other| other == *column));
        self.references(&target, Some(&row), &changed);
    }

    /// How an UPDATE of these columns, none of them of the table's key, changes its rows.
    fn mode_of_update(&self, target: &Target<'a>, changed: &[&str]) -> Mode {
        let foreign_keys = self.names.catalog.children_of(target.relation.root);
        let mut referenced = foreign_keys.iter().flat_map(|foreign| &foreign.parent_columns);
        match referenced.any(|column| changed.contains(&&**column)) {
            true => Mode::Write,
            false => Mode::Update,
        }
    }

    /// The column and value of an element of SET.
    fn assigned<'n>(&self, node: &'n Node) -> Option<(&'n str, Written)> {
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
        let target = self.target(delete.relation.as_ref(), Write::Delete);
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
        let old = self.found_row(&target, &pins);
        self.fire(&target, Write::Delete, None, &[Change { old, new: Record::null() }]);
        if target.storage.others.is_empty() {
            self.pinned(target.relation, &pins, Mode::Write);
        } else {
            // The values of its other unique indexes are free for others now.
            self.whole(target.relation.root, Mode::Write, Widening::OtherKey);
        }
        self.referenced(target.relation.root, Write::Delete, &[], &mut Vec::new());
    }

    pub(super) fn merge(&mut self, merge: &MergeStmt) {
        let before = self.enter(merge.with_clause.as_ref());
        if let Some(name) = &merge.relation
            && let Some(found) = self.find_table(&name.schemaname, &name.relname)
        {
            self.see(&item(name, found));
        }
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
            let Some(target) = self.target(merge.relation.as_ref(), write) else { continue };
            let rewritten = self.fire(&target, write, Some(&columns), &[Change::default()]);
            let columns = rewritten.with(&columns, &target);
            if write != Write::Delete {
                self.check(&target);
            }
            self.whole(target.relation.root, Mode::Write, Widening::WholeTable);
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

    pub(super) fn returning(&mut self, returning: Option<&ReturningClause>) {
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
    pub(super) fn target(&mut self, name: Option<&RangeVar>, write: Write) -> Option<Target<'a>> {
        // A WITH query of that name is not meant.
        let found = name.and_then(|name| self.find_table(&name.schemaname, &name.relname))?;
        if let Some(name) = name.filter(|_| write != Write::Insert) {
            self.see(&item(name, found));
        }
        let Found::Relation(oid, relation) = found else { return None };
        // Which of its tables is written through a view, it decides.
        let is_view = relation.kind == Kind::View;
        self.takes(oid, if is_view { LockMode::AccessShare } else { LockMode::RowExclusive });
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
        Some(Target { oid, relation, storage })
    }

    /// A table that is written without being named.
    pub(super) fn written_table(&self, root: Oid) -> Option<Target<'a>> {
        let relation = self.names.catalog.get(root)?;
        let storage = self.names.catalog.storage(root)?;
        Some(Target { oid: root, relation, storage })
    }

    /// What the table's checks do with new rows.
    pub(super) fn check(&mut self, target: &Target<'a>) {
        self.impure(target.storage.checks, Widening::VolatileOperator);
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
            let target = Target { oid: base, relation, storage };
            self.fire(&target, write, None, &[Change::default()]);
            if relation.kind == Kind::Table {
                self.check(&target);
                if write == Write::Insert {
                    self.draw_defaults(&target, &[]);
                }
                if write != Write::Delete {
                    self.references(&target, None, &[]);
                }
                let all: Vec<&str> = relation.columns.iter().map(|column| &*column.name).collect();
                self.referenced(relation.root, write, &all, &mut Vec::new());
            }
        }
    }

    /// Draws what the columns that an INSERT leaves out have for defaults.
    pub(super) fn draw_defaults(&mut self, target: &Target<'a>, given: &[&str]) {
        let is_left_out = |column: &&Column| !given.contains(&&*column.name) && !column.generated;
        for column in target.relation.columns.iter().filter(is_left_out) {
            self.impure(column.default, Widening::VolatileOperator);
            if let Some(sequence) = column.sequence {
                self.add(Access::Advance(template::sequence(self.names.database, sequence)));
            }
        }
    }

    pub(super) fn written(&self, node: &Node) -> Written {
        if matches!(node.node, Some(NodeEnum::SetToDefault(_))) || self.is_generated(node) {
            return Written::Generated;
        }
        match self.cast_value(node) {
            Some((Value::Null, _)) => Written::Null,
            Some((value, way)) => Written::Known(value, way),
            None => Written::Unknown,
        }
    }
}

impl Target<'_> {
    /// What a column gets in a row, defaults included.
    pub(super) fn given<'r>(&'r self, row: &'r Row<'_>, name: &str) -> &'r Written {
        let given = row.iter().find(|(column, _)| *column == name).map(|(_, written)| written);
        let has_default = || self.relation.column(name).is_none_or(|column| column.has_default);
        match given {
            // DEFAULT stands for NULL where there is none.
            Some(Written::Generated) | None if !has_default() => &Written::Null,
            Some(written) => written,
            None => &Written::Generated,
        }
    }
}

pub(super) fn target_column(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(&target.name),
        _ => None,
    }
}

/// Why an UPDATE of these columns writes more than the row it finds.
pub(super) fn changes_key(target: &Target<'_>, changed: &[&str]) -> Option<Widening> {
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
