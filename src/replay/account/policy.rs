//! What a difference between the source and the target means, and what follows from it.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use crate::label::Label as _;
use crate::pglog::SqlState;
use crate::pglog::statement::{SourceEnd, Statement};
use crate::replay::account::digest::Digest;
use crate::replay::account::ledger::{Fate, Ledger, Skipped};
use crate::replay::session::Ended;
use crate::replay::session::parameter_types::is_inference_failure;
use crate::sql::Command;

/// A statement's outcome on the target beside the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Both succeeded, or failed with the same SQLSTATE.
    Same,
    /// Succeeded on the source, failed on the target.
    NewError,
    /// Failed on the source, succeeded on the target.
    FixedError,
    /// Failed on both, with different SQLSTATEs.
    OtherError,
    /// Failed on the source for what its log does not hold: the types that the client declared, or a
    /// name. Whether the target would have failed too can't be told.
    CannotTell,
}

impl Outcome {
    /// Compares how a statement ended on both sides.
    pub fn of(ended: Ended) -> Self {
        match Self::compare(ended.source, ended.target) {
            Self::FixedError if ended.beyond_log => Self::CannotTell,
            // Without the types that the client declared it fails otherwise.
            Self::OtherError
                if ended.beyond_log && ended.target.is_err_and(is_inference_failure) =>
            {
                Self::CannotTell
            }
            outcome => outcome,
        }
    }

    /// Compares the two ends. A source's end that the log does not tell counts as success.
    fn compare(source: SourceEnd, target: Result<(), SqlState>) -> Self {
        match (source, target) {
            (SourceEnd::Failed(source), Err(target)) if source == target => Self::Same,
            (SourceEnd::Failed(_), Err(_)) => Self::OtherError,
            (SourceEnd::Failed(_), Ok(())) => Self::FixedError,
            (_, Ok(())) => Self::Same,
            (_, Err(_)) => Self::NewError,
        }
    }
}

/// How long integrity errors (SQLSTATE class 23) are tolerated, from the first statement on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// Not at all.
    Never,
    /// For so many milliseconds.
    ForMs(u64),
    /// Always.
    ForEver,
}

impl FromStr for Tolerance {
    type Err = &'static str;

    /// Seconds from 0, or -1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<i64>() {
            Ok(0) => Ok(Self::Never),
            Ok(-1) => Ok(Self::ForEver),
            Ok(seconds @ 1..) => Ok(Self::ForMs(seconds.unsigned_abs().saturating_mul(1000))),
            _ => Err("expected seconds from 0 on, or -1 for ever"),
        }
    }
}

/// What is done about errors of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[command(next_help_heading = "Errors")]
pub struct ErrorPolicy {
    /// For so many seconds after the first statement, integrity errors (SQLSTATE 23...) that the
    /// source did not have are neither logged nor a reason to stop; 0: never, -1: for ever
    /// [env: ignoreErrorSeconds]
    #[arg(short = 'i', long = "ignore-error-seconds", value_name = "SECONDS")]
    #[arg(default_value = "0", allow_negative_numbers = true)]
    pub tolerance: Tolerance,
    /// When a statement fails on the target that did not fail on the source: count it and
    /// continue, or stop
    #[arg(long, value_name = "WHAT", default_value = "continue", ignore_case = true)]
    pub on_error: OnError,
}

/// What happens when a statement fails on the target alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Count it and go on
    Continue,
    /// Stop, exit code 6
    Stop,
}

/// What follows from a statement's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: as on the source, or better.
    Fine,
    /// An error that the source did not have, of a kind that is expected while a replay begins in
    /// the middle of things.
    Tolerated,
    /// The statement did not run because an earlier one of its transaction had failed: that one is
    /// the news, this one follows.
    Consequence,
    /// An error that the source did not have.
    News,
    /// The same, and the user wants to stop at it.
    Stop,
}

impl ErrorPolicy {
    /// Judges an outcome, so many milliseconds after the first statement.
    pub fn judge(
        &self,
        outcome: Outcome,
        target: Result<(), SqlState>,
        elapsed_ms: u64,
    ) -> Verdict {
        let Err(code) = target else { return Verdict::Fine };
        if outcome != Outcome::NewError {
            // What failed on the source too is never fatal.
            return match outcome {
                Outcome::Same | Outcome::CannotTell => Verdict::Fine,
                _ => Verdict::News,
            };
        }
        let tolerated = match self.tolerance {
            Tolerance::Never => false,
            Tolerance::ForMs(limit) => elapsed_ms < limit,
            Tolerance::ForEver => true,
        };
        match code {
            SqlState::IN_FAILED_TRANSACTION => Verdict::Consequence,
            _ if code.class() == "23" && tolerated => Verdict::Tolerated,
            _ if self.on_error == OnError::Stop => Verdict::Stop,
            _ => Verdict::News,
        }
    }
}

/// The account of a run: what became of every record, and how the outcomes compare.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// What was accepted for replay.
    pub digest: Digest,
    /// What became of every record.
    pub records: Ledger,
    /// Statements by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// The source's errors by SQLSTATE, those that ended a session among them.
    pub source_errors: BTreeMap<String, u64>,
    /// The target's errors by SQLSTATE; a session's end by an error of the source counts as
    /// reproduced.
    pub target_errors: BTreeMap<String, u64>,
    /// Statements whose parameter types had to be guessed.
    pub types_guessed: u64,
    /// Transactions that the target alone failed for a conflict with others, and that were run again,
    /// by SQLSTATE.
    pub target_conflicts_retried: BTreeMap<String, u64>,
    /// Statements that failed on the source, were not run here, and may have drawn from sequences there.
    pub unknown_draws: u64,
    /// Statements that waited for a lock whose end stands later in the log, by how they were freed.
    pub stalls_broken: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Notes how a statement ended. Returns its outcome.
    pub fn ended(&mut self, ended: Ended) -> Outcome {
        let outcome = Outcome::of(ended);
        *self.outcomes.entry(outcome.label()).or_default() += 1;
        if let SourceEnd::Failed(code) = ended.source {
            count(&mut self.source_errors, code);
        }
        if let Err(code) = ended.target {
            count(&mut self.target_errors, code);
        }
        self.types_guessed += u64::from(ended.guessed);
        self.unknown_draws += u64::from(ended.may_have_drawn);
        outcome
    }

    /// Notes a transaction that is run again since the target alone failed it for a conflict.
    pub fn retried(&mut self, code: SqlState) {
        count(&mut self.target_conflicts_retried, code);
    }

    /// Notes a session that the source ended with an error, which was reproduced by ending it.
    pub fn session_ended(&mut self, code: SqlState) {
        count(&mut self.source_errors, code);
        count(&mut self.target_errors, code);
    }

    /// The account in lines.
    pub fn summary(&self) -> String {
        let mut text = self.records.summary();
        let total: u64 = self.outcomes.values().sum();
        text.push_str(&format!("statements  {total}\n"));
        for outcome in Outcome::ALL {
            let count = self.outcomes.get(outcome.label()).copied().unwrap_or_default();
            text.push_str(&format!("  {:<12} {count}\n", outcome.label().replace('_', " ")));
        }
        let codes = |errors: &BTreeMap<String, u64>| {
            let listed: Vec<String> =
                errors.iter().map(|(code, n)| format!("{code} {n}")).collect();
            if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
        };
        text.push_str(&format!("errors on the source  {}\n", codes(&self.source_errors)));
        text.push_str(&format!("errors on the target  {}\n", codes(&self.target_errors)));
        if self.types_guessed > 0 {
            text.push_str(&format!("parameter types guessed  {}\n", self.types_guessed));
        }
        if !self.target_conflicts_retried.is_empty() {
            let retried = codes(&self.target_conflicts_retried);
            text.push_str(&format!("transactions run again after conflicts  {retried}\n"));
        }
        if self.unknown_draws > 0 {
            let count = self.unknown_draws;
            text.push_str(&format!(
                "failed statements that may have drawn from sequences  {count}\n"
            ));
        }
        if !self.stalls_broken.is_empty() {
            let listed = self.stalls_broken.iter().map(|(how, n)| format!("{how} {n}"));
            let listed: Vec<String> = listed.collect();
            text.push_str(&format!("stalls broken  {}\n", listed.join(", ")));
        }
        text
    }
}

/// How many codes are told apart: PostgreSQL has some 260, and routines may raise any of sixty million.
const CODES: usize = 1000;

fn count(errors: &mut BTreeMap<String, u64>, code: SqlState) {
    let code = code.to_string();
    let has_room = errors.len() < CODES || errors.contains_key(&code);
    *errors.entry(if has_room { code } else { "other".to_owned() }).or_default() += 1;
}

/// What becomes of a statement's record, from its outcome.
pub fn fate(statement: &Statement, ended: Ended) -> Fate {
    let copies = statement.outline.has(|command| command == Command::CopyFromStdin);
    match (ended.source, Outcome::of(ended)) {
        (SourceEnd::Terminated, _) => Fate::Skipped(Skipped::SourceTerminated),
        // It was run without its COPY, and so are the rows missing.
        (SourceEnd::Succeeded | SourceEnd::Unknown, _) if copies => {
            Fate::Skipped(Skipped::CopyData)
        }
        (_, Outcome::Same | Outcome::FixedError | Outcome::CannotTell) => Fate::Replayed,
        (_, Outcome::NewError | Outcome::OtherError) => Fate::Failed,
    }
}

#[cfg(test)]
mod tests;
