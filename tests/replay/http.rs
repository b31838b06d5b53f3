//! What a running replay shows over HTTP.

use std::collections::HashMap;
use std::fs;

use testkit::fixture::{DATABASE, Fixture, csv_records};
use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::postgres::Server;

const REPETITIONS: usize = 12;

/// A pgbench run, several times, each time by other sessions.
fn records() -> Vec<Vec<u8>> {
    let log = fs::read_to_string(Fixture::load("15-B-pgbench-simple").csv()).expect("a log");
    (0..REPETITIONS)
        .flat_map(|repetition| {
            let sessions = log.replace(",6b03", &format!(",6b{repetition:02x}"));
            csv_records(sessions.as_bytes())
        })
        .collect()
}

/// The records of all fates, and those without one.
fn accounted_for(metrics: &HashMap<String, f64>) -> f64 {
    let fates = metrics.iter().filter(|(name, _)| name.starts_with("kreplay_records_total{"));
    fates.map(|(_, records)| records).sum::<f64>() + metrics["kreplay_records_pending"]
}

#[test]
fn the_ledger_balances_at_every_scrape_of_a_replay_and_its_health_is_told() {
    let fixture = Fixture::load("15-B-pgbench-simple");
    let server = Server::start(15);
    fixture.set_up(&server);
    let broker = kafka::shared();
    let topic = broker.topic("http", 1);
    let records = records();
    broker.produce(&topic, 0, records.iter().map(Vec::as_slice));

    let source = ["-t", &topic, "-b", broker.address()];
    let mut replay = Kreplay::new().args(source).target(&server).spawn();
    let (mut scrapes, mut midway) = (0, 0);
    loop {
        assert!(replay.is_running(), "{replay}");
        let metrics = replay.metrics();
        let consumed = metrics["kreplay_records_consumed_total"];
        assert_eq!(consumed, accounted_for(&metrics), "{metrics:#?}");
        scrapes += 1;
        midway += usize::from(metrics["kreplay_records_pending"] > 0.0);
        if consumed == records.len() as f64 && metrics["kreplay_records_pending"] == 0.0 {
            break;
        }
    }
    assert!(midway > 0, "none of {scrapes} scrapes saw a record pending");
    assert_eq!(replay.get("/livez").0, 200);
    assert_eq!(replay.get("/readyz").0, 200, "{}", replay.get("/readyz").1);
    let (status, page) = replay.get("/");
    assert!(status == 200 && page.contains(&topic) && page.contains("<h1>kreplay"), "{page}");
    assert_eq!(replay.get("/elsewhere").0, 404);
    let (status, report) = replay.get("/report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let shapes = report["shapes"].as_array().expect("shapes");
    let calls: u64 = shapes.iter().filter_map(|shape| shape["calls"].as_u64()).sum();
    assert_eq!(status, 200);
    assert_eq!(report["outcomes"]["same"], calls, "{report:#}");
    assert_eq!(report["records"]["consumed"], records.len(), "{report:#}");
    replay.wait_for(|metrics| {
        // They are there once the partition has been looked at.
        metrics.get("kreplay_consumer_lag{partition=\"0\"}") == Some(&0.0)
            && metrics.get("kreplay_consumer_committed_offset{partition=\"0\"}")
                == Some(&(records.len() as f64))
    });
    let replayed = replay.metrics()["kreplay_records_total{result=\"replayed\"}"];
    replay.term();
    let finished = replay.wait().well();
    assert_eq!(finished.count("/records/replayed") as f64, replayed, "{finished}");
    let branches = server.query_in(DATABASE, "select count(*) from pgbench_history");
    assert_eq!(branches, (20 * REPETITIONS).to_string(), "{finished}");
}

#[test]
fn a_replay_without_its_target_is_alive_and_not_ready() {
    let mut server = Server::start(15);
    server.stop();
    let broker = kafka::shared();
    let topic = broker.topic("http", 1);
    let source = ["-t", &topic, "-b", broker.address()];
    let mut replay = Kreplay::new().args(source).target(&server).spawn();
    replay.wait_for_line("waiting for the target");
    assert_eq!(replay.get("/livez").0, 200);
    let (status, reason) = replay.get("/readyz");
    assert_eq!(status, 503);
    assert!(reason.contains(&server.port().to_string()) || reason.contains("source"), "{reason}");
    assert_eq!(replay.metrics()["kreplay_connected{side=\"target\"}"], 0.0);
    server.restart();
    replay.wait_for_line("connected to the target");
    replay.wait_for_line("reading");
    assert_eq!(replay.get("/readyz").0, 200);
    for side in ["source", "target"] {
        assert_eq!(replay.metrics()[&format!("kreplay_connected{{side=\"{side}\"}}")], 1.0);
    }
    replay.term();
    replay.wait().well();
}
