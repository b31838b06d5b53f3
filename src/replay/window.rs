//! How many statements may be in flight, over all sessions.

/// The statements in flight, and whether there is room for more.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    in_flight: usize,
    /// How many may be let in past the limit: everything in flight waits for one of them.
    beyond: usize,
    /// It was full, and has not been emptied far enough since.
    closed: bool,
}

/// How many are let in past the limit at once.
const BEYOND: usize = 256;
/// How much room there has to be before a full window opens: one message in and one out for each
/// statement cost as much as replaying it does.
const BATCH: usize = 256;

impl Window {
    /// With nothing in flight, and room for `limit` statements, at least one.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), in_flight: 0, beyond: 0, closed: false }
    }

    /// How many statements are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether one more may be let in.
    pub fn has_room(&self) -> bool {
        !self.closed || self.beyond > 0
    }

    /// A statement is let in.
    pub fn enter(&mut self) {
        self.in_flight += 1;
        self.beyond = self.beyond.saturating_sub(1);
        self.closed |= self.in_flight >= self.limit;
    }

    /// A statement has ended.
    pub fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let batch = (self.limit / 8).clamp(1, BATCH);
        self.closed &= self.in_flight + batch > self.limit;
    }

    /// Nothing in flight ends: lets in what there is room for, however little. Returns whether there
    /// is any.
    pub fn open(&mut self) -> bool {
        self.closed = self.in_flight >= self.limit;
        !self.closed
    }

    /// Everything in flight waits for what has not been let in: makes room past the limit.
    pub fn open_beyond(&mut self) {
        self.beyond = BEYOND;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(limit: usize) -> Window {
        let mut window = Window::new(limit);
        while window.has_room() {
            window.enter();
        }
        assert_eq!(window.in_flight(), limit.max(1));
        window
    }

    #[test]
    fn a_full_window_opens_again_for_a_batch_at_once() {
        let mut window = full(10_000);
        (0..BATCH - 1).for_each(|_| window.leave());
        assert!(!window.has_room());
        window.leave();
        assert!(window.has_room());
        (0..BATCH).for_each(|_| window.enter());
        assert!(!window.has_room());
    }

    #[test]
    fn a_small_window_opens_with_every_statement_that_ends() {
        for limit in [0, 1, 2, 15] {
            let mut window = full(limit);
            window.leave();
            assert!(window.has_room(), "{limit}");
        }
    }

    #[test]
    fn where_nothing_ends_what_room_there_is_is_used_first() {
        let mut window = full(10_000);
        assert!(!window.open());
        window.leave();
        assert!(!window.has_room() && window.open() && window.has_room());
        window.enter();
        assert!(!window.has_room() && !window.open());
        window.open_beyond();
        for _ in 0..BEYOND {
            assert!(window.has_room());
            window.enter();
        }
        assert!(!window.has_room());
    }
}
