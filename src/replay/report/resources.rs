//! What the target spent on the replay: its own statistics, as differences between readings.
//!
//! The server counts from its own beginning, for all its clients. What is read is taken off what was
//! read before; counters that have fallen were reset meanwhile, or the server was started again, and count
//! from zero then. That is said in a note, since what was counted right before is not known.

mod readings;
pub mod statements;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use self::readings::Readings;
pub use self::readings::ResourcePeriod;
use self::statements::{StatementRow, Statements};
use super::QueryShape;

/// Differences by view and counter.
pub type Resources = BTreeMap<String, BTreeMap<String, f64>>;

/// The statistics of each database: only those that are replayed to count.
pub const DATABASES: &str = "pg_stat_database";

/// Said with the figures: it can't be taken off, as the server counts it with the sessions' own.
const OWN_WORK: &str = "these are the server's figures for all its clients: besides the statements of the \
                        log they have what kreplay asks itself (log-ins and settings of each session, \
                        EXPLAIN, locks, these figures) and what others do on the target meanwhile";

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
    readings: Readings,
    statements: Statements,
    statement_readings: Readings,
    /// The databases that are replayed to.
    databases: BTreeSet<String>,
    /// Why not all statements are shown, if so.
    hidden: Option<String>,
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

    /// Notes what was read of the views at this time.
    pub fn read(&mut self, rows: Vec<StatisticsRow>, at_ms: i64) {
        let is_first = self.readings.read(at_ms);
        for row in rows {
            match self.rows.entry((row.view.clone(), row.key.clone())) {
                Entry::Occupied(known) => known.into_mut().advance(row),
                Entry::Vacant(new) => new.insert(Row::default()).begin(row, is_first),
            }
        }
    }

    /// Nothing could be read, and why.
    pub fn fails(&mut self, why: &str) {
        self.readings.fails(why);
        self.statement_readings.fails(why);
    }

    /// The databases whose statements are to be read; `None`: all, as it is not known yet which they are.
    pub fn databases_of_statements(&self) -> Option<Vec<String>> {
        self.statement_readings.has_any().then(|| self.databases.iter().cloned().collect())
    }

    /// Notes what was read of pg_stat_statements at this time.
    pub fn read_statements(&mut self, rows: Vec<StatementRow>, at_ms: i64) {
        let is_first = self.statement_readings.read(at_ms);
        self.statements.read(rows, is_first, |database| self.databases.contains(database));
    }

    /// pg_stat_statements could not be read, and why.
    pub fn fails_statements(&mut self, why: &str) {
        self.statement_readings.fails(why);
    }

    /// Why not all statements are shown, if so.
    pub fn hides_statements(&mut self, why: Option<String>) {
        self.hidden = why;
    }

    /// The statements whose texts have to be read next for the shapes that they have.
    pub fn next_unknown_statements(&self) -> Vec<i64> {
        self.statements.next_unknown(|database| self.databases.contains(database))
    }

    /// Notes the fingerprints of the texts that were found of those that were asked for.
    pub fn note_fingerprints(&mut self, asked: &[i64], found: Vec<(i64, Option<u64>)>) {
        self.statements.note_fingerprints(asked, found);
    }

    /// When it was read.
    pub fn period(&self) -> ResourcePeriod {
        self.readings.period()
    }

    /// What was spent, by view and counter; `None` without two readings to tell it by.
    pub fn resources(&self) -> Option<Resources> {
        if !self.readings.tell() {
            return None;
        }
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
        Some(resources)
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
        let mut notes = self.notes_of_readings();
        if self.readings.tell() {
            notes.push(OWN_WORK.to_owned());
        }
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
        let replays_to = |database: &str| self.databases.contains(database);
        notes.extend(
            self.statements
                .notes(replays_to)
                .into_iter()
                .map(|note| format!("pg_stat_statements: {note}")),
        );
        notes
    }

    /// Those about what could not be read.
    fn notes_of_readings(&self) -> Vec<String> {
        let (all, statements) = (self.readings.note(), self.statement_readings.note());
        // What is missing of both has one cause.
        let statements = statements.filter(|note| all.as_ref() != Some(note));
        let of = |what: &str, note: Option<String>| note.map(|note| format!("{what}: {note}"));
        let notes = [
            of("statistics", all),
            of("pg_stat_statements", statements),
            of("pg_stat_statements", self.hidden.clone()),
        ];
        notes.into_iter().flatten().collect()
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
