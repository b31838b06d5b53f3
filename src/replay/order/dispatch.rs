//! Who starts when: everything that the sequencer decides.
//!
//! [`Order`] says what may start. Here is what follows when things happen: sessions get their turns,
//! catalogs are read, stalls are looked for and broken, and sessions are given up that others wait for in
//! vain. What has to be done is pushed to [`Round::out`].
//!
//! - `actions`: what it asks for;
//! - `catalog_pace`: when a catalog is read;
//! - `catalogs`: what is done about what was read;
//! - `silent_holders`: sessions that others wait for and that have nothing to do;
//! - `stalling`: what is done about the locks that statements wait for;
//! - `withdrawing`: statements that are withdrawn before the end is run that they wait for.

mod actions;
mod catalog_pace;
mod catalogs;
mod silent_holders;
mod stalling;
#[cfg(test)]
mod tests;
mod withdrawing;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::actions::{DispatchAction, Holding};
use self::catalog_pace::CatalogPace;
pub use self::catalogs::CatalogReading;
use self::silent_holders::SilentHolders;
use self::withdrawing::Withdrawing;
use super::stalls::{LockStalls, OnTarget};
use super::view::OrderView;
use super::{Order, Start};
use crate::pglog::SessionId;
use crate::replay::settings::{self, Login};
use crate::replay::work::{Seq, Work};

/// Gives turns, and frees statements that wait for sessions without one. All times count from any one
/// moment.
#[derive(Debug)]
pub struct Dispatcher {
    order: Order,
    /// Whether more records were asked for since the last came.
    asked_for_more: bool,
    silent: SilentHolders,
    stalls: LockStalls,
    withdrawing: Withdrawing,
    catalog_pace: CatalogPace,
    /// Databases whose catalog could not be read, as far as that was reported.
    unread_reported: HashSet<String>,
    /// How long a session is waited for whose next record has not been read.
    patience: Duration,
    input_ended: bool,
}

/// How turns are given.
#[derive(Debug, Clone, Copy)]
pub struct DispatchSettings {
    /// What statements wait for.
    pub order: settings::Order,
    /// Whether statements are due at some time.
    pub is_paced: bool,
    /// How long a statement may run before the target is asked what it waits for.
    pub stall_check: Duration,
    /// How long a session is waited for whose next record has not been read.
    pub patience: Duration,
}

/// One round of decisions: when something happens, which sessions there are, and what has to be done.
pub struct Round<'a> {
    /// When.
    pub now: Duration,
    /// The sessions with a connection to the target.
    pub sessions: &'a dyn ConnectedSessions,
    /// What has to be done, in this order.
    pub out: &'a mut Vec<DispatchAction>,
}

/// The sessions with a connection to the target, as they stand.
pub trait ConnectedSessions {
    /// All of them. Where they finish one of these prepared transactions, they say so.
    fn on_target(&self, prepared: &[String]) -> Vec<OnTarget>;

    /// What each of them is about.
    fn works(&self) -> Vec<SessionWork>;

    /// What one of them is about.
    fn work_of(&self, session: SessionId) -> Option<SessionWork>;
}

/// What a session with a connection is about.
#[derive(Debug, Clone)]
pub struct SessionWork {
    /// Which session.
    pub session: SessionId,
    /// The backend that serves it.
    pub backend: i32,
    /// The statement that runs.
    pub running: Option<Arc<Work>>,
    /// Its next statement.
    pub head: Option<Arc<Work>>,
    /// The last statement that it has begun.
    pub used: Seq,
    /// Whether nothing of its own keeps its next statement from starting.
    pub is_ready: bool,
    /// Whether its transaction is open.
    pub in_transaction: bool,
    /// The statement that has failed on the target alone, if that does not count yet.
    pub doubtful: Option<Arc<Work>>,
}

impl Dispatcher {
    /// One that nobody has asked yet.
    pub fn new(settings: DispatchSettings) -> Self {
        let DispatchSettings { order, is_paced, stall_check, patience } = settings;
        Self {
            order: Order::new(order, is_paced),
            asked_for_more: false,
            silent: SilentHolders::default(),
            stalls: LockStalls::new(stall_check, patience),
            withdrawing: Withdrawing::default(),
            catalog_pace: CatalogPace::default(),
            unread_reported: HashSet::new(),
            patience,
            input_ended: false,
        }
    }

    /// What statements wait for.
    pub fn order(&self) -> &Order {
        &self.order
    }

    // ---- What happens ----

    /// These statements come next in the log.
    pub fn arrive(&mut self, statements: Vec<(Arc<Work>, Arc<Login>)>, round: &mut Round<'_>) {
        self.asked_for_more = false;
        self.order.arrive(statements);
        self.advance(round);
    }

    /// A session asks to start its statement.
    pub fn ask(&mut self, Start { session, seq }: Start, round: &mut Round<'_>) {
        self.order.ask(seq, session);
        self.advance(round);
    }

    /// A statement has finished, or will never start.
    pub fn finish(&mut self, seq: Seq, round: &mut Round<'_>) {
        self.stalls.note_finished();
        self.order.finish(seq);
        self.finish_withdrawing(seq, round);
        self.advance(round);
    }

    /// A session's connection is closed for good; `ended`: so is the session.
    pub fn close(&mut self, session: SessionId, ended: bool, round: &mut Round<'_>) {
        self.silent.forget(session);
        self.order.close(session, ended);
        self.advance(round);
    }

    /// A session's connection is gone.
    pub fn disconnected(&mut self, session: SessionId, round: &mut Round<'_>) {
        self.forget_withdrawing(session, round);
    }

    /// Nobody may be connected to the database from which the target is asked, while this session runs
    /// its statement.
    pub fn vacate(&mut self, session: SessionId, now: Duration) {
        self.stalls.vacate(session, now);
    }

    /// Nothing more will be read.
    pub fn input_ended(&mut self, round: &mut Round<'_>) {
        self.input_ended = true;
        self.look_after(round);
    }

    // ---- What follows ----

    /// Does what the order has come to need.
    fn advance(&mut self, round: &mut Round<'_>) {
        if !self.order.takes_turns() {
            return;
        }
        let starts = self.order.take_starts();
        let is_stuck = self.order.is_stuck() && !self.asked_for_more;
        self.asked_for_more |= is_stuck;
        if let Some(turn) = self.order.turn() {
            // It counts from its start: a statement may have to wait for its time when its turn has come.
            let starts_now = starts.iter().any(|start| start.session == turn.session);
            self.stalls.note_turn(turn.seq, starts_now, round.now);
        }
        round.out.extend(starts.into_iter().map(DispatchAction::Start));
        self.read_catalogs(round);
        if is_stuck {
            // Everything waits for transactions whose ends have not been read.
            if self.input_ended {
                self.look_after(round);
            } else {
                round.out.push(DispatchAction::ReadOn);
            }
        }
        self.stalls.watch(round.now);
    }

    /// Gives up sessions that others wait for in vain. To be called now and then.
    pub fn look_after(&mut self, round: &mut Round<'_>) {
        let Some(arrivals) = self.order.arrivals() else { return };
        round.out.push(DispatchAction::ShowCosts);
        let is_stuck = self.input_ended && arrivals.is_stuck();
        let patience = if is_stuck { Duration::ZERO } else { self.patience };
        let holders = arrivals.order().silent_holders();
        for session in self.silent.silent_for(holders, patience, round.now) {
            round.out.push(DispatchAction::GiveUp { session, holding: Holding::Transaction });
            if round.sessions.work_of(session).is_none() {
                // It has no connection, and so no transaction.
                self.silent.forget(session);
                self.order.close(session, false);
            }
        }
    }
}
