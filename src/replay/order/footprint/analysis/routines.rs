//! What the bodies of functions and procedures do.
//!
//! A body does what its statements do, each of them, whichever of them a call runs. Arguments that
//! are passed through to keys are followed there.

use std::collections::BTreeMap;

use pg_query::protobuf::{CallStmt, FuncCall, Node};
use pg_query::{NodeEnum, ParserOptions};

use super::plpgsql::{Body, Variable};
use super::variables::{Bound, Record, Step, Variables};
use super::{Analysis, qualified};
use crate::replay::order::footprint::catalog::{Oid, Routine, RoutineRow, Volatility};
use crate::replay::order::footprint::sessions::Setting;
use crate::replay::order::footprint::template::Template;
use crate::replay::order::footprint::{Access, Widening};

/// How deep calls are followed.
const DEEPEST: usize = 16;

/// How many bodies are read for one statement.
const MOST_BODIES: usize = 200;

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Followed {
    function: Oid,
    /// Whether nothing of its arguments is known, so that what it does with others is told too.
    is_open: bool,
}

/// An argument of a call: its name, where it is given by name, and its value.
type Given<'n> = (Option<&'n str>, Option<Bound>);

impl<'a> Analysis<'a> {
    /// Calls somebody's own functions by this name. `most`: what any of them may do.
    pub(super) fn call_routines(&mut self, call: &FuncCall, most: Volatility) {
        let (schema, name) = qualified(&call.funcname);
        let catalog = self.names.catalog;
        let arguments: Vec<Given<'_>> = call.args.iter().map(|node| self.argument(node)).collect();
        let mut is_met = false;
        for function in catalog.overloads(schema, name, self.names.path) {
            let volatility = catalog.volatility_of(function);
            let Some(routine) = catalog.routine(function) else {
                is_met = true;
                self.impure(volatility, Widening::VolatileFunction);
                continue;
            };
            let Some(values) = arranged(routine, &arguments, call.func_variadic) else { continue };
            is_met = true;
            if volatility != Volatility::Immutable {
                self.follow(function, routine, volatility, values);
            }
        }
        if !is_met {
            self.impure(most, Widening::VolatileFunction);
        }
    }

    fn argument<'n>(&self, node: &'n Node) -> Given<'n> {
        match &node.node {
            Some(NodeEnum::NamedArgExpr(argument)) => {
                let value = argument.arg.as_ref().and_then(|node| self.bound(node));
                (Some(&argument.name), value)
            }
            _ => (None, self.bound(node)),
        }
    }

    fn follow(
        &mut self,
        function: Oid,
        routine: &'a Routine,
        volatility: Volatility,
        values: Vec<Option<Bound>>,
    ) {
        let found = self.apart(|this| this.run_function(function, routine, values));
        if found.is_barrier() {
            return match found.footprint.widened {
                Some(Widening::DynamicSql) if volatility == Volatility::Volatile => {
                    self.barrier(Widening::DynamicSql);
                }
                _ => self.impure(volatility, Widening::VolatileFunction),
            };
        }
        self.template.join(found);
    }

    /// What this does, apart from what else the statement does.
    pub(super) fn apart(&mut self, run: impl FnOnce(&mut Self)) -> Template {
        let before = std::mem::take(&mut self.template);
        run(self);
        std::mem::replace(&mut self.template, before)
    }

    fn run_function(
        &mut self,
        function: Oid,
        routine: &'a Routine,
        mut values: Vec<Option<Bound>>,
    ) {
        let mut is_open = values.iter().all(Option::is_none);
        match self.is_recursion(function) {
            Some(true) => return,
            Some(false) => {
                values.fill(None);
                is_open = true;
            }
            None => {}
        }
        let is_sql = routine.row.language == "sql";
        let body = match is_sql {
            true => sql_body(&routine.row),
            false => Body::of(&routine.row),
        };
        let body = match body {
            Ok(body) => body,
            Err(why) => return self.barrier(why),
        };
        let variables = arguments(&routine.row, &body, values);
        self.run(function, routine, &body, variables, is_open);
    }

    /// `CALL`.
    pub(super) fn call_procedure(&mut self, call: &CallStmt) {
        let Some(call) = &call.funccall else { return self.barrier(Widening::Command) };
        let found = self.apart(|this| this.call(call));
        match found.footprint.widened {
            _ if !found.is_barrier() => self.template.join(found),
            Some(Widening::DynamicSql) => self.barrier(Widening::DynamicSql),
            _ => self.barrier(Widening::Command),
        }
        self.template.reads_by_snapshot = true;
    }

    /// Whether a function is being read already, and whether for all arguments.
    pub(super) fn is_recursion(&self, function: Oid) -> Option<bool> {
        let same = || self.followed.iter().filter(|followed| followed.function == function);
        same().next()?;
        Some(same().any(|followed| followed.is_open))
    }

    /// Does what the statements of a body do.
    pub(super) fn run(
        &mut self,
        function: Oid,
        routine: &'a Routine,
        body: &Body,
        mut variables: Variables,
        is_open: bool,
    ) {
        self.bodies += 1;
        if self.followed.len() >= DEEPEST || self.bodies > MOST_BODIES {
            return self.barrier(Widening::TooLong);
        }
        let escapes = !self.names.has_plain_backslashes && routine.row.body.contains('\\');
        if escapes || !routine.is_settled || !self.keeps_path(routine) {
            return self.barrier(Widening::Construct);
        }
        let outer = (self.names, self.frame.take(), std::mem::take(&mut self.ctes));
        if let Some(path) = &routine.path {
            self.names.path = path;
        }
        variables.clear_sight();
        self.frame = Some(variables);
        self.followed.push(Followed { function, is_open });
        self.start_variables(&body.variables, body);
        let transition_tables = std::mem::take(&mut self.transition_tables);
        for (text, options) in &body.parts {
            self.ctes.clone_from(&transition_tables);
            self.part(text, *options);
        }
        self.followed.pop();
        (self.names, self.frame, self.ctes) = outer;
    }

    /// Whether the schemas that a body's names are looked up in are known.
    fn keeps_path(&self, routine: &Routine) -> bool {
        match (&routine.path, &routine.row.runs_as) {
            (Some(_), _) | (None, None) => true,
            // `"$user"` would be another's.
            (None, Some(owner)) => {
                !self.names.follows_user && !self.names.catalog.has_schema(owner)
            }
        }
    }

    /// Variables that are never assigned to are what they start with.
    fn start_variables(&mut self, variables: &[Variable], body: &Body) {
        for Variable { name, type_name, default } in variables {
            let bound = default.as_ref().and_then(|text| self.start(text, type_name));
            let Some(frame) = &mut self.frame else { return };
            if body.assigned.contains(name) || frame.records.contains_key(name) {
                continue;
            }
            // A name that comes twice may mean either.
            let is_argument = frame.named.contains_key(name);
            let is_single = variables.iter().filter(|other| other.name == *name).count() == 1;
            if !is_argument && is_single {
                frame.named.insert(name.clone(), bound);
            }
        }
    }

    fn start(&self, text: &str, type_name: &str) -> Option<Bound> {
        // What else a type may do to a value, its name does not tell.
        const KEEPING: [&str; 7] = ["int2", "int4", "int8", "text", "uuid", "date", "bool"];
        if !KEEPING.contains(&type_name) {
            return None;
        }
        let parsed = parse(text, ParserOptions::PLPGSQL_EXPR).ok()?;
        let statement = parsed.first()?.node.as_ref()?;
        let NodeEnum::SelectStmt(select) = statement else { return None };
        let is_bare = select.from_clause.is_empty() && select.where_clause.is_none();
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice()
        else {
            return None;
        };
        let bound = self.bound(target.val.as_deref().filter(|_| is_bare)?)?;
        Some(bound.through(Step::Cast(type_name.into())))
    }

    fn part(&mut self, text: &str, options: ParserOptions) {
        match parse(text, options) {
            Ok(statements) => statements.iter().for_each(|node| {
                if let Some(frame) = &mut self.frame {
                    frame.clear_sight();
                }
                self.inner_statement(node);
            }),
            Err(why) => self.barrier(why),
        }
    }

    /// A statement of a body.
    fn inner_statement(&mut self, node: &Node) {
        use NodeEnum as N;
        match &node.node {
            Some(
                N::SelectStmt(_)
                | N::InsertStmt(_)
                | N::UpdateStmt(_)
                | N::DeleteStmt(_)
                | N::MergeStmt(_),
            ) => self.query(node),
            Some(N::PlassignStmt(assignment)) => {
                self.expressions(&assignment.indirection);
                if let Some(value) = &assignment.val {
                    self.template.reads_by_snapshot = true;
                    self.select(value, None);
                }
            }
            Some(N::LockStmt(lock)) => self.lock(lock),
            Some(N::CallStmt(call)) => self.call_procedure(call),
            Some(N::VariableSetStmt(set)) => {
                if set.name.is_empty() || changes_meaning(&set.name) {
                    self.barrier(Widening::Command);
                }
            }
            Some(N::VariableShowStmt(_) | N::NotifyStmt(_) | N::ConstraintsSetStmt(_)) => {}
            Some(N::DoStmt(_)) => self.barrier(Widening::Command),
            _ => self.barrier(Widening::Ddl),
        }
    }
}

/// Whether a setting changes what the statements behind it do.
pub(super) fn changes_meaning(setting: &str) -> bool {
    Setting::named(setting).is_some()
        || setting.eq_ignore_ascii_case("session_replication_role")
        || setting == "TRANSACTION"
        || setting == "SESSION CHARACTERISTICS"
}

impl Template {
    pub(super) fn is_barrier(&self) -> bool {
        self.footprint.accesses.contains(&Access::Everything)
    }

    /// Does what another does, too.
    pub(super) fn join(&mut self, other: Self) {
        self.footprint.join(other.footprint);
        for rows in other.rows {
            if !self.rows.contains(&rows) {
                self.rows.push(rows);
            }
        }
        self.sequences.extend(other.sequences);
        self.locks.extend(other.locks);
        self.effects.extend(other.effects);
        self.reads_by_snapshot |= other.reads_by_snapshot;
    }
}

fn parse(text: &str, options: ParserOptions) -> Result<Vec<Node>, Widening> {
    match std::panic::catch_unwind(|| pg_query::parse(text, options)) {
        Ok(Ok(parsed)) => {
            let statements = parsed.protobuf.stmts.into_iter();
            Ok(statements.filter_map(|statement| statement.stmt.map(|node| *node)).collect())
        }
        Ok(Err(pg_query::Error::Decode(_))) => Err(Widening::TooLong),
        Ok(Err(_)) | Err(_) => Err(Widening::Unparsable),
    }
}

fn sql_body(routine: &RoutineRow) -> Result<Body, Widening> {
    if routine.body.trim().is_empty() {
        // Parsed when it was made (`BEGIN ATOMIC`).
        return Err(Widening::Construct);
    }
    let parts = vec![(routine.body.clone(), ParserOptions::DEFAULT)];
    Ok(Body { parts, ..Body::default() })
}

/// The values of a function's arguments, in their order, if the call may mean this function.
fn arranged(
    routine: &Routine,
    given: &[Given<'_>],
    is_variadic: bool,
) -> Option<Vec<Option<Bound>>> {
    let row = &routine.row;
    let taken: Vec<usize> =
        (0..row.arguments.len()).filter(|&at| routine.is_given(row.arguments[at].mode)).collect();
    let mut values = vec![None; row.arguments.len()];
    if row.is_variadic || is_variadic {
        return Some(values);
    }
    let least = taken.len().saturating_sub(usize::try_from(row.defaults).unwrap_or(0));
    if given.len() > taken.len() || given.len() < least {
        return None;
    }
    for (at, (name, value)) in given.iter().enumerate() {
        let at = match name {
            None => *taken.get(at)?,
            Some(name) => *taken.iter().find(|&&at| row.arguments[at].name == *name)?,
        };
        let step = Step::Cast(row.arguments[at].type_name.as_str().into());
        values[at] = value.clone().map(|bound| bound.through(step));
    }
    Some(values)
}

fn arguments(routine: &RoutineRow, body: &Body, mut values: Vec<Option<Bound>>) -> Variables {
    let is_sql = routine.language == "sql";
    let mut named = BTreeMap::new();
    for (argument, value) in routine.arguments.iter().zip(&mut values) {
        let name = &argument.name;
        let same = body.variables.iter().filter(|variable| variable.name == *name).count();
        // In PL/pgSQL an argument is a variable. One that hides it may be meant.
        let is_changed = body.assigned.contains(name)
            || body.assigned_fields.iter().any(|(record, _)| record == name)
            || !is_sql && same > 1;
        if is_changed || argument.mode != 'i' {
            *value = None;
        }
        if !name.is_empty() {
            named.insert(name.clone(), value.clone());
        }
    }
    // $1 counts those that are given alone, but for procedures.
    let taken = |mode| matches!(mode, 'i' | 'b' | 'v') || routine.is_procedure && mode == 'o';
    let arguments = routine.arguments.iter().zip(values);
    let arguments: Vec<Option<Bound>> =
        arguments.filter(|(argument, _)| taken(argument.mode)).map(|(_, value)| value).collect();
    let unnamed = |number: usize| body.assigned.contains(&format!("${number}"));
    let arguments =
        (1..).zip(arguments).map(|(number, value)| value.filter(|_| !unnamed(number))).collect();
    Variables {
        function: routine.name.clone(),
        columns_first: is_sql,
        arguments,
        named,
        ..Variables::default()
    }
}

/// The variables of a trigger's function.
pub(super) fn of_trigger(routine: &RoutineRow, body: &Body, new: Record, old: Record) -> Variables {
    let mut records = BTreeMap::new();
    for (name, mut record) in [("new", new), ("old", old)] {
        let same = body.variables.iter().filter(|variable| variable.name == name).count();
        if same > 1 || body.assigned.contains(name) {
            record = Record::default();
        }
        for (_, field) in body.assigned_fields.iter().filter(|(assigned, _)| assigned == name) {
            record.columns.remove(field);
            record.is_null = false;
        }
        records.insert(name.to_owned(), record);
    }
    Variables { function: routine.name.clone(), records, ..Variables::default() }
}
