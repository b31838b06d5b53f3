//! What is committed, and records that the topic no longer holds.

use super::*;

/// A group that has come so far in a topic whose next records have expired.
fn expired() -> (Server, String) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = broker.topic("expired", 1);
    let target = target(SET_UP);
    let (before, after) = workload.records.split_at(100);
    broker.produce(&topic, 0, before.iter().map(Vec::as_slice));
    replay(broker, &topic, &target).arg("--until-end").run();
    let committed = broker.committed(&group(&topic), &topic).expect("an offset");
    assert!(committed < 150);
    broker.produce(&topic, 0, after.iter().map(Vec::as_slice));
    broker.delete_records(&topic, 0, 150);
    (target, topic)
}

#[test]
fn an_offset_that_has_expired_stops_the_replay_and_says_what_is_lost() {
    let (target, topic) = expired();
    let broker = kafka::shared();
    let committed = broker.committed(&group(&topic), &topic).expect("an offset");
    let finished = replay(broker, &topic, &target).arg("--until-end").run();
    assert_eq!(finished.code, Some(5), "{finished}");
    let lost = format!("offsets {committed} to 149 ({} records)", 150 - committed);
    assert!(finished.stderr.contains(&lost) && finished.stderr.contains(&topic), "{finished}");
    assert_eq!(broker.committed(&group(&topic), &topic), Some(committed), "nothing has moved");
}

#[test]
fn told_to_continue_it_goes_on_from_the_oldest_and_counts_what_is_lost() {
    let (target, topic) = expired();
    let broker = kafka::shared();
    let committed = broker.committed(&group(&topic), &topic).expect("an offset");
    let mut running = replay(broker, &topic, &target).args(["--on-gap", "continue"]).spawn();
    wait_for_end(&mut running, Workload::shared().records.len());
    assert_eq!(running.metrics()["kreplay_offset_gap_records_total"], (150 - committed) as f64);
    running.term();
    let finished = running.wait().well();
    assert!(finished.stderr.contains(&format!("offsets {committed} to 149")), "{finished}");
}

#[test]
fn a_dry_run_commits_nothing_and_is_no_member_of_the_replays_group() {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = workload.topic(broker, "dry");
    for own in [&[][..], &["--group-id", &group(&topic)]] {
        let dry = ["-t", &topic, "-b", broker.address(), "--dry-run", "--until-end"];
        let finished = Kreplay::new().args(dry).args(own).run().well();
        let counted = finished.count("/records/filtered/reasons/dry_run");
        assert!(counted > 1000, "{finished}");
        assert_eq!(broker.committed(&group(&topic), &topic), None);
        let its_own = format!("{}_dry-run", group(&topic));
        assert_eq!(broker.committed(&its_own, &topic), None);
    }
}
