//! Which topic is read, and how.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use secrecy::{ExposeSecret as _, SecretString};

use super::instance;
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
    /// As which member of it.
    pub membership: Membership,
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
    /// Whether what was read is committed.
    pub commits: bool,
}

/// As which member of its group a consumer joins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Membership {
    /// A static one, named after its group and its host.
    #[default]
    OfHost,
    /// A static one of this name.
    Named(String),
    /// A new one each time.
    Dynamic,
}

impl FromStr for Membership {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Dynamic),
            "" | "." | ".." => Err("expected a name, or off".into()),
            _ if text.len() > instance::LONGEST => {
                Err(format!("longer than {} characters", instance::LONGEST))
            }
            _ if !text.chars().all(instance::is_allowed) => {
                Err("only letters, digits, '.', '_' and '-' are allowed".into())
            }
            _ => Ok(Self::Named(text.to_owned())),
        }
    }
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

impl KafkaSettings {
    /// Whether the broker leads the group by Kafka 4's protocol (KIP-848).
    pub(super) fn uses_brokers_protocol(&self) -> bool {
        let is_it = |it: &Property| it.key.trim() == "group.protocol" && it.value() == "consumer";
        self.properties.iter().any(is_it)
    }
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

/// The settings of librdkafka whose value is a number, a switch, one of its words, or a name that opens
/// nothing; sorted.
const SHOWN: &[&str] = &[
    "allow.auto.create.topics",
    "api.version.fallback.ms",
    "api.version.request",
    "api.version.request.timeout.ms",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "coordinator.query.interval.ms",
    "debug",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.metrics.push",
    "enable.partition.eof",
    "enable.random.seed",
    "enable.ssl.certificate.verification",
    "enabled_events",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "log.connection.close",
    "log.queue",
    "log.thread.name",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.jitter.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
    "session.timeout.ms",
    "socket.blocking.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.sigalgs.list",
    "statistics.interval.ms",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
];

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

    /// Whether the value of a setting of this name may be shown: of one that nobody knows, a password's
    /// name misspelt as likely as not, it may not.
    pub(crate) fn is_shown(key: &str) -> bool {
        SHOWN.binary_search(&key.trim()).is_ok()
    }

    /// A setting as it may be shown. What looks like no name of one is a secret that ends in `=`.
    pub(crate) fn shown(key: &str, value: &str) -> String {
        let is_name = |it: u8| it.is_ascii_lowercase() || matches!(it, b'.' | b'_');
        match Self::is_shown(key) {
            true => format!("{key}={value}"),
            false if key.bytes().all(is_name) => format!("{key}=***"),
            false => "***".to_owned(),
        }
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::shown(&self.key, self.value()))
    }
}

#[cfg(test)]
mod tests;
