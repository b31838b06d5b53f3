//! One record at a time: what it is, and what becomes of those that can't be read.

use super::{Feed, FeedAction, InputFault, InputKind, Notice, Phase, Round, SourceRecord};
use crate::pglog::{LogRecord, Malformed, RecordKind, RecordReader};
use crate::replay::account::ledger::Fate;
use crate::replay::intake::IntakeResult;
use crate::replay::intake::lines::Line;
use crate::replay::pace::Moment;
use crate::replay::work::{Position, Work};

impl Feed {
    /// Takes the next records; `caught_up`: the source has nothing more at hand.
    pub fn read<'a>(
        &mut self,
        records: impl ExactSizeIterator<Item = SourceRecord<'a>>,
        caught_up: bool,
        round: &mut Round<'_>,
    ) {
        self.caught_up = caught_up;
        round.tally.records.consume(records.len() as u64);
        if self.partitions.are_merged() {
            return self.merge(records, round.now);
        }
        let Some(mut reader) = self.reader.take() else { return };
        for SourceRecord { at, payload, .. } in records {
            self.payload(&mut reader, at, payload, round);
            if self.phase == Phase::Stopped {
                break;
            }
        }
        self.reader = Some(reader);
    }

    pub(super) fn payload(
        &mut self,
        reader: &mut RecordReader,
        at: Position,
        payload: &[u8],
        round: &mut Round<'_>,
    ) {
        match reader.read(payload) {
            Ok(record) => self.record(at, &record, round),
            Err(malformed) => self.unreadable(at, malformed, payload, round),
        }
    }

    fn record(&mut self, at: Position, record: &LogRecord<'_>, round: &mut Round<'_>) {
        let IntakeResult {
            fate,
            kind,
            line,
            read_in,
            joined,
            missing,
            session_error,
            plan,
            server_ended,
        } = self.intake.record(at, record, round.now_ms());
        self.counts.records[kind.unwrap_or(RecordKind::Excluded) as usize] += 1;
        self.counts.joined_midway += u64::from(joined);
        if !record.log_time.zone_known && self.logged.should_log("zone") == Some(1) {
            round.out.push(FeedAction::Notice(Notice::AmbiguousZone));
        }
        if let Some(line) = line.filter(|_| self.input == InputKind::Files) {
            self.watch_files(at, record, line, read_in, round);
        }
        if missing > 0 {
            self.counts.sequence_gaps += 1;
            if let Some(count) = self.logged.should_log("gap") {
                let (session, before) = (record.session, at);
                let notice = Notice::RecordsMissing { session, missing, before, count };
                round.out.push(FeedAction::Notice(notice));
            }
        }
        if let Some(code) = session_error {
            round.tally.session_ended(code);
        }
        if let Some(text) = plan {
            let logged_ms = record.log_time.unix_ms;
            round.out.push(FeedAction::KeepPlan { logged_ms, text });
        }
        if let Some(fate) = fate {
            round.tally.records.settle(fate);
        }
        if server_ended {
            self.server_ended(round);
        }
    }

    /// Ends a replay of files that turn out not to be in order, instead of taking half of a session for
    /// repeats of the other half.
    fn watch_files(
        &mut self,
        at: Position,
        record: &LogRecord<'_>,
        line: Line,
        read_in: Option<i32>,
        round: &mut Round<'_>,
    ) {
        let index = |partition: i32| usize::try_from(partition).unwrap_or_default();
        let read_in = read_in.map(index);
        if let Some(found) = self.file_watch.observe(index(at.partition), record, line, read_in) {
            self.refuse(InputFault::OutOfOrder(found), round.out);
        }
    }

    /// A payload that holds no record.
    fn unreadable(
        &mut self,
        at: Position,
        malformed: Malformed,
        payload: &[u8],
        round: &mut Round<'_>,
    ) {
        let fate = Fate::of_unreadable(&malformed);
        if let Fate::Rejected(reason) = fate {
            self.reject(at, reason, &malformed, payload, round.out);
        }
        self.counts.records[RecordKind::Unreadable as usize] += 1;
        self.intake.pass(at);
        round.tally.records.settle(fate);
        // Of a topic the next record may come from elsewhere; of a file all others are alike.
        let of_all =
            matches!(malformed, Malformed::ColumnOrder { .. } | Malformed::Delimiter { .. });
        if of_all && self.input == InputKind::Files {
            self.refuse(InputFault::Columns { at, malformed }, round.out);
        }
    }

    fn reject(
        &mut self,
        at: Position,
        reason: &'static str,
        malformed: &Malformed,
        payload: &[u8],
        out: &mut Vec<FeedAction>,
    ) {
        if let Some(count) = self.logged.should_log(reason) {
            let malformed = malformed.clone();
            out.push(FeedAction::Notice(Notice::Rejected { at, malformed, reason, count }));
        }
        if self.keeps_rejected {
            let (malformed, payload) = (malformed.clone(), payload.into());
            out.push(FeedAction::KeepRejected { at, malformed, reason, payload });
        }
    }

    // ---- Of statements that are delivered ----

    /// Reports once what a log of starts costs.
    pub(super) fn note_start_logging(&mut self, work: &Work, out: &mut Vec<FeedAction>) {
        if self.settings.order.takes_turns() && self.start_logging.shows_with(work.end().source) {
            out.push(FeedAction::Notice(Notice::StartLogging { at: work.at }));
        }
    }

    /// Reports why nothing will happen for a while, where the log's pace is kept.
    pub(super) fn note_silence(&mut self, work: &Work, round: &mut Round<'_>) {
        let Some(due) = work.due else { return };
        let before = self.newest_due.unwrap_or_else(|| Moment::after(round.now));
        let silence = due.since(before);
        if silence >= super::LONG_SILENCE && self.logged.should_log("silence").is_some() {
            let notice = Notice::Silence { silence, before: work.at };
            round.out.push(FeedAction::Notice(notice));
        }
        self.newest_due = Some(due.max(before));
    }
}
