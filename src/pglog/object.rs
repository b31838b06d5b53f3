//! A record that came as an object.

use std::borrow::Cow;

use super::columns::Column;
use super::encoding::{ColumnDecoder, Encodings};
use super::malformed::Malformed;
use super::record::{LogPlace, LogRecord, LogTime, SessionId, Severity, SqlState};
use super::value::{Columns, Value};

impl<'a> Columns<'a> {
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
