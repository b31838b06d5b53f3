//! Errors that only one of two reports has, and which of these are a matter of the moment.

use std::collections::BTreeSet;

use serde::Serialize;
use strum::IntoStaticStr;

use super::report::Shape;

/// A statement that fails since its transaction has failed: the first failure is the news.
const FOLLOWS: &str = "25P02";
/// What other sessions and the clock do: serialization failures, deadlocks, locks that were not to be had
/// (NOWAIT, `lock_timeout`), and cancelled statements (`statement_timeout`).
const BY_CHANCE: [&str; 4] = ["40001", "40P01", "55P03", "57014"];
/// So many of these are few: with fewer than six calls that fail in one of two runs alone, chance has a
/// part of 5 % or more (a sign test).
const FEW: u64 = 5;
/// So are those that are no larger a share of the shape's calls.
const FEW_SHARE: f64 = 0.05;

/// An error that only one of the reports has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ErrorChange {
    pub sqlstate: String,
    /// How many calls.
    pub calls: u64,
    pub what: ErrorNews,
}

/// Where the error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(super) enum ErrorNews {
    /// In the candidate alone.
    New,
    /// In the candidate alone, and the moment's doing: another run may not have it, or the second run of
    /// the baseline's target has it anew, too.
    NewByChance,
    /// In the baseline alone.
    Gone,
}

/// The errors of all that is not told apart by both reports: what one has as a shape the other may have
/// among the rest.
#[derive(Debug, Default)]
pub(super) struct Unmatched<'a> {
    baseline: BTreeSet<&'a str>,
    candidate: BTreeSet<&'a str>,
}

/// One shape in the baseline and in the candidate.
pub(super) type Both<'a> = (Option<&'a Shape>, Option<&'a Shape>);

impl<'a> Unmatched<'a> {
    /// Of what is not told apart.
    pub(super) fn of(shapes: impl IntoIterator<Item = Both<'a>>) -> Self {
        let mut unmatched = Self::default();
        let codes = |side: Option<&'a Shape>| {
            side.into_iter().flat_map(|it| it.errors.target.keys().map(String::as_str))
        };
        for (baseline, candidate) in shapes {
            unmatched.baseline.extend(codes(baseline));
            unmatched.candidate.extend(codes(candidate));
        }
        unmatched
    }

    /// The errors of a shape that only one of the reports has. `again` is the shape in the second run of
    /// the baseline's target.
    pub(super) fn changes(
        &self,
        (baseline, candidate): Both<'_>,
        told_apart: bool,
        again: Option<&Shape>,
    ) -> Vec<ErrorChange> {
        let only = |of: Option<&Shape>, other: Option<&Shape>, others: &BTreeSet<&str>| {
            let is_there = |code: &str| match told_apart {
                true => other.is_some_and(|it| it.errors.target.contains_key(code)),
                false => others.contains(code),
            };
            let errors = of.map(|it| &it.errors.target).into_iter().flatten();
            let errors = errors.filter(|(code, _)| *code != FOLLOWS && !is_there(code));
            errors.map(|(code, calls)| (code.clone(), *calls)).collect::<Vec<_>>()
        };
        let all = candidate.map_or(0, |it| it.calls);
        let is_noise = |code: &str, calls: u64| {
            let again = again.is_some_and(|it| it.errors.target.contains_key(code));
            again || BY_CHANCE.contains(&code) && is_few(calls, all)
        };
        let new = only(candidate, baseline, &self.baseline).into_iter().map(|(sqlstate, calls)| {
            let what = match is_noise(&sqlstate, calls) {
                true => ErrorNews::NewByChance,
                false => ErrorNews::New,
            };
            ErrorChange { sqlstate, calls, what }
        });
        let gone = only(baseline, candidate, &self.candidate).into_iter();
        let gone =
            gone.map(|(sqlstate, calls)| ErrorChange { sqlstate, calls, what: ErrorNews::Gone });
        new.chain(gone).collect()
    }
}

/// How many calls failed of their own: neither for an earlier failure nor for the moment.
pub(super) fn failed_for_good(shape: &Shape) -> u64 {
    let is_own = |code: &str| code != FOLLOWS && !BY_CHANCE.contains(&code);
    let errors = shape.errors.target.iter().filter(|(code, _)| is_own(code));
    errors.fold(0, |sum, (_, calls)| sum.saturating_add(*calls))
}

fn is_few(calls: u64, all: u64) -> bool {
    calls <= FEW || calls as f64 <= FEW_SHARE * all as f64
}

#[cfg(test)]
mod tests;
