//! What pg_stat_statements counts for each statement, by query shape.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::display::grouped;

/// How many statements are kept: `pg_stat_statements.max` is 5,000 by default.
pub const MOST: usize = 20_000;
/// Of how many the texts are asked for at once.
const TEXTS_AT_ONCE: usize = 300;
/// Longer texts, in bytes, have no shape here.
pub const LONGEST_TEXT: usize = 1 << 16;

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
    /// Databases that nobody replayed to when there was no room left: what their entries had counted is
    /// not known any more.
    forgotten: BTreeSet<String>,
    /// Whether there was no room for all.
    is_full: bool,
    were_reset: bool,
}

#[derive(Debug, Default)]
struct Entry {
    last: Figures,
    spent: Figures,
}

impl Statements {
    /// Notes rows, those that matter most first.
    pub(super) fn read(
        &mut self,
        rows: Vec<StatementRow>,
        is_first: bool,
        replays_to: impl Fn(&str) -> bool,
    ) {
        if self.entries.len() >= MOST {
            self.forget_others(replays_to);
        }
        for StatementRow { database, user, query_id, figures } in rows {
            // One that is new has begun to count since the last reading, unless it was left out then.
            let is_new = !is_first && !self.is_full && !self.forgotten.contains(&database);
            let key = (database, user, query_id);
            if let Some(entry) = self.entries.get_mut(&key) {
                self.were_reset |= entry.advance(figures);
            } else if self.entries.len() < MOST {
                let spent = if is_new { figures } else { [None; Field::COUNT] };
                self.entries.insert(key, Entry { last: figures, spent });
            } else {
                self.is_full = true;
            }
        }
    }

    /// Makes room: nobody has replayed to other databases so far.
    fn forget_others(&mut self, replays_to: impl Fn(&str) -> bool) {
        let forgotten = &mut self.forgotten;
        self.entries.retain(|(database, ..), _| {
            let stays = replays_to(database);
            if !stays && !forgotten.contains(database) {
                forgotten.insert(database.clone());
            }
            stays
        });
    }

    /// What has to be known to read the figures.
    pub(super) fn notes(&self, replays_to: impl Fn(&str) -> bool) -> Vec<String> {
        let mut notes = Vec::new();
        if self.were_reset {
            notes.push(
                "entries were reset or made room for others during the run (pg_stat_statements.max); \
                 what was counted right before that is missing"
                    .to_owned(),
            );
        }
        if self.is_full {
            notes.push(format!(
                "it has more than {} entries; of those that took the least time, what they spent is \
                 missing, or its beginning",
                grouped(MOST as u64)
            ));
        }
        let unknown = self.unknown(replays_to).len() as u64;
        if unknown > 0 {
            notes.push(format!(
                "the texts of {} statements are not read yet; their query shapes lack what they spent",
                grouped(unknown)
            ));
        }
        notes
    }

    /// Some of those whose texts are not known: those that took the longest.
    pub(super) fn next_unknown(&self, replays_to: impl Fn(&str) -> bool) -> Vec<i64> {
        let unknown = self.unknown(replays_to);
        let mut longest: Vec<(i64, f64)> = unknown.into_iter().collect();
        longest.sort_unstable_by(|(one, took), (other, longer)| {
            longer.total_cmp(took).then(one.cmp(other))
        });
        longest.into_iter().take(TEXTS_AT_ONCE).map(|(query_id, _)| query_id).collect()
    }

    /// Those that were run since the first reading, in these databases, and whose texts are not known,
    /// with how long they took.
    fn unknown(&self, replays_to: impl Fn(&str) -> bool) -> HashMap<i64, f64> {
        let mut unknown = HashMap::new();
        for ((database, _, query_id), entry) in &self.entries {
            if entry.was_run() && replays_to(database) && !self.fingerprints.contains_key(query_id)
            {
                *unknown.entry(*query_id).or_default() += entry.took();
            }
        }
        unknown
    }

    /// One that was asked for and not found has no text, or one that is too long: it is not asked for
    /// again.
    pub(super) fn note_fingerprints(&mut self, asked: &[i64], found: Vec<(i64, Option<u64>)>) {
        self.fingerprints.extend(asked.iter().map(|query_id| (*query_id, None)));
        self.fingerprints.extend(found);
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

/// The fingerprint of a statement's text, if it can be parsed.
pub fn fingerprint(text: &str) -> Option<u64> {
    pg_query::fingerprint(text, 0, 0).ok().map(|it| it.value)
}

impl Entry {
    fn took(&self) -> f64 {
        self.spent[Field::ExecMs as usize].unwrap_or(0.0)
    }

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
