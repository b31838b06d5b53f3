//! When a statement may start: the order across sessions.

pub mod backends;
pub mod conflict;
pub mod dispatch;
pub mod draws;
pub mod footprint;
pub mod holders;
pub mod permits;
mod serial;
pub mod stall_watch;
pub mod stalls;
#[cfg(test)]
mod tests;
pub mod view;
pub mod wait_chain;
pub mod withdrawals;

use std::sync::Arc;

use conflict::{Arrivals, ConflictOrder};
use foldhash::HashMap;
use serial::SerialTurn;

use crate::pglog::SessionId;
use crate::replay::order::footprint::Catalog;
use crate::replay::settings::{self, Login};
use crate::replay::work::{Seq, Work};

/// A session may start its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The session.
    pub session: SessionId,
    /// Up to and with this place.
    pub seq: Seq,
}

/// What statements wait for.
#[derive(Debug)]
pub enum Order {
    /// Every statement before them, but for what holds up the first that has not finished.
    Serial(Box<Turns>, SerialTurn),
    /// Every statement before them that they conflict with.
    Conflict(Box<Turns>),
    /// The earlier statements of their own sessions.
    Session,
}

/// Statements that have been read, and the sessions that ask to start theirs.
#[derive(Debug, Default)]
pub struct Turns {
    arrivals: Arrivals,
    /// Sessions that asked, and for which statement.
    asking: HashMap<SessionId, Seq>,
    /// What may start by the conflict order and has not been told.
    starts: Vec<Start>,
}

impl Order {
    /// An order of nothing yet. `is_paced`: statements are due at some time.
    pub fn new(order: settings::Order, is_paced: bool) -> Self {
        match order {
            settings::Order::Serial => Self::Serial(Box::default(), SerialTurn::new(!is_paced)),
            settings::Order::Conflict => Self::Conflict(Box::default()),
            settings::Order::Session => Self::Session,
        }
    }

    /// These statements come next in the log.
    pub fn arrive(&mut self, statements: Vec<(Arc<Work>, Arc<Login>)>) {
        let Some(turns) = self.turns_mut() else { return };
        for (work, login) in statements {
            turns.arrivals.take(work, login, &mut turns.starts);
        }
    }

    /// A session asks to start its statement.
    pub fn ask(&mut self, seq: Seq, session: SessionId) {
        let Some(turns) = self.turns_mut() else { return };
        turns.asking.insert(session, seq);
        if turns.conflict_order().may_start(seq) {
            turns.starts.push(Start { session, seq });
        }
    }

    /// A statement has finished, or will never start.
    pub fn finish(&mut self, seq: Seq) {
        let Some(turns) = self.turns_mut() else { return };
        turns.arrivals.finish(seq, &mut turns.starts);
    }

    /// The session's connection is closed for good; `ended`: so is the session.
    pub fn close(&mut self, session: SessionId, ended: bool) {
        let Some(turns) = self.turns_mut() else { return };
        if ended {
            turns.asking.remove(&session);
        }
        turns.arrivals.close(session, ended, &mut turns.starts);
    }

    /// This is the catalog of a database from now on; `None`: it can't be read.
    pub fn know(&mut self, database: &str, catalog: Option<Catalog>) {
        let Some(turns) = self.turns_mut() else { return };
        turns.arrivals.know(database, catalog, &mut turns.starts);
    }

    /// The catalog of a database was read, and is what is known of it.
    pub fn confirm(&mut self, database: &str) {
        let Some(turns) = self.turns_mut() else { return };
        turns.arrivals.confirm(database, &mut turns.starts);
    }

    /// The catalog of a database can't be read now: nothing waits for it.
    pub fn go_without(&mut self, database: &str) {
        let Some(turns) = self.turns_mut() else { return };
        turns.arrivals.go_without(database, &mut turns.starts);
    }

    /// What may start by now, of what was asked for.
    pub fn take_starts(&mut self) -> Vec<Start> {
        match self {
            Self::Serial(turns, serial) => turns.starts_in(serial),
            Self::Conflict(turns) => turns.take_starts(),
            Self::Session => Vec::new(),
        }
    }

    /// What has been read and has a place in the order; `None` where nothing waits.
    pub fn arrivals(&self) -> Option<&Arrivals> {
        self.turns().map(|turns| &turns.arrivals)
    }

    /// The same, to be told of catalogs.
    pub fn arrivals_mut(&mut self) -> Option<&mut Arrivals> {
        self.turns_mut().map(|turns| &mut turns.arrivals)
    }

    /// What conflicts with what; `None` where nothing waits.
    pub fn conflict_order(&self) -> Option<&ConflictOrder> {
        self.turns().map(Turns::conflict_order)
    }

    /// Whether statements wait, and none may start before more has been read.
    pub fn is_stuck(&self) -> bool {
        self.arrivals().is_some_and(Arrivals::is_stuck)
    }

    /// How many statements wait for others.
    pub fn waiting(&self) -> usize {
        let in_flight = self.conflict_order().map(ConflictOrder::in_flight);
        let (unfinished, running) = in_flight.unwrap_or_default();
        match self {
            Self::Serial(..) => unfinished.saturating_sub(1),
            Self::Conflict(_) | Self::Session => unfinished - running,
        }
    }

    fn turns(&self) -> Option<&Turns> {
        match self {
            Self::Serial(turns, _) | Self::Conflict(turns) => Some(turns),
            Self::Session => None,
        }
    }

    fn turns_mut(&mut self) -> Option<&mut Turns> {
        match self {
            Self::Serial(turns, _) | Self::Conflict(turns) => Some(turns),
            Self::Session => None,
        }
    }
}

impl Turns {
    fn conflict_order(&self) -> &ConflictOrder {
        self.arrivals.order()
    }

    fn asked(&self) -> impl Iterator<Item = Start> {
        self.asking.iter().map(|(session, seq)| Start { session: *session, seq: *seq })
    }

    /// What may start by the conflict order, of what was asked for. A session that asks is told of
    /// all that it may start.
    fn take_starts(&mut self) -> Vec<Start> {
        let Self { arrivals, asking, starts } = self;
        let order = arrivals.order();
        let asked = |start: Start| {
            let seq = *asking.get(&start.session).filter(|seq| **seq <= start.seq)?;
            asking.remove(&start.session);
            let last = order.granted(start.session).map_or(seq, |last| last.max(seq));
            Some(Start { seq: last, ..start })
        };
        starts.drain(..).filter_map(asked).collect()
    }

    /// What may start in its turn, of what was asked for, and what is run again.
    fn starts_in(&mut self, serial: &mut SerialTurn) -> Vec<Start> {
        serial.advance(self.arrivals.order(), self.asked());
        let order = self.arrivals.order();
        let turn = serial.current().map(|turn| turn.session);
        let sessions = self.starts.drain(..).map(|start| start.session).chain(turn);
        let mut started = Vec::new();
        for session in sessions {
            let Some(&seq) = self.asking.get(&session) else { continue };
            let may_run_again = order.may_start(seq) && !order.is_unfinished(seq);
            let last = serial.of(session).filter(|last| *last >= seq);
            if let Some(seq) = last.or(may_run_again.then_some(seq)) {
                self.asking.remove(&session);
                started.push(Start { session, seq });
            }
        }
        started
    }
}
