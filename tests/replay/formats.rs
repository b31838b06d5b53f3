//! A record is replayed the same whatever it comes in.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use testkit::fixture::{DATABASE, Fixture, csv_records};
use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::postgres::Server;

/// PostgreSQL's own names of csvlog's columns (the table in its documentation, "Using CSV-Format
/// Log Output").
const COLUMNS: [&str; 26] = [
    "log_time",
    "user_name",
    "database_name",
    "process_id",
    "connection_from",
    "session_id",
    "session_line_num",
    "command_tag",
    "session_start_time",
    "virtual_transaction_id",
    "transaction_id",
    "error_severity",
    "sql_state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_query_pos",
    "context",
    "query",
    "query_pos",
    "location",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
];

/// Sends each record of a fixture through Kafka in this form, and expects its source's state.
#[track_caller]
fn leads_to_the_same_state(name: &str, format: &str, form: impl Fn(&[u8]) -> Vec<u8>) {
    let fixture = Fixture::load(name);
    let log = fs::read(fixture.csv()).expect("a log");
    let broker = kafka::shared();
    let topic = broker.topic(name, 1);
    let messages: Vec<_> = csv_records(&log).iter().map(|record| form(record)).collect();
    broker.produce(&topic, 0, messages.iter().map(Vec::as_slice));

    let server = Server::start(fixture.major_version());
    fixture.set_up(&server);
    let source = ["-t", &topic, "-b", broker.address(), "--until-end", "--format", format];
    let replay = Kreplay::new().args(source).args(["--source-db", DATABASE]);
    let finished = replay.target(&server).run().well();
    assert_eq!(fixture.checksum_on(&server), fixture.run.checksum, "{finished}");
    assert_eq!(fixture.sequence_on(&server), fixture.run.events_id_seq_last_value, "{finished}");
    let wire = fixture.run.wire.expect("seen");
    assert_eq!(finished.report["target_errors"], json!(wire.errors_by_sqlstate), "{finished}");
}

/// A record's columns by name; empty ones are left out, as shippers' CSV parsers do.
fn columns(record: &[u8]) -> BTreeMap<&'static str, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record);
    let record = reader.records().next().expect("a record").expect("CSV in UTF-8");
    let named = COLUMNS.iter().copied().zip(record.iter().map(str::to_owned));
    named.filter(|(_, value)| !value.is_empty()).collect()
}

#[test]
fn a_msgpack_map_of_csvlog_s_columns_is_replayed_as_the_csv() {
    for format in ["auto", "msgpack"] {
        leads_to_the_same_state("15-B-psql", format, |record| {
            rmp_serde::to_vec(&columns(record)).expect("msgpack")
        });
    }
}

#[test]
fn a_json_object_of_csvlog_s_columns_is_replayed_as_the_csv() {
    leads_to_the_same_state("15-B-nodepg", "json", |record| {
        serde_json::to_vec(&columns(record)).expect("JSON")
    });
}

#[test]
fn a_record_in_an_envelope_is_replayed_as_the_csv_in_it() {
    // Filebeat's, cut down.
    leads_to_the_same_state("15-B-psql", "auto", |record| {
        let message = std::str::from_utf8(record).expect("this log is UTF-8");
        let envelope = json!({
            "@timestamp": "2026-11-22T15:23:15.000Z",
            "@metadata": {"beat": "filebeat", "type": "_doc"},
            "log": {"offset": 1, "file": {"path": "/var/log/postgresql/postgresql.csv"}},
            "message": message,
        });
        serde_json::to_vec(&envelope).expect("JSON")
    });
}
