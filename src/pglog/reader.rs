//! From a payload to a log record, whatever form the shipper gave it.

use std::borrow::Cow;

use clap::ValueEnum;

use super::csvlog::{CsvlogReader, Origin};
use super::encoding::{Encodings, LoggedChanges};
use super::envelope::{self, Content, MAX_ENVELOPES, Opened};
use super::malformed::Malformed;
use super::record::LogRecord;

/// The form of the payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Told apart for each record
    #[default]
    Auto,
    /// A raw csvlog record
    #[value(name = "csv")]
    Csvlog,
    /// A JSON object: jsonlog, csvlog columns, or an envelope
    Json,
    /// A msgpack map, as fluentd and fluent-bit write it
    Msgpack,
}

impl Format {
    /// The form that a payload tells by itself: csv, json or msgpack.
    pub fn told_by(payload: &[u8]) -> Self {
        Self::Auto.of(payload)
    }

    /// The payload's form: its first byte decides. msgpack's maps, arrays, strings and binaries
    /// begin with a byte that is not ASCII, JSON with a bracket, csvlog with a digit.
    fn of(self, payload: &[u8]) -> Self {
        if self != Self::Auto {
            return self;
        }
        match payload.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => Self::Json,
            // A JSON string, unless it is a csv record of which somebody quoted every field.
            Some(b'"') if !payload.windows(3).any(|bytes| bytes == b"\",\"") => Self::Json,
            Some(0x80..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdf) => Self::Msgpack,
            _ => Self::Csvlog,
        }
    }
}

/// What programs on Windows put before the first line of a file in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads payloads. Use one for a stream: its buffers are used again, and a csv record is read
/// without an allocation.
#[derive(Debug)]
pub struct RecordReader {
    format: Format,
    encodings: Encodings,
    /// What the log does to the databases that these are of.
    changes: LoggedChanges,
    csvlog: CsvlogReader,
    /// What was unescaped out of envelopes, outermost first.
    unwrapped: [Vec<u8>; MAX_ENVELOPES],
}

impl RecordReader {
    /// A reader of payloads of this form, from databases that begin with these encodings.
    pub fn new(format: Format, encodings: Encodings) -> Self {
        Self {
            format,
            encodings,
            changes: LoggedChanges::default(),
            csvlog: CsvlogReader::default(),
            unwrapped: Default::default(),
        }
    }

    /// Reads the one log record that a payload holds.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says why there is none, without quoting it.
    pub fn read<'a>(&'a mut self, payload: &'a [u8]) -> Result<LogRecord<'a>, Malformed> {
        let Self { format, encodings, changes, csvlog, unwrapped } = self;
        csvlog.forget_width();
        let record = read_layer(*format, payload, Origin::Server, encodings, csvlog, unwrapped)?;
        changes.note(&record, encodings);
        Ok(record)
    }

    /// How many columns the last record had, where it was a csv record.
    pub fn columns(&self) -> Option<usize> {
        self.csvlog.width()
    }
}

/// Reads a payload, or what an envelope held; `buffers` has one for each envelope that may still
/// be opened.
fn read_layer<'a>(
    format: Format,
    payload: &'a [u8],
    origin: Origin,
    encodings: &Encodings,
    csvlog: &'a mut CsvlogReader,
    buffers: &'a mut [Vec<u8>],
) -> Result<LogRecord<'a>, Malformed> {
    let payload = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Err(Malformed::Empty);
    }
    let Opened { content, place } = match format.of(payload) {
        Format::Json => envelope::from_json(payload, origin, encodings)?,
        Format::Msgpack => envelope::from_msgpack(payload)?,
        Format::Csvlog | Format::Auto => return csvlog.read(payload, origin, encodings),
    };
    let (inner, origin) = match content {
        Content::Record(columns) => {
            return Ok(LogRecord { place, ..columns.into_record(encodings)? });
        }
        Content::Text(Cow::Borrowed(text)) => (Cow::Borrowed(text.as_bytes()), Origin::Unicode),
        Content::Text(Cow::Owned(text)) => (Cow::Owned(text.into_bytes()), Origin::Unicode),
        Content::Bytes(bytes) => (bytes, Origin::Server),
    };
    let (buffer, buffers) =
        buffers.split_first_mut().ok_or(Malformed::TooManyEnvelopes { limit: MAX_ENVELOPES })?;
    let inner = match inner {
        Cow::Borrowed(bytes) => bytes,
        Cow::Owned(bytes) => {
            *buffer = bytes;
            buffer
        }
    };
    let record = read_layer(Format::Auto, inner, origin, encodings, csvlog, buffers)?;
    // The innermost is the one that read the log.
    Ok(LogRecord { place: record.place.or(place), ..record })
}

#[cfg(test)]
mod tests;
