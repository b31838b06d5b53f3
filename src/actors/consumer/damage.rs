//! What is wrong with the input: records that can't be read, files that are not one log.

use tracing::warn;

use super::Consumer;
use crate::pglog::{LogRecord, Malformed, RecordKind};
use crate::replay::account::ledger::Fate;
use crate::replay::intake::file_order::OutOfOrder;
use crate::replay::intake::lines::Line;
use crate::replay::work::Position;
use crate::source::files::FileError;

impl Consumer {
    /// A payload that holds no record.
    pub(super) fn unreadable(&mut self, at: Position, malformed: &Malformed, payload: &[u8]) {
        let fate = Fate::of_unreadable(malformed);
        if let Fate::Rejected(reason) = fate {
            self.reject(at, reason, malformed, payload);
        }
        self.records.read(RecordKind::Unreadable);
        self.intake.pass(at);
        self.tally().records.settle(fate);
        // Of a topic the next record may come from elsewhere; of a file all others are alike.
        let of_all =
            matches!(malformed, Malformed::ColumnOrder { .. } | Malformed::Delimiter { .. });
        if of_all && self.committer.is_none() {
            let (place, malformed) = (self.names.place(at), malformed.clone());
            self.failed(FileError::Columns { place, malformed }.into());
        }
    }

    fn reject(&mut self, at: Position, reason: &'static str, error: &Malformed, payload: &[u8]) {
        if let Some(count) = self.should_log(reason) {
            let place = self.names.place(at);
            let remedy = error.remedy().unwrap_or("none known");
            warn!(reason, count, remedy, "rejected a record ({place}): {error}");
        }
        if let Some(dead_letters) = &mut self.dead_letters {
            let error = error.to_string();
            dead_letters.put(at.partition, at.offset, at.line, reason, &error, payload);
        }
    }

    /// Ends a replay of files that turn out not to be in order, instead of taking half of a session for
    /// repeats of the other half.
    pub(super) fn watch_files(
        &mut self,
        at: Position,
        record: &LogRecord<'_>,
        line: Line,
        read_in: Option<i32>,
    ) {
        let index = |partition: i32| usize::try_from(partition).unwrap_or_default();
        let read_in = read_in.map(index);
        let found = self.file_watch.see(index(at.partition), record, line, read_in);
        if let Some(OutOfOrder { first, second, why }) = found {
            let name = |index| self.names.file(index).to_owned();
            let (first, second) = (name(first), name(second));
            self.failed(FileError::OutOfOrder { first, second, why }.into());
        }
    }
}
