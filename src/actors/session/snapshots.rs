//! Snapshots that a session's statements export, or are to see.

use std::sync::Arc;

use super::SessionActor;
use crate::pglog::SqlState;
use crate::pglog::statement::Statement;
use crate::replay::session::request::ResultRow;
use crate::replay::session::snapshot_is_gone;
use crate::replay::work::Work;

impl SessionActor {
    /// Notes the snapshots whose identifiers an answer holds.
    pub(super) fn note_exports(&self, rows: &[ResultRow]) {
        let running = self.session().running().cloned();
        let Some(by) = running.and_then(|work| work.statement.exporter) else { return };
        let values = rows.iter().flatten().filter_map(Option::as_deref);
        self.deps.snapshots.export(self.id, by, values);
    }

    /// A statement has failed. If that is for want of a snapshot, it is run again without.
    pub(super) fn note_failure(&self, code: SqlState) {
        let Some(work) = self.session().running().cloned() else { return };
        if snapshot_is_gone(&work, work.end().source, code) {
            let Statement { sql, outline, .. } = &work.statement;
            self.deps.snapshots.forget_imports_of(sql, outline);
        }
    }

    /// Statements are settled: what their transactions exported is gone.
    pub(super) fn end_exports(&self, settled: &[Arc<Work>]) {
        for by in settled.iter().filter_map(|work| work.statement.exporter) {
            self.deps.snapshots.end(by);
        }
    }

    /// Whether the session has exported a snapshot that a statement is still to see, which was read
    /// before the session's end. It is told when that may have changed.
    pub(super) fn stays_for_its_snapshots(&self) -> bool {
        let waker = self.listener.as_ref();
        waker.is_some_and(|waker| self.deps.snapshots.is_awaited(self.id, waker))
    }
}
