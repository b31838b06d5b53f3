//! Where records come from: a Kafka topic or files. Knows nothing of PostgreSQL.

use std::ops::Range;

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
}

impl Chunk {
    /// How many records a chunk holds at the most.
    pub const RECORDS: usize = 512;

    /// The records with their payloads, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&Arrival, &[u8])> {
        self.records.iter().map(|arrival| (arrival, &self.buffer[arrival.payload.clone()]))
    }
}

/// Where a partition goes on: what an earlier run of the same consumer group committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The Kafka partition.
    pub partition: i32,
    /// The first offset that is read again; `None` in a group without a committed offset.
    pub offset: Option<i64>,
    /// What the earlier run wrote beside the offset (`replay::checkpoint` wrote and reads it).
    pub metadata: String,
}

/// What a source has to say.
#[derive(Debug)]
pub enum Event {
    /// Records, in order of arrival.
    Records(Chunk),
    /// Partitions that this process reads from now on.
    Assigned(Vec<Resume>),
    /// Partitions that it reads no longer.
    Revoked(Vec<i32>),
    /// Nothing more will come: the files or `--until-end` are through.
    End,
}
