//! What queries read and lock.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, LockClauseStrength, LockWaitPolicy, LockingClause, Node, RangeVar, SelectStmt,
    WithClause,
};

use super::pins::{Item, Scope, is_inner};
use super::{Analysis, Found, Widening};
use crate::replay::order::footprint::catalog::{Kind, Oid, Relation};
use crate::replay::order::footprint::template;
use crate::replay::order::footprint::{Access, LockMode, Mode};

/// How a query locks the rows that it finds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    /// Against those who change them (`FOR SHARE`, `FOR KEY SHARE`): to the order, that is reading them.
    Share,
    /// Against all other writers.
    Rows(Mode),
    /// As many as are free.
    FreeRows,
}

impl<'a> Analysis<'a> {
    /// A statement that a WITH, an EXPLAIN, a cursor may hold.
    pub(super) fn query(&mut self, node: &Node) {
        self.template.reads_by_snapshot = true;
        match &node.node {
            Some(NodeEnum::SelectStmt(select)) => self.select(select, None),
            Some(NodeEnum::InsertStmt(insert)) => self.insert(insert),
            Some(NodeEnum::UpdateStmt(update)) => self.update(update),
            Some(NodeEnum::DeleteStmt(delete)) => self.delete(delete),
            Some(NodeEnum::MergeStmt(merge)) => self.merge(merge),
            _ => self.barrier(Widening::Construct),
        }
    }

    /// Brings the queries of a WITH into sight. Returns what to give to [`Self::leave`].
    pub(super) fn enter(&mut self, with: Option<&WithClause>) -> usize {
        let before = self.ctes.len();
        let Some(with) = with else { return before };
        let ctes = || {
            with.ctes.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::CommonTableExpr(cte)) => Some(cte),
                _ => None,
            })
        };
        if with.recursive {
            self.ctes.extend(ctes().map(|cte| cte.ctename.clone()));
        }
        for cte in ctes() {
            if let Some(query) = &cte.ctequery {
                self.query(query);
            }
            if !with.recursive {
                self.ctes.push(cte.ctename.clone());
            }
        }
        before
    }

    pub(super) fn leave(&mut self, before: usize) {
        self.ctes.truncate(before);
    }

    pub(super) fn select(&mut self, select: &SelectStmt, outer: Option<Lock>) {
        let before = self.enter(select.with_clause.as_ref());
        if let Some(into) = &select.into_clause {
            self.select_into(into);
        }
        for side in [&select.larg, &select.rarg].into_iter().flatten() {
            self.select(side, outer);
        }
        let mut scope = Scope::default();
        for node in &select.from_clause {
            self.from(node, true, &mut scope, &|name| {
                outer.max(lock_of(&select.locking_clause, name))
            });
        }
        scope.conditions.extend(select.where_clause.as_deref());
        for item in 0..scope.items.len() {
            let lock = outer.max(lock_of(&select.locking_clause, scope.items[item].name));
            self.look(&scope, item, lock);
        }
        for list in [
            &select.distinct_clause,
            &select.target_list,
            &select.group_clause,
            &select.window_clause,
            &select.values_lists,
            &select.sort_clause,
        ] {
            self.expressions(list);
        }
        for node in
            [&select.where_clause, &select.having_clause, &select.limit_offset, &select.limit_count]
        {
            self.expressions(node.as_deref());
        }
        self.leave(before);
    }

    /// Brings what a FROM names into sight. `inner`: no row comes through that does not meet the
    /// conditions of the joins.
    pub(super) fn from<'n>(
        &mut self,
        node: &'n Node,
        inner: bool,
        scope: &mut Scope<'n, 'a>,
        lock: &dyn Fn(&str) -> Option<Lock>,
    ) {
        match &node.node {
            Some(NodeEnum::RangeVar(name)) => self.range(name, scope),
            Some(NodeEnum::JoinExpr(join)) => {
                let inner = inner && is_inner(join.jointype);
                let first = scope.items.len();
                for side in [&join.larg, &join.rarg].into_iter().flatten() {
                    self.from(side, inner, scope, lock);
                }
                if let Some(condition) = &join.quals {
                    self.expression(condition);
                    if inner {
                        scope.conditions.push(condition);
                    }
                }
                // The alias of a join hides what it joins.
                let is_hidden = join.alias.is_some();
                if is_hidden {
                    self.obscure();
                }
                scope.items[first..].iter_mut().for_each(|item| item.is_renamed |= is_hidden);
            }
            Some(NodeEnum::RangeSubselect(subselect)) => {
                let name = subselect.alias.as_ref().map_or("", |alias| &alias.aliasname);
                if let Some(query) = &subselect.subquery {
                    match super::as_select(query) {
                        Some(select) => self.select(select, lock(name)),
                        None => self.query(query),
                    }
                }
                self.obscure();
            }
            Some(NodeEnum::RangeFunction(function)) => {
                self.obscure();
                for function in &function.functions {
                    match &function.node {
                        // The function and its column definitions.
                        Some(NodeEnum::List(list)) => {
                            self.expressions(list.items.iter().take(1));
                        }
                        _ => self.expression(function),
                    }
                }
            }
            Some(NodeEnum::RangeTableSample(sample)) => {
                if let Some(relation) = &sample.relation {
                    self.from(relation, inner, scope, lock);
                }
                self.expressions(&sample.args);
                self.expressions(sample.repeatable.as_deref());
            }
            _ => self.barrier(Widening::Construct),
        }
    }

    /// Columns whose names are not known come into sight of a body's variables.
    pub(super) fn obscure(&mut self) {
        if let Some(frame) = &mut self.frame {
            frame.obscure();
        }
    }

    /// A relation comes into sight of a body's variables.
    pub(super) fn see(&mut self, item: &Item<'_, 'a>) {
        let Some(frame) = &mut self.frame else { return };
        match item.found {
            Found::Relation(_, relation) if !item.is_renamed => frame.see(item.name, relation),
            _ => frame.obscure(),
        }
    }

    fn range<'n>(&mut self, name: &'n RangeVar, scope: &mut Scope<'n, 'a>) {
        let Some(found) = self.find(name) else { return };
        let item = item(name, found);
        self.see(&item);
        scope.items.push(item);
    }

    /// Reads or locks one of the scope's relations.
    pub(super) fn look<'n>(&mut self, scope: &Scope<'n, 'a>, item: usize, lock: Option<Lock>) {
        let Found::Relation(oid, relation) = scope.items[item].found else { return };
        match relation.kind {
            Kind::Table if lock == Some(Lock::FreeRows) => {
                self.whole(relation.root, Mode::Write, Widening::SkipLocked);
            }
            Kind::Table => {
                let pins = self.pins(scope, item);
                let mode = match lock {
                    Some(Lock::Rows(mode)) => mode,
                    Some(Lock::Share | Lock::FreeRows) | None => Mode::Read,
                };
                self.pinned(relation, &pins, mode);
            }
            Kind::View => self.widen(Widening::View),
            Kind::Sequence => {
                self.add(Access::Advance(template::sequence(self.names.database, oid)));
            }
            Kind::Foreign => self.barrier(Widening::Foreign),
            Kind::System => {}
        }
        self.needs(oid, relation, lock.is_some_and(|lock| lock != Lock::Share));
        // Of which tables a view locks the rows, it decides.
        let is_view = relation.kind == Kind::View;
        let locks_rows = lock.is_some() && !is_view;
        self.takes(oid, if locks_rows { LockMode::RowShare } else { LockMode::AccessShare });
    }

    /// Reads what a view is made of, and what the policies of a table look at.
    pub(super) fn needs(&mut self, oid: Oid, relation: &Relation, writes: bool) {
        if relation.needs.is_empty() {
            return;
        }
        let (relations, volatility) = self.names.catalog.closure(oid);
        self.impure(volatility, Widening::VolatileFunction);
        for needed in relations.into_iter().filter(|needed| *needed != oid) {
            let Some(found) = self.names.catalog.get(needed) else { continue };
            match found.kind {
                Kind::Table => {
                    let writes = writes && relation.kind == Kind::View;
                    let mode = if writes { Mode::Write } else { Mode::Read };
                    self.whole(found.root, mode, Widening::View);
                }
                Kind::Foreign => self.barrier(Widening::Foreign),
                Kind::Sequence => {
                    self.add(Access::Advance(template::sequence(self.names.database, needed)));
                }
                Kind::View | Kind::System => {}
            }
        }
    }
}

pub(super) fn item<'n, 'a>(name: &'n RangeVar, found: Found<'a>) -> Item<'n, 'a> {
    let alias: Option<&Alias> = name.alias.as_ref();
    Item {
        found,
        name: alias.map_or(&name.relname, |alias| &alias.aliasname),
        schema: if alias.is_some() { "" } else { &name.schemaname },
        is_renamed: alias.is_some_and(|alias| !alias.colnames.is_empty()),
    }
}

/// How the clauses lock what goes by this name.
fn lock_of(clauses: &[Node], name: &str) -> Option<Lock> {
    let lock = |node: &Node| {
        let Some(NodeEnum::LockingClause(clause)) = &node.node else { return None };
        let is_meant = clause.locked_rels.is_empty() || names(clause).any(|meant| meant == name);
        let mode = match LockClauseStrength::try_from(clause.strength) {
            Ok(LockClauseStrength::LcsForupdate) => Some(Lock::Rows(Mode::Write)),
            Ok(LockClauseStrength::LcsFornokeyupdate) => Some(Lock::Rows(Mode::Update)),
            _ => Some(Lock::Share),
        };
        let skips = clause.wait_policy == LockWaitPolicy::LockWaitSkip as i32;
        // What is skipped depends on who holds a lock, however weak.
        match (is_meant, skips) {
            (true, true) => Some(Lock::FreeRows),
            (true, false) => mode,
            (false, _) => None,
        }
    };
    // The strongest counts.
    clauses.iter().filter_map(lock).max()
}

fn names(clause: &LockingClause) -> impl Iterator<Item = &str> {
    clause.locked_rels.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::RangeVar(name)) => Some(name.relname.as_str()),
        _ => None,
    })
}
