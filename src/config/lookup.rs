//! Where a setting's value comes from: the command line, then `KREPLAY_*`, then the older names,
//! then the configuration file.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::file::{ConfigFile, Value};
use crate::cli::Typed;

/// The environment: what a variable holds, if it is set.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This flag (its long name without the dashes) on the command line.
    Flag(String),
    /// This environment variable, in the place of this flag.
    Variable {
        /// The variable.
        name: String,
        /// The flag that would say the same.
        flag: String,
    },
    /// A keyword in the connection string of `--target`.
    Keyword {
        /// The keyword.
        keyword: &'static str,
        /// Where the connection string came from.
        target: Box<Origin>,
    },
    /// A keyword of a service in libpq's service file.
    Service {
        /// The keyword.
        keyword: &'static str,
        /// The service.
        service: String,
    },
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, which is the flag that would say the same.
        flag: String,
    },
}

impl Origin {
    pub(super) fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// The higher wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 6,
            Self::Variable { .. } => 4,
            Self::Service { .. } => 3,
            Self::File { .. } => 2,
            // A flag of its own goes before it.
            Self::Keyword { target, .. } => target.rank().saturating_sub(1),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable { name, flag } => {
                write!(f, "the environment variable {name} (--{flag})")
            }
            Self::Keyword { keyword, target } => write!(f, "{keyword} in {target}"),
            Self::Service { keyword, service } => {
                write!(f, "{keyword} in the service {service} (PGSERVICE)")
            }
            Self::File { path, line, flag } => {
                write!(f, "{}:{line}: {flag} (--{flag})", path.display())
            }
        }
    }
}

/// A value that somebody gave, and how.
#[derive(Clone)]
pub(super) struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// What it comes to.
    pub(super) fn map<U>(self, meaning: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: meaning(self.value), origin: self.origin }
    }
}

/// The names of the environment besides `KREPLAY_*` that are not libpq's: those of the first kreplay,
/// and that of tracing.
const OLDER: [(&str, &str); 12] = [
    ("topic", "topic"),
    ("brokers", "brokers"),
    ("db-host", "dbHost"),
    ("db-port", "dbPort"),
    ("db-name", "dbName"),
    ("db-user", "dbUser"),
    ("skip-selects", "skipSelects"),
    ("after", "replayAfter"),
    ("skip-count", "skipCount"),
    ("ignore-error-seconds", "ignoreErrorSeconds"),
    ("timeout-ms", "timeoutMS"),
    ("log", "RUST_LOG"),
];

/// `KREPLAY_` and the flag in capitals.
pub(super) fn variable(flag: &str) -> String {
    format!("KREPLAY_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Looks settings up by precedence.
pub(super) struct Lookup<'a> {
    /// The command line.
    pub typed: &'a Typed,
    /// The variables.
    pub environment: Environment<'a>,
    /// The configuration file.
    pub file: &'a ConfigFile,
}

impl Lookup<'_> {
    /// The values of a flag: as typed, or else from its variables, or else from the file. An empty
    /// variable counts as not set, as in libpq. With a `separator` the flag is repeatable: a variable,
    /// or a single text in the file, holds several values between separators.
    pub(super) fn values(
        &self,
        flag: &str,
        separator: Option<char>,
    ) -> Option<Sourced<Vec<OsString>>> {
        if let Some(typed) = self.typed(flag) {
            return Some(typed);
        }
        let own = self.own_variables(flag).map(|text| text.map(Value::One));
        let set = own.or_else(|| self.file.get(flag))?;
        let values = set.map(|value| match (value, separator) {
            (Value::One(text), None) => vec![text.trim().into()],
            (Value::One(text), Some(separator)) => {
                let parts = text.split(separator).map(str::trim);
                parts.filter(|part| !part.is_empty()).map(OsString::from).collect()
            }
            (Value::List(texts), _) => texts.into_iter().map(OsString::from).collect(),
        });
        Some(values).filter(|values| !values.value.is_empty())
    }

    /// The one value of a flag.
    pub(super) fn value(&self, flag: &str) -> Option<Sourced<OsString>> {
        let Sourced { value, origin } = self.values(flag, None)?;
        value.into_iter().next_back().map(|value| Sourced { value, origin })
    }

    /// What was typed.
    pub(super) fn typed(&self, flag: &str) -> Option<Sourced<Vec<OsString>>> {
        let value = self.typed.get(flag)?.to_vec();
        Some(Sourced { value, origin: Origin::Flag(flag.to_owned()) })
    }

    /// The first of a flag's variables, but for libpq's, that is set and not empty.
    pub(super) fn own_variables(&self, flag: &str) -> Option<Sourced<String>> {
        let older = OLDER.iter().find(|(of, _)| *of == flag).map(|(_, name)| *name);
        let own = self.given_by(&variable(flag), flag);
        own.or_else(|| older.and_then(|name| self.given_by(name, flag)))
    }

    /// What a variable says in the place of a flag.
    pub(super) fn given_by(&self, name: &str, flag: &str) -> Option<Sourced<String>> {
        let value = self.variable(name)?;
        let origin = Origin::Variable { name: name.to_owned(), flag: flag.to_owned() };
        Some(Sourced { value, origin })
    }

    /// What a variable says, if it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|text| !text.is_empty())
    }
}
