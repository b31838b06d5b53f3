//! When statements are due, where the replay keeps the pace of the source.
//!
//! A statement that began at s on the source is due at T0 + (s − s0) / speed + D: s0 is when the
//! first one began there, T0 when it came here, and D the playout delay. Everything counts from that
//! one base, so that what one statement is late by delays no other.

use std::str::FromStr;
use std::time::Duration;

use crate::pglog::statement::Statement;

/// The pace of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How many times as fast as the source, above 0: 2 halves the pauses between statements.
    pub speed: f64,
    /// How much later than it could be every statement is due: what comes out of a live source late
    /// by no more than this is still in time.
    pub playout_delay: Duration,
}

/// How fast the log is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the order allows.
    Max,
    /// So many times as fast as the source was.
    Times(f64),
}

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            _ if text.eq_ignore_ascii_case("max") => Ok(Self::Max),
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self::Times(factor)),
            _ => Err("expected max, or a factor above 0: 1 as on the source, 2 twice as fast"),
        }
    }
}

/// A moment, in microseconds since the replay began; one that lies before is negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// So long after the replay began.
    pub fn after(beginning: Duration) -> Self {
        Self(micros(beginning))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// So long before.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

/// Says when each statement is due.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    base: Option<Base>,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    /// When the first statement began on the source, in Unix microseconds.
    began: i64,
    due: Moment,
}

impl Schedule {
    /// A schedule that begins with the first statement it is asked for.
    pub fn new(pace: Pace) -> Self {
        Self { pace, base: None }
    }

    /// When this statement is due. The first one asked for has come `now`, and is the base of all.
    pub fn due(&mut self, statement: &Statement, now: Moment) -> Moment {
        self.due_of(began(statement), now)
    }

    fn due_of(&mut self, began: i64, now: Moment) -> Moment {
        let Pace { speed, playout_delay } = self.pace;
        let first = || Base { began, due: Moment(now.0.saturating_add(micros(playout_delay))) };
        let base = *self.base.get_or_insert_with(first);
        let elapsed = began.saturating_sub(base.began) as f64 / speed;
        // The cast saturates: a source whose clock is off by ages makes no overflow here.
        Moment(base.due.0.saturating_add(elapsed.round() as i64))
    }
}

/// When a statement began on the source, in Unix microseconds: so long before its record as it ran,
/// where that is logged. Without a duration it is taken to have begun when it was logged.
pub(crate) fn began(statement: &Statement) -> i64 {
    let ran = statement.duration_ms.unwrap_or_default() * 1000.0;
    statement.logged_ms.saturating_mul(1000).saturating_sub(ran.round() as i64)
}

/// In microseconds; of what is longer than they can tell, the most.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
