//! A log that is spread over several partitions of a topic.

use testkit::fixture::DATABASE;
use testkit::kafka::{self, Record};
use testkit::kreplay::{Finished, Kreplay, Running};
use testkit::log::Log;
use testkit::postgres::Server;
use testkit::spread::{self, PARTITIONS, with_position};

const STATEMENTS: usize = 300;

/// Statements of several sessions, each of which notes its place.
fn log() -> Vec<Vec<u8>> {
    let statement = |place| format!("insert into seen (place) values ({place})");
    let log = (0..STATEMENTS).fold(Log::new(), |log, place| {
        log.ended(100 + (place as u32 * 7) % 11, [statement(place)])
    });
    log.records().to_vec()
}

fn target() -> Server {
    let server = Server::start(15);
    server.query(&format!("create database {DATABASE}"));
    server.query_in(DATABASE, "create table seen (id serial, place int)");
    server
}

/// The places in the order in which the target saw them.
fn order(target: &Server) -> Vec<usize> {
    let seen = target.query_in(DATABASE, "select place from seen order by id");
    seen.lines().map(|place| place.parse().expect("a number")).collect()
}

fn sorted(statements: usize) -> Vec<usize> {
    (0..statements).collect()
}

/// All records, as if they had been logged in one millisecond.
fn without_time(log: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let timeless = |record: &Vec<u8>| {
        [&b"2026-11-22 10:00:00.000"[..], &record["2026-11-22 10:00:00.000".len()..]].concat()
    };
    log.iter().map(timeless).collect()
}

/// Replays a log that was spread over the partitions, in serial order.
fn replayed(log: &[Vec<u8>], record: impl Fn(usize, &[u8]) -> Record) -> (Vec<usize>, Finished) {
    let broker = kafka::shared();
    let topic = broker.topic("partitions", PARTITIONS);
    spread::produce(broker, &topic, log, record);
    let target = target();
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address()]).target(&target);
    let finished = replay.arg("--until-end").run().well();
    (order(&target), finished)
}

/// As a shipper that reads two files one after the other.
fn in_two_files(place: usize) -> (&'static str, usize) {
    if place < 100 { ("/log/b:1.csv", 1000 + place) } else { ("/log/b:2.csv", place) }
}

#[test]
fn by_the_shippers_position_the_order_is_that_of_the_log() {
    let log = without_time(&log());
    let header = |place: usize, record: &[u8]| with_position(&place.to_string(), record);
    let (seen, finished) = replayed(&log, header);
    assert_eq!(seen, sorted(STATEMENTS), "{finished}");
    assert!(finished.stderr.contains("their order is exact"), "{finished}");
    assert!(!finished.stderr.contains("WARN"), "{finished}");

    let (seen, finished) = replayed(&log, |place, record| {
        let (file, offset) = in_two_files(place);
        with_position(&format!("{file}:{offset}"), record)
    });
    assert_eq!(seen, sorted(STATEMENTS), "several files: {finished}");

    let (seen, finished) = replayed(&log, |place, record| {
        let (file, offset) = in_two_files(place);
        let message = String::from_utf8_lossy(record);
        let log = serde_json::json!({"offset": offset, "file": {"path": file}});
        serde_json::json!({"log": log, "message": message}).to_string().into()
    });
    assert_eq!(seen, sorted(STATEMENTS), "Filebeat's envelope: {finished}");
    assert!(finished.stderr.contains("their order is exact"), "{finished}");

    let (seen, _) = replayed(&log, |_, record| Record::from(record));
    assert_ne!(seen, sorted(STATEMENTS), "the test can fail");
}

#[test]
fn without_positions_it_goes_by_log_time_and_says_that_this_is_inexact() {
    let (seen, finished) = replayed(&log(), |_, record| Record::from(record));
    assert_eq!(seen, sorted(STATEMENTS), "{finished}");
    let told =
        finished.stderr.lines().filter(|line| line.contains("by log_time, which is inexact"));
    assert_eq!(told.count(), 1, "{finished}");
}

#[test]
fn in_session_order_every_record_of_every_partition_is_replayed() {
    let broker = kafka::shared();
    let topic = broker.topic("partitions", PARTITIONS);
    spread::produce(broker, &topic, &log(), |_, record| Record::from(record));
    let target = target();
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address()]).target(&target);
    replay.args(["--order", "session", "--until-end"]).run().well();
    let mut seen = order(&target);
    seen.sort_unstable();
    assert_eq!(seen, sorted(STATEMENTS));
}

/// A live topic of which the last partition says nothing yet.
fn with_a_silent_partition(merge_idle: &str) -> (Silent, Running) {
    let broker = kafka::shared();
    let topic = broker.topic("silent", PARTITIONS);
    let log = log();
    let places = spread::places(&log);
    let silent = places.iter().filter(|(partition, _)| *partition == 2).count();
    for partition in 0..2 {
        let own = (0..log.len()).filter(|&place| places[place].0 == partition);
        let own = own.map(|place| with_position(&(10 + place).to_string(), &log[place]));
        broker.produce(&topic, partition, own);
    }
    let target = target();
    let replay = Kreplay::new().args(["-t", &topic, "-b", broker.address()]).target(&target);
    let mut running = replay.args(["--merge-idle", merge_idle]).spawn();
    let spoken = STATEMENTS - silent;
    running.wait_for(|metrics| {
        let position = |partition: i32| {
            metrics.get(&format!(r#"kreplay_consumer_position{{partition="{partition}"}}"#))
        };
        let read: f64 = (0..2).filter_map(position).sum();
        read == spoken as f64
    });
    (Silent { topic, target, spoken }, running)
}

struct Silent {
    topic: String,
    target: Server,
    /// How many statements stand on the other partitions.
    spoken: usize,
}

impl Silent {
    /// The partition speaks, of something at this position.
    fn speak(&self, position: &str) {
        let log = Log::new().ended(500, ["insert into seen (place) values (-1)"]);
        let record = with_position(position, &log.records()[0]);
        kafka::shared().produce(&self.topic, 2, [record]);
    }
}

fn replayed_so_far(metrics: &std::collections::HashMap<String, f64>) -> f64 {
    metrics[r#"kreplay_records_total{result="replayed"}"#]
}

#[test]
fn a_silent_partition_holds_the_others_up_for_merge_idle_alone() {
    let (silent, mut running) = with_a_silent_partition("200ms");
    running.wait_for(|metrics| replayed_so_far(metrics) == silent.spoken as f64);
    assert_eq!(running.metrics()["kreplay_merged_late_total"], 0.0);
    silent.speak("1");
    running.wait_for(|metrics| replayed_so_far(metrics) == (silent.spoken + 1) as f64);
    assert_eq!(running.metrics()["kreplay_merged_late_total"], 1.0, "{running}");
    running.term();
    running.wait().well();
}

#[test]
fn until_then_the_others_wait_for_it() {
    let (silent, mut running) = with_a_silent_partition("1h");
    assert_eq!(replayed_so_far(&running.metrics()), 0.0, "{running}");
    // Behind everything else: what it says next could not be older.
    silent.speak("1000000");
    // The last one of the partition that ends first shows that the other one may go on.
    running.wait_for(|metrics| replayed_so_far(metrics) >= (silent.spoken - 12) as f64);
    assert_eq!(silent.target.query_in(DATABASE, "select count(*) from seen where place = -1"), "0");
    running.term();
    assert_eq!(running.wait().code, Some(0));
}
