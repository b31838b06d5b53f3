//! What calls of functions do.

use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node};

use super::routines::changes_meaning;
use super::{Analysis, Widening, parts, qualified};
use crate::replay::order::footprint::catalog::Volatility;
use crate::replay::order::footprint::literals::{Read, Value};
use crate::replay::order::footprint::sessions::Effect;

impl Analysis<'_> {
    pub(super) fn call(&mut self, call: &FuncCall) {
        self.expressions(&call.args);
        self.expressions(&call.agg_order);
        self.expressions(call.agg_filter.as_deref());
        if let Some(window) = &call.over {
            self.expressions(&window.partition_clause);
            self.expressions(&window.order_clause);
            self.expressions(window.start_offset.as_deref());
            self.expressions(window.end_offset.as_deref());
        }
        let (schema, name) = qualified(&call.funcname);
        let Some(function) = self.names.catalog.function(schema, name, self.names.path) else {
            return self.barrier(Widening::UnknownName);
        };
        if !function.built_in {
            let is_harmless = function.in_c && GENERATORS.contains(&name);
            let volatility = if is_harmless { Volatility::Immutable } else { function.volatility };
            if is_harmless || self.names.catalog.function("pg_catalog", name, &[]).is_some() {
                return self.impure(volatility, Widening::VolatileFunction);
            }
            return self.call_routines(call, volatility);
        }
        match name {
            "nextval" | "setval" => match self.sequence_name(call.args.first()) {
                Some(name) => self.draw(name),
                None => self.barrier(Widening::UnknownName),
            },
            "set_config" => self.set_config(&call.args),
            _ if name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_") => {
                let key = |node| self.cast_value(node).map(|(value, _)| value);
                let keys: Option<Vec<Value>> = call.args.iter().map(key).collect();
                self.template.locks.push(keys.unwrap_or_default());
            }
            _ if RUNS_QUERIES.contains(&name) => self.barrier(Widening::VolatileFunction),
            _ if function.volatility < Volatility::Volatile || is_harmless(name) => {}
            _ => self.barrier(Widening::VolatileFunction),
        }
    }

    /// Whether a value is made up anew by each call, so that no other statement has the same.
    pub(super) fn is_generated(&self, node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::FuncCall(call)) => {
                let name = parts(&call.funcname).last().copied().unwrap_or_default();
                name == "nextval" || GENERATORS.contains(&name)
            }
            Some(NodeEnum::TypeCast(cast)) => {
                cast.arg.as_ref().is_some_and(|node| self.is_generated(node))
            }
            _ => false,
        }
    }

    fn sequence_name(&self, node: Option<&Node>) -> Option<Value> {
        self.cast_value(node?).map(|(value, _)| value)
    }

    /// Draws from the sequence by this name.
    fn draw(&mut self, name: Value) {
        let (Some(_), Value::Constant(text)) = (&self.frame, &name) else {
            return match &self.frame {
                None => self.template.sequences.push(name),
                Some(_) => self.barrier(Widening::UnknownName),
            };
        };
        match self.names.sequence(&Read::Text(text.as_ref().into())) {
            Ok(access) => self.add(access),
            Err(why) => self.barrier(why.unwrap_or(Widening::UnknownName)),
        }
    }

    fn set_config(&mut self, arguments: &[Node]) {
        if self.frame.is_some() {
            let name = arguments.first().and_then(|node| self.cast_value(node));
            return match name {
                Some((Value::Constant(name), _)) if !changes_meaning(&name) => {}
                _ => self.barrier(Widening::VolatileFunction),
            };
        }
        let mut values = arguments.iter().map(|node| self.cast_value(node).map(|(value, _)| value));
        match (values.next().flatten(), values.next().flatten(), values.next().flatten()) {
            (Some(name), Some(value), Some(is_local)) => {
                self.template.effects.push(Effect::SetConfig { name, value, is_local });
            }
            // Which setting it is, or what becomes of it, only the server knows.
            _ => self.barrier(Widening::VolatileFunction),
        }
    }
}

/// What a function of PostgreSQL's own may do where it is called by a view, a default or a check.
pub(in crate::replay::order::footprint) fn built_in(
    name: &str,
    declared: Volatility,
) -> Volatility {
    if RUNS_QUERIES.contains(&name) {
        Volatility::Volatile
    } else if is_harmless(name) {
        Volatility::Immutable
    } else {
        declared
    }
}

/// Functions whose results do not come twice.
const GENERATORS: [&str; 9] = [
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "gen_random_bytes",
    "gen_salt",
    "random",
];

/// Functions of PostgreSQL's own that are declared to read at the most, or not even that, and run
/// queries given to them as text or by name.
const RUNS_QUERIES: [&str; 16] = [
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xmlschema",
    "database_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
];

/// Whether a function that PostgreSQL declares volatile does nothing that a statement could see in
/// a table.
fn is_harmless(name: &str) -> bool {
    const NAMES: [&str; 31] = [
        "random",
        "random_normal",
        "setseed",
        "clock_timestamp",
        "timeofday",
        "gen_random_uuid",
        "uuidv4",
        "uuidv7",
        "currval",
        "lastval",
        "pg_sequence_last_value",
        "pg_notify",
        "pg_backend_pid",
        "pg_cancel_backend",
        "pg_terminate_backend",
        "pg_reload_conf",
        "pg_export_snapshot",
        "pg_blocking_pids",
        "pg_safe_snapshot_blocking_pids",
        "pg_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_total_relation_size",
        "pg_database_size",
        "pg_tablespace_size",
        "pg_is_in_recovery",
        "pg_xact_status",
        "pg_lock_status",
        "pg_prepared_statement",
        "pg_prepared_xact",
        "pg_cursor",
    ];
    const FAMILIES: [&str; 7] =
        ["pg_sleep", "pg_stat_", "pg_ls_", "pg_wal_", "pg_current_", "pg_last_", "pg_get_"];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}
