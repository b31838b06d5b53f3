//! What a statement does to its transaction, as its text tells.

use crate::pglog::statement::Statement;
use crate::sql::{self, Command};

/// A step of a session's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A transaction block begins.
    Begin,
    /// It ends.
    Commit,
    /// It ends, undone.
    Rollback,
    /// It ends and another begins; whether it is undone.
    Chain {
        /// `ROLLBACK AND CHAIN`.
        undone: bool,
    },
    /// `SAVEPOINT`.
    Savepoint(Box<str>),
    /// `RELEASE`.
    Release(Box<str>),
    /// `ROLLBACK TO`.
    RollbackTo(Box<str>),
    /// `PREPARE TRANSACTION`: it leaves its session, by this name.
    Prepare(Box<str>),
    /// `COMMIT PREPARED`, `ROLLBACK PREPARED`.
    FinishPrepared {
        /// Its name.
        name: Box<str>,
        /// `ROLLBACK PREPARED`.
        undone: bool,
    },
}

impl Step {
    /// Whether it ends a transaction block.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::Chain { .. } | Self::Prepare(_))
    }
}

/// The steps of a statement string, in order; none for most.
pub fn steps(statement: &Statement) -> Vec<Step> {
    let parts = statement.outline.parts.iter();
    parts.filter_map(|part| step(part.command, &statement.sql[part.range.clone()])).collect()
}

fn step(command: Command, text: &str) -> Option<Step> {
    Some(match command {
        Command::Begin => Step::Begin,
        Command::Commit => Step::Commit,
        Command::Rollback => Step::Rollback,
        Command::Chain => Step::Chain { undone: is_undoing(text) },
        Command::PrepareTransaction => Step::Prepare(identifier(text)),
        Command::FinishPrepared => {
            Step::FinishPrepared { name: identifier(text), undone: is_undoing(text) }
        }
        Command::Savepoint => match &*sql::key(text, 1) {
            "savepoint" => Step::Savepoint(last_word(text)),
            "release" => Step::Release(last_word(text)),
            _ => Step::RollbackTo(last_word(text)),
        },
        _ => return None,
    })
}

/// The identifiers of the prepared transactions that a statement finishes; none for most.
pub fn finished_prepared(statement: &Statement) -> Vec<Box<str>> {
    if !statement.outline.has(|command| command == Command::FinishPrepared) {
        return Vec::new();
    }
    let finished = steps(statement).into_iter().filter_map(|step| match step {
        Step::FinishPrepared { name, .. } => Some(name),
        _ => None,
    });
    finished.collect()
}

fn is_undoing(text: &str) -> bool {
    matches!(&*sql::key(text, 1), "rollback" | "abort")
}

/// The transaction's identifier, which is a string: as it is written, so that case tells two apart.
fn identifier(text: &str) -> Box<str> {
    let word = sql::joined_parts(sql::last_token(text));
    let word = &*word;
    let quoted = word.strip_prefix(['e', 'E']).unwrap_or(word);
    if let Some(string) = quoted.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')) {
        return string.replace("''", "'").into();
    }
    let dollars = word
        .strip_prefix('$')
        .and_then(|it| it.split_once('$'))
        .and_then(|(tag, it)| it.strip_suffix('$')?.strip_suffix(tag)?.strip_suffix('$'));
    dollars.unwrap_or(word).into()
}

/// The name that such a statement ends with, as PostgreSQL folds it.
fn last_word(text: &str) -> Box<str> {
    let word = sql::last_token(text);
    match word.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').unwrap_or(quoted).into(),
        None => word.to_ascii_lowercase().into(),
    }
}

#[cfg(test)]
mod tests;
