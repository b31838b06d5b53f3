//! What pg_stat_statements counts for each statement, by query shape.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How many statements are kept: `pg_stat_statements.max` is 5,000 by default.
const MOST: usize = 20_000;

/// What is asked for: the sum of those of these columns that the version has.
pub const FIELDS: [(Field, &[&str]); Field::COUNT] = [
    (Field::Calls, &["calls"]),
    (Field::Rows, &["rows"]),
    (Field::PlanMs, &["total_plan_time"]),
    (Field::ExecMs, &["total_exec_time", "total_time"]),
    (Field::BlocksHit, &["shared_blks_hit", "local_blks_hit"]),
    (Field::BlocksRead, &["shared_blks_read", "local_blks_read"]),
    (Field::BlocksDirtied, &["shared_blks_dirtied", "local_blks_dirtied"]),
    (Field::TempBytes, &["temp_blks_written"]),
    (Field::WalBytes, &["wal_bytes"]),
    (
        Field::JitMs,
        &["jit_generation_time", "jit_inlining_time", "jit_optimization_time", "jit_emission_time"],
    ),
];

/// A figure of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// How often it was run.
    Calls,
    /// How many rows it returned or changed.
    Rows,
    /// Planning (`pg_stat_statements.track_planning`).
    PlanMs,
    /// Execution.
    ExecMs,
    /// Blocks found in the buffer cache.
    BlocksHit,
    /// Blocks that were not.
    BlocksRead,
    /// Blocks changed.
    BlocksDirtied,
    /// Written to temporary files.
    TempBytes,
    /// Write-ahead log.
    WalBytes,
    /// Compilation.
    JitMs,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 10;
}

/// The figures of a statement, in the order of [`FIELDS`]; `None` where the version has none.
pub type Figures = [Option<f64>; Field::COUNT];

/// One row of pg_stat_statements.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementRow {
    /// The database.
    pub database: String,
    /// The role's object id.
    pub user: u32,
    /// The statement.
    pub query_id: i64,
    /// Since the server's own beginning.
    pub figures: Figures,
}

/// What the target spent on the statements of one shape, whoever sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ShapeResources {
    /// How often the server ran them.
    pub calls: f64,
    /// How many rows they returned or changed.
    pub rows: f64,
    /// Planning; 0 unless `pg_stat_statements.track_planning` is on.
    pub plan_ms: Option<f64>,
    /// Execution.
    pub exec_ms: Option<f64>,
    /// Blocks found in the buffer cache.
    pub blocks_hit: f64,
    /// Blocks that were not.
    pub blocks_read: f64,
    /// Blocks changed.
    pub blocks_dirtied: f64,
    /// Written to temporary files.
    pub temp_bytes: f64,
    /// Write-ahead log, from PostgreSQL 13 on.
    pub wal_bytes: Option<f64>,
    /// Compilation, from PostgreSQL 15 on.
    pub jit_ms: Option<f64>,
}

/// All statements that were ever read.
#[derive(Debug, Default)]
pub struct Statements {
    entries: HashMap<(String, u32, i64), Entry>,
    /// By the statement: the fingerprint of its text, if that can be parsed.
    fingerprints: HashMap<i64, Option<u64>>,
    is_read: bool,
    were_reset: bool,
}

#[derive(Debug, Default)]
struct Entry {
    last: Figures,
    spent: Figures,
}

impl Statements {
    pub(super) fn read(&mut self, rows: Vec<StatementRow>) {
        let is_first = !std::mem::replace(&mut self.is_read, true);
        for StatementRow { database, user, query_id, figures } in rows {
            let key = (database, user, query_id);
            if let Some(entry) = self.entries.get_mut(&key) {
                self.were_reset |= entry.advance(figures);
            } else if self.entries.len() < MOST {
                let spent = if is_first { [None; Field::COUNT] } else { figures };
                self.entries.insert(key, Entry { last: figures, spent });
            }
        }
    }

    pub(super) fn were_reset(&self) -> bool {
        self.were_reset
    }

    /// Those that were run since the first reading, in these databases, and whose texts are not known.
    pub(super) fn unknown(&self, replays_to: impl Fn(&str) -> bool) -> Vec<i64> {
        let entries = self.entries.iter().filter(|((database, _, query_id), entry)| {
            entry.was_run() && replays_to(database) && !self.fingerprints.contains_key(query_id)
        });
        entries.map(|((_, _, query_id), _)| *query_id).collect()
    }

    pub(super) fn note_text(&mut self, query_id: i64, text: &str) {
        let fingerprint = pg_query::fingerprint(text, 0, 0).ok().map(|it| it.value);
        self.fingerprints.insert(query_id, fingerprint);
    }

    pub(super) fn by_shape(
        &self,
        replays_to: impl Fn(&str) -> bool,
    ) -> HashMap<u64, ShapeResources> {
        let mut shapes: HashMap<u64, ShapeResources> = HashMap::new();
        for ((database, _, query_id), entry) in &self.entries {
            let fingerprint = self.fingerprints.get(query_id).copied().flatten();
            if let Some(fingerprint) = fingerprint
                && entry.was_run()
                && replays_to(database)
            {
                shapes.entry(fingerprint).or_default().add(&entry.spent);
            }
        }
        shapes
    }
}

impl Entry {
    fn was_run(&self) -> bool {
        self.spent[Field::Calls as usize].is_some_and(|calls| calls > 0.0)
    }

    /// Adds what has come since. Returns whether the figures were reset meanwhile.
    fn advance(&mut self, now: Figures) -> bool {
        let has_fallen =
            |at: usize| matches!((self.last[at], now[at]), (Some(last), Some(now)) if now < last);
        let is_reset = has_fallen(Field::Calls as usize);
        for (at, now) in now.iter().enumerate() {
            let Some(now) = now else { continue };
            let last = if is_reset { 0.0 } else { self.last[at].unwrap_or(0.0) };
            *self.spent[at].get_or_insert(0.0) += (now - last).max(0.0);
        }
        self.last = now;
        is_reset
    }
}

impl ShapeResources {
    fn add(&mut self, spent: &Figures) {
        let of = |field: Field| spent[field as usize];
        let sum = |to: &mut Option<f64>, field| {
            if let Some(more) = of(field) {
                *to.get_or_insert(0.0) += more;
            }
        };
        let figure = |field| of(field).unwrap_or(0.0);
        self.calls += figure(Field::Calls);
        self.rows += figure(Field::Rows);
        self.blocks_hit += figure(Field::BlocksHit);
        self.blocks_read += figure(Field::BlocksRead);
        self.blocks_dirtied += figure(Field::BlocksDirtied);
        self.temp_bytes += figure(Field::TempBytes);
        sum(&mut self.plan_ms, Field::PlanMs);
        sum(&mut self.exec_ms, Field::ExecMs);
        sum(&mut self.wal_bytes, Field::WalBytes);
        sum(&mut self.jit_ms, Field::JitMs);
    }
}

#[cfg(test)]
mod tests;
