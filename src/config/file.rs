//! The configuration file: TOML, a key for each long flag.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, CommandFactory as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::lookup::Sourced;
use super::{ConfigError, Origin};
use crate::cli::{Cli, holds_secret};

/// Nobody writes a longer one by hand.
const LONGEST: u64 = 1 << 20;
/// How much alike an unknown key and a known one are that may be meant.
const ALIKE: f64 = 0.8;

/// What the configuration file says. Without one: nothing.
#[derive(Debug, Default)]
pub struct ConfigFile {
    path: PathBuf,
    /// Settings by flag.
    settings: BTreeMap<String, Setting>,
    /// Whether users besides the owner may read it.
    open_to_others: bool,
}

/// One setting, as text for the parsers of the command line.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    line: usize,
    pub value: Value,
}

/// What is given for a flag.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// One text; for a flag that is repeatable it may hold several, as a variable does.
    One(String),
    /// Several, each as on the command line.
    List(Vec<String>),
}

/// How the value of a flag is written in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Switch,
    Number,
    /// A number, or text with a unit or a word.
    Quantity,
    /// A number, or several in a text.
    Ports,
    /// A number, text, or TOML's own date and time.
    Moment,
    List,
}

impl Kind {
    fn of(flag: &Arg) -> Self {
        if matches!(flag.get_action(), ArgAction::Append) {
            return Self::List;
        }
        match flag.get_value_names().and_then(|names| names.first()).map(|name| name.as_str()) {
            Some("BOOL") => Self::Switch,
            Some("N" | "MS" | "SECONDS") => Self::Number,
            Some("PORT") => Self::Ports,
            Some("DURATION" | "SIZE" | "FACTOR|max") => Self::Quantity,
            Some("UNIXTIME" | "WHERE") => Self::Moment,
            _ => Self::Text,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "expected text in quotes",
            Self::Switch => "expected true or false, without quotes",
            Self::Number => "expected a number, without quotes",
            Self::Ports => "expected a number, without quotes, or several as \"5433,5434\"",
            Self::Quantity => "expected text in quotes, as \"60s\", or a number",
            Self::Moment => "expected a time, as 2025-11-23T00:00:00Z, or Unix seconds",
            Self::List => "expected a list of texts, as [\"a\", \"b\"]",
        }
    }

    /// The value as text for the parser of the command line, if it is of this kind.
    fn read(self, value: &DeValue<'_>) -> Option<Value> {
        let one = match (self, value) {
            (Self::List, DeValue::Array(values)) => {
                let texts = values.iter().map(|value| value.get_ref().as_str().map(str::to_owned));
                return texts.collect::<Option<Vec<String>>>().map(Value::List);
            }
            (Self::Text | Self::Quantity | Self::Moment | Self::List, DeValue::String(text)) => {
                text.clone().into_owned()
            }
            (Self::Ports, DeValue::String(text)) if text.contains(',') => text.clone().into_owned(),
            (Self::Switch, DeValue::Boolean(switch)) => switch.to_string(),
            (
                Self::Number | Self::Ports | Self::Quantity | Self::Moment,
                DeValue::Integer(number),
            ) => i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string(),
            (Self::Quantity | Self::Moment, DeValue::Float(number)) => number.as_str().to_owned(),
            (Self::Moment, DeValue::Datetime(moment)) => moment.to_string(),
            _ => return None,
        };
        Some(Value::One(one))
    }
}

impl ConfigFile {
    /// Reads the file that `origin` names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it can't be read, [`ConfigError::File`] if it is not what it
    /// should be.
    pub fn read(path: &Path, origin: Origin) -> Result<Self, ConfigError> {
        let unreadable = |error: std::io::Error| ConfigError::Invalid {
            origin: origin.clone(),
            reason: format!("{} can't be read: {error}", path.display()),
        };
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
        let open_to_others = metadata.permissions().mode() & 0o077 != 0;
        Self::parse(path, &text, open_to_others)
    }

    /// Takes the file's text apart.
    pub(super) fn parse(
        path: &Path,
        text: &str,
        open_to_others: bool,
    ) -> Result<Self, ConfigError> {
        let wrong = |at: usize, reason: String| ConfigError::File {
            path: path.to_owned(),
            line: line(text, at),
            reason,
        };
        // Only the message: what TOML's errors quote may hold a secret.
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, format!("not TOML: {}", error.message()))
        })?;
        let command = Cli::command();
        let mut settings = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            let at = key.span().start;
            let flag = settable(&command)
                .find(|flag| flag.get_long() == Some(name))
                .ok_or_else(|| wrong(at, unknown(name, value, &command)))?;
            let kind = Kind::of(flag);
            let value = kind
                .read(value.get_ref())
                .ok_or_else(|| wrong(at, format!("{name}: {}", kind.expected())))?;
            settings.insert(name.to_owned(), Setting { line: line(text, at), value });
        }
        Ok(Self { path: path.to_owned(), settings, open_to_others })
    }

    /// What is said of a flag, and where.
    pub(super) fn get(&self, flag: &str) -> Option<Sourced<Value>> {
        let Setting { line, value } = self.settings.get(flag)?.clone();
        let origin = Origin::File { path: self.path.clone(), line, flag: flag.to_owned() };
        Some(Sourced { value, origin })
    }

    /// What the user should know of a file that holds secrets.
    pub(super) fn warning(&self) -> Option<String> {
        let has_secret = self.settings.iter().any(|(flag, setting)| match &setting.value {
            Value::One(text) => holds_secret(flag, text),
            Value::List(texts) => texts.iter().any(|text| holds_secret(flag, text)),
        });
        let path = self.path.display();
        (self.open_to_others && has_secret).then(|| {
            format!(
                "{path} holds a password, and others than its owner may read it: chmod 600 {path}, \
                 or put the password into PGPASSFILE (Kafka's: KREPLAY_KAFKA_PROPERTY)."
            )
        })
    }
}

/// The flags that a file can set: all but the one that names it.
fn settable(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| {
        flag.get_long().is_some_and(|long| !matches!(long, "config" | "help" | "version"))
    })
}

/// What to say of a key that is no flag's.
fn unknown(key: &str, value: &Spanned<DeValue<'_>>, command: &clap::Command) -> String {
    if value.get_ref().is_table() {
        return format!("{key} is a table; settings stand side by side, without tables");
    }
    let likeness = |flag: &str| strsim::jaro_winkler(&key.replace('_', "-"), flag);
    let flags = settable(command).filter_map(Arg::get_long);
    match flags.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(nearest) if likeness(nearest) >= ALIKE => {
            format!("no setting is called {key}; {nearest} may be meant")
        }
        _ => format!("no setting is called {key}; they have the names of the long flags"),
    }
}

/// The line, from 1, of a byte of the text.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
