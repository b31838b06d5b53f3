//! Why a payload is not a log record, and what its owner can do about it.

/// A payload that cannot be read as one log record.
///
/// The text never quotes what the record holds, since a log holds passwords: only counts, lengths,
/// column names and the names of an unknown object's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No bytes, or blanks alone.
    #[error("the payload is empty")]
    Empty,
    /// The first half of a csv record: the payload ends inside quotes.
    #[error("torn csv record: it ends inside quotes in column {column}, after {bytes} bytes{}",
        cut_hint(*.bytes))]
    Torn {
        /// The column (from 1) in which it ends.
        column: usize,
        /// The payload's length.
        bytes: usize,
    },
    /// The payload begins with neither a log time, an object, nor anything else that could hold
    /// one: most likely the second half of a record.
    #[error(
        "{bytes} bytes that do not begin like a log record: the other half of one that was split, \
         or another kind of log"
    )]
    ContinuationFragment {
        /// The payload's length.
        bytes: usize,
    },
    /// A quote stands where csv allows none. A record that was split inside quotes, at a line that
    /// itself looks like the start of a record, always ends so: its quotes cannot pair.
    #[error(
        "a quote in the middle of csv column {column}: the other half of a record that was split \
         inside quotes"
    )]
    StrayQuote {
        /// The column, from 1.
        column: usize,
    },
    /// A csv record with a number of columns that no PostgreSQL writes.
    #[error("a csv record of {columns} columns; PostgreSQL writes 22 to 26")]
    ColumnCount {
        /// How many there are.
        columns: usize,
    },
    /// No record but the names of the columns, in their order: the first line of an export.
    #[error("the csv header")]
    Header,
    /// The names of columns, which are not those of the log or stand in another order.
    #[error(
        "a csv header whose column {column} is {}, where the log has {expected}: the records below \
         it can't be told apart",
        found.unwrap_or("missing")
    )]
    ColumnOrder {
        /// The first column (from 1) that is another one.
        column: usize,
        /// What the log has there.
        expected: &'static str,
        /// What the header has there.
        found: Option<&'static str>,
    },
    /// The names of columns between something else than commas.
    #[error(
        "a header whose columns are separated by {delimiter:?}, where csv has commas: the records below \
         it can't be told apart"
    )]
    Delimiter {
        /// What stands between them.
        delimiter: char,
    },
    /// A second record follows the first.
    #[error("more than one record in one payload of {bytes} bytes")]
    MoreThanOne {
        /// The payload's length.
        bytes: usize,
    },
    /// Not JSON.
    #[error("invalid JSON at line {line}, column {column}{}", ended(*.cut_off))]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// Whether the payload ended too early.
        cut_off: bool,
    },
    /// Not msgpack.
    #[error("invalid msgpack{}", ended(*.cut_off))]
    Msgpack {
        /// Whether the payload ended too early.
        cut_off: bool,
    },
    /// An object with neither log columns nor a field that could hold a record.
    #[error(
        "an object with neither log columns nor a field `message`, `msg` or `log` that holds a \
         record; its first unknown keys: {keys}"
    )]
    NotALogRecord {
        /// The first few keys that are no column's, shortened.
        keys: String,
    },
    /// Envelopes within envelopes.
    #[error("more than {limit} envelopes around one another")]
    TooManyEnvelopes {
        /// How many are opened.
        limit: usize,
    },
    /// The record does not say to which session it belongs.
    #[error("{}", if *.given { "session_id is not a session id" } else { "no session_id" })]
    Session {
        /// Whether there was a value at all.
        given: bool,
    },
    /// The record does not say when it was written.
    #[error("{}", if *.given { "log_time is not a time" } else { "no log_time" })]
    Time {
        /// Whether there was a value at all.
        given: bool,
    },
    /// The bytes of a column that matters are not text in the database's encoding.
    #[error("the column {column} is not valid in the database's encoding, taken to be {encoding}")]
    Undecodable {
        /// The column's csvlog name.
        column: &'static str,
        /// PostgreSQL's name of the encoding.
        encoding: &'static str,
    },
}

/// rsyslog's default `maxMessageSize` is 8 kB and leaves this many bytes.
const RSYSLOG_CUT: usize = 8096;

/// Whether a length is what rsyslog leaves of a longer line, give or take the file's name or tag.
fn is_rsyslog_cut(bytes: usize) -> bool {
    (RSYSLOG_CUT - 128..=8192).contains(&bytes)
}

fn cut_hint(bytes: usize) -> &'static str {
    if is_rsyslog_cut(bytes) { " (what rsyslog's default maxMessageSize leaves)" } else { "" }
}

fn ended(cut_off: bool) -> &'static str {
    if cut_off { ": it ends too early" } else { "" }
}

impl Malformed {
    /// Every value of [`reason`](Self::reason) but that of a header, which is no damage, so that a metric can exist at zero.
    pub const REASONS: [&'static str; 14] = [
        "empty",
        "torn",
        "continuation_fragment",
        "stray_quote",
        "column_count",
        "column_order",
        "more_than_one",
        "invalid_json",
        "invalid_msgpack",
        "not_a_log_record",
        "too_many_envelopes",
        "no_session",
        "no_time",
        "undecodable",
    ];

    /// The reason as a label: one of [`REASONS`](Self::REASONS), or `header`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Torn { .. } => "torn",
            Self::ContinuationFragment { .. } => "continuation_fragment",
            Self::StrayQuote { .. } => "stray_quote",
            Self::ColumnCount { .. } => "column_count",
            Self::Header => "header",
            Self::ColumnOrder { .. } | Self::Delimiter { .. } => "column_order",
            Self::MoreThanOne { .. } => "more_than_one",
            Self::Json { .. } => "invalid_json",
            Self::Msgpack { .. } => "invalid_msgpack",
            Self::NotALogRecord { .. } => "not_a_log_record",
            Self::TooManyEnvelopes { .. } => "too_many_envelopes",
            Self::Session { .. } => "no_session",
            Self::Time { .. } => "no_time",
            Self::Undecodable { .. } => "undecodable",
        }
    }

    /// What to change, usually in the shipper's configuration, so that it does not happen again.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::Header | Self::TooManyEnvelopes { .. } => None,
            Self::Torn { bytes, .. } if is_rsyslog_cut(*bytes) => Some(
                "raise the shipper's limit on a record; rsyslog: global(maxMessageSize=\"4m\"), \
                 and escapeLF=\"off\" on the imfile input",
            ),
            Self::Torn { .. } => Some(
                "the shipper must send whole records: a record ends at a line feed outside \
                 quotes, not at any line feed; rsyslog: startmsg.regex for the log time, \
                 escapeLF=\"off\", maxMessageSize=\"4m\", and a readTimeout longer than \
                 PostgreSQL's pauses within a record",
            ),
            Self::ContinuationFragment { .. } => Some(
                "the shipper must join the lines of a record; rsyslog: startmsg.regex for the log \
                 time, escapeLF=\"off\", maxMessageSize=\"4m\", a longer readTimeout. If the \
                 topic holds other logs too, give PostgreSQL's a topic of their own",
            ),
            Self::StrayQuote { .. } => Some(
                "a line inside a statement looks like the start of a record to the shipper \
                 (rsyslog's startmsg.regex knows no quoting): ship jsonlog (PostgreSQL 15 and \
                 newer, one line a record), or use a shipper that knows csv quoting",
            ),
            Self::ColumnCount { .. } => Some(
                "send csvlog (log_destination = 'csvlog') as PostgreSQL writes it, with all of \
                 its columns",
            ),
            Self::ColumnOrder { .. } | Self::Delimiter { .. } => Some(
                "export all columns in the order of the table postgres_log of PostgreSQL's manual, \
                 as COPY postgres_log TO … (FORMAT csv, HEADER) does",
            ),
            Self::MoreThanOne { .. } => Some("the shipper must send one log record a message"),
            Self::Json { cut_off: true, .. } | Self::Msgpack { cut_off: true } => Some(
                "raise the shipper's limit on a record; rsyslog: global(maxMessageSize=\"4m\")",
            ),
            Self::Json { .. } | Self::Msgpack { .. } => {
                Some("check the shipper's output format, or name it with --format")
            }
            Self::NotALogRecord { .. } => Some(
                "send the record's columns under their csvlog or jsonlog names, or the raw record \
                 in a field `message`",
            ),
            Self::Session { .. } => {
                Some("the shipper must keep the column session_id as PostgreSQL wrote it")
            }
            Self::Time { .. } => Some(
                "the shipper must keep log_time (jsonlog: timestamp) as PostgreSQL wrote it; \
                 fluentd: keep_time_key true",
            ),
            Self::Undecodable { .. } => Some(
                "tell the encoding of this database; if it is right, the shipper has damaged the \
                 bytes: let it pass them as they are",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
