//! Where a setting's value comes from: the command line, then `KREPLAY_*`, then the older names,
//! then the configuration file.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::file::{ConfigFile, Value};

/// The environment: what a variable holds, if it is set.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This flag (its long name without the dashes) on the command line.
    Flag(&'static str),
    /// This environment variable, in the place of this flag.
    Variable {
        /// The variable.
        name: String,
        /// The flag that would say the same.
        flag: &'static str,
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
        flag: &'static str,
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
pub(super) struct Given<T> {
    pub value: T,
    pub origin: Origin,
}

/// `KREPLAY_` and the flag in capitals.
pub(super) fn variable(flag: &str) -> String {
    format!("KREPLAY_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Looks settings up by precedence.
pub(super) struct Lookup<'a> {
    /// The variables.
    pub environment: Environment<'a>,
    /// The configuration file.
    pub file: &'a ConfigFile,
}

impl Lookup<'_> {
    /// The value of a flag: as typed, or else from the first of `KREPLAY_<FLAG>` and `others` that
    /// is set and not empty, or else from the file. An empty variable counts as not set, as in
    /// libpq.
    pub fn one<T>(
        &self,
        flag: &'static str,
        typed: Option<T>,
        others: &[&str],
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<Given<T>>, ConfigError> {
        if let Some(value) = typed {
            return Ok(Some(Given { value, origin: Origin::Flag(flag) }));
        }
        let Some((text, origin)) = self.set(flag, others) else { return Ok(None) };
        let text = match &text {
            Value::One(text) => text.as_str(),
            // The file knows which flags take a list.
            Value::List(_) => "",
        };
        match parse(text.trim()) {
            Ok(value) => Ok(Some(Given { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// The values of a repeatable flag; a variable, or a single text in the file, holds several
    /// between `separator`s.
    pub fn many<T>(
        &self,
        flag: &'static str,
        typed: Vec<T>,
        others: &[&str],
        separator: char,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<Given<Vec<T>>>, ConfigError> {
        if !typed.is_empty() {
            return Ok(Some(Given { value: typed, origin: Origin::Flag(flag) }));
        }
        let Some((text, origin)) = self.set(flag, others) else { return Ok(None) };
        let parts: Vec<&str> = match &text {
            Value::One(text) => {
                text.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
            }
            Value::List(texts) => texts.iter().map(String::as_str).collect(),
        };
        if parts.is_empty() {
            return Ok(None);
        }
        match parts.into_iter().map(parse).collect::<Result<Vec<T>, String>>() {
            Ok(value) => Ok(Some(Given { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// The value of a flag that only `KREPLAY_<FLAG>` and the file set besides the command line, or
    /// `default`.
    pub fn or<T>(
        &self,
        flag: &'static str,
        typed: Option<T>,
        default: T,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        Ok(self.one(flag, typed, &[], parse)?.map_or(default, |given| given.value))
    }

    /// What a variable says, if it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|text| !text.is_empty())
    }

    /// The first of these variables that is set and not empty.
    pub fn variables<'n>(
        &self,
        flag: &'static str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<(String, Origin)> {
        names.into_iter().find_map(|name| {
            let text = self.variable(name)?;
            Some((text, Origin::Variable { name: name.to_owned(), flag }))
        })
    }

    fn set(&self, flag: &'static str, others: &[&str]) -> Option<(Value, Origin)> {
        let own = variable(flag);
        let names = std::iter::once(own.as_str()).chain(others.iter().copied());
        let set = self.variables(flag, names);
        set.map(|(text, origin)| (Value::One(text), origin)).or_else(|| self.file.get(flag))
    }
}
