//! The broker goes down and comes back.

use super::*;

#[test]
fn a_broker_that_is_killed_and_comes_back_neither_loses_nor_doubles_anything() {
    let workload = Workload::shared();
    for order in ["serial", "session"] {
        let broker = Broker::start();
        let topic = broker.topic("killed", 1);
        let (before, after) = workload.records.split_at(workload.records.len() / 2);
        broker.produce(&topic, 0, before.iter().map(Vec::as_slice));
        let target = target(SET_UP);
        let mut running = replay(&broker, &topic, &target).args(["--order", order]).spawn();
        running.wait_for(|metrics| statements(metrics) > 1000.0);
        broker.kill();
        running.wait_for_line("Kafka");
        broker.restart();
        broker.produce(&topic, 0, after.iter().map(Vec::as_slice));
        wait_for_end(&mut running, workload.records.len());
        running.term();
        running.wait().well();
        assert_eq!(workload.on(&target).doubled(workload), 0);
        if order == "serial" {
            assert_eq!(accounts_of(&target), workload.accounts);
        }
        assert_eq!(broker.committed(&group(&topic), &topic), Some(workload.records.len() as i64));
    }
}
