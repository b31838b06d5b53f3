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
    /// Whether nothing more will be read.
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
        | Blocker::Prepared { still: false } => None,
        Blocker::Session { session, next: NextOf::End(seq), .. } => {
            Some(StallAction::EndEarly(Start { session, seq }))
        }
        Blocker::Session { session, next: NextOf::Statement(seq), .. } => {
            Some(StallAction::Advance(Start { session, seq }))
        }
        Blocker::Session { next: NextOf::Nothing, .. } | Blocker::Prepared { still: true }
            if waiting.may_be_read() =>
        {
            Some(StallAction::ReadOn)
        }
        Blocker::Session { session, next: NextOf::Nothing, .. } => {
            Some(StallAction::GiveUp(session))
        }
        // One further on in the order may hold the key.
        Blocker::Prepared { still: true } => waiting.first_waiting.map(StallAction::Advance),
        Blocker::ForeignBackend(backend) => Some(StallAction::ReportForeign(backend)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId { start: 1, pid: 1 };
    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);
    const HEAD: Start = Start { session: A, seq: Seq(7) };

    fn waiting(waited: Duration, no_more: bool) -> Waiting {
        Waiting { waited, patience: LONG, no_more, first_waiting: None }
    }

    fn blocked_by(next: NextOf, waited: Duration, no_more: bool) -> Option<StallAction> {
        let blocker = Blocker::Session { session: A, rests: true, next };
        against(blocker, &waiting(waited, no_more))
    }

    #[test]
    fn a_blocker_ends_its_transaction_early_or_goes_on_alone() {
        let end = blocked_by(NextOf::End(HEAD.seq), SHORT, false);
        assert_eq!(end, Some(StallAction::EndEarly(HEAD)));
        let statement = blocked_by(NextOf::Statement(HEAD.seq), SHORT, false);
        assert_eq!(statement, Some(StallAction::Advance(HEAD)));
    }

    #[test]
    fn a_blocker_whose_next_statement_is_not_due_is_waited_for() {
        assert_eq!(blocked_by(NextOf::Later, LONG, true), None);
    }

    #[test]
    fn a_blocker_that_has_moved_since_the_target_was_asked_is_left_alone() {
        for next in [NextOf::Statement(HEAD.seq), NextOf::End(HEAD.seq), NextOf::Nothing] {
            let moved = Blocker::Session { session: A, rests: false, next };
            assert_eq!(against(moved, &waiting(LONG, true)), None);
        }
    }

    #[test]
    fn a_blocker_without_a_record_left_is_read_on_for_and_given_up_in_the_end() {
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, false), Some(StallAction::ReadOn));
        assert_eq!(blocked_by(NextOf::Nothing, LONG, false), Some(StallAction::GiveUp(A)));
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, true), Some(StallAction::GiveUp(A)));
    }

    #[test]
    fn a_prepared_transaction_without_a_known_finisher_is_read_on_for_and_then_the_next_starts() {
        let prepared = |still, waited, no_more| {
            let waiting = Waiting { first_waiting: Some(HEAD), ..waiting(waited, no_more) };
            against(Blocker::Prepared { still }, &waiting)
        };
        assert_eq!(prepared(true, SHORT, false), Some(StallAction::ReadOn));
        assert_eq!(prepared(true, SHORT, true), Some(StallAction::Advance(HEAD)));
        assert_eq!(prepared(true, LONG, false), Some(StallAction::Advance(HEAD)));
        assert_eq!(prepared(false, LONG, true), None, "what has finished may have been its end");
        let nobody = against(Blocker::Prepared { still: true }, &waiting(LONG, true));
        assert_eq!(nobody, None);
    }

    #[test]
    fn a_backend_that_is_not_ours_is_reported_and_never_given_up() {
        let foreign = against(Blocker::ForeignBackend(77), &waiting(LONG, true));
        assert_eq!(foreign, Some(StallAction::ReportForeign(77)));
        assert!(!foreign.is_some_and(|action| action.breaks_stall()));
    }
}
