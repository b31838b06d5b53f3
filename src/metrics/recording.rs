//! The functions that record what happens.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::{
    BOTTLENECK_RATIO, CONNECTED, CONNECTION_WAIT_SECONDS, CONSUMER_COMMITTED_OFFSET,
    CONSUMER_HIGH_WATERMARK, CONSUMER_LAG, CONSUMER_LOW_WATERMARK, CONSUMER_POSITION,
    DEPENDENCY_CYCLES_BROKEN, EVICTIONS, Eviction, FOOTPRINT_FALLBACKS, HTTP_REFUSED, HttpRefusal,
    IN_FLIGHT_LIMIT_OVERRIDES, MERGED_LATE, REPLAY_LAG_SECONDS, SEQUENCE_GAPS, SESSIONS,
    SESSIONS_CLOSED, SESSIONS_JOINED_MIDWAY, STALLED, STALLS_BROKEN, SessionEnd, SessionState,
    Side, TARGET_CONFLICTS_RETRIED, TYPE_GUESSES, UNKNOWN_DRAWS, WAITED_SECONDS,
};
use crate::label::Label as _;
use crate::pglog::SqlState;
use crate::replay::account::bottleneck::{Bound, Shares};
use crate::replay::account::progress::PartitionProgress;
use crate::replay::feed::FeedCounts;
use crate::replay::order::footprint::Widening;
use crate::replay::order::stalls::StallBreak;
use crate::replay::session::waits::Waits;

/// Shows where a partition stands.
pub fn partition(at: &PartitionProgress) {
    let label = at.partition.to_string();
    let numbers = [
        (CONSUMER_POSITION, Some(at.position)),
        (CONSUMER_COMMITTED_OFFSET, at.committed),
        (CONSUMER_LOW_WATERMARK, Some(at.low_watermark)),
        (CONSUMER_HIGH_WATERMARK, Some(at.high_watermark)),
        (CONSUMER_LAG, i64::try_from(at.lag()).ok()),
    ];
    for (metric, number) in numbers {
        if let Some(number) = number {
            gauge!(metric.name, "partition" => label.clone()).set(number as f64);
        }
    }
}

/// Shows that this process no longer reads a partition: its lag is another's to tell, and a stale
/// one would raise alarms for ever.
pub fn partition_revoked(partition: i32) {
    gauge!(CONSUMER_LAG.name, "partition" => partition.to_string()).set(0.0);
}

/// Shows how many sessions are in this state.
pub fn sessions(state: SessionState, sessions: usize) {
    gauge!(SESSIONS.name, "state" => state.label()).set(sessions as f64);
}

/// Notes how long a session with something to do waited until it might connect.
pub fn connection_waited(waited: Duration) {
    histogram!(CONNECTION_WAIT_SECONDS.name).record(waited.as_secs_f64());
}

/// Counts a connection that was taken from one session for another.
pub fn evicted(how: Eviction) {
    counter!(EVICTIONS.name, "reason" => how.label()).increment(1);
}

/// Shows how far the replay is behind the source.
pub fn replay_lag(by: Duration) {
    gauge!(REPLAY_LAG_SECONDS.name).set(by.as_secs_f64());
}

/// Shows whether the source or the target can be reached.
pub fn connected(side: Side, is_connected: bool) {
    gauge!(CONNECTED.name, "side" => side.label()).set(f64::from(u8::from(is_connected)));
}

/// Counts an HTTP request that was refused.
pub fn http_refused(why: HttpRefusal) {
    counter!(HTTP_REFUSED.name, "reason" => why.label()).increment(1);
}

/// Counts a statement that was freed from waiting for a lock.
pub fn stall_broken(how: StallBreak) {
    counter!(STALLS_BROKEN.name, "reason" => how.label()).increment(1);
}

/// Shows whether nothing goes on, and that is neither the target's nor the input's doing.
pub fn stalled(is_stalled: bool) {
    gauge!(STALLED.name).set(f64::from(u8::from(is_stalled)));
}

/// Counts a transaction that is run again since the target alone failed it for a conflict.
pub fn target_conflict_retried(code: SqlState) {
    counter!(TARGET_CONFLICTS_RETRIED.name, "sqlstate" => code.to_string()).increment(1);
}

/// How often footprints were widened for this reason so far.
pub fn footprint_fallbacks(why: Widening, so_far: u64) {
    let (scope, reason) = (why.extent().label(), why.label());
    counter!(FOOTPRINT_FALLBACKS.name, "scope" => scope, "reason" => reason).absolute(so_far);
}

/// How many waits the conflict order left out so far.
pub fn dependency_cycles_broken(so_far: u64) {
    counter!(DEPENDENCY_CYCLES_BROKEN.name).absolute(so_far);
}

/// Counts what the input and its account have brought.
pub fn fed(counts: &FeedCounts) {
    let FeedCounts {
        records: _,
        joined_midway,
        sequence_gaps,
        merged_late,
        types_guessed,
        unknown_draws,
        limit_overrides,
    } = *counts;
    let numbers = [
        (SESSIONS_JOINED_MIDWAY, joined_midway),
        (SEQUENCE_GAPS, sequence_gaps),
        (MERGED_LATE, merged_late),
        (TYPE_GUESSES, types_guessed),
        (UNKNOWN_DRAWS, unknown_draws),
        (IN_FLIGHT_LIMIT_OVERRIDES, limit_overrides),
    ];
    for (metric, count) in numbers.into_iter().filter(|(_, count)| *count > 0) {
        counter!(metric.name).increment(count);
    }
}

/// Counts a session that ended.
pub fn session_closed(why: SessionEnd) {
    counter!(SESSIONS_CLOSED.name, "reason" => why.label()).increment(1);
}

/// Adds what statements have waited for since the last time.
pub fn waited(waits: &Waits) {
    for (wait, time) in waits.iter().filter(|(_, time)| !time.is_zero()) {
        gauge!(WAITED_SECONDS.name, "reason" => wait.label()).increment(time.as_secs_f64());
    }
}

/// Shows who the last minute was bound by.
pub fn bottleneck(shares: Shares) {
    for (bound, share) in Bound::ALL.iter().zip(shares) {
        gauge!(BOTTLENECK_RATIO.name, "by" => bound.label()).set(share);
    }
}
