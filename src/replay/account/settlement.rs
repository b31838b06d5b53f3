//! What a session reports: how its statements ended, and which are final.

use std::sync::Arc;
use std::time::Duration;

use crate::pglog::SqlState;
use crate::replay::account::ledger::{Fate, GivenUp, Skipped};
use crate::replay::session::Ended;
use crate::replay::work::{Position, Work};

/// How far a session came, by all the answers that were there at once.
#[derive(Debug, Default)]
pub struct SessionProgress {
    /// Statements that ended, each with what becomes of its record.
    pub ended: Vec<(Arc<Work>, Settlement)>,
    /// Why transactions are run again that failed on the target alone.
    pub retried: Vec<SqlState>,
    /// Statements whose effects are final, by where they came from.
    pub settled: Vec<Settled>,
}

impl SessionProgress {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.retried.is_empty() && self.settled.is_empty()
    }

    /// Notes statements that became final together.
    pub fn settle(&mut self, together: &[Arc<Work>]) {
        let last = together.len().saturating_sub(1);
        let settled = together.iter().enumerate();
        self.settled
            .extend(settled.map(|(index, work)| Settled { at: work.at, is_last: index == last }));
    }
}

/// A statement whose effects are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Where it came from.
    pub at: Position,
    /// Whether it is the last of those that became final together: a transaction's.
    pub is_last: bool,
}

/// How a statement ended, for the account.
#[derive(Debug, Clone, Copy)]
pub enum Settlement {
    /// It was run, after it had waited so long for its turn.
    Ran(Ended, Duration),
    /// It was not.
    Not(Fate),
}

impl Settlement {
    /// Of a statement that ended like this: it may have been `withheld`, or canceled since it was given
    /// up.
    pub fn of(ended: Ended, waited: Duration, withheld: Option<Skipped>, given_up: bool) -> Self {
        match withheld {
            Some(why) => Self::Not(Fate::Skipped(why)),
            None if given_up => Self::Not(Fate::GivenUp(GivenUp::Stalled)),
            None => Self::Ran(ended, waited),
        }
    }
}

#[cfg(test)]
mod tests;
