//! What the server answered.

use std::fmt;
use std::sync::Arc;

use crate::pglog::SqlState;
use crate::replay::session::request::{ResultRow, Took, TransactionStatus};

/// Reads a DataRow. `None` where it is not whole.
pub(super) fn row_of_data(body: &[u8]) -> Option<ResultRow> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let values = (0..u16::from_be_bytes(*count)).map(|_| {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // -1 stands for a NULL.
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = after;
            return Some(None);
        };
        let (value, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Some(String::from_utf8_lossy(value).into()))
    });
    values.collect()
}

/// Reads the status byte of a ReadyForQuery.
pub(super) fn status_from_byte(byte: u8) -> Option<TransactionStatus> {
    match byte {
        b'I' => Some(TransactionStatus::Idle),
        b'T' => Some(TransactionStatus::InTransaction),
        b'E' => Some(TransactionStatus::Failed),
        _ => None,
    }
}

/// The answer to one [`Request`](super::Request), up to and including its ReadyForQuery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The transaction status after the request. A COMMIT that the server turned into a ROLLBACK
    /// succeeds; that the status was [`Failed`](TransactionStatus::Failed) before it is the only
    /// sign.
    pub status: TransactionStatus,
    /// How many commands (statements of a simple string, Executes of a batch) ended well, before
    /// the error if there was one. An empty statement and a portal that was suspended count.
    pub completed: u32,
    /// How many rows those commands returned or changed, as their command tags say.
    pub rows: u64,
    /// The rows of a request that was sent with [`ResultRows::Keep`](super::ResultRows::Keep), as
    /// text.
    pub result: Vec<ResultRow>,
    /// Whether text in UTF-8 is not what the server takes from us any more: something has set
    /// `client_encoding`.
    pub foreign_encoding: bool,
    /// The error that ended the request early.
    pub error: Option<ServerError>,
    /// How long the server took.
    pub took: Took,
    /// A plan that auto_explain told meanwhile, of this request's statement or of one before it, as it
    /// writes it behind `plan:`; empty where it is too long or one of many. See
    /// [`Connection::keep_plans`](super::Connection::keep_plans).
    pub plan: Option<Box<str>>,
}

/// An error that the server reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// FATAL or PANIC: the server closes the connection after it.
    pub severity_fatal: bool,
    /// What kind of error it is.
    pub sqlstate: SqlState,
    /// What the server said, in its language.
    pub message: String,
    /// The parameter of the statement that it is about, from 1, where it names one.
    pub parameter: Option<u16>,
    /// Extended protocol only: Parse or Bind failed, so nothing of the statement has run.
    pub before_execute: bool,
}

impl ServerError {
    /// Reads the fields of an ErrorResponse. What is missing or cut off is left at its default:
    /// a report that can't be read in full is still an error.
    pub(super) fn parse(mut body: &[u8]) -> Self {
        let mut error = Self {
            severity_fatal: false,
            sqlstate: SqlState(*b"XX000"),
            message: String::new(),
            parameter: None,
            before_execute: false,
        };
        while let [code, rest @ ..] = body {
            let end = memchr::memchr(0, rest).unwrap_or(rest.len());
            let value = String::from_utf8_lossy(&rest[..end]);
            match code {
                0 => break,
                // 'S' is the same, translated into the server's language; 'V' came with 9.6.
                b'V' | b'S' => {
                    error.severity_fatal |= matches!(value.as_ref(), "FATAL" | "PANIC");
                }
                b'C' => error.sqlstate = value.parse().unwrap_or(error.sqlstate),
                b'M' => {
                    // Of others it may quote a value.
                    if matches!(&error.sqlstate.0, b"42P18" | b"42P08") {
                        error.parameter = parameter_in(&value);
                    }
                    error.message = value.into_owned();
                }
                // Where a value is none of its parameter's type, this names it.
                b'W' => error.parameter = error.parameter.or_else(|| parameter_in(&value)),
                _ => {}
            }
            body = rest.get(end + 1..).unwrap_or_default();
        }
        error
    }
}

/// The first parameter that a text of the server names, in whatever language: `parameter $2`.
fn parameter_in(text: &str) -> Option<u16> {
    text.match_indices(" $").find_map(|(at, mark)| {
        // `with parameters: $1 = …, $2 = …` lists all.
        if text[..at].ends_with([':', ',']) {
            return None;
        }
        let rest = &text[at + mark.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse().ok()
    })
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity_fatal { "FATAL" } else { "ERROR" };
        write!(f, "{severity} {}: {}", self.sqlstate, self.message)
    }
}

impl std::error::Error for ServerError {}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        use tokio_postgres::error::Severity;
        Self {
            severity_fatal: matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            ),
            sqlstate: error.code().code().parse().unwrap_or(SqlState(*b"XX000")),
            message: error.message().to_owned(),
            parameter: None,
            before_execute: false,
        }
    }
}

/// The connection ended before the answer came. Whether the request was carried out is not known.
///
/// Cheap to clone: every request that was under way gets one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Why, for people.
    pub reason: Arc<str>,
    /// The FATAL error that the server sent before it closed the connection, if it did.
    pub error: Option<Arc<ServerError>>,
}

impl Lost {
    pub(super) fn new(reason: impl AsRef<str>, error: Option<Arc<ServerError>>) -> Self {
        Self { reason: Arc::from(reason.as_ref()), error }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "connection lost: {error} ({})", self.reason),
            None => write!(f, "connection lost: {}", self.reason),
        }
    }
}

impl std::error::Error for Lost {}

/// The number of rows that a command tag ends in: `INSERT 0 3`, `SELECT 5`, `COPY 7`; 0 where it
/// ends in none (`BEGIN`).
pub(super) fn rows_of_command_tag(tag: &[u8]) -> u64 {
    let tag = tag.strip_suffix(&[0]).unwrap_or(tag);
    let digits = tag.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    tag[tag.len() - digits..]
        .iter()
        .fold(0, |rows: u64, digit| rows.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
