//! A target that stands still while the topic holds more than there is memory for.

use super::*;
use testkit::log::Log;

/// How long the target stands still; `benches/stopped-target` asks for more.
fn standstill() -> Duration {
    let seconds = std::env::var("KREPLAY_STANDSTILL_SECONDS").ok();
    Duration::from_secs(seconds.map_or(13, |seconds| seconds.parse().expect("seconds")))
}

#[test]
fn a_target_that_stands_still_costs_neither_memory_nor_the_place_in_the_group() {
    const STATEMENTS: u32 = 15_000;
    const LENGTH: usize = 20_000;
    const BOUND_KB: u64 = 8 << 10;
    let broker = kafka::shared();
    let topic = broker.topic("stopped", 1);
    let target = target("create table t (n int, v int)");
    // What is under way fits in the sockets: the connections outlive the standstill.
    let filler = "x".repeat(LENGTH);
    let insert = |n| format!("insert into t values ({n}, length('{filler}'))");
    let log = (0..STATEMENTS).fold(Log::new(), |log, n| log.ended(n % 20 + 1, [insert(n)]));
    // The group misses a member that has not polled for six seconds.
    let mut running = replay(broker, &topic, &target)
        .args(["-d", "postgres", "--order", "session", "--max-in-flight-bytes", "8MiB"])
        .args(["--pipeline", "1", "-X", "queued.max.messages.kbytes=8192"])
        .args(["-X", "session.timeout.ms=6000", "-X", "max.poll.interval.ms=6000"])
        .spawn();
    let (before, after) = log.records().split_at(20);
    let (after, late) = after.split_at(after.len() - 100);
    broker.produce(&topic, 0, before.iter().map(Vec::as_slice));
    wait_for_end(&mut running, before.len());
    let at_rest = running.memory_kb("VmHWM");

    target.freeze();
    broker.produce(&topic, 0, after.iter().map(Vec::as_slice));
    running.wait_for(|metrics| metrics["kreplay_statements_in_flight"] * LENGTH as f64 > 8e6);
    let began = Instant::now();
    let mut told = 0;
    while began.elapsed() < standstill() {
        assert!(running.is_running(), "{running}");
        std::thread::sleep(Duration::from_millis(500));
        if began.elapsed().as_secs() / 30 > told {
            told = began.elapsed().as_secs() / 30;
            println!("{} s: VmRSS {} kB", told * 30, running.memory_kb("VmRSS"));
        }
    }
    // What comes while nothing is fetched is behind, too.
    broker.produce(&topic, 0, late.iter().map(Vec::as_slice));
    running.wait_for(|metrics| {
        let of = |name: &str| metrics[&format!(r#"{name}{{partition="0"}}"#)];
        of("kreplay_consumer_position") + of("kreplay_consumer_lag") == f64::from(STATEMENTS)
    });
    let read = running.metrics()[r#"kreplay_consumer_position{partition="0"}"#];
    target.thaw();
    wait_for_end(&mut running, log.records().len());

    let most = running.memory_kb("VmHWM");
    println!(
        "stood still for {:?} with {read} of {STATEMENTS} records read ({} kB each): \
         VmHWM {most} kB, {at_rest} kB before; --max-in-flight-bytes {BOUND_KB} kB",
        standstill(),
        LENGTH / 1000
    );
    let log = running.stderr();
    assert_eq!(log.matches("reading partitions").count(), 1, "it was assigned once: {log}");
    assert!(!log.contains("MAXPOLL"), "{log}");
    running.term();
    running.wait().well();
    let rows = target.query("select count(*), count(distinct n), min(v) from t");
    assert_eq!(rows, format!("{STATEMENTS}|{STATEMENTS}|{LENGTH}"));
    assert_eq!(broker.committed(&group(&topic), &topic), Some(i64::from(STATEMENTS)));
    // In flight, in the look-ahead, in librdkafka's queue; and each chunk once more on its way.
    assert!(read < f64::from(STATEMENTS) / 4.0, "{read} records were read");
    assert!(most < at_rest + 8 * BOUND_KB, "{most} kB, {at_rest} kB before");
}
