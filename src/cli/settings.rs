//! Every flag that is not declared with the part whose setting it is: where the log comes from, where
//! the statements go, how the process runs.
//!
//! A declaration says all there is to a setting: its flag, its help, its default, how its value is
//! written. The environment and the configuration file are read by the same declarations
//! ([`config`](crate::config)). What has no default here gets one that depends on other settings, and
//! the help says which.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use crate::config::{Listen, LogSettings, host_name};
use crate::flag_values::{
    Limit, Timeout, at_least_one, count, duration, limit, port, switch, timeout,
};
use crate::pglog::Format;
use crate::postgres::{ChannelBinding, DEFAULT_PORT, SslMode};
use crate::replay::report::rules::Rules;
use crate::replay::settings::{Renaming, ReplaySettings, TargetDurations};
use crate::source::dead_letters::DeadLetter;
use crate::source::kafka::{Membership, OnGap, Start};

/// Every setting of a replay.
#[derive(Args)]
pub struct Settings {
    /// Where the log comes from.
    #[command(flatten)]
    pub source: SourceOptions,
    /// Where the statements go.
    #[command(flatten)]
    pub target: TargetOptions,
    /// What may run when, what is left out, which errors count.
    #[command(flatten)]
    pub replay: ReplaySettings,
    /// What happens to what can't be replayed.
    #[command(flatten)]
    pub errors: ErrorOptions,
    /// By which rules query shapes are judged.
    #[command(flatten)]
    pub rules: Rules,
    /// How the process runs.
    #[command(flatten)]
    pub operation: OperationOptions,
}

/// Where the log comes from.
#[derive(Args)]
#[command(next_help_heading = "Source")]
pub struct SourceOptions {
    /// The Kafka topic that holds the source's csvlog [env: topic]
    #[arg(short, long, value_name = "NAME", conflicts_with = "input")]
    pub topic: Option<String>,
    /// Addresses of Kafka brokers, repeatable or separated by commas [env: brokers]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with = "input")]
    #[arg(default_value = "localhost:9092")]
    pub brokers: Vec<String>,
    /// Read these log files instead of a topic, as one log in the order of their first records; `-` is
    /// standard input. gzip, zstd, xz and bzip2 are unpacked
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// What a record looks like; auto: told apart per record
    #[arg(long, value_name = "FORMAT", default_value = "auto", ignore_case = true)]
    pub format: Format,
    /// Stop where the topic ended when kreplay started, instead of waiting for more records
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub until_end: bool,
    /// The consumer group: a restart continues from the offsets that it has committed
    /// [default: kreplay_TOPIC]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub group_id: Option<String>,
    /// The name of this member in the consumer group: whoever starts under it takes the place of a member
    /// that died, at once. off: whoever starts is a new member, and waits until Kafka has given up the
    /// dead one [default: the group and the host's name]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub group_instance_id: Option<Membership>,
    /// Where a group without committed offsets starts: earliest, latest, an RFC 3339 timestamp or
    /// Unix seconds [default: earliest, or --after]
    #[arg(long, value_name = "WHERE", conflicts_with = "input")]
    pub from: Option<Start>,
    /// Start where --from says even if the group has committed offsets
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch, conflicts_with = "input")]
    pub reset: bool,
    /// When the topic no longer holds the committed offset: stop and say what was lost, or
    /// continue from the oldest record and count it
    #[arg(long, value_name = "WHAT", conflicts_with = "input")]
    #[arg(default_value = "stop", ignore_case = true)]
    pub on_gap: OnGap,
    /// A setting of librdkafka, as security.protocol=SASL_SSL; repeatable
    #[arg(short = 'X', long, value_name = "KEY=VALUE", conflicts_with = "input")]
    pub kafka_property: Vec<String>,
}

/// Where the statements go.
#[derive(Args)]
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
    /// The target's port; of several hosts one for all, or as many, separated by commas
    /// [env: dbPort, PGPORT]
    #[arg(short = 'P', long, value_name = "PORT", default_value = "5432", value_parser = ports)]
    pub db_port: Ports,
    /// Replay every session to this database [default: each session's own]
    /// [env: dbName, PGDATABASE]
    #[arg(short = 'd', long, value_name = "NAME")]
    pub db_name: Option<String>,
    /// Replay every session as this user [default: each session's own] [env: dbUser, PGUSER]
    #[arg(short = 'u', long, value_name = "NAME")]
    pub db_user: Option<String>,
    /// The password; better in PGPASSWORD, PGPASSFILE or ~/.pgpass, since the process list shows
    /// the command line [default: from the password file] [env: PGPASSWORD]
    #[arg(short = 'p', long, value_name = "PASSWORD", value_parser = secret)]
    pub db_password: Option<SecretString>,
    /// Replay the sessions of source database A to database B; repeatable [default: the same name]
    #[arg(long, value_name = "A=B")]
    pub map_db: Vec<Renaming>,
    /// Replay the sessions of source user A as user B; repeatable [default: the same name]
    #[arg(long, value_name = "A=B")]
    pub map_user: Vec<Renaming>,
    /// Whether connections are encrypted and whom they trust [default: prefer] [env: PGSSLMODE]
    #[arg(long, value_name = "MODE", ignore_case = true)]
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
    #[arg(long, value_name = "FILE", value_parser = key_file)]
    pub sslkey: Option<PathBuf>,
    /// Whether a log-in by password is tied to the server's certificate [env: PGCHANNELBINDING]
    #[arg(long, value_name = "MODE", default_value = "prefer", ignore_case = true)]
    pub channel_binding: ChannelBinding,
    /// How long a start waits for a target that can't be reached before it gives up (exit code 3); 0:
    /// for ever [default: 30s with --input or --until-end, else 0]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub connect_timeout: Option<Timeout>,
    /// Let the target refuse every write (default_transaction_read_only)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub read_only: bool,
    /// Connections to the target at the most. There may be more sessions: the least recently used one
    /// gives its connection up and gets it back, with its settings, when it goes on. 0: the target's
    /// max_connections less a reserve
    #[arg(long, value_name = "N", default_value = "0", value_parser = limit)]
    pub max_sessions: Limit,
    /// Who measures statements on the target: the server itself, at the place where the source's
    /// measures what it logs (server), kreplay, the way to the target included (client), or the
    /// server where it lets the session's role have its durations (auto)
    #[arg(long, value_name = "WHO", default_value = "auto", ignore_case = true)]
    pub target_durations: TargetDurations,
}

/// What happens to what can't be replayed.
#[derive(Args)]
#[command(next_help_heading = "Errors")]
pub struct ErrorOptions {
    /// Where records go that cannot be read: a file, or topic:NAME on the same brokers
    /// [default: nowhere, they are counted and logged]
    #[arg(long, value_name = "FILE|topic:NAME")]
    pub dead_letter: Option<DeadLetter>,
    /// A replay with an end (--input, --until-end) that had to reject or give up records ends with exit
    /// code 0 too, instead of 8
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub allow_losses: bool,
}

/// How the process runs.
#[derive(Args)]
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
    /// The same as a duration: 60s, 2m
    #[arg(long, value_name = "DURATION", conflicts_with = "timeout_ms")]
    #[arg(default_value = "60s", value_parser = timeout)]
    pub idle_timeout: Timeout,
    /// How long a stop, or a partition that moves to another kreplay, waits for statements that still
    /// run before it rolls them back
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub shutdown_timeout: Duration,
    /// Serve /metrics, /livez, /readyz, /report and a page here, or off. A replay with an end takes
    /// another port where the default one is taken [default: 127.0.0.1:11432]
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub listen: Option<Listen>,
    /// A name by which browsers may ask for the page and /report, besides addresses and localhost (a guard
    /// against DNS rebinding); repeatable
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub http_host: Vec<String>,
    /// Read, classify and count without touching a database, and print the summary
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub dry_run: bool,
    /// Write the summary and what changed by query shape to this file at the end: FILE.html as a page,
    /// any other as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How many query shapes the report tells apart; the others are summed
    #[arg(long, value_name = "N", default_value = "500", value_parser = at_least_one)]
    pub report_shapes: usize,
    /// Ask the target for the plans of what became slower or faster and of what takes the most time, by
    /// EXPLAIN, which runs nothing; off: the report has the source's alone, where its log has any
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = switch)]
    #[arg(action = clap::ArgAction::Set)]
    pub plans: bool,
    /// Have auto_explain tell the plans that statements really use, of one in fifty, on the sessions' own
    /// connections: a superuser may, and other roles as kreplay check says
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub explain: bool,
    /// How often the log says how the replay goes (rate, lag, new errors, sessions); 0: never. On a
    /// terminal a replay with an end shows a progress bar instead
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    pub status_interval: Timeout,
    /// How much is logged, and how it looks.
    #[command(flatten)]
    pub log: LogSettings,
}

/// A port for all servers, or one for each.
pub(crate) type Ports = Vec<u16>;

fn ports(text: &str) -> Result<Ports, String> {
    let port = |text: &str| match text.trim() {
        "" => Ok(DEFAULT_PORT),
        text => port(text),
    };
    if text.trim().is_empty() {
        return Err("expected a port".to_owned());
    }
    text.split(',').map(port).collect()
}

fn secret(text: &str) -> Result<SecretString, String> {
    Ok(SecretString::from(text))
}

fn key_file(text: &str) -> Result<PathBuf, String> {
    if text.starts_with("engine:") {
        return Err("kreplay does not use OpenSSL's engines: give the file of the key".to_owned());
    }
    Ok(PathBuf::from(text))
}
