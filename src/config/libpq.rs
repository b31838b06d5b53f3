//! What libpq's keywords come to: by flags of their own, the connection string of `--target`, the
//! service that it or `PGSERVICE` names, and libpq's variables.
//!
//! The command line goes before the environment, and that before the configuration file. In each of
//! them a flag of its own goes before `--target`. As in libpq, what `--target` says goes before the
//! service, and the service before libpq's variables.

use std::ffi::OsString;

use super::file::Value;
use super::lookup::{Lookup, Origin, Sourced};
use super::{ConfigError, service};
use crate::cli::conninfo::Conninfo;

/// A keyword of libpq's, and how else it is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword {
    /// As a connection string has it.
    pub name: &'static str,
    /// The flag of its own.
    pub flag: Option<&'static str>,
    /// libpq's variable.
    pub variable: Option<&'static str>,
}

impl Keyword {
    /// A keyword that only a connection string, a service or libpq's variable sets.
    pub(super) const fn plain(name: &'static str, variable: &'static str) -> Self {
        Self { name, flag: None, variable: Some(variable) }
    }

    /// A keyword that libpq has no variable for.
    pub(super) const fn bare(name: &'static str) -> Self {
        Self { name, flag: None, variable: None }
    }

    /// The keyword that a flag sets.
    pub(super) fn of(flag: &str) -> Option<Self> {
        let (name, flag, variable) = *FLAGS.iter().find(|(_, of, _)| *of == flag)?;
        Some(Self { name, flag: Some(flag), variable: Some(variable) })
    }
}

/// The keywords with a flag of their own: keyword, flag, libpq's variable.
const FLAGS: [(&str, &str, &str); 10] = [
    ("host", "db-host", "PGHOST"),
    ("port", "db-port", "PGPORT"),
    ("dbname", "db-name", "PGDATABASE"),
    ("user", "db-user", "PGUSER"),
    ("password", "db-password", "PGPASSWORD"),
    ("sslmode", "sslmode", "PGSSLMODE"),
    ("sslrootcert", "sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "sslcert", "PGSSLCERT"),
    ("sslkey", "sslkey", "PGSSLKEY"),
    ("channel_binding", "channel-binding", "PGCHANNELBINDING"),
];
const SERVICE: Keyword = Keyword::plain("service", "PGSERVICE");
const SERVICE_FILE: Keyword = Keyword::plain("servicefile", "PGSERVICEFILE");

/// Looks up what concerns the connection to the target.
pub(super) struct ConnectionLookup<'a> {
    /// For what is none of libpq's keywords.
    pub look: &'a Lookup<'a>,
    target: Option<Sourced<Conninfo>>,
    service: Option<(String, Conninfo)>,
}

impl<'a> ConnectionLookup<'a> {
    /// Takes the connection string apart, and reads the service that is named.
    pub(super) fn new(look: &'a Lookup<'a>) -> Result<Self, ConfigError> {
        let invalid =
            |origin: &Origin, reason| ConfigError::Invalid { origin: origin.clone(), reason };
        let target = match look.value("target") {
            Some(Sourced { value, origin }) => {
                let value = Conninfo::parse(&value.to_string_lossy())
                    .map_err(|reason| invalid(&origin, reason))?;
                Some(Sourced { value, origin })
            }
            None => None,
        };
        let mut lookup = Self { look, target, service: None };
        if let Some(Sourced { value: service, origin }) = lookup.text(SERVICE) {
            let file = lookup.text(SERVICE_FILE).map(|given| given.value);
            let found = service::find(look, &service, file.as_deref())
                .map_err(|reason| invalid(&origin, reason))?;
            lookup.service = Some((service, found));
        }
        Ok(lookup)
    }

    /// The value of a keyword that has a flag of its own.
    pub(super) fn value(&self, keyword: Keyword) -> Option<Sourced<Vec<OsString>>> {
        let typed = keyword.flag.and_then(|flag| self.look.typed(flag));
        typed.or_else(|| self.text(keyword).map(|text| text.map(|text| vec![text.into()])))
    }

    /// What a keyword without a flag of its own comes to.
    pub(super) fn one<T>(
        &self,
        keyword: Keyword,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        let Some(Sourced { value, origin }) = self.text(keyword) else { return Ok(None) };
        match parse(&value) {
            Ok(value) => Ok(Some(Sourced { value, origin })),
            Err(reason) => Err(ConfigError::Invalid { origin, reason }),
        }
    }

    /// What `--target` says of a keyword.
    pub(super) fn in_target(&self, name: &'static str) -> Option<Sourced<String>> {
        let Sourced { value, origin } = self.target.as_ref()?;
        let origin = Origin::Keyword { keyword: name, target: Box::new(origin.clone()) };
        Some(Sourced { value: value.get(name)?.to_owned(), origin })
    }

    /// What is said of a keyword in the first place that says something, but for its flag.
    pub(super) fn text(&self, keyword: Keyword) -> Option<Sourced<String>> {
        let by_level = |level: Level| {
            self.in_target(keyword.name).filter(|given| {
                matches!(&given.origin, Origin::Keyword { target, .. } if Level::of(target) == level)
            })
        };
        let in_file = |flag| match self.look.file.get(flag)? {
            Sourced { value: Value::One(value), origin } => Some(Sourced { value, origin }),
            // The file knows which flags take a list.
            Sourced { value: Value::List(_), .. } => None,
        };
        let libpqs = |name| self.look.given_by(name, keyword.flag.unwrap_or("target"));
        let said = by_level(Level::CommandLine)
            .or_else(|| keyword.flag.and_then(|flag| self.look.own_variables(flag)))
            .or_else(|| by_level(Level::Environment))
            .or_else(|| self.in_service(keyword.name))
            .or_else(|| keyword.variable.and_then(libpqs))
            .or_else(|| keyword.flag.and_then(in_file))
            .or_else(|| by_level(Level::File));
        said.map(|given| given.map(|text| text.trim().to_owned()))
    }

    fn in_service(&self, name: &'static str) -> Option<Sourced<String>> {
        let (service, info) = self.service.as_ref()?;
        let origin = Origin::Service { keyword: name, service: service.clone() };
        Some(Sourced { value: info.get(name)?.to_owned(), origin })
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
