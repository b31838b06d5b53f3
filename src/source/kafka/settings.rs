//! What the command line says, as librdkafka's configuration.

use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;

use super::TopicError;
use super::context::Context;

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

/// What our promises rest on, and why; `-X` can't change it.
const FIXED: &[(&str, &str, &str)] = &[
    ("enable.auto.commit", "false", "only replayed records may be committed"),
    ("enable.auto.offset.store", "false", "only replayed records may be committed"),
    ("auto.offset.reset", "error", "`--from` and `--on-gap` say where to begin"),
];

/// What suits a replay better than librdkafka's defaults.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "kreplay"),
    ("isolation.level", "read_committed"),
    // A full queue is looked at again after this; the default of 1000 ms cuts throughput by ten.
    ("fetch.queue.backoff.ms", "5"),
    // Bounds what is fetched ahead: the default of 64 MiB is more than any replay needs.
    ("queued.max.messages.kbytes", "32768"),
    // Back within a second once the broker is; the default is 10 s.
    ("reconnect.backoff.max.ms", "1000"),
    // Members keep their partitions while others come and go.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // After a crash the group waits this long for the dead member; the default is 45 s.
    ("session.timeout.ms", "10000"),
    // A single statement may take long; while it does, the membership is kept alive by `idle`.
    ("max.poll.interval.ms", "900000"),
    // Feeds positions and watermarks.
    ("statistics.interval.ms", "1000"),
    ("log.connection.close", "false"),
];

/// What the broker decides, and librdkafka refuses to be told, under Kafka 4's group protocol
/// (`-X group.protocol=consumer`, KIP-848).
const SET_BY_BROKER: &[&str] = &["partition.assignment.strategy", "session.timeout.ms"];

impl KafkaSettings {
    /// A client that is configured so and not yet connected.
    pub(crate) fn client(&self) -> Result<StreamConsumer<Context>, TopicError> {
        StreamConsumer::from_config_and_context(&self.configuration()?, Context::default())
            .map_err(|error| self.refused(error))
    }

    /// A client that asks brokers about topics, and neither reads nor writes.
    pub(crate) fn admin(&self) -> Result<AdminClient<Context>, TopicError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers.join(","));
        let connection = |key: &str| {
            ["security.", "sasl.", "ssl.", "broker.", "client."]
                .iter()
                .any(|it| key.starts_with(it))
        };
        config.extend(self.properties.iter().filter(|(key, _)| connection(key)).cloned());
        AdminClient::from_config_and_context(&config, Context::default())
            .map_err(|error| self.refused(error))
    }

    fn configuration(&self) -> Result<ClientConfig, TopicError> {
        let mut config = ClientConfig::new();
        // By itself rdkafka asks the `log` crate, which knows nothing of our filter.
        let debug = tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG);
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set("group.id", &self.group_id);
        // Each end that is reached is an event, which only `--until-end` has a use for.
        config.set("enable.partition.eof", if self.until_end { "true" } else { "false" });
        let consumer_protocol = ("group.protocol".to_owned(), "consumer".to_owned());
        let set_by_broker = self.properties.contains(&consumer_protocol);
        for (key, value) in DEFAULTS {
            if !(set_by_broker && SET_BY_BROKER.contains(key)) {
                config.set(*key, *value);
            }
        }
        for (key, value) in &self.properties {
            let key = key.trim();
            let fixed = FIXED.iter().find(|(fixed, ..)| *fixed == key);
            if let Some((_, fixed, why)) = fixed.filter(|(_, fixed, _)| fixed != value) {
                return Err(TopicError::BadProperty {
                    key: key.to_owned(),
                    reason: format!("has to be {fixed}: {why}"),
                });
            }
            if key == "enable.partition.eof" {
                continue;
            }
            config.set(key, value);
        }
        for (key, value, _) in FIXED {
            config.set(*key, *value);
        }
        Ok(config)
    }

    /// librdkafka's reasons quote values.
    fn refused(&self, error: KafkaError) -> TopicError {
        let (key, reason) = match error {
            KafkaError::ClientConfig(_, reason, key, _) => (key, reason),
            KafkaError::ClientCreation(reason) => ("(several)".to_owned(), reason),
            source => return TopicError::Client { action: "set up the Kafka client", source },
        };
        let secrets = self.properties.iter().filter(|(key, _)| is_secret(key));
        let secret = |reason: String, value: &String| match value.is_empty() {
            true => reason,
            false => reason.replace(value.as_str(), "…"),
        };
        let reason = secrets.map(|(_, value)| value).fold(reason, secret);
        TopicError::BadProperty { key, reason }
    }
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
fn is_secret(key: &str) -> bool {
    const MARKS: &[&str] = &["password", "secret", "key", "token", "jaas", "oauthbearer.config"];
    let key = key.to_ascii_lowercase();
    MARKS.iter().any(|mark| key.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[(&str, &str)]) -> KafkaSettings {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        KafkaSettings {
            brokers: vec!["a:1".into(), "b:2".into()],
            topic: "pglog".into(),
            group_id: "kreplay_pglog".into(),
            start: Start::Earliest,
            reset: false,
            on_gap: OnGap::Stop,
            until_end: false,
            properties: properties.iter().map(own).collect(),
        }
    }

    #[test]
    fn properties_of_the_command_line_have_the_last_word() {
        let config = with(&[("client.id", "mine"), ("fetch.wait.max.ms", "7")])
            .configuration()
            .expect("a configuration");
        assert_eq!(config.get("client.id"), Some("mine"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
    }

    #[test]
    fn properties_that_would_lose_records_are_refused() {
        for (key, value) in [("enable.auto.commit", "true"), ("auto.offset.reset", "latest")] {
            let error = with(&[(key, value)]).configuration().expect_err("refused");
            assert!(error.to_string().contains(key), "{error}");
        }
        with(&[("enable.auto.commit", "false")]).configuration().expect("what we set anyway");
    }

    #[test]
    fn an_unknown_property_is_named() {
        let error = with(&[("no.such", "x")]).client().err().expect("refused");
        assert!(matches!(&error, TopicError::BadProperty { key, .. } if key == "no.such"));
    }

    #[test]
    fn secrets_are_neither_in_debug_output_nor_in_errors() {
        let settings = with(&[
            ("sasl.password", "hunter2"),
            ("ssl.key.pem", "hunter2"),
            ("sasl.oauthbearer.client.secret", "hunter2"),
            ("sasl.username", "app"),
            ("security.protocol", "hunter2"),
        ]);
        let error = settings.client().err().expect("no such protocol");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        let debug = format!("{:?}", with(&settings_without_protocol(&settings)));
        assert!(!debug.contains("hunter2"), "{debug}");
        assert!(debug.contains("app"), "{debug}");
    }

    fn settings_without_protocol(settings: &KafkaSettings) -> Vec<(&str, &str)> {
        let all = settings.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        all.filter(|(key, _)| *key != "security.protocol").collect()
    }
}
