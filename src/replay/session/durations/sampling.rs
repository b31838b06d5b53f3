//! How many statements are measured by the server where it works as fast as it can.
//!
//! A server sends each duration by itself, at once: at full speed that would take it a third of its time
//! with short statements. A session that waits for its answers, as it does live and at the source's
//! pace, has every statement measured. One that sends ahead takes part in a budget for all.

use crate::replay::pace::Moment;

/// How many figures in a second all sessions together may have that send ahead.
const FIGURES_PER_SECOND: f64 = 2000.0;
/// How many may be saved up: a short replay is measured as a whole.
const SAVED_UP: f64 = 2000.0;
/// How many statements are measured in a row, or not: each change takes a `SET`.
const IN_A_ROW: u16 = 8;
/// A session sends ahead when so many more of its statements than not had one before them without an
/// answer.
const AHEAD: u8 = 48;
const LONG_AHEAD: u8 = 64;
/// A statement that nothing was before counts as so many that something was.
const WAITED: u8 = 4;

/// What is left of the figures that sessions which send ahead may have.
#[derive(Debug)]
pub struct FigureBudget {
    left: f64,
    as_of: Moment,
}

impl Default for FigureBudget {
    fn default() -> Self {
        Self { left: SAVED_UP, as_of: Moment::default() }
    }
}

impl FigureBudget {
    /// Takes so many figures, if they are there by now.
    pub fn take(&mut self, figures: u16, now: Moment) -> bool {
        let more = now.since(self.as_of).as_secs_f64() * FIGURES_PER_SECOND;
        self.left = (self.left + more).min(SAVED_UP);
        self.as_of = self.as_of.max(now);
        let enough = self.left >= f64::from(figures);
        if enough {
            self.left -= f64::from(figures);
        }
        enough
    }
}

/// Whether a session's statements are measured.
#[derive(Debug)]
pub(super) struct Sampling {
    /// Grows with each statement that is sent ahead, and shrinks with each that is not.
    ahead: u8,
    sends_ahead: bool,
    measures: bool,
    /// How many statements are sent until it is decided again.
    left: u16,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ahead: 0, sends_ahead: false, measures: true, left: 0 }
    }
}

impl Sampling {
    /// Whether the next statement is measured.
    pub(super) fn measures(&self) -> bool {
        self.measures
    }

    /// A statement is sent; `is_behind`: another one before it has no answer yet.
    pub(super) fn sends(&mut self, is_behind: bool) {
        self.ahead = match is_behind {
            true => (self.ahead + 1).min(LONG_AHEAD),
            false => self.ahead.saturating_sub(WAITED),
        };
        self.left = self.left.saturating_sub(1);
    }

    /// Decides about the next statements, between transactions; `take` takes so many figures of the budget.
    pub(super) fn decide(&mut self, take: impl FnOnce(u16) -> bool) {
        self.sends_ahead = if self.sends_ahead { self.ahead > 0 } else { self.ahead >= AHEAD };
        if !self.sends_ahead {
            (self.measures, self.left) = (true, 0);
        } else if self.left == 0 {
            (self.measures, self.left) = (take(IN_A_ROW), IN_A_ROW);
        }
    }
}

#[cfg(test)]
mod tests;
