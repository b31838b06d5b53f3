//! What the command line means: merged with the environment, checked, with defaults, cut into the
//! settings of each part.
//!
//! A value comes from the first of: the command line, `KREPLAY_<FLAG>`, the names that the first
//! kreplay had (`topic`, `brokers`, `dbHost`, …), libpq's `PG*`, the configuration file, the default.
//! What concerns the connection to the target comes from `--target` and libpq's service file too
//! (`libpq`).

mod file;
mod libpq;
mod lookup;
mod service;
mod start;
mod target;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

pub use self::file::ConfigFile;
use self::libpq::ConnectionLookup;
pub use self::lookup::Origin;
use self::lookup::{Environment, Given, Lookup};
pub use self::start::{DEFAULT_LISTEN, Listen};
use crate::cli::{self, Cli};
pub use crate::cli::{DeadLetter, LogFormat, OnError};
use crate::pglog::Format;
use crate::postgres::TargetSettings;
use crate::replay::account::policy::{ErrorPolicy, Tolerance};
use crate::replay::pace::Pace;
pub use crate::replay::settings::{Filters, Identity, Order, ReplaySettings};
use crate::source::SourceSettings;
use crate::source::kafka::{KafkaSettings, OnGap, Start};

/// What is logged. The HTTP server tells of its threads at info.
pub const DEFAULT_LOG: &str = "info,actix_server=warn";

/// Far longer than any wake-up takes.
const LONGEST_SPIN: Duration = Duration::from_millis(10);

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
        first: Origin,
        /// The other.
        second: Origin,
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
    pub connect_timeout: Option<Duration>,
    /// Whether a replay with an end that lost something ends as one that did not.
    pub allow_losses: bool,
    /// Where HTTP is served.
    pub listen: Listen,
    /// Where the summary is written as JSON.
    pub report: Option<PathBuf>,
    /// How many query shapes are told apart.
    pub report_shapes: usize,
    /// How often the log says how the replay goes; `None`: never.
    pub status_interval: Option<Duration>,
    /// How much is logged, and how it looks.
    pub log: LogSettings,
    /// What the user should know at the start, each a whole sentence.
    pub warnings: Vec<String>,
    shown: String,
}

/// How much is logged, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Text or JSON.
    pub format: LogFormat,
    /// A filter in the syntax of `RUST_LOG`, checked.
    pub filter: String,
}

impl Config {
    /// What `cli` means in this environment, with the configuration file that one of them names.
    pub fn resolve(cli: Cli, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let look = Lookup { environment, file: &ConfigFile::default() };
        let file = look.one("config", cli.operation.config.clone(), &[], cli::path)?;
        let file = match file {
            Some(Given { value: path, origin }) => ConfigFile::read(&path, origin)?,
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
        let look = Lookup { environment, file };
        let mut warnings = Vec::from_iter(file.warning());
        let dry_run = look.or("dry-run", cli.operation.dry_run, false, cli::switch)?;
        let filters = filters(&look, cli.filters)?;
        let format = look.or("format", cli.source.format, cli::Format::Auto, cli::name)?;
        let format = match format {
            cli::Format::Auto => Format::Auto,
            cli::Format::Csv => Format::Csvlog,
            cli::Format::Json => Format::Json,
            cli::Format::Msgpack => Format::Msgpack,
        };
        let source = source(&look, cli.source, filters.after_unix_ms, &mut warnings)?;
        let dead_letter = look.one("dead-letter", cli.errors.dead_letter, &[], cli::dead_letter)?;
        if let (Some(Given { value: DeadLetter::Topic(_), origin }), SourceSettings::Files(_)) =
            (&dead_letter, &source)
        {
            return Err(ConfigError::Invalid {
                origin: origin.clone(),
                reason: "a topic needs the brokers that are read from; with --input give a file"
                    .into(),
            });
        }
        let connection = ConnectionLookup::new(&look, cli.target.target.clone())?;
        let identity = identity(&connection, &cli.target, &mut warnings)?;
        let connect_timeout =
            start::connect_timeout(&look, cli.target.connect_timeout, source.has_end())?;
        let max_sessions = look.or("max-sessions", cli.target.max_sessions, 0, cli::count)?;
        let target = target::settings(&connection, cli.target, &mut warnings)?;
        let idle_timeout =
            idle_timeout(&look, cli.operation.timeout_ms, cli.operation.idle_timeout)?;
        let second = Duration::from_secs(1);
        let ms = Duration::from_millis(1);
        let stall_timeout = cli.order.stall_timeout;
        let stall_timeout = look.or("stall-timeout", stall_timeout, 60 * second, cli::timeout)?;
        let replay = ReplaySettings {
            format,
            dry_run,
            order: order(&look, cli.order.order)?,
            pipeline: look.or("pipeline", cli.order.pipeline, 16, cli::at_least_one)?,
            pace: pace(&look, cli.order.speed, cli.order.playout_delay, &mut warnings)?,
            filters,
            identity,
            errors: ErrorPolicy {
                tolerance: tolerance(&look, cli.errors.ignore_error_seconds)?,
                stop: look.or("on-error", cli.errors.on_error, OnError::Continue, cli::name)?
                    == OnError::Stop,
            },
            replay_cancels: look.or(
                "replay-cancels",
                cli.order.replay_cancels,
                false,
                cli::switch,
            )?,
            stall_check: look.or("stall-check", cli.order.stall_check, 2 * ms, cli::duration)?,
            stall_timeout: (!stall_timeout.is_zero()).then_some(stall_timeout),
            lookahead: look.or("lookahead", cli.order.lookahead, 100 * ms, cli::duration)?,
            merge_idle: look.or("merge-idle", cli.order.merge_idle, second, cli::duration)?,
            idle_timeout,
            shutdown_timeout: look.or(
                "shutdown-timeout",
                cli.operation.shutdown_timeout,
                10 * second,
                cli::duration,
            )?,
            max_in_flight: look.or(
                "max-in-flight",
                cli.order.max_in_flight,
                10_000,
                cli::at_least_one,
            )?,
            max_in_flight_bytes: look.or(
                "max-in-flight-bytes",
                cli.order.max_in_flight_bytes,
                256 << 20,
                cli::size,
            )?,
            max_sessions: usize::try_from(max_sessions).ok().filter(|&sessions| sessions > 0),
            workers: look
                .one("workers", cli.order.workers, &[], cli::at_least_one)?
                .map(|given| given.value),
            spin: spin(&look, cli.order.spin)?,
        };
        let listen = start::listen(&look, cli.operation.listen, source.has_end())?;
        let allow_losses = look.or("allow-losses", cli.errors.allow_losses, false, cli::switch)?;
        let report = look.one("report", cli.operation.report, &[], cli::path)?;
        let shapes = cli.operation.report_shapes;
        let report_shapes = look.or("report-shapes", shapes, 500, cli::at_least_one)?;
        let status_interval = cli.operation.status_interval;
        let status_interval =
            look.or("status-interval", status_interval, 60 * second, cli::duration)?;
        let log = log(&look, cli.operation.log_format, cli.operation.log)?;
        Ok(Self {
            source,
            target,
            replay,
            dead_letter: dead_letter.map(|given| given.value),
            connect_timeout,
            allow_losses,
            listen,
            report: report.map(|given| given.value),
            report_shapes,
            status_interval: (!status_interval.is_zero()).then_some(status_interval),
            log,
            warnings,
            shown: cli.shown,
        })
    }

    /// The command line as it may be logged: every secret in it is blanked.
    pub fn shown_command_line(&self) -> &str {
        &self.shown
    }
}

fn source(
    look: &Lookup<'_>,
    cli: cli::SourceOptions,
    after_unix_ms: Option<i64>,
    warnings: &mut Vec<String>,
) -> Result<SourceSettings, ConfigError> {
    let mut topic = look.one("topic", cli.topic, &["topic"], cli::text)?;
    let mut input = look.many("input", cli.input, &[], ',', cli::path)?;
    resolve_exclusive(&mut topic, &mut input, "give one of them", warnings)?;
    if let Some(files) = input {
        return Ok(SourceSettings::Files(files.value));
    }
    let topic = topic.ok_or(ConfigError::NothingToRead)?.value;
    let brokers = look.many("brokers", cli.brokers, &["brokers"], ',', cli::text)?;
    let group_id = look.one("group-id", cli.group_id, &[], cli::text)?;
    let from = match look.one("from", cli.from, &[], cli::start)?.map(|given| given.value) {
        Some(cli::StartAt::Earliest) => Start::Earliest,
        Some(cli::StartAt::Latest) => Start::Latest,
        Some(cli::StartAt::At(unix_ms)) => Start::At(unix_ms),
        None => after_unix_ms.map_or(Start::Earliest, Start::At),
    };
    let on_gap = match look.or("on-gap", cli.on_gap, cli::OnGap::Stop, cli::name)? {
        cli::OnGap::Stop => OnGap::Stop,
        cli::OnGap::Continue => OnGap::Continue,
    };
    Ok(SourceSettings::Kafka(KafkaSettings {
        brokers: brokers.map_or_else(|| vec!["localhost:9092".into()], |given| given.value),
        group_id: group_id.map_or_else(|| format!("kreplay_{topic}"), |given| given.value),
        start: from,
        reset: look.or("reset", cli.reset, false, cli::switch)?,
        on_gap,
        until_end: look.or("until-end", cli.until_end, false, cli::switch)?,
        properties: properties(look, cli.kafka_property)?,
        topic,
    }))
}

/// librdkafka's settings, but for those that have a flag of their own. Those that restarts depend on
/// are for the source to refuse.
fn properties(look: &Lookup<'_>, typed: Vec<String>) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(given) = look.many("kafka-property", typed, &[], '\n', cli::text)? else {
        return Ok(Vec::new());
    };
    let mut properties = Vec::with_capacity(given.value.len());
    for property in given.value {
        let invalid =
            |reason: String| ConfigError::Invalid { origin: given.origin.clone(), reason };
        // The text is not shown: it may well be a password.
        let (key, value) = property
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| invalid("expected KEY=VALUE, as security.protocol=SASL_SSL".into()))?;
        let instead = match key.trim() {
            "bootstrap.servers" | "metadata.broker.list" => "use --brokers",
            "group.id" => "use --group-id",
            "auto.offset.reset" => "use --from and --on-gap",
            _ => "",
        };
        if !instead.is_empty() {
            return Err(invalid(format!("{} cannot be set so: {instead}", key.trim())));
        }
        properties.push((key.trim().to_owned(), value.to_owned()));
    }
    Ok(properties)
}

fn identity(
    connection: &ConnectionLookup<'_>,
    cli: &cli::TargetOptions,
    warnings: &mut Vec<String>,
) -> Result<Identity, ConfigError> {
    let look = connection.look;
    let remedy = "the first replays everything to one, the second each to its own";
    let mut database = connection.one(target::DATABASE, cli.db_name.clone(), cli::text)?;
    let mut databases = look.many("map-db", cli.map_db.clone(), &[], ',', cli::renaming)?;
    resolve_exclusive(&mut database, &mut databases, remedy, warnings)?;
    let mut user = connection.one(target::USER, cli.db_user.clone(), cli::text)?;
    let mut users = look.many("map-user", cli.map_user.clone(), &[], ',', cli::renaming)?;
    resolve_exclusive(&mut user, &mut users, remedy, warnings)?;
    // An empty name on the command line takes back what the environment or the file says.
    let named = |given: Given<String>| Some(given.value).filter(|name| !name.is_empty());
    Ok(Identity {
        one_database: database.and_then(named),
        one_user: user.and_then(named),
        databases: names(databases)?,
        users: names(users)?,
    })
}

/// The renamings by the source's name, none of which may go two ways.
fn names(
    renamings: Option<Given<Vec<cli::Renaming>>>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut names = BTreeMap::new();
    let Some(Given { value, origin }) = renamings else { return Ok(names) };
    for cli::Renaming { from, to } in value {
        match names.insert(from.clone(), to.clone()) {
            Some(other) if other != to => {
                let reason = format!("{from} cannot become both {other} and {to}");
                return Err(ConfigError::Invalid { origin, reason });
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Of two settings that exclude each other leaves the one that takes precedence (typed, in the
/// environment, in the file), with a warning about the other; an error where neither does.
fn resolve_exclusive<A, B>(
    first: &mut Option<Given<A>>,
    second: &mut Option<Given<B>>,
    remedy: &'static str,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let (Some(a), Some(b)) = (&*first, &*second) else { return Ok(()) };
    match a.origin.rank().cmp(&b.origin.rank()) {
        Ordering::Greater => {
            warnings.push(format!("{} is given, so {} is not used.", a.origin, b.origin));
            *second = None;
        }
        Ordering::Less => {
            warnings.push(format!("{} is given, so {} is not used.", b.origin, a.origin));
            *first = None;
        }
        Ordering::Equal => {
            let (first, second) = (a.origin.clone(), b.origin.clone());
            return Err(ConfigError::Exclusive { first, second, remedy });
        }
    }
    Ok(())
}

fn filters(look: &Lookup<'_>, cli: cli::FilterOptions) -> Result<Filters, ConfigError> {
    let skip_selects = look.one("skip-selects", cli.skip_selects, &["skipSelects"], cli::switch)?;
    let after = look.one("after", cli.after, &["replayAfter"], cli::moment)?;
    let skip_count = look.one("skip-count", cli.skip_count, &["skipCount"], cli::count)?;
    let databases = look.many("source-db", cli.source_db, &[], ',', cli::text)?;
    Ok(Filters {
        skip_selects: skip_selects.is_some_and(|given| given.value),
        after_unix_ms: after.map(|given| given.value),
        skip_count: skip_count.map_or(0, |given| given.value),
        source_databases: databases.map(|given| given.value).unwrap_or_default(),
    })
}

fn order(look: &Lookup<'_>, order: Option<cli::Order>) -> Result<Order, ConfigError> {
    Ok(match look.or("order", order, cli::Order::Conflict, cli::name)? {
        cli::Order::Serial => Order::Serial,
        cli::Order::Conflict => Order::Conflict,
        cli::Order::Session => Order::Session,
    })
}

fn pace(
    look: &Lookup<'_>,
    speed: Option<cli::Speed>,
    playout_delay: Option<Duration>,
    warnings: &mut Vec<String>,
) -> Result<Option<Pace>, ConfigError> {
    let playout_delay = look.one("playout-delay", playout_delay, &[], cli::duration)?;
    match (look.or("speed", speed, cli::Speed::Max, cli::speed)?, playout_delay) {
        (cli::Speed::Times(speed), given) => {
            let playout_delay = given.map_or(Duration::ZERO, |given| given.value);
            Ok(Some(Pace { speed, playout_delay }))
        }
        (cli::Speed::Max, Some(Given { origin, .. })) => {
            warnings.push(format!("{origin} has no effect without --speed and a factor."));
            Ok(None)
        }
        (cli::Speed::Max, None) => Ok(None),
    }
}

fn spin(look: &Lookup<'_>, spin: Option<Duration>) -> Result<Duration, ConfigError> {
    match look.one("spin", spin, &[], cli::duration)? {
        Some(Given { value, origin }) if value > LONGEST_SPIN => Err(ConfigError::Invalid {
            origin,
            reason: format!(
                "expected {LONGEST_SPIN:?} at the most; an answer that takes longer can be slept for"
            ),
        }),
        given => Ok(given.map_or(Duration::ZERO, |given| given.value)),
    }
}

/// -m and --idle-timeout say the same; each level of precedence may use either.
fn idle_timeout(
    look: &Lookup<'_>,
    timeout_ms: Option<u64>,
    idle_timeout: Option<Duration>,
) -> Result<Option<Duration>, ConfigError> {
    let as_duration = look.one("idle-timeout", idle_timeout, &[], cli::duration)?;
    let as_ms = look.one("timeout-ms", timeout_ms, &["timeoutMS"], cli::count)?;
    let as_ms =
        as_ms.map(|Given { value, origin }| Given { value: Duration::from_millis(value), origin });
    let timeout = match (as_duration, as_ms) {
        (Some(given), Some(in_ms)) if in_ms.origin.rank() > given.origin.rank() => in_ms.value,
        (Some(given), _) | (None, Some(given)) => given.value,
        (None, None) => Duration::from_secs(60),
    };
    Ok((!timeout.is_zero()).then_some(timeout))
}

fn tolerance(look: &Lookup<'_>, typed: Option<i64>) -> Result<Tolerance, ConfigError> {
    let flag = "ignore-error-seconds";
    let given = look.one(flag, typed, &["ignoreErrorSeconds"], cli::seconds_or_for_ever)?;
    Ok(match given.map_or(0, |given| given.value) {
        0 => Tolerance::Never,
        seconds => u64::try_from(seconds)
            .map_or(Tolerance::ForEver, |seconds| Tolerance::ForMs(seconds.saturating_mul(1000))),
    })
}

fn log(
    look: &Lookup<'_>,
    format: Option<LogFormat>,
    filter: Option<String>,
) -> Result<LogSettings, ConfigError> {
    let filter = look.one("log", filter, &["RUST_LOG"], cli::text)?;
    if let Some(Given { value, origin }) = &filter {
        EnvFilter::try_new(value).map_err(|error| ConfigError::Invalid {
            origin: origin.clone(),
            reason: format!("{error}; expected a level, or a filter such as info,kreplay=debug"),
        })?;
    }
    Ok(LogSettings {
        format: look.or("log-format", format, LogFormat::Text, cli::name)?,
        filter: filter.map_or_else(|| DEFAULT_LOG.into(), |given| given.value),
    })
}
