//! What keeps a topic from being read.

use rdkafka::error::KafkaError;

use crate::source::Gap;

/// What keeps a topic from being read. Whatever may pass by itself (an unreachable broker, a leader
/// election) is not among these: it is logged and tried again.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
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
    /// Another process of this host is the member that this one was to be.
    #[error(
        "another kreplay on this host is the member {name} of the group {group_id}: give this one a name of \
        its own (--group-instance-id NAME), or stop the other"
    )]
    NameTaken {
        /// The member's name.
        name: String,
        /// The consumer group.
        group_id: String,
    },
    /// Another process has joined under this member's name.
    #[error(
        "another kreplay has joined the group {group_id} as the member {name}, and has taken this one's place: \
        give each a name of its own (--group-instance-id NAME)"
    )]
    Fenced {
        /// The member's name.
        name: String,
        /// The consumer group.
        group_id: String,
    },
    /// The records that come next are no longer (or not yet) in the topic.
    #[error("topic {topic}, {gap}; `--on-gap continue` continues from the oldest record")]
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
    Client {
        /// What was being done.
        action: &'static str,
        /// librdkafka's error.
        source: KafkaError,
    },
}
