//! What keeps a source from going on.

use std::path::PathBuf;

use rdkafka::error::KafkaError;

use super::Gap;
use crate::pglog::Malformed;
use crate::replay::intake::file_order::Why;

/// What keeps a source from going on. Whatever may pass by itself (an unreachable broker, a leader
/// election) is not among these: it is logged and tried again.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The topic does not exist, or no longer.
    #[error("there is no topic {topic} at {brokers}")]
    UnknownTopic {
        /// The topic's name.
        topic: String,
        /// The brokers that were asked.
        brokers: String,
    },
    /// The broker did not accept our credentials, or we not its certificate.
    #[error("authentication with Kafka failed: {reason}")]
    Authentication {
        /// librdkafka's words; they name the broker and never a password.
        reason: String,
    },
    /// The broker knows us and does not let us read the topic or use the consumer group.
    #[error("Kafka does not allow reading topic {topic} as group {group_id}: {reason}")]
    Authorization {
        /// The topic's name.
        topic: String,
        /// The consumer group.
        group_id: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The records that come next are no longer (or not yet) in the topic.
    #[error("topic {topic}, {gap}; `--on-gap continue` goes on from the oldest record")]
    Gap {
        /// The topic's name.
        topic: String,
        /// What is missing.
        gap: Gap,
    },
    /// librdkafka does not take a property, or kreplay can't do its work with it.
    #[error("Kafka property {key}: {reason}")]
    BadProperty {
        /// The property's name.
        key: String,
        /// Why not; never the value of a secret.
        reason: String,
    },
    /// librdkafka failed in a way that it does not recover from.
    #[error("can't {action}: {source}")]
    Kafka {
        /// What was being done.
        action: &'static str,
        /// librdkafka's error.
        source: KafkaError,
    },
    /// A file's header names other columns than the log has, or is no csv, so what its records say can't be told.
    #[error("{place}: {malformed}; {}", malformed.remedy().unwrap_or_default())]
    Columns {
        /// The file and the line.
        place: String,
        /// What is wrong with the header.
        malformed: Malformed,
    },
    /// Files are not consecutive parts of one log.
    #[error("--input: {first} and {second} {why}")]
    OutOfOrder {
        /// The file that is read first.
        first: String,
        /// The file that is read later.
        second: String,
        /// What shows it.
        why: Why,
    },
    /// A compressed file is cut off or damaged.
    #[error(
        "{}: its {compression} data can't be unpacked beyond line {line} (byte {bytes} of its text): \
         {source}; what follows there is lost: take a whole copy of the file",
        file.display()
    )]
    Compressed {
        /// The file as it was named; `-` is standard input.
        file: PathBuf,
        /// How it is compressed.
        compression: &'static str,
        /// How much of its text could be read.
        bytes: u64,
        /// The line (from 1) in which that ends.
        line: u64,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A file can't be read.
    #[error("can't read {}: {source}", file.display())]
    Io {
        /// The file as it was named; `-` is standard input.
        file: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}
