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
mod tests {
    use super::*;

    /// Sessions by pid, each with its first unfinished statement and whether it is in a transaction.
    type Sessions<'a> = &'a [(u32, Option<u64>, bool)];

    fn id(pid: u32) -> SessionId {
        SessionId { start: 1, pid }
    }

    fn due(log_ins: &mut LogIns, sessions: Sessions<'_>, retry: bool) -> Vec<(u32, bool)> {
        let blocker = |session: SessionId| {
            let known = sessions.iter().find(|(pid, ..)| *pid == session.pid);
            known.map_or_else(Blocker::default, |&(_, first, in_transaction)| Blocker {
                first_unfinished: first.map(Seq),
                in_transaction,
            })
        };
        let earlier = |own: SessionId, place| {
            let others = sessions.iter().map(|(pid, ..)| id(*pid)).filter(|other| *other != own);
            others.into_iter().find(|other| blocker(*other).is_before(place))
        };
        let due = log_ins.due(blocker, earlier, retry);
        due.into_iter().map(|due| (due.session.pid, due.is_final)).collect()
    }

    fn before(place: u64) -> LogIn {
        LogIn { before: Seq(place), first: Some(Seq(place)) }
    }

    #[test]
    fn a_log_in_waits_for_the_changes_before_it_and_for_nothing_else() {
        let mut log_ins = LogIns::default();
        log_ins.note_change(Seq(5), id(1));
        log_ins.ask(id(2), before(4), false);
        log_ins.ask(id(3), before(6), false);
        assert_eq!(
            due(&mut log_ins, &[(1, Some(5), false), (4, Some(1), false)], false),
            [(2, false)]
        );
        assert_eq!(
            due(&mut log_ins, &[(1, None, false), (4, Some(1), false)], false),
            [(3, false)]
        );
        assert!(!log_ins.has_changes() && !log_ins.has_waiting());
    }

    #[test]
    fn a_change_counts_from_the_end_of_its_transaction_if_that_comes_before_the_log_in() {
        let mut log_ins = LogIns::default();
        log_ins.note_change(Seq(5), id(1));
        log_ins.ask(id(2), before(8), false);
        log_ins.ask(id(3), before(10), false);
        let commit_waits = [(1, Some(9), true)];
        assert_eq!(due(&mut log_ins, &commit_waits, false), [(2, false)], "its COMMIT comes later");
        assert_eq!(due(&mut log_ins, &[(1, None, false)], false), [(3, false)]);
    }

    #[test]
    fn a_session_does_not_wait_for_its_own_change() {
        let mut log_ins = LogIns::default();
        log_ins.note_change(Seq(5), id(1));
        log_ins.ask(id(1), before(5), false);
        assert_eq!(due(&mut log_ins, &[(1, Some(5), false)], false), [(1, false)]);
    }

    #[test]
    fn a_refusal_is_final_only_when_nothing_earlier_is_unfinished() {
        let mut log_ins = LogIns::default();
        log_ins.ask(id(2), before(6), true);
        let others = [(1, Some(3), false), (3, Some(4), false), (4, Some(9), false)];
        assert_eq!(due(&mut log_ins, &others, false), []);
        assert_eq!(due(&mut log_ins, &[(3, Some(4), false), (4, Some(9), false)], false), []);
        assert_eq!(due(&mut log_ins, &[(4, Some(9), false)], false), [(2, true)]);
    }

    #[test]
    fn who_was_refused_tries_again_now_and_then() {
        let mut log_ins = LogIns::default();
        log_ins.ask(id(2), before(6), true);
        assert_eq!(due(&mut log_ins, &[(1, Some(3), false)], true), [(2, false)]);
        assert!(!log_ins.has_waiting());
    }

    #[test]
    fn nothing_is_kept_of_a_session_that_is_gone() {
        let mut log_ins = LogIns::default();
        log_ins.ask(id(1), before(6), true);
        log_ins.ask_change(id(1), change());
        log_ins.note_change(Seq(5), id(1));
        log_ins.forget(id(1));
        assert!(!log_ins.has_waiting());
        log_ins.ask(id(2), before(7), false);
        assert_eq!(due(&mut log_ins, &[], false), [(2, false)]);
        assert!(!log_ins.has_changes());
    }

    fn change() -> Change {
        Change { seq: Seq(5), logins: AlteredLogins::default(), behind_statements: false }
    }

    fn due_changes(log_ins: &mut LogIns, blocking: &[u32], is_look: bool) -> Vec<(u32, bool)> {
        let blocks = |session: SessionId, _: &Change| blocking.contains(&session.pid);
        let find = |own, change: &Change| {
            let mut others = blocking.iter().map(|pid| id(*pid)).filter(|other| *other != own);
            others.find(|other| blocks(*other, change))
        };
        let due = log_ins.due_changes(blocks, find, is_look);
        due.into_iter().map(|due| (due.session.pid, due.in_vain)).collect()
    }

    #[test]
    fn a_change_waits_for_each_session_that_holds_it_up_and_not_for_its_own() {
        let mut log_ins = LogIns::default();
        log_ins.ask_change(id(1), change());
        assert!(log_ins.has_waiting());
        for blocking in [&[1, 2, 3][..], &[1, 3], &[3]] {
            assert_eq!(due_changes(&mut log_ins, blocking, false), []);
        }
        assert_eq!(due_changes(&mut log_ins, &[1], false), [(1, false)]);
        assert!(!log_ins.has_waiting());
    }

    #[test]
    fn a_change_does_not_wait_for_ever() {
        let mut log_ins = LogIns::default();
        log_ins.ask_change(id(1), change());
        for _ in 1..PATIENCE {
            assert_eq!(due_changes(&mut log_ins, &[2], true), []);
            assert_eq!(due_changes(&mut log_ins, &[2], false), []);
        }
        assert_eq!(due_changes(&mut log_ins, &[2], true), [(1, true)]);
        assert!(!log_ins.has_waiting());
    }
}
