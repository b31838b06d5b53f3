//! What the status page shows of the actors, written by them now and then.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::http::Sessions;
use crate::label::Label as _;
use crate::metrics::{self, SessionState};
use crate::replay::account::bottleneck::{Bound, Shares};
use crate::replay::account::policy::{Outcome, Tally};
use crate::replay::account::progress::{Extent, PartitionProgress, Sample};
use crate::replay::order::footprint::TopFallback;
use crate::replay::order::stalls::StallBreak;
use crate::replay::report::{CostlyShape, Lag, StallReport};
use crate::replay::session::waits::Waits;

/// The numbers of the moment. A lock that is held for an assignment.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    sessions: Vec<(&'static str, usize)>,
    connections: usize,
    stalls: BTreeMap<&'static str, u64>,
    stall: Option<StallReport>,
    partitions: Vec<PartitionProgress>,
    behind: Option<Duration>,
    costly: Vec<TopFallback>,
    in_flight: usize,
    extent: Option<Extent>,
    waits: Waits,
    bound: Option<Shares>,
}

impl Overview {
    /// How many sessions are in each state (in the order of [`SessionState`]) and how many
    /// connections are open.
    pub(crate) fn sessions(&self, states: &[usize], connections: usize) {
        let pairs = SessionState::ALL.iter().zip(states);
        for (state, &sessions) in pairs.clone() {
            metrics::sessions(*state, sessions);
        }
        metrics::CONNECTIONS.set(connections as f64);
        let mut numbers = self.numbers.lock();
        numbers.sessions = pairs.map(|(state, &sessions)| (state.label(), sessions)).collect();
        numbers.connections = connections;
    }

    /// A stall was broken.
    pub(crate) fn stall_broken(&self, how: StallBreak) {
        metrics::stall_broken(how);
        *self.numbers.lock().stalls.entry(how.label()).or_default() += 1;
    }

    /// Nothing goes on.
    pub(crate) fn stands_still(&self, report: StallReport) {
        metrics::stalled(true);
        self.numbers.lock().stall = Some(report);
    }

    /// It goes on again.
    pub(crate) fn goes_on(&self) {
        metrics::stalled(false);
        if let Some(stall) = &mut self.numbers.lock().stall {
            stall.is_over = true;
        }
    }

    /// The last standstill that was told.
    pub(crate) fn stall(&self) -> Option<StallReport> {
        self.numbers.lock().stall.clone()
    }

    /// The stalls broken so far, by how.
    pub(crate) fn stalls_broken(&self) -> BTreeMap<&'static str, u64> {
        self.numbers.lock().stalls.clone()
    }

    /// The shapes of statements that cost the conflict order the most, the worst first.
    pub(crate) fn costly(&self, shapes: Vec<TopFallback>) {
        self.numbers.lock().costly = shapes;
    }

    /// Statements have waited since the last time.
    pub(crate) fn waited(&self, waits: &Waits) {
        metrics::waited(waits);
        self.numbers.lock().waits.add_all(waits);
    }

    /// What statements have waited for so far.
    pub(crate) fn waits(&self) -> Waits {
        self.numbers.lock().waits
    }

    /// Who the last minute was bound by.
    pub(crate) fn bound(&self, shares: Shares) {
        metrics::bottleneck(shares);
        self.numbers.lock().bound = Some(shares);
    }

    /// How far the partitions are, and how far the replay is behind the source.
    pub(crate) fn lag(&self, partitions: Vec<PartitionProgress>, behind: Duration) {
        partitions.iter().for_each(metrics::partition);
        metrics::replay_lag(behind);
        let mut numbers = self.numbers.lock();
        numbers.partitions = partitions;
        numbers.behind = Some(behind);
    }

    /// The report's part of it.
    pub(crate) fn lag_of_report(&self) -> Lag {
        let numbers = self.numbers.lock();
        Lag {
            behind_source_seconds: numbers.behind.map(|behind| behind.as_secs_f64()),
            partitions: numbers.partitions.clone(),
        }
    }

    /// How many statements are handed to sessions and not finished.
    pub(crate) fn in_flight(&self, statements: usize) {
        metrics::STATEMENTS_IN_FLIGHT.set(statements as f64);
        self.numbers.lock().in_flight = statements;
    }

    /// How much there is to read of a source that ends.
    pub(crate) fn extent(&self, extent: Extent) {
        self.numbers.lock().extent = Some(extent);
    }

    /// Where the replay is, so long after its start.
    pub(crate) fn sample(&self, tally: &Tally, at: Duration) -> Sample {
        let numbers = self.numbers.lock();
        let lag =
            numbers.partitions.iter().map(PartitionProgress::lag).reduce(|sum, lag| sum + lag);
        let new_errors = tally.outcomes.get(Outcome::NewError.label());
        Sample {
            at,
            consumed: tally.records.consumed(),
            settled: tally.records.settled(),
            statements: tally.outcomes.values().sum(),
            new_errors: new_errors.copied().unwrap_or_default(),
            extent: numbers.extent,
            lag,
            // What a file holds may be of any age: only a topic can be behind.
            behind: numbers.behind.filter(|_| lag.is_some()),
            sessions: numbers.sessions.iter().map(|(_, sessions)| sessions).sum(),
            connections: numbers.connections,
            in_flight: numbers.in_flight,
            bound: numbers.bound.map(Bound::largest),
        }
    }

    /// How many sessions there are.
    pub(crate) fn count_sessions(&self) -> Sessions {
        let numbers = self.numbers.lock();
        Sessions { states: numbers.sessions.clone(), connections: numbers.connections }
    }

    /// What costs the conflict order the most concurrency, for the report.
    pub(crate) fn costly_of_report(&self) -> Vec<CostlyShape> {
        let numbers = self.numbers.lock();
        let costly =
            numbers.costly.iter().map(|TopFallback { shape, widening, count }| CostlyShape {
                shape: shape.clone(),
                touches: widening.extent().in_words(),
                because: widening.label(),
                times: *count,
            });
        costly.collect()
    }
}
