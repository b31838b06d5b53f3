//! What the command line means: merged with the environment and the configuration file, checked, cut
//! into the settings of each part.
//!
//! A value comes from the first of: the command line, `KREPLAY_<FLAG>`, the names that the first
//! kreplay had (`topic`, `brokers`, `dbHost`, …), libpq's `PG*`, the configuration file, the default.
//! What concerns the connection to the target comes from `--target` and libpq's service file too
//! (`libpq`). Each setting is declared once, with its flag, and its declaration reads the value
//! wherever it comes from (`given`).

mod file;
mod libpq;
mod lookup;
mod service;
mod sourced;
mod start;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

pub use self::file::ConfigFile;
use self::libpq::ConnectionLookup;
pub use self::lookup::Origin;
use self::lookup::{Environment, Lookup, Sourced};
use self::sourced::SourcedSettings;
pub(crate) use self::start::host_name;
pub use self::start::{DEFAULT_LISTEN, Listen};
use crate::cli::Cli;
use crate::cli::settings::{OperationOptions, Settings, SourceOptions};
use crate::flag_values::Timeout;
use crate::postgres::TargetSettings;
use crate::replay::pace::Speed;
use crate::replay::settings::{Identity, Renaming, ReplaySettings};
use crate::source::SourceSettings;
use crate::source::dead_letters::DeadLetter;
use crate::source::kafka::{KafkaSettings, Membership, Property, Start};

/// What is logged. The HTTP server tells of its threads at info.
pub const DEFAULT_LOG: &str = "info,actix_server=warn";

/// The command line or the environment is wrong. The messages name the flag or the variable and
/// what to do; none shows a value, since any may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is not what it should be.
    #[error("{origin}: {reason}")]
    Invalid {
        /// Where the value came from.
        origin: Origin,
        /// What would be right.
        reason: String,
    },
    /// The configuration file is not what it should be.
    #[error("{}:{line}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What would be right.
        reason: String,
    },
    /// Two settings exclude each other.
    #[error("{first} and {second} exclude each other: {remedy}")]
    Exclusive {
        /// One of them.
        first: Box<Origin>,
        /// The other.
        second: Box<Origin>,
        /// What to do.
        remedy: &'static str,
    },
    /// Neither a topic nor files.
    #[error(
        "nothing to read: give --topic (or the environment variable topic, or topic in the \
             file of --config) or --input FILE"
    )]
    NothingToRead,
}

/// Everything that a run of kreplay is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where records come from.
    pub source: SourceSettings,
    /// The PostgreSQL that is replayed on.
    pub target: TargetSettings,
    /// What is replayed, in which order, within which limits.
    pub replay: ReplaySettings,
    /// Where records go that cannot be read; `None`: they are counted and logged alone.
    pub dead_letter: Option<DeadLetter>,
    /// How long a start waits for a target that can't be reached; `None`: as long as it takes.
    pub connect_timeout: Timeout,
    /// Whether a replay with an end that lost something ends as one that did not.
    pub allow_losses: bool,
    /// Where HTTP is served.
    pub listen: Listen,
    /// By which names browsers may ask for the report.
    pub http_hosts: Vec<String>,
    /// Where the summary is written as JSON.
    pub report: Option<PathBuf>,
    /// How many query shapes are told apart.
    pub report_shapes: usize,
    /// Whether the target is asked how it runs the statements.
    pub plans: bool,
    /// Whether the target is asked for the plans that statements use.
    pub explain: bool,
    /// How often the log says how the replay goes; `None`: never.
    pub status_interval: Timeout,
    /// How much is logged, and how it looks.
    pub log: LogSettings,
    /// What the user should know at the start, each a whole sentence.
    pub warnings: Vec<String>,
    redacted: String,
}

/// How much is logged, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LogSettings {
    /// What the log on standard error looks like
    #[arg(id = "log_format", long = "log-format", value_name = "FORMAT")]
    #[arg(default_value = "text", ignore_case = true)]
    pub format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as kreplay::source=debug;
    /// SQL from debug on, its parameters from trace on [default: info] [env: RUST_LOG]
    #[arg(long = "log", value_name = "FILTER", default_value = DEFAULT_LOG)]
    #[arg(hide_default_value = true, value_parser = log_filter)]
    pub filter: String,
}

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

/// A filter in the syntax of `RUST_LOG`.
fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            Err(format!("{error}; expected a level, or a filter such as info,kreplay=debug"))
        }
    }
}

impl Config {
    /// What `cli` means in this environment, with the configuration file that one of them names.
    pub fn resolve(cli: Cli, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let look = Lookup { typed: &cli.typed, environment, file: &ConfigFile::default() };
        let file = match look.value("config") {
            Some(Sourced { value: path, origin }) => ConfigFile::read(Path::new(&path), origin)?,
            None => ConfigFile::default(),
        };
        Self::resolve_with(cli, environment, &file)
    }

    /// What `cli` means in this environment and with this file. The environment is what
    /// `environment` says; a service file is read where a service is named.
    fn resolve_with(
        cli: Cli,
        environment: Environment<'_>,
        file: &ConfigFile,
    ) -> Result<Self, ConfigError> {
        let look = Lookup { typed: &cli.typed, environment, file };
        let mut warnings = Vec::from_iter(file.warning());
        let connection = ConnectionLookup::new(&look)?;
        let mut given = SourcedSettings::gather(&connection);
        settle(&mut given, &mut warnings)?;
        let Settings { source, mut target, replay, errors, rules, operation } = given.read()?;

        let format = source.format;
        let source =
            source_settings(&given, source, replay.filters.after_unix_ms, operation.dry_run)?;
        let has_end = source.has_end();
        if let (Some(DeadLetter::Topic(_)), SourceSettings::Files(_), Some(origin)) =
            (&errors.dead_letter, &source, given.origin("dead-letter"))
        {
            return Err(ConfigError::Invalid {
                origin: origin.clone(),
                reason: "a topic needs the brokers that are read from; with --input give a file"
                    .into(),
            });
        }
        if let (Speed::Max, Some(origin)) = (replay.speed, given.origin("playout-delay")) {
            warnings.push(format!("{origin} has no effect without --speed and a factor."));
        }
        // An empty name takes back what the environment or the file says.
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let replay = ReplaySettings {
            format,
            rules,
            dry_run: operation.dry_run,
            identity: Identity {
                one_database: named(target.db_name.take()),
                one_user: named(target.db_user.take()),
                databases: renamed(&given, "map-db", std::mem::take(&mut target.map_db))?,
                users: renamed(&given, "map-user", std::mem::take(&mut target.map_user))?,
            },
            idle_timeout: idle_timeout(&operation),
            shutdown_timeout: operation.shutdown_timeout,
            max_sessions: target.max_sessions,
            target_durations: target.target_durations,
            ..replay
        };
        let connect_timeout = target.connect_timeout;
        Ok(Self {
            source,
            target: target::settings(&connection, &given, target, &mut warnings)?,
            replay,
            dead_letter: errors.dead_letter,
            connect_timeout: connect_timeout.unwrap_or(start::connect_timeout(has_end)),
            allow_losses: errors.allow_losses,
            listen: operation.listen.unwrap_or(Listen::by_default(has_end)),
            http_hosts: operation.http_host,
            report: operation.report,
            report_shapes: operation.report_shapes,
            plans: operation.plans,
            explain: operation.explain,
            status_interval: operation.status_interval,
            log: operation.log,
            warnings,
            redacted: cli.typed.redacted(),
        })
    }

    /// The command line as it may be logged: every secret in it is blanked.
    pub fn redacted_command_line(&self) -> &str {
        &self.redacted
    }
}

/// Of settings that exclude each other leaves one.
fn settle(given: &mut SourcedSettings, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    given.exclude("topic", "input", "give one of them", warnings)?;
    given.leave_out_what_excludes("input");
    let remedy = "the first replays everything to one, the second each to its own";
    given.exclude("db-name", "map-db", remedy, warnings)?;
    given.exclude("db-user", "map-user", remedy, warnings)?;
    given.choose("idle-timeout", "timeout-ms");
    Ok(())
}

fn source_settings(
    given: &SourcedSettings,
    options: SourceOptions,
    after_unix_ms: Option<i64>,
    dry_run: bool,
) -> Result<SourceSettings, ConfigError> {
    if !options.input.is_empty() {
        return Ok(SourceSettings::Files(options.input));
    }
    let topic = options.topic.ok_or(ConfigError::NothingToRead)?;
    // What is only looked at is not to be taken from a replay of the same topic.
    let (group_id, membership) = match dry_run {
        true => (format!("kreplay_{topic}_dry-run"), Membership::Dynamic),
        false => (format!("kreplay_{topic}"), Membership::OfHost),
    };
    let group_id = options.group_id.unwrap_or(group_id);
    let membership = options.group_instance_id.unwrap_or(membership);
    let after = after_unix_ms.map_or(Start::Earliest, Start::At);
    Ok(SourceSettings::Kafka(KafkaSettings {
        brokers: options.brokers,
        group_id,
        membership,
        commits: !dry_run,
        start: options.from.unwrap_or(after),
        reset: options.reset,
        on_gap: options.on_gap,
        until_end: options.until_end,
        properties: properties(given, options.kafka_property)?,
        topic,
    }))
}

/// librdkafka's settings, but for those that have a flag of their own. Those that restarts depend on
/// are for the source to refuse.
fn properties(
    given: &SourcedSettings,
    properties: Vec<String>,
) -> Result<Vec<Property>, ConfigError> {
    let Some(origin) = given.origin("kafka-property") else { return Ok(Vec::new()) };
    let read = |property: String| {
        let invalid = |reason: String| ConfigError::Invalid { origin: origin.clone(), reason };
        // The text is not redacted: it may well be a password.
        let (key, value) = property
            .split_once('=')
            .map(|(key, value)| (key.trim(), value))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| invalid("expected KEY=VALUE, as security.protocol=SASL_SSL".into()))?;
        let instead = match key {
            "bootstrap.servers" | "metadata.broker.list" => "use --brokers",
            "group.id" => "use --group-id",
            "group.instance.id" => "use --group-instance-id",
            "auto.offset.reset" => "use --from and --on-gap",
            _ => return Ok(Property::new(key, value)),
        };
        Err(invalid(format!("{key} cannot be set so: {instead}")))
    };
    properties.into_iter().map(read).collect()
}

/// The renamings by the source's name, none of which may go two ways.
fn renamed(
    given: &SourcedSettings,
    flag: &str,
    renamings: Vec<Renaming>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut names = BTreeMap::new();
    let Some(origin) = given.origin(flag) else { return Ok(names) };
    for Renaming { from, to } in renamings {
        match names.insert(from.clone(), to.clone()) {
            Some(other) if other != to => {
                let reason = format!("{from} cannot become both {other} and {to}");
                return Err(ConfigError::Invalid { origin: origin.clone(), reason });
            }
            _ => {}
        }
    }
    Ok(names)
}

/// -m and --idle-timeout say the same.
fn idle_timeout(operation: &OperationOptions) -> Timeout {
    match operation.timeout_ms {
        Some(ms) => Some(Duration::from_millis(ms)).filter(|timeout| !timeout.is_zero()),
        None => operation.idle_timeout,
    }
}
