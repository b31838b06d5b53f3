//! kreplay is asked to stop.

use super::*;
use testkit::log::Log;

fn stops_and_goes_on(order: &str) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = broker.topic("term", 1);
    let target = target(SET_UP);
    let mut before = None;
    // A third comes before each stop, so that none of them comes too late, however fast it is.
    let mut thirds = workload.records.chunks(workload.records.len().div_ceil(3));
    for stop in 1..=2 {
        broker.produce(&topic, 0, thirds.next().expect("three").iter().map(Vec::as_slice));
        let mut running = replay(broker, &topic, &target).args(["--order", order]).spawn();
        // Not more: in session order one that has come to the end of what there is, in a transaction,
        // may hold up the others.
        running.wait_for(|metrics| statements(metrics) >= 300.0);
        running.term();
        let finished = running.wait();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(!finished.stderr.contains("--shutdown-timeout"), "{finished}");
        // A transaction that is open for long holds the offset; what is done behind it stands in the
        // metadata.
        let committed = broker.committed_with_metadata(&group(&topic), &topic);
        assert_ne!(committed, before, "stop {stop} committed nothing new");
        before = committed;
    }
    broker.produce(&topic, 0, thirds.flatten().map(Vec::as_slice));
    let stopped_at = before.map_or(0, |(offset, _)| offset);
    assert!(stopped_at < workload.records.len() as i64, "it was stopped in the middle");
    replay(broker, &topic, &target).args(["--order", order, "--until-end"]).run().well();
    assert_eq!(workload.on(&target).doubled(workload), 0);
    if order == "serial" {
        assert_eq!(accounts_of(&target), workload.accounts);
    }
}

#[test]
fn stopped_in_serial_order_it_ends_well_and_the_next_start_goes_on_exactly_there() {
    stops_and_goes_on("serial");
}

#[test]
fn stopped_in_session_order_it_ends_well_and_the_next_start_goes_on_exactly_there() {
    stops_and_goes_on("session");
}

/// A replay whose statements wait for a stranger's lock.
fn held_up(patience: &str) -> (Server, String, Client, Running) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = workload.topic(broker, "held-up");
    let target = target(SET_UP);
    let stranger = Client::connect(&target);
    stranger.run("begin; lock table single");
    let running = replay(broker, &topic, &target).args(["--shutdown-timeout", patience]);
    let mut running = running.spawn();
    running.wait_for_line("that is not kreplay's");
    (target, topic, stranger, running)
}

#[test]
fn a_second_signal_stops_at_once() {
    let (_target, _, _stranger, mut running) = held_up("60s");
    running.term();
    running.wait_for_line("a second signal stops at once");
    running.term();
    let finished = running.wait_at_most(Duration::from_secs(30));
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("stopped at once"), "{finished}");
}

#[test]
fn what_does_not_end_in_time_is_left_to_the_next_start() {
    let workload = Workload::shared();
    let (target, topic, stranger, running) = held_up("1s");
    running.term();
    let finished = running.wait();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("--shutdown-timeout"), "{finished}");
    // The statement waits in the server, whose client has gone; it is undone unless it gets the lock.
    target.query(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity
         where backend_type = 'client backend' and wait_event_type = 'Lock'",
    );
    drop(stranger);
    wait_for_silence(&target);
    replay(kafka::shared(), &topic, &target).arg("--until-end").run().well();
    assert_eq!(workload.on(&target).doubled(workload), 0);
    assert_eq!(accounts_of(&target), workload.accounts);
}

#[test]
fn what_is_cut_off_because_its_partition_is_lost_is_run_by_the_next_owner() {
    let broker = kafka::shared();
    let topic = broker.topic("cut-off", 1);
    let log = (1..=20).fold(Log::new(), |log, n| {
        log.ended(n % 2 + 1, [format!("insert into single values ({n})")])
    });
    broker.produce(&topic, 0, log.records().iter().map(Vec::as_slice));
    let target = target(SET_UP);
    let stranger = Client::connect(&target);
    stranger.run("begin; lock table single");
    let mut running = Kreplay::new()
        .args(["-t", &topic, "-b", broker.address(), "-d", "postgres", "--order", "session"])
        .args(["-X", "session.timeout.ms=1000", "-X", "heartbeat.interval.ms=150"])
        .args(["--shutdown-timeout", "1s"])
        .target(&target)
        .spawn();
    wait_until("both sessions wait for the stranger", || {
        target.query("select count(*) from pg_locks where not granted") == "2"
    });
    // It is put out of the group, and is its only member again afterwards.
    running.signal("STOP");
    wait_until("the group is empty", || broker.members(&group(&topic)) == 0);
    running.signal("CONT");
    running.wait_for_line("cut off");
    wait_until("both sessions wait for the stranger again", || {
        target.query("select count(*) from pg_locks where not granted") == "2"
    });
    stranger.run("commit");
    wait_for_end(&mut running, log.records().len());
    running.term();
    running.wait().well();
    assert_eq!(target.query("select count(*), count(distinct id) from single"), "20|20");
}

#[test]
fn a_stop_does_not_wait_for_a_target_that_is_away() {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = workload.topic(broker, "away");
    let mut target = target(SET_UP);
    let mut running = replay(broker, &topic, &target).args(["--shutdown-timeout", "60s"]).spawn();
    running.wait_for(|metrics| statements(metrics) >= 500.0);
    target.kill();
    running.wait_for_line("waiting for the target");
    running.term();
    let finished = running.wait_at_most(Duration::from_secs(30));
    assert_eq!(finished.code, Some(0), "{finished}");
    target.restart();
    replay(broker, &topic, &target).arg("--until-end").run().well();
    let doubled = workload.on(&target).doubled(workload);
    assert!(doubled <= 1, "{doubled} are there once too often");
}
