//! Where a setting's value comes from: the command line, then `KREPLAY_*`, then the older names.

use std::fmt;

use super::ConfigError;

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
}

impl Origin {
    pub(super) fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable { name, flag } => {
                write!(f, "the environment variable {name} (--{flag})")
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
pub(super) struct Lookup<'a>(pub Environment<'a>);

impl Lookup<'_> {
    /// The value of a flag: as typed, or else from the first of `KREPLAY_<FLAG>` and `others` that
    /// is set and not empty. An empty variable counts as not set, as in libpq.
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
        match parse(text.trim()) {
            Ok(value) => Ok(Some(Given { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// The values of a repeatable flag; a variable holds several between `separator`s.
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
        let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
        match parts.map(parse).collect::<Result<Vec<T>, String>>() {
            Ok(value) => Ok(Some(Given { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// The value of a flag that only `KREPLAY_<FLAG>` sets besides the command line, or `default`.
    pub fn or<T>(
        &self,
        flag: &'static str,
        typed: Option<T>,
        default: T,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        Ok(self.one(flag, typed, &[], parse)?.map_or(default, |given| given.value))
    }

    fn set(&self, flag: &'static str, others: &[&str]) -> Option<(String, Origin)> {
        let own = variable(flag);
        std::iter::once(own.as_str()).chain(others.iter().copied()).find_map(|name| {
            let text = (self.0)(name).filter(|text| !text.is_empty())?;
            Some((text, Origin::Variable { name: name.to_owned(), flag }))
        })
    }
}
