//! The settings of the replay itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pglog::{Encoding, Encodings, Format, LogRecord};
use crate::replay::account::ledger::Filtered;
use crate::replay::account::policy::ErrorPolicy;
use crate::replay::pace::Pace;

/// What is replayed, in which order, within which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaySettings {
    /// What a record looks like.
    pub format: Format,
    /// Nothing is sent: read, classify, count.
    pub dry_run: bool,
    /// What a statement waits for.
    pub order: Order,
    /// Statements in flight on one connection at the most, from 1: those of a session that have nothing
    /// of another's to wait for are sent ahead of their answers.
    pub pipeline: usize,
    /// The pace that is kept; `None`: none, statements start as soon as they may.
    pub pace: Option<Pace>,
    /// What is left out.
    pub filters: Filters,
    /// As whom and to which database a session is replayed.
    pub identity: Identity,
    /// What an error that the source did not have leads to.
    pub errors: ErrorPolicy,
    /// Run what the source canceled, and cancel it after the original time.
    pub replay_cancels: bool,
    /// How long a statement may run before the target is asked what it waits for.
    pub stall_check: Duration,
    /// For how long nothing may end while something is in flight, before it is told what that waits for;
    /// `None`: for ever.
    pub stall_timeout: Option<Duration>,
    /// How long a live statement may wait for its session's next record.
    pub lookahead: Duration,
    /// After how long without a record a partition holds the others up no longer.
    pub merge_idle: Duration,
    /// After how long without a record a session's connection is closed; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// How long a stop waits for what is in flight.
    pub shutdown_timeout: Duration,
    /// Statements read and not yet finished at the most, over all sessions.
    pub max_in_flight: usize,
    /// Bytes of these at the most; one statement that is larger is in flight alone.
    pub max_in_flight_bytes: usize,
    /// Connections at the most; `None`: what the target allows, less a reserve.
    pub max_sessions: Option<usize>,
    /// Threads; `None`: as many as [`ReplaySettings::threads`] finds good.
    pub workers: Option<usize>,
    /// How long an answer is polled for before its thread sleeps.
    pub spin: Duration,
}

impl ReplaySettings {
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
        self.workers.unwrap_or(match self.order {
            Order::Serial | Order::Conflict => 1,
            Order::Session => cores.clamp(1, 2),
        })
    }
}

/// What a statement waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Every statement before it.
    Serial,
    /// Every statement before it that it conflicts with.
    Conflict,
    /// The earlier statements of its own session.
    Session,
}

impl Order {
    /// The name of the order on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Conflict => "conflict",
            Self::Session => "session",
        }
    }
}

/// What is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Statements that only read.
    pub skip_selects: bool,
    /// What was logged before this moment, in Unix milliseconds.
    pub after_unix_ms: Option<i64>,
    /// So many statements at the start.
    pub skip_count: u64,
    /// Sessions of all databases of the source but these; empty: none is left out.
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
