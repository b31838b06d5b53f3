//! How a statement is replayed: as it was sent, or by what has the effect that it had on the source.

use std::borrow::Cow;
use std::time::Duration;

use super::SessionSettings;
use super::on_connection::Content;
use crate::pglog::SqlState;
use crate::pglog::statement::{Failure, Protocol, SourceEnd, Statement};
use crate::replay::order::draws;
use crate::replay::session::context::Context;
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::{End, Work};
use crate::sql::{self, Command, Part};

/// How a statement is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplayMode {
    Simple,
    Extended,
    ParseOnly,
    BindOnly,
    /// By another text, which has the effect that it had on the source.
    Text(Cow<'static, str>),
    /// By a rollback: a COMMIT that failed on the source.
    RollBack,
    /// Run within limits for what it draws from sequences, and undone by the failure that it had on
    /// the source.
    DrawOnly {
        limits: String,
        code: SqlState,
    },
}

/// For how long a statement that is to be undone may wait for a lock, in milliseconds: what it draws,
/// it draws before it waits for rows. Whoever holds the lock may well wait for it to end.
const LOCK_WAIT_MS: u32 = 50;
/// For how long it may run: as long as on the source, but within these.
const LEAST_RUN_MS: f64 = 100.0;
const MOST_RUN_MS: f64 = 1000.0;

impl ReplayMode {
    /// How it is replayed where the connection stands like this.
    pub(super) fn of(
        work: &Work,
        end: End,
        status: Status,
        settings: &SessionSettings,
        context: &Context,
    ) -> Self {
        let statement = &work.statement;
        match (&statement.protocol, end.source) {
            (_, SourceEnd::Failed(code))
                if end.source.is_transient()
                    && !is_run_and_canceled(statement, code, status, settings) =>
            {
                let prepared = |name: &str| context.prepared(name).map(Into::into);
                let draws = draws::of_failed(statement, end, prepared);
                // In a transaction that can't write, nothing is drawn.
                if draws.is_run() && !settings.read_only {
                    return Self::DrawOnly { limits: limits(end), code };
                }
                return instead(work, end, code);
            }
            // Its session ends next, and takes with it what it did.
            (_, SourceEnd::Terminated) => return Self::Text("".into()),
            // How it was prepared here, and when, need not be how it was there.
            (_, SourceEnd::Failed(code)) if has_stale_plan(statement, code) => {
                return Self::Text(raise(code).into());
            }
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
            Protocol::BindOnly { .. } => Self::BindOnly,
        }
    }
}

/// Whether a statement that the source canceled is run, and canceled after the same time: what it had
/// committed by then is there.
fn is_run_and_canceled(
    statement: &Statement,
    code: SqlState,
    status: Status,
    settings: &SessionSettings,
) -> bool {
    let has_committed = status == Status::Idle && statement.may_commit_midway();
    code == SqlState::QUERY_CANCELED && (settings.replay_cancels || has_committed)
}

/// After what time a statement is to be canceled that the source canceled, where it is run at all.
pub fn cancel_after(work: &Work) -> Option<Duration> {
    let canceled = work.end().failure.filter(|f| f.code == SqlState::QUERY_CANCELED)?;
    Some(Duration::from_micros((canceled.after_ms.unwrap_or_default() * 1000.0) as u64))
}

/// Whether what is sent for a statement ends by itself before long, even if it waits for a lock: what is
/// run and undone has limits, and what the source canceled is canceled. Nobody's lock is freed for it.
pub(super) fn is_limited(work: &Work, content: Content) -> bool {
    let is_canceled = |failure: Failure| {
        let after_ms = failure.after_ms.unwrap_or_default();
        failure.code == SqlState::QUERY_CANCELED && after_ms <= MOST_RUN_MS
    };
    match content {
        Content::DrawOnly => true,
        Content::Itself => work.end().failure.is_some_and(is_canceled),
        _ => false,
    }
}

/// Whether what a statement gives has changed since it was prepared.
pub(super) fn has_stale_plan(statement: &Statement, code: SqlState) -> bool {
    let of_prepared = match statement.protocol {
        Protocol::BindOnly { .. } | Protocol::Unknown => true,
        Protocol::Simple => &*sql::key(&statement.sql, 1) == "execute",
        Protocol::Extended { .. } | Protocol::ParseOnly => false,
    };
    code == SqlState::FEATURE_NOT_SUPPORTED && of_prepared
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
    let before = before_failed(statement, end, &limits(end));
    ReplayMode::Text(format!("{before}{}", raise(code)).into())
}

/// A simple query up to the statement that failed, which is run within limits and then undone.
pub(super) fn draw_only(statement: &Statement, end: End, limits: &str, code: SqlState) -> String {
    let failed = statement.outline.parts.get(draws::failed_part(statement, end));
    let failed = failed.map_or("", |part| &statement.sql[part.range.clone()]);
    let before = before_failed(statement, end, limits);
    format!("{before}{limits};{failed};{}", raise(code))
}

/// What stands before the one that failed of a string of statements.
///
/// Of several that begin with the same command the log does not tell which it was that failed, so the
/// earlier ones have the limits too. Those before a savepoint have not, which would keep them.
fn before_failed(statement: &Statement, end: End, limits: &str) -> String {
    if statement.is_extended() {
        return String::new();
    }
    let outline = &statement.outline;
    let text = |part: &Part| &statement.sql[part.range.clone()];
    let at = draws::failed_part(statement, end);
    let failed = outline.parts.get(at).map_or(String::new(), |part| sql::key(text(part), 1));
    let before = &outline.parts[..at];
    let savepoint = before.iter().rposition(|part| part.command == Command::Savepoint);
    let mut texts = String::new();
    for (index, part) in before.iter().enumerate() {
        if savepoint.is_none_or(|savepoint| index > savepoint) && sql::key(text(part), 1) == failed
        {
            texts += limits;
            texts.push(';');
        }
        texts += text(part);
        texts.push(';');
    }
    texts
}

/// Limits a statement that is to be undone. The transaction that they are local to ends with it.
fn limits(end: End) -> String {
    let ran_ms = end.failure.and_then(|failure| failure.after_ms).unwrap_or(MOST_RUN_MS);
    let run_ms = ran_ms.clamp(LEAST_RUN_MS, MOST_RUN_MS);
    format!(
        "SELECT pg_catalog.set_config('lock_timeout', '{LOCK_WAIT_MS}ms', true), \
         pg_catalog.set_config('statement_timeout', '{run_ms:.0}ms', true)"
    )
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
