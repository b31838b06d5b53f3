//! What comes, and in which order.

use std::future::Future as _;
use std::task::Poll;

use super::*;
use testkit::kafka::Record;

#[tokio::test]
async fn records_of_a_partition_come_in_order_each_once() {
    let broker = shared();
    let topic = broker.topic("order", 3);
    for partition in 0..3 {
        broker.produce(&topic, partition, numbered(2000));
    }
    let mut reader = Reader::connect(settings(broker, &topic)).await;
    let records = reader.records(6000).await;
    for partition in 0..3 {
        let got = records.iter().filter(|record| record.partition == partition);
        let got: Vec<_> = got.map(|record| record.payload.clone()).collect();
        assert_eq!(got, numbered(2000));
    }
}

#[tokio::test]
async fn a_tombstone_comes_as_an_empty_payload() {
    let broker = shared();
    let topic = broker.topic("tombstone", 1);
    broker.produce(&topic, 0, [Record::from("a"), Record::tombstone(), Record::from("b")]);
    let mut reader = Reader::connect(settings(broker, &topic)).await;
    let expected = [facts(0, 0, "a"), facts(0, 1, ""), facts(0, 2, "b")];
    assert_eq!(reader.records(3).await, expected);
}

#[tokio::test]
async fn a_live_record_comes_at_once_and_not_with_the_next_batch() {
    let broker = shared();
    let topic = broker.topic("live", 1);
    let mut reader = Reader::connect(settings(broker, &topic)).await;
    reader.assigned().await;
    let mut waited = Duration::ZERO;
    for number in 0..20 {
        broker.produce(&topic, 0, [number.to_string()]);
        let acknowledged = Instant::now();
        reader.records(number + 1).await;
        waited += acknowledged.elapsed();
    }
    // Milliseconds each; a consumer that waits for a batch waits 500.
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    let positions = reader.source.committer().positions();
    assert_eq!(positions.len(), 1);
    assert_eq!((positions[0].position, positions[0].high_watermark), (20, 20));
}

#[tokio::test]
async fn giving_up_on_next_at_any_time_loses_nothing() {
    let broker = shared();
    let topic = broker.topic("cancel", 1);
    broker.produce(&topic, 0, numbered(3000));
    let mut settings = settings(broker, &topic);
    // Messages trickle in, so that there are many moments to give up in.
    settings.properties.push(Property::new("fetch.message.max.bytes", "1000"));
    let mut reader = Reader::connect(settings).await;
    let (mut count, mut given_up) = (0, 0);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while count < 3000 {
        assert!(tokio::time::Instant::now() < deadline, "got {count}");
        let once = {
            let mut next = std::pin::pin!(reader.source.next());
            std::future::poll_fn(|wakeup| Poll::Ready(next.as_mut().poll(wakeup))).await
        };
        match once {
            Poll::Pending => {
                given_up += 1;
                tokio::task::yield_now().await;
            }
            Poll::Ready(event) => {
                let Event::Records(chunk) = event.expect("no error") else { continue };
                for (_, payload) in chunk.iter() {
                    assert_eq!(payload, count.to_string().as_bytes());
                    count += 1;
                }
            }
        }
    }
    assert!(given_up > 0);
}

#[tokio::test]
async fn without_room_the_membership_lives_on_and_nothing_is_lost() {
    let broker = shared();
    let topic = broker.topic("idle", 1);
    broker.produce(&topic, 0, numbered(5000));
    let mut settings = settings(broker, &topic);
    // Whoever does not poll for that long is put out of the group.
    settings.properties.push(Property::new("max.poll.interval.ms", "6000"));
    settings.properties.push(Property::new("session.timeout.ms", "6000"));
    let mut reader = Reader::connect(settings).await;
    reader.records(1).await;
    let idle = tokio::time::timeout(Duration::from_secs(9), reader.source.idle()).await;
    assert!(idle.is_err(), "nothing that can't wait: {idle:?}");
    reader.records(5000).await;
    let offsets: Vec<_> = reader.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..5000).collect::<Vec<_>>());
    assert_eq!(reader.assigned.len(), 1, "never revoked");
}

#[tokio::test]
async fn a_partition_that_is_held_back_waits_and_loses_nothing() {
    let broker = shared();
    let topic = broker.topic("held_back", 2);
    let mut reader = Reader::connect(settings(broker, &topic)).await;
    reader.assigned().await;
    reader.source.hold_back(&[0]).expect("held back");
    broker.produce(&topic, 0, numbered(1000));
    broker.produce(&topic, 1, numbered(1000));
    assert!(reader.records(1000).await.iter().all(|record| record.partition == 1));
    // Without room and with it again: it is still not its turn.
    let idle = tokio::time::timeout(Duration::from_secs(2), reader.source.idle()).await;
    assert!(idle.is_err(), "nothing that can't wait: {idle:?}");
    broker.produce(&topic, 1, numbered(10));
    assert!(reader.records(1010).await.iter().all(|record| record.partition == 1));
    reader.source.hold_back(&[]).expect("released");
    let records = &reader.records(2010).await[1010..];
    let expected: Vec<_> = (0..1000).map(|n| facts(0, n, &n.to_string())).collect();
    assert_eq!(records, expected);
}

#[tokio::test]
async fn a_killed_broker_that_comes_back_loses_nothing() {
    let broker = Broker::start();
    let topic = broker.topic("kill", 1);
    broker.produce(&topic, 0, numbered(1000));
    let mut reader = Reader::connect(settings(&broker, &topic)).await;
    reader.records(1000).await;
    reader.commit(0, 1000, "half");
    broker.kill();
    // While the broker is away there is nothing, and no error either.
    let nothing = tokio::time::timeout(Duration::from_secs(2), reader.source.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    broker.restart();
    broker.produce(&topic, 0, (1000..2000).map(|number| number.to_string()));
    reader.records(2000).await;
    let payloads: Vec<_> = reader.records.iter().map(|record| record.payload.clone()).collect();
    assert_eq!(payloads, numbered(2000));
    reader.commit(0, 2000, "all");
}

#[tokio::test]
async fn a_second_member_takes_partitions_over_where_the_first_committed() {
    second_member_takes_over(&[]).await;
}

#[tokio::test]
async fn a_second_member_takes_over_where_partitions_are_all_given_up_first() {
    second_member_takes_over(&[("partition.assignment.strategy", "range")]).await;
}

#[tokio::test]
async fn a_second_member_takes_over_under_the_group_protocol_of_kafka_4() {
    second_member_takes_over(&[("group.protocol", "consumer")]).await;
}

async fn second_member_takes_over(properties: &[(&str, &str)]) {
    let broker = shared();
    let topic = broker.topic("members", 2);
    let mut settings = settings(broker, &topic);
    let own = |(key, value): &(&str, &str)| Property::new(*key, *value);
    settings.properties = properties.iter().map(own).collect();
    let mut first = Reader::connect(settings.clone()).await;
    broker.produce(&topic, 0, numbered(10));
    broker.produce(&topic, 1, numbered(10));
    first.records(20).await;
    first.commit(0, 7, "seven");
    first.commit(1, 7, "seven");
    let mut second = Reader::connect(settings).await;
    tokio::select! {
        // The first goes on reading: only then does it let go of what was revoked.
        read = first.read(|_| false) => read.expect("no error"),
        _ = second.assigned() => {}
    }
    assert_eq!(second.assigned.len(), 1);
    let taken = second.assigned[0].partition;
    assert_eq!(
        second.assigned,
        [Resume { partition: taken, offset: Some(7), metadata: "seven".into() }]
    );
    let expected = [facts(taken, 7, "7"), facts(taken, 8, "8"), facts(taken, 9, "9")];
    assert_eq!(second.records(3).await, expected);
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_from_its_first_record() {
    let broker = shared();
    let topic = broker.topic("grow", 1);
    let mut settings = settings(broker, &topic);
    settings.start = Start::Latest;
    settings.properties.push(Property::new("topic.metadata.refresh.interval.ms", "500"));
    let mut reader = Reader::connect(settings).await;
    reader.assigned().await;
    broker.grow_topic(&topic, 2);
    broker.produce(&topic, 1, ["new"]);
    assert_eq!(reader.records(1).await, [facts(1, 0, "new")]);
}

#[tokio::test]
async fn a_source_that_is_dropped_amid_a_rebalance_leaves_the_group() {
    let broker = shared();
    let topic = broker.topic("leave", 2);
    let settings = settings(broker, &topic);
    let mut first = Reader::connect(settings.clone()).await;
    first.assigned().await;
    let mut second = Reader::connect(settings.clone()).await;
    tokio::select! {
        revoked = first.read(|first| first.assigned.len() == 1) => revoked.expect("revoked"),
        never = second.read(|_| false) => never.expect("nothing before the first lets go"),
    }
    // The revocation is not confirmed, and a third member's assignment not even heard of.
    drop(first);
    let third = Reader::connect(settings).await;
    drop(third);
    second.read(|second| second.assigned.len() == 2).await.expect("both partitions");
}
