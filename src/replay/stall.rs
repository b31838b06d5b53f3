//! A strict order can wait for itself: what to do about a statement that waits for a lock whose
//! holder waits for its turn.
//!
//! On the source the waiter's record can stand before the COMMIT that freed it: a COMMIT is logged
//! after its locks are gone, and with `log_statement` a statement is logged when it starts.

use std::time::Duration;

use crate::pglog::SessionId;

/// A session that another one's statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
    /// A replayed session.
    Session {
        /// Which.
        session: SessionId,
        /// Whether it runs a statement itself.
        running: bool,
        /// Its next statement.
        next: NextOf,
    },
    /// A prepared transaction: some session will finish it, further on in the log.
    Prepared,
    /// A connection that is not ours.
    Stranger,
}

/// The next statement of a session, as far as it matters to those who wait for its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextOf {
    /// None has been read.
    Nothing,
    /// One that ends its transaction, and with it its locks.
    End,
    /// Any other.
    Statement,
    /// One that is not due.
    Later,
}

/// What is done about a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relief {
    /// Let the session end its transaction ahead of its turn.
    EndEarly(SessionId),
    /// Let the session alone go on, one statement, ahead of its turn.
    Advance(SessionId),
    /// Let the next statement in the order start: one further on holds the key.
    StartNext,
    /// Read on: the session's next statement has not been read.
    ReadOn(SessionId),
    /// Close the session's connection: nothing more will come of it.
    GiveUp(SessionId),
    /// Wait: the blocker runs, has a statement that will be due, or is not ours.
    Wait,
}

/// What is done about a blocker, after the waiter has waited so long.
///
/// `no_more` says that nothing more will be read; otherwise a blocker without a next statement is
/// given up after `patience`.
pub fn relief(blocker: Blocker, waited: Duration, patience: Duration, no_more: bool) -> Relief {
    match blocker {
        Blocker::Session { running: true, .. }
        | Blocker::Session { next: NextOf::Later, .. }
        | Blocker::Stranger => Relief::Wait,
        Blocker::Session { session, next: NextOf::End, .. } => Relief::EndEarly(session),
        Blocker::Session { session, next: NextOf::Statement, .. } => Relief::Advance(session),
        Blocker::Session { session, next: NextOf::Nothing, .. }
            if no_more || waited >= patience =>
        {
            Relief::GiveUp(session)
        }
        Blocker::Session { session, next: NextOf::Nothing, .. } => Relief::ReadOn(session),
        Blocker::Prepared => Relief::StartNext,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId { start: 1, pid: 1 };
    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    fn blocked_by(next: NextOf, running: bool, waited: Duration, no_more: bool) -> Relief {
        relief(Blocker::Session { session: A, running, next }, waited, LONG, no_more)
    }

    #[test]
    fn a_blocker_ends_early_or_goes_on_alone() {
        assert_eq!(blocked_by(NextOf::End, false, SHORT, false), Relief::EndEarly(A));
        assert_eq!(blocked_by(NextOf::Statement, false, SHORT, false), Relief::Advance(A));
        assert_eq!(blocked_by(NextOf::Statement, true, SHORT, false), Relief::Wait);
        assert_eq!(blocked_by(NextOf::Later, false, LONG, true), Relief::Wait);
    }

    #[test]
    fn a_blocker_without_a_record_left_is_given_up_in_the_end() {
        assert_eq!(blocked_by(NextOf::Nothing, false, SHORT, false), Relief::ReadOn(A));
        assert_eq!(blocked_by(NextOf::Nothing, false, LONG, false), Relief::GiveUp(A));
        assert_eq!(blocked_by(NextOf::Nothing, false, SHORT, true), Relief::GiveUp(A));
    }

    #[test]
    fn a_prepared_transaction_is_finished_by_somebody_further_on() {
        assert_eq!(relief(Blocker::Prepared, SHORT, LONG, false), Relief::StartNext);
        assert_eq!(relief(Blocker::Stranger, LONG, LONG, true), Relief::Wait);
    }
}
