//! The settings of the replay itself, each declared with its flag.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::flag_values::{
    Limit, Timeout, at_least_one, count, duration, moment, size, switch, timeout,
};
use crate::pglog::{Encoding, Encodings, Format, LogRecord};
use crate::replay::account::ledger::Filtered;
use crate::replay::account::policy::ErrorPolicy;
use crate::replay::pace::{Pace, Speed};
use crate::replay::report::rules::Rules;

/// Far longer than any wake-up takes.
const LONGEST_SPIN: Duration = Duration::from_millis(10);

/// What is replayed, in which order, within which limits.
///
/// What says where the log comes from or how the process runs has its flag among the others of that
/// kind, in `cli::settings`, and is filled in from there.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Order and concurrency")]
pub struct ReplaySettings {
    /// What a statement waits for: those before it that it conflicts with (conflict), every one before
    /// it (serial), or the earlier ones of its own session (session)
    #[arg(long, value_name = "ORDER", default_value = "conflict", ignore_case = true)]
    pub order: Order,
    /// How fast: max, every statement as soon as it may start; or so many times as fast as the source,
    /// 1 for its own pace
    #[arg(long, value_name = "FACTOR|max", default_value = "max")]
    pub speed: Speed,
    /// How long after the earliest moment statements are due under --speed FACTOR, so that records that
    /// come late by as much are still in time
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
    pub playout_delay: Duration,
    /// Statements of a session that are sent ahead of their answers, where nothing else is to come
    /// between; 1: each waits for the answer to the one before
    #[arg(long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    pub pipeline: usize,
    /// Statements handed to sessions and not yet finished, over all sessions; at so many reading
    /// pauses
    #[arg(long, value_name = "N", default_value = "10000", value_parser = at_least_one)]
    pub max_in_flight: usize,
    /// Memory for the statements in flight; at so much reading pauses too. A single statement that is
    /// larger still passes
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub max_in_flight_bytes: usize,
    /// Threads: the first reads the log and keeps the order, the others have the sessions; 1: one does
    /// everything [default: 1, in session order 2]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub workers: Option<usize>,
    /// How long a thread polls for an answer after sending before it sleeps: serial order gets faster,
    /// and a core is never idle; 0: not at all
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = spin)]
    pub spin: Duration,
    /// How long a statement may run before kreplay asks the target whether it waits for a lock
    /// that a later record frees; three round trips to it at the least
    #[arg(long, value_name = "DURATION", default_value = "2ms", value_parser = duration)]
    pub stall_check: Duration,
    /// How long nothing may end while something is in flight that the target does not work on, before
    /// kreplay says who waits for whom, and gives up what all wait for where that is its to do; off or 0:
    /// for ever
    #[arg(long, value_name = "DURATION|off", default_value = "60s", value_parser = timeout)]
    pub stall_timeout: Timeout,
    /// How long the newest statement of a session is held back for the session's next record, which
    /// may tell that it failed; everything behind it waits too
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = duration)]
    pub lookahead: Duration,
    /// How long a partition may be silent before the records of the others wait for it no longer
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub merge_idle: Duration,
    /// Run a statement that was canceled on the source and cancel it after the original time,
    /// instead of only aborting its transaction
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub replay_cancels: bool,
    /// What is left out.
    #[command(flatten)]
    pub filters: Filters,
    /// What an error that the source did not have leads to.
    #[command(flatten)]
    pub errors: ErrorPolicy,
    /// What a record looks like.
    #[arg(skip)]
    pub format: Format,
    /// By which rules shapes are judged.
    #[arg(skip)]
    pub rules: Rules,
    /// Nothing is sent: read, classify, count.
    #[arg(skip)]
    pub dry_run: bool,
    /// As whom and to which database a session is replayed.
    #[arg(skip)]
    pub identity: Identity,
    /// After how long without a record a session's connection is closed; `None`: never.
    #[arg(skip)]
    pub idle_timeout: Timeout,
    /// How long a stop waits for what is in flight.
    #[arg(skip)]
    pub shutdown_timeout: Duration,
    /// Connections at the most; `None`: what the target allows, less a reserve.
    #[arg(skip)]
    pub max_sessions: Limit,
    /// Who measures statements on the target.
    #[arg(skip)]
    pub target_durations: TargetDurations,
}

impl ReplaySettings {
    /// The pace that is kept; `None`: none, statements start as soon as they may.
    pub fn pace(&self) -> Option<Pace> {
        match self.speed {
            Speed::Max => None,
            Speed::Times(speed) => Some(Pace { speed, playout_delay: self.playout_delay }),
        }
    }

    /// For how long a session without a next record may hold up others.
    pub fn patience_with_silence(&self) -> Duration {
        self.idle_timeout.unwrap_or(Duration::from_secs(60))
    }

    /// How many threads there are on a machine with so many cores. The first reads the log and keeps
    /// the order; the others, if any, have the sessions.
    ///
    /// Where sessions wait for each other, handing a turn from thread to thread costs more than a
    /// second thread gives; where they don't, reading and sending take about as long as each other.
    pub fn threads(&self, cores: usize) -> usize {
        self.workers.unwrap_or(match self.order.takes_turns() {
            true => 1,
            false => cores.clamp(1, 2),
        })
    }
}

/// What a statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Order {
    /// Every statement before it that it conflicts with has finished
    Conflict,
    /// Every statement before it has finished
    Serial,
    /// The earlier statements of its own session have finished
    Session,
}

impl Order {
    /// Whether a statement may have to wait for other sessions' statements.
    pub fn takes_turns(self) -> bool {
        self != Self::Session
    }

    /// Whether no more than one statement runs at any time.
    pub fn runs_one_at_a_time(self) -> bool {
        self == Self::Serial
    }
}

/// Who measures statements on the target.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum TargetDurations {
    /// The server; it has to let us
    Server,
    /// kreplay, the way to the target included
    Client,
    /// The server where it lets us, kreplay elsewhere
    #[default]
    Auto,
}

impl TargetDurations {
    /// Whether the server is asked for its own.
    pub fn asks_server(self) -> bool {
        self != Self::Client
    }

    /// How a role comes to have the server's own durations.
    pub fn remedy(role: &str, server_version: u32) -> String {
        let role = format!("\"{}\"", role.replace('"', "\"\""));
        let grant = match server_version {
            150_000.. => format!(
                "GRANT SET ON PARAMETER log_duration, log_min_messages TO {role} on the target, or "
            ),
            _ => "on the target ".to_owned(),
        };
        format!("{grant}ALTER ROLE {role} SET log_duration = on, as a superuser")
    }
}

/// What is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Leave out statements that only read; -s alone means true [env: skipSelects]
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(default_value = "false", default_missing_value = "true", value_parser = switch)]
    pub skip_selects: bool,
    /// Leave out what was logged before this moment, in Unix seconds or as an RFC 3339 timestamp;
    /// the topic is read from there [env: replayAfter]
    #[arg(short = 'a', long = "after", value_name = "UNIXTIME", value_parser = moment)]
    pub after_unix_ms: Option<i64>,
    /// Leave out the first so many statements, where the group has no committed offset
    /// [env: skipCount]
    #[arg(short = 'c', long, value_name = "N", default_value = "0", value_parser = count)]
    pub skip_count: u64,
    /// Replay the sessions of this source database alone; repeatable [default: all]
    #[arg(long = "source-db", value_name = "NAME")]
    pub source_databases: Vec<String>,
}

/// As whom and to which database a session is replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub(crate) one_database: Option<String>,
    pub(crate) one_user: Option<String>,
    pub(crate) databases: BTreeMap<String, String>,
    pub(crate) users: BTreeMap<String, String>,
}

/// One name on the source, another on the target: `source=target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    /// The name on the source.
    pub from: String,
    /// The name on the target.
    pub to: String,
}

impl FromStr for Renaming {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                Ok(Self { from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err("expected the name on the source, =, the name on the target"),
        }
    }
}

/// Who a session logs in as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// `application_name`, which the server shows in its views and log.
    pub application_name: String,
}

impl Login {
    /// The same, for a connection of kreplay's own beside the sessions.
    pub fn for_kreplay(&self) -> Self {
        Self { application_name: "kreplay".to_owned(), ..self.clone() }
    }
}

impl Filters {
    /// Why a record is left out whatever it says, if it is.
    pub fn leaves_out(&self, record: &LogRecord<'_>) -> Option<Filtered> {
        let databases = &self.source_databases;
        if !databases.is_empty()
            && !record.database.is_empty()
            && !databases.iter().any(|database| **database == *record.database)
        {
            return Some(Filtered::OtherDatabase);
        }
        let before = self.after_unix_ms.is_some_and(|after| record.log_time.unix_ms < after);
        before.then_some(Filtered::BeforeStartTime)
    }
}

impl Identity {
    /// Who the session of this record is on the target.
    pub fn login(&self, record: &LogRecord<'_>) -> Login {
        // At its authorization the column is still empty, and the message tells.
        let announced = record.message.split_once(" application_name=").map(|(_, rest)| {
            let end = [" SSL enabled (", " GSS ("].iter().filter_map(|mark| rest.find(mark)).min();
            &rest[..end.unwrap_or(rest.len())]
        });
        let announced = announced.filter(|_| record.message.starts_with("connection authorized"));
        Login {
            user: self.user(&record.user).to_owned(),
            database: self.database(&record.database).to_owned(),
            application_name: announced.unwrap_or(&record.application_name).to_owned(),
        }
    }

    /// The target's database for a session of this database of the source.
    pub fn database<'a>(&'a self, source: &'a str) -> &'a str {
        renamed(self.one_database.as_deref(), &self.databases, source)
    }

    /// The target's user for a session of this user of the source.
    pub fn user<'a>(&'a self, source: &'a str) -> &'a str {
        renamed(self.one_user.as_deref(), &self.users, source)
    }

    /// The source's databases that are replayed to this one of the target by `--map-db`.
    pub fn renamed_to<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a str> {
        let renamed = self.databases.iter().filter(move |(_, to)| *to == target);
        renamed.map(|(source, _)| source.as_str())
    }

    /// The source's databases that `--map-db` names.
    pub fn renamed_databases(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// The source's users that `--map-user` names.
    pub fn renamed_users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// The encodings of the source's databases, which are taken to be those of the target's of the
    /// same (or the mapped) names; and the target's databases in encodings that can't be read.
    pub fn encodings<'a>(
        &self,
        target: &'a [(String, String)],
    ) -> (Encodings, Vec<(&'a str, &'a str)>) {
        let mut encodings = Encodings::default();
        let mut unreadable = Vec::new();
        for (database, name) in target {
            let Some(encoding) = Encoding::from_postgres_name(name) else {
                unreadable.push((database.as_str(), name.as_str()));
                continue;
            };
            if self.one_database() == Some(database) {
                encodings = Encodings::all(encoding);
                break;
            }
            encodings.insert(database, encoding);
            for source in self.renamed_to(database) {
                encodings.insert(source, encoding);
            }
        }
        (encodings, unreadable)
    }

    /// The one database that everything is replayed to, if there is one: it can be tried at the
    /// start, before the first record.
    pub fn one_database(&self) -> Option<&str> {
        self.one_database.as_deref()
    }

    /// The one user that everything is replayed as, if there is one.
    pub fn one_user(&self) -> Option<&str> {
        self.one_user.as_deref()
    }
}

fn renamed<'a>(
    one: Option<&'a str>,
    names: &'a BTreeMap<String, String>,
    source: &'a str,
) -> &'a str {
    one.or_else(|| names.get(source).map(String::as_str)).unwrap_or(source)
}

/// How long an answer is polled for.
fn spin(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        spin if spin > LONGEST_SPIN => Err(format!(
            "expected {LONGEST_SPIN:?} at most; an answer that takes longer can be slept for"
        )),
        spin => Ok(spin),
    }
}
