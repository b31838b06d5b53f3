//! What a log itself tells of its databases' encodings: databases that it creates and renames.

use std::collections::HashMap;

use super::{Encoding, Encodings};
use crate::pglog::message::{LogEvent, read_message};
use crate::pglog::record::{LogRecord, SessionId, Severity};
use crate::sql::{self, Command, DatabaseChange, NewEncoding, Outline, database_changes};

/// Keeps the encodings to what the log has done by the record that was read last.
///
/// A statement may be logged before it has run. What it does counts at once, and is undone when its
/// transaction fails or is rolled back. A database that is dropped keeps its encoding: no record comes
/// from it until it is created again.
#[derive(Debug, Default)]
pub(in crate::pglog) struct LoggedChanges {
    unfinished: HashMap<SessionId, Unfinished>,
}

/// Changes of a transaction that may still fail.
#[derive(Debug)]
struct Unfinished {
    virtual_transaction: String,
    /// Databases with the encodings that they were known to have before, in order.
    before: Vec<(String, Option<Encoding>)>,
    /// Savepoints since the first of these, with how many stood before them.
    savepoints: Vec<(String, usize)>,
}

impl Unfinished {
    /// A savepoint is made, or returned to. One that is not known was made before all changes.
    fn note_savepoint(&mut self, sql: &str, encodings: &mut Encodings) {
        let name = sql::identifier(sql::last_token(sql));
        match sql::key(sql, 1).as_str() {
            "savepoint" => self.savepoints.push((name, self.before.len())),
            "rollback" => {
                let made = self.savepoints.iter().rposition(|(savepoint, _)| *savepoint == name);
                let kept = made.map_or(0, |at| self.savepoints[at].1);
                self.savepoints.truncate(made.map_or(0, |at| at + 1));
                self.undo(kept, encodings);
            }
            // What is released is a part of what was made before.
            _ => {}
        }
    }

    /// Undoes all changes but the first.
    fn undo(&mut self, kept: usize, encodings: &mut Encodings) {
        for (database, before) in self.before.drain(kept..).rev() {
            encodings.set(database, before);
        }
    }
}

impl LoggedChanges {
    /// A record has been read: what it says holds for those behind it.
    pub(in crate::pglog) fn note(&mut self, record: &LogRecord<'_>, encodings: &mut Encodings) {
        let failed = matches!(record.severity, Severity::Error | Severity::Fatal | Severity::Panic);
        let sql = if record.severity == Severity::Log && record.context.is_empty() {
            match read_message(&record.message).event {
                LogEvent::Statement(sql) => Some(sql),
                LogEvent::Execute(named) => named.split_once(": ").map(|(_, sql)| sql),
                _ => None,
            }
        } else {
            None
        };
        if !self.unfinished.is_empty() {
            let command = sql.and_then(|sql| Outline::of(sql).single());
            match (command, sql, self.unfinished.get_mut(&record.session)) {
                (Some(Command::Savepoint), Some(sql), Some(unfinished)) => {
                    unfinished.note_savepoint(sql, encodings);
                }
                _ => self.settle(record, failed || sql.is_some_and(rolls_back), encodings),
            }
        }
        for change in sql.map(database_changes).unwrap_or_default() {
            self.apply(change, record, encodings);
        }
    }

    /// Ends the session's transaction, if this record tells how it ended.
    fn settle(&mut self, record: &LogRecord<'_>, failed: bool, encodings: &mut Encodings) {
        let Some(unfinished) = self.unfinished.get(&record.session) else { return };
        let goes_on = unfinished.virtual_transaction == record.virtual_transaction;
        // The record of a ROLLBACK may be written behind the transaction's end.
        let undone = failed && (goes_on || record.severity == Severity::Log);
        if goes_on && !undone {
            return;
        }
        if let Some(mut unfinished) = self.unfinished.remove(&record.session).filter(|_| undone) {
            unfinished.undo(0, encodings);
        }
    }

    fn apply(&mut self, change: DatabaseChange, record: &LogRecord<'_>, encodings: &mut Encodings) {
        let (database, encoding) = match change {
            DatabaseChange::Create { database, encoding: Some(encoding), .. } => {
                let encoding = match encoding {
                    NewEncoding::Named(name) => Encoding::from_postgres_name(&name),
                    NewEncoding::Numbered(number) => Encoding::from_postgres_number(number),
                };
                (database, encoding)
            }
            DatabaseChange::Create { database, encoding: None, template } => {
                (database, encodings.known(&template))
            }
            DatabaseChange::Rename { from, to } => (to, encodings.known(&from)),
        };
        let before = (database.clone(), encodings.set(database, encoding));
        let virtual_transaction = record.virtual_transaction.as_ref();
        if virtual_transaction.is_empty() || virtual_transaction.ends_with("/0") {
            return;
        }
        let unfinished = self.unfinished.entry(record.session).or_insert_with(|| Unfinished {
            virtual_transaction: virtual_transaction.to_owned(),
            before: Vec::new(),
            savepoints: Vec::new(),
        });
        unfinished.before.push(before);
    }
}

fn rolls_back(sql: &str) -> bool {
    let first = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next();
    first.is_some_and(|word| {
        word.eq_ignore_ascii_case("rollback") || word.eq_ignore_ascii_case("abort")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What databases `a` and `b` are taken to have after these records of one session, each with its
    /// virtual transaction, its severity and its message; `a` is in LATIN2 at the start.
    fn after(records: &[(&str, Severity, &str)]) -> [&'static str; 2] {
        let latin2 = Encoding::from_postgres_name("LATIN2").unwrap();
        let mut encodings: Encodings = [("a".to_owned(), latin2)].into_iter().collect();
        let mut changes = LoggedChanges::default();
        for &(transaction, severity, message) in records {
            let record = LogRecord {
                session: SessionId { start: 1, pid: 1 },
                virtual_transaction: transaction.into(),
                severity,
                message: message.into(),
                ..LogRecord::default()
            };
            changes.note(&record, &mut encodings);
        }
        ["a", "b"].map(|database| encodings.of(database).postgres_name())
    }

    const CREATE: &str = "statement: create database b encoding 'LATIN1' template template0";

    #[test]
    fn a_database_that_the_log_creates_has_the_encoding_that_it_says() {
        assert_eq!(after(&[("3/4", Severity::Log, CREATE)]), ["LATIN2", "LATIN1"]);
        let done = format!("duration: 40.1 ms  {CREATE}");
        assert_eq!(after(&[("3/0", Severity::Log, &done)]), ["LATIN2", "LATIN1"]);
        let copied = "execute <unnamed>: create database b template a";
        assert_eq!(after(&[("3/4", Severity::Log, copied)]), ["LATIN2", "LATIN2"]);
    }

    #[test]
    fn a_database_that_could_not_be_created_changes_nothing() {
        let failed = ("3/4", Severity::Error, "database \"b\" already exists");
        let before = "statement: create database b template a";
        assert_eq!(
            after(&[("3/3", Severity::Log, before), ("3/4", Severity::Log, CREATE), failed]),
            ["LATIN2", "LATIN2"]
        );
    }

    #[test]
    fn an_error_of_a_later_statement_undoes_nothing() {
        let error = ("3/5", Severity::Error, "division by zero");
        assert_eq!(after(&[("3/4", Severity::Log, CREATE), error]), ["LATIN2", "LATIN1"]);
        let done = format!("duration: 40.1 ms  {CREATE}");
        assert_eq!(after(&[("3/0", Severity::Log, &done), error]), ["LATIN2", "LATIN1"]);
    }

    #[test]
    fn a_savepoint_undoes_what_comes_behind_it() {
        let sql = |sql: &'static str| ("3/5", Severity::Log, sql);
        let (before, behind) = (
            sql("statement: alter database a rename to c"),
            sql("statement: alter database b rename to a"),
        );
        let savepoint = sql("statement: savepoint s");
        let rollback = sql("statement: rollback to s");
        let created = ("3/0", Severity::Log, CREATE);
        let within =
            |records: &[(&str, Severity, &'static str)]| after(&[&[created][..], records].concat());
        assert_eq!(within(&[before, savepoint, behind]), ["LATIN1", "LATIN1"]);
        assert_eq!(within(&[before, savepoint, behind, rollback]), ["LATIN2", "LATIN1"]);
        assert_eq!(within(&[savepoint, behind, rollback]), ["LATIN2", "LATIN1"]);
        let then = sql("statement: alter database a rename to b");
        assert_eq!(within(&[savepoint, behind, rollback, then]), ["LATIN2", "LATIN2"]);
    }

    #[test]
    fn a_database_may_have_its_encoding_by_number() {
        let numbered = "statement: create database b encoding 16 template template0";
        assert_eq!(after(&[("3/0", Severity::Log, numbered)]), ["LATIN2", "LATIN9"]);
    }

    #[test]
    fn names_that_were_swapped_keep_to_their_databases_unless_it_is_rolled_back() {
        let swap = [
            ("3/0", Severity::Log, CREATE),
            ("3/5", Severity::Log, "statement: alter database a rename to c"),
            ("3/5", Severity::Log, "statement: alter database b rename to a"),
            ("3/5", Severity::Log, "statement: alter database c rename to b"),
        ];
        assert_eq!(after(&swap), ["LATIN1", "LATIN2"]);
        let commit = ("3/5", Severity::Log, "statement: commit");
        let next = ("3/6", Severity::Error, "division by zero");
        assert_eq!(after(&[&swap[..], &[commit, next]].concat()), ["LATIN1", "LATIN2"]);
        for rollback in [
            ("3/5", Severity::Log, "statement: ROLLBACK"),
            ("3/0", Severity::Log, "duration: 0.1 ms  statement: rollback;"),
            ("3/5", Severity::Error, "canceling statement due to user request"),
        ] {
            assert_eq!(after(&[&swap[..], &[rollback]].concat()), ["LATIN2", "LATIN1"]);
        }
    }
}
