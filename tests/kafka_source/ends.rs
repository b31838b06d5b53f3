//! `until_end`.

use super::*;

fn until_end(topic: &str) -> KafkaSettings {
    KafkaSettings { until_end: true, ..settings(shared(), topic) }
}

#[tokio::test]
async fn an_empty_topic_ends_at_once() {
    let topic = shared().topic("empty", 3);
    let mut reader = Reader::connect(until_end(&topic)).await;
    assert!(reader.all().await.is_empty());
    assert_eq!(reader.assigned.len(), 3);
}

#[tokio::test]
async fn every_partition_is_read_to_where_it_ended_at_the_start() {
    let broker = shared();
    let topic = broker.topic("partitions", 3);
    broker.produce(&topic, 0, numbered(700));
    broker.produce(&topic, 2, numbered(3));
    let mut reader = Reader::connect(until_end(&topic)).await;
    reader.assigned().await;
    broker.produce(&topic, 0, ["later"]);
    broker.produce(&topic, 1, ["later"]);
    let records = reader.all().await;
    assert_eq!(records.len(), 703);
    assert!(records.iter().all(|record| record.payload != "later"));
}

#[tokio::test]
async fn a_topic_that_ends_with_transaction_markers_ends_too() {
    let broker = shared();
    let topic = broker.topic("markers", 1);
    let batches: [(&[&str], bool); 3] = [(&["a", "b"], true), (&["no"], false), (&["c"], true)];
    broker.produce_in_transactions(&topic, 0, &batches);
    let mut reader = Reader::connect(until_end(&topic)).await;
    let payloads: Vec<_> = reader.all().await.iter().map(|it| it.payload.clone()).collect();
    assert_eq!(payloads, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_topic_that_ends_with_an_aborted_transaction_ends_too() {
    let broker = shared();
    let topic = broker.topic("aborted", 1);
    broker.produce_in_transactions(&topic, 0, &[(&["a"], true), (&["no", "no"], false)]);
    let mut reader = Reader::connect(until_end(&topic)).await;
    assert_eq!(reader.all().await, [facts(0, 0, "a")]);
}

#[tokio::test]
async fn a_topic_that_holds_nothing_but_an_aborted_transaction_ends_too() {
    let broker = shared();
    let topic = broker.topic("only-aborted", 1);
    broker.produce_in_transactions(&topic, 0, &[(&["no"], false)]);
    let mut reader = Reader::connect(until_end(&topic)).await;
    assert!(reader.all().await.is_empty());
}

#[tokio::test]
async fn a_run_that_has_nothing_left_to_read_ends() {
    let broker = shared();
    let topic = broker.topic("nothing-left", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = until_end(&topic);
    commit_as_earlier_run(&KafkaSettings { until_end: false, ..settings.clone() }, 10, "").await;
    let mut reader = Reader::connect(settings).await;
    assert!(reader.all().await.is_empty());
}
