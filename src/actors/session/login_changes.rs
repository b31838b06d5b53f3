//! What a session actor does about its statements that change what log-ins find.

use super::SessionActor;
use crate::actors::messages::{AskChange, VacateDatabase};
use crate::pglog::statement::SourceEnd;
use crate::replay::work::{Seq, Work};
use crate::sql::{altered_logins, vacated_database};

impl SessionActor {
    /// Asks whether its next statement may change log-ins: those before it come first.
    pub(super) fn ask_change(&self, seq: Seq) {
        let logins = match self.session().head() {
            Some(work) if work.seq == seq => altered_logins(&work.statement.sql),
            _ => return,
        };
        self.deps.changes.do_send(AskChange { session: self.id, seq, logins });
    }

    /// Sessions whose end the log does not tell must not be in the way. The server waits some seconds
    /// for them.
    pub(super) fn vacate_database(&self, work: &Work) {
        let source = work.end().source;
        if work.statement.outline.alters_logins
            && !matches!(source, SourceEnd::Failed(_))
            && let Some(database) = vacated_database(&work.statement.sql)
        {
            let succeeded = source == SourceEnd::Succeeded;
            self.deps.vacate.do_send(VacateDatabase { database, session: self.id, succeeded });
        }
    }
}
