//! A strict order can wait for itself: what to do about a statement that waits for a lock whose
//! holder waits for its turn.
//!
//! On the source the waiter's record can stand before the COMMIT that freed it: a COMMIT is logged
//! after its locks are gone, and with `log_statement` a statement is logged when it starts.

use std::time::Duration;

use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::work::Seq;

/// What a session is about on its connection, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Whether a request is under way.
    pub running: bool,
    /// How many answers it has got.
    pub answers: u64,
}

impl Activity {
    /// Whether the session has done nothing at all since `before`.
    ///
    /// What the target says of its locks is old when it is heard, and a statement takes locks that it
    /// gives back as it goes on: to make a table longer, say. A session that ran when the target was
    /// asked, and does not when the answer is there, need not hold anything.
    pub fn has_rested_since(self, before: Option<Self>) -> bool {
        !self.running && before == Some(self)
    }
}

/// A session that another one's statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
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
    Stranger,
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
pub enum Relief {
    /// Let the session end its transaction ahead of its turn.
    EndEarly(Start),
    /// Let the session alone go on, with this statement, ahead of its turn.
    Advance(Start),
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
        Blocker::Session { rests: false, .. }
        | Blocker::Session { next: NextOf::Later, .. }
        | Blocker::Prepared { still: false }
        | Blocker::Stranger => Relief::Wait,
        Blocker::Session { session, next: NextOf::End(seq), .. } => {
            Relief::EndEarly(Start { session, seq })
        }
        Blocker::Session { session, next: NextOf::Statement(seq), .. } => {
            Relief::Advance(Start { session, seq })
        }
        Blocker::Session { session, next: NextOf::Nothing, .. }
            if no_more || waited >= patience =>
        {
            Relief::GiveUp(session)
        }
        Blocker::Session { session, next: NextOf::Nothing, .. } => Relief::ReadOn(session),
        Blocker::Prepared { still: true } => Relief::StartNext,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId { start: 1, pid: 1 };
    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    const HEAD: Start = Start { session: A, seq: Seq(7) };

    fn blocked_by(next: NextOf, waited: Duration, no_more: bool) -> Relief {
        relief(Blocker::Session { session: A, rests: true, next }, waited, LONG, no_more)
    }

    #[test]
    fn a_blocker_ends_early_or_goes_on_alone() {
        assert_eq!(blocked_by(NextOf::End(HEAD.seq), SHORT, false), Relief::EndEarly(HEAD));
        assert_eq!(blocked_by(NextOf::Statement(HEAD.seq), SHORT, false), Relief::Advance(HEAD));
        assert_eq!(blocked_by(NextOf::Later, LONG, true), Relief::Wait);
    }

    #[test]
    fn a_blocker_that_has_moved_since_the_target_was_asked_is_not_let_ahead_of_its_turn() {
        let resting = Activity { running: false, answers: 3 };
        let running = Activity { running: true, ..resting };
        let moved = Activity { answers: 4, ..resting };
        assert!(resting.has_rested_since(Some(resting)));
        assert!(!moved.has_rested_since(Some(running)), "the lock may have been that statement's");
        assert!(!moved.has_rested_since(Some(resting)));
        assert!(!running.has_rested_since(Some(resting)));
        assert!(!resting.has_rested_since(None), "it was not connected then");
        for next in [NextOf::Statement(HEAD.seq), NextOf::End(HEAD.seq), NextOf::Nothing] {
            let moved = Blocker::Session { session: A, rests: false, next };
            assert_eq!(relief(moved, LONG, LONG, true), Relief::Wait);
        }
    }

    #[test]
    fn a_blocker_without_a_record_left_is_given_up_in_the_end() {
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, false), Relief::ReadOn(A));
        assert_eq!(blocked_by(NextOf::Nothing, LONG, false), Relief::GiveUp(A));
        assert_eq!(blocked_by(NextOf::Nothing, SHORT, true), Relief::GiveUp(A));
    }

    #[test]
    fn a_prepared_transaction_is_finished_by_somebody_further_on() {
        let prepared = |still| relief(Blocker::Prepared { still }, SHORT, LONG, false);
        assert_eq!(prepared(true), Relief::StartNext);
        assert_eq!(prepared(false), Relief::Wait, "that may have been its end");
        assert_eq!(relief(Blocker::Stranger, LONG, LONG, true), Relief::Wait);
    }
}
