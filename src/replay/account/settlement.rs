//! What a session reports: how its statements ended, and which are final.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::pglog::SqlState;
use crate::replay::account::ledger::{Fate, GivenUp, Skipped};
use crate::replay::report::plans::UsedPlan;
use crate::replay::session::{CallContext, Ended};
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
    /// Who the session is and what it had set, from which of those that ended.
    pub contexts: SmallVec<[(usize, Arc<CallContext>); 1]>,
    /// Plans that came with the answers; `None` for one that can't be read.
    pub plans: Vec<Option<UsedPlan>>,
    /// The user whom the target does not let use auto_explain, and why.
    pub explain_refused: Option<(Box<str>, SqlState)>,
}

impl SessionProgress {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
            && self.retried.is_empty()
            && self.settled.is_empty()
            && self.plans.is_empty()
            && self.explain_refused.is_none()
    }

    /// The next statement that ended did so in this context.
    pub fn note_context(&mut self, context: Arc<CallContext>) {
        let last = self.contexts.last();
        if last.is_none_or(|(_, last)| !Arc::ptr_eq(last, &context)) {
            self.contexts.push((self.ended.len(), context));
        }
    }

    /// In which context the statement at this place of those that ended did so.
    pub fn context(&self, at: usize) -> Option<&Arc<CallContext>> {
        let before = self.contexts.iter().rev().find(|(from, _)| *from <= at);
        before.map(|(_, context)| context)
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
