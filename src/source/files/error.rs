//! What keeps files from being read.

use std::io;
use std::path::PathBuf;

use crate::pglog::Malformed;
use crate::replay::intake::file_order::Why;

/// What keeps files from being read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file's header names other columns than the log has, or is no csv, so what its records say can't be told.
    #[error("{place}: {malformed}; {}", malformed.remedy().unwrap_or_default())]
    Columns {
        /// The file and the line.
        place: String,
        /// What is wrong with the header.
        malformed: Malformed,
    },
    /// Files are not consecutive parts of one log.
    #[error("--input: {first} and {second} {why}")]
    OutOfOrder {
        /// The file that is read first.
        first: String,
        /// The file that is read later.
        second: String,
        /// What shows it.
        why: Why,
    },
    /// A compressed file is cut off or damaged.
    #[error(
        "{}: its {compression} data can't be unpacked beyond line {line} (byte {bytes} of its text): \
         {source}; what follows there is lost: take a whole copy of the file",
        file.display()
    )]
    Compressed {
        /// The file as it was named; `-` is standard input.
        file: PathBuf,
        /// How it is compressed.
        compression: &'static str,
        /// How much of its text could be read.
        bytes: u64,
        /// The line (from 1) in which that ends.
        line: u64,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A file can't be read.
    #[error("can't read {}: {source}", file.display())]
    Io {
        /// The file as it was named; `-` is standard input.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl FileError {
    /// Whether another file was meant, or it is of another kind: for the user to mend.
    pub fn is_wrong_input(&self) -> bool {
        use io::ErrorKind as K;
        match self {
            Self::Columns { .. } | Self::OutOfOrder { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                K::NotFound | K::PermissionDenied | K::IsADirectory | K::Unsupported
            ),
            Self::Compressed { .. } => false,
        }
    }
}
