//! What a log record is, for those who count records.

use strum::{IntoStaticStr, VariantArray};

use super::message::LogEvent;

/// What a log record is: label `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RecordKind {
    /// The text of a simple query, with or without its duration.
    Statement,
    /// An execution in the extended protocol.
    Execute,
    /// The extended protocol's Parse.
    Parse,
    /// The extended protocol's Bind.
    Bind,
    /// A further fetch from a portal.
    Fetch,
    /// A call through the fast-path interface.
    Fastpath,
    /// A duration alone, of a statement that was logged before.
    Duration,
    /// An error of a statement, or one that ended its session.
    Error,
    /// A connection's beginning or end.
    Connection,
    /// The server's own crash, stop or start.
    Server,
    /// A plan of auto_explain.
    Plan,
    /// Anything else: warnings, checkpoints, lock waits.
    Noise,
    /// Left out unread: by a filter, or a repeat of one read before.
    Excluded,
    /// It can't be read.
    Unreadable,
}

impl RecordKind {
    /// What a record of severity LOG is, from what its message begins with.
    pub fn of(event: &LogEvent<'_>) -> Self {
        match event {
            LogEvent::Statement(_) => Self::Statement,
            LogEvent::Execute(_) => Self::Execute,
            LogEvent::Parse(_) => Self::Parse,
            LogEvent::Bind(_) => Self::Bind,
            LogEvent::Fetch(_) => Self::Fetch,
            LogEvent::Fastpath => Self::Fastpath,
            LogEvent::BareDuration => Self::Duration,
            LogEvent::ConnectionReceived
            | LogEvent::ConnectionAuthenticated
            | LogEvent::ConnectionAuthorized
            | LogEvent::ReplicationAuthorized
            | LogEvent::ConnectionReady
            | LogEvent::UnexpectedEof
            | LogEvent::Disconnection => Self::Connection,
            LogEvent::BackendCrash { .. } | LogEvent::ServerRestart => Self::Server,
            LogEvent::Plan(_) => Self::Plan,
            LogEvent::Other => Self::Noise,
        }
    }
}
