//! When sessions may log in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use tracing::warn;

use super::{Entry, Supervisor};
use crate::actors::messages::{AskChange, AskLogIn, StatementsEnded, Turn, VacateDatabase, Wake};
use crate::pglog::SessionId;
use crate::replay::session::Closing;
use crate::replay::session::logins::{Blocker, Change, Due, DueChange};
use crate::replay::work::Work;
use crate::sql::AlteredLogins;

/// Whether log-ins have to be asked for, and whether some wait. Read by every session after every
/// statement; so long as nothing changes what log-ins find, nobody is told anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogInGate {
    is_guarded: Arc<AtomicBool>,
    has_waiting: Arc<AtomicBool>,
}

impl LogInGate {
    /// Whether a statement that has been read may change what a log-in finds.
    pub(crate) fn is_guarded(&self) -> bool {
        self.is_guarded.load(Ordering::Relaxed)
    }

    /// Whether a log-in waits for statements, or a change for log-ins.
    pub(crate) fn has_waiting(&self) -> bool {
        self.has_waiting.load(Ordering::Relaxed)
    }
}

impl Supervisor {
    /// Before the session gets the statement, and before any log-in that comes behind it.
    pub(super) fn note_login_change(&mut self, work: &Work) {
        self.log_ins.note_change(work.seq, work.session);
        self.deps.log_in_gate.is_guarded.store(true, Ordering::Relaxed);
    }

    /// Lets sessions log in that need not wait any longer; with `retry` also those that were refused.
    pub(super) fn let_log_in(&mut self, retry: bool) {
        if !self.log_ins.has_waiting() {
            return;
        }
        let gate = &self.deps.log_in_gate;
        // Before it looks: a session tells when a statement ends behind that.
        gate.has_waiting.store(true, Ordering::Relaxed);
        let sessions = &self.sessions;
        let blocker =
            |session| sessions.get(&session).map_or_else(Blocker::default, Entry::blocker);
        let earlier = |own, place| {
            let mut others = sessions.iter().filter(|(other, _)| **other != own);
            others.find(|(_, entry)| entry.blocker().is_before(place)).map(|(other, _)| *other)
        };
        let due = self.log_ins.due(blocker, earlier, retry);
        for Due { session, is_final } in due {
            if let Some(entry) = sessions.get(&session) {
                entry.cell.inbox().log_in_tried_again();
                entry.address.do_send(Turn::LogIn { is_final });
            }
        }
        self.let_change(retry);
        let gate = &self.deps.log_in_gate;
        gate.has_waiting.store(self.log_ins.has_waiting(), Ordering::Relaxed);
        gate.is_guarded.store(self.log_ins.has_changes(), Ordering::Relaxed);
    }

    /// Lets statements start that change log-ins, where those before them have been made.
    fn let_change(&mut self, is_look: bool) {
        let sessions = &self.sessions;
        let blocks = |session, change: &Change| {
            sessions.get(&session).is_some_and(|entry: &Entry| entry.holds_up(change))
        };
        let find = |own: SessionId, change: &Change| {
            let mut others = sessions.iter().filter(|(other, _)| **other != own);
            others.find(|(_, entry)| entry.holds_up(change)).map(|(other, _)| *other)
        };
        for due in self.log_ins.due_changes(blocks, find, is_look) {
            self.start_change(&due);
        }
    }

    fn start_change(&mut self, DueChange { session, change, in_vain }: &DueChange) {
        if *in_vain {
            warn!(%session, "changes roles or databases though not all sessions have logged in that had on \
                the source by then: the target does not answer them, or earlier statements run for \
                long. Sessions may get the settings of after it");
        }
        let mut put_off = 0;
        for entry in self.others_altered(*session, &change.logins) {
            let mut state = entry.cell.inbox();
            put_off += usize::from(state.is_log_in_put_off());
            if change.logins.prevents {
                state.keep_log_in();
            }
        }
        if put_off > 0 && !std::mem::replace(&mut self.warned_of_put_off, true) {
            warn!(
                sessions = put_off,
                "roles or databases change, and there are no connections for sessions that had \
                logged in before: these get the settings of later, or may find their role or database \
                gone: raise --max-sessions (told once)"
            );
        }
        if let Some(entry) = self.sessions.get(session) {
            entry.address.do_send(Turn::Change(change.seq));
        }
    }

    /// The other sessions whose log-ins a session's statement alters.
    fn others_altered(
        &self,
        session: SessionId,
        logins: &AlteredLogins,
    ) -> impl Iterator<Item = &Entry> {
        let others = self.sessions.iter().filter(move |(other, _)| **other != session);
        let others = others.map(|(_, entry)| entry);
        others.filter(|entry| logins.has(&entry.login.user, &entry.login.database))
    }
}

impl Entry {
    pub(super) fn blocker(&self) -> Blocker {
        self.cell.inbox().login_blocker()
    }

    /// Whether a change of log-ins has to wait for this session.
    pub(super) fn holds_up(&self, change: &Change) -> bool {
        self.cell.inbox().holds_up(change)
    }
}

impl Handler<AskLogIn> for Supervisor {
    type Result = ();

    fn handle(&mut self, AskLogIn { session, refused }: AskLogIn, _: &mut Self::Context) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let log_in = entry.cell.inbox().log_in();
        match log_in {
            Some(log_in) => self.log_ins.ask(session, log_in, refused),
            // It is over.
            None => return entry.address.do_send(Turn::LogIn { is_final: false }),
        }
        self.let_log_in(false);
    }
}

impl Handler<AskChange> for Supervisor {
    type Result = ();

    fn handle(&mut self, ask: AskChange, _: &mut Self::Context) {
        let AskChange { session, seq, logins } = ask;
        let Some(asking) = self.sessions.get(&session) else { return };
        let in_order = self.settings.sessions.takes_turns;
        let behind_statements = !in_order && !asking.cell.inbox().in_transaction();
        for entry in self.others_altered(session, &logins) {
            if entry.cell.inbox().await_log_in(seq, logins.prevents) {
                entry.address.do_send(Wake);
            }
        }
        self.log_ins.ask_change(session, Change { seq, logins, behind_statements });
        self.let_log_in(false);
    }
}

impl Handler<VacateDatabase> for Supervisor {
    type Result = ();

    fn handle(&mut self, vacate: VacateDatabase, _: &mut Self::Context) {
        self.deps.vacated.announce(&vacate.database);
        self.deps.sequencer.do_send(vacate.clone());
        let VacateDatabase { database, session, succeeded } = vacate;
        for (other, entry) in &mut self.sessions {
            // Whoever has something to do keeps its connection, and gets it done.
            if *other == session || entry.login.database != database || entry.cell.inbox().is_busy()
            {
                continue;
            }
            if succeeded {
                // As if its source had ended it: the record that says so is lost, or comes late.
                entry.cell.inbox().close(Closing::Source(None));
                entry.address.do_send(Wake);
            } else {
                entry.given_up = true;
                entry.address.do_send(Turn::GiveUp);
            }
        }
    }
}

impl Handler<StatementsEnded> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: StatementsEnded, _: &mut Self::Context) {
        self.let_log_in(false);
    }
}
