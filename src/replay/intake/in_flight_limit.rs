//! How much may be in flight, over all sessions.

use std::time::Duration;

/// The statements in flight, and whether there is room for more.
#[derive(Debug)]
pub struct InFlightLimit {
    limit: usize,
    in_flight: usize,
    /// What they may take in memory, and what they take.
    limit_bytes: usize,
    bytes: usize,
    /// How many may be let in past the limit: everything in flight waits for one of them.
    beyond: usize,
    /// It was full, and has not been emptied far enough since.
    closed: bool,
}

/// How many are let in past the limit at once.
const BEYOND: usize = 256;
/// How much room there has to be before there is room again: one message in and one out for each
/// statement cost as much as replaying it does.
const BATCH: usize = 256;

impl InFlightLimit {
    /// With nothing in flight, and room for `limit` statements of `limit_bytes` together; for one
    /// at least, however long it is.
    pub fn new(limit: usize, limit_bytes: usize) -> Self {
        let (limit, limit_bytes) = (limit.max(1), limit_bytes.max(1));
        Self { limit, in_flight: 0, limit_bytes, bytes: 0, beyond: 0, closed: false }
    }

    /// How many statements are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether one more may be let in.
    pub fn has_room(&self) -> bool {
        !self.closed || self.beyond > 0
    }

    /// A statement is let in, which takes so many bytes.
    pub fn enter(&mut self, bytes: usize) {
        self.in_flight += 1;
        self.bytes += bytes;
        self.beyond = self.beyond.saturating_sub(1);
        self.closed |= self.is_full();
    }

    /// A statement has ended, which took so many bytes.
    pub fn leave(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        let batch = (self.limit / 8).clamp(1, BATCH);
        self.closed &= self.in_flight + batch > self.limit || self.is_full();
    }

    fn is_full(&self) -> bool {
        self.in_flight >= self.limit || self.bytes >= self.limit_bytes
    }

    /// Nothing in flight ends: lets in what there is room for, however little. Returns whether there
    /// is any.
    pub fn open(&mut self) -> bool {
        self.closed = self.is_full();
        !self.closed
    }

    /// Everything in flight waits for what has not been let in: makes room past the limit.
    pub fn open_beyond(&mut self) {
        self.beyond = BEYOND;
    }
}

/// When to look at what holds everything up: soon, and then less and less often, since it may as well
/// be statements that take their time.
#[derive(Debug)]
pub struct StallTimer {
    next: Duration,
    /// For how long nothing had ended when that was told last.
    still_for: Duration,
}

/// How long nothing has ended when it is looked at first.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// So much lies between two looks at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Default for StallTimer {
    fn default() -> Self {
        Self { next: FIRST_LOOK, still_for: Duration::ZERO }
    }
}

impl StallTimer {
    /// Whether to look, when nothing has ended for so long.
    pub fn is_due(&mut self, still_for: Duration) -> bool {
        if still_for < self.still_for {
            *self = Self::default();
        }
        self.still_for = still_for;
        let is_due = still_for >= self.next;
        if is_due {
            self.next = still_for + still_for.min(LONGEST_PAUSE);
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
