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
//! **Why nobody waits for ever.** A session that has run nothing holds nothing that others could wait
//! for, and it waits only for statements that come before its own.

use std::collections::BTreeMap;

use crate::pglog::SessionId;
use crate::replay::work::Seq;

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

/// The log-ins that wait, and what they wait for.
#[derive(Debug, Default)]
pub struct LogIns {
    /// Statements that may change what a log-in finds and that may not have taken effect.
    changes: BTreeMap<Seq, SessionId>,
    waiting: BTreeMap<SessionId, Waiting>,
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
    }

    /// Whether a statement may change what a log-in finds, as far as was known when it was last looked.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether a log-in waits.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
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
        let Self { changes, waiting } = self;
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
}
