//! Which sessions have a connection to the target where there are more sessions than connections.
//!
//! A session asks for a permit before it connects and returns it when its connection is closed. Who
//! waits is served in the order of the log, so that the statement that everything else waits for
//! never waits for a connection. A connection is taken from a session that will not need it before
//! the one that waits does: one with nothing to do, the least recently used first, or one whose next
//! statement stands furthest behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// Who has a connection, and who waits for one.
#[derive(Debug)]
pub struct Permits {
    limit: usize,
    /// Whether one statement at a time has its turn: what has not been read comes after all that has.
    in_turns: bool,
    /// The limit, or less where the server has refused.
    room: usize,
    /// Those with a permit, and whether they have been asked to return it. In a fixed order, so that
    /// the same questions get the same answers.
    holders: BTreeMap<SessionId, Hold>,
    waiting: BTreeSet<(Seq, SessionId)>,
    wanted: HashMap<SessionId, Seq>,
    /// The server has refused: there are no more connections than these to be had.
    full: bool,
    /// It has refused just now: nobody asks it again until somebody has left, or some time has gone.
    paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Held,
    Leaving,
}

/// How a session stands, as far as its connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionState {
    /// Whether its connection is there.
    pub connected: bool,
    /// Whether a request is under way.
    pub running: bool,
    /// Whether a transaction is open.
    pub in_transaction: bool,
    /// Whether its connection holds what can't be made again on another one.
    pub bound: bool,
    /// The place of its next statement, if one has been read.
    pub next: Option<Seq>,
    /// The place of the last statement that it ran.
    pub used: Seq,
}

impl ConnectionState {
    fn is_free(&self) -> bool {
        self.connected && !self.running && !self.in_transaction
    }

    fn is_needed_after(&self, seq: Seq) -> bool {
        self.next.is_none_or(|next| next > seq)
    }

    /// The less, the longer the connection will not be needed.
    fn urgency(&self) -> (bool, bool, u64) {
        match self.next {
            None => (self.bound, false, self.used.0),
            Some(next) => (self.bound, true, u64::MAX - next.0),
        }
    }
}

/// For how long nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    /// Something has just changed.
    Not,
    /// Longer than a session takes to go on with what it can go on with.
    Short,
    /// Longer than almost every statement takes.
    Long,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The session may connect.
    Connect(SessionId),
    /// The session may connect past the limit: it comes next, and everybody who has a connection is
    /// in a transaction.
    Exceed(SessionId),
    /// The session is to close its connection, if it still has nothing to do.
    Evict {
        /// Which.
        session: SessionId,
        /// Whether it rolls its open transaction back, to run it again later.
        roll_back: bool,
    },
}

impl Permits {
    /// So many sessions may have a connection; at least one. `in_turns` says that statements start
    /// one by one in the order of their places.
    pub fn new(limit: usize, in_turns: bool) -> Self {
        let limit = limit.max(1);
        Self {
            limit,
            in_turns,
            room: limit,
            holders: BTreeMap::new(),
            waiting: BTreeSet::new(),
            wanted: HashMap::new(),
            full: false,
            paused: false,
        }
    }

    /// The session needs a connection for the statement at this place. [`Permits::steps`] says when
    /// it may have one.
    pub fn want(&mut self, session: SessionId, seq: Seq) {
        if self.holders.contains_key(&session) {
            return;
        }
        self.forget_wish(session);
        self.wanted.insert(session, seq);
        self.waiting.insert((seq, session));
    }

    /// Lets a session connect that has nothing to do yet, if nobody else will miss the connection.
    pub fn take_spare(&mut self, session: SessionId) -> bool {
        let spare = !self.paused && self.waiting.is_empty() && self.holders.len() < self.room;
        if spare {
            self.holders.entry(session).or_insert(Hold::Held);
        }
        spare
    }

    /// The session's connection is closed, or it needs none any more.
    pub fn release(&mut self, session: SessionId) {
        self.forget_wish(session);
        if self.holders.remove(&session).is_some() {
            self.paused = false;
        }
    }

    /// The session keeps its connection: it has gone on before it was asked.
    pub fn stays(&mut self, session: SessionId) {
        if let Some(hold) = self.holders.get_mut(&session) {
            *hold = Hold::Held;
        }
    }

    /// The server had no connection left for a session that was let in; its permit is returned.
    pub fn refused(&mut self, session: SessionId) {
        self.holders.remove(&session);
        self.room = self.room.min(self.holders.len()).max(1);
        (self.full, self.paused) = (true, true);
    }

    /// Some time after the server has refused: it may have more connections by now.
    pub fn retry(&mut self) {
        self.room = (self.room + self.room / 4 + 1).min(self.limit);
        (self.full, self.paused) = (false, false);
    }

    /// Whether it matters that a session has nothing to do.
    pub fn is_pressed(&self) -> bool {
        !self.waiting.is_empty() || self.holders.len() > self.room
    }

    /// How many sessions have a permit.
    pub fn held(&self) -> usize {
        self.holders.len()
    }

    fn forget_wish(&mut self, session: SessionId) {
        if let Some(seq) = self.wanted.remove(&session) {
            self.waiting.remove(&(seq, session));
        }
    }

    fn admit(&mut self) -> Option<SessionId> {
        let (_, session) = self.waiting.pop_first()?;
        self.wanted.remove(&session);
        self.holders.insert(session, Hold::Held);
        Some(session)
    }

    /// What is to be done now. `connection_state` tells how a session with a permit stands; it is asked only
    /// where somebody has to go.
    pub fn steps(
        &mut self,
        connection_state: impl Fn(SessionId) -> ConnectionState,
        quiet: Quiet,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        while !self.paused
            && self.holders.len() < self.room
            && let Some(session) = self.admit()
        {
            steps.push(Step::Connect(session));
        }
        let leaving = self.holders.values().filter(|hold| **hold == Hold::Leaving).count();
        let beyond = self.holders.len().saturating_sub(self.room);
        if leaving >= beyond + self.waiting.len() {
            return steps;
        }
        let staying = self.holders.iter().filter(|(_, hold)| **hold == Hold::Held);
        let staying: Vec<_> =
            staying.map(|(&session, _)| (session, connection_state(session))).collect();
        steps.extend(self.evictions(&staying, beyond, leaving, quiet));
        if steps.is_empty() && leaving == 0 {
            steps.extend(self.break_standstill(&staying, quiet));
        }
        steps
    }

    /// Whom to ask for the connections that are missing and not about to come free.
    fn evictions(
        &mut self,
        staying: &[(SessionId, ConnectionState)],
        beyond: usize,
        leaving: usize,
        quiet: Quiet,
    ) -> Vec<Step> {
        // What can't be made again is worth waiting for another one's end.
        let may_go = |connection_state: &ConnectionState| {
            connection_state.is_free() && (!connection_state.bound || quiet >= Quiet::Short)
        };
        let mut free: Vec<_> =
            staying.iter().filter(|(_, connection_state)| may_go(connection_state)).collect();
        free.sort_by_key(|(_, connection_state)| std::cmp::Reverse(connection_state.urgency()));
        // Whoever was let in past the limit has something to do with it first.
        let first = self.waiting.first().map_or(Seq(u64::MAX), |(seq, _)| *seq);
        let beyond = std::iter::repeat_n(first, beyond);
        let needed_by = beyond.chain(self.waiting.iter().map(|(seq, _)| *seq)).skip(leaving);
        let mut steps = Vec::new();
        for seq in needed_by {
            let Some(at) = free
                .iter()
                .rposition(|(_, connection_state)| connection_state.is_needed_after(seq))
            else {
                break;
            };
            let (session, _) = *free.remove(at);
            self.holders.insert(session, Hold::Leaving);
            steps.push(Step::Evict { session, roll_back: false });
        }
        steps
    }

    /// Nobody can leave. Where nobody is about to do anything either, the first one that waits gets
    /// a connection past the limit; from a server that has no more, one whose transaction is rolled
    /// back.
    fn break_standstill(
        &mut self,
        staying: &[(SessionId, ConnectionState)],
        quiet: Quiet,
    ) -> Option<Step> {
        let &(seq, _) = self.waiting.first()?;
        let moves = |connection_state: &ConnectionState| {
            if connection_state.is_free() && connection_state.bound && quiet < Quiet::Short {
                return true;
            }
            let may_come_first = connection_state.next.map_or(!self.in_turns, |next| next < seq);
            !connection_state.connected
                || (connection_state.running && quiet < Quiet::Long)
                || (may_come_first && quiet < Quiet::Short)
        };
        if staying.iter().any(|(_, connection_state)| moves(connection_state)) {
            return None;
        }
        if !self.full {
            return self.admit().map(Step::Exceed);
        }
        let idle = staying.iter().filter(|(_, connection_state)| {
            !connection_state.running && connection_state.is_needed_after(seq)
        });
        let (session, _) = *idle.min_by_key(|(_, connection_state)| connection_state.urgency())?;
        self.holders.insert(session, Hold::Leaving);
        Some(Step::Evict { session, roll_back: true })
    }
}

#[cfg(test)]
mod tests;
