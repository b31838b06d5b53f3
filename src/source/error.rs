//! What keeps a source from going on.

use super::files::FileError;
use super::kafka::TopicError;

/// What keeps a source from going on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A topic's.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The files'.
    #[error(transparent)]
    Files(#[from] FileError),
}

/// What an error asks of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The settings or the input are wrong.
    Usage,
    /// The source does not let us read.
    Refused,
    /// What comes next is gone.
    Gone,
    /// None of these.
    Unexpected,
}

impl SourceError {
    /// What it asks of the user.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Topic(error) => match error {
                TopicError::Gap { .. } => Fault::Gone,
                TopicError::UnknownTopic { .. }
                | TopicError::Authentication { .. }
                | TopicError::Authorization { .. } => Fault::Refused,
                TopicError::BadProperty { .. } => Fault::Usage,
                TopicError::Client { .. } => Fault::Unexpected,
            },
            Self::Files(error) if error.is_wrong_input() => Fault::Usage,
            Self::Files(_) => Fault::Unexpected,
        }
    }
}
