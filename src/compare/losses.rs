//! What ran on the baseline's target and not on the candidate's. Of what did not run nothing is known, so
//! a candidate that lost much of it is no better than one that fails.

use serde::Serialize;

use super::errors::failed_for_good;
use super::report::{ReplayReport, Shape};
use crate::display::grouped;
use crate::replay::report::judgement::LEAST_CALLS;

/// So much of what ran on the baseline's target may be missing: a connection that broke, a stall that was
/// resolved.
const ALLOWED: f64 = 0.01;
/// A shape has lost most of its calls where less of them are left.
const MOST: f64 = 0.5;

/// What ran on the baseline's target and not on the candidate's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Losses {
    /// So many statements fewer ran on the candidate's target.
    pub statements: u64,
    /// So many ran on the baseline's.
    pub of: u64,
    /// Whether these are more than a run may lose.
    pub too_many: bool,
    /// Shapes most of whose calls did not run, or fail where they did not.
    pub shapes: u64,
}

impl Losses {
    /// Of the candidate, with so many shapes that lost most of their calls.
    pub(super) fn of(baseline: &ReplayReport, candidate: &ReplayReport, shapes: usize) -> Self {
        let of = baseline.records.ran();
        let statements = of.saturating_sub(candidate.records.ran());
        let too_many = statements as f64 > ALLOWED * of as f64;
        Self { statements, of, too_many, shapes: shapes as u64 }
    }

    /// Whether the candidate is worse for them.
    pub(super) fn are_worse(self) -> bool {
        self.too_many || self.shapes > 0
    }

    /// What is worse, in words.
    pub(super) fn in_words(self) -> Vec<String> {
        let Self { statements, of, too_many, shapes } = self;
        let statements = too_many
            .then(|| format!("{} of {} statements did not run", grouped(statements), grouped(of)));
        let shapes = match shapes {
            0 => None,
            1 => Some("1 shape lost most of its calls".to_owned()),
            _ => Some(format!("{} shapes lost most of their calls", grouped(shapes))),
        };
        statements.into_iter().chain(shapes).collect()
    }
}

/// Whether most of a shape's calls did not run on the candidate's target, or fail there. `rest` of the
/// candidate's calls are of no shape of their own: those that are missing may be among them.
pub(super) fn lost_most(baseline: &Shape, candidate: Option<&Shape>, rest: u64) -> bool {
    let ran = candidate.map_or(0, |it| it.calls).saturating_add(rest);
    if (ran as f64) < MOST * baseline.calls as f64 {
        return true;
    }
    let mostly_fails = |it: &Shape| failed_for_good(it) as f64 > MOST * it.calls as f64;
    baseline.calls >= LEAST_CALLS
        && !mostly_fails(baseline)
        && candidate.is_some_and(|it| it.calls >= LEAST_CALLS && mostly_fails(it))
}

#[cfg(test)]
mod tests;
