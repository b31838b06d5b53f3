//! What the target spent on the replay: its own statistics, as differences between readings.
//!
//! The server counts from its own beginning, for all its clients. What is read is taken off what was
//! read before; counters that have fallen were reset meanwhile, or the server was started again, and count
//! from zero then. That is said in a note, since what was counted right before is not known.

pub mod statements;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use self::statements::{StatementRow, Statements};
use super::QueryShape;

/// Differences by view and counter.
pub type Resources = BTreeMap<String, BTreeMap<String, f64>>;

/// The statistics of each database: only those that are replayed to count.
pub const DATABASES: &str = "pg_stat_database";

/// Numbers of the views that count nothing.
const NO_COUNTERS: [&str; 4] = ["datid", "numbackends", "op_bytes", "parallel_workers_to_launch"];

/// One row of a statistics view, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsRow {
    /// The view, by the name that the report has for it.
    view: String,
    /// What tells the row from others of the view.
    key: String,
    /// When its counters were last set to zero, as the server writes it.
    reset: Option<String>,
    counters: Vec<(String, f64)>,
}

impl StatisticsRow {
    /// Reads a row of `view` from its JSON: each number in it is a counter, unless it is known to be none.
    /// `None` where it belongs to nothing that is told apart.
    pub fn read(view: &str, row: &Map<String, Value>) -> Option<Self> {
        let text = |column: &str| row.get(column).and_then(Value::as_str);
        let (view, key) = match view {
            DATABASES => (view.to_owned(), text("datname")?.to_owned()),
            "pg_stat_io" => {
                let key = format!("{} {}", text("object")?, text("context")?);
                (format!("{view} ({})", text("backend_type")?), key)
            }
            _ => (view.to_owned(), String::new()),
        };
        let counters = row.iter().filter_map(|(name, value)| {
            let is_counter = !NO_COUNTERS.contains(&name.as_str());
            value.as_f64().filter(|_| is_counter).map(|value| (name.clone(), value))
        });
        let counters = counters.collect();
        Some(Self { view, key, reset: text("stats_reset").map(str::to_owned), counters })
    }
}

/// What has been spent so far.
#[derive(Debug, Default)]
pub struct Spending {
    rows: HashMap<(String, String), Row>,
    statements: Statements,
    /// The databases that are replayed to.
    databases: BTreeSet<String>,
    /// What was not to be had.
    missing: BTreeMap<&'static str, String>,
    /// Whether anything was read.
    is_read: bool,
}

#[derive(Debug, Default)]
struct Row {
    last: HashMap<String, f64>,
    reset: Option<String>,
    spent: BTreeMap<String, f64>,
    was_reset: bool,
}

impl Spending {
    /// A session has logged in to this database.
    pub fn replays_to(&mut self, database: &str) {
        if !self.databases.contains(database) {
            self.databases.insert(database.to_owned());
        }
    }

    /// The databases that are replayed to.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        self.databases.iter().map(String::as_str)
    }

    /// Notes what was read of the views.
    pub fn read(&mut self, rows: Vec<StatisticsRow>) {
        let is_first = !self.is_read;
        self.is_read = true;
        for row in rows {
            match self.rows.entry((row.view.clone(), row.key.clone())) {
                Entry::Occupied(known) => known.into_mut().advance(row),
                Entry::Vacant(new) => new.insert(Row::default()).begin(row, is_first),
            }
        }
    }

    /// Notes what was read of pg_stat_statements: of statements whose texts are not known yet, with them.
    pub fn read_statements(&mut self, rows: Vec<StatementRow>) {
        self.statements.read(rows);
    }

    /// The statements whose texts have to be read for the shapes that they have.
    pub fn unknown_statements(&self) -> Vec<i64> {
        self.statements.unknown(|database| self.databases.contains(database))
    }

    /// Notes the text of a statement.
    pub fn note_text(&mut self, query_id: i64, text: &str) {
        self.statements.note_text(query_id, text);
    }

    /// Something is not to be had, and why.
    pub fn misses(&mut self, what: &'static str, why: impl Into<String>) {
        self.missing.insert(what, why.into());
    }

    /// It is to be had now.
    pub fn has(&mut self, what: &'static str) {
        self.missing.remove(what);
    }

    /// What was spent, by view and counter; `None` where nothing could be read.
    pub fn resources(&self) -> Option<Resources> {
        let mut resources = Resources::new();
        for ((view, key), row) in &self.rows {
            if view == DATABASES && !self.databases.contains(key) {
                continue;
            }
            let counters = resources.entry(view.clone()).or_default();
            for (name, spent) in &row.spent {
                *counters.entry(name.clone()).or_default() += spent;
            }
        }
        // Of the many kinds of processes, those that have done anything.
        resources.retain(|view, counters| {
            !view.starts_with("pg_stat_io") || counters.values().any(|spent| *spent > 0.0)
        });
        self.is_read.then_some(resources)
    }

    /// Adds to each of these shapes what was spent on its statements.
    pub fn add_to(&self, shapes: &mut [QueryShape]) {
        let mut spent = self.statements.by_shape(|database| self.databases.contains(database));
        for shape in shapes {
            let fingerprint = shape.fingerprint.as_deref();
            let fingerprint = fingerprint.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            shape.resources = fingerprint.and_then(|fingerprint| spent.remove(&fingerprint));
        }
    }

    /// What has to be known to read the figures.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.missing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        let reset = self.rows.iter().filter(|((view, key), row)| {
            row.was_reset && (view != DATABASES || self.databases.contains(key))
        });
        let views: BTreeSet<&str> = reset.map(|((view, _), _)| view.as_str()).collect();
        notes.extend(views.into_iter().map(|view| {
            format!(
                "{view}: its counters were reset during the run, or the server was started again; what \
                 was counted right before that is missing"
            )
        }));
        if self.statements.were_reset() {
            notes.push(
                "pg_stat_statements: entries were reset or made room for others during the run \
                 (pg_stat_statements.max); what was counted right before that is missing"
                    .to_owned(),
            );
        }
        notes
    }
}

impl Row {
    /// The first reading. A row that was not there at the first reading of all has begun to count since.
    fn begin(&mut self, row: StatisticsRow, is_first: bool) {
        for (name, value) in &row.counters {
            self.spent.insert(name.clone(), if is_first { 0.0 } else { *value });
        }
        self.remember(row);
    }

    fn advance(&mut self, row: StatisticsRow) {
        let has_fallen = row
            .counters
            .iter()
            .any(|(name, now)| self.last.get(name).is_some_and(|last| now < last));
        let is_reset = has_fallen || row.reset != self.reset;
        self.was_reset |= is_reset;
        for (name, now) in &row.counters {
            let last = if is_reset { 0.0 } else { self.last.get(name).copied().unwrap_or(0.0) };
            *self.spent.entry(name.clone()).or_default() += (now - last).max(0.0);
        }
        self.remember(row);
    }

    fn remember(&mut self, row: StatisticsRow) {
        self.last = row.counters.into_iter().collect();
        self.reset = row.reset;
    }
}

#[cfg(test)]
mod tests;
