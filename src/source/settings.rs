//! What is to be read, its opening, and what it is called.

use std::path::PathBuf;

use tracing::info;

use super::files::LogFiles;
use super::{Committer, FileSource, KafkaSettings, KafkaSource, Source, SourceError};
use crate::pglog::Format;
use crate::replay::work::Position;

/// Where records come from.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// A topic.
    Kafka(KafkaSettings),
    /// Files, one log; `-` is standard input.
    Files(Vec<PathBuf>),
}

impl SourceSettings {
    /// Whether the replay ends by itself.
    pub fn has_end(&self) -> bool {
        match self {
            Self::Kafka(kafka) => kafka.until_end,
            Self::Files(_) => true,
        }
    }

    /// Whether it is known how much there is to read: not of a live topic, nor of a pipe.
    pub fn has_known_extent(&self) -> bool {
        match self {
            Self::Kafka(kafka) => kafka.until_end,
            Self::Files(paths) => paths.iter().all(|path| path.is_file()),
        }
    }

    /// What is read, in words.
    pub fn description(&self) -> String {
        match self {
            Self::Kafka(kafka) => format!("topic {} of {}", kafka.topic, kafka.brokers.join(", ")),
            Self::Files(paths) => format!("{} files", paths.len()),
        }
    }

    /// Finds what can be found without waiting for anybody, and what is wrong with it.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or files that are not one log.
    pub fn find(&self, format: Format) -> Result<Found<'_>, SourceError> {
        match self {
            Self::Kafka(kafka) => Ok(Found::Kafka(kafka)),
            Self::Files(paths) => Ok(Found::Files(LogFiles::find(paths, format)?)),
        }
    }
}

/// A source that is there as far as is known, and not opened.
#[derive(Debug)]
pub enum Found<'a> {
    /// A topic, which nobody was asked for.
    Kafka(&'a KafkaSettings),
    /// Files that were looked into.
    Files(LogFiles),
}

/// What is read.
#[derive(Debug)]
pub struct Opened {
    /// The records.
    pub source: Source,
    /// What it is called in messages.
    pub names: SourceNames,
    /// Where offsets are committed; files have none.
    pub committer: Option<Committer>,
}

impl Found<'_> {
    /// Opens it; waits for a broker that can't be reached.
    ///
    /// # Errors
    ///
    /// [`SourceError`]: what waiting does not mend.
    pub async fn open(self) -> Result<Opened, SourceError> {
        match self {
            Self::Kafka(kafka) => {
                let source = KafkaSource::connect(kafka.clone()).await?;
                Ok(Opened {
                    committer: Some(source.committer()),
                    source: Source::Kafka(source),
                    names: SourceNames::Topic(kafka.topic.clone()),
                })
            }
            Self::Files(files) => {
                let names = files.names();
                if files.reordered {
                    info!(
                        "the files are read in the order of their first records: {}",
                        names.join(", ")
                    );
                }
                let source = Source::Files(FileSource::open(files)?);
                Ok(Opened { source, names: SourceNames::Files(names), committer: None })
            }
        }
    }
}

/// What a source is called in messages.
#[derive(Debug, Clone)]
pub enum SourceNames {
    /// A topic.
    Topic(String),
    /// Files, by partition.
    Files(Vec<String>),
}

impl SourceNames {
    /// Where a record stands, for people.
    pub fn place(&self, at: Position) -> String {
        match self {
            Self::Topic(topic) => {
                format!("topic {topic}, partition {}, offset {}", at.partition, at.offset)
            }
            Self::Files(files) => {
                let file = usize::try_from(at.partition).ok().and_then(|index| files.get(index));
                format!("{}, line {}", file.map_or("?", String::as_str), at.line)
            }
        }
    }

    /// The name of a partition's file, or of the topic.
    pub fn file(&self, index: usize) -> &str {
        match self {
            Self::Topic(topic) => topic,
            Self::Files(files) => files.get(index).map_or("?", String::as_str),
        }
    }
}
