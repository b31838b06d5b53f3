//! The command line as it is typed: syntax only. What it means, with the environment and the
//! defaults, is [`config`](crate::config)'s to say.
//!
//! Every option is optional here, since its value may come from the environment; the texts name
//! the default.

pub(crate) mod conninfo;
mod man;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use man::manual;
pub(crate) use values::{
    at_least_one, count, dead_letter, duration, listen, moment, name, path, port, renaming,
    seconds_or_for_ever, size, speed, start, switch, text, timeout,
};

/// The version of the package and the git revision it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("KREPLAY_REVISION"), ")");

/// The git revision that the program was built from; `unknown` outside a checkout.
pub const REVISION: &str = env!("KREPLAY_REVISION");

const ENVIRONMENT: &str = "\
Every option can be set in the environment as KREPLAY_ and its long name: KREPLAY_DB_HOST for \
--db-host; lists are separated by commas (--kafka-property: by line feeds). The command line \
goes first, then KREPLAY_*, then the names given with the option, in their order, then the file \
of --config, where the long names are the keys.";

const OUTPUT: &str = "\
The log goes to standard error, the summary to standard output. Exit codes: 0 done, 1 unexpected, \
2 wrong usage, 3 the target refused, 4 Kafka refused, 5 the committed offset is gone, 6 a \
statement failed and --on-error is stop, 7 `kreplay check` found an error, 8 a replay with an end has \
ended, but not everything could be replayed.";

const USAGE: &str = "\
kreplay [OPTIONS] --topic <NAME>
       kreplay [OPTIONS] --input <FILE>...
       kreplay check [OPTIONS]
       kreplay completions <SHELL>
       kreplay man";

/// Replays the queries of a live PostgreSQL, streamed as csvlog through Kafka, on another
/// PostgreSQL, in the original order.
#[derive(Parser, Default)]
#[command(name = "kreplay", version = VERSION, override_usage = USAGE, after_help = format!("{ENVIRONMENT}\n\n{OUTPUT}"))]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do instead of replaying.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the log comes from.
    #[command(flatten)]
    pub source: SourceOptions,
    /// Where the statements go.
    #[command(flatten)]
    pub target: TargetOptions,
    /// What may run when.
    #[command(flatten)]
    pub order: OrderOptions,
    /// What is left out.
    #[command(flatten)]
    pub filters: FilterOptions,
    /// What happens when something fails.
    #[command(flatten)]
    pub errors: ErrorOptions,
    /// How the process runs.
    #[command(flatten)]
    pub operation: OperationOptions,
    /// The command line as it may be shown: secrets blanked, letters written out.
    #[arg(skip)]
    pub shown: String,
}

/// Where the log comes from.
#[derive(Args, Default)]
#[command(next_help_heading = "Source")]
pub struct SourceOptions {
    /// The Kafka topic that holds the source's csvlog [env: topic]
    #[arg(short, long, value_name = "NAME", conflicts_with = "input")]
    pub topic: Option<String>,
    /// Addresses of Kafka brokers, repeatable or separated by commas [default: localhost:9092]
    /// [env: brokers]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with = "input")]
    pub brokers: Vec<String>,
    /// Read these log files instead of a topic, as one log in the order of their first records; `-` is
    /// standard input. gzip, zstd, xz and bzip2 are unpacked
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// What a record looks like [default: auto, told apart per record]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Stop where the topic ended when kreplay started, instead of waiting for more records
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub until_end: Option<bool>,
    /// The consumer group: a restart goes on from the offsets that it has committed
    /// [default: kreplay_TOPIC]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub group_id: Option<String>,
    /// Where a group without committed offsets starts: earliest, latest, an RFC 3339 timestamp or
    /// Unix seconds [default: earliest, or --after]
    #[arg(long, value_name = "WHERE", value_parser = start, conflicts_with = "input")]
    pub from: Option<StartAt>,
    /// Start where --from says even if the group has committed offsets
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch, conflicts_with = "input")]
    pub reset: Option<bool>,
    /// When the topic no longer holds the committed offset: stop and say what was lost, or
    /// continue from the oldest record and count it [default: stop]
    #[arg(long, value_name = "WHAT", conflicts_with = "input")]
    pub on_gap: Option<OnGap>,
    /// A setting of librdkafka, as security.protocol=SASL_SSL; repeatable
    #[arg(short = 'X', long, value_name = "KEY=VALUE", conflicts_with = "input")]
    pub kafka_property: Vec<String>,
}

/// Where the statements go.
#[derive(Args, Default)]
#[command(next_help_heading = "Target")]
pub struct TargetOptions {
    /// The target as a connection string of libpq's, postgres://HOST:PORT or keyword=value pairs;
    /// a user or database in it counts for every session, as with -u and -d. The other options go
    /// before what it says; a password is better kept out of it [default: the other options]
    #[arg(long, value_name = "URI")]
    pub target: Option<String>,
    /// The target's host, address or socket directory; several, separated by commas, are tried in
    /// their order [default: localhost] [env: dbHost, PGHOST]
    #[arg(short = 'H', long, value_name = "HOST")]
    pub db_host: Option<String>,
    /// The target's port [default: 5432] [env: dbPort, PGPORT]
    #[arg(short = 'P', long, value_name = "PORT", value_parser = port)]
    pub db_port: Option<u16>,
    /// Replay every session to this database [default: each session's own]
    /// [env: dbName, PGDATABASE]
    #[arg(short = 'd', long, value_name = "NAME")]
    pub db_name: Option<String>,
    /// Replay every session as this user [default: each session's own] [env: dbUser, PGUSER]
    #[arg(short = 'u', long, value_name = "NAME")]
    pub db_user: Option<String>,
    /// The password; better in PGPASSWORD, PGPASSFILE or ~/.pgpass, since the process list shows
    /// the command line [default: from the password file] [env: PGPASSWORD]
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    pub db_password: Option<String>,
    /// Replay the sessions of source database A to database B; repeatable [default: the same name]
    #[arg(long, value_name = "A=B", value_parser = renaming)]
    pub map_db: Vec<Renaming>,
    /// Replay the sessions of source user A as user B; repeatable [default: the same name]
    #[arg(long, value_name = "A=B", value_parser = renaming)]
    pub map_user: Vec<Renaming>,
    /// Whether connections are encrypted and whom they trust [default: prefer] [env: PGSSLMODE]
    #[arg(long, value_name = "MODE")]
    pub sslmode: Option<SslMode>,
    /// Certificates of the authorities to trust, PEM, or system
    /// [default: ~/.postgresql/root.crt, else the system's] [env: PGSSLROOTCERT]
    #[arg(long, value_name = "FILE")]
    pub sslrootcert: Option<PathBuf>,
    /// The client's certificate, PEM, for servers that ask for one
    /// [default: ~/.postgresql/postgresql.crt] [env: PGSSLCERT]
    #[arg(long, value_name = "FILE")]
    pub sslcert: Option<PathBuf>,
    /// The private key of --sslcert, unencrypted and for its owner alone (mode 0600)
    /// [default: ~/.postgresql/postgresql.key] [env: PGSSLKEY]
    #[arg(long, value_name = "FILE")]
    pub sslkey: Option<PathBuf>,
    /// Whether a log-in by password is tied to the server's certificate [default: prefer]
    /// [env: PGCHANNELBINDING]
    #[arg(long, value_name = "MODE")]
    pub channel_binding: Option<ChannelBinding>,
    /// How long a start waits for a target that can't be reached before it gives up (exit code 3); 0:
    /// for ever [default: 30s with --input or --until-end, else 0]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub connect_timeout: Option<Duration>,
    /// Let the target refuse every write (default_transaction_read_only)
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub read_only: Option<bool>,
    /// Connections to the target at the most. There may be more sessions: the least recently used one
    /// gives its connection up and gets it back, with its settings, when it goes on. 0: the target's
    /// max_connections less a reserve [default: 0]
    #[arg(long, value_name = "N", value_parser = count)]
    pub max_sessions: Option<u64>,
}

/// What may run when.
#[derive(Args, Default)]
#[command(next_help_heading = "Order and concurrency")]
pub struct OrderOptions {
    /// What a statement waits for: those before it that it conflicts with (conflict), every one before
    /// it (serial), or the earlier ones of its own session (session) [default: conflict]
    #[arg(long, value_name = "ORDER")]
    pub order: Option<Order>,
    /// How fast: max, every statement as soon as it may start; or so many times as fast as the source,
    /// 1 for its own pace [default: max]
    #[arg(long, value_name = "FACTOR|max", value_parser = speed)]
    pub speed: Option<Speed>,
    /// How long after the earliest moment statements are due under --speed FACTOR, so that records that
    /// come late by as much are still in time [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub playout_delay: Option<Duration>,
    /// Statements of a session that are sent ahead of their answers, where nothing else is to come
    /// between; 1: each waits for the answer to the one before [default: 16]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub pipeline: Option<usize>,
    /// Statements handed to sessions and not yet finished, over all sessions; at so many reading
    /// pauses [default: 10000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_in_flight: Option<usize>,
    /// Memory for the statements in flight; at so much reading pauses too. A single statement that is
    /// larger still passes [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_in_flight_bytes: Option<usize>,
    /// Threads: the first reads the log and keeps the order, the others have the sessions; 1: one does
    /// everything [default: 1, in session order 2]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub workers: Option<usize>,
    /// How long a thread polls for an answer after sending before it sleeps: serial order gets faster,
    /// and a core is never idle; 0: not at all [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub spin: Option<Duration>,
    /// How long a statement may run before kreplay asks the target whether it waits for a lock
    /// that a later record frees; three round trips to it at the least [default: 2ms]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub stall_check: Option<Duration>,
    /// How long nothing may end while something is in flight that the target does not work on, before
    /// kreplay says who waits for whom, and gives up what all wait for where that is its to do; off or 0:
    /// for ever [default: 60s]
    #[arg(long, value_name = "DURATION|off", value_parser = timeout)]
    pub stall_timeout: Option<Duration>,
    /// How long the newest statement of a session is held back for the session's next record, which
    /// may tell that it failed; everything behind it waits too [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub lookahead: Option<Duration>,
    /// How long a partition may be silent before the records of the others wait for it no longer
    /// [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub merge_idle: Option<Duration>,
    /// Run a statement that was canceled on the source and cancel it after the original time,
    /// instead of only aborting its transaction
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub replay_cancels: Option<bool>,
}

/// What is left out.
#[derive(Args, Default)]
#[command(next_help_heading = "Filters")]
pub struct FilterOptions {
    /// Leave out statements that only read; -s alone means true [default: false]
    /// [env: skipSelects]
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub skip_selects: Option<bool>,
    /// Leave out what was logged before this moment, in Unix seconds or as an RFC 3339 timestamp;
    /// the topic is read from there [env: replayAfter]
    #[arg(short, long, value_name = "UNIXTIME", value_parser = moment)]
    pub after: Option<i64>,
    /// Leave out the first so many statements, where the group has no committed offset
    /// [default: 0] [env: skipCount]
    #[arg(short = 'c', long, value_name = "N", value_parser = count)]
    pub skip_count: Option<u64>,
    /// Replay the sessions of this source database alone; repeatable [default: all]
    #[arg(long, value_name = "NAME")]
    pub source_db: Vec<String>,
}

/// What happens when something fails.
#[derive(Args, Default)]
#[command(next_help_heading = "Errors")]
pub struct ErrorOptions {
    /// For so many seconds after the first statement, integrity errors (SQLSTATE 23...) that the
    /// source did not have are neither logged nor a reason to stop; 0: never, -1: for ever
    /// [default: 0] [env: ignoreErrorSeconds]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    #[arg(value_parser = seconds_or_for_ever)]
    pub ignore_error_seconds: Option<i64>,
    /// When a statement fails on the target that did not fail on the source: count it and
    /// continue, or stop [default: continue]
    #[arg(long, value_name = "WHAT")]
    pub on_error: Option<OnError>,
    /// Where records go that cannot be read: a file, or topic:NAME on the same brokers
    /// [default: nowhere, they are counted and logged]
    #[arg(long, value_name = "FILE|topic:NAME", value_parser = dead_letter)]
    pub dead_letter: Option<DeadLetter>,
    /// A replay with an end (--input, --until-end) that had to reject or give up records ends with exit
    /// code 0 too, instead of 8 [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub allow_losses: Option<bool>,
}

/// How the process runs.
#[derive(Args, Default)]
#[command(next_help_heading = "Operation")]
pub struct OperationOptions {
    /// Read settings from this file too (TOML): its keys are the long names of these options. The
    /// command line and the environment go first
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Close a session's connection after so many milliseconds without a record for it (it is opened
    /// again with the next one); 0: never
    /// [default: 60000] [env: timeoutMS]
    #[arg(short = 'm', long, value_name = "MS", value_parser = count)]
    pub timeout_ms: Option<u64>,
    /// The same as a duration: 60s, 2m [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "timeout_ms")]
    pub idle_timeout: Option<Duration>,
    /// How long a stop, or a partition that moves to another kreplay, waits for statements that still
    /// run before it rolls them back [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub shutdown_timeout: Option<Duration>,
    /// Serve /metrics, /livez, /readyz, /report and a page here, or off. A replay with an end takes
    /// another port where the default one is taken [default: 127.0.0.1:11432]
    #[arg(long, value_name = "ADDR:PORT|off", value_parser = listen)]
    pub listen: Option<Listen>,
    /// Read, classify and count without touching a database, and print the summary
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub dry_run: Option<bool>,
    /// Write the summary and what changed by query shape to this file at the end: FILE.html as a page,
    /// any other as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How many query shapes the report tells apart; the others are summed [default: 500]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub report_shapes: Option<usize>,
    /// How often the log says how the replay goes (rate, lag, new errors, sessions); 0: never. On a
    /// terminal a replay with an end shows a progress bar instead [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub status_interval: Option<Duration>,
    /// What the log on standard error looks like [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as kreplay::source=debug;
    /// SQL from debug on, its parameters from trace on [default: info] [env: RUST_LOG]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// What to do instead of replaying.
#[derive(Subcommand)]
pub enum Command {
    /// Look at the brokers, the topic, its records and the target, and say whether a replay with the
    /// same options can work; changes nothing
    #[command(override_usage = "kreplay check [--json] [the options of the replay]")]
    Check(Box<CheckOptions>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, for man(1)
    Man,
    /// Run librdkafka's mock cluster until SIGTERM or the end of standard input
    #[command(hide = true)]
    MockBroker {
        /// Where the cluster's address is written once it serves
        #[arg(long, value_name = "FILE")]
        listen_file: PathBuf,
        /// A topic to create; repeatable
        #[arg(long, value_name = "NAME")]
        topic: Vec<String>,
        /// Partitions of each of these topics
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
    },
}

/// What is checked: a replay with these options.
#[derive(Args, Default)]
pub struct CheckOptions {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    order: OrderOptions,
    #[command(flatten)]
    filters: FilterOptions,
    #[command(flatten)]
    errors: ErrorOptions,
    #[command(flatten)]
    operation: OperationOptions,
}

impl CheckOptions {
    /// The command line of the replay.
    pub fn replay(self) -> Cli {
        let Self { source, target, order, filters, errors, operation, .. } = self;
        Cli { source, target, order, filters, errors, operation, ..Cli::default() }
    }
}

/// What a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Told apart per record
    Auto,
    /// A raw csvlog record
    Csv,
    /// A JSON object, jsonlog or an envelope
    Json,
    /// A msgpack map
    Msgpack,
}

/// What happens at a committed offset that the topic no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnGap {
    /// Stop, exit code 5
    Stop,
    /// Go on from the oldest record
    Continue,
}

/// What happens when a statement fails on the target alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Count it and go on
    Continue,
    /// Stop, exit code 6
    Stop,
}

/// What a statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Every statement before it that it conflicts with has finished
    Conflict,
    /// Every statement before it has finished
    Serial,
    /// The earlier statements of its own session have finished
    Session,
}

/// How fast the log is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the order allows.
    Max,
    /// So many times as fast as the source was.
    Times(f64),
}

/// How a connection is encrypted, in libpq's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SslMode {
    /// Never encrypted
    Disable,
    /// Encrypted only if the server insists
    Allow,
    /// Encrypted where the server can, its certificate unchecked
    Prefer,
    /// Encrypted, the certificate unchecked unless --sslrootcert is given
    Require,
    /// Encrypted, by a certificate of a trusted authority
    VerifyCa,
    /// The same, and the certificate names the host
    VerifyFull,
}

/// Whether a log-in is tied to the server's certificate, in libpq's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChannelBinding {
    /// Never
    Disable,
    /// Where the server can
    Prefer,
    /// Always: a log-in without fails
    Require,
}

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

/// Where a group without committed offsets starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The oldest record.
    Earliest,
    /// Past the newest record.
    Latest,
    /// The first record at or after this moment, in Unix milliseconds.
    At(i64),
}

/// Where records go that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetter {
    /// Appended to a file.
    File(PathBuf),
    /// Produced to a topic on the same brokers.
    Topic(String),
}

/// Where HTTP is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On this address.
    On(SocketAddr),
}

/// One name on the source, another on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    /// The name on the source.
    pub from: String,
    /// The name on the target.
    pub to: String,
}

impl Cli {
    /// Reads a command line, the program's name first. The error is also how `--help` and
    /// `--version` come back: `exit()` prints it and ends the process with the right code.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let shown = shown(&matches);
        Ok(Self { shown, ..Self::from_arg_matches(&matches)? })
    }
}

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kreplay", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The command line put together again from what clap understood: only there is it certain which
/// characters were a secret (`-spsecret`, `--db-password=secret`).
fn shown(matches: &ArgMatches) -> String {
    let mut line = String::from("kreplay");
    for argument in Cli::command().get_arguments() {
        let id = argument.get_id().as_str();
        let typed = matches.try_contains_id(id).unwrap_or(false)
            && matches.value_source(id) == Some(ValueSource::CommandLine);
        let (Some(long), true) = (argument.get_long(), typed) else { continue };
        for value in matches.get_raw(id).into_iter().flatten() {
            let value = value.to_string_lossy();
            let value = match long {
                "db-password" => "***".into(),
                "target" => conninfo::redacted(&value),
                "kafka-property" => blanked_property(&value),
                _ => value.into_owned(),
            };
            let quote = if value.contains(char::is_whitespace) { "'" } else { "" };
            line.push_str(&format!(" --{long}={quote}{value}{quote}"));
        }
    }
    line
}

/// A librdkafka setting without the value, where that may be a secret.
fn blanked_property(property: &str) -> String {
    match property.split_once('=') {
        Some((key, _)) if holds_secret(property) => format!("{key}=***"),
        Some(_) => property.to_owned(),
        None => "***".into(),
    }
}

/// Whether the value of a librdkafka setting may be a secret.
pub(crate) fn holds_secret(property: &str) -> bool {
    const SECRET: [&str; 7] = ["password", "secret", "pem", "token", "oauthbearer", "key", "jaas"];
    match property.split_once('=') {
        Some((key, _)) => SECRET.iter().any(|part| key.contains(part)),
        // Not a setting at all: who knows what it is.
        None => true,
    }
}
