//! Which topic is read, and how.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use secrecy::{ExposeSecret as _, SecretString};

use crate::flag_values::moment;

/// Which topic is read, and how.
#[derive(Debug, Clone)]
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
    pub properties: Vec<Property>,
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

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => moment(text)
                .map(Self::At)
                .map_err(|expected| format!("neither earliest nor latest; otherwise {expected}")),
        }
    }
}

/// What to do where the topic no longer holds what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnGap {
    /// Stop, exit code 5
    Stop,
    /// Go on from the oldest record
    Continue,
}

/// A setting of librdkafka.
#[derive(Clone)]
pub struct Property {
    /// Its name.
    pub key: String,
    value: SecretString,
}

impl Property {
    /// A setting with its value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: SecretString::from(value.into()) }
    }

    /// The value, for librdkafka alone.
    pub(crate) fn value(&self) -> &str {
        self.value.expose_secret()
    }

    /// Whether the value of a setting of this name may be a secret. `ssl.key.location` and its like
    /// are shown too little rather than too much.
    pub(crate) fn is_secret(key: &str) -> bool {
        const MARKS: [&str; 7] =
            ["password", "secret", "pem", "token", "oauthbearer", "key", "jaas"];
        let key = key.to_ascii_lowercase();
        MARKS.iter().any(|mark| key.contains(mark))
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if Self::is_secret(&self.key) { "***" } else { self.value() };
        write!(f, "{}={value}", self.key)
    }
}
