//! Positions and commits, from any thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use rdkafka::consumer::CommitMode;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use tracing::debug;

use super::TopicError;
use super::context::Context;
use super::settings::KafkaSettings;
use crate::replay::account::progress::PartitionProgress;
use crate::source::Extent;

/// How long the broker may take to say where a partition ends.
const ENDS_TIMEOUT: Duration = Duration::from_secs(5);

/// What to commit for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The Kafka partition.
    pub partition: i32,
    /// The first offset to be read again.
    pub offset: i64,
    /// Kept beside the offset and given back in [`Resume`](crate::source::Resume). A broker takes
    /// 4096 bytes unless its `offset.metadata.max.bytes` says otherwise.
    pub metadata: String,
}

/// Commits offsets and tells positions; cheap to clone. The consumer stays in its group for as long
/// as one of these lives.
#[derive(Clone)]
pub struct Committer {
    client: Arc<StreamConsumer<Context>>,
    topic: Arc<str>,
    /// Whether anything is committed.
    commits: bool,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Committer {
    pub(super) fn new(client: Arc<StreamConsumer<Context>>, settings: &KafkaSettings) -> Self {
        Self { client, topic: settings.topic.as_str().into(), commits: settings.commits }
    }

    /// Commits offsets, of partitions that are (or until just now were) assigned.
    ///
    /// Without [`KafkaSettings::commits`] it does nothing. `Async` returns at once; a failure is logged, and the next commit makes it good. `Sync` blocks until the broker has answered,
    /// and gives up on an unreachable one after ten seconds or so: call it where blocking is
    /// allowed.
    ///
    /// # Errors
    ///
    /// [`TopicError::Client`] if the commit could not be begun or, with `Sync`, was refused: after a
    /// rebalance that took the partitions away, for example.
    pub fn commit(&self, commits: &[Commit], mode: CommitMode) -> Result<(), TopicError> {
        if !self.commits {
            return Ok(());
        }
        let failed = |source| TopicError::Client { action: "commit offsets", source };
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for commit in commits {
            let mut entry = list.add_partition(&self.topic, commit.partition);
            entry.set_offset(Offset::Offset(commit.offset)).map_err(failed)?;
            entry.set_metadata(&commit.metadata);
        }
        match self.client.commit(&list, mode) {
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            result => result.map_err(failed)?,
        }
        if matches!(mode, CommitMode::Sync) {
            self.client.context().committed(&list);
        }
        Ok(())
    }

    /// How far every assigned partition is. Never blocks: watermarks are those of the last fetch, up
    /// to a second old, or of [`look_at_ends`](Self::look_at_ends).
    pub fn positions(&self) -> Vec<PartitionProgress> {
        self.client.context().positions.with(|positions| positions.values().copied().collect())
    }

    /// Asks the broker where the partitions begin and end: nothing else tells while fetching is
    /// paused. Blocks, for some seconds where the broker is away.
    pub fn look_at_ends(&self) {
        for PartitionProgress { partition, .. } in self.positions() {
            match self.client.fetch_watermarks(&self.topic, partition, ENDS_TIMEOUT) {
                Ok((oldest, end)) => self.client.context().positions.with(|positions| {
                    if let Some(position) = positions.get_mut(&partition) {
                        position.low_watermark = position.low_watermark.max(oldest);
                        position.high_watermark = position.high_watermark.max(end);
                    }
                }),
                Err(error) => debug!(partition, "can't ask where it begins and ends: {error}"),
            }
        }
    }

    /// How much of the topic there is to read and how much of that has been, where `until_end` sets
    /// an end; `None` also before a partition is assigned.
    pub fn extent(&self) -> Option<Extent> {
        let extents = self.positions().into_iter().filter_map(|at| at.extent());
        let sum = extents.reduce(|sum, of| (sum.0 + of.0, sum.1 + of.1));
        sum.map(|(read, total)| Extent { read, total })
    }
}
