//! Who the bottleneck is: how the last minute divides between the source, the order, the target and
//! kreplay itself.
//!
//! Each interval between two samples (a second, usually) is divided in this order:
//!
//! 1. **kreplay** gets it as far as its busiest thread had no pause: nothing of it up to [`IDLE`], all of
//!    it from [`SATURATED`] on, in proportion between. What runs beside a thread that is always busy,
//!    on the target or anywhere, waits to be looked at.
//! 2. Of the rest, the **source** gets the time in which no statement was in flight: all that had come
//!    was replayed.
//! 3. Of the rest, the **target** gets the share of the sessions that had a statement under way there or
//!    waited for a connection, the **order** the share of those whose next statement waited for its
//!    turn, and the **source** the share of those whose next statement was not due (`--speed`): the
//!    pace is the source's.
//! 4. Where no session was in any of these states, statements were on their way within kreplay: it gets
//!    the rest.

use std::collections::VecDeque;
use std::time::Duration;

use strum::{IntoStaticStr, VariantArray};

use crate::label::Label as _;
use crate::replay::pace::Moment;
use crate::replay::session::waits::{Wait, Waits};

/// Who is the bottleneck: label `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Bound {
    /// The source: everything that has come is replayed, or nothing more is due.
    Source,
    /// The order: sessions wait for their turns.
    Order,
    /// The target: statements run on it, or wait for connections to it.
    Target,
    /// kreplay itself.
    Kreplay,
}

/// A thread that is busy for no more of its time is never the bottleneck.
pub const IDLE: f64 = 0.5;
/// A thread that is busy for so much of its time has no pause to speak of.
pub const SATURATED: f64 = 0.9;
/// How far back the shares look.
pub const SPAN: Duration = Duration::from_secs(60);

/// How things stand at a moment; everything but the time is a sum since the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Moment,
    /// For how long each of kreplay's threads has been busy.
    pub busy: Vec<Duration>,
    /// For how long no statement has been in flight.
    pub empty: Duration,
    /// What statements have waited for.
    pub waits: Waits,
}

/// How much of the time each was the bottleneck; the sum is 1. In the order of [`Bound`].
pub type Shares = [f64; Bound::ALL.len()];

impl Bound {
    /// Who has the largest share, and how large it is.
    pub fn largest(shares: Shares) -> (Self, f64) {
        let pairs = Self::VARIANTS.iter().copied().zip(shares);
        pairs.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or((Self::Source, 1.0))
    }
}

/// Before there is anything to tell: nothing has come from the source.
pub const AT_START: Shares = [1.0, 0.0, 0.0, 0.0];

/// The samples of the last minute.
#[derive(Debug, Default)]
pub struct Bottleneck {
    last: Option<Sample>,
    /// What the intervals were bound by, and how long they were; the oldest first.
    intervals: VecDeque<(Moment, Duration, Shares)>,
}

impl Bottleneck {
    /// Takes the next sample.
    pub fn take(&mut self, sample: Sample) {
        if let Some(last) = &self.last {
            let length = sample.at.since(last.at);
            if length.is_zero() {
                return;
            }
            self.intervals.push_back((sample.at, length, divide(last, &sample, length)));
        }
        while let Some((end, ..)) = self.intervals.front()
            && sample.at.since(*end) >= SPAN
        {
            self.intervals.pop_front();
        }
        self.last = Some(sample);
    }

    /// Who the last minute was bound by; `None` before the first interval has passed.
    pub fn shares(&self) -> Option<Shares> {
        let total: f64 = self.intervals.iter().map(|(_, length, _)| length.as_secs_f64()).sum();
        if total <= 0.0 {
            return None;
        }
        let mut shares = [0.0; Bound::ALL.len()];
        for (_, length, parts) in &self.intervals {
            for (share, part) in shares.iter_mut().zip(parts) {
                *share += part * length.as_secs_f64() / total;
            }
        }
        Some(shares)
    }
}

/// What one interval was bound by.
fn divide(from: &Sample, to: &Sample, length: Duration) -> Shares {
    let length = length.as_secs_f64();
    let grown = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64();
    let busy = from.busy.iter().zip(&to.busy).map(|(&from, &to)| grown(from, to) / length);
    let busiest = busy.fold(0.0, f64::max);
    let saturated = ((busiest - IDLE) / (SATURATED - IDLE)).clamp(0.0, 1.0);
    let rest = 1.0 - saturated;
    let empty = rest * (grown(from.empty, to.empty) / length).min(1.0);
    let rest = rest - empty;
    let waited = |wait| grown(from.waits.of(wait), to.waits.of(wait));
    let target = waited(Wait::Target) + waited(Wait::Connection);
    let (order, schedule) = (waited(Wait::Order), waited(Wait::Schedule));
    let all = target + order + schedule;
    let mut shares = [0.0; Bound::ALL.len()];
    let mut give = |bound: Bound, share: f64| shares[bound as usize] += share;
    give(Bound::Kreplay, saturated);
    give(Bound::Source, empty);
    if all > 0.0 {
        give(Bound::Target, rest * target / all);
        give(Bound::Order, rest * order / all);
        give(Bound::Source, rest * schedule / all);
    } else {
        give(Bound::Kreplay, rest);
    }
    shares
}

#[cfg(test)]
mod tests;
