//! What one session has to do next: a statement or its end, and its place in the order.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::pglog::SessionId;
use crate::pglog::statement::{Amendment, Failure, SourceEnd, Statement, SyncEnd};
use crate::replay::pace::Moment;

/// A statement's place in the order: 1, 2, 3… over all sessions, without a hole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where a record stands in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The Kafka partition, or the index of the file.
    pub partition: i32,
    /// The Kafka offset, or the byte in the file.
    pub offset: i64,
    /// The line in the file; 0 for Kafka.
    pub line: u64,
}

/// A statement on its way through a session.
#[derive(Debug)]
pub struct Work {
    /// Its place in the order: where its record arrived.
    pub seq: Seq,
    /// The place before which it began on the source. Today always `seq`: see docs/order.md on what
    /// a statement read that waited for a lock.
    pub start: Seq,
    /// Where its record came from.
    pub at: Position,
    /// The session that sent it.
    pub session: SessionId,
    /// What it sent.
    pub statement: Statement,
    /// Before when it must not start; `None`: at once.
    pub due: Option<Moment>,
    /// How it ended on the source. A later record may tell, while the session already works on it;
    /// a lock that is held for a copy.
    end: Mutex<End>,
    /// Whether its outcome has been told: a statement that is run again is not counted again.
    reported: AtomicBool,
    /// How often its connection was lost while it was under way.
    losses: AtomicU8,
}

/// How a statement ended on the source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct End {
    /// With which result.
    pub source: SourceEnd,
    /// Before which Sync.
    pub sync: SyncEnd,
    /// What is known of its failure.
    pub failure: Option<Failure>,
    /// How long it took, in milliseconds, where a record of its own told.
    pub duration_ms: Option<f64>,
}

impl End {
    /// What a later record tells.
    pub fn amend(&mut self, amendment: Amendment) {
        match amendment {
            Amendment::Succeeded(duration_ms) => {
                if self.source == SourceEnd::Unknown {
                    self.source = SourceEnd::Succeeded;
                    self.duration_ms = duration_ms;
                }
            }
            Amendment::Failed(failure) => {
                self.source = SourceEnd::Failed(failure.code);
                self.failure = Some(failure);
            }
            // A backend that died had ended what it is known to have ended.
            Amendment::Terminated => {
                if self.source == SourceEnd::Unknown {
                    self.source = SourceEnd::Terminated;
                }
            }
            Amendment::Joined => {
                self.sync = SyncEnd::Joined;
                self.amend(Amendment::Succeeded(None));
            }
            Amendment::Synced => self.sync = SyncEnd::Synced,
            Amendment::NeverSynced => {
                self.sync = SyncEnd::Never;
                self.amend(Amendment::Succeeded(None));
            }
        }
    }
}

impl Work {
    /// A statement with its place.
    pub fn new(seq: Seq, at: Position, session: SessionId, statement: Statement, end: End) -> Self {
        Self {
            seq,
            start: seq,
            at,
            session,
            statement,
            due: None,
            end: Mutex::new(end),
            reported: AtomicBool::new(false),
            losses: AtomicU8::new(0),
        }
    }

    /// The same, not to start before `due`.
    pub fn due_at(self, due: Option<Moment>) -> Self {
        Self { due, ..self }
    }

    /// How it ended on the source, as far as is known by now.
    pub fn end(&self) -> End {
        *self.end.lock()
    }

    /// How long it took on the source, in milliseconds, as far as is known by now.
    pub fn source_duration_ms(&self) -> Option<f64> {
        self.statement.duration_ms.or_else(|| self.end().duration_ms)
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.statement.size()
    }

    /// Notes what a later record tells.
    pub fn amend(&self, amendment: Amendment) {
        self.end.lock().amend(amendment);
    }

    /// Whether the locks of its session's transaction are gone when it has ended.
    pub fn ends_locks(&self) -> bool {
        self.statement.only_ends_transaction() || matches!(self.end().source, SourceEnd::Failed(_))
    }

    /// Its connection was lost while it was under way. Returns how often that has happened.
    pub fn loses_connection(&self) -> u8 {
        self.losses.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Whether its connection was ever lost while it was under way.
    pub fn has_lost_connection(&self) -> bool {
        self.losses.load(Ordering::Relaxed) > 0
    }

    /// Whether its outcome has been told: if it is run again, nothing waits for it.
    pub fn is_reported(&self) -> bool {
        self.reported.load(Ordering::Relaxed)
    }

    /// Whether its outcome is told for the first time.
    pub fn mark_reported(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }
}
