//! csvlog: one record of 22 to 26 columns, as PostgreSQL writes it.
//!
//! The splitter is strict where a csv library is lenient, and that is its point. Shippers split
//! records at lines inside a quoted statement; the second half of such a record must never read
//! as a record of its own, since whoever can send a statement can choose what its lines look like.
//! Here a quote may only open a field, be doubled inside one, or close it, so an accepted record
//! has an even number of quotes; what is torn off inside quotes has an odd number. (csv libraries
//! take `""a""` and `a"b` as they come.) It copies nothing but fields with doubled quotes.
//!
//! SQL that an object-relational mapper wrote has a quote every few bytes: `quotes` finds them and
//! copies what is between them without a call for each.

use std::borrow::Cow;

use super::encoding::{ColumnDecoder, Encodings};
use super::malformed::Malformed;
use super::record::{LogRecord, LogTime, SessionId, Severity, SqlState};
use super::timestamp::begins_with_date;

mod header;
mod line_ends;
mod quotes;

use quotes::{Quotes, Unescaped};

/// The most columns: PostgreSQL 14 and newer.
const COLUMNS: usize = 26;

/// The numbers of columns that PostgreSQL has written: to 8.4, 9.0 to 12, 13, from 14 on.
const WIDTHS: [usize; 4] = [22, 23, 24, 26];

const LOG_TIME: usize = 0;
const USER: usize = 1;
const DATABASE: usize = 2;
const SESSION_ID: usize = 5;
const LINE_NUM: usize = 6;
const COMMAND_TAG: usize = 7;
const VIRTUAL_TRANSACTION: usize = 9;
const TRANSACTION: usize = 10;
const SEVERITY: usize = 11;
const SQL_STATE: usize = 12;
const MESSAGE: usize = 13;
const DETAIL: usize = 14;
const CONTEXT: usize = 18;
const QUERY: usize = 19;
const APPLICATION_NAME: usize = 22;
const BACKEND_TYPE: usize = 23;

/// Whose text a payload's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// PostgreSQL's own: each record is in its database's encoding.
    Server,
    /// A format that holds Unicode (a JSON string): somebody has decoded it already.
    Unicode,
}

/// Where a field stands: in the payload, or unescaped in the scratch buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Field {
    start: usize,
    end: usize,
    /// It held doubled quotes, and stands in the scratch buffer.
    escaped: bool,
}

/// The fields of a record.
#[derive(Debug, Default)]
struct Fields {
    columns: [Field; COLUMNS],
    /// Fields with doubled quotes, with single ones.
    unescaped: Unescaped,
}

/// Splits csvlog records; its buffers are used again for each.
#[derive(Debug, Default)]
pub(super) struct CsvlogReader {
    fields: Fields,
    /// A record without the CRs that a server on Windows has put into it.
    untranslated: Vec<u8>,
    /// How many columns the last record had; 0: there was none.
    width: usize,
}

impl CsvlogReader {
    /// How many columns the last record had, if there was one since this was forgotten.
    pub(super) fn width(&self) -> Option<usize> {
        Some(self.width).filter(|&width| width > 0)
    }

    pub(super) fn forget_width(&mut self) {
        self.width = 0;
    }

    pub(super) fn read<'a>(
        &'a mut self,
        payload: &'a [u8],
        origin: Origin,
        encodings: &Encodings,
    ) -> Result<LogRecord<'a>, Malformed> {
        if !begins_with_date(payload.strip_prefix(b"\"").unwrap_or(payload)) {
            let fragment = Malformed::ContinuationFragment { bytes: payload.len() };
            return Err(header::recognized(payload).unwrap_or(fragment));
        }
        let payload = line_ends::untranslated(payload, &mut self.untranslated);
        let width = self.fields.split(payload)?;
        if !WIDTHS.contains(&width) {
            return Err(Malformed::ColumnCount { columns: width });
        }
        self.width = width;
        let Fields { columns, unescaped } = &self.fields;

        if let Ok(payload) = std::str::from_utf8(payload)
            && (origin == Origin::Unicode || encodings.are_utf8() || payload.is_ascii())
        {
            let unescaped = std::str::from_utf8(unescaped.bytes());
            let unescaped = unescaped.expect("UTF-8 less some of its quotes is UTF-8");
            let text = |column: usize| {
                let field = columns[column];
                &(if field.escaped { unescaped } else { payload })[field.start..field.end]
            };
            return record(text, Cow::Borrowed, |_, text| Ok(Cow::Borrowed(text)));
        }

        let bytes = |column: usize| {
            let field = columns[column];
            let buffer = if field.escaped { unescaped.bytes() } else { payload };
            &buffer[field.start..field.end]
        };
        let database = String::from_utf8_lossy(bytes(DATABASE));
        let decoder = ColumnDecoder::new(encodings, &database);
        record(bytes, |bytes| decoder.lossy(bytes), |column, bytes| decoder.exact(column, bytes))
    }
}

impl Fields {
    /// Finds the fields of the payload's only record; gives their number. Fields with doubled quotes
    /// go to the scratch buffer, with single ones.
    fn split(&mut self, payload: &[u8]) -> Result<usize, Malformed> {
        self.unescaped.begin(payload);
        // One pass over all quotes: a field of SQL may hold one every few bytes.
        let mut quotes = Quotes::of(payload);
        let mut columns = 0;
        let mut at = 0;
        loop {
            let (field, after) = if payload.get(at) == Some(&b'"') {
                // The one that opens the field.
                quotes.next();
                self.quoted(payload, at + 1, &mut quotes)
                    .ok_or(Malformed::Torn { column: columns + 1, bytes: payload.len() })?
            } else {
                let rest = &payload[at..];
                let len = rest.iter().position(|b| matches!(b, b',' | b'\n' | b'\r' | b'"'));
                let end = at + len.unwrap_or(rest.len());
                (Field { start: at, end, escaped: false }, end)
            };
            if let Some(slot) = self.columns.get_mut(columns) {
                *slot = field;
            }
            columns += 1;
            match &payload[after..] {
                [b',', ..] => at = after + 1,
                [] => return Ok(self.filled(columns)),
                rest @ [b'\n' | b'\r', ..] => {
                    // Further line ends do no harm; anything else is another record.
                    let only_line_ends = rest.iter().all(|byte| matches!(byte, b'\n' | b'\r'));
                    let another = Malformed::MoreThanOne { bytes: payload.len() };
                    return only_line_ends.then(|| self.filled(columns)).ok_or(another);
                }
                _ => return Err(Malformed::StrayQuote { column: columns }),
            }
        }
    }

    /// Empties the columns that this version does not have; gives the number of those that it has.
    fn filled(&mut self, width: usize) -> usize {
        self.columns[width.min(COLUMNS)..].fill(Field::default());
        width
    }

    /// The quoted field whose text begins at `start`, and where it is over; `None` if it is not.
    /// `quotes` are those from there on.
    fn quoted(
        &mut self,
        payload: &[u8],
        start: usize,
        quotes: &mut Quotes<'_>,
    ) -> Option<(Field, usize)> {
        let unescaped = self.unescaped.bytes().len();
        let mut from = start;
        loop {
            let quote = quotes.next()?;
            if payload.get(quote + 1) != Some(&b'"') {
                if from == start {
                    return Some((Field { start, end: quote, escaped: false }, quote + 1));
                }
                self.unescaped.push(payload, from..quote);
                let end = self.unescaped.bytes().len();
                return Some((Field { start: unescaped, end, escaped: true }, quote + 1));
            }
            self.unescaped.push(payload, from..quote + 1);
            quotes.next();
            from = quote + 2;
        }
    }
}

/// Puts the columns together. Generic, so that the usual record (UTF-8) is never decoded.
fn record<'a, T: AsRef<[u8]> + ?Sized + 'a>(
    column: impl Fn(usize) -> &'a T,
    lossy: impl Fn(&'a T) -> Cow<'a, str>,
    exact: impl Fn(&'static str, &'a T) -> Result<Cow<'a, str>, Malformed>,
) -> Result<LogRecord<'a>, Malformed> {
    let ascii = |index: usize| std::str::from_utf8(column(index).as_ref()).unwrap_or_default();
    let log_time = ascii(LOG_TIME);
    let session = ascii(SESSION_ID);
    let transaction = ascii(TRANSACTION);
    Ok(LogRecord {
        log_time: LogTime::parse(log_time)
            .ok_or(Malformed::Time { given: !log_time.is_empty() })?,
        user: lossy(column(USER)),
        database: lossy(column(DATABASE)),
        session: session
            .parse::<SessionId>()
            .map_err(|_| Malformed::Session { given: !session.is_empty() })?,
        line: ascii(LINE_NUM).parse().unwrap_or(0),
        command_tag: lossy(column(COMMAND_TAG)),
        virtual_transaction: lossy(column(VIRTUAL_TRANSACTION)),
        transaction: transaction.parse().unwrap_or(0),
        severity: Severity::parse(ascii(SEVERITY)),
        sqlstate: ascii(SQL_STATE).parse().unwrap_or(SqlState::SUCCESS),
        message: exact("message", column(MESSAGE))?,
        detail: exact("detail", column(DETAIL))?,
        context: lossy(column(CONTEXT)),
        query: exact("query", column(QUERY))?,
        application_name: lossy(column(APPLICATION_NAME)),
        backend_type: lossy(column(BACKEND_TYPE)),
        cut_duration_ms: None,
        place: None,
    })
}
