//! What libpq's keywords come to: by flags of their own, the connection string of `--target`, the
//! service that it or `PGSERVICE` names, and libpq's variables.
//!
//! The command line goes before the environment, and that before the configuration file. In each of
//! them a flag of its own goes before `--target`. As in libpq, what `--target` says goes before the
//! service, and the service before libpq's variables.

use super::file::Value;
use super::lookup::{Given, Lookup, Origin};
use super::{ConfigError, service};
use crate::cli::{self, conninfo::Conninfo};

/// A keyword of libpq's, and how else it is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword {
    /// As a connection string has it.
    pub name: &'static str,
    /// The flag of its own.
    pub flag: Option<&'static str>,
    /// The variable that the first kreplay had for it.
    pub older: Option<&'static str>,
    /// libpq's variable.
    pub variable: Option<&'static str>,
}

/// Looks up what concerns the connection to the target.
pub(super) struct ConnectionLookup<'a> {
    /// For what is none of libpq's keywords.
    pub look: &'a Lookup<'a>,
    target: Option<Given<Conninfo>>,
    service: Option<(String, Conninfo)>,
}

impl<'a> ConnectionLookup<'a> {
    /// Takes the connection string apart, and reads the service that is named.
    pub fn new(look: &'a Lookup<'a>, typed: Option<String>) -> Result<Self, ConfigError> {
        let invalid =
            |origin: &Origin, reason| ConfigError::Invalid { origin: origin.clone(), reason };
        let target = match look.one("target", typed, &[], cli::text)? {
            Some(Given { value, origin }) => {
                let value = Conninfo::parse(&value).map_err(|reason| invalid(&origin, reason))?;
                Some(Given { value, origin })
            }
            None => None,
        };
        let mut lookup = Self { look, target, service: None };
        if let Some(Given { value: service, origin }) = lookup.text(SERVICE)? {
            let file = lookup.text(SERVICE_FILE)?.map(|given| given.value);
            let found = service::find(look, &service, file.as_deref())
                .map_err(|reason| invalid(&origin, reason))?;
            lookup.service = Some((service, found));
        }
        Ok(lookup)
    }

    /// What a keyword comes to: as typed, or else from the first place that says something.
    pub fn one<T>(
        &self,
        keyword: Keyword,
        typed: Option<T>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<Given<T>>, ConfigError> {
        if let (Some(value), Some(flag)) = (typed, keyword.flag) {
            return Ok(Some(Given { value, origin: Origin::Flag(flag) }));
        }
        let Some((text, origin)) = self.said(keyword) else { return Ok(None) };
        match parse(text.trim()) {
            Ok(value) => Ok(Some(Given { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// The same for a keyword whose value is any text, and that has no flag of its own.
    pub fn text(&self, keyword: Keyword) -> Result<Option<Given<String>>, ConfigError> {
        self.one(keyword, None, cli::text)
    }

    /// What `--target` says of a keyword.
    pub fn in_target(&self, name: &'static str) -> Option<(String, Origin)> {
        let Given { value, origin } = self.target.as_ref()?;
        let origin = Origin::Keyword { keyword: name, target: Box::new(origin.clone()) };
        Some((value.get(name)?.to_owned(), origin))
    }

    fn said(&self, keyword: Keyword) -> Option<(String, Origin)> {
        let by_level = |level: Level| {
            self.in_target(keyword.name).filter(|(_, origin)| {
            matches!(origin, Origin::Keyword { target, .. } if Level::of(target) == level)
        })
        };
        let text = |(value, origin): (Value, Origin)| match value {
            Value::One(text) => Some((text, origin)),
            // The file knows which flags take a list.
            Value::List(_) => None,
        };
        let flag = keyword.flag.unwrap_or("target");
        let own = || {
            let own = keyword.flag.map(super::lookup::variable);
            self.look.variables(flag, own.as_deref().into_iter().chain(keyword.older))
        };
        by_level(Level::CommandLine)
            .or_else(own)
            .or_else(|| by_level(Level::Environment))
            .or_else(|| self.in_service(keyword.name))
            .or_else(|| self.look.variables(flag, keyword.variable))
            .or_else(|| keyword.flag.and_then(|flag| self.look.file.get(flag)).and_then(text))
            .or_else(|| by_level(Level::File))
    }

    fn in_service(&self, name: &'static str) -> Option<(String, Origin)> {
        let (service, info) = self.service.as_ref()?;
        let origin = Origin::Service { keyword: name, service: service.clone() };
        Some((info.get(name)?.to_owned(), origin))
    }
}

/// Where a connection string is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    CommandLine,
    Environment,
    File,
}

impl Level {
    fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Flag(_) => Self::CommandLine,
            Origin::File { .. } => Self::File,
            Origin::Variable { .. } | Origin::Keyword { .. } | Origin::Service { .. } => {
                Self::Environment
            }
        }
    }
}

const SERVICE: Keyword =
    Keyword { name: "service", flag: None, older: None, variable: Some("PGSERVICE") };
const SERVICE_FILE: Keyword =
    Keyword { name: "servicefile", flag: None, older: None, variable: Some("PGSERVICEFILE") };
