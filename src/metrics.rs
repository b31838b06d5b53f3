//! Every metric, once: its name, its labels and what it says.
//!
//! No label has an unbounded value: never a session, a statement or a user. Every series whose
//! labels are known exists at zero from the start, so that a rate over it is right from the first
//! event on.
//!
//! - `recording`: the functions that record what happens; `hot`: the handles for what is recorded with
//!   every record and every statement.
//! - `publishing`: what is kept elsewhere and shown when somebody looks.
//! - `labels`: the labels' values that belong to no other module.

mod hot;
mod labels;
mod publishing;
mod recording;
#[cfg(test)]
mod tests;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::hot::{Records, Statements};
pub use self::labels::{Clock, Eviction, HttpRefusal, Pace, SessionEnd, SessionState, Side};
pub use self::publishing::{publish_process, publish_report, publish_tally};
pub use self::recording::*;
use crate::cli::REVISION;
use crate::label::Label as _;
use crate::pglog::SqlState;
use crate::replay::account::bottleneck;
use crate::replay::account::policy::Tally;
use crate::replay::order::footprint::Widening;
use crate::replay::order::stalls::StallBreak;
use crate::replay::report::Report;
use crate::replay::session::waits::Wait;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, in [`Metric::buckets`].
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

impl Metric {
    /// The upper bounds of a histogram's buckets.
    pub fn buckets(&self) -> &'static [f64] {
        match self.name {
            name if name == SCHEDULE_DELAY_SECONDS.name => &DELAY_BUCKETS,
            name if name == STATEMENT_DURATION_RATIO.name => &RATIO_BUCKETS,
            _ => &SECONDS_BUCKETS,
        }
    }

    /// Counts so many more, where it has no labels.
    pub fn add(&self, more: u64) {
        counter!(self.name).increment(more);
    }

    /// Shows this, where it has no labels.
    pub fn set(&self, value: f64) {
        gauge!(self.name).set(value);
    }

    /// Whether it is a counter of parts of seconds. The recorder's counters are whole numbers: such a
    /// one is recorded as a gauge, which [`render`] shows as the counter that it is.
    fn is_fractional(&self) -> bool {
        self.kind == Kind::Counter && self.unit == Unit::Seconds
    }
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
    RECORDS_READ: Counter, "kreplay_records_read_total", ["kind"], Count,
        "Records by what they are; those that wait for others of another partition are not read yet.";
    RECORDS: Counter, "kreplay_records_total", ["result"], Count,
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
    STATEMENTS: Counter, "kreplay_statements_total", ["command", "outcome"], Count,
        "Statements that ran, by what they do and by the target's outcome compared with the source's.";
    ERRORS: Counter, "kreplay_errors_total", ["side", "class"], Count,
        "Errors on each side by SQLSTATE class; those that ended a session of the source count on both, since its end is reproduced.";
    STATEMENT_SOURCE_SECONDS: Histogram, "kreplay_statement_source_seconds", [], Seconds,
        "How long statements ran on the source, where its log says so.";
    STATEMENT_TARGET_SECONDS: Histogram, "kreplay_statement_target_seconds", [], Seconds,
        "How long statements ran on the target, from sending to the last answer.";
    STATEMENT_SERVER_SECONDS: Histogram, "kreplay_statement_server_seconds", ["command"], Seconds,
        "How long the target's server took for statements by its own clock, where it says so, by what they do.";
    STATEMENTS_TIMED: Counter, "kreplay_statements_timed_total", ["clock"], Count,
        "Statements that ran, by who measured them on the target: its server, or kreplay, the way there included.";
    STATEMENT_DURATION_RATIO: Histogram, "kreplay_statement_duration_ratio", [], Count,
        "How long statements ran on the target, divided by how long they ran on the source, where its log says so.";
    SHAPES: Gauge, "kreplay_shapes", ["verdict"], Count,
        "Query shapes that are told apart, by whether they take longer on the target than on the source, beyond the machine's factor.";
    MACHINE_FACTOR: Gauge, "kreplay_machine_factor", [], Count,
        "How many times as long as on the source the query shapes take on the target, all of them together; 0 while that is not known.";
    COMPARED_CALLS: Gauge, "kreplay_compared_calls", ["pace"], Count,
        "Calls with a duration on both sides, by whether the verdict on their shape rests on them.";
    WAITED_SECONDS: Counter, "kreplay_waited_seconds_total", ["reason"], Seconds,
        "How long statements (backpressure: the reading) have waited, all of them together, by what for; target: ran there. Its growth in a second is how many waited on average.";
    BOTTLENECK_RATIO: Gauge, "kreplay_bottleneck_ratio", ["by"], Count,
        "Share of the last minute that was bound by the source, the order, the target or kreplay itself; the sum is 1.";
    SCHEDULE_DELAY_SECONDS: Histogram, "kreplay_schedule_delay_seconds", [], Seconds,
        "How late statements started behind their schedule, under --speed FACTOR.";
    STATEMENTS_IN_FLIGHT: Gauge, "kreplay_statements_in_flight", [], Count,
        "Statements handed to sessions and not yet finished.";
    SESSIONS: Gauge, "kreplay_sessions", ["state"], Count,
        "Sessions by what they are doing.";
    SOURCE_SESSIONS: Gauge, "kreplay_source_sessions", [], Count,
        "Sessions whose log is followed: those that have not ended, and for an hour those whose end was not logged.";
    SESSIONS_CLOSED: Counter, "kreplay_sessions_closed_total", ["reason"], Count,
        "Sessions that ended, by why.";
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
        "The offset that a restart continues from.";
    CONSUMER_LOW_WATERMARK: Gauge, "kreplay_consumer_low_watermark", ["partition"], Count,
        "The oldest offset that the partition still holds.";
    CONSUMER_HIGH_WATERMARK: Gauge, "kreplay_consumer_high_watermark", ["partition"], Count,
        "The offset that the partition's next record will have.";
    CONSUMER_LAG: Gauge, "kreplay_consumer_lag", ["partition"], Count,
        "Records in the partition that have not been read: high watermark less position.";
    REPLAY_LAG_SECONDS: Gauge, "kreplay_replay_lag_seconds", [], Seconds,
        "How long ago the source logged what was replayed last; 0 once everything has been.";
    CONNECTED: Gauge, "kreplay_connected", ["side"], Count,
        "1 while the source and the target can be reached, or one is not needed (--dry-run), 0 otherwise: what /readyz looks at.";
    STALLS_BROKEN: Counter, "kreplay_stalls_broken_total", ["reason"], Count,
        "Statements that waited for a lock whose end stands later in the log, by how they were freed.";
    STALLED: Gauge, "kreplay_stalled", [], Count,
        "1 while nothing has ended for --stall-timeout and something in flight waits for what the target does not work on, 0 otherwise; the log and /report tell for what.";
    STATEMENTS_WAITING: Gauge, "kreplay_statements_waiting", [], Count,
        "Statements that have been read and wait for others that they conflict with (--order conflict).";
    FOOTPRINT_FALLBACKS: Counter, "kreplay_footprint_fallbacks_total", ["scope", "reason"], Count,
        "Statements of which less is known than the rows they touch, by what they are taken to touch instead and why (--order conflict).";
    DEPENDENCY_CYCLES_BROKEN: Counter, "kreplay_dependency_cycles_broken_total", [], Count,
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
    TARGET_CONFLICTS_RETRIED: Counter, "kreplay_target_conflicts_retried_total", ["sqlstate"], Count,
        "Transactions run again because the target, and not the source, failed them for a deadlock or a serialization failure.";
    UNKNOWN_SNAPSHOTS: Counter, "kreplay_unknown_snapshots_total", [], Count,
        "SET TRANSACTION SNAPSHOT left out because no replayed transaction has exported that snapshot: its transaction sees what the target holds.";
    TYPE_GUESSES: Counter, "kreplay_type_guesses_total", [], Count,
        "Statements prepared again with parameter types guessed from the values.";
    UNKNOWN_DRAWS: Counter, "kreplay_unknown_draws_total", [], Count,
        "Statements that failed on the source for what happened around them and may have drawn from sequences there, how often the log does not tell: later numbers can differ.";
    IN_DOUBT: Counter, "kreplay_in_doubt_total", [], Count,
        "Commits whose connection was lost before the answer: they may or may not have happened.";
    LATE_FAILURES: Counter, "kreplay_late_failures_total", [], Count,
        "Statements that had succeeded when the log told that they failed on the source (log_statement logs a statement when it starts).";
    SILENT_ROLLBACKS: Counter, "kreplay_silent_rollbacks_total", [], Count,
        "Transactions rolled back because their session was silent for --idle-timeout or held up others; they are run again if it continues.";
    KEPT_IDLE: Counter, "kreplay_idle_connections_kept_total", [], Count,
        "Times that a session silent for --idle-timeout kept its connection, since it had temporary objects, session-level advisory locks or cursors WITH HOLD.";
    IN_FLIGHT_LIMIT_OVERRIDES: Counter, "kreplay_in_flight_limit_overrides_total", [], Count,
        "Times that reading went past --max-in-flight, since everything in flight waited for what had not been read.";
    HTTP_REFUSED: Counter, "kreplay_http_requests_refused_total", ["reason"], Count,
        "HTTP requests that were refused, by reason.";
    LOG_LINES_LOST: Counter, "kreplay_log_lines_lost_total", [], Count,
        "Lines of the log that standard error did not take: its disk is full, or the reader of its pipe has gone.";
    BUILD_INFO: Gauge, "kreplay_build_info", ["version", "revision"], Count,
        "Always 1; the labels tell the version and the git revision.";
    PROCESS_CPU_SECONDS: Counter, "process_cpu_seconds_total", [], Seconds,
        "CPU time that the process has used, user and system.";
    PROCESS_START_TIME: Gauge, "process_start_time_seconds", [], Seconds,
        "When the process started, in Unix seconds.";
    PROCESS_RESIDENT_MEMORY: Gauge, "process_resident_memory_bytes", [], Bytes,
        "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL_MEMORY: Gauge, "process_virtual_memory_bytes", [], Bytes,
        "Address space of the process.";
    PROCESS_VIRTUAL_MEMORY_MAX: Gauge, "process_virtual_memory_max_bytes", [], Bytes,
        "Address space that the process may have.";
    PROCESS_OPEN_FDS: Gauge, "process_open_fds", [], Count,
        "File descriptors that the process has open.";
    PROCESS_MAX_FDS: Gauge, "process_max_fds", [], Count,
        "File descriptors that the process may have open.";
    PROCESS_THREADS: Gauge, "process_threads", [], Count,
        "Threads of the process.";
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

/// The upper bounds of the ratio's histogram: close around 1, where a change is looked for.
pub const RATIO_BUCKETS: [f64; 15] =
    [0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 5.0, 10.0, 100.0];

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
        builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets())
    })
}

/// The metrics in Prometheus's text format.
pub fn render(recorder: &PrometheusHandle) -> String {
    let mut text = recorder.render();
    for metric in ALL.iter().filter(|metric| metric.is_fractional()) {
        let kind = format!("# TYPE {} ", metric.name);
        if let Some(at) = text.find(&kind) {
            let at = at + kind.len();
            text.replace_range(at..at + "gauge".len(), "counter");
        }
    }
    text
}

/// Describes every metric and brings each series whose labels are known into being at zero.
fn describe_and_touch() {
    for metric in ALL {
        let (name, unit, help) = (metric.name, metric.unit, metric.help);
        match metric.kind {
            Kind::Counter if metric.is_fractional() => describe_gauge!(name, unit, help),
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram => describe_histogram!(name, unit, help),
        }
        match (metric.kind, metric.labels) {
            (Kind::Counter, []) if metric.is_fractional() => gauge!(name).set(0.0),
            (Kind::Counter, []) => counter!(name).absolute(0),
            (Kind::Gauge, []) => gauge!(name).set(0.0),
            // Registered, a histogram is shown with empty buckets.
            (Kind::Histogram, []) => drop(histogram!(name)),
            // The series with labels follow.
            _ => {}
        }
    }
    drop((Statements::new(), Records::new()));
    for &state in SessionState::ALL {
        sessions(state, 0);
    }
    for &reason in SessionEnd::ALL {
        counter!(SESSIONS_CLOSED.name, "reason" => reason.label()).absolute(0);
    }
    for &reason in Eviction::ALL {
        counter!(EVICTIONS.name, "reason" => reason.label()).absolute(0);
    }
    for &reason in StallBreak::ALL {
        counter!(STALLS_BROKEN.name, "reason" => reason.label()).absolute(0);
    }
    for code in [SqlState::DEADLOCK_DETECTED, SqlState::SERIALIZATION_FAILURE] {
        counter!(TARGET_CONFLICTS_RETRIED.name, "sqlstate" => code.to_string()).absolute(0);
    }
    for &why in Widening::ALL {
        footprint_fallbacks(why, 0);
    }
    for &wait in Wait::ALL {
        gauge!(WAITED_SECONDS.name, "reason" => wait.label()).set(0.0);
    }
    bottleneck(bottleneck::AT_START);
    for &reason in HttpRefusal::ALL {
        counter!(HTTP_REFUSED.name, "reason" => reason.label()).absolute(0);
    }
    for &side in Side::ALL {
        connected(side, false);
    }
    publish_tally(&Tally::default());
    publish_report(&Report::default());
    gauge!(BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION"), "revision" => REVISION)
        .set(1.0);
    publish_process();
}
