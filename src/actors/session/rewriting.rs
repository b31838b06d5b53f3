//! Statements that name something of the source's server: a backend, an exported snapshot.

use std::sync::Arc;

use tracing::info;

use super::SessionActor;
use crate::metrics;
use crate::pglog::SqlState;
use crate::pglog::statement::{SourceEnd, Statement};
use crate::postgres::ResultRow;
use crate::replay::account::ledger::Skipped;
use crate::replay::session::snapshots::Rewritten;
use crate::replay::session::{is_want_of_snapshot, snapshot_is_gone};
use crate::replay::work::Work;
use crate::sql::Outline;

/// What is sent of a statement.
pub(super) enum Outgoing {
    /// Its own text.
    Own,
    /// Its text with what stands on the target for what it names.
    Rewritten(String),
    /// Nothing: on the target there is no such thing.
    Withheld(Skipped),
}

impl SessionActor {
    pub(super) fn outgoing(&self, work: &Work) -> Outgoing {
        let outline = &work.statement.outline;
        if !outline.signals_backend && !outline.imports_snapshot {
            return Outgoing::Own;
        }
        let mut text = work.statement.sql.to_string();
        if outline.signals_backend {
            match self.around.backends.rewrite_backend_pids(&text) {
                Some(rewritten) => text = rewritten,
                None => return Outgoing::Withheld(Skipped::UnknownPid),
            }
        }
        // What failed on the source for want of the snapshot does so here.
        let code = match work.end().source {
            SourceEnd::Failed(code) => Some(code),
            _ => None,
        };
        if outline.imports_snapshot && !code.is_some_and(is_want_of_snapshot) {
            let Rewritten { sql, left_out } =
                self.around.snapshots.rewrite(&text, &Outline::of(&text));
            if left_out > 0 && code.is_some() {
                return Outgoing::Rewritten(text);
            }
            if left_out > 0 {
                metrics::unknown_snapshots(left_out);
                info!(session = %self.id, "a SET TRANSACTION SNAPSHOT is left out, and its transaction \
                    sees what the target holds: the log has no export of that snapshot, or its \
                    exporter's transaction is over on the target");
            }
            if left_out > 0 && outline.parts.len() == 1 {
                return Outgoing::Withheld(Skipped::UnknownSnapshot);
            }
            text = sql;
        }
        Outgoing::Rewritten(text)
    }

    /// Whether the answer is still to come that stands for a withheld statement's.
    pub(super) fn withholds(&self) -> bool {
        self.withheld.is_some() && self.connection.as_ref().is_some_and(|it| it.unanswered() > 0)
    }

    /// Notes the snapshots whose identifiers an answer holds.
    pub(super) fn note_exports(&self, rows: &[ResultRow]) {
        let running = self.state().running().cloned();
        let Some(by) = running.and_then(|work| work.statement.exporter) else { return };
        let values = rows.iter().flatten().filter_map(Option::as_deref);
        self.around.snapshots.export(self.id, by, values);
    }

    /// A statement has failed. If that is for want of a snapshot, it is run again without.
    pub(super) fn note_failure(&self, code: SqlState) {
        let Some(work) = self.state().running().cloned() else { return };
        if snapshot_is_gone(&work, work.end().source, code) {
            let Statement { sql, outline, .. } = &work.statement;
            self.around.snapshots.forget_imports_of(sql, outline);
        }
    }

    /// Statements are settled: what their transactions exported is gone.
    pub(super) fn end_exports(&self, settled: &[Arc<Work>]) {
        for by in settled.iter().filter_map(|work| work.statement.exporter) {
            self.around.snapshots.end(by);
        }
    }

    /// Whether the session has exported a snapshot that a statement is still to see, which was read
    /// before the session's end. It is told when that may have changed.
    pub(super) fn stays_for_its_snapshots(&self) -> bool {
        let waker = self.listener.as_ref();
        waker.is_some_and(|waker| self.around.snapshots.is_awaited(self.id, waker))
    }
}
