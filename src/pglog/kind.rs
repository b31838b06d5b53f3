//! What a log record is, for those who count records.

use super::message::LogEvent;
use crate::label::label;

label! {
    /// What a log record is: label `kind`.
    RecordKind {
        /// The text of a simple query, with or without its duration.
        Statement => "statement",
        /// An execution in the extended protocol.
        Execute => "execute",
        /// The extended protocol's Parse.
        Parse => "parse",
        /// The extended protocol's Bind.
        Bind => "bind",
        /// A further fetch from a portal.
        Fetch => "fetch",
        /// A call through the fast-path interface.
        Fastpath => "fastpath",
        /// A duration alone, of a statement that was logged before.
        Duration => "duration",
        /// An error of a statement, or one that ended its session.
        Error => "error",
        /// A connection's beginning or end.
        Connection => "connection",
        /// The server's own crash, stop or start.
        Server => "server",
        /// A plan of auto_explain.
        Plan => "plan",
        /// Anything else: warnings, checkpoints, lock waits.
        Noise => "noise",
        /// Left out unread: by a filter, or a repeat of one read before.
        Excluded => "excluded",
        /// It can't be read.
        Unreadable => "unreadable",
    }
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
            LogEvent::Plan => Self::Plan,
            LogEvent::Other => Self::Noise,
        }
    }
}
