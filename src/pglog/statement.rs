//! What a session sent, as its log tells.

use crate::pglog::SqlState;
use crate::sql::{self, Command, Outline, VirtualTransaction};

/// One request of a session: a simple query or the execution of a portal.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text, verbatim. May hold several statements in the simple protocol.
    pub sql: Box<str>,
    /// How it was sent.
    pub protocol: Protocol,
    /// What its text holds.
    pub outline: Outline,
    /// How long it ran on the source, in milliseconds, where that is logged; with what parsing and
    /// binding it took before.
    pub duration_ms: Option<f64>,
    /// The transaction that it exported a snapshot of, where it did and the log tells.
    pub exporter: Option<VirtualTransaction>,
    /// When its record was written, in milliseconds since the Unix epoch.
    pub logged_ms: i64,
}

/// How a statement was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    /// As a Query message.
    Simple,
    /// As Parse, Bind and Execute.
    Extended {
        /// The prepared statement's name, empty for the unnamed one.
        name: Box<str>,
        /// The portal's name, empty for the unnamed one.
        portal: Box<str>,
        /// The parameters' values as text.
        parameters: Vec<Option<Box<str>>>,
        /// Whether its name was prepared since it was executed last.
        prepared_anew: bool,
    },
    /// As a Parse message that failed on the source: nothing was bound or executed.
    ParseOnly,
    /// As a Bind message that failed on the source: nothing was executed.
    BindOnly {
        /// The parameters' values as text.
        parameters: Vec<Option<Box<str>>>,
    },
    /// It failed on the source and the log does not hold enough of it to run it: a Bind without its
    /// parameters, an error without its query.
    Unknown,
}

/// How a statement ended on the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceEnd {
    /// Logged at its start, and nothing was seen of its end so far.
    #[default]
    Unknown,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed(SqlState),
    /// It never ended: its session or its server was terminated while it ran.
    Terminated,
}

impl SourceEnd {
    /// Whether the failure came from what happened around the statement (a cancellation, a lock, a
    /// deadlock, a shutdown) and not from what it says and the data: running it again need not fail.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Failed(code) => {
                matches!(code.class(), "40" | "53" | "57" | "58") || code.as_str() == "55P03"
            }
            Self::Terminated => true,
            Self::Unknown | Self::Succeeded => false,
        }
    }
}

/// How a statement of the extended protocol stands to the Sync that ends its implicit transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncEnd {
    /// The Sync followed it.
    #[default]
    Synced,
    /// The session's next statement shared its Sync.
    Joined,
    /// The session ended before a Sync: what it did was rolled back.
    Never,
}

/// What a later record of the session tells of a statement that was read before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amendment {
    /// It ended without an error, after so many milliseconds where that is logged.
    Succeeded(Option<f64>),
    /// It failed.
    Failed(Failure),
    /// It shared its Sync with the statement that follows.
    Joined,
    /// It is the last of those replayed that shared its Sync: what followed is not replayed.
    Synced,
    /// Its session ended before a Sync.
    NeverSynced,
    /// Its session or its server was terminated while it ran.
    Terminated,
}

/// What an error record tells of the statement that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failure {
    /// The error.
    pub code: SqlState,
    /// How long the statement ran at the most before it failed, in milliseconds, where the log tells.
    pub after_ms: Option<f64>,
    /// Which of the string's statements failed, as the process title told its command.
    pub part: Option<usize>,
}

impl Statement {
    /// One that the log tells no more of.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new(sql: &str, protocol: Protocol) -> Self {
        Self {
            sql: sql.into(),
            protocol,
            outline: Outline::of(sql),
            duration_ms: None,
            exporter: None,
            logged_ms: 0,
        }
    }

    /// The values of its parameters as text; none in the simple protocol.
    pub fn parameters(&self) -> &[Option<Box<str>>] {
        match &self.protocol {
            Protocol::Extended { parameters, .. } | Protocol::BindOnly { parameters } => parameters,
            Protocol::Simple | Protocol::ParseOnly | Protocol::Unknown => &[],
        }
    }

    /// Whether it may commit part of its work before it ends, where it runs outside of a transaction
    /// block: a routine with COMMIT in it, and what is done CONCURRENTLY.
    pub fn may_commit_midway(&self) -> bool {
        match sql::key(&self.sql, 1).as_str() {
            "call" | "do" => self.outline.single().is_some(),
            "create" | "drop" | "reindex" | "alter" => {
                self.outline.single().is_some()
                    && sql::after_keyword(&self.sql, "concurrently").is_some()
            }
            _ => false,
        }
    }

    /// About how many bytes of memory it takes, besides itself.
    pub fn size(&self) -> usize {
        let parameters = match &self.protocol {
            Protocol::Extended { parameters, .. } | Protocol::BindOnly { parameters } => {
                let text: usize = parameters.iter().flatten().map(|value| value.len()).sum();
                text + size_of_val(parameters.as_slice())
            }
            _ => 0,
        };
        self.sql.len() + parameters + size_of_val(self.outline.parts.as_slice())
    }

    /// Whether it was sent in the extended protocol.
    pub fn is_extended(&self) -> bool {
        match self.protocol {
            Protocol::Extended { .. } | Protocol::ParseOnly | Protocol::BindOnly { .. } => true,
            Protocol::Simple | Protocol::Unknown => false,
        }
    }

    /// Whether its failure with this code may be of what its log does not hold, so that what it sent
    /// need not fail: the types that the source's client declared for its parameters, or a name of a
    /// prepared statement or portal that was taken, or that nothing had.
    pub fn fails_beyond_log(&self, code: SqlState) -> bool {
        let names = matches!(&code.0, b"42P05" | b"26000" | b"34000");
        names
            || match self.protocol {
                // ambiguous, undefined and mismatching types, of operators and functions too
                Protocol::ParseOnly => {
                    matches!(
                        &code.0,
                        b"42804" | b"42883" | b"42P18" | b"42725" | b"42846" | b"42P08"
                    ) && sql::has_parameters(&self.sql)
                }
                // values that are none of their type
                Protocol::BindOnly { .. } => {
                    matches!(
                        &code.0,
                        b"22P02" | b"22P03" | b"22007" | b"22008" | b"22003" | b"08P01"
                    )
                }
                Protocol::Simple | Protocol::Extended { .. } | Protocol::Unknown => false,
            }
    }

    /// Whether any part of it opens or ends a transaction block.
    pub fn controls_transaction(&self) -> bool {
        self.outline.has(Command::controls_transaction)
    }

    /// Whether it does nothing but end a transaction block.
    pub fn only_ends_transaction(&self) -> bool {
        self.outline.single().is_some_and(Command::ends_transaction)
    }

    /// Whether its last part undoes a transaction (`ROLLBACK`, `ABORT`, with or without a chain).
    pub fn rolls_back(&self) -> bool {
        self.outline.parts.last().is_some_and(|part| {
            part.command.ends_transaction()
                && matches!(&*sql::key(&self.sql[part.range.clone()], 1), "rollback" | "abort")
        })
    }
}

#[cfg(test)]
mod tests;
