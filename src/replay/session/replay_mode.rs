//! How a statement is replayed: as it was sent, or by what has the effect that it had on the source.

use std::borrow::Cow;

use super::SessionSettings;
use crate::pglog::SqlState;
use crate::pglog::sql::{self, Command};
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::request::TransactionStatus as Status;
use crate::replay::work::{End, Work};

/// How a statement is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplayMode {
    Simple,
    Extended,
    ParseOnly,
    /// By another text, which has the effect that it had on the source.
    Text(Cow<'static, str>),
    /// By a rollback: a COMMIT that failed on the source.
    RollBack,
}

impl ReplayMode {
    /// How it is replayed where the connection stands like this.
    pub(super) fn of(work: &Work, end: End, status: Status, settings: &SessionSettings) -> Self {
        let statement = &work.statement;
        match (&statement.protocol, end.source) {
            (_, SourceEnd::Failed(code))
                if end.source.is_transient()
                    && !(settings.replay_cancels && code == SqlState::QUERY_CANCELED) =>
            {
                return instead(work, end, code);
            }
            // Its session ends next, and takes with it what it did.
            (_, SourceEnd::Terminated) => return Self::Text("".into()),
            (Protocol::Unknown, SourceEnd::Failed(code)) => return Self::Text(raise(code).into()),
            (Protocol::Unknown, _) => return Self::Text("".into()),
            _ => {}
        }
        // The transaction before it is settled; what is left of it is that it began another.
        if status == Status::Idle
            && statement.outline.single() == Some(Command::Chain)
            && !matches!(end.source, SourceEnd::Failed(_))
        {
            return Self::Text("BEGIN".into());
        }
        if let Some(text) = without_copy(work, end) {
            return Self::Text(text.into());
        }
        if settings.read_only
            && let Some(text) = kept_read_only(statement)
        {
            return Self::Text(text.into());
        }
        match statement.protocol {
            Protocol::Simple | Protocol::Unknown => Self::Simple,
            Protocol::Extended { .. } => Self::Extended,
            Protocol::ParseOnly => Self::ParseOnly,
        }
    }
}

/// Whether it may let its session write, where the default is that it does not.
pub(super) fn lifts_read_only(statement: &Statement) -> bool {
    statement.outline.lifts_read_only || sets_it_by_parameter(statement)
}

fn sets_it_by_parameter(statement: &Statement) -> bool {
    let Protocol::Extended { parameters, .. } = &statement.protocol else { return false };
    statement.outline.single() == Some(Command::SetConfig)
        && parameters.iter().flatten().any(|value| sql::names_setting(value))
}

/// The text without what would let its session write.
fn kept_read_only(statement: &Statement) -> Option<String> {
    if sets_it_by_parameter(statement) {
        return Some(String::new());
    }
    sql::kept_read_only(&statement.sql, &statement.outline)
}

/// What stands for a statement that failed on the source for what happened around it.
///
/// A COMMIT is rolled back. Anything else fails with the same code, so that its transaction is
/// aborted as it was there; of a string of statements, those before the one that failed are run.
fn instead(work: &Work, end: End, code: SqlState) -> ReplayMode {
    let statement = &work.statement;
    if statement.only_ends_transaction() {
        return ReplayMode::RollBack;
    }
    let parts = &statement.outline.parts;
    let failed = end.failure.and_then(|failure| failure.part).unwrap_or(parts.len().max(1) - 1);
    let text = match parts[..failed.min(parts.len())].last() {
        Some(before) if !statement.is_extended() => {
            format!("{};{}", &statement.sql[..before.range.end], raise(code))
        }
        _ => raise(code),
    };
    ReplayMode::Text(text.into())
}

/// Fails with this code, in a transaction or outside of one.
pub(super) fn raise(code: SqlState) -> String {
    format!(
        "DO $kreplay$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', \
         MESSAGE = 'kreplay: failed like this on the source'; END$kreplay$"
    )
}

/// The statement's text without its COPY FROM STDIN, whose data no log holds; `None` where it has
/// none.
fn without_copy(work: &Work, end: End) -> Option<String> {
    let statement = &work.statement;
    if !statement.outline.has(|command| command == Command::CopyFromStdin) {
        return None;
    }
    if let SourceEnd::Failed(code) = end.source {
        return Some(raise(code));
    }
    let rest = statement.outline.parts.iter().filter(|part| part.command != Command::CopyFromStdin);
    let texts: Vec<&str> = rest.map(|part| &statement.sql[part.range.clone()]).collect();
    Some(texts.join(";"))
}
