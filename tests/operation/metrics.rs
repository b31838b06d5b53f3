//! What the metrics tell of a real replay.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use kreplay::pglog::ERROR_CLASSES;

use testkit::fixture::{Fixture, csv_records};
use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;

/// The series of a metric together, those whose labels hold this.
fn sum(metrics: &HashMap<String, f64>, name: &str, label: &str) -> f64 {
    let name = format!("{name}{{");
    let series = metrics.iter().filter(|(s, _)| s.starts_with(&name) && s.contains(label));
    series.map(|(_, value)| value).sum()
}

fn bound_by(metrics: &HashMap<String, f64>, by: &str) -> f64 {
    metrics[&format!("kreplay_bottleneck_ratio{{by=\"{by}\"}}")]
}

#[test]
fn what_was_replayed_from_a_topic_is_counted_by_what_it_was_and_then_the_source_is_waited_for() {
    let fixture = Fixture::load("15-B-errors");
    let (server, broker) = (Server::start(15), kafka::shared());
    fixture.set_up(&server);
    let topic = broker.topic("metrics", 1);
    let records = csv_records(&fs::read(fixture.csv()).expect("a log"));
    broker.produce(&topic, 0, records.iter().map(Vec::as_slice));
    let source = ["-t", &topic, "-b", broker.address()];
    let mut replay = Kreplay::new().args(source).target(&server).spawn();
    let consumed = records.len() as f64;
    replay.wait_for(|metrics| {
        metrics["kreplay_records_consumed_total"] == consumed
            && metrics["kreplay_records_pending"] == 0.0
            && bound_by(metrics, "source") > 0.5
            && sum(metrics, "kreplay_sessions_closed_total", "") > 0.0
    });
    let metrics = replay.metrics();
    let of = |name: &str, label: &str| sum(&metrics, name, label);
    assert_eq!(of("kreplay_records_read_total", ""), consumed, "{metrics:#?}");
    assert!(of("kreplay_records_read_total", "kind=\"error\"") > 0.0, "{metrics:#?}");
    assert!(of("kreplay_records_read_total", "kind=\"connection\"") > 0.0, "{metrics:#?}");
    let statements = of("kreplay_statements_total", "");
    assert_eq!(statements, metrics["kreplay_statement_target_seconds_count"]);
    assert!(of("kreplay_statements_total", "command=\"insert\"") > 0.0, "{metrics:#?}");
    for side in ["source", "target"] {
        let errors = of("kreplay_errors_total", &format!("side=\"{side}\",class=\"23\""));
        assert!(errors > 0.0, "{side}: {metrics:#?}");
    }
    assert!(metrics["kreplay_waited_seconds_total{reason=\"target\"}"] > 0.0, "{metrics:#?}");
    assert!((of("kreplay_bottleneck_ratio", "") - 1.0).abs() < 1e-9, "{metrics:#?}");
    replay.term();
    let finished = replay.wait().well();
    let waited = finished.report["waits"]["target"].as_f64();
    assert!(waited.is_some_and(|seconds| seconds > 0.0), "{finished}");
}

#[test]
fn what_the_topic_drops_raises_the_low_watermark() {
    let (server, broker) = (Server::start(15), kafka::shared());
    let topic = broker.topic("dropped", 1);
    let log = Log::new().ended(1, ["select 1", "select 2", "select 3"]);
    broker.produce(&topic, 0, log.records().iter().map(Vec::as_slice));
    let source = ["-t", &topic, "-b", broker.address()];
    let mut replay = Kreplay::new().args(source).target(&server).spawn();
    let low = "kreplay_consumer_low_watermark{partition=\"0\"}";
    replay.wait_for(|metrics| {
        metrics["kreplay_records_consumed_total"] == log.records().len() as f64
            && metrics.get(low) == Some(&0.0)
    });
    broker.delete_records(&topic, 0, 2);
    replay.wait_for(|metrics| metrics[low] == 2.0);
    replay.kill();
}

/// Sessions that take turns at statements which take long on the target.
fn slow_log() -> Log {
    (1..=60).fold(Log::new(), |log, place| {
        let session = 1 + place % 4;
        let client = Client { database: "postgres", ..Client::default() };
        let log = if place <= 4 { log.client(session, client) } else { log };
        log.ended(session, ["select pg_sleep(0.2)"])
    })
}

/// Who a replay of that is bound by, after some seconds.
fn slow_target_is_bound_by(order: &str, by: &str) {
    let (server, log) = (Server::start(15), slow_log().file());
    let replay = Kreplay::new().args(["--order", order, "--input"]).arg(log.path());
    let mut replay = replay.target(&server).spawn();
    // The first second is that of the start.
    replay.wait_for(|metrics| bound_by(metrics, by) > 0.5);
    replay.kill();
}

#[test]
fn a_slow_target_is_the_bottleneck_where_every_session_may_run() {
    slow_target_is_bound_by("session", "target");
}

#[test]
fn the_order_is_the_bottleneck_where_sessions_wait_for_the_turn_of_one() {
    slow_target_is_bound_by("serial", "order");
}

#[test]
fn the_classes_of_errors_are_those_of_postgresql_18() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/postgres-18/share/errcodes.txt");
    let errcodes = fs::read_to_string(path).expect("setup/install brings PostgreSQL 18");
    let errors = errcodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("E"));
    let classes: BTreeSet<_> = errors.map(|line| &line[..2]).collect();
    assert_eq!(classes, ERROR_CLASSES.into_iter().collect());
}
