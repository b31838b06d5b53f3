//! Which topic is read, and how.

use std::fmt;

/// Which topic is read, and how.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Addresses (`host:port`) to begin with.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// The consumer group, under which offsets are committed.
    pub group_id: String,
    /// Where a group without a committed offset begins.
    pub start: Start,
    /// Begin there although there is a committed offset.
    pub reset: bool,
    /// What to do where the topic no longer holds what comes next.
    pub on_gap: OnGap,
    /// Stop where the topic ended when it was first seen.
    pub until_end: bool,
    /// Properties for librdkafka (`-X`). They have the last word, but for those that would lose
    /// records in silence.
    pub properties: Vec<(String, String)>,
}

/// Where a group without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Earliest,
    /// With the next record that is written.
    Latest,
    /// With the first record written at or after this time, in milliseconds since 1970.
    At(i64),
}

/// What to do where the topic no longer holds what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// End with [`TopicError::Gap`].
    Stop,
    /// Go on from the oldest record, and say so by [`Event::Lost`](crate::source::Event::Lost).
    Continue,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Shown<'a>(&'a [(String, String)]);
        impl fmt::Debug for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let shown = |value| if value { "…" } else { "" };
                f.debug_map()
                    .entries(self.0.iter().map(|(key, value)| {
                        (
                            key,
                            if is_secret(key) { shown(!value.is_empty()) } else { value.as_str() },
                        )
                    }))
                    .finish()
            }
        }
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("group_id", &self.group_id)
            .field("start", &self.start)
            .field("reset", &self.reset)
            .field("on_gap", &self.on_gap)
            .field("until_end", &self.until_end)
            .field("properties", &Shown(&self.properties))
            .finish()
    }
}

/// Whether a property's value must not be shown. `ssl.key.location` and its like are shown too
/// little rather than too much.
pub(super) fn is_secret(key: &str) -> bool {
    const MARKS: &[&str] = &["password", "secret", "key", "token", "jaas", "oauthbearer.config"];
    let key = key.to_ascii_lowercase();
    MARKS.iter().any(|mark| key.contains(mark))
}
