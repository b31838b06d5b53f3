//! The columns of a record that came as an object, under csvlog's names or jsonlog's.

use std::borrow::Cow;

use super::encoding::{ColumnDecoder, Encodings};
use super::malformed::Malformed;
use super::record::{LogPlace, LogRecord, LogTime, SessionId, Severity, SqlState};
use super::value::Value;

/// Which column a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    LogTime,
    /// A shipper's own time of the event, where it took `log_time` away.
    EventTime,
    User,
    Database,
    SessionId,
    LineNum,
    CommandTag,
    VirtualTransaction,
    Transaction,
    Severity,
    SqlState,
    Message,
    Detail,
    Context,
    Query,
    /// jsonlog's name of the query; without a message, the seed's own records (see
    /// [`Columns::into_record`]).
    Statement,
    ApplicationName,
    BackendType,
    LeaderPid,
    /// The seed's: milliseconds, cut off the message.
    Duration,
    /// Not a column: what shippers put a raw record into, like `message`.
    Msg,
    /// The same; Filebeat's also says where the record was read.
    Log,
    /// Not a column: where the shipper read the record, `12345` or `FILE:12345`.
    Place,
    /// Filebeat's, within `log`: the byte at which the record starts.
    Offset,
    /// Filebeat's, within `log`: an object that has `path`.
    File,
    /// Filebeat's, within `log.file`.
    Path,
}

/// How many variants [`Column`] has.
const COLUMN_KINDS: usize = Column::Path as usize + 1;

impl Column {
    /// csvlog's names, then jsonlog's where they differ.
    pub(super) fn named(key: &str) -> Option<Self> {
        Some(match key {
            "log_time" | "timestamp" => Self::LogTime,
            "time" | "@timestamp" => Self::EventTime,
            "user_name" | "user" => Self::User,
            "database_name" | "dbname" => Self::Database,
            "session_id" => Self::SessionId,
            "session_line_num" | "line_num" => Self::LineNum,
            "command_tag" | "ps" => Self::CommandTag,
            "virtual_transaction_id" | "vxid" => Self::VirtualTransaction,
            "transaction_id" | "txid" => Self::Transaction,
            "error_severity" => Self::Severity,
            "sql_state_code" | "state_code" => Self::SqlState,
            "message" => Self::Message,
            "detail" => Self::Detail,
            "context" => Self::Context,
            "query" => Self::Query,
            "statement" => Self::Statement,
            "application_name" => Self::ApplicationName,
            "backend_type" => Self::BackendType,
            "leader_pid" => Self::LeaderPid,
            "duration" => Self::Duration,
            "msg" => Self::Msg,
            "log" => Self::Log,
            PLACE_KEY => Self::Place,
            "offset" => Self::Offset,
            "file" => Self::File,
            "path" => Self::Path,
            _ => return None,
        })
    }

    /// How many objects within one another are looked into there, of so many at the most.
    pub(super) fn depth(self, most: u8) -> u8 {
        match self {
            // A shipper may put a whole record there.
            Self::Message | Self::Msg | Self::Log => most,
            Self::File => most.min(1),
            _ => 0,
        }
    }
}

/// The key (or the header) under which a shipper says where it read a record.
pub const PLACE_KEY: &str = "kreplay.pos";

/// How many unknown keys are remembered for a warning.
const REMEMBERED_KEYS: usize = 3;

/// An object's values by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Columns<'a> {
    values: [Value<'a>; COLUMN_KINDS],
    unknown_keys: [Cow<'a, str>; REMEMBERED_KEYS],
}

impl<'a> Columns<'a> {
    pub(super) fn get(&self, column: Column) -> &Value<'a> {
        &self.values[column as usize]
    }

    pub(super) fn take(&mut self, column: Column) -> Value<'a> {
        std::mem::take(&mut self.values[column as usize])
    }

    /// The first value wins: `user_name` beside `user` is the same column twice.
    pub(super) fn set(&mut self, column: Column, value: Value<'a>) {
        let slot = &mut self.values[column as usize];
        if *slot == Value::Absent {
            *slot = value;
        }
    }

    /// Notes a key that names no column.
    pub(super) fn remember(&mut self, key: Cow<'a, str>) {
        if let Some(slot) = self.unknown_keys.iter_mut().find(|slot| slot.is_empty()) {
            *slot = key;
        }
    }

    /// Where the shipper read the record, if the object says.
    pub(super) fn take_place(&mut self) -> Option<LogPlace<'a>> {
        match self.take(Column::Place) {
            Value::Integer(offset) => return Some(LogPlace { file: Cow::Borrowed(""), offset }),
            Value::Text(Cow::Borrowed(text)) => return LogPlace::parse(text),
            Value::Absent => {}
            other => {
                let text = other.ascii();
                let LogPlace { file, offset } = LogPlace::parse(&text)?;
                return Some(LogPlace { file: file.into_owned().into(), offset });
            }
        }
        let Value::Object(log) = &mut self.values[Column::Log as usize] else { return None };
        let Value::Integer(offset) = log.take(Column::Offset) else { return None };
        let Value::Object(mut file) = log.take(Column::File) else { return None };
        Some(LogPlace { file: file.take(Column::Path).decoded_with_default(), offset })
    }

    /// Every value, changed.
    pub(super) fn map<'b>(self, change: impl Fn(Value<'a>) -> Value<'b>) -> Columns<'b> {
        Columns {
            values: self.values.map(change),
            unknown_keys: self.unknown_keys.map(|key| Cow::Owned(key.into_owned())),
        }
    }

    /// The first unknown keys, shortened, for a warning.
    pub(super) fn unknown_keys(&self) -> String {
        let keys = self.unknown_keys.iter().filter(|key| !key.is_empty());
        let shortened: Vec<String> =
            keys.map(|key| key.chars().take(24).flat_map(char::escape_debug).collect()).collect();
        if shortened.is_empty() { "none".to_owned() } else { shortened.join(", ") }
    }

    /// Whether this is a log record and not something around one.
    pub(super) fn is_record(&self) -> bool {
        *self.get(Column::SessionId) != Value::Absent
            || *self.get(Column::Severity) != Value::Absent
    }

    /// The record.
    ///
    /// The seed's own fluentd configuration matched `duration: X ms  statement: TEXT` and kept the
    /// text as `statement` and the number as `duration`, without `message`, and the text's quotes
    /// still doubled; such a record gets its message back.
    pub(super) fn into_record(mut self, encodings: &Encodings) -> Result<LogRecord<'a>, Malformed> {
        let log_time = self.log_time()?;
        let session = match self.take(Column::SessionId) {
            Value::Absent => Err(Malformed::Session { given: false }),
            value => value
                .ascii()
                .parse::<SessionId>()
                .map_err(|_| Malformed::Session { given: !value.ascii().is_empty() }),
        }?;
        let sqlstate = self.get(Column::SqlState).sqlstate();
        let severity = match self.get(Column::Severity) {
            // Only the seed's records come without.
            Value::Absent if sqlstate == SqlState::SUCCESS => Severity::Log,
            Value::Absent => Severity::Error,
            severity => Severity::parse(&severity.ascii()),
        };

        let database = self.take(Column::Database).decoded_with_default();
        let decoder = ColumnDecoder::new(encodings, &database);
        let mut lossy = |column| self.take(column).lossy(decoder);
        let (user, command_tag) = (lossy(Column::User), lossy(Column::CommandTag));
        let virtual_transaction = lossy(Column::VirtualTransaction);
        let (context, application_name) = (lossy(Column::Context), lossy(Column::ApplicationName));
        let backend_type = lossy(Column::BackendType);

        let has_message = *self.get(Column::Message) != Value::Absent;
        let mut exact = |column, name| self.take(column).exact(name, decoder);
        let mut message = exact(Column::Message, "message")?;
        let detail = exact(Column::Detail, "detail")?;
        let mut query = exact(Column::Query, "query")?;
        let statement = exact(Column::Statement, "statement")?;
        let mut cut_duration_ms = None;
        if !statement.is_empty() {
            if has_message {
                if query.is_empty() {
                    query = statement;
                }
            } else if severity == Severity::Log {
                message = Cow::Owned(format!("statement: {}", statement.replace("\"\"", "\"")));
                cut_duration_ms = self.get(Column::Duration).float();
            } else {
                query = Cow::Owned(statement.replace("\"\"", "\""));
            }
        }

        Ok(LogRecord {
            log_time,
            user,
            database,
            session,
            line: self.get(Column::LineNum).integer(),
            command_tag,
            virtual_transaction,
            transaction: self.get(Column::Transaction).integer(),
            severity,
            sqlstate,
            message,
            detail,
            context,
            query,
            application_name,
            backend_type,
            leader_pid: self.get(Column::LeaderPid).integer().try_into().unwrap_or(0),
            cut_duration_ms,
            place: None,
        })
    }

    fn log_time(&self) -> Result<LogTime, Malformed> {
        let value = match self.get(Column::LogTime) {
            Value::Absent => self.get(Column::EventTime),
            value => value,
        };
        let time = match value {
            Value::Absent => return Err(Malformed::Time { given: false }),
            Value::Integer(number) => LogTime::from_epoch(*number as f64),
            Value::Number(number) => LogTime::from_epoch(*number),
            other => LogTime::parse(&other.ascii()),
        };
        time.ok_or(Malformed::Time { given: true })
    }
}
