//! Serial order: one statement after the other, as they stand in the log.
//!
//! A statement's record can stand before that of the COMMIT which freed its row: a COMMIT is logged
//! when its locks are gone. Sent in that order, the statement would wait for the row, and would then
//! go on with what it saw before the COMMIT, which is less than it saw on the source. The conflict
//! order knows: it holds the statement back until the end of the transaction that wrote the row. So
//! what has the turn is the first statement of the log that has not finished, or where the conflict
//! order holds that back, what it waits for.

use super::Start;
use super::conflict::{Awaited, ConflictOrder};
use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// Whose turn it is.
#[derive(Debug)]
pub struct SerialTurn {
    turn: Option<Turn>,
    /// Whether statements of one session right behind each other share a turn.
    is_shared: bool,
}

/// A session may run its statements from one place to another.
#[derive(Debug, Clone, Copy)]
struct Turn {
    session: SessionId,
    first: Seq,
    last: Seq,
}

impl SerialTurn {
    /// Nobody's turn yet. `is_shared`: a session goes on with its next statement without asking if
    /// that stands right behind its last. Where statements are due at some time, that is no gain: a
    /// turn must not be held while the next one waits for its time.
    pub fn new(is_shared: bool) -> Self {
        Self { turn: None, is_shared }
    }

    /// Whose turn it is by now. `asking`: those that could start at once.
    pub fn advance(&mut self, order: &ConflictOrder, asking: impl Iterator<Item = Start>) {
        while let Some(turn) = &mut self.turn
            && !order.is_unfinished(turn.first)
        {
            turn.first = turn.first.next();
            self.turn.take_if(|turn| turn.first > turn.last);
        }
        if self.turn.is_none() {
            self.turn = Self::next(order, asking).map(|Start { session, seq }| Turn {
                session,
                first: seq,
                last: seq,
            });
        }
        if let Some(turn) = self.turn.as_mut().filter(|_| self.is_shared) {
            let is_next = |seq| order.may_start(seq) && order.session_of(seq) == Some(turn.session);
            while is_next(turn.last.next()) {
                turn.last = turn.last.next();
            }
        }
    }

    /// Up to where the session may start its statements, if it is its turn.
    pub fn of(&self, session: SessionId) -> Option<Seq> {
        self.turn.filter(|turn| turn.session == session).map(|turn| turn.last)
    }

    /// The statement whose turn it is.
    pub fn current(&self) -> Option<Start> {
        self.turn.map(|turn| Start { session: turn.session, seq: turn.first })
    }

    fn next(order: &ConflictOrder, asking: impl Iterator<Item = Start>) -> Option<Start> {
        let first = order.first_unfinished()?;
        if order.may_start(first.seq) {
            return Some(first);
        }
        let awaited =
            order.awaited_by(first.seq, &|_| false).into_iter().filter_map(
                |awaited| match awaited {
                    Awaited::Statement(start) => Some(start),
                    Awaited::Unread => None,
                },
            );
        // What it waits for may not have been read: others need not wait for that with it.
        let by_place = |start: &Start| start.seq;
        let others = asking.filter(|start| order.may_start(start.seq));
        awaited.min_by_key(by_place).or_else(|| others.min_by_key(by_place))
    }
}
