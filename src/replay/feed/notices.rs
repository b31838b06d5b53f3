//! What an operator should know of the input, and how often it is logged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::pglog::{Malformed, SessionId};
use crate::replay::account::policy::Outcome;
use crate::replay::intake::merge::Basis;
use crate::replay::session::Ended;
use crate::replay::work::{Position, Work};

/// What an operator should know of the input.
#[derive(Debug)]
pub enum Notice {
    /// The source logs times with a zone that is not a number of hours.
    AmbiguousZone,
    /// Records of a session are missing.
    RecordsMissing {
        /// The session.
        session: SessionId,
        /// How many of it are missing.
        missing: u64,
        /// The record behind them.
        before: Position,
        /// How many gaps there have been.
        count: u64,
    },
    /// A record can't be read.
    Rejected {
        /// Where it stands.
        at: Position,
        /// What is wrong with it.
        malformed: Malformed,
        /// What it is counted as.
        reason: &'static str,
        /// How many there have been of the same kind.
        count: u64,
    },
    /// Statements are logged when they start, which tells less about their order.
    StartLogging {
        /// A statement that shows it.
        at: Position,
    },
    /// Nothing is due for long.
    Silence {
        /// For how long.
        silence: Duration,
        /// The statement that is due then.
        before: Position,
    },
    /// What the order of several partitions is based on.
    MergeBasis {
        /// On what.
        basis: Basis,
        /// How many partitions there are.
        partitions: usize,
    },
    /// A statement that failed on the source may have drawn from sequences there.
    UnknownDraws(Arc<Work>),
    /// A statement ended otherwise than on the source.
    Difference {
        /// The statement.
        work: Arc<Work>,
        /// How it ended.
        ended: Ended,
        /// How these compare.
        outcome: Outcome,
        /// How many there have been of the same kind, where that is news for an operator.
        news: Option<u64>,
    },
}

/// How often each kind of notice was met. A broken shipper must not flood the log.
#[derive(Debug, Default)]
pub(super) struct LogLimit(HashMap<&'static str, u64>);

impl LogLimit {
    /// How often this was met by now, if it is worth another line in the log: the first few times and
    /// then ever fewer.
    pub(super) fn should_log(&mut self, what: &'static str) -> Option<u64> {
        let met = self.0.entry(what).or_default();
        *met += 1;
        (*met <= 10 || met.is_power_of_two()).then_some(*met)
    }
}

#[cfg(test)]
mod tests;
