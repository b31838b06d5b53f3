//! A log that is spread over the partitions of a topic, as a shipper's key spreads it.

use std::collections::BTreeMap;

use super::kafka::{Broker, Record};

/// How many partitions there are.
pub const PARTITIONS: i32 = 3;

/// Where each record of a log goes: its partition, and its offset there. Every session is whole on
/// one partition, and each partition has its share of the records.
pub fn places<R: AsRef<[u8]>>(log: &[R]) -> Vec<(i32, i64)> {
    let session = |record: &R| {
        let record = String::from_utf8_lossy(record.as_ref());
        record.split(',').nth(5).expect("a session id").to_owned()
    };
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for record in log {
        *sizes.entry(session(record)).or_default() += 1;
    }
    let mut largest_first: Vec<_> = sizes.into_iter().collect();
    largest_first.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut load = [0; PARTITIONS as usize];
    let mut partitions = BTreeMap::new();
    for (session, size) in largest_first {
        let least = (0..load.len()).min_by_key(|&partition| load[partition]).expect("partitions");
        load[least] += size;
        partitions.insert(session, least);
    }
    let mut next = [0; PARTITIONS as usize];
    log.iter()
        .map(|record| {
            let partition = partitions[&session(record)];
            next[partition] += 1;
            (i32::try_from(partition).expect("a small number"), next[partition] - 1)
        })
        .collect()
}

/// Writes a log to a topic, one partition after the other: what comes first tells nothing about the
/// order. `record` makes the Kafka record of the one at this place.
pub fn produce<R: AsRef<[u8]>>(
    broker: &Broker,
    topic: &str,
    log: &[R],
    record: impl Fn(usize, &[u8]) -> Record,
) {
    let places = places(log);
    for partition in 0..PARTITIONS {
        let own = (0..log.len()).filter(|&place| places[place].0 == partition);
        broker.produce(topic, partition, own.map(|place| record(place, log[place].as_ref())));
    }
}

/// A record with the header that says where the shipper read it.
pub fn with_position(position: &str, record: &[u8]) -> Record {
    let header = ("kreplay.pos".to_owned(), position.as_bytes().to_vec());
    Record { headers: vec![header], ..Record::from(record) }
}
