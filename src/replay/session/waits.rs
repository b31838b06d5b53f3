//! How long statements wait, and for what.
//!
//! At any moment each statement that a session has been handed and that has not ended stands in one
//! of these places:
//!
//! - The first one that is under way, sent and not answered, runs on the [target](Wait::Target). Those
//!   sent behind it (`--pipeline`) wait for their [session](Wait::Session): a connection runs one
//!   statement at a time.
//! - The first one that is not sent waits for the time it is due ([schedule](Wait::Schedule)), for
//!   its session's [connection](Wait::Connection), for the turn that its session has asked for
//!   ([order](Wait::Order)) or, where none of that holds it up, for those under way before it
//!   ([session](Wait::Session)).
//! - All behind that one wait for their [session](Wait::Session).
//!
//! Each of these counts with the time that it stands there, so that the growth of a sum within a second
//! is how many statements stood there on average. In the serial order at most one session's
//! statements are under way and the first of every other session that has one waits for its turn; one
//! behind its session's own needs none. In the conflict order a session asks for its next turn while
//! its statements before are under way: that counts as waiting for the order. In the session order
//! nobody waits for the order.

use std::time::Duration;

use strum::{IntoStaticStr, VariantArray};

use crate::label::Label as _;
use crate::replay::pace::Moment;

/// What statements wait for: label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Wait {
    /// For their turn, from when their session asks for it until it is granted.
    Order,
    /// For earlier statements of their own session.
    Session,
    /// Not statements but the reading: nothing is read because as many statements are in flight as
    /// --max-in-flight allows.
    Backpressure,
    /// For their session's connection: until it may be opened (--max-sessions), and until it is.
    Connection,
    /// For the time when they are due (--speed).
    Schedule,
    /// They run on the target.
    Target,
}

/// For how long all statements together have waited, by what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits([Duration; Wait::ALL.len()]);

impl Waits {
    /// For how long they have waited for this.
    pub fn of(&self, wait: Wait) -> Duration {
        self.0[wait as usize]
    }

    /// So many statements have waited so long for this.
    pub fn add(&mut self, wait: Wait, statements: usize, time: Duration) {
        if statements > 0 {
            let statements = u32::try_from(statements).unwrap_or(u32::MAX);
            let sum = &mut self.0[wait as usize];
            *sum = sum.saturating_add(time.saturating_mul(statements));
        }
    }

    /// Adds what others have waited.
    pub fn add_all(&mut self, others: &Self) {
        for (sum, other) in self.0.iter_mut().zip(others.0) {
            *sum = sum.saturating_add(other);
        }
    }

    /// Each wait with its time.
    pub fn iter(&self) -> impl Iterator<Item = (Wait, Duration)> + '_ {
        Wait::ALL.iter().map(|&wait| (wait, self.of(wait)))
    }
}

/// Where a session's statements stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// How many are under way.
    pub sent: usize,
    /// How many are not sent.
    pub queued: usize,
    /// What the first of those that are not sent waits for; `None`: for nothing but being sent.
    pub head: Option<Wait>,
}

/// A session's account of its waits.
#[derive(Debug, Default)]
pub struct WaitAccount {
    waits: Waits,
    /// Up to when it is kept.
    until: Moment,
}

impl WaitAccount {
    /// The session's statements have stood like this since the last time.
    pub fn advance(&mut self, now: Moment, standing: QueueState) {
        let time = now.since(self.until);
        if time.is_zero() {
            return;
        }
        self.until = now;
        let QueueState { sent, queued, head } = standing;
        if sent > 0 {
            self.waits.add(Wait::Target, 1, time);
        }
        if queued > 0
            && let Some(wait) = head
        {
            self.waits.add(wait, 1, time);
        }
        self.waits.add(Wait::Session, sent.saturating_sub(1) + queued.saturating_sub(1), time);
    }

    /// What has been added since this was called last.
    pub fn take(&mut self) -> Waits {
        std::mem::take(&mut self.waits)
    }
}

#[cfg(test)]
mod tests;
