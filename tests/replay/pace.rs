//! Statements start when the log's times say, and not before. How late they start depends on the
//! machine, and is not tested.

use std::fs;
use std::time::{Duration, Instant};

use testkit::fixture::DATABASE;
use testkit::kreplay::Kreplay;
use testkit::log::Log;
use testkit::postgres::Server;
use testkit::recorder::{Event, Recorder};

fn server() -> Server {
    let server = Server::start(15);
    server.query(&format!("create database {DATABASE}"));
    server
}

/// Two sessions that take turns, with two seconds of silence after the first eight statements.
fn log_with_a_silence() -> Log {
    let taking_turns = |log: Log, places: std::ops::Range<u32>| {
        places.fold(log, |log, place| log.ended(1 + place % 2, [format!("select {place}")]))
    };
    taking_turns(taking_turns(Log::new(), 0..8).silent(2000), 8..16)
}

/// Replays it and gives when each statement was sent, after kreplay was started.
fn sent(arguments: &[&str]) -> Vec<Duration> {
    let server = server();
    let recorder = Recorder::before(&server, 1);
    let file = log_with_a_silence().file();
    let target = ["-H", "127.0.0.1", "-P", &recorder.port().to_string(), "--sslmode", "disable"];
    let replay = Kreplay::new().args(target).args(arguments).arg("--input").arg(file.path());
    let started = Instant::now();
    let finished = replay.run().well();
    assert_eq!(finished.count("/outcomes/same"), 16, "{finished}");
    let mut sent = [None; 16];
    let mut last = [None; 2];
    for (at, event) in recorder.timed_events() {
        let Event::Arrival { sql, .. } = event else { continue };
        let place = sql.strip_prefix("select ").and_then(|place| place.parse::<usize>().ok());
        let Some(place) = place else { continue };
        assert!(last[place % 2].replace(place) < Some(place), "a session overtakes itself");
        sent[place] = Some(at - started);
    }
    sent.map(|at| at.expect("each was sent")).to_vec()
}

/// Checks that statement n is sent no earlier than so long after kreplay was started.
#[track_caller]
fn assert_none_is_early(sent: &[Duration], due: impl Fn(u64) -> u64) {
    for (place, at) in (0..).zip(sent) {
        assert!(
            *at >= Duration::from_millis(due(place)),
            "{place} was sent after {at:?}: {sent:?}"
        );
    }
}

fn logged(place: u64) -> u64 {
    if place < 8 { place } else { place + 2000 }
}

#[test]
fn a_silence_of_the_log_is_waited_out_in_every_order() {
    for order in ["serial", "session"] {
        let sent = sent(&["--order", order, "--speed", "1"]);
        assert_none_is_early(&sent, logged);
    }
}

#[test]
fn twice_the_speed_and_a_playout_delay_move_the_schedule() {
    let sent = sent(&["--speed", "2", "--playout-delay", "500ms"]);
    assert_none_is_early(&sent, |place| 500 + logged(place) / 2);
}

#[test]
fn a_clock_that_was_put_back_is_not_waited_for() {
    let server = server();
    let early = Log::new().ended(1, ["select 1"]);
    let late = Log::new().silent(3_600_000).ended(2, ["select 2"]);
    // One file: several are put in the order of their times.
    let log = [late, early].map(|log| fs::read(log.file().path()).expect("a log")).concat();
    let file = Log::new().raw(&log).file();
    let replay = Kreplay::new().target(&server).args(["--speed", "1", "--input"]);
    let finished = replay.arg(file.path()).run().well();
    assert_eq!(finished.count("/outcomes/same"), 2, "{finished}");
}

#[test]
fn a_stop_does_not_wait_for_what_is_not_due() {
    let server = server();
    let log = Log::new().ended(1, ["select 1"]).silent(3_600_000).ended(1, ["select 2"]);
    let log = log.ended(2, ["select 3"]);
    let file = log.file();
    let replay = Kreplay::new().target(&server).args(["--speed", "1", "--input"]);
    let mut running = replay.arg(file.path()).spawn();
    running.wait_for(|metrics| {
        metrics["kreplay_statements_total{command=\"select\",outcome=\"same\"}"] >= 1.0
    });
    running.wait_for_line("--speed waits");
    let metrics = running.metrics();
    assert_eq!(metrics["kreplay_schedule_delay_seconds_count"], 1.0);
    // The other session has no use for a connection yet.
    assert!(metrics["kreplay_connections"] <= 1.0);
    let report: serde_json::Value = serde_json::from_str(&running.get("/report").1).expect("JSON");
    assert!(!report["pace"].is_null(), "{report}");
    running.term();
    let finished = running.wait_at_most(Duration::from_secs(9));
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(!finished.stderr.contains("--shutdown-timeout"), "{finished}");
    assert_eq!(finished.count("/records/pending"), 2, "{finished}");
}

#[test]
fn a_failure_that_ends_the_replay_ends_it_at_once() {
    let server = server();
    let log = Log::new().ended(1, ["select 1/0"]).silent(3_600_000).ended(1, ["select 2"]);
    let file = log.file();
    let replay = Kreplay::new().target(&server).args(["--speed", "1", "--on-error", "stop"]);
    let finished = replay.arg("--input").arg(file.path()).run();
    assert_eq!(finished.code, Some(6), "{finished}");
}
