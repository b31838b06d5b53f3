//! Several kreplays share a topic; one comes and goes.

use super::*;
use testkit::spread::{self, PARTITIONS, with_position};

/// Places in the order of the log; the topic's partitions hold them so.
fn topic(workload: &Workload, broker: &Broker) -> String {
    let topic = broker.topic("members", PARTITIONS);
    spread::produce(broker, &topic, &workload.records, |place, record| {
        with_position(&place.to_string(), record)
    });
    topic
}

/// How many records each partition holds.
fn ends(workload: &Workload) -> Vec<f64> {
    let places = spread::places(&workload.records);
    let of = |partition| places.iter().filter(|(p, _)| *p == partition).count() as f64;
    (0..PARTITIONS).map(of).collect()
}

/// Waits until this one, left alone, has replayed every partition to its end, and committed that.
fn wait_for_all(running: &mut Running, ends: &[f64]) {
    running.wait_for(|metrics| {
        let at = |partition| {
            metrics
                .get(&format!(r#"kreplay_consumer_committed_offset{{partition="{partition}"}}"#))
                .copied()
        };
        metrics["kreplay_records_pending"] == 0.0
            && (0..).zip(ends).all(|(partition, end)| at(partition) == Some(*end))
    });
}

/// A second one joins while the first is at work, and gets partitions of its own to work on.
fn joined(broker: &Broker, topic: &str, target: &Server, order: &str) -> (Running, Running) {
    // They hear soon who comes and goes, and are not put out of the group for a moment's silence.
    let group = ["-X", "session.timeout.ms=3000", "-X", "heartbeat.interval.ms=150"];
    let start = || {
        let member = Kreplay::new().args(["-t", topic, "-b", broker.address()]).args(group);
        member.args(["--group-instance-id", "off"]).target(target).args(["--order", order]).spawn()
    };
    let mut first = start();
    first.wait_for(|metrics| statements(metrics) > 300.0);
    let mut second = start();
    second.wait_for(|metrics| statements(metrics) > 50.0);
    assert!(first.stderr().contains("handing over to another process"), "{first}");
    (first, second)
}

fn one_comes_and_goes(order: &str) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = topic(workload, broker);
    let target = target(SET_UP);
    slow_down(&target, if order == "serial" { 3 } else { 40 });
    let (mut first, second) = joined(broker, &topic, &target, order);
    second.term();
    let second = second.wait();
    assert_eq!(second.code, Some(0), "{second}");
    assert_eq!(second.report["records"]["balances"], true, "{second}");
    target.query("drop trigger wait on single");
    wait_for_all(&mut first, &ends(workload));
    first.term();
    let first = first.wait().well();
    assert_eq!(workload.on(&target).doubled(workload), 0, "{first}");
    assert_eq!(first.count("/outcomes/new_error"), 0, "{first}");
    assert!(!first.stderr.contains("--shutdown-timeout"), "nothing had to be cut off: {first}");
}

#[test]
fn a_member_that_comes_and_goes_costs_and_repeats_nothing_in_serial_order() {
    one_comes_and_goes("serial");
}

#[test]
fn a_member_that_comes_and_goes_costs_and_repeats_nothing_in_session_order() {
    one_comes_and_goes("session");
}

fn one_is_killed(order: &str) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = topic(workload, broker);
    let target = target(SET_UP);
    slow_down(&target, if order == "serial" { 3 } else { 40 });
    let (mut first, mut second) = joined(broker, &topic, &target, order);
    let committed = |metrics: &HashMap<String, f64>, partition| {
        let name = format!(r#"kreplay_consumer_committed_offset{{partition="{partition}"}}"#);
        metrics.get(&name).copied().unwrap_or_default()
    };
    let at_first = second.metrics();
    second.wait_for(|metrics| {
        (0..PARTITIONS).any(|p| committed(metrics, p) > committed(&at_first, p))
    });
    let before: Vec<i64> = (0..PARTITIONS)
        .map(|partition| broker.committed_in(&group(&topic), &topic, partition).unwrap_or(0))
        .collect();
    second.kill();
    target.query("drop trigger wait on single");
    wait_for_all(&mut first, &ends(workload));
    first.term();
    first.wait().well();
    let found = workload.on(&target);
    let doubled = found.doubled(workload);
    let places = spread::places(&workload.records);
    let below = |at: usize| places[at].1 < before[places[at].0 as usize];
    let done = workload.transactions.iter().filter(|(_, (_, last))| below(*last));
    let done: Vec<i64> = done.map(|(id, _)| *id).collect();
    assert!(!done.is_empty());
    for id in &done {
        assert_eq!(found.transactions[id], 1, "{id} was committed in Kafka, and was sent again");
    }
    println!("{order} order: {doubled} of the killed member's last second are there twice");
}

#[test]
fn a_member_that_is_killed_loses_nothing_in_serial_order() {
    one_is_killed("serial");
}

#[test]
fn a_member_that_is_killed_loses_nothing_in_session_order() {
    one_is_killed("session");
}

/// A replay of the shared workload that goes on until it is stopped.
fn under_way(topic: &str, target: &Server, options: &[&str]) -> Running {
    let replay = Kreplay::new().args(["-t", topic, "--order", "session"]).args(options);
    let mut running = replay.target(target).spawn();
    running.wait_for(|metrics| statements(metrics) > 50.0);
    running
}

fn slowly_replayed() -> (String, Server) {
    let topic = Workload::shared().topic(kafka::shared(), "instances");
    let target = target(SET_UP);
    slow_down(&target, 40);
    (topic, target)
}

#[test]
fn killed_it_has_its_place_back_although_its_session_has_not_timed_out() {
    let (topic, target) = slowly_replayed();
    let forever = ["-b", kafka::shared().address(), "-X", "session.timeout.ms=900000"];
    under_way(&topic, &target, &forever).kill();
    under_way(&topic, &target, &forever).kill();
    assert_eq!(kafka::shared().members(&group(&topic)), 1);
}

#[test]
fn a_second_one_of_one_name_on_a_host_says_so_and_ends() {
    let (topic, target) = slowly_replayed();
    let options = ["-b", kafka::shared().address()];
    let mut first = under_way(&topic, &target, &options);
    let second = Kreplay::new().args(["-t", &topic]).args(options).target(&target).run();
    assert_eq!(second.code, Some(4), "{second}");
    assert!(second.stderr.contains("another kreplay on this host"), "{second}");
    assert!(second.stderr.contains("--group-instance-id"), "{second}");
    assert!(first.is_running());
    let other = [options[0], options[1], "--group-instance-id", "other"];
    let third = Kreplay::new().args(["-t", &topic]).args(other).target(&target).spawn();
    wait_until("both are members", || kafka::shared().members(&group(&topic)) == 2);
    third.kill();
}

#[test]
fn one_whose_name_another_takes_says_so_and_ends() {
    let (topic, target) = slowly_replayed();
    let address = kafka::shared().address();
    let first = under_way(&topic, &target, &["-b", address]);
    // Written otherwise, the same broker looks like another's: this stands for another host.
    let elsewhere = address.replace("127.0.0.1", "localhost");
    assert_ne!(elsewhere, address);
    let second = under_way(&topic, &target, &["-b", &elsewhere]);
    let first = first.wait();
    assert_eq!(first.code, Some(4), "{first}");
    assert!(first.stderr.contains("has taken this one's place"), "{first}");
    assert!(first.stderr.contains("--group-instance-id"), "{first}");
    second.kill();
}
