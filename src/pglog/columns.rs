//! The columns that a key of an object may name, under csvlog's names or jsonlog's.

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
    /// [`Columns::into_record`](super::value::Columns::into_record)).
    Statement,
    ApplicationName,
    BackendType,
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
pub(super) const COLUMN_KINDS: usize = Column::Path as usize + 1;

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
