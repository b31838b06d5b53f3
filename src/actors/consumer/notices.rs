//! What is logged of the input and its outcome.

use tracing::{debug, info, warn};

use super::Consumer;
use crate::label::Label as _;
use crate::metrics;
use crate::pglog::statement::SourceEnd;
use crate::replay::account::policy::Outcome;
use crate::replay::feed::Notice;
use crate::replay::intake::merge::Basis;
use crate::replay::order::stall_watch::ReportedStall;
use crate::replay::report::StallReport;
use crate::replay::session::Ended;
use crate::replay::work::Work;
use crate::source::Gap;
use crate::sql::shape::Shape;

/// How much of a query shape is shown, in bytes.
const SHAPE_SHOWN: usize = 200;

impl Consumer {
    pub(super) fn log(&self, notice: Notice) {
        match notice {
            Notice::AmbiguousZone => warn!(
                "the source logs times with a zone abbreviation, which is ambiguous, and they are \
                 read as UTC: set log_timezone = 'UTC' on the source"
            ),
            Notice::RecordsMissing { session, missing, before, count } => {
                let place = self.names.place(before);
                warn!(%session, missing, count, "records of a session are missing before {place}, and \
                    what they did is missing on the target: the shipper lost them, or the topic \
                    dropped them (retention.ms)");
            }
            Notice::Rejected { at, malformed, reason, count } => {
                let place = self.names.place(at);
                let remedy = malformed.remedy().unwrap_or("none known");
                warn!(reason, count, remedy, "rejected a record ({place}): {malformed}");
            }
            Notice::StartLogging { at } => {
                let place = self.names.place(at);
                warn!(
                    "the log tells when statements started (log_statement), not when they ended ({place}): \
                    the order between sessions that touch the same rows is often wrong in it, and their \
                    data may come to differ; set log_min_duration_statement = 0 and log_statement = 'none' \
                    on the source"
                );
            }
            Notice::Silence { silence, before } => {
                let place = self.names.place(before);
                info!(
                    ?silence,
                    "nothing is due for so long before a statement ({place}): --speed waits"
                );
            }
            Notice::MergeBasis { basis, partitions } => log_basis(basis, partitions),
            Notice::UnknownDraws(work) => warn!(
                session = %work.session,
                shape = Shape::shown(&work.statement.sql, SHAPE_SHOWN),
                "a statement that failed on the source may have drawn from sequences there ({}): how \
                 often is not in the log, and numbers drawn later may differ; set the sequences right \
                 by setval where that matters",
                self.names.place(work.at)
            ),
            Notice::Difference { work, ended, outcome, news } => {
                self.log_difference(&work, ended, outcome, news);
            }
        }
    }

    fn log_difference(&self, work: &Work, ended: Ended, outcome: Outcome, news: Option<u64>) {
        let Work { session, statement, .. } = work;
        let (source, target) = (source_sqlstate(ended), target_sqlstate(ended));
        debug!(
            %session,
            outcome = outcome.label(),
            source_sqlstate = source,
            target_sqlstate = target,
            place = self.names.place(work.at),
            sql = &*statement.sql,
            "differs"
        );
        if let Some(count) = news {
            let place = self.names.place(work.at);
            warn!(
                %session,
                outcome = outcome.label(),
                count,
                source_sqlstate = source,
                target_sqlstate = target,
                "a statement ended otherwise than on the source ({place}); --log kreplay=debug \
                 tells the SQL"
            );
        }
    }

    /// Why the replay stops at a statement.
    pub(super) fn stopping_at(&self, work: &Work, ended: Ended) -> String {
        let (session, place) = (work.session, self.names.place(work.at));
        let (source, target) = (source_sqlstate(ended), target_sqlstate(ended));
        format!(
            "session {session} ({place}): SQLSTATE {target} on the target, {source} on the source \
             (--on-error stop)"
        )
    }
}

fn source_sqlstate(ended: Ended) -> String {
    match ended.source {
        SourceEnd::Failed(code) => code.to_string(),
        _ => "success".to_owned(),
    }
}

fn target_sqlstate(ended: Ended) -> String {
    ended.target.err().map_or("success".to_owned(), |code| code.to_string())
}

fn log_basis(basis: Basis, partitions: usize) {
    match basis {
        Basis::Position => info!(
            partitions,
            "merging the partitions by the shipper's position in the log: their order is exact"
        ),
        Basis::LogTime => warn!(
            partitions,
            "merging the partitions by log_time, which is inexact: records come without the \
             shipper's position (kreplay.pos, or Filebeat's log.offset)"
        ),
        Basis::LogTimeForPositionsRestart => warn!(
            partitions,
            "merging the partitions by log_time, which is inexact: the shipper's positions go \
             back while time goes on; they have to grow from file to file, or to name files \
             that sort"
        ),
    }
}

/// Records are gone before they could be read.
pub(super) fn log_lost(gap: &Gap) {
    metrics::OFFSET_GAP_RECORDS.add(gap.lost());
    warn!(
        "records are lost, going on from the oldest there is (--on-gap continue); the topic's \
         retention has to outlast kreplay's pauses: {gap}"
    );
}

/// The replay stands still.
pub(super) fn log_stall(stall: &ReportedStall, report: &StallReport) {
    let given_up = if report.given_up.is_empty() {
        "waiting on".to_owned()
    } else {
        report.given_up.join("; ")
    };
    warn!(
        still_for = ?stall.still_for,
        chains = stall.chains,
        "the replay stands still (--stall-timeout): {}. What is done: {given_up}",
        report.in_words()
    );
}
