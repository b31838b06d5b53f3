//! One record of a PostgreSQL server log, whatever format it came in.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// One record of the server log: the columns that a replay needs, decoded to UTF-8.
///
/// Text borrows from the payload (or the reader's buffer) wherever it stood there as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogRecord<'a> {
    /// When the record was written.
    pub log_time: LogTime,
    /// The login user. `SET ROLE` does not change it.
    pub user: Cow<'a, str>,
    /// The database that the session is connected to; empty before it is authorized.
    pub database: Cow<'a, str>,
    /// The session: the only key that groups records.
    pub session: SessionId,
    /// 1, 2, 3… within the session; 0 where the record does not say.
    pub line: u64,
    /// The process title: the state before a simple statement, or its command tag.
    pub command_tag: Cow<'a, str>,
    /// `slot/n`; `slot/0` where no transaction is open.
    pub virtual_transaction: Cow<'a, str>,
    /// 0 until the transaction has written.
    pub transaction: u64,
    /// LOG, ERROR, …
    pub severity: Severity,
    /// `00000` where nothing failed.
    pub sqlstate: SqlState,
    /// What was logged: here the statement stands.
    pub message: Cow<'a, str>,
    /// The parameters stand here, or the text of a `PREPARE`.
    pub detail: Cow<'a, str>,
    /// Where an error was raised; empty in every genuine statement record.
    pub context: Cow<'a, str>,
    /// The statement that led to an error.
    pub query: Cow<'a, str>,
    /// `application_name` of the session.
    pub application_name: Cow<'a, str>,
    /// `client backend`, `parallel worker`, `walsender`, …; empty before PostgreSQL 13.
    pub backend_type: Cow<'a, str>,
    /// How long the statement ran, where a shipper cut it off the message into a field of its own
    /// (the seed's fluentd records); `None` where the message still holds it.
    pub cut_duration_ms: Option<f64>,
    /// Where the shipper read it, if the envelope says.
    pub place: Option<LogPlace<'a>>,
}

/// Where in the source's log a shipper read a record: what orders the records of several partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace<'a> {
    /// The file; empty where `offset` grows over all files.
    pub file: Cow<'a, str>,
    /// A number that grows within the file: bytes or lines.
    pub offset: u64,
}

impl<'a> LogPlace<'a> {
    /// `12345`, or `FILE:12345`; `None` for anything else.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        let (file, offset) = text.rsplit_once(':').unwrap_or(("", text));
        let digits = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset = offset.parse().ok().filter(|_| digits)?;
        Some(Self { file: file.into(), offset })
    }
}

/// A log time, to the millisecond (PostgreSQL cuts, it does not round).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTime {
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// Whether the zone was UTC, GMT or numeric. Other abbreviations are ambiguous (`IST`) and
    /// were read as if they were UTC.
    pub zone_known: bool,
}

/// A session of the source: its start second and its process id, both in hexadecimal in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// When the session began, in seconds since the Unix epoch.
    pub start: u64,
    /// The backend's process id on the source.
    pub pid: u32,
}

/// The text is not a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id (hexadecimal start time, dot, hexadecimal process id)")]
pub struct NotASessionId;

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        let (start, pid) = text.split_once('.').ok_or(NotASessionId)?;
        Ok(Self {
            start: u64::from_str_radix(start, 16).map_err(|_| NotASessionId)?,
            pid: u32::from_str_radix(pid, 16).map_err(|_| NotASessionId)?,
        })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.start, self.pid)
    }
}

/// The severity of a record, as far as a replay distinguishes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Severity {
    /// LOG: statements, connections.
    Log,
    /// DEBUG, INFO, NOTICE, WARNING: noise.
    #[default]
    Noise,
    /// ERROR: a statement failed.
    Error,
    /// FATAL: the session ended.
    Fatal,
    /// PANIC: the server ended.
    Panic,
}

impl Severity {
    /// Reads the column `error_severity`.
    pub fn parse(text: &str) -> Self {
        match text {
            "LOG" => Self::Log,
            "ERROR" => Self::Error,
            "FATAL" => Self::Fatal,
            "PANIC" => Self::Panic,
            _ => Self::Noise,
        }
    }
}

/// A five-character SQLSTATE code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// `00000`.
    pub const SUCCESS: Self = Self(*b"00000");
    /// `42501`: the role may not do this.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// `25001`: it can't be done in a transaction, in one that has begun, or behind a savepoint.
    pub const ACTIVE_SQL_TRANSACTION: Self = Self(*b"25001");
    /// `25P02`: the transaction is aborted, the statement was not run.
    pub const IN_FAILED_TRANSACTION: Self = Self(*b"25P02");
    /// `0A000`: not supported; of a Bind: the statement's result has changed since it was prepared.
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// `40001`: in conflict with another transaction, at an isolation level that does not allow it.
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// `40P01`: chosen as the victim of a deadlock.
    pub const DEADLOCK_DETECTED: Self = Self(*b"40P01");
    /// `55P03`: a lock was not there in time, or not at once.
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");
    /// `57014`: canceled, or timed out.
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// `57P01`: terminated by an administrator.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");

    /// The class: the first two characters.
    pub fn class(&self) -> &str {
        std::str::from_utf8(&self.0[..2]).unwrap_or("??")
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }
}

impl Default for SqlState {
    fn default() -> Self {
        Self::SUCCESS
    }
}

/// The text is not five ASCII letters or digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SQLSTATE (five letters or digits)")]
pub struct NotASqlState;

impl FromStr for SqlState {
    type Err = NotASqlState;

    fn from_str(text: &str) -> Result<Self, NotASqlState> {
        let code: [u8; 5] = text.as_bytes().try_into().map_err(|_| NotASqlState)?;
        if code.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(code)) } else { Err(NotASqlState) }
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({})", self.as_str())
    }
}

#[cfg(test)]
mod tests;
