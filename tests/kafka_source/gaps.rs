//! Records that are gone before they were read.

use super::*;

fn gap(result: Result<(), TopicError>) -> Gap {
    match result.expect_err("a gap") {
        TopicError::Gap { gap, .. } => gap,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_expired_offset_stops_the_run_and_says_from_where_to_where() {
    let broker = shared();
    let topic = broker.topic("expired", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = settings(broker, &topic);
    commit_as_earlier_run(&settings, 3, "m").await;
    broker.delete_records(&topic, 0, 8);
    let mut reader = Reader::connect(settings).await;
    let error = reader.read(|_| false).await.expect_err("a gap");
    let text = error.to_string();
    assert!(text.contains(&topic) && text.contains("offsets 3 to 7 (5 records)"), "{text}");
    let expected = Gap { partition: 0, wanted: 3, oldest: 8, end: 10 };
    assert_eq!(gap(Err(error)), expected);
}

#[tokio::test]
async fn told_to_continue_it_goes_on_from_the_oldest_and_counts_what_was_lost() {
    let broker = shared();
    let topic = broker.topic("continue", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = KafkaSettings { on_gap: OnGap::Continue, ..settings(broker, &topic) };
    commit_as_earlier_run(&settings, 3, "m").await;
    broker.delete_records(&topic, 0, 8);
    let mut reader = Reader::connect(settings).await;
    assert_eq!(reader.records(2).await, [facts(0, 8, "8"), facts(0, 9, "9")]);
    assert_eq!(reader.lost, [Gap { partition: 0, wanted: 3, oldest: 8, end: 10 }]);
    assert_eq!(reader.lost[0].lost(), 5);
    let resumed = Resume { partition: 0, offset: Some(8), metadata: String::new() };
    assert_eq!(reader.assigned, [resumed]);
}

#[tokio::test]
async fn an_offset_beyond_the_end_stops_the_run() {
    let broker = shared();
    let topic = broker.topic("beyond", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = settings(broker, &topic);
    commit_as_earlier_run(&settings, 50, "").await;
    let mut reader = Reader::connect(settings).await;
    let gap = gap(reader.read(|_| false).await);
    assert_eq!(gap, Gap { partition: 0, wanted: 50, oldest: 0, end: 10 });
}

/// A reader that stands at offset 10 of partition 0 while the oldest there is 25. It had no room
/// when the records came and expired, or it would have fetched them.
async fn overtaken(topic: &str, on_gap: OnGap) -> Reader {
    let broker = shared();
    broker.create_topic(topic, 2);
    broker.produce(topic, 0, numbered(10));
    broker.produce(topic, 1, numbered(10));
    let mut reader = Reader::connect(KafkaSettings { on_gap, ..settings(broker, topic) }).await;
    reader.records(20).await;
    let idle = tokio::time::timeout(Duration::from_secs(3), reader.source.idle()).await;
    assert!(idle.is_err(), "{idle:?}");
    broker.produce(topic, 0, (10..30).map(|number| number.to_string()));
    broker.produce(topic, 1, ["other"]);
    broker.delete_records(topic, 0, 25);
    reader.records.clear();
    reader
}

#[tokio::test]
async fn records_that_expire_while_it_runs_stop_it() {
    let mut reader = overtaken(&unique("overtaken"), OnGap::Stop).await;
    let gap = gap(reader.read(|_| false).await);
    assert_eq!(gap, Gap { partition: 0, wanted: 10, oldest: 25, end: 30 });
}

#[tokio::test]
async fn told_to_continue_it_also_does_so_while_it_runs() {
    let mut reader = overtaken(&unique("overtaken"), OnGap::Continue).await;
    let mut records = reader.records(6).await.to_vec();
    records.sort();
    let mut expected: Vec<_> = (25..30).map(|n| facts(0, n, &n.to_string())).collect();
    expected.push(facts(1, 10, "other"));
    assert_eq!(records, expected);
    assert_eq!(reader.lost, [Gap { partition: 0, wanted: 10, oldest: 25, end: 30 }]);
}
