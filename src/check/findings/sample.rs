//! A sample of the log, read as a replay would read it, and what it tells of the shipper and the
//! source.

mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use self::sessions::Sessions;
use crate::pglog::message::{self, LogEvent};
use crate::pglog::parameters::{self, Detail};
use crate::pglog::session_log::{Lost, RecordEffect};
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::pglog::{Format, LogRecord, Malformed, RecordReader, Severity};
use crate::replay::account::ledger::Filtered;
use crate::replay::intake::lines::Line;
use crate::replay::settings::{Filters, Identity};
use crate::sql::{self, Command};

/// A record of the input, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    /// The partition, or the index of the file.
    pub partition: i32,
    /// The offset, or the byte of the file.
    pub offset: i64,
    /// Which stretch of its partition it was read in. Between stretches records were left out.
    pub stretch: usize,
    /// The time that Kafka keeps with it, in Unix milliseconds.
    pub broker_ms: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its header that says where the shipper read it.
    pub place: Option<String>,
    /// The record.
    pub payload: Vec<u8>,
}

/// What a sample of the log tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Records in it.
    pub records: u64,
    /// Whether less came in time than was asked for.
    pub cut_short: bool,
    /// Whether it was taken from files, which have neither keys nor partitions.
    pub files: bool,
    /// How many partitions (or files) it was taken from.
    pub partitions: usize,
    /// What records look like, and how many do.
    pub forms: BTreeMap<String, u64>,
    /// Records that can't be read, by reason.
    pub malformed: BTreeMap<&'static str, Damage>,
    /// Records of databases that `--source-db` leaves out.
    pub left_out: u64,
    /// The keys of Kafka's records.
    pub keys: Keys,
    /// Records that say where the shipper read them.
    pub placed: u64,
    /// Sessions in it, of the databases that are replayed.
    pub sessions: usize,
    /// Sessions that are on more than one partition.
    pub spread: usize,
    /// Sessions that were connected at the same moment, at the most.
    pub at_once: usize,
    /// Records missing in the middle of sessions, by their line numbers.
    pub missing: u64,
    /// Records that came twice.
    pub repeats: u64,
    /// The users and databases of sessions with statements, and of how many.
    pub logins: BTreeMap<(String, String), u64>,
    /// The databases seen, those that are left out among them.
    pub databases: BTreeSet<String>,
    /// The users seen.
    pub users: BTreeSet<String>,
    /// The names that applications gave themselves.
    pub applications: BTreeSet<String>,
    /// How statements are logged.
    pub logging: Logging,
    /// The source's version.
    pub version: Version,
    /// When the first record of each partition (or file) was logged, in Unix milliseconds.
    pub first_ms: BTreeMap<i32, i64>,
    /// The newest record.
    pub newest: Option<Newest>,
    /// How much later than its log_time each record came to Kafka, in milliseconds, of the newest
    /// ones; ascending.
    pub delays_ms: Vec<i64>,
}

/// Records that can't be read for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// How many there are.
    pub records: u64,
    /// Where the first one stands.
    pub first: String,
    /// What is wrong with that.
    pub what: String,
    /// What to do.
    pub remedy: Option<&'static str>,
}

/// The keys of records, of those that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    /// The session id.
    pub session: u64,
    /// Another one.
    pub other: u64,
    /// None.
    pub none: u64,
}

/// How the source logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logging {
    /// Statements logged at their end, with their duration.
    pub at_end: u64,
    /// Statements logged at their start.
    pub at_start: u64,
    /// Durations without a text.
    pub bare_durations: u64,
    /// Durations whose text is nowhere.
    pub without_text: u64,
    /// Errors of statements.
    pub errors: u64,
    /// Those of which the log does not hold enough to run them.
    pub unknown_errors: u64,
    /// Statements whose parameters are not there, or not whole.
    pub without_parameters: u64,
    /// Statements with parameters.
    pub with_parameters: u64,
    /// Parameters that end in `...`, as those that PostgreSQL has cut do, and the lengths of them.
    pub dotted: BTreeMap<usize, u64>,
    /// The longest parameter, in bytes.
    pub longest_parameter: usize,
    /// The shortest and the longest duration, in milliseconds.
    pub durations_ms: Option<(f64, f64)>,
    /// COPY FROM STDIN.
    pub copies: u64,
    /// Statements with a line feed.
    pub line_feeds: u64,
    /// Statements with a backslash where SQL has none: a line feed that a shipper wrote as `\n`.
    pub stray_backslashes: u64,
    /// Sessions that were authorized.
    pub authorized: u64,
    /// Sessions that ended.
    pub disconnected: u64,
    /// Sessions whose first record is not the one of their connection.
    pub unannounced: u64,
    /// BEGINs without an end, and COMMITs without a BEGIN.
    pub unpaired: u64,
    /// Transactions with both.
    pub paired: u64,
    /// Plans of auto_explain.
    pub plans: u64,
    /// Those of them in a format that can't be read.
    pub unread_plans: u64,
    /// Records whose time zone is an abbreviation other than UTC.
    pub unknown_zone: u64,
    /// Records of sessions that say what kreplay knows.
    pub understood: u64,
    /// Other records of sessions with severity LOG, or with a severity that is no English word.
    pub not_understood: u64,
}

/// What the log tells of the source's version: the major version lies in these bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// It is this one or newer.
    pub least: Option<u32>,
    /// It is this one or older.
    pub most: Option<u32>,
}

impl Version {
    fn at_least(&mut self, version: u32) {
        self.least = Some(self.least.map_or(version, |least| least.max(version)));
    }

    fn at_most(&mut self, version: u32) {
        self.most = Some(self.most.map_or(version, |most| most.min(version)));
    }
}

/// The newest record's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// When it was logged, in Unix milliseconds.
    pub log_ms: i64,
    /// The time that Kafka keeps with it.
    pub broker_ms: Option<i64>,
}

impl Sample {
    /// Reads a sample: the records of each stretch in their order.
    ///
    /// `name` tells how a partition is called in a message.
    pub fn read(
        records: &[Sampled],
        reader: &mut RecordReader,
        identity: &Identity,
        filters: &Filters,
        name: impl Fn(&Sampled) -> String,
    ) -> Self {
        let mut sample = Self { records: records.len() as u64, ..Self::default() };
        let partitions: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
        sample.partitions = partitions.len();
        let newest_stretch = records.iter().map(|record| record.stretch).max();
        let mut sessions = Sessions::default();
        for sampled in records {
            let form = Format::told_by(&sampled.payload);
            let columns = match reader.read(&sampled.payload) {
                Ok(record) => {
                    sample.see(sampled, &record, identity, filters, &mut sessions);
                    if Some(sampled.stretch) == newest_stretch
                        && let Some(broker_ms) = sampled.broker_ms
                    {
                        sample.delays_ms.push(broker_ms - record.log_time.unix_ms);
                    }
                    reader.columns()
                }
                // The names of columns are no record, and no damage.
                Err(Malformed::Header) => {
                    sample.records -= 1;
                    continue;
                }
                Err(malformed) => {
                    let damage = sample.malformed.entry(malformed.reason());
                    let damage = damage.or_insert_with(|| Damage {
                        records: 0,
                        first: name(sampled),
                        what: malformed.to_string(),
                        remedy: malformed.remedy(),
                    });
                    damage.records += 1;
                    continue;
                }
            };
            *sample.forms.entry(form_of(form, columns)).or_default() += 1;
            sample.see_columns(columns);
        }
        sample.delays_ms.sort_unstable();
        sessions.close(&mut sample);
        sample
    }

    /// Records that can be read.
    pub fn readable(&self) -> u64 {
        self.forms.values().sum()
    }

    fn see_columns(&mut self, columns: Option<usize>) {
        match columns {
            Some(22 | 23) => self.version.at_most(12),
            Some(24) => {
                self.version.at_least(13);
                self.version.at_most(13);
            }
            Some(_) => self.version.at_least(14),
            None => {}
        }
    }

    fn see(
        &mut self,
        sampled: &Sampled,
        record: &LogRecord<'_>,
        identity: &Identity,
        filters: &Filters,
        sessions: &mut Sessions,
    ) {
        let log_ms = record.log_time.unix_ms;
        if self.newest.is_none_or(|newest| newest.log_ms <= log_ms) {
            self.newest = Some(Newest { log_ms, broker_ms: sampled.broker_ms });
        }
        self.first_ms.entry(sampled.partition).or_insert(log_ms);
        if !record.log_time.zone_known {
            self.logging.unknown_zone += 1;
        }
        match &sampled.key {
            None => self.keys.none += 1,
            Some(key) if *key == record.session.to_string().into_bytes() => self.keys.session += 1,
            Some(_) => self.keys.other += 1,
        }
        if sampled.place.is_some() || record.place.is_some() {
            self.placed += 1;
        }
        if let Some(number) = record.message.strip_prefix("starting PostgreSQL ") {
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(major) = digits.parse() {
                self.version = Version { least: Some(major), most: Some(major) };
            }
        }
        if !record.database.is_empty() {
            insert(&mut self.databases, &record.database);
        }
        if filters.leaves_out(record) == Some(Filtered::OtherDatabase) {
            self.left_out += 1;
            return;
        }
        // Parallel workers and replication are no sessions to be replayed.
        let is_client = matches!(&*record.backend_type, "" | "client backend");
        if record.user.is_empty() || !is_client {
            return;
        }
        insert(&mut self.users, &record.user);
        if !record.application_name.is_empty() {
            insert(&mut self.applications, &record.application_name);
        }
        self.see_message(record);
        let (line, reading) = sessions.see(sampled, record, &mut self.logging);
        match line {
            Line::Gap(records) => self.missing += records,
            Line::Repeat => {
                self.repeats += 1;
                return;
            }
            Line::Early => return,
            Line::Next | Line::Joined | Line::Late => {}
        }
        match &reading.this {
            RecordEffect::Statement { statement, end, .. } => {
                let login = (identity.user(&record.user), identity.database(&record.database));
                let login = (login.0.to_owned(), login.1.to_owned());
                *self.logins.entry(login).or_default() += 1;
                self.see_statement(record, statement, *end);
            }
            RecordEffect::Lost(Lost::NoText) => self.logging.without_text += 1,
            RecordEffect::Lost(Lost::Truncated) => self.logging.without_parameters += 1,
            _ => {}
        }
    }

    /// What the words of a record of a session tell, whatever its session.
    fn see_message(&mut self, record: &LogRecord<'_>) {
        let logging = &mut self.logging;
        match (record.severity, message::read_message(&record.message).event) {
            (Severity::Log, LogEvent::Other) if record.context.is_empty() => {
                logging.not_understood += 1;
            }
            (Severity::Log, event) => {
                logging.understood += 1;
                match event {
                    LogEvent::BareDuration => logging.bare_durations += 1,
                    LogEvent::ConnectionAuthorized => logging.authorized += 1,
                    LogEvent::Disconnection => logging.disconnected += 1,
                    LogEvent::ConnectionReady => self.version.at_least(18),
                    _ => {}
                }
            }
            (Severity::Error | Severity::Fatal | Severity::Panic, _) => {
                logging.understood += 1;
                if record.severity == Severity::Error {
                    logging.errors += 1;
                }
            }
            // FEHLER, ERREUR: a severity that is no English word comes with an error's SQLSTATE.
            (Severity::Noise, _) if !matches!(record.sqlstate.class(), "00" | "01" | "02") => {
                logging.not_understood += 1;
            }
            (Severity::Noise, _) => {}
        }
        if record.detail.starts_with("Parameters: ") {
            self.version.at_least(17);
        } else if record.detail.starts_with("parameters: ") {
            self.version.at_most(16);
        }
    }

    fn see_statement(&mut self, record: &LogRecord<'_>, statement: &Statement, end: SourceEnd) {
        let logging = &mut self.logging;
        match end {
            SourceEnd::Failed(_) => {}
            _ if statement.duration_ms.is_some() => logging.at_end += 1,
            _ => logging.at_start += 1,
        }
        if statement.protocol == Protocol::Unknown {
            logging.unknown_errors += 1;
        }
        if let Some(ms) = statement.duration_ms {
            let (shortest, longest) = logging.durations_ms.unwrap_or((ms, ms));
            logging.durations_ms = Some((shortest.min(ms), longest.max(ms)));
        }
        if statement.outline.has(|command| command == Command::CopyFromStdin) {
            logging.copies += 1;
        }
        if statement.sql.contains('\n') {
            logging.line_feeds += 1;
        }
        if sql::has_stray_backslash(&statement.sql) {
            logging.stray_backslashes += 1;
        }
        if let Detail::Parameters(values) = parameters::read_detail(&record.detail) {
            logging.with_parameters += 1;
            for value in values.iter().flatten() {
                logging.longest_parameter = logging.longest_parameter.max(value.len());
                if value.len() > 3 && value.ends_with("...") {
                    *logging.dotted.entry(value.len()).or_default() += 1;
                }
            }
        }
    }
}

/// How a record looks, in words.
fn form_of(form: Format, columns: Option<usize>) -> String {
    match (form, columns) {
        (Format::Json, Some(columns)) => format!("csvlog of {columns} columns in JSON objects"),
        (Format::Json, None) => "JSON objects".to_owned(),
        (Format::Msgpack, Some(columns)) => format!("csvlog of {columns} columns in msgpack maps"),
        (Format::Msgpack, None) => "msgpack maps".to_owned(),
        (_, Some(columns)) => format!("csvlog of {columns} columns"),
        (_, None) => "csvlog".to_owned(),
    }
}

/// Names are seen again and again: most need no copy.
fn insert(names: &mut BTreeSet<String>, name: &str) {
    if !names.contains(name) {
        names.insert(name.to_owned());
    }
}
