//! From a payload to a log record to a statement. Pure: no I/O, no clock, no runtime.

pub mod record;
pub mod sql;

pub use record::{LogRecord, LogTime, SessionId, Severity, SqlState};
