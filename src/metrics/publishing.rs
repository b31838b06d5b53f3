//! What is kept elsewhere and shown when somebody looks.

use std::collections::BTreeMap;

use metrics::{counter, gauge};

use super::{
    COMPARED_CALLS, ERRORS, MACHINE_FACTOR, PROCESS_CPU_SECONDS, PROCESS_MAX_FDS, PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME, PROCESS_THREADS, PROCESS_VIRTUAL_MEMORY,
    PROCESS_VIRTUAL_MEMORY_MAX, Pace, RECORDS, RECORDS_CONSUMED, RECORDS_FILTERED,
    RECORDS_GIVEN_UP, RECORDS_PENDING, RECORDS_REJECTED, RECORDS_SKIPPED, SHAPES, Side,
};
use crate::label::Label as _;
use crate::pglog::{ERROR_CLASSES, Malformed, OTHER_CLASS, error_class};
use crate::replay::account::ledger::{Fate, Ledger};
use crate::replay::account::policy::Tally;
use crate::replay::report::{PaceCounts, Report, Verdict};

/// Shows the account of the run. All its numbers come from one copy, so that they balance in every
/// scrape that renders right after this.
pub fn publish_tally(tally: &Tally) {
    publish_ledger(&tally.records);
    publish_errors(Side::Source, &tally.source_errors);
    publish_errors(Side::Target, &tally.target_errors);
}

fn publish_ledger(ledger: &Ledger) {
    counter!(RECORDS_CONSUMED.name).absolute(ledger.consumed());
    gauge!(RECORDS_PENDING.name).set(ledger.pending() as f64);
    for (fate, records) in ledger.by_fate() {
        counter!(RECORDS.name, "result" => fate).absolute(records);
    }
    for reason in Malformed::REASONS {
        counter!(RECORDS_REJECTED.name, "reason" => reason).absolute(0);
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

fn publish_errors(side: Side, by_code: &BTreeMap<String, u64>) {
    let mut by_class: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (code, errors) in by_code {
        let class = code.parse().map_or(OTHER_CLASS, error_class);
        *by_class.entry(class).or_default() += errors;
    }
    for class in ERROR_CLASSES.into_iter().chain([OTHER_CLASS]) {
        let errors = by_class.get(class).copied().unwrap_or_default();
        counter!(ERRORS.name, "side" => side.label(), "class" => class).absolute(errors);
    }
}

/// Shows what the report tells of durations.
pub fn publish_report(report: &Report) {
    for &verdict in Verdict::ALL {
        let shapes = report.verdicts.count(verdict);
        gauge!(SHAPES.name, "verdict" => verdict.label()).set(shapes as f64);
    }
    gauge!(MACHINE_FACTOR.name).set(report.factor.map_or(0.0, |factor| factor.ratio));
    let PaceCounts { judged, off_pace, cold } = report.paces();
    for (pace, calls) in [(Pace::Judged, judged), (Pace::OffPace, off_pace), (Pace::Cold, cold)] {
        gauge!(COMPARED_CALLS.name, "pace" => pace.label()).set(calls as f64);
    }
}

/// Shows what the system says of this process, as far as it says anything.
pub fn publish_process() {
    let process = metrics_process::collector::collect();
    if let Some(seconds) = process.cpu_seconds_total {
        gauge!(PROCESS_CPU_SECONDS.name).set(seconds);
    }
    for (metric, number) in [
        (PROCESS_START_TIME, process.start_time_seconds),
        (PROCESS_RESIDENT_MEMORY, process.resident_memory_bytes),
        (PROCESS_VIRTUAL_MEMORY, process.virtual_memory_bytes),
        (PROCESS_VIRTUAL_MEMORY_MAX, process.virtual_memory_max_bytes),
        (PROCESS_OPEN_FDS, process.open_fds),
        (PROCESS_MAX_FDS, process.max_fds),
        (PROCESS_THREADS, process.threads),
    ] {
        if let Some(number) = number {
            gauge!(metric.name).set(number as f64);
        }
    }
}
