//! Where records go that can't be read, so that somebody can look at them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tracing::warn;

use super::SourceSettings;
use super::kafka::client::refused;
use super::kafka::{Property, TopicError};
use crate::private_file;

/// Where records go that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetter {
    /// Appended to a file.
    File(PathBuf),
    /// Produced to a topic on the same brokers.
    Topic(String),
}

impl FromStr for DeadLetter {
    type Err = &'static str;

    /// A file, or `topic:` and its name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("topic:") {
            Some("") => Err("expected the topic's name after topic:"),
            Some(topic) => Ok(Self::Topic(topic.to_owned())),
            None if text.is_empty() => Err("expected a file or topic:NAME"),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// A file or a topic of records that could not be read.
pub struct DeadLetters {
    place: Place,
    warned: bool,
}

enum Place {
    /// A csv file: partition, offset, line, reason, error, payload. The payload's bytes are as they
    /// came.
    File { path: PathBuf, writer: Box<csv::Writer<File>> },
    /// A topic: the payload as it came, the rest as headers.
    Topic { topic: String, producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> },
}

/// Dead letters can't be written.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The file can't be opened.
    #[error("--dead-letter {file}: {source}", file = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The producer can't be made.
    #[error("--dead-letter topic:{topic}: {source}")]
    Topic {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        source: TopicError,
    },
}

impl DeadLetters {
    /// Opens them. A topic is on the source's own brokers; `None` where those are not known, which the
    /// configuration refuses.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError`].
    pub fn open(to: &DeadLetter, source: &SourceSettings) -> Result<Option<Self>, DeadLetterError> {
        match (to, source) {
            (DeadLetter::File(path), _) => Self::to_file(path).map(Some),
            (DeadLetter::Topic(topic), SourceSettings::Kafka(kafka)) => {
                Self::to_topic(topic, &kafka.brokers, &kafka.properties).map(Some)
            }
            (DeadLetter::Topic(_), _) => Ok(None),
        }
    }

    /// Appends to a file.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError::File`].
    pub fn to_file(path: &Path) -> Result<Self, DeadLetterError> {
        let file = private_file::append(path);
        let file =
            file.map_err(|source| DeadLetterError::File { path: path.to_owned(), source })?;
        let writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        Ok(Self {
            place: Place::File { path: path.to_owned(), writer: Box::new(writer) },
            warned: false,
        })
    }

    /// Sends to a topic of these brokers, with these librdkafka properties.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError::Topic`].
    pub fn to_topic(
        topic: &str,
        brokers: &[String],
        properties: &[Property],
    ) -> Result<Self, DeadLetterError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers.join(","));
        let security =
            |key: &str| ["security.", "sasl.", "ssl."].iter().any(|p| key.starts_with(p));
        for property in properties.iter().filter(|property| security(&property.key)) {
            config.set(&property.key, property.value());
        }
        let producer = config
            .create()
            .map_err(|error| refused(properties, error))
            .map_err(|source| DeadLetterError::Topic { topic: topic.to_owned(), source })?;
        Ok(Self { place: Place::Topic { topic: topic.to_owned(), producer }, warned: false })
    }

    /// Puts a record there. That it can't be is logged, once, and stops nothing.
    pub fn put(
        &mut self,
        partition: i32,
        offset: i64,
        line: u64,
        reason: &str,
        error: &str,
        payload: &[u8],
    ) {
        let (partition, offset, line) =
            (partition.to_string(), offset.to_string(), line.to_string());
        let result = match &mut self.place {
            Place::File { path, writer } => {
                let fields: [&[u8]; 6] = [
                    partition.as_bytes(),
                    offset.as_bytes(),
                    line.as_bytes(),
                    reason.as_bytes(),
                    error.as_bytes(),
                    payload,
                ];
                writer
                    .write_record(fields)
                    .map_err(io::Error::from)
                    .and_then(|()| writer.flush())
                    .map_err(|error| format!("{}: {error}", path.display()))
            }
            Place::Topic { topic, producer } => {
                let header = |key, value| Header { key, value: Some(value) };
                let headers = OwnedHeaders::new()
                    .insert(header("kreplay.partition", partition.as_str()))
                    .insert(header("kreplay.offset", offset.as_str()))
                    .insert(header("kreplay.reason", reason))
                    .insert(header("kreplay.error", error));
                let record = BaseRecord::<(), [u8]>::to(topic).payload(payload).headers(headers);
                producer.send(record).map_err(|(error, _)| format!("topic {topic}: {error}"))
            }
        };
        if let Err(error) = result
            && !self.warned
        {
            self.warned = true;
            warn!("--dead-letter: records that cannot be read are counted, but not kept: {error}");
        }
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        if let Place::Topic { topic, producer } = &self.place
            && let Err(error) = producer.flush(Duration::from_secs(5))
        {
            warn!("--dead-letter topic:{topic}: some dead letters were not sent: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
