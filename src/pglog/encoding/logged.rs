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

/// How many transactions are followed of which the log has not told the end.
const UNFINISHED: usize = 1000;

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
        if self.unfinished.len() >= UNFINISHED && !self.unfinished.contains_key(&record.session) {
            // The ends of so many are lost: they count as done.
            self.unfinished.clear();
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
mod tests;
