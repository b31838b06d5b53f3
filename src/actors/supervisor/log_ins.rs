//! When sessions may log in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use actix::prelude::*;

use super::{Entry, Supervisor};
use crate::actors::messages::{AskLogIn, StatementsEnded, Turn, VacateDatabase};
use crate::replay::logins::{Blocker, Due};
use crate::replay::work::Work;

/// Whether log-ins have to be asked for, and whether some wait. Read by every session after every
/// statement; so long as nothing changes what log-ins find, nobody is told anything.
#[derive(Debug, Clone, Default)]
pub struct LogInGate {
    is_guarded: Arc<AtomicBool>,
    has_waiting: Arc<AtomicBool>,
}

impl LogInGate {
    /// Whether a statement that has been read may change what a log-in finds.
    pub fn is_guarded(&self) -> bool {
        self.is_guarded.load(Ordering::Relaxed)
    }

    /// Whether a log-in waits for statements.
    pub fn has_waiting(&self) -> bool {
        self.has_waiting.load(Ordering::Relaxed)
    }
}

impl Supervisor {
    /// Before the session gets the statement, and before any log-in that comes behind it.
    pub(super) fn note_login_change(&mut self, work: &Work) {
        self.log_ins.note_change(work.seq, work.session);
        if let Some(around) = &self.around {
            around.log_in_gate.is_guarded.store(true, Ordering::Relaxed);
        }
    }

    /// Lets sessions log in that need not wait any longer; with `retry` also those that were refused.
    pub(super) fn let_log_in(&mut self, retry: bool) {
        if !self.log_ins.has_waiting() {
            return;
        }
        let Some(around) = &self.around else { return };
        let gate = &around.log_in_gate;
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
                entry.address.do_send(Turn::LogIn { is_final });
            }
        }
        gate.has_waiting.store(self.log_ins.has_waiting(), Ordering::Relaxed);
        gate.is_guarded.store(self.log_ins.has_changes(), Ordering::Relaxed);
    }
}

impl Entry {
    fn blocker(&self) -> Blocker {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).login_blocker()
    }
}

impl Handler<AskLogIn> for Supervisor {
    type Result = ();

    fn handle(&mut self, AskLogIn { session, refused }: AskLogIn, _: &mut Self::Context) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let log_in = entry.state.lock().unwrap_or_else(PoisonError::into_inner).log_in();
        match log_in {
            Some(log_in) => self.log_ins.ask(session, log_in, refused),
            // It is over.
            None => return entry.address.do_send(Turn::LogIn { is_final: false }),
        }
        self.let_log_in(false);
    }
}

impl Handler<VacateDatabase> for Supervisor {
    type Result = ();

    fn handle(&mut self, vacate: VacateDatabase, _: &mut Self::Context) {
        let VacateDatabase { database, session } = vacate;
        for (other, entry) in &mut self.sessions {
            // Whoever has something to do keeps its connection, and gets it done.
            if *other != session && entry.login.database == database {
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
