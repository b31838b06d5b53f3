use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use strum::VariantNames as _;

use super::*;
use crate::pglog::{ERROR_CLASSES, RecordKind};
use crate::replay::account::bottleneck::Bound;
use crate::replay::account::ledger::{Fate, Filtered, GivenUp, Ledger, Skipped};
use crate::replay::account::policy::Outcome;
use crate::replay::account::progress::PartitionProgress;
use crate::replay::report::factor::Factor;
use crate::replay::report::{PaceCounts, QueryShape, Verdict, Verdicts};
use crate::replay::session::request::Took;
use crate::replay::session::waits::Waits;
use crate::sql::Verb;

/// What `record` leaves in a scrape of a recorder of its own.
fn scrape(record: impl FnOnce()) -> String {
    let recorder = builder().unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        describe_and_touch();
        record();
    });
    render(&handle)
}

fn value(scrape: &str, series: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{scrape}")).parse().unwrap()
}

#[test]
fn every_metric_is_there_at_the_start_with_help_and_type() {
    let scrape = scrape(|| ());
    for metric in ALL {
        // Known only when the topic is.
        let known = !metric.labels.contains(&"partition");
        assert_eq!(scrape.contains(&format!("# HELP {} ", metric.name)), known, "{metric:?}");
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let kind = format!("# TYPE {} {kind}\n", metric.name);
        assert_eq!(scrape.contains(&kind), known, "{metric:?}");
    }
    assert_eq!(value(&scrape, "kreplay_records_skipped_total{reason=\"copy_data\"}"), 0.0);
    assert_eq!(value(&scrape, "kreplay_records_rejected_total{reason=\"torn\"}"), 0.0);
    assert_eq!(value(&scrape, "kreplay_statement_target_seconds_count"), 0.0);
    assert_eq!(value(&scrape, "kreplay_bottleneck_ratio{by=\"source\"}"), 1.0);
    let series = |metric: &Metric| {
        scrape.lines().filter(|line| line.starts_with(&format!("{}{{", metric.name))).count()
    };
    assert_eq!(series(&STATEMENTS), Verb::ALL.len() * Outcome::ALL.len());
    assert_eq!(series(&ERRORS), 2 * (ERROR_CLASSES.len() + 1));
    assert_eq!(series(&RECORDS_READ), RecordKind::ALL.len());
    assert_eq!(series(&SESSIONS_CLOSED), SessionEnd::ALL.len());
    assert_eq!(series(&WAITED_SECONDS), Wait::ALL.len());
    assert_eq!(series(&BOTTLENECK_RATIO), Bound::ALL.len());
}

#[test]
fn the_process_is_described_as_by_every_prometheus_client() {
    let scrape = scrape(|| ());
    assert!(value(&scrape, "process_start_time_seconds") > 1.7e9);
    assert!(value(&scrape, "process_resident_memory_bytes") > 1e5);
    assert!(value(&scrape, "process_virtual_memory_bytes") > 1e5);
    assert!(value(&scrape, "process_open_fds") <= value(&scrape, "process_max_fds"));
    assert!(value(&scrape, "process_threads") >= 1.0);
    assert!(value(&scrape, "process_cpu_seconds_total") >= 0.0);
}

#[test]
fn promtool_has_nothing_to_object_to() {
    let at = PartitionProgress {
        position: 1,
        committed: Some(1),
        high_watermark: 2,
        ..PartitionProgress::default()
    };
    let scrape = scrape(|| partition(&at));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setup/install brings promtool (Debian: prometheus)");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(scrape.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert_eq!((output.status.success(), said), (true, [String::new(), String::new()]));
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for metric in ALL {
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{metric:?}");
        let seconds = metric.name.trim_end_matches("_total").ends_with("_seconds");
        assert_eq!(seconds, metric.unit == Unit::Seconds, "{metric:?}");
        assert!(metric.name.starts_with("kreplay_") || metric.name.starts_with("process_"));
    }
}

#[test]
fn the_ledger_balances_in_a_scrape() {
    let mut ledger = Ledger::new();
    ledger.consume(10);
    ledger.settle_many(Fate::Replayed, 4);
    ledger.settle(Fate::Failed);
    ledger.settle(Fate::Filtered(Filtered::Noise));
    ledger.settle(Fate::Skipped(Skipped::Truncated));
    ledger.settle(Fate::Rejected("columns"));
    ledger.settle(Fate::GivenUp(GivenUp::ConnectionLost));
    let tally = Tally { records: ledger, ..Tally::default() };
    let scrape = scrape(|| publish_tally(&tally));
    let fates: f64 = Fate::VARIANTS
        .iter()
        .map(|fate| value(&scrape, &format!("kreplay_records_total{{result=\"{fate}\"}}")))
        .sum();
    let pending = value(&scrape, "kreplay_records_pending");
    assert_eq!((fates, pending), (9.0, 1.0));
    assert_eq!(value(&scrape, "kreplay_records_consumed_total"), fates + pending);
    assert_eq!(value(&scrape, "kreplay_records_rejected_total{reason=\"columns\"}"), 1.0);
}

#[test]
fn the_report_is_shown_by_verdict_and_pace() {
    let shape = |judged| QueryShape {
        pace: PaceCounts { judged, off_pace: 7, cold: 1 },
        ..QueryShape::default()
    };
    let report = Report {
        verdicts: Verdicts { degraded: 3, same: 40, ..Verdicts::default() },
        factor: Some(Factor {
            ratio: 0.82,
            low: 0.8,
            high: 0.85,
            spread: 0.02,
            allowance: 0.06,
            shapes: 43,
        }),
        shapes: vec![shape(10), shape(20)],
        rest: Some(shape(5)),
        ..Report::default()
    };
    let scrape = scrape(|| publish_report(&report));
    assert_eq!(value(&scrape, "kreplay_shapes{verdict=\"degraded\"}"), 3.0);
    assert_eq!(value(&scrape, "kreplay_shapes{verdict=\"same\"}"), 40.0);
    assert_eq!(value(&scrape, "kreplay_machine_factor"), 0.82);
    assert_eq!(value(&scrape, "kreplay_compared_calls{pace=\"judged\"}"), 35.0);
    assert_eq!(value(&scrape, "kreplay_compared_calls{pace=\"off_pace\"}"), 21.0);
    assert_eq!(value(&scrape, "kreplay_compared_calls{pace=\"cold\"}"), 3.0);
}

#[test]
fn statements_are_sorted_into_buckets_and_outcomes() {
    let scrape = scrape(|| {
        let statements = Statements::new();
        let took = |ms: f64| Took {
            at_most: Duration::from_secs_f64(ms / 1e3),
            together: 1,
            on_server: None,
        };
        statements.ran(Verb::Select, Some(0.003), took(7.0), Outcome::Same);
        statements.ran(Verb::Ddl, None, took(70_000.0), Outcome::NewError);
        statements.ran(Verb::Select, Some(0.0), took(0.4), Outcome::Same);
    });
    let target = |le: &str| {
        value(&scrape, &format!("kreplay_statement_target_seconds_bucket{{le=\"{le}\"}}"))
    };
    assert_eq!((target("0.005"), target("0.01"), target("60"), target("+Inf")), (1., 2., 2., 3.));
    assert_eq!(value(&scrape, "kreplay_statement_source_seconds_count"), 2.0);
    let ratio = |le: &str| {
        value(&scrape, &format!("kreplay_statement_duration_ratio_bucket{{le=\"{le}\"}}"))
    };
    assert_eq!((ratio("2"), ratio("5"), ratio("+Inf")), (0.0, 1.0, 1.0), "7 ms instead of 3");
    let ran = |command, outcome| {
        let labels = format!("command=\"{command}\",outcome=\"{outcome}\"");
        value(&scrape, &format!("kreplay_statements_total{{{labels}}}"))
    };
    assert_eq!((ran("select", "same"), ran("ddl", "new_error"), ran("ddl", "same")), (2., 1., 0.));
}

#[test]
fn a_statement_that_the_server_has_measured_counts_by_the_servers_clock() {
    let scrape = scrape(|| {
        let statements = Statements::new();
        let ms = Duration::from_millis;
        let by_client = Took { at_most: ms(9), together: 1, on_server: None };
        let by_server = Took { on_server: Some(ms(3)), ..by_client };
        statements.ran(Verb::Select, Some(0.003), by_server, Outcome::Same);
        statements.ran(Verb::Select, None, by_client, Outcome::Same);
    });
    let clock = |clock: &str| {
        value(&scrape, &format!("kreplay_statements_timed_total{{clock=\"{clock}\"}}"))
    };
    assert_eq!((clock("server"), clock("client")), (1.0, 1.0));
    let server = |le: &str| {
        let labels = format!("command=\"select\",le=\"{le}\"");
        value(&scrape, &format!("kreplay_statement_server_seconds_bucket{{{labels}}}"))
    };
    assert_eq!((server("0.0025"), server("0.005"), server("+Inf")), (0.0, 1.0, 1.0));
    let ratio = "kreplay_statement_duration_ratio_bucket{le=\"1\"}";
    assert_eq!(value(&scrape, ratio), 1.0, "3 ms on both");
    let target = "kreplay_statement_target_seconds_bucket{le=\"0.005\"}";
    assert_eq!(value(&scrape, target), 0.0, "9 ms with the way there");
}

#[test]
fn errors_are_counted_by_class_on_each_side() {
    let errors = |codes: &[(&str, u64)]| codes.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
    let tally = Tally {
        source_errors: errors(&[("23505", 2), ("23503", 3)]),
        target_errors: errors(&[("42P01", 1), ("MY001", 4), ("MY002", 4)]),
        ..Tally::default()
    };
    let scrape = scrape(|| publish_tally(&tally));
    let errors = |side: &str, class: &str| {
        value(&scrape, &format!("kreplay_errors_total{{side=\"{side}\",class=\"{class}\"}}"))
    };
    assert_eq!((errors("source", "23"), errors("target", "23")), (5.0, 0.0));
    assert_eq!((errors("target", "42"), errors("target", "other")), (1.0, 8.0));
}

#[test]
fn parts_of_seconds_count_and_are_shown_as_counters() {
    let scrape = scrape(|| {
        let mut waits = Waits::default();
        waits.add(Wait::Order, 3, Duration::from_millis(250));
        waited(&waits);
        waited(&waits);
    });
    assert_eq!(value(&scrape, "kreplay_waited_seconds_total{reason=\"order\"}"), 1.5);
    assert_eq!(value(&scrape, "kreplay_waited_seconds_total{reason=\"target\"}"), 0.0);
    assert!(scrape.contains("# TYPE kreplay_waited_seconds_total counter\n"));
}

#[test]
fn delays_are_sorted_into_buckets_of_their_own() {
    let scrape = scrape(|| Statements::new().started(Duration::from_micros(1900)));
    let delay =
        |le: &str| value(&scrape, &format!("kreplay_schedule_delay_seconds_bucket{{le=\"{le}\"}}"));
    assert_eq!((delay("0.0015"), delay("0.002"), delay("3600")), (0.0, 1.0, 1.0));
}

#[test]
fn the_lag_of_a_partition_is_what_was_not_read_of_it() {
    let (position, high_watermark) = (40, 42);
    let at = PartitionProgress { partition: 3, position, high_watermark, ..Default::default() };
    let scrape = scrape(|| partition(&at));
    assert_eq!(value(&scrape, "kreplay_consumer_lag{partition=\"3\"}"), 2.0);
    assert!(!scrape.contains("kreplay_consumer_committed_offset{"));
}

const DOCUMENTATION: &str = include_str!("../../docs/reference/metrics.md");

#[test]
fn the_documentation_lists_exactly_the_metrics_there_are_with_their_labels() {
    for metric in ALL {
        let start =
            format!("| `{}` | {} |", metric.name, format!("{:?}", metric.kind).to_lowercase());
        let row = DOCUMENTATION.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/reference/metrics.md has no row {start}"));
        assert!(metric.labels.iter().all(|label| row.contains(&format!("`{label}`"))), "{row}");
        let help = metric.help;
        assert_eq!(row.replace('`', "").rsplit(" | ").next(), Some(&*format!("{help} |")));
    }
    let names =
        DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<_> =
        names.filter(|name| name.starts_with("kreplay_") || name.starts_with("process_")).collect();
    assert_eq!(listed, ALL.iter().map(|metric| metric.name).collect());
}

#[test]
fn the_documentation_tells_what_each_value_of_a_label_means() {
    let mut rows = Vec::new();
    let mut add = |label: &str, values: Vec<&'static str>| {
        rows.extend(values.into_iter().map(|value| format!("| {label} | `{value}` |")));
    };
    add("`kind`", RecordKind::ALL.iter().map(|value| value.label()).collect());
    add("`result`", Fate::VARIANTS.to_vec());
    add("`filtered`", Filtered::ALL.iter().map(|value| value.label()).collect());
    add("`skipped`", Skipped::ALL.iter().map(|value| value.label()).collect());
    add("`given_up`", GivenUp::ALL.iter().map(|value| value.label()).collect());
    add("`command`", Verb::ALL.iter().map(|value| value.label()).collect());
    add("`outcome`", Outcome::ALL.iter().map(|value| value.label()).collect());
    add("`clock`", Clock::ALL.iter().map(|value| value.label()).collect());
    add("`side`", Side::ALL.iter().map(|value| value.label()).collect());
    add("waited `reason`", Wait::ALL.iter().map(|value| value.label()).collect());
    add("`by`", Bound::ALL.iter().map(|value| value.label()).collect());
    add("`state`", SessionState::ALL.iter().map(|value| value.label()).collect());
    add("closed `reason`", SessionEnd::ALL.iter().map(|value| value.label()).collect());
    add("eviction `reason`", Eviction::ALL.iter().map(|value| value.label()).collect());
    add("http `reason`", HttpRefusal::ALL.iter().map(|value| value.label()).collect());
    add("`verdict`", Verdict::ALL.iter().map(|value| value.label()).collect());
    add("`pace`", Pace::ALL.iter().map(|value| value.label()).collect());
    add("stall `reason`", StallBreak::ALL.iter().map(|value| value.label()).collect());
    rows.extend(Widening::ALL.iter().map(|value| format!("| `{}` | ", value.label())));
    for row in rows {
        assert!(DOCUMENTATION.contains(&row), "docs/reference/metrics.md has no row {row}");
    }
}
