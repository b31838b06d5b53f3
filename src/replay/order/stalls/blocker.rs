//! What is done about who holds the locks that others wait for.

use std::time::Duration;

use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// Who holds a lock that statements wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocker {
    /// A replayed session.
    Session {
        /// Which.
        session: SessionId,
        /// Whether it has done nothing since before the target was asked, so that what it holds is its
        /// transaction's.
        rests: bool,
        /// Its next statement.
        next: NextOf,
    },
    /// A prepared transaction: some session will finish it, further on in the log.
    Prepared {
        /// Whether no statement has finished since before the target was asked.
        still: bool,
        /// Whether its end is there and nobody has to be let ahead for it: it is under way, or its
        /// session gets a connection.
        is_end_ahead: bool,
    },
    /// A connection that is not ours.
    ForeignBackend(i32),
}

/// The next statement of a session, as far as it matters to those who wait for its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextOf {
    /// None has been read.
    Nothing,
    /// One that ends its transaction, and with it its locks.
    End(Seq),
    /// Any other.
    Statement(Seq),
    /// One that is not due.
    Later,
}

/// What is done about a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Let the session end its transaction ahead of its turn.
    EndEarly(Start),
    /// Let the session alone go on, with this statement, ahead of its turn.
    Advance(Start),
    /// Read on: what frees the others has not been read.
    ReadOn,
    /// Close the session's connection: nothing more will come of it.
    GiveUp(SessionId),
    /// Tell the operator that this backend, which is not ours, holds up the replay.
    ReportForeign(i32),
}

impl StallAction {
    /// Whether it sets something going on the target.
    pub(super) fn breaks_stall(&self) -> bool {
        matches!(self, Self::EndEarly(_) | Self::Advance(_) | Self::GiveUp(_))
    }
}

/// What the waiters of a blocker can count on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// For how long they have waited.
    pub(super) waited: Duration,
    /// How long a blocker without a next statement is waited for.
    pub(super) patience: Duration,
    /// Whether nothing more will get a place in the order.
    pub(super) no_more: bool,
    /// The first statement in the order that waits for its turn.
    pub(super) first_waiting: Option<Start>,
}

impl Waiting {
    /// Whether what frees the waiters may still be read.
    fn may_be_read(&self) -> bool {
        !self.no_more && !self.has_lost_patience()
    }

    pub(super) fn has_lost_patience(&self) -> bool {
        self.waited >= self.patience
    }
}

/// What could be done about a blocker; `None`: wait, since it runs, has a statement that will be due, or
/// has ended something meanwhile.
pub(super) fn against(blocker: Blocker, waiting: &Waiting) -> Option<StallAction> {
    match blocker {
        Blocker::Session { rests: false, .. }
        | Blocker::Session { next: NextOf::Later, .. }
        | Blocker::Prepared { still: false, .. } => None,
        Blocker::Session { session, next: NextOf::End(seq), .. } => {
            Some(StallAction::EndEarly(Start { session, seq }))
        }
        Blocker::Session { session, next: NextOf::Statement(seq), .. } => {
            Some(StallAction::Advance(Start { session, seq }))
        }
        Blocker::Session { next: NextOf::Nothing, .. } | Blocker::Prepared { .. }
            if waiting.may_be_read() =>
        {
            Some(StallAction::ReadOn)
        }
        Blocker::Session { session, next: NextOf::Nothing, .. } => {
            Some(StallAction::GiveUp(session))
        }
        Blocker::Prepared { is_end_ahead: true, .. } => None,
        // One further on in the order may hold the key.
        Blocker::Prepared { .. } => waiting.first_waiting.map(StallAction::Advance),
        Blocker::ForeignBackend(backend) => Some(StallAction::ReportForeign(backend)),
    }
}

#[cfg(test)]
mod tests;
