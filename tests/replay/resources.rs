//! What the target spent on a replay, by its own statistics.

use std::fs;

use serde_json::Value;

use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;

const SET_UP: &str =
    "create table t (k int primary key, v text); insert into t values (0, 'before')";

/// A server whose statements are counted one by one.
fn counting(version: u32) -> Server {
    let server = Server::start_with(version, |data| {
        let file = data.join("postgresql.conf");
        let before = fs::read_to_string(&file).expect("a postgresql.conf");
        let preloads = "shared_preload_libraries = 'pg_stat_statements'\n";
        fs::write(file, before + preloads).expect("it can be written");
    });
    server.query("create database app; create role alice login");
    server.query_in("app", SET_UP);
    // In neither the database nor the schema where it is looked for first.
    server.query_in("app", "create schema tools; create extension pg_stat_statements schema tools");
    server.query_in("app", "select v from t where k = 0; select 'hunter2', pg_sleep(0)");
    server
}

fn log() -> Log {
    let inserts = (1..=20).map(|k| format!("insert into t values ({k}, repeat('x', 500))"));
    let reads = (1..=30).map(|k| format!("select v from t where k = {k}"));
    Log::new().ended(1, inserts).ended(2, reads).disconnected(1).disconnected(2)
}

fn shape<'a>(report: &'a Value, query: &str) -> &'a Value {
    let mut shapes = report["shapes"].as_array().expect("shapes").iter();
    let found =
        shapes.find(|shape| shape["query"].as_str().is_some_and(|it| it.starts_with(query)));
    found.unwrap_or_else(|| panic!("no {query} in {report:#}"))
}

#[test]
fn what_the_target_counts_during_a_replay_is_in_the_report() {
    for (version, views) in [
        (15, &["pg_stat_bgwriter", "pg_stat_database", "pg_stat_wal"][..]),
        (
            18,
            &[
                "pg_stat_bgwriter",
                "pg_stat_checkpointer",
                "pg_stat_database",
                "pg_stat_io (client backend)",
                "pg_stat_wal",
            ],
        ),
    ] {
        let (server, log) = (counting(version), log().file());
        let finished = Kreplay::new().target(&server).arg("--input").arg(log.path()).run().well();
        let report = &finished.report;

        let resources = &report["resources"];
        let found: Vec<&String> = resources.as_object().expect("by view").keys().collect();
        for view in views {
            assert!(found.iter().any(|found| found == view), "{view}: {report:#}");
        }
        let database = &resources["pg_stat_database"];
        // Each statement is a transaction; kreplay's own questions are some more.
        let commits = database["xact_commit"].as_f64().expect("a number");
        assert!((50.0..200.0).contains(&commits), "{resources:#}");
        assert_eq!(database["tup_inserted"], 20.0, "{resources:#}");
        assert!(resources["pg_stat_wal"]["wal_bytes"].as_f64() > Some(10_000.0), "{resources:#}");
        // No more than that kreplay's own are in it.
        let notes = report["resource_notes"].as_array().expect("a list");
        let own =
            notes.iter().filter_map(Value::as_str).map(|note| note.contains("kreplay asks itself"));
        assert_eq!(own.collect::<Vec<_>>(), [true], "{report:#}");
        assert_eq!(report["resource_period"]["gap"], Value::Null, "{report:#}");

        let reads = &shape(report, "select v from t")["resources"];
        assert_eq!((&reads["calls"], &reads["rows"]), (&30.0.into(), &20.0.into()), "{reads:#}");
        assert!(reads["blocks_hit"].as_f64() > Some(30.0), "{reads:#}");
        let inserts = &shape(report, "insert into t")["resources"];
        assert_eq!(inserts["calls"], 20.0, "{inserts:#}");
        assert!(inserts["wal_bytes"].as_f64() > Some(10_000.0), "{inserts:#}");
        assert!(inserts["exec_ms"].as_f64() > Some(0.0), "{inserts:#}");
        let told = finished.stdout.lines().any(|line| line.starts_with("target spent  "));
        assert!(told, "{finished}");
        assert!(!report.to_string().contains("hunter2"), "{report:#}");
    }
}

#[test]
fn what_may_not_be_read_is_said_and_stops_nothing() {
    let (server, log) = (counting(15), Log::new());
    server.query_in("app", "grant all on t to alice; grant usage on schema tools to alice");
    let alice = Client { user: "alice", ..Client::default() };
    let log = log.client(1, alice).ended(1, ["select v from t where k = 0"]).file();
    let replay = |arguments: &[&str]| {
        let replay = Kreplay::new().target(&server).args(arguments);
        replay.arg("--input").arg(log.path()).run().well().report
    };

    let report = replay(&["-u", "alice"]);
    assert!(
        report["resources"]["pg_stat_database"]["xact_commit"].as_f64() > Some(0.0),
        "{report:#}"
    );
    // Its own statements are shown to it.
    assert_eq!(shape(&report, "select v")["resources"]["calls"], 1.0, "{report:#}");
    let note = report["resource_notes"][0].as_str().expect("a note");
    assert!(note.contains("GRANT pg_read_all_stats TO alice"), "{note}");

    server.query_in("app", "drop extension pg_stat_statements");
    let report = replay(&[]);
    assert_eq!(shape(&report, "select v")["resources"], Value::Null, "{report:#}");
    let note = report["resource_notes"][0].as_str().expect("a note");
    assert!(note.starts_with("pg_stat_statements: not installed"), "{note}");
}

#[test]
fn what_is_read_too_late_is_not_shown_as_if_nothing_had_been_spent() {
    let server = counting(15);
    // Whoever asks the target for its limits is not let in; the first session is.
    server.query_in("app", "alter database postgres allow_connections false");
    let finished = Kreplay::new().target(&server).arg("--input").arg(log().file().path()).run();
    let finished = finished.well();
    let report = &finished.report;
    let period = &report["resource_period"];
    let gap = period["gap"].as_str().expect("a gap");
    assert!(gap.contains("nobody could log in"), "{report:#}");
    // It may have been read during the run, or at its end alone.
    assert_eq!(report["resources"].is_null(), period["until"].is_null(), "{report:#}");
    let note = report["resource_notes"][0].as_str().expect("a note");
    assert!(note.starts_with("statistics: ") && note.ends_with(gap), "{note}");
    assert!(finished.stdout.contains(&gap[..30]), "{finished}");
}

#[test]
fn a_target_that_is_closed_at_the_end_has_spent_what_is_not_known() {
    let server = counting(15);
    let close = "alter database postgres allow_connections false";
    let log = log().ended(3, [close]).file();
    let finished = Kreplay::new().target(&server).arg("--input").arg(log.path());
    let finished = finished.arg("--order").arg("serial").run().well();
    let report = &finished.report;
    assert_eq!(report["resources"], Value::Null, "{report:#}");
    let gap = report["resource_period"]["gap"].as_str().expect("a gap");
    assert!(gap.contains("not currently accepting connections"), "{gap}");
    assert!(finished.stdout.contains("target spent  not known: "), "{finished}");
}
