//! What a source is called in messages.

use crate::replay::work::Position;

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
