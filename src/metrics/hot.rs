//! The handles for what is recorded with every record and every statement: looked up once.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::labels::Clock;
use super::{
    RECORDS_READ, SCHEDULE_DELAY_SECONDS, STATEMENT_DURATION_RATIO, STATEMENT_SERVER_SECONDS,
    STATEMENT_SOURCE_SECONDS, STATEMENT_TARGET_SECONDS, STATEMENTS, STATEMENTS_TIMED,
};
use crate::label::Label as _;
use crate::pglog::RecordKind;
use crate::replay::account::policy::Outcome;
use crate::replay::session::request::Took;
use crate::sql::Verb;

/// Where statements are measured. Cheap to clone: each session has one.
#[derive(Debug, Clone)]
pub struct Statements(Arc<StatementHandles>);

#[derive(Debug)]
struct StatementHandles {
    source: Histogram,
    target: Histogram,
    server: [Histogram; Verb::ALL.len()],
    timed: [Counter; Clock::ALL.len()],
    ratio: Histogram,
    delay: Histogram,
    ended: [[Counter; Outcome::ALL.len()]; Verb::ALL.len()],
}

impl Statements {
    /// The handles of the process's recorder: call it after [`install`](super::install).
    pub fn new() -> Self {
        let ended = |verb: Verb, outcome: Outcome| {
            let (command, outcome) = (verb.label(), outcome.label());
            counter!(STATEMENTS.name, "command" => command, "outcome" => outcome)
        };
        Self(Arc::new(StatementHandles {
            source: histogram!(STATEMENT_SOURCE_SECONDS.name),
            target: histogram!(STATEMENT_TARGET_SECONDS.name),
            server: std::array::from_fn(
                |verb| histogram!(STATEMENT_SERVER_SECONDS.name, "command" => Verb::ALL[verb].label()),
            ),
            timed: std::array::from_fn(
                |clock| counter!(STATEMENTS_TIMED.name, "clock" => Clock::ALL[clock].label()),
            ),
            ratio: histogram!(STATEMENT_DURATION_RATIO.name),
            delay: histogram!(SCHEDULE_DELAY_SECONDS.name),
            ended: std::array::from_fn(|verb| {
                std::array::from_fn(|outcome| ended(Verb::ALL[verb], Outcome::ALL[outcome]))
            }),
        }))
    }

    /// Notes a statement that was started so long after it was due.
    pub fn started(&self, delay: Duration) {
        self.0.delay.record(delay.as_secs_f64());
    }

    /// Notes a statement that ran: what it did, how long it took on the source, in seconds (where that
    /// was logged), and on the target, and how the outcomes compare.
    pub fn ran(&self, verb: Verb, source: Option<f64>, target: Took, outcome: Outcome) {
        let by_server = target.on_server.map(|duration| duration.as_secs_f64());
        let by_client = target.share().as_secs_f64();
        if let Some(source) = source {
            self.0.source.record(source);
            // The log's durations are of microseconds: one of none has no ratio.
            if source > 0.0 {
                self.0.ratio.record(by_server.unwrap_or(by_client) / source);
            }
        }
        self.0.target.record(by_client);
        if let Some(duration) = by_server {
            self.0.server[verb as usize].record(duration);
        }
        let clock = if by_server.is_some() { Clock::Server } else { Clock::Client };
        self.0.timed[clock as usize].increment(1);
        self.0.ended[verb as usize][outcome as usize].increment(1);
    }
}

impl Default for Statements {
    fn default() -> Self {
        Self::new()
    }
}

/// Where records are counted.
#[derive(Debug)]
pub struct Records([Counter; RecordKind::ALL.len()]);

impl Records {
    /// The handles of the process's recorder: call it after [`install`](super::install).
    pub fn new() -> Self {
        let kind = |index: usize| RecordKind::ALL[index].label();
        Self(std::array::from_fn(|index| counter!(RECORDS_READ.name, "kind" => kind(index))))
    }

    /// Counts records by what they are, in the order of [`RecordKind`].
    pub fn read(&self, records: &[u64; RecordKind::ALL.len()]) {
        let counters = self.0.iter().zip(records);
        counters.filter(|(_, count)| **count > 0).for_each(|(it, count)| it.increment(*count));
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}
