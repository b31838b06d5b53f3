//! What a session actor does about its statements that change what log-ins find.

use super::SessionActor;
use crate::actors::messages::{AskChange, VacateDatabase};
use crate::replay::session::Vacated;
use crate::replay::work::{Seq, Work};

impl SessionActor {
    /// Asks whether its next statement may change log-ins: those before it come first.
    pub(super) fn ask_change(&self, seq: Seq) {
        let altered = self.session().altered_logins(seq);
        if let Some(logins) = altered {
            self.deps.changes.do_send(AskChange { session: self.id, seq, logins });
        }
    }

    /// Sessions whose end the log does not tell must not be in the way. The server waits some seconds
    /// for them.
    pub(super) fn vacate_database(&self, work: &Work) {
        if let Some(Vacated { database, succeeded }) = Vacated::by(work) {
            self.deps.vacate.do_send(VacateDatabase { database, session: self.id, succeeded });
        }
    }
}
