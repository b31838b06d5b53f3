//! What is asked of an order by whoever finds out what holds a replay up.

use super::conflict::Awaited;
use super::{Order, Start};
use crate::replay::work::Seq;

/// The order across sessions at one moment.
pub trait OrderView {
    /// Whether sessions wait for turns at all, and not only for their own statements.
    fn takes_turns(&self) -> bool;

    /// Whether one statement runs at a time.
    fn is_serial(&self) -> bool;

    /// The statement whose turn it is, where one runs at a time.
    fn turn(&self) -> Option<Start>;

    /// Whether a statement waits for one that is under way.
    fn is_waited_for(&self) -> bool;

    /// The first statement in the log that waits for its turn.
    fn first_waiting(&self) -> Option<Start>;

    /// Whether a statement conflicts with nothing that is unfinished, whoever's turn it is.
    fn may_start(&self, seq: Seq) -> bool;

    /// Whether a statement must not start whatever waits for it: what it does is not known yet, or it
    /// finishes a transaction that is not prepared yet.
    fn is_held(&self, seq: Seq) -> bool;

    /// What a statement waits for in the end because they conflict, directly or through others. `runs`:
    /// which statements run, even those that have been let ahead of their turn.
    fn awaited_by(&self, seq: Seq, runs: &dyn Fn(Start) -> bool) -> Vec<Awaited>;

    /// Whether a statement waits for this other one, directly or through others.
    fn waits_for(&self, seq: Seq, other: Seq) -> bool;

    /// Whether the end of this prepared transaction has a place in the order and has not finished.
    fn is_prepared_end_ahead(&self, gid: &str) -> bool;

    /// The prepared transactions that a statement waits for in the end, and whose end has not been read.
    fn prepared_awaited_by(&self, seq: Seq) -> Vec<&str>;

    /// The database whose catalog is read before a statement gets its place in the order.
    fn catalog_awaited_by(&self, seq: Seq) -> Option<String>;
}

impl OrderView for Order {
    fn takes_turns(&self) -> bool {
        self.turns().is_some()
    }

    fn is_serial(&self) -> bool {
        matches!(self, Self::Serial(..))
    }

    fn turn(&self) -> Option<Start> {
        match self {
            Self::Serial(_, serial) => serial.current(),
            Self::Conflict(_) | Self::Session => None,
        }
    }

    fn is_waited_for(&self) -> bool {
        match self {
            Self::Serial(turns, _) => !turns.asking.is_empty(),
            Self::Conflict(turns) => {
                let (unfinished, running) = turns.conflict_order().in_flight();
                unfinished > running && running > 0
            }
            Self::Session => false,
        }
    }

    fn first_waiting(&self) -> Option<Start> {
        match self {
            Self::Serial(turns, _) => turns.asked().min_by_key(|start| start.seq),
            Self::Conflict(turns) => turns.conflict_order().first_waiting(),
            Self::Session => None,
        }
    }

    fn may_start(&self, seq: Seq) -> bool {
        self.conflict_order().is_some_and(|order| order.may_start(seq))
    }

    fn is_held(&self, seq: Seq) -> bool {
        self.conflict_order().is_some_and(|order| order.is_held(seq))
    }

    fn awaited_by(&self, seq: Seq, runs: &dyn Fn(Start) -> bool) -> Vec<Awaited> {
        self.conflict_order().map(|order| order.awaited_by(seq, runs)).unwrap_or_default()
    }

    fn waits_for(&self, seq: Seq, other: Seq) -> bool {
        match self {
            Self::Conflict(turns) => turns.conflict_order().waits_for(seq, other),
            Self::Serial(..) | Self::Session => seq > other,
        }
    }

    fn is_prepared_end_ahead(&self, gid: &str) -> bool {
        self.conflict_order().is_some_and(|order| order.is_prepared_end_ahead(gid))
    }

    fn prepared_awaited_by(&self, seq: Seq) -> Vec<&str> {
        self.conflict_order().map(|order| order.prepared_awaited_by(seq)).unwrap_or_default()
    }

    fn catalog_awaited_by(&self, seq: Seq) -> Option<String> {
        let arrivals = self.arrivals().filter(|it| !it.order().is_unfinished(seq))?;
        let wanted = arrivals.wanted().filter(|wanted| wanted.is_waited_for)?;
        Some(wanted.login.database.clone())
    }
}
