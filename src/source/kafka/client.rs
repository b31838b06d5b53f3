//! librdkafka's clients, configured.

use rdkafka::admin::AdminClient;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;

use super::context::Context;
use super::settings::{KafkaSettings, Property};
use super::{TopicError, instance};

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

/// A client that is configured so and not yet connected.
pub(crate) fn consumer(settings: &KafkaSettings) -> Result<StreamConsumer<Context>, TopicError> {
    StreamConsumer::from_config_and_context(&configuration(settings)?, Context::default())
        .map_err(|error| refused(&settings.properties, error))
}

/// A client that asks brokers about topics, and neither reads nor writes.
pub(crate) fn admin(settings: &KafkaSettings) -> Result<AdminClient<Context>, TopicError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", settings.brokers.join(","));
    let connection = |key: &str| {
        ["security.", "sasl.", "ssl.", "broker.", "client."].iter().any(|it| key.starts_with(it))
    };
    for property in settings.properties.iter().filter(|property| connection(&property.key)) {
        config.set(&property.key, property.value());
    }
    AdminClient::from_config_and_context(&config, Context::default())
        .map_err(|error| refused(&settings.properties, error))
}

fn configuration(settings: &KafkaSettings) -> Result<ClientConfig, TopicError> {
    let mut config = ClientConfig::new();
    // By itself rdkafka asks the `log` crate, which knows nothing of our filter.
    let debug = tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG);
    config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    config.set("bootstrap.servers", settings.brokers.join(","));
    config.set("group.id", &settings.group_id);
    // Each end that is reached is an event, which only `--until-end` has a use for.
    config.set("enable.partition.eof", if settings.until_end { "true" } else { "false" });
    if let Some(name) = instance::of(settings) {
        config.set("group.instance.id", name);
    }
    let set_by_broker = settings.uses_brokers_protocol();
    for (key, value) in DEFAULTS {
        if !(set_by_broker && SET_BY_BROKER.contains(key)) {
            config.set(*key, *value);
        }
    }
    for property in &settings.properties {
        let (key, value) = (property.key.trim(), property.value());
        let fixed = FIXED.iter().find(|(fixed, ..)| *fixed == key);
        if let Some((_, fixed, why)) = fixed.filter(|(_, fixed, _)| *fixed != value) {
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

/// librdkafka's reasons quote values, and so does rdkafka's error.
pub(in crate::source) fn refused(properties: &[Property], error: KafkaError) -> TopicError {
    let (key, reason) = match error {
        KafkaError::ClientConfig(_, reason, key, _) => (key, reason),
        KafkaError::ClientCreation(reason) => ("(several)".to_owned(), reason),
        source => return TopicError::Client { action: "set up the Kafka client", source },
    };
    let hidden = properties.iter().filter(|property| !Property::is_shown(&property.key));
    let blank = |reason: String, value: &str| match value.is_empty() {
        true => reason,
        false => reason.replace(value, "…"),
    };
    let reason = hidden.map(Property::value).fold(reason, blank);
    TopicError::BadProperty { key, reason }
}

#[cfg(test)]
mod tests;
