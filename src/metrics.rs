//! Every metric, once: its name, its labels, what it says, and the function that records it.
//!
//! No label has an unbounded value: never a session, a statement or a user. Every series whose
//! labels are known exists at zero from the start, so that a rate over it is right from the first
//! event on.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::cli::REVISION;
use crate::replay::footprint::Widening;
use crate::replay::ledger::{Fate, Snapshot};
use crate::replay::policy::Outcome;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, in [`SECONDS_BUCKETS`] or [`DELAY_BUCKETS`].
    Histogram,
}

/// What a metric is called and what it says.
#[derive(Debug)]
pub struct Metric {
    /// The name, complete as it is scraped.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident, $name:literal, $labels:expr, $unit:ident, $help:literal;)+) => {
        $(#[doc = $help] pub const $constant: Metric = Metric {
            name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &$labels, help: $help,
        };)+

        /// Every metric.
        pub const ALL: &[Metric] = &[$($constant,)+];
    };
}

metrics! {
    RECORDS_CONSUMED: Counter, "kreplay_records_consumed_total", [], Count,
        "Records read from the source; always the sum of kreplay_records_total and kreplay_records_pending.";
    RECORDS: Counter, "kreplay_records_total", ["fate"], Count,
        "Records by what became of them.";
    RECORDS_PENDING: Gauge, "kreplay_records_pending", [], Count,
        "Records read whose fate is open.";
    RECORDS_FILTERED: Counter, "kreplay_records_filtered_total", ["reason"], Count,
        "Records left out on purpose, by reason.";
    RECORDS_SKIPPED: Counter, "kreplay_records_skipped_total", ["reason"], Count,
        "Records that cannot be replayed, by reason.";
    RECORDS_REJECTED: Counter, "kreplay_records_rejected_total", ["reason"], Count,
        "Records that cannot be read, by reason.";
    RECORDS_GIVEN_UP: Counter, "kreplay_records_given_up_total", ["reason"], Count,
        "Records whose statement was not brought to its end, by reason.";
    STATEMENTS: Counter, "kreplay_statements_total", ["outcome"], Count,
        "Statements that ran, by the target's outcome compared with the source's.";
    STATEMENT_SOURCE_SECONDS: Histogram, "kreplay_statement_source_seconds", [], Seconds,
        "How long statements ran on the source, where its log says so.";
    STATEMENT_TARGET_SECONDS: Histogram, "kreplay_statement_target_seconds", [], Seconds,
        "How long statements ran on the target, from sending to the last answer.";
    SCHEDULE_DELAY_SECONDS: Histogram, "kreplay_schedule_delay_seconds", [], Seconds,
        "How late statements started behind their schedule, under --speed FACTOR.";
    STATEMENTS_IN_FLIGHT: Gauge, "kreplay_statements_in_flight", [], Count,
        "Statements handed to sessions and not yet finished.";
    SESSIONS: Gauge, "kreplay_sessions", ["state"], Count,
        "Sessions by what they are doing.";
    CONNECTIONS: Gauge, "kreplay_connections", [], Count,
        "Open connections to the target.";
    CONNECTION_WAIT_SECONDS: Histogram, "kreplay_connection_wait_seconds", [], Seconds,
        "How long sessions with something to do waited until they might connect (--max-sessions).";
    EVICTIONS: Counter, "kreplay_evictions_total", ["reason"], Count,
        "Connections taken from one session for another, by what became of its state.";
    CONNECTIONS_BEYOND: Counter, "kreplay_connections_beyond_limit_total", [], Count,
        "Connections opened past --max-sessions, since every other one was in use and the next statement needed one.";
    CONNECTIONS_REFUSED: Counter, "kreplay_connections_refused_total", [], Count,
        "Connections that the target refused because it had no more (SQLSTATE 53300); they are tried again.";
    CONSUMER_POSITION: Gauge, "kreplay_consumer_position", ["partition"], Count,
        "The offset that is read next.";
    CONSUMER_COMMITTED_OFFSET: Gauge, "kreplay_consumer_committed_offset", ["partition"], Count,
        "The offset that a restart goes on from.";
    CONSUMER_HIGH_WATERMARK: Gauge, "kreplay_consumer_high_watermark", ["partition"], Count,
        "The offset that the partition's next record will have.";
    CONSUMER_LAG: Gauge, "kreplay_consumer_lag", ["partition"], Count,
        "Records in the partition that have not been read: high watermark less position.";
    BEHIND_SOURCE_SECONDS: Gauge, "kreplay_behind_source_seconds", [], Seconds,
        "How long ago the source logged what was replayed last; 0 once everything has been.";
    STALLS_BROKEN: Counter, "kreplay_stalls_broken_total", ["reason"], Count,
        "Statements that waited for a lock whose end stands later in the log, by how they were freed.";
    STATEMENTS_WAITING: Gauge, "kreplay_statements_waiting", [], Count,
        "Statements that have been read and wait for others that they conflict with (--order conflict).";
    ORDER_WIDENED: Counter, "kreplay_order_widened_total", ["extent", "reason"], Count,
        "Statements of which less is known than the rows they touch, by what they are taken to touch instead and why (--order conflict).";
    ORDER_WAIVED: Counter, "kreplay_order_waived_total", [], Count,
        "Waits left out because the statement waited for would have waited for this one: its record overtook the COMMIT that freed it (--order conflict).";
    RESTARTS: Counter, "kreplay_restarts_total", [], Count,
        "Session actors that failed and were built again.";
    RECONNECTS: Counter, "kreplay_reconnects_total", [], Count,
        "Connections to the target that were lost and opened again.";
    SESSIONS_JOINED_MIDWAY: Counter, "kreplay_sessions_joined_midway_total", [], Count,
        "Sessions whose first record read is not their first: what they had set up before is not known.";
    SEQUENCE_GAPS: Counter, "kreplay_sequence_gaps_total", [], Count,
        "Gaps in the line numbers of a session: records that never reached the source of kreplay.";
    OFFSET_GAP_RECORDS: Counter, "kreplay_offset_gap_records_total", [], Count,
        "Records that the topic had dropped before they were read (--on-gap continue).";
    MERGED_LATE: Counter, "kreplay_merged_late_total", [], Count,
        "Records of several partitions that came after younger ones of others had been taken: their partition had been silent for --merge-idle.";
    TYPE_GUESSES: Counter, "kreplay_type_guesses_total", [], Count,
        "Statements prepared again with parameter types guessed from the values.";
    IN_DOUBT: Counter, "kreplay_in_doubt_total", [], Count,
        "Commits whose connection was lost before the answer: they may or may not have happened.";
    LATE_FAILURES: Counter, "kreplay_late_failures_total", [], Count,
        "Statements that had succeeded when the log told that they failed on the source (log_statement logs a statement when it starts).";
    SILENT_ROLLBACKS: Counter, "kreplay_silent_rollbacks_total", [], Count,
        "Transactions rolled back because their session was silent for --idle-timeout or held up others; they are run again if it goes on.";
    READ_BEYOND: Counter, "kreplay_read_beyond_total", [], Count,
        "Times that reading went past --max-in-flight, since everything in flight waited for what had not been read.";
    BUILD_INFO: Gauge, "kreplay_build_info", ["version", "revision"], Count,
        "Always 1; the labels tell the version and the git revision.";
    PROCESS_START_TIME: Gauge, "process_start_time_seconds", [], Seconds,
        "When the process started, in Unix seconds.";
    PROCESS_RESIDENT_MEMORY: Gauge, "process_resident_memory_bytes", [], Bytes,
        "Memory of the process that is in RAM.";
    PROCESS_OPEN_FDS: Gauge, "process_open_fds", [], Count,
        "File descriptors that the process has open.";
}

/// The upper bounds of the histograms, in seconds: from a primary-key look-up on the same machine
/// to a report.
pub const SECONDS_BUCKETS: [f64; 19] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The upper bounds of the schedule's histogram, in seconds: from a timer's grain to a replay that
/// can't keep up.
pub const DELAY_BUCKETS: [f64; 19] = [
    100e-6, 250e-6, 500e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 10e-3, 25e-3, 100e-3, 0.25, 1.0, 5.0,
    15.0, 60.0, 300.0, 900.0, 3600.0,
];

/// Defines the values of one label.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$meaning])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The value of the label.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

label! {
    /// What a session is doing: label `state`.
    SessionState {
        /// Its connection is being opened, or waited for.
        Connecting => "connecting",
        /// A statement runs or is sent.
        Active => "active",
        /// Connected, nothing to do, no transaction open.
        Idle => "idle",
        /// Connected, nothing to do, a transaction open.
        IdleInTransaction => "idle_in_transaction",
        /// Without a connection and without anything to do, or what it does is not due (--speed).
        Disconnected => "disconnected",
    }
}

label! {
    /// How a statement that waited for a lock was freed: label `reason`.
    StallBreak {
        /// The blocker's COMMIT or ROLLBACK, its next record, ran early.
        EarlyEnd => "early_end",
        /// The blocker's session went on alone until the lock was free.
        EarlyAdvance => "early_advance",
        /// The blocker had no record left: its connection was closed.
        BlockerClosed => "blocker_closed",
    }
}

label! {
    /// What became of the state of a session that gave its connection to another: label `reason`.
    Eviction {
        /// It is made again with the next connection: settings, prepared statements, LISTENs.
        Restorable => "restorable",
        /// It may have had temporary tables, advisory locks or cursors WITH HOLD, which are lost.
        StateLost => "state_lost",
        /// Its open transaction was rolled back, and is run again before it goes on.
        RolledBack => "rolled_back",
    }
}

/// Makes the process's recorder, with every metric described and at zero.
///
/// Fails when the process has a recorder already. Call
/// [`run_upkeep`](PrometheusHandle::run_upkeep) every second or so: until then each histogram
/// keeps every single value (8 bytes each).
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe_and_touch();
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let histograms = ALL.iter().filter(|metric| metric.kind == Kind::Histogram);
    histograms.into_iter().try_fold(PrometheusBuilder::new(), |builder, metric| {
        let delay = metric.name == SCHEDULE_DELAY_SECONDS.name;
        let buckets = if delay { &DELAY_BUCKETS } else { &SECONDS_BUCKETS };
        builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
    })
}

/// Describes every metric and brings each series whose labels are known into being at zero.
fn describe_and_touch() {
    for metric in ALL {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram => describe_histogram!(name, unit, help),
        }
        match (metric.kind, metric.labels) {
            (Kind::Counter, []) => counter!(name).absolute(0),
            (Kind::Gauge, []) => gauge!(name).set(0.0),
            // Registered, a histogram is shown with empty buckets.
            (Kind::Histogram, []) => drop(histogram!(name)),
            // The series with labels follow.
            _ => {}
        }
    }
    for outcome in Outcome::ALL {
        counter!(STATEMENTS.name, "outcome" => outcome.label()).absolute(0);
    }
    for &state in SessionState::ALL {
        sessions(state, 0);
    }
    for &reason in Eviction::ALL {
        counter!(EVICTIONS.name, "reason" => reason.label()).absolute(0);
    }
    for &reason in StallBreak::ALL {
        counter!(STALLS_BROKEN.name, "reason" => reason.label()).absolute(0);
    }
    for why in Widening::ALL {
        order_widened(why, 0);
    }
    publish_ledger(&Snapshot::default());
    gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION"), "revision" => REVISION)
        .set(1.0);
    LazyLock::force(&STARTED);
    publish_process();
}

/// Shows a ledger. All its numbers come from one snapshot, so that they balance in every scrape
/// that renders right after this.
pub fn publish_ledger(ledger: &Snapshot) {
    counter!(RECORDS_CONSUMED.name).absolute(ledger.consumed());
    gauge!(RECORDS_PENDING.name).set(ledger.pending() as f64);
    for (fate, records) in ledger.by_fate() {
        counter!(RECORDS.name, "fate" => fate).absolute(records);
    }
    for (fate, records) in ledger.by_reason() {
        let metric = match fate {
            Fate::Replayed | Fate::Failed => continue,
            Fate::Filtered(_) => RECORDS_FILTERED,
            Fate::Skipped(_) => RECORDS_SKIPPED,
            Fate::Rejected(_) => RECORDS_REJECTED,
            Fate::GivenUp(_) => RECORDS_GIVEN_UP,
        };
        let reason = fate.reason().unwrap_or_default();
        counter!(metric.name, "reason" => reason).absolute(records);
    }
}

/// The handles for what is recorded with every statement: looked up once, cloned into the actors.
#[derive(Debug, Clone)]
pub struct Statements {
    source: Histogram,
    target: Histogram,
    delay: Histogram,
    outcomes: [Counter; Outcome::ALL.len()],
}

impl Statements {
    /// The handles of the process's recorder: call it after [`install`].
    pub fn new() -> Self {
        let outcome = |index: usize| Outcome::ALL[index].label();
        Self {
            source: histogram!(STATEMENT_SOURCE_SECONDS.name),
            target: histogram!(STATEMENT_TARGET_SECONDS.name),
            delay: histogram!(SCHEDULE_DELAY_SECONDS.name),
            outcomes: std::array::from_fn(
                |index| counter!(STATEMENTS.name, "outcome" => outcome(index)),
            ),
        }
    }

    /// Notes a statement that was started so long after it was due.
    pub fn started(&self, delay: Duration) {
        self.delay.record(delay.as_secs_f64());
    }

    /// Notes a statement that ran: how long on the source (where that was logged) and on the
    /// target, and how the outcomes compare.
    pub fn ran(&self, source: Option<Duration>, target: Duration, outcome: Outcome) {
        if let Some(source) = source {
            self.source.record(source.as_secs_f64());
        }
        self.target.record(target.as_secs_f64());
        self.outcomes[outcome as usize].increment(1);
    }
}

impl Default for Statements {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a partition stands. `None`: not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// The offset that is read next.
    pub position: Option<i64>,
    /// The offset that a restart goes on from.
    pub committed: Option<i64>,
    /// The offset that the next record of the partition will have.
    pub high_watermark: Option<i64>,
}

impl Partition {
    /// How many records have not been read.
    pub fn lag(&self) -> Option<i64> {
        Some((self.high_watermark? - self.position?).max(0))
    }
}

/// Shows where a partition stands.
pub fn partition(at: &Partition) {
    let label = at.partition.to_string();
    let numbers = [
        (CONSUMER_POSITION, at.position),
        (CONSUMER_COMMITTED_OFFSET, at.committed),
        (CONSUMER_HIGH_WATERMARK, at.high_watermark),
        (CONSUMER_LAG, at.lag()),
    ];
    for (metric, number) in numbers {
        if let Some(number) = number {
            gauge!(metric.name, "partition" => label.clone()).set(number as f64);
        }
    }
}

/// Shows that this process no longer reads a partition: its lag is another's to tell, and a stale
/// one would raise alarms for ever.
pub fn partition_revoked(partition: i32) {
    gauge!(CONSUMER_LAG.name, "partition" => partition.to_string()).set(0.0);
}

/// Shows how many sessions are in this state.
pub fn sessions(state: SessionState, sessions: usize) {
    gauge!(SESSIONS.name, "state" => state.label()).set(sessions as f64);
}

/// Shows how many connections to the target are open.
pub fn connections(open: usize) {
    gauge!(CONNECTIONS.name).set(open as f64);
}

/// Notes how long a session with something to do waited until it might connect.
pub fn connection_waited(waited: Duration) {
    histogram!(CONNECTION_WAIT_SECONDS.name).record(waited.as_secs_f64());
}

/// Counts a connection that was taken from one session for another.
pub fn evicted(how: Eviction) {
    counter!(EVICTIONS.name, "reason" => how.label()).increment(1);
}

/// Counts a connection past the limit.
pub fn connection_beyond_limit() {
    counter!(CONNECTIONS_BEYOND.name).increment(1);
}

/// Counts a connection that the server had no room for.
pub fn connection_refused() {
    counter!(CONNECTIONS_REFUSED.name).increment(1);
}

/// Shows how many statements are handed to sessions and not finished.
pub fn statements_in_flight(statements: usize) {
    gauge!(STATEMENTS_IN_FLIGHT.name).set(statements as f64);
}

/// Shows how far the replay is behind the source.
pub fn behind_source(by: Duration) {
    gauge!(BEHIND_SOURCE_SECONDS.name).set(by.as_secs_f64());
}

/// Counts a statement that was freed from waiting for a lock.
pub fn stall_broken(how: StallBreak) {
    counter!(STALLS_BROKEN.name, "reason" => how.label()).increment(1);
}

/// How often footprints were widened for this reason so far.
pub fn order_widened(why: Widening, so_far: u64) {
    let (extent, reason) = (why.extent().label(), why.label());
    counter!(ORDER_WIDENED.name, "extent" => extent, "reason" => reason).absolute(so_far);
}

/// How many waits the conflict order left out so far.
pub fn order_waived(so_far: u64) {
    counter!(ORDER_WAIVED.name).absolute(so_far);
}

/// How many statements wait for others that they conflict with.
pub fn order_waiting(statements: usize) {
    gauge!(STATEMENTS_WAITING.name).set(statements as f64);
}

/// Counts a session actor that was built again.
pub fn session_restarted() {
    counter!(RESTARTS.name).increment(1);
}

/// Counts a connection that was opened again.
pub fn reconnected() {
    counter!(RECONNECTS.name).increment(1);
}

/// Counts a session that was joined after its beginning.
pub fn session_joined_midway() {
    counter!(SESSIONS_JOINED_MIDWAY.name).increment(1);
}

/// Counts a gap in a session's line numbers.
pub fn sequence_gap() {
    counter!(SEQUENCE_GAPS.name).increment(1);
}

/// Counts records that the topic had dropped before they were read.
pub fn offset_gap(records: u64) {
    counter!(OFFSET_GAP_RECORDS.name).increment(records);
}

/// Counts a record that came too late for its place among several partitions.
pub fn merged_late() {
    counter!(MERGED_LATE.name).increment(1);
}

/// Counts a statement that was prepared again with guessed types.
pub fn types_guessed() {
    counter!(TYPE_GUESSES.name).increment(1);
}

/// Counts a statement that had succeeded when its failure on the source became known.
pub fn late_failure() {
    counter!(LATE_FAILURES.name).increment(1);
}

/// Counts a transaction that was rolled back for its session's silence.
pub fn rolled_back_silent() {
    counter!(SILENT_ROLLBACKS.name).increment(1);
}

/// Counts a time that reading went past the bound on what is in flight.
pub fn read_beyond() {
    counter!(READ_BEYOND.name).increment(1);
}

/// Counts a commit that may or may not have happened.
pub fn in_doubt() {
    counter!(IN_DOUBT.name).increment(1);
}

/// The moment of the first look, which [`install`] takes at the start of the process.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
});

/// Shows what the system says of this process, as far as it says anything (Linux).
pub fn publish_process() {
    gauge!(PROCESS_START_TIME.name).set(*STARTED);
    if let Some(bytes) = resident_bytes() {
        gauge!(PROCESS_RESIDENT_MEMORY.name).set(bytes as f64);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // Less the one that reads the directory.
        gauge!(PROCESS_OPEN_FDS.name).set(open.count().saturating_sub(1) as f64);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
