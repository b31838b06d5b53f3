//! Whether a statement began behind an end whose record stands behind its own, as times tell.

use crate::pglog::statement::SourceEnd;
use crate::replay::order::conflict::{Step, steps};
use crate::replay::work::Work;

/// A statement that took less than this had not waited for a lock.
///
/// By experiment (PostgreSQL 15 and 18, 8 to 32 sessions that update 5 to 500 rows, simple and
/// extended protocol, 187,000 updates): of those whose record stands before that of the COMMIT
/// behind which the row was theirs, 321 had begun behind it, 95 % of them took less than 0.09 ms
/// and all but 4 less than 0.15; 2,142 had waited for it, 93 % of them longer than that.
const SHORTEST_WAIT_MS: f64 = 0.15;

/// How far the time of a record lies behind what it says, at most: it is cut to milliseconds.
const GRAIN_MS: f64 = 1.0;

/// By how much times run backwards from record to record, at most.
const DISORDER_MS: f64 = 5.0;

/// Whether a statement that waits here for this end began behind it on the source, and had not waited
/// for it there.
///
/// Where the times leave it open, its duration decides. Where that is not logged, records stand where
/// statements began, and it had waited.
pub fn began_behind(waiter: &Work, end: &Work) -> bool {
    let Some(took) = waiter.statement.duration_ms else { return false };
    if waiter.seq > end.seq || waiter.end().source != SourceEnd::Succeeded {
        return false;
    }
    let began = logged(waiter) - took;
    let ended_from = logged(end) - end.statement.duration_ms.unwrap_or_default();
    let ended_by = logged(end) + GRAIN_MS;
    match () {
        () if began + GRAIN_MS <= ended_from => false,
        () if began >= ended_by => true,
        () => took < SHORTEST_WAIT_MS,
    }
}

/// Whether this end may have come before a statement that stands before it.
///
/// As far as the times tell, it began by the time that the statement ended. Where no duration is
/// logged, records stand where statements began, and it had not.
pub fn may_have_begun_behind(statement: &Work, end: &Work) -> bool {
    let (Some(_), Some(took)) = (statement.statement.duration_ms, end.statement.duration_ms) else {
        return false;
    };
    end.seq > statement.seq && logged(end) - took < logged(statement) + GRAIN_MS + DISORDER_MS
}

/// Whether others see more when this has ended: the changes of a transaction.
pub fn shows_more(end: &Work) -> bool {
    let shows = |step: &Step| {
        matches!(
            step,
            Step::Commit
                | Step::Chain { undone: false }
                | Step::FinishPrepared { undone: false, .. }
        )
    };
    !matches!(end.end().source, SourceEnd::Failed(_)) && steps(&end.statement).iter().any(shows)
}

fn logged(work: &Work) -> f64 {
    work.statement.logged_ms as f64
}
