//! Where a run begins.

use super::*;
use testkit::kafka::Record;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn resume(offset: Option<i64>, metadata: &str) -> Resume {
    Resume { partition: 0, offset, metadata: metadata.to_owned() }
}

#[tokio::test]
async fn the_next_run_goes_on_at_the_commit_and_gets_its_metadata_back() {
    let broker = shared();
    let topic = broker.topic("resume", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = settings(broker, &topic);
    let metadata = "{\"done\":[5,7],\"é\":\"✓\"}";
    {
        let mut first = Reader::connect(settings.clone()).await;
        assert_eq!(first.assigned().await, [resume(None, "")]);
        first.records(10).await;
        first.commit(0, 4, "older");
        first.commit(0, 6, metadata);
        let positions = first.source.committer().positions();
        assert_eq!(positions[0].committed, Some(6));
    }
    let mut second = Reader::connect(settings).await;
    assert_eq!(second.assigned().await, [resume(Some(6), metadata)]);
    second.records(4).await;
    assert_eq!(second.records[0], facts(0, 6, "6"));
}

#[tokio::test]
async fn a_commit_that_is_not_waited_for_arrives_too() {
    let broker = shared();
    let topic = broker.topic("async", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = settings(broker, &topic);
    {
        let mut first = Reader::connect(settings.clone()).await;
        first.records(10).await;
        let commit = Commit { partition: 0, offset: 9, metadata: "m".into() };
        let offsets = first.source.committer();
        offsets.commit(&[commit], CommitMode::Async).expect("begun");
        first.committed(9).await;
    }
    let mut second = Reader::connect(settings).await;
    assert_eq!(second.assigned().await, [resume(Some(9), "m")]);
}

#[tokio::test]
async fn a_new_group_that_asks_for_the_latest_gets_what_is_written_from_then_on() {
    let broker = shared();
    let topic = broker.topic("latest", 1);
    broker.produce(&topic, 0, numbered(10));
    let mut reader =
        Reader::connect(KafkaSettings { start: Start::Latest, ..settings(broker, &topic) }).await;
    assert_eq!(reader.assigned().await, [resume(None, "")]);
    broker.produce(&topic, 0, ["new"]);
    assert_eq!(reader.records(1).await, [facts(0, 10, "new")]);
}

#[tokio::test]
async fn a_run_that_ended_before_its_first_commit_does_not_move_the_start() {
    let broker = shared();
    let topic = broker.topic("latest-again", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = KafkaSettings { start: Start::Latest, ..settings(broker, &topic) };
    {
        let mut first = Reader::connect(settings.clone()).await;
        first.assigned().await;
        first.committed(10).await;
    }
    broker.produce(&topic, 0, ["meanwhile"]);
    let mut second = Reader::connect(settings).await;
    assert_eq!(second.records(1).await, [facts(0, 10, "meanwhile")]);
}

#[tokio::test]
async fn a_new_group_that_asks_for_a_time_begins_with_the_first_record_since() {
    let broker = shared();
    let topic = broker.topic("time", 2);
    let base = 1_700_000_000_000;
    let record = |day: i64| Record::from(format!("day {day}")).at(base + day * DAY);
    broker.produce(&topic, 0, [record(0), record(1), record(2)]);
    broker.produce(&topic, 1, [record(0)]);
    let at = Start::At(base + DAY);
    let mut reader = Reader::connect(KafkaSettings { start: at, ..settings(broker, &topic) }).await;
    assert_eq!(reader.records(2).await, [facts(0, 1, "day 1"), facts(0, 2, "day 2")]);
    // Partition 1 holds nothing that young: it begins with its next record.
    broker.produce(&topic, 1, [record(9)]);
    assert_eq!(reader.records(3).await[2], facts(1, 1, "day 9"));
}

#[tokio::test]
async fn a_committed_offset_wins_over_the_start_that_is_asked_for() {
    let broker = shared();
    let topic = broker.topic("wins", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = KafkaSettings { start: Start::Latest, ..settings(broker, &topic) };
    commit_as_earlier_run(&settings, 8, "").await;
    let mut reader = Reader::connect(settings).await;
    assert_eq!(reader.records(2).await[0], facts(0, 8, "8"));
}

#[tokio::test]
async fn reset_forgets_the_committed_offset() {
    let broker = shared();
    let topic = broker.topic("reset", 1);
    broker.produce(&topic, 0, numbered(10));
    let settings = KafkaSettings { reset: true, ..settings(broker, &topic) };
    commit_as_earlier_run(&settings, 8, "old").await;
    let mut reader = Reader::connect(settings).await;
    assert_eq!(reader.assigned().await, [resume(None, "")]);
    assert_eq!(reader.records(10).await[0], facts(0, 0, "0"));
}
