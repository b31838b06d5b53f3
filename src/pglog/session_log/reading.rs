//! What a record of a session can mean.

use crate::pglog::SqlState;
use crate::pglog::statement::{Amendment, Failure, SourceEnd, Statement};

/// What a record says.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// What it says of the session's statement before.
    pub previous: PriorUpdate,
    /// What it is itself.
    pub this: RecordEffect,
}

/// What a record says of the session's statement before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PriorUpdate {
    /// Nothing: the statement may still run, or share its Sync with what follows.
    Open,
    /// This; and more may follow, since its Sync has not been seen.
    AmendedOpen(Amendment),
    /// Nothing more will be said of it.
    Ended,
    /// This; and then nothing more.
    AmendedFinal(Amendment),
}

/// What a record is.
#[derive(Debug, PartialEq)]
pub enum RecordEffect {
    /// A statement.
    Statement {
        /// What was sent.
        statement: Box<Statement>,
        /// How it ended, as far as the record tells.
        end: SourceEnd,
        /// How it failed, if it did.
        failure: Option<Failure>,
    },
    /// The session may begin: it was authorized.
    Opened,
    /// The session's end. With an error if the server ended it.
    Closed(Option<SqlState>),
    /// A plan of one of its statements, as auto_explain writes it.
    Plan(Box<str>),
    /// Nothing to replay.
    NoEffect(NoEffect),
    /// A statement that can't be replayed.
    Lost(Lost),
    /// The server ended all its sessions.
    ServerEnded,
    /// The server lost the backend with this process id.
    BackendDied(Option<u32>),
}

/// Why there is nothing to replay in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoEffect {
    /// Warnings, checkpoints, lock waits, plans of functions' statements, text that poses as a statement.
    Noise,
    /// Parse, bind, fetch: a step of a statement that has a record of its own.
    Step,
    /// It told how the statement before ended.
    Outcome,
    /// A connection's beginning or end.
    Connection,
    /// A parallel worker's copy of its leader's error.
    ParallelWorker,
}

/// Why a statement can't be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// A function call by object id: its arguments are never logged.
    Fastpath,
    /// A replication command, or SQL on a replication connection.
    Replication,
    /// A duration without its statement (`log_duration`).
    NoText,
    /// Its parameters are not whole.
    Truncated,
}

impl Reading {
    /// A record that says nothing of the statement before.
    pub(super) fn aside(this: RecordEffect) -> Self {
        Self { previous: PriorUpdate::Open, this }
    }
}
