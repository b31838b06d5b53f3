//! How far a replay is and how fast it goes, in numbers and in the words of the status line and the
//! progress bar.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::display::{bytes, clock, grouped, rate};
use crate::label::Label as _;
use crate::replay::account::bottleneck::Bound;

/// How far a partition of a topic is, in offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PartitionProgress {
    /// Its number.
    pub partition: i32,
    /// The offset that is read next.
    pub position: i64,
    /// The offset that a restart continues from, where one was committed.
    pub committed: Option<i64>,
    /// The oldest offset that the partition holds.
    pub low_watermark: i64,
    /// One past the newest offset that can be read (in an open transaction: none), as of the last
    /// second or so.
    pub high_watermark: i64,
    /// The first offset that was read.
    #[serde(skip)]
    pub start: i64,
    /// Where a replay up to the end stops.
    #[serde(skip)]
    pub end: Option<i64>,
}

impl PartitionProgress {
    /// How many records have not been read.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.high_watermark - self.position).unwrap_or(0)
    }

    /// How many records have been read of how many, where there is an end.
    pub fn extent(&self) -> Option<(u64, u64)> {
        let from_start = |offset: i64| u64::try_from(offset - self.start).unwrap_or(0);
        let end = self.end?;
        Some((from_start(self.position.min(end)), from_start(end)))
    }
}

/// A replay at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// How long after the start.
    pub at: Duration,
    /// Records read.
    pub consumed: u64,
    /// Records that have met their fate.
    pub settled: u64,
    /// Statements that ran.
    pub statements: u64,
    /// Statements that failed on the target alone.
    pub new_errors: u64,
    /// How much there is to read, where that is known: the replay has an end.
    pub extent: Option<Extent>,
    /// Records in the topic that have not been read.
    pub lag: Option<u64>,
    /// How long ago the source logged what was replayed last.
    pub behind: Option<Duration>,
    /// Sessions, with a connection or without.
    pub sessions: usize,
    /// Connections to the target.
    pub connections: usize,
    /// Statements handed to sessions and not finished.
    pub in_flight: usize,
    /// Who is the bottleneck, and for how much of the last minute.
    pub bound: Option<(Bound, f64)>,
}

/// How much there is to read, and how much of it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What is counted.
    pub unit: Unit,
    /// Read so far.
    pub read: u64,
    /// All there is.
    pub total: u64,
}

/// What the extent of a source is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Files: what they hold is known before they are read.
    Bytes,
    /// A topic, up to where it ended at the start.
    Records,
}

/// How much of what there is has been replayed, and not only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// What is counted.
    pub unit: Unit,
    /// Replayed so far.
    pub done: u64,
    /// All there is.
    pub total: u64,
}

impl Done {
    fn left(self) -> u64 {
        self.total - self.done
    }
}

impl Sample {
    /// How much has been replayed of what has an end. What was read ahead is not done: of the part
    /// that was read, so much is as there are records settled among those read.
    pub fn done(&self) -> Option<Done> {
        let Extent { unit, read, total } = self.extent?;
        let read = read.min(total);
        let done = match self.consumed {
            0 => read,
            consumed => {
                let settled = u128::from(self.settled.min(consumed));
                let done = u128::from(read) * settled / u128::from(consumed);
                u64::try_from(done).unwrap_or(read)
            }
        };
        Some(Done { unit, done, total })
    }

    /// The status line: what has come since `before`, and how things stand.
    pub fn status(&self, before: &Self) -> String {
        let mut line = String::new();
        if let Some(Done { done, total, .. }) = self.done() {
            let percent = done.saturating_mul(100) / total.max(1);
            let _ = write!(line, "{percent} % done, ");
        }
        let _ = write!(line, "{} statements/s", rate(self.statement_rate(before)));
        if let Some(lag) = self.lag {
            let _ = write!(line, ", lag {} records", grouped(lag));
        }
        if let Some(behind) = self.behind {
            match behind.as_secs_f64() {
                seconds if seconds < 60.0 => {
                    let _ = write!(line, ", {seconds:.1} s behind the source");
                }
                _ => {
                    let _ = write!(line, ", {} behind the source", clock(behind));
                }
            }
        }
        let fresh = self.new_errors.saturating_sub(before.new_errors);
        let _ = match fresh {
            0 => write!(line, ", no new errors"),
            1 => write!(line, ", 1 new error"),
            fresh => write!(line, ", {} new errors", grouped(fresh)),
        };
        if self.new_errors > fresh {
            let _ = write!(line, " ({} in all)", grouped(self.new_errors));
        }
        let _ = write!(
            line,
            ", {} sessions on {} connections, {} statements in flight",
            grouped(self.sessions as u64),
            grouped(self.connections as u64),
            grouped(self.in_flight as u64),
        );
        if let Some((bound, share)) = self.bound {
            let who = match bound {
                Bound::Kreplay => "kreplay itself".to_owned(),
                other => format!("the {}", other.label()),
            };
            let _ = write!(line, ", bound by {who} ({:.0} %)", share * 100.0);
        }
        line
    }

    /// Statements a second since `before`.
    pub fn statement_rate(&self, before: &Self) -> f64 {
        per_second(self.statements.saturating_sub(before.statements), self.since(before))
    }

    fn since(&self, before: &Self) -> Duration {
        self.at.saturating_sub(before.at)
    }
}

/// The last moments of a replay, from which its speed is told.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<Sample>);

/// A rate is that of so long: shorter jumps about, longer is stale.
const RECENT: Duration = Duration::from_secs(15);
/// Nothing is foretold from less than this.
const LEAST: Duration = Duration::from_secs(1);

impl Recent {
    /// Notes where the replay is now.
    pub fn push(&mut self, sample: Sample) {
        let since = sample.at.saturating_sub(RECENT);
        self.0.push_back(sample);
        // The last one that is old enough stays, so that the span is never less than asked for.
        while self.0.get(1).is_some_and(|second| second.at <= since) {
            self.0.pop_front();
        }
    }

    /// How much has been replayed of what has an end.
    pub fn done(&self) -> Option<Done> {
        self.0.back()?.done()
    }

    /// How long what is left takes at the present rate, where that can be told.
    pub fn time_left(&self) -> Option<Duration> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let (before, now) = (first.done()?, last.done()?);
        let elapsed = last.since(first);
        if elapsed < LEAST {
            return None;
        }
        let rate = per_second(now.done.saturating_sub(before.done), elapsed);
        Duration::try_from_secs_f64(now.left() as f64 / rate).ok()
    }

    /// What stands beside the progress bar: how far, how fast, how long.
    pub fn progress_message(&self) -> String {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return String::new();
        };
        let mut words = match last.done() {
            Some(done @ Done { unit: Unit::Bytes, total, .. }) => {
                format!("{} of {}, ", bytes(done.done), bytes(total))
            }
            Some(done) => format!("lag {} records, ", grouped(done.left())),
            None => String::new(),
        };
        let _ = write!(words, "{} statements/s, ", rate(last.statement_rate(first)));
        let _ = match last.new_errors {
            0 => Ok(()),
            1 => write!(words, "1 new error, "),
            errors => write!(words, "{} new errors, ", grouped(errors)),
        };
        match self.time_left() {
            Some(left) => words + "ETA " + &clock(left),
            None => words + "ETA unknown",
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

#[cfg(test)]
mod tests;
