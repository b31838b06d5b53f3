//! Where records come from: a Kafka topic or files. Knows nothing of PostgreSQL but how its log
//! files are cut into records.

pub mod dead_letters;
pub mod files;
pub mod kafka;
mod settings;
pub mod split;

use std::fmt;
use std::ops::Range;

use self::files::FileError;
pub use self::files::FileSource;
use self::kafka::TopicError;
pub use self::kafka::{Commit, CommitMode, Committer, KafkaSettings, KafkaSource};
pub use self::settings::{Found, Opened, SourceNames, SourceSettings};

/// A topic or files, with one face.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one in a process.
pub enum Source {
    /// A Kafka topic.
    Kafka(KafkaSource),
    /// Log files or standard input.
    Files(FileSource),
}

impl Source {
    /// What comes next. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Whatever the source can't recover from; see [`SourceError`].
    pub async fn next(&mut self) -> Result<Event, SourceError> {
        match self {
            Self::Kafka(kafka) => Ok(kafka.next().await?),
            Self::Files(files) => Ok(files.next().await?),
        }
    }

    /// How many bytes there are to read, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Kafka(_) => None,
            Self::Files(files) => files.bytes(),
        }
    }

    /// Reads all partitions but these, from the next call of [`Source::next`] on. What was fetched
    /// ahead of a partition is thrown away when it joins them, so it should happen rarely.
    ///
    /// # Errors
    ///
    /// [`SourceError::Topic`].
    pub fn hold_back(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        match self {
            Self::Kafka(kafka) => Ok(kafka.hold_back(partitions)?),
            Self::Files(_) => Ok(()),
        }
    }

    /// To be polled in place of [`Source::next`] while there is no room for records. Cancel-safe.
    ///
    /// Resolves only with what can't wait: an assignment, a revocation, a loss. A file has nothing
    /// of the kind.
    ///
    /// # Errors
    ///
    /// As [`Source::next`].
    pub async fn idle(&mut self) -> Result<Event, SourceError> {
        match self {
            Self::Kafka(kafka) => Ok(kafka.idle().await?),
            Self::Files(_) => std::future::pending().await,
        }
    }
}

/// A stretch of records in the order they arrived, in one buffer.
///
/// Records cross threads in chunks of up to [`Chunk::RECORDS`], never singly: handing over costs
/// more than parsing.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The payloads, one after the other.
    pub buffer: Vec<u8>,
    /// Where each record came from and stands in `buffer`.
    pub records: Vec<Arrival>,
    /// For a file how many of its bytes were read since the last chunk: fewer than there are in
    /// `buffer` where it is compressed.
    pub read: u64,
    /// Whether the source had nothing more at hand when the chunk was closed.
    pub caught_up: bool,
}

/// One record's place in its source and in its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The Kafka partition, or the index of the file.
    pub partition: i32,
    /// The Kafka offset, or for a file the byte at which the record starts.
    pub offset: i64,
    /// For a file the line (from 1) at which the record starts; 0 for Kafka.
    pub line: u64,
    /// Where the payload stands in the chunk's buffer.
    pub payload: Range<usize>,
    /// Where its header [`PLACE_KEY`](crate::pglog::PLACE_KEY) stands there; empty without one.
    pub place: Range<usize>,
}

impl Chunk {
    /// How many records a chunk holds at the most.
    pub const RECORDS: usize = 512;

    /// The records with their payloads, in order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arrival, &[u8])> {
        self.records.iter().map(|arrival| (arrival, &self.buffer[arrival.payload.clone()]))
    }

    /// Where the shipper read a record, as the record's header says; empty without one.
    pub fn place(&self, arrival: &Arrival) -> &[u8] {
        self.buffer.get(arrival.place.clone()).unwrap_or_default()
    }
}

/// How much there is to read of a source that ends: bytes of files, records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What has been read.
    pub read: u64,
    /// All there is.
    pub total: u64,
}

/// Where a partition goes on: what an earlier run of the same consumer group committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The Kafka partition.
    pub partition: i32,
    /// The first offset that is read again; `None` in a group without a committed offset.
    pub offset: Option<i64>,
    /// What the earlier run wrote beside the offset (`replay::account::checkpoint` wrote and reads it).
    /// Empty where the offset is not the one it was written for.
    pub metadata: String,
}

/// Records that a partition should still hold and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The Kafka partition.
    pub partition: i32,
    /// The offset that was to be read next.
    pub wanted: i64,
    /// The oldest offset that the partition holds.
    pub oldest: i64,
    /// One past the newest offset that the partition holds.
    pub end: i64,
}

impl Gap {
    /// How many offsets are gone. Not known, and 0, where the partition ends before the offset
    /// that was wanted: the topic was made anew or cut off.
    pub fn lost(&self) -> u64 {
        u64::try_from(self.oldest - self.wanted).unwrap_or(0)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, wanted, oldest, end } = self;
        if self.lost() > 0 {
            let last = oldest - 1;
            write!(
                f,
                "partition {partition}: offsets {wanted} to {last} ({} records) are gone, the \
                 oldest is {oldest}",
                self.lost()
            )
        } else {
            write!(
                f,
                "partition {partition}: offset {wanted} comes next, but the partition ends at \
                 {end} and its oldest is {oldest}: the topic was made anew or cut off"
            )
        }
    }
}

/// What a source has to say.
#[derive(Debug)]
pub enum Event {
    /// Records, in order of arrival.
    Records(Chunk),
    /// Partitions that this process reads from now on.
    Assigned(Vec<Resume>),
    /// Partitions that it reads no longer. They go to another member of the consumer group when
    /// the source is asked for the next event: until then their offsets can still be committed.
    Revoked(Vec<i32>),
    /// Records that were to come next are gone; `--on-gap continue` continues from the oldest.
    Lost(Gap),
    /// A partition of which nothing more will come: `--until-end` is through with it.
    PartitionEof(i32),
    /// Nothing more will come: the files or `--until-end` are through.
    End,
}

/// What keeps a source from going on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A topic's.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The files'.
    #[error(transparent)]
    Files(#[from] FileError),
}

/// What an error asks of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The settings or the input are wrong.
    Usage,
    /// The source does not let us read.
    Refused,
    /// What comes next is gone.
    Gone,
    /// None of these.
    Unexpected,
}

impl SourceError {
    /// What it asks of the user.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Topic(error) => match error {
                TopicError::Gap { .. } => Fault::Gone,
                TopicError::UnknownTopic { .. }
                | TopicError::Authentication { .. }
                | TopicError::Authorization { .. }
                | TopicError::NameTaken { .. }
                | TopicError::Fenced { .. } => Fault::Refused,
                TopicError::BadProperty { .. } => Fault::Usage,
                TopicError::Client { .. } => Fault::Unexpected,
            },
            Self::Files(error) if error.is_wrong_input() => Fault::Usage,
            Self::Files(_) => Fault::Unexpected,
        }
    }
}
