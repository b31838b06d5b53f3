//! Whether the replay is at the source's pace.
//!
//! A call that runs later on the target than on the source, by as much as all others, runs among the same
//! neighbours. What counts is how this delay changes: where it falls, the replay catches up, and more
//! runs at a time than on the source; where it rises or jumps, something holds the replay up. How large it
//! is does not matter: a live replay may be an hour behind, and be at pace.
//!
//! The delay goes from when the call ended on the source to when it began on the target, as a live
//! replay can't begin before the record is written. Where `--speed` makes a schedule, it goes from when
//! the call began on the source.
//!
//! Looked at is the least delay of each quarter of a second, for ten seconds.

use std::time::Duration;

use crate::replay::pace::micros;

/// How long a bucket is, in microseconds.
const BUCKET: i64 = 250_000;
/// So many buckets are remembered.
const REMEMBERED: i64 = 40;
/// So many of the newest ones make what is recent.
const RECENT: i64 = 4;
/// By how much the least delays of all that is remembered may differ: 5 % of ten seconds, as where the
/// speed is between 0.95 and 1.05 of the source's.
const DRIFT: i64 = 500_000;
/// How much later than the least most calls may begin, beside what they are held back for the next record:
/// in a stream that comes in batches it is more.
const LATE: Duration = Duration::from_millis(50);
/// The same where there is a schedule, which makes no batches. Sessions come late when the target takes
/// longer than the source, and that is what has to be told.
const LATE_ON_SCHEDULE: Duration = Duration::from_millis(500);
/// How much later one call may begin: the one before it in its session may have taken longer than on the
/// source, which says nothing of what runs beside it.
const LATER: i64 = 1_000_000;

/// What tells whether calls are at pace.
#[derive(Debug, Clone)]
pub(super) struct PaceWatch {
    /// How much later than the least a call begins in time, in microseconds.
    late: i64,
    newest: Option<Bucket>,
    /// Those before the newest, the oldest first.
    before: Vec<Bucket>,
    /// Of those.
    past: Past,
}

/// What began within a quarter of a second.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    number: i64,
    /// The delay of its first call.
    first: i64,
    least: i64,
    calls: u32,
    /// Calls whose delay is near the least.
    in_time: u32,
}

/// What is looked at of the buckets before the newest.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// The least of their delays, and the largest of their least delays.
    least: i64,
    most: i64,
    /// The same of the recent ones, and their calls.
    least_recent: i64,
    most_recent: i64,
    calls: u32,
    in_time: u32,
}

impl Default for Past {
    fn default() -> Self {
        let (least, most) = (i64::MAX, i64::MIN);
        Self { least, most, least_recent: least, most_recent: most, calls: 0, in_time: 0 }
    }
}

impl Past {
    fn of(buckets: &[Bucket], newest: i64) -> Self {
        let mut past = Self::default();
        for bucket in buckets {
            past.least = past.least.min(bucket.least);
            past.most = past.most.max(bucket.least);
            if bucket.number >= newest - RECENT {
                past.least_recent = past.least_recent.min(bucket.least);
                past.most_recent = past.most_recent.max(bucket.least);
                past.calls = past.calls.saturating_add(bucket.calls);
                past.in_time = past.in_time.saturating_add(bucket.in_time);
            }
        }
        past
    }
}

impl PaceWatch {
    /// A watch over a replay that may hold back a statement for so long, waiting for its session's next
    /// record.
    pub(super) fn of_stream(lookahead: Duration) -> Self {
        Self::new(LATE.saturating_add(lookahead))
    }

    /// A watch over a replay whose statements are due by a schedule.
    pub(super) fn of_schedule() -> Self {
        Self::new(LATE_ON_SCHEDULE)
    }

    fn new(late: Duration) -> Self {
        Self { late: micros(late), newest: None, before: Vec::new(), past: Past::default() }
    }

    /// Whether a call is at pace that began then on the target, since the replay began, and then on the
    /// source (or ended there), in Unix microseconds.
    pub(super) fn is_at_pace(&mut self, on_target: Duration, on_source: i64) -> bool {
        let began = micros(on_target);
        let delay = began.saturating_sub(on_source);
        let number = began / BUCKET;
        let fresh = Bucket { number, first: delay, least: delay, calls: 0, in_time: 0 };
        let newest = self.newest.get_or_insert(fresh);
        if number > newest.number {
            self.before.push(std::mem::replace(newest, fresh));
            self.before.retain(|bucket| bucket.number > number - REMEMBERED);
            self.past = Past::of(&self.before, number);
        }
        // What took long began in another one.
        let counts = number >= newest.number;
        if counts {
            newest.least = newest.least.min(delay);
        }
        let least_recent = newest.least.min(self.past.least_recent);
        let in_time = delay.saturating_sub(least_recent) <= self.late;
        if counts {
            newest.calls = newest.calls.saturating_add(1);
            newest.in_time = newest.in_time.saturating_add(u32::from(in_time));
        }
        delay.saturating_sub(least_recent) <= LATER.max(self.late) && self.is_steady()
    }

    /// Whether the least delays hardly differ, and most calls keep to them.
    fn is_steady(&self) -> bool {
        let (Some(newest), past) = (&self.newest, &self.past) else { return false };
        let spread =
            |least: i64, most: i64| most.max(newest.least).saturating_sub(least.min(newest.least));
        let drifts = spread(past.least, past.most) > DRIFT;
        let moves = spread(past.least_recent, past.most_recent) > self.late;
        // At the start, and after a pause, nothing is known but the fall since the first call.
        let falls = past.calls == 0 && spread(newest.first, newest.first) > self.late;
        let calls = past.calls.saturating_add(newest.calls);
        let in_time = past.in_time.saturating_add(newest.in_time);
        !drifts && !moves && !falls && in_time >= calls.div_ceil(2)
    }
}

#[cfg(test)]
mod tests;
