//! From a payload to a log record to a statement. Pure: no I/O, no clock, no runtime.
//!
//! - [`reader`]: the face: a payload of any accepted form becomes a [`LogRecord`]. Behind it, one
//!   module for each step: `csvlog` and `object` know the forms, `envelope` what is wrapped
//!   around them, `timestamp`, `value` and [`encoding`] what a column's bytes mean.
//! - [`message`] and [`parameters`]: what the record's message and detail say.

mod columns;
mod csvlog;
pub mod encoding;
mod envelope;
mod error_class;
mod kind;
mod malformed;
pub mod message;
mod object;
pub mod parameters;
pub mod reader;
pub mod record;
pub mod session_log;
pub mod statement;
mod timestamp;
mod value;

pub use columns::PLACE_KEY;
pub use encoding::{Encoding, Encodings};
pub use error_class::{ERROR_CLASSES, OTHER_CLASS, error_class};
pub use kind::RecordKind;
pub use malformed::Malformed;
pub use reader::{BYTE_ORDER_MARK, Format, RecordReader};
pub use record::{LogPlace, LogRecord, LogTime, SessionId, Severity, SqlState};
