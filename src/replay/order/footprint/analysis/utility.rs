//! Statements, and the commands that are no queries.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CopyStmt, DefElem, DiscardMode, DropStmt, ExplainStmt, IntoClause, LockStmt, Node, ObjectType,
    OnCommitAction, RangeVar, TransactionStmt, TransactionStmtKind, VacuumStmt, VariableSetKind,
    VariableSetStmt,
};

use super::{Analysis, Found, Widening, parts};
use crate::replay::order::footprint::catalog::{Kind, Oid};
use crate::replay::order::footprint::literals::Value;
use crate::replay::order::footprint::sessions::{Effect, Setting, keeps_snapshot};
use crate::replay::order::footprint::{Access, LockMode, Mode, TableLock};

impl Analysis<'_> {
    pub(super) fn statement(&mut self, node: &Node) {
        use NodeEnum as N;
        let Some(statement) = &node.node else { return self.barrier(Widening::Construct) };
        match statement {
            N::SelectStmt(_)
            | N::InsertStmt(_)
            | N::UpdateStmt(_)
            | N::DeleteStmt(_)
            | N::MergeStmt(_) => self.query(node),
            N::DeclareCursorStmt(cursor) => {
                if let Some(query) = &cursor.query {
                    self.query(query);
                }
            }
            N::FetchStmt(_)
            | N::ClosePortalStmt(_)
            | N::VariableShowStmt(_)
            | N::NotifyStmt(_)
            | N::ListenStmt(_)
            | N::UnlistenStmt(_)
            | N::CheckPointStmt(_)
            | N::ConstraintsSetStmt(_) => {}
            N::TransactionStmt(control) => self.transaction(control),
            N::VariableSetStmt(set) => self.set(set),
            N::ExplainStmt(explain) => self.explain(explain),
            N::PrepareStmt(prepare) => {
                self.only_locks(prepare.query.as_deref());
                let name = (*prepare.name).into();
                self.template.effects.push(Effect::Prepare { name });
            }
            N::ExecuteStmt(execute) => {
                self.expressions(&execute.params);
                let argument = |node| self.cast_value(node).map(|(value, _)| value);
                let arguments = execute.params.iter().map(argument).collect();
                let name = (*execute.name).into();
                self.template.effects.push(Effect::Execute { name, arguments });
                self.template.reads_by_snapshot = true;
            }
            N::DeallocateStmt(deallocate) => {
                let name = (!deallocate.isall).then(|| (*deallocate.name).into());
                self.template.effects.push(Effect::Deallocate(name));
            }
            N::DiscardStmt(discard) => match DiscardMode::try_from(discard.target) {
                Ok(DiscardMode::DiscardAll) => self.template.effects.push(Effect::DiscardAll),
                Ok(DiscardMode::DiscardTemp) => {
                    self.template.effects.push(Effect::DiscardTemporary);
                }
                _ => {}
            },
            N::CopyStmt(copy) => self.copy(copy),
            N::LockStmt(lock) => self.lock(lock),
            N::VacuumStmt(vacuum) => self.vacuum(vacuum),
            N::CreateStmt(create) if is_temporary(create.relation.as_ref()) => {
                self.create_temporary(create.relation.as_ref(), create.oncommit);
            }
            N::CreateTableAsStmt(create) => {
                if let Some(query) = &create.query {
                    match &query.node {
                        // CREATE TABLE AS EXECUTE.
                        Some(N::ExecuteStmt(_)) => self.statement(query),
                        _ => self.query(query),
                    }
                }
                match &create.into {
                    Some(into) => self.select_into(into),
                    None => self.barrier(Widening::Ddl),
                }
            }
            N::DropStmt(drop) => self.drop(drop),
            N::IndexStmt(index) => self.ddl([index.relation.as_ref()]),
            N::AlterTableStmt(alter) => self.ddl([alter.relation.as_ref()]),
            N::TruncateStmt(truncate) => {
                self.ddl(truncate.relations.iter().map(|node| match &node.node {
                    Some(N::RangeVar(name)) => Some(name),
                    _ => None,
                }))
            }
            N::CallStmt(call) => self.call_procedure(call),
            N::DoStmt(_) | N::LoadStmt(_) | N::AlterSystemStmt(_) => {
                self.barrier(Widening::Command);
            }
            _ => self.barrier(Widening::Ddl),
        }
    }

    fn transaction(&mut self, control: &TransactionStmt) {
        use TransactionStmtKind as K;
        let chains = control.chain;
        let effect = match K::try_from(control.kind) {
            Ok(K::TransStmtBegin | K::TransStmtStart) => {
                Effect::Begin(self.isolation(&control.options))
            }
            Ok(K::TransStmtCommit) => Effect::Commit { chains },
            Ok(K::TransStmtPrepare) => Effect::Commit { chains: false },
            Ok(K::TransStmtRollback) => Effect::Rollback { chains },
            Ok(K::TransStmtSavepoint) => Effect::Savepoint(control.savepoint_name.as_str().into()),
            Ok(K::TransStmtRelease) => Effect::Release(control.savepoint_name.as_str().into()),
            Ok(K::TransStmtRollbackTo) => {
                Effect::RollbackTo(control.savepoint_name.as_str().into())
            }
            Ok(_) => return,
            Err(_) => return self.barrier(Widening::Construct),
        };
        self.template.effects.push(effect);
    }

    /// Whether the options of a transaction make it keep its snapshot, where they say.
    fn isolation(&self, list: &[Node]) -> Option<bool> {
        let mut options = options(list);
        let level = options.find(|option| option.defname == "transaction_isolation")?;
        match self.value(level.arg.as_ref()?)? {
            Value::Constant(level) => Some(keeps_snapshot(&level)),
            _ => None,
        }
    }

    fn set(&mut self, set: &VariableSetStmt) {
        use VariableSetKind as K;
        let is_local = set.is_local;
        let effect = match (K::try_from(set.kind), set.name.as_str()) {
            (Ok(K::VarResetAll), _) => Effect::ResetAll,
            (Ok(K::VarSetMulti), name) => match (self.isolation(&set.args), name) {
                (Some(keeps), "TRANSACTION") => Effect::Isolate(keeps),
                (Some(keeps), "SESSION CHARACTERISTICS") => Effect::IsolateAll(keeps),
                _ => return,
            },
            (Ok(kind), name) => {
                let Some(setting) = Setting::named(name) else { return };
                let args = if kind == K::VarSetValue { set.args.as_slice() } else { &[] };
                let values: Option<Vec<Value>> = args.iter().map(|node| self.value(node)).collect();
                let Some(values) = values else { return self.barrier(Widening::Construct) };
                Effect::Set { setting, values, is_local }
            }
            (Err(_), _) => return self.barrier(Widening::Construct),
        };
        self.template.effects.push(effect);
    }

    fn explain(&mut self, explain: &ExplainStmt) {
        let query = explain.query.as_deref();
        if !has_option(&explain.options, "analyze") {
            self.only_locks(query);
        } else if let Some(query) = query {
            self.statement(query);
        }
    }

    /// A query that is looked at and not run: it locks its tables all the same.
    fn only_locks(&mut self, query: Option<&Node>) {
        let Some(query) = query else { return };
        let before = std::mem::take(&mut self.template);
        self.statement(query);
        let looked_at = std::mem::replace(&mut self.template, before);
        self.template.footprint.locks.extend(looked_at.footprint.locks);
    }

    fn copy(&mut self, copy: &CopyStmt) {
        if copy.is_from {
            // Data from the client is in no log: such a COPY is not replayed.
            if copy.is_program || !copy.filename.is_empty() {
                self.barrier(Widening::Command);
            }
            return;
        }
        self.template.reads_by_snapshot = true;
        if let Some(query) = &copy.query {
            self.query(query);
        }
        if let Some(name) = &copy.relation
            && let Some(Found::Relation(oid, relation)) = self.find(name)
        {
            if relation.kind == Kind::Table {
                self.whole(relation.root, Mode::Read, Widening::NotPinned);
            }
            self.needs(oid, relation, false);
            self.takes(oid, LockMode::AccessShare);
        }
    }

    /// `LOCK TABLE`, which locks the tables of views and the partitions of tables as well.
    pub(super) fn lock(&mut self, lock: &LockStmt) {
        let Some(mode) = LockMode::numbered(lock.mode) else {
            return self.barrier(Widening::Construct);
        };
        for node in &lock.relations {
            let Some(NodeEnum::RangeVar(name)) = &node.node else { continue };
            let Some(Found::Relation(oid, _)) = self.find(name) else { continue };
            let catalog = self.names.catalog;
            for named in catalog.named_by(oid) {
                let Some(relation) = catalog.get(named) else { continue };
                if relation.kind == Kind::Table {
                    let table = self.table(relation.root);
                    self.add(Access::Lock(table, mode));
                }
                if name.inh {
                    catalog.heirs(named).for_each(|heir| self.takes(heir, mode));
                }
            }
            self.takes(oid, mode);
        }
    }

    /// VACUUM and ANALYZE, which touch no row that others see.
    fn vacuum(&mut self, vacuum: &VacuumStmt) {
        if has_option(&vacuum.options, "full") {
            return self.barrier(Widening::Ddl);
        }
        // With SKIP_LOCKED it may lock none.
        if has_option(&vacuum.options, "skip_locked") {
            return;
        }
        let mode = LockMode::ShareUpdateExclusive;
        let named = vacuum.rels.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::VacuumRelation(vacuumed)) => vacuumed.relation.as_ref(),
            _ => None,
        });
        for name in named {
            if let Some(Found::Relation(oid, relation)) = self.find(name) {
                let table = self.table(relation.root);
                self.add(Access::Lock(table, mode));
                self.takes(oid, mode);
            }
        }
        if vacuum.rels.is_empty() {
            // One after the other, each in a transaction of its own, and only those of the user's own.
            for root in self.names.catalog.roots() {
                let table = self.table(root);
                self.add(Access::Lock(table, mode));
            }
        }
    }

    /// The statement takes a lock on a relation, and on those that it names if it is a view. What a body
    /// does, it may leave out.
    pub(super) fn takes(&mut self, oid: Oid, mode: LockMode) {
        if self.frame.is_some() {
            return;
        }
        for named in self.names.catalog.named_by(oid) {
            let relation = self.table(named);
            self.template.footprint.locks.push(TableLock { relation, mode });
        }
    }

    /// A change of the schema, unless all that it changes is the session's own.
    fn ddl<'n>(&mut self, names: impl IntoIterator<Item = Option<&'n RangeVar>>) {
        let is_own = |name: &RangeVar| {
            name.schemaname == "pg_temp"
                || name.schemaname.is_empty() && (self.is_temporary)(&name.relname)
        };
        if !names.into_iter().all(|name| name.is_some_and(is_own)) {
            self.barrier(Widening::Ddl);
        }
    }

    fn drop(&mut self, drop: &DropStmt) {
        let is_table = drop.remove_type == ObjectType::ObjectTable as i32;
        let mut own = Vec::new();
        for node in &drop.objects {
            let Some(NodeEnum::List(name)) = &node.node else { break };
            match parts(&name.items).as_slice() {
                [name] if (self.is_temporary)(name) => own.push(*name),
                ["pg_temp", name] => own.push(*name),
                _ => {}
            }
        }
        if !is_table || own.len() < drop.objects.len() {
            self.barrier(Widening::Ddl);
        }
        let effects = own.into_iter().map(|name| Effect::DropTemporary(name.into()));
        self.template.effects.extend(effects);
    }

    /// `SELECT INTO`, `CREATE TABLE AS`.
    pub(super) fn select_into(&mut self, into: &IntoClause) {
        if is_temporary(into.rel.as_ref()) && self.frame.is_none() {
            self.create_temporary(into.rel.as_ref(), into.on_commit);
        } else {
            self.barrier(Widening::Ddl);
        }
    }

    fn create_temporary(&mut self, name: Option<&RangeVar>, on_commit: i32) {
        if let Some(name) = name {
            self.template.effects.push(Effect::CreateTemporary {
                name: (*name.relname).into(),
                until_commit: on_commit == OnCommitAction::OncommitDrop as i32,
            });
        }
    }
}

fn is_temporary(name: Option<&RangeVar>) -> bool {
    name.is_some_and(|name| name.relpersistence == "t" || name.schemaname == "pg_temp")
}

fn options(nodes: &[Node]) -> impl Iterator<Item = &DefElem> {
    nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => Some(&**option),
        _ => None,
    })
}

fn has_option(list: &[Node], name: &str) -> bool {
    options(list).any(|option| option.defname == name && is_on(option))
}

/// Whether an option that is on unless it says otherwise is on. A literal could say anything.
fn is_on(option: &DefElem) -> bool {
    let off = |word: &str| ["off", "false"].iter().any(|off| word.eq_ignore_ascii_case(off));
    match option.arg.as_ref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::String(word)) => !off(&word.sval),
        Some(NodeEnum::Boolean(value)) => value.boolval,
        _ => true,
    }
}
