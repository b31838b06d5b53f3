//! The Kafka source against a real broker.

mod ends;
mod errors;
mod gaps;
mod order;
mod starts;

use std::time::{Duration, Instant};

use kreplay::source::kafka::{
    Commit, CommitMode, KafkaSettings, Membership, OnGap, Property, Start, TopicError,
};
use kreplay::source::{Event, Gap, KafkaSource, Resume};

use testkit::kafka::{Broker, shared, unique};

/// Far more than anything here takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source to be connected: a new group that reads the topic from its beginning.
fn settings(broker: &Broker, topic: &str) -> KafkaSettings {
    KafkaSettings {
        brokers: vec![broker.address().to_owned()],
        topic: topic.to_owned(),
        group_id: unique("group"),
        membership: Membership::Dynamic,
        start: Start::Earliest,
        reset: false,
        on_gap: OnGap::Stop,
        until_end: false,
        properties: Vec::new(),
        commits: true,
    }
}

/// A record as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    partition: i32,
    offset: i64,
    payload: String,
}

fn facts(partition: i32, offset: i64, payload: &str) -> Seen {
    Seen { partition, offset, payload: payload.to_owned() }
}

/// A connected source and what it has said.
struct Reader {
    source: KafkaSource,
    records: Vec<Seen>,
    assigned: Vec<Resume>,
    lost: Vec<Gap>,
    ended: bool,
}

impl Reader {
    async fn connect(settings: KafkaSettings) -> Self {
        let source = KafkaSource::connect(settings);
        let source = tokio::time::timeout(PATIENCE, source).await.expect("in time");
        let source = source.expect("a connection");
        Self { source, records: Vec::new(), assigned: Vec::new(), lost: Vec::new(), ended: false }
    }

    /// Takes events until `done`.
    async fn read(&mut self, mut done: impl FnMut(&Self) -> bool) -> Result<(), TopicError> {
        while !done(self) {
            let event = tokio::time::timeout(PATIENCE, self.source.next()).await;
            match event
                .unwrap_or_else(|_| panic!("nothing comes after {:?}", self.records.last()))?
            {
                Event::Records(chunk) => {
                    assert!(!chunk.records.is_empty());
                    for (arrival, payload) in chunk.iter() {
                        let payload = String::from_utf8(payload.to_owned()).expect("UTF-8");
                        let (partition, offset) = (arrival.partition, arrival.offset);
                        self.records.push(Seen { partition, offset, payload });
                    }
                }
                Event::Assigned(resumes) => self.assigned.extend(resumes),
                Event::Revoked(partitions) => {
                    self.assigned.retain(|resume| !partitions.contains(&resume.partition));
                }
                Event::Lost(gap) => self.lost.push(gap),
                Event::PartitionEof(_) => {}
                Event::End => self.ended = true,
            }
        }
        Ok(())
    }

    /// Reads until there are `count` records in all.
    async fn records(&mut self, count: usize) -> &[Seen] {
        self.read(|reader| reader.records.len() >= count).await.expect("records");
        &self.records
    }

    /// Reads until partitions have been assigned.
    async fn assigned(&mut self) -> &[Resume] {
        self.read(|reader| !reader.assigned.is_empty()).await.expect("partitions");
        &self.assigned
    }

    /// Reads to the end.
    async fn all(&mut self) -> &[Seen] {
        self.read(|reader| reader.ended).await.expect("the end");
        &self.records
    }

    /// Reads on until the commit of `offset` for partition 0 has been confirmed.
    async fn committed(&mut self, offset: i64) {
        let offsets = self.source.committer();
        let deadline = Instant::now() + PATIENCE;
        while offsets.positions()[0].committed != Some(offset) {
            assert!(Instant::now() < deadline, "{:?}", offsets.positions());
            let _ = tokio::time::timeout(Duration::from_millis(20), self.source.next()).await;
        }
    }

    fn commit(&self, partition: i32, offset: i64, metadata: &str) {
        let commit = Commit { partition, offset, metadata: metadata.to_owned() };
        self.source.committer().commit(&[commit], CommitMode::Sync).expect("committed");
    }
}

/// Commits an offset for a group, as an earlier run would have.
async fn commit_as_earlier_run(settings: &KafkaSettings, offset: i64, metadata: &str) {
    let settings = KafkaSettings { start: Start::Earliest, reset: false, ..settings.clone() };
    let mut reader = Reader::connect(settings).await;
    reader.assigned().await;
    reader.commit(0, offset, metadata);
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
