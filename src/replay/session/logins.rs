//! When a session may log in.
//!
//! A log-in finds what stands at its moment: whether the role and the database are there, under which
//! names, and with which defaults. So a session logs in behind the statements that may change any of
//! that and come before it in the log. All others it need not wait for: it logs in ahead of its turn,
//! which hides how long that takes.
//!
//! Not every change can be told by its words: a function may make a role. So a refusal is no verdict
//! so long as anything earlier is unfinished.
//!
//! And a change waits for the log-ins that come before it: a session that was connected on the source
//! before `ALTER ROLE … SET` or `RENAME` has what stood before that, though its first statement may come
//! long after. In session order, where statements wait for no others, a change outside of a
//! transaction waits for all statements before it as well: what it drops or renames they may need.
//!
//! **Why nobody waits for ever.** A session that has run nothing holds nothing that others could wait
//! for, and it waits only for statements that come before its own. A change waits for log-ins and
//! statements before itself; not for a log-in that the target refuses, or that there is no connection
//! to spare for; and in any case not for long.

use std::collections::BTreeMap;

use crate::pglog::SessionId;
use crate::replay::work::Seq;
use crate::sql::AlteredLogins;

/// The place of a session's log-in in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogIn {
    /// It comes before the statement with this place.
    pub before: Seq,
    /// The session's first statement, if it has been read.
    pub first: Option<Seq>,
}

/// How a session stands that log-ins may wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blocker {
    /// Its first statement that has not finished.
    pub first_unfinished: Option<Seq>,
    /// Whether it has a transaction open, or to be run again.
    pub in_transaction: bool,
}

impl Blocker {
    /// Whether a statement of it is unfinished that comes before this place.
    pub fn is_before(self, place: Seq) -> bool {
        self.first_unfinished.is_some_and(|first| first < place)
    }

    /// Whether what it did by the statement with this place has taken effect, or never will.
    fn is_done_with(self, place: Seq) -> bool {
        !self.in_transaction && self.first_unfinished.is_none_or(|first| first > place)
    }
}

/// A session may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub session: SessionId,
    /// Whether nothing before it can mend a refusal any more.
    pub is_final: bool,
}

/// A statement that changes log-ins, and waits for those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// Whose log-ins it changes.
    pub logins: AlteredLogins,
    /// Whether it waits for the statements before it as well.
    pub behind_statements: bool,
}

/// A statement that changes log-ins may start.
#[derive(Debug, PartialEq, Eq)]
pub struct DueChange {
    /// Its session.
    pub session: SessionId,
    /// What it changes.
    pub change: Change,
    /// Whether it has waited for so long that it does not any more.
    pub in_vain: bool,
}

/// How often changes are looked after, once a second, before they wait no longer.
const PATIENCE: u8 = 10;

/// The log-ins that wait, and what they wait for; and the changes that wait for log-ins.
#[derive(Debug, Default)]
pub struct LogIns {
    /// Statements that may change what a log-in finds and that may not have taken effect.
    changes: BTreeMap<Seq, SessionId>,
    waiting: BTreeMap<SessionId, Waiting>,
    /// By session, the change that waits.
    waiting_changes: BTreeMap<SessionId, WaitingChange>,
}

#[derive(Debug)]
struct WaitingChange {
    change: Change,
    looks: u8,
    /// A session that it waits for.
    blocker: Option<SessionId>,
}

#[derive(Debug)]
struct Waiting {
    /// What it waits for comes before this place.
    place: Seq,
    /// Whether the target has refused it.
    refused: bool,
    /// A session with a statement that it waits for.
    blocker: Option<SessionId>,
}

impl LogIns {
    /// A statement has come that may change what a log-in finds.
    pub fn note_change(&mut self, seq: Seq, session: SessionId) {
        self.changes.insert(seq, session);
    }

    /// A session would log in; `refused`: it has tried to.
    pub fn ask(&mut self, session: SessionId, log_in: LogIn, refused: bool) {
        let place = log_in.first.filter(|_| refused).unwrap_or(log_in.before);
        self.waiting.insert(session, Waiting { place, refused, blocker: None });
    }

    /// A session is gone.
    pub fn forget(&mut self, session: SessionId) {
        self.waiting.remove(&session);
        self.waiting_changes.remove(&session);
    }

    /// Whether a statement may change what a log-in finds, as far as was known when it was last looked.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether a log-in waits, or a change.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.waiting_changes.is_empty()
    }

    /// A session's next statement changes log-ins.
    pub fn ask_change(&mut self, session: SessionId, change: Change) {
        self.waiting_changes.insert(session, WaitingChange { change, looks: 0, blocker: None });
    }

    /// A session whose change of log-ins the session's log-in waits for, or whose statement; `None` where
    /// it does not wait, or none is known.
    pub fn blocker_of_log_in(
        &self,
        session: SessionId,
        blocker: impl Fn(SessionId) -> Blocker,
    ) -> Option<SessionId> {
        let Waiting { place, refused, blocker: known } = self.waiting.get(&session)?;
        if *refused {
            return *known;
        }
        let mut changes = self.changes.range(..*place).map(|(_, changing)| *changing);
        changes.find(|changing| *changing != session && blocker(*changing).is_before(*place))
    }

    /// A session that the session's change of log-ins waits for.
    pub fn blocker_of_change(
        &self,
        session: SessionId,
        blocks: impl Fn(SessionId, &Change) -> bool,
    ) -> Option<SessionId> {
        let WaitingChange { change, blocker, .. } = self.waiting_changes.get(&session)?;
        blocker.filter(|known| blocks(*known, change))
    }

    /// The changes that may start by now. `blocks` tells whether a change has to wait for a session,
    /// `find` a session other than its own that it has to wait for. `is_look`: another second is over.
    pub fn due_changes(
        &mut self,
        blocks: impl Fn(SessionId, &Change) -> bool,
        find: impl Fn(SessionId, &Change) -> Option<SessionId>,
        is_look: bool,
    ) -> Vec<DueChange> {
        let mut due = Vec::new();
        self.waiting_changes.retain(|&session, waiting| {
            let change = &waiting.change;
            waiting.looks = waiting.looks.saturating_add(u8::from(is_look));
            let known = waiting.blocker.filter(|known| blocks(*known, change));
            waiting.blocker = known.or_else(|| find(session, change));
            let waits = waiting.blocker.is_some();
            let in_vain = waits && waiting.looks >= PATIENCE;
            if !waits || in_vain {
                due.push(DueChange { session, change: change.clone(), in_vain });
            }
            waits && !in_vain
        });
        due
    }

    /// Who may log in by now. `blocker` tells how a session stands; `earlier` finds a session other
    /// than this one with an unfinished statement before this place. With `retry`, who was refused
    /// tries again in any case.
    pub fn due(
        &mut self,
        blocker: impl Fn(SessionId) -> Blocker,
        earlier: impl Fn(SessionId, Seq) -> Option<SessionId>,
        retry: bool,
    ) -> Vec<Due> {
        let Self { changes, waiting, .. } = self;
        changes.retain(|&seq, session| !blocker(*session).is_done_with(seq));
        let mut due = Vec::new();
        waiting.retain(|&session, waiting| {
            let place = waiting.place;
            let blocks = |other: SessionId| other != session && blocker(other).is_before(place);
            if !waiting.refused {
                let waits = changes.range(..place).any(|(_, changing)| blocks(*changing));
                if !waits {
                    due.push(Due { session, is_final: false });
                }
                return waits;
            }
            // The one that was found last mostly tells, without a look at all the others.
            waiting.blocker =
                waiting.blocker.filter(|known| blocks(*known)).or_else(|| earlier(session, place));
            let waits = waiting.blocker.is_some() && !retry;
            if !waits {
                due.push(Due { session, is_final: waiting.blocker.is_none() });
            }
            waits
        });
        due
    }
}

#[cfg(test)]
mod tests;
