//! What shippers put around a record: objects with the raw record in one field, strings, and
//! `[time, record]` pairs.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::columns::Column;
use super::csvlog::Origin;
use super::encoding::Encodings;
use super::malformed::Malformed;
use super::record::LogPlace;
use super::value::{Columns, Value, ValueSeed};

/// How many envelopes are opened around one record.
pub(super) const MAX_ENVELOPES: usize = 3;

/// A JSON or msgpack payload.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    pub(super) content: Content<'a>,
    /// Where a shipper read the record, if one said so.
    pub(super) place: Option<LogPlace<'a>>,
}

/// What a JSON or msgpack payload holds.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// A record's columns.
    Record(Box<Columns<'a>>),
    /// A payload within the payload: what is text in it has been decoded already.
    Text(Cow<'a, str>),
    /// A payload within the payload, as its bytes were.
    Bytes(Cow<'a, [u8]>),
}

/// Objects within objects; `[time, record]` takes one more.
const SEED: ValueSeed = ValueSeed { depth: MAX_ENVELOPES as u8 + 2 };

/// Reads a JSON payload.
///
/// jsonlog has each database's bytes as they are, so it may not be UTF-8, and JSON no longer. Then
/// every byte is widened to the character of its value, which leaves the syntax as it was, and
/// each string is narrowed to its bytes again.
///
/// JSON that *is* UTF-8 is taken at its word, since shippers that write JSON convert to UTF-8;
/// all but PostgreSQL's own of a database that has another encoding, which may be UTF-8 by chance.
pub(super) fn from_json<'a>(
    payload: &'a [u8],
    origin: Origin,
    encodings: &Encodings,
) -> Result<Opened<'a>, Malformed> {
    let value = match json_value(payload) {
        Err(_) if origin == Origin::Server && std::str::from_utf8(payload).is_err() => {
            undecoded_json(payload)?
        }
        Ok(Value::Object(columns))
            if origin == Origin::Server
                && !encodings.are_utf8()
                && payload.starts_with(b"{\"timestamp\":\"")
                && !payload.is_ascii()
                && !database_is_utf8(&columns, encodings) =>
        {
            undecoded_json(payload)?
        }
        other => other?,
    };
    open(value)
}

fn database_is_utf8(columns: &Columns<'_>, encodings: &Encodings) -> bool {
    match columns.get(Column::Database) {
        Value::Text(database) => encodings.of(database).is_utf8(),
        _ => true,
    }
}

fn json_value(payload: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut values = serde_json::Deserializer::from_slice(payload);
    // The error's own text may quote the payload.
    let invalid = |error: serde_json::Error| Malformed::Json {
        line: error.line(),
        column: error.column(),
        cut_off: error.is_eof(),
    };
    let value = SEED.deserialize(&mut values).map_err(invalid)?;
    match values.end() {
        Ok(()) => Ok(value),
        Err(_) if may_hold_a_record(&value) => Err(Malformed::MoreThanOne { bytes: payload.len() }),
        Err(error) => Err(invalid(error)),
    }
}

/// Not a number, as which other formats often begin.
fn may_hold_a_record(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::Bytes(_) | Value::Object(_))
}

fn undecoded_json(payload: &[u8]) -> Result<Value<'static>, Malformed> {
    let widened = encoding_rs::mem::decode_latin1(payload);
    Ok(narrowed(json_value(widened.as_bytes())?))
}

/// The inverse of widening, for the strings of a value. A character beyond U+00FF can only come
/// from a `\u` escape; it stays, as UTF-8.
fn narrowed(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => {
            let mut bytes = Vec::with_capacity(text.len());
            for char in text.chars() {
                match u8::try_from(char) {
                    Ok(byte) => bytes.push(byte),
                    Err(_) => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            Value::Bytes(Cow::Owned(bytes))
        }
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Object(columns) => Value::Object(Box::new(columns.map(narrowed))),
        Value::Integer(number) => Value::Integer(number),
        Value::Number(number) => Value::Number(number),
        Value::Absent => Value::Absent,
    }
}

/// Reads a msgpack payload. Its strings are UTF-8 where they can be (msgpack's rule), and bytes
/// where not, as `bin` is.
pub(super) fn from_msgpack(payload: &[u8]) -> Result<Opened<'_>, Malformed> {
    let mut values = rmp_serde::Deserializer::from_read_ref(payload);
    values.set_max_depth(64);
    let value = SEED
        .deserialize(&mut values)
        .map_err(|error| Malformed::Msgpack { cut_off: is_cut_off(&error) })?;
    // The reader does not say where it stands: a further value shows itself when it is read.
    match IgnoredAny::deserialize(&mut values) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => open(value),
        _ if may_hold_a_record(&value) => Err(Malformed::MoreThanOne { bytes: payload.len() }),
        _ => Err(Malformed::Msgpack { cut_off: false }),
    }
}

fn is_cut_off(error: &rmp_serde::decode::Error) -> bool {
    use rmp_serde::decode::Error;
    matches!(error, Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_))
}

/// Looks into a value: objects are opened as far as they are objects.
fn open(mut value: Value<'_>) -> Result<Opened<'_>, Malformed> {
    let mut place = None;
    for _ in 0..=MAX_ENVELOPES {
        value = match value {
            Value::Object(mut columns) => {
                // The innermost is the one that read the log.
                place = columns.take_place().or(place);
                if columns.is_record() {
                    return Ok(Opened { content: Content::Record(columns), place });
                }
                match inner(&mut columns) {
                    Value::Absent => {
                        return Err(Malformed::NotALogRecord { keys: columns.unknown_keys() });
                    }
                    inner => inner,
                }
            }
            Value::Text(text) => return Ok(Opened { content: Content::Text(text), place }),
            Value::Bytes(bytes) => return Ok(Opened { content: Content::Bytes(bytes), place }),
            Value::Absent | Value::Integer(_) | Value::Number(_) => {
                return Err(Malformed::NotALogRecord { keys: "none".to_owned() });
            }
        };
    }
    Err(Malformed::TooManyEnvelopes { limit: MAX_ENVELOPES })
}

/// What an object holds that is not a record itself.
fn inner<'a>(columns: &mut Columns<'a>) -> Value<'a> {
    [Column::Message, Column::Msg, Column::Log]
        .into_iter()
        .map(|column| columns.take(column))
        .find(may_hold_a_record)
        .unwrap_or_default()
}
