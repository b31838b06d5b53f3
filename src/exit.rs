//! How the process ends.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
#[repr(u8)]
pub enum Exit {
    /// Everything was read to its end, or a signal asked to stop.
    Done = 0,
    /// Something unexpected failed.
    Unexpected = 1,
    /// The command line, the environment, the configuration file, a file of --input or a report is wrong.
    Usage = 2,
    /// The target refused (bad password, unknown database or role, TLS), or could not be reached in
    /// time.
    TargetRefused = 3,
    /// Kafka refused: unknown topic, authentication, authorization.
    KafkaRefused = 4,
    /// The committed offset is no longer in the topic, and --on-gap is stop.
    OffsetGone = 5,
    /// A statement failed, and --on-error is stop.
    StatementFailed = 6,
    /// `kreplay check` found an error.
    CheckFailed = 7,
    /// A replay with an end has ended, and had to reject or give up something.
    Incomplete = 8,
    /// `kreplay compare` found something worse.
    Worse = 9,
}

impl Exit {
    /// What the code says.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Everything was read to its end, or a signal asked to stop.",
            Self::Unexpected => "Something unexpected failed.",
            Self::Usage => {
                "The command line, the environment, the configuration file, a file of --input or a report is \
                 wrong, or two reports are not of one log."
            }
            Self::TargetRefused => {
                "The target refused (bad password, unknown database or role, TLS), or could not be \
                 reached within --connect-timeout."
            }
            Self::KafkaRefused => "Kafka refused: unknown topic, authentication, authorization.",
            Self::OffsetGone => {
                "The committed offset is no longer in the topic, and --on-gap is stop."
            }
            Self::StatementFailed => {
                "A statement failed that had not failed on the source, and --on-error is stop."
            }
            Self::CheckFailed => "kreplay check found an error.",
            Self::Incomplete => {
                "A replay with an end (--input, --until-end) has ended, but not everything could be \
                 replayed: records were rejected or given up, and --allow-losses is not given."
            }
            Self::Worse => {
                "kreplay compare found a shape that is degraded, or a new error, and --fail-on counts it; or \
                 much did not run on the candidate's target, and --fail-on is not never."
            }
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
