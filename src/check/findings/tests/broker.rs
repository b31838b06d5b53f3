//! Kafka and files.

use super::super::broker::{PartitionFacts, Refusal, TopicFacts, TopicSettings};
use super::*;

/// All is well but the topic.
fn with_topic(change: impl FnOnce(&mut TopicFacts)) -> Facts {
    let mut kafka = kafka();
    change(kafka.reached.as_mut().expect("it is reached"));
    Facts { input: InputFacts::Kafka(Box::new(kafka)), ..well() }
}

fn with_settings(change: impl FnOnce(&mut TopicSettings)) -> Facts {
    with_topic(|topic| change(topic.settings.as_mut().expect("they are seen")))
}

fn with_partition(change: impl FnOnce(&mut PartitionFacts)) -> Facts {
    with_topic(|topic| change(&mut topic.partitions.as_mut().expect("they are seen")[0]))
}

fn refused(refusal: Refusal) -> Facts {
    let kafka = KafkaFacts { reached: Err(refusal), ..kafka() };
    Facts { input: InputFacts::Kafka(Box::new(kafka)), sample: None, ..well() }
}

#[test]
fn a_cluster_is_named_with_its_brokers_and_its_encryption() {
    says(&well(), &CheckPlan::default(), "kafka1:9092: cluster abc, 3 brokers, SASL_SSL");
    says(&well(), &CheckPlan::default(), "topic pg has 1 partition with 1,000 records");
}

#[test]
fn brokers_that_do_not_answer_or_refuse_are_told_apart() {
    fails(&refused(Refusal::Unreachable("refused".into())), "no Kafka broker answers", "--brokers");
    fails(&refused(Refusal::UnknownTopic), "no topic pg", "--topic");
    fails(&refused(Refusal::Authentication("no".into())), "authentication", "sasl.password");
    let denied = refused(Refusal::Authorization("no".into()));
    fails(&denied, "reading topic pg as group kreplay_pg", "READ of group kreplay_pg");
    fails(&refused(Refusal::Property("property x: no".into())), "property x", "--kafka-property");
}

#[test]
fn an_empty_topic_waits_for_its_shipper() {
    let empty = with_partition(|it| (it.low, it.high, it.start, it.start_ms) = (5, 5, 5, None));
    warns(&Facts { sample: None, ..empty }, "topic pg holds no record", "start the shipper");
}

#[test]
fn it_is_told_where_a_replay_begins() {
    says(&well(), &CheckPlan::default(), "continues where it stopped; 100 records to read");
    let fresh = |start| with_partition(|it| (it.committed, it.start) = (false, start));
    says(
        &fresh(100),
        &CheckPlan::default(),
        "begins with the oldest record; 1,000 records to read",
    );
    says(&fresh(1100), &CheckPlan::default(), "begins with the next record written; 0 records");
    says(&fresh(500), &CheckPlan::default(), "begins with a record in the middle");
}

#[test]
fn a_committed_offset_that_is_gone_is_an_error_unless_gaps_are_skipped() {
    let gone = with_partition(|it| it.gap = Some("offsets 4 to 9 are gone".into()));
    fails(&gone, "kreplay_pg: offsets 4 to 9 are gone", "--on-gap continue");
    let plan = CheckPlan { skips_gaps: true, ..CheckPlan::default() };
    only(Level::Warning, &gone, &plan, "offsets 4 to 9 are gone", "continues from the oldest");
}

#[test]
fn records_that_expire_before_they_are_read_are_told() {
    let day = 86_400_000;
    let old = |age: i64| with_partition(|it| it.start_ms = Some(NOW_MS - age));
    warns(&old(7 * day - 7_200_000), "begin to expire in 2h 00m", "raise retention.ms");
    warns(&old(8 * day), "can be deleted at any moment", "raise retention.ms");
    says(
        &old(day),
        &CheckPlan::default(),
        "kept for 7d 00h (retention.ms); the oldest unread one expires in 6d 00h",
    );
    let read = with_partition(|it| (it.start, it.start_ms) = (it.high, Some(NOW_MS - 9 * day)));
    says(&read, &CheckPlan::default(), "records are kept for 7d 00h (retention.ms)");
}

#[test]
fn a_short_retention_is_no_time_for_a_pause() {
    warns(
        &with_settings(|it| it.retention_ms = 8 * 3_600_000),
        "kept for 8h 00m alone",
        "604800000",
    );
    says(&with_settings(|it| it.retention_ms = -1), &CheckPlan::default(), "kept for ever");
    warns(
        &with_settings(|it| it.retention_bytes = 1 << 30),
        "more than 1.1 GB",
        "retention.bytes=-1",
    );
}

#[test]
fn a_compacted_topic_has_lost_records() {
    for policy in ["compact", "delete,compact", "compact, delete"] {
        let facts = with_settings(|it| it.cleanup_policy = policy.into());
        fails(&facts, "compacted", "cleanup.policy=delete");
    }
}

#[test]
fn it_is_told_whose_time_records_bear() {
    says(&well(), &CheckPlan::default(), "the shipper's time (CreateTime)");
    says(&with_settings(|it| it.broker_time = true), &CheckPlan::default(), "the broker's time");
}

#[test]
fn a_topic_for_short_records_loses_long_statements() {
    let facts = with_settings(|it| it.max_message_bytes = 1_048_588);
    warns(&facts, "no record above 1.0 MB", "max.message.bytes=5242880");
}

#[test]
fn what_can_not_be_asked_is_said() {
    let facts = with_topic(|topic| topic.settings = Err("denied".into()));
    warns(&facts, "settings of topic pg can't be seen: denied", "DESCRIBE_CONFIGS");
    let facts = with_topic(|topic| topic.members = Err("denied".into()));
    warns(&facts, "members of group kreplay_pg can't be seen", "DESCRIBE the group");
    let facts = with_topic(|topic| topic.partitions = Err("no leader".into()));
    fails(&facts, "offsets of topic pg can't be asked for: no leader", "leaders");
}

#[test]
fn another_member_of_the_group_shares_the_partitions() {
    let facts = with_topic(|topic| topic.members = Ok(vec!["kreplay at 10.0.0.7".into()]));
    warns(&facts, "1 member of group kreplay_pg at this moment: kreplay at 10.0.0.7", "--group-id");
}

#[test]
fn files_are_there_or_not() {
    let files = |files| Facts { input: InputFacts::Files(files), ..well() };
    let facts = FilesFacts {
        names: vec!["a".into(), "b".into()],
        bytes: 12_345_678,
        ..FilesFacts::default()
    };
    says(&files(Ok(facts.clone())), &CheckPlan::default(), "2 files of 12.3 MB can be read");
    let stream = FilesFacts { streams: vec!["standard input".into()], ..facts };
    warns(&files(Ok(stream)), "standard input can be read only once", "write it to a file");
    fails(&files(Err("can't read x".into())), "can't read x", "--input");
}
