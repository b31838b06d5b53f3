//! All that is given, by flag, and the declarations' reading of it.
//!
//! The declarations of the command line read what comes from elsewhere too: the values of the
//! environment and of the configuration file become arguments beside those that were typed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args as _, Command, FromArgMatches as _};

use super::ConfigError;
use super::libpq::{ConnectionLookup, Keyword};
use super::lookup::{Origin, Sourced};
use crate::cli::settings::Settings;

/// What is given for each flag, from the place that takes precedence.
pub(super) struct SourcedSettings(BTreeMap<String, Sourced<Vec<OsString>>>);

impl SourcedSettings {
    /// Looks every flag up.
    pub(super) fn gather(connection: &ConnectionLookup<'_>) -> Self {
        let mut all = BTreeMap::new();
        for flag in declarations().get_arguments() {
            let Some(long) = flag.get_long() else { continue };
            let given = match Keyword::of(long) {
                Some(keyword) => connection.value(keyword),
                None => connection.look.values(long, separator(flag)),
            };
            all.extend(given.map(|given| (long.to_owned(), given)));
        }
        Self(all)
    }

    /// Where the value of a flag came from, if it was given.
    pub(super) fn origin(&self, flag: &str) -> Option<&Origin> {
        self.0.get(flag).map(|given| &given.origin)
    }

    /// Of two settings that exclude each other leaves the one that takes precedence (typed, in the
    /// environment, in the file), with a warning about the other; an error where neither does.
    pub(super) fn exclude(
        &mut self,
        first: &str,
        second: &str,
        remedy: &'static str,
        warnings: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        let (Some(a), Some(b)) = (self.origin(first), self.origin(second)) else { return Ok(()) };
        let (used, unused, flag) = match a.rank().cmp(&b.rank()) {
            Ordering::Greater => (a, b, second),
            Ordering::Less => (b, a, first),
            Ordering::Equal => {
                let (first, second) = (Box::new(a.clone()), Box::new(b.clone()));
                return Err(ConfigError::Exclusive { first, second, remedy });
            }
        };
        warnings.push(format!("{used} is given, so {unused} is not used."));
        self.0.remove(flag);
        Ok(())
    }

    /// Of two settings that say the same leaves the one that takes precedence, of equals the first.
    pub(super) fn choose(&mut self, first: &str, second: &str) {
        let (Some(a), Some(b)) = (self.origin(first), self.origin(second)) else { return };
        let unused = if b.rank() > a.rank() { first } else { second };
        self.0.remove(unused);
    }

    /// Leaves out what can't be said together with a flag, if that is given.
    pub(super) fn leave_out_what_excludes(&mut self, flag: &str) {
        let declarations = declarations();
        if self.origin(flag).is_none() {
            return;
        }
        for other in declarations.get_arguments() {
            let excludes = declarations.get_arg_conflicts_with(other);
            if excludes.iter().any(|excluded| excluded.get_long() == Some(flag)) {
                self.0.remove(other.get_long().unwrap_or_default());
            }
        }
    }

    /// What all of it means by the declarations.
    pub(super) fn read(&self) -> Result<Settings, ConfigError> {
        let arguments = self.0.iter().flat_map(|(flag, given)| {
            given.value.iter().map(move |value| {
                let mut argument = OsString::from(format!("--{flag}="));
                argument.push(value);
                argument
            })
        });
        let mut declarations = declarations();
        declarations
            .try_get_matches_from_mut(std::iter::once("kreplay".into()).chain(arguments))
            .and_then(|matches| Settings::from_arg_matches(&matches))
            .map_err(|error| self.invalid(&error, &declarations))
    }

    /// clap's error, with where the value came from and without the value.
    fn invalid(&self, error: &clap::Error, declarations: &Command) -> ConfigError {
        let names = |flag: &&Arg| {
            error.get(ContextKind::InvalidArg) == Some(&ContextValue::String(flag.to_string()))
        };
        let flag = declarations.get_arguments().find(names).and_then(Arg::get_long);
        let flag = flag.unwrap_or_default();
        let origin = self.origin(flag).cloned().unwrap_or_else(|| Origin::Flag(flag.to_owned()));
        let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(reason), _) => reason.to_string(),
            (None, Some(ContextValue::Strings(names))) if names.is_empty() => {
                "expected a value".to_owned()
            }
            (None, Some(ContextValue::Strings(names))) => {
                format!("expected one of {}", names.join(", "))
            }
            _ => error.kind().to_string(),
        };
        ConfigError::Invalid { origin, reason }
    }
}

fn declarations() -> Command {
    Settings::augment_args(Command::new("kreplay"))
}

/// What stands between the values of a repeatable flag in one text.
fn separator(flag: &Arg) -> Option<char> {
    // A librdkafka setting may have commas in its value.
    let separator = if flag.get_long() == Some("kafka-property") { '\n' } else { ',' };
    matches!(flag.get_action(), ArgAction::Append).then_some(separator)
}
