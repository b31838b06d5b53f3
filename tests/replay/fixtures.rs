//! The logs of real servers, replayed, leave the target as they left the source.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::thread;

use serde_json::json;

use testkit::fixture::{DATABASE, Fixture, csv_records};
use testkit::kafka;
use testkit::kreplay::{Finished, Kreplay};
use testkit::postgres::Server;

/// The fixtures whose logs don't hold all that the source's state came from.
const INCOMPLETE: [&str; 2] = ["15-B-copy", "15-B-midcapture"];

/// Replays on a server of its own, which has been set up as the source was.
fn replay(fixture: &Fixture, source: Kreplay) -> (Server, Finished) {
    let server = Server::start(target_version(fixture));
    fixture.set_up(&server);
    let finished = source.target(&server).args(["--source-db", DATABASE]).run();
    (server, finished)
}

/// The source's own version, where the tests have it.
fn target_version(fixture: &Fixture) -> u32 {
    fixture.major_version().max(15)
}

fn from_file(fixture: &Fixture) -> Kreplay {
    Kreplay::new().arg("--input").arg(fixture.csv())
}

/// From a topic of its own, a message for each record.
fn from_kafka(fixture: &Fixture) -> Kreplay {
    let log = fs::read(fixture.csv()).expect("a log");
    let records = csv_records(&log);
    from_topic(&fixture.name, records.iter().map(Vec::as_slice))
}

fn from_topic<'a>(name: &str, messages: impl Iterator<Item = &'a [u8]>) -> Kreplay {
    let broker = kafka::shared();
    let topic = broker.topic(name, 1);
    broker.produce(&topic, 0, messages);
    Kreplay::new().args(["-t", &topic, "-b", broker.address(), "--until-end"])
}

/// What differs from the source, a line each.
fn differences(fixture: &Fixture, server: &Server, finished: &Finished) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, source: String, target: String| {
        if source != target {
            lines.push(format!("{what}: {source} on the source, {target} on the target"));
        }
    };
    compare("exit code", "Some(0)".into(), format!("{:?}", finished.code));
    let records = &finished.report["records"];
    compare("balances", "true".into(), records["balances"].to_string());
    compare("pending", "0".into(), records["pending"].to_string());
    if let Some(expected) = fixture.run.csv_records {
        compare("records", expected.to_string(), records["consumed"].to_string());
    }
    let (source, target) = (&end_of(fixture).run.checksum, fixture.checksum_on(server));
    compare("tables", format!("{source:#?}"), format!("{target:#?}"));
    let (source, target) = (&fixture.run.events_id_seq_last_value, fixture.sequence_on(server));
    compare("sequence", format!("{source:?}"), format!("{target:?}"));
    if let Some(wire) = &fixture.run.wire {
        let target = target_errors(finished);
        compare("errors", format!("{:?}", expected_errors(fixture)), format!("{target:?}"));
        // Where each simple query is a statement of the log, and nothing else is.
        if wire.parse == 0 {
            compare("statements", wire.query.to_string(), finished.statements().to_string());
        } else if fixture.name.contains("pgbench") {
            let target = finished.statements();
            compare("statements", wire.command_complete.to_string(), target.to_string());
        }
    }
    lines
}

/// The run that the target has to end like: the fixture's own, but for MERGE. It is a syntax error
/// on 12 and a statement since 15, and `12-B-psql` did what `15-B-psql` did.
fn end_of(fixture: &Fixture) -> Fixture {
    Fixture::load(if fixture.name == "12-B-psql" { "15-B-psql" } else { &fixture.name })
}

/// The errors that the source's clients got, as far as the target has to repeat them.
fn expected_errors(fixture: &Fixture) -> BTreeMap<String, u64> {
    let source = end_of(fixture).run.wire.expect("a run that a proxy saw");
    let mut errors = source.errors_by_sqlstate;
    // The client that asked for a database that there is not: --source-db leaves it out.
    errors.remove("3D000");
    errors
}

fn target_errors(finished: &Finished) -> BTreeMap<String, u64> {
    serde_json::from_value(finished.report["target_errors"].clone()).unwrap_or_default()
}

/// Replays every fixture that this is true of, two at a time, and panics with all differences.
fn every_fixture(of: impl Fn(&Fixture) -> bool, source: impl Fn(&Fixture) -> Kreplay + Sync) {
    let left = Mutex::new(Fixture::all().into_iter().filter(of).collect::<Vec<_>>());
    let different = Mutex::new(Vec::new());
    let work = || {
        while let Some(fixture) = { left.lock().expect("no panic").pop() } {
            let (server, finished) = replay(&fixture, source(&fixture));
            let lines = differences(&fixture, &server, &finished);
            if !lines.is_empty() {
                let told = format!("{}:\n{}\n{finished}", fixture.name, lines.join("\n"));
                different.lock().expect("no panic").push(told);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let different = different.into_inner().expect("no panic");
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

fn is_complete(fixture: &Fixture) -> bool {
    !INCOMPLETE.contains(&fixture.name.as_str())
}

#[test]
fn every_log_from_a_file_leads_to_the_state_and_the_errors_of_its_source() {
    every_fixture(is_complete, from_file);
}

#[test]
fn every_log_from_kafka_leads_to_the_state_and_the_errors_of_its_source() {
    every_fixture(is_complete, from_kafka);
}

#[test]
fn transactions_that_commute_lead_to_the_state_of_their_source_in_session_order_too() {
    every_fixture(
        |fixture| fixture.name.contains("pgbench"),
        |fixture| from_file(fixture).args(["--order", "session"]),
    );
}

#[test]
fn every_log_leads_to_the_state_and_the_errors_of_its_source_in_conflict_order_too() {
    every_fixture(is_complete, |fixture| from_file(fixture).args(["--order", "conflict"]));
}

#[test]
fn jsonlog_leads_where_csvlog_does() {
    every_fixture(
        |fixture| fixture.json().is_some(),
        |fixture| Kreplay::new().arg("--input").arg(fixture.json().expect("filtered")),
    );
}

#[test]
fn a_session_to_a_database_that_there_is_not_is_refused_as_on_the_source() {
    let fixture = Fixture::load("15-B-errors");
    let server = Server::start(15);
    fixture.set_up(&server);
    let finished = from_file(&fixture).target(&server).run().well();
    assert_eq!(target_errors(&finished), fixture.run.wire.expect("seen").errors_by_sqlstate);
}

#[test]
fn a_statement_that_is_new_since_the_source_s_version_counts_as_fixed() {
    let (_, finished) = {
        let fixture = Fixture::load("12-B-psql");
        replay(&fixture, from_file(&fixture))
    };
    assert_eq!(finished.report["outcomes"], json!({"same": 146, "fixed_error": 1}), "{finished}");
    assert_eq!(finished.count("/source_errors/42601"), 2);
    assert_eq!(finished.count("/target_errors/42601"), 1, "all but MERGE");
}

#[test]
fn a_copy_is_skipped_and_counted_and_the_rest_of_its_session_replayed() {
    let fixture = Fixture::load("15-B-copy");
    let (server, finished) = replay(&fixture, from_file(&fixture));
    let finished = finished.well();
    assert_eq!(finished.count("/records/skipped/reasons/copy_data"), 4, "{finished}");
    assert_eq!(finished.count("/records/skipped/total"), 4, "{finished}");
    assert_eq!(finished.count("/records/failed"), 0, "{finished}");
    assert_eq!(
        target_errors(&finished),
        fixture.run.log_error_records_by_sqlstate.clone().expect("counted")
    );
    // The first of the two is the second statement of a query that begins with a COPY.
    let rows = server.query_in(DATABASE, "select kind, payload from events order by id");
    assert_eq!(rows, "after copy|same string\nend|x");
    // All but the rows that were copied are as on the source.
    let rest = |tables: &[String]| tables.iter().filter(|t| !t.starts_with("events")).count();
    let (source, target) = (&fixture.run.checksum, fixture.checksum_on(&server));
    let equal = target.iter().filter(|table| source.contains(table));
    assert_eq!(equal.count(), rest(source), "{target:?}");
}

#[test]
fn a_capture_that_begins_and_ends_within_sessions_misses_what_they_had_set_up_and_no_more() {
    let fixture = Fixture::load("15-B-midcapture");
    let (server, finished) = replay(&fixture, from_file(&fixture));
    let finished = finished.well();
    // A statement prepared, a table and a cursor made before the log began.
    let missing = [("26000", 1), ("34000", 1), ("42P01", 1)].map(|(c, n)| (c.to_owned(), n));
    assert_eq!(target_errors(&finished), missing.into(), "{finished}");
    assert_eq!(finished.count("/records/failed"), 3, "{finished}");
    // Two transactions were open where the log ends; so is the one whose BEGIN is not in it.
    assert_eq!(server.query_in(DATABASE, "select payload from events order by id"), "c");
}
