//! One session's records, in the order of its log, become statements.
//!
//! A statement can take several records (its text, then its duration; parse, bind and execute; its
//! start, then its error), and what a record means can depend on those before it. This is the state
//! that it depends on.

use std::borrow::Cow;

use crate::pglog::message::{self, LogEvent, Logged, Name};
use crate::pglog::parameters::{self, Detail};
use crate::pglog::sql::{self, Command, Outline};
use crate::pglog::statement::{Amendment, Failure, Protocol, SourceEnd, Statement};
use crate::pglog::{LogRecord, Severity, SqlState};

/// What a record says.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// What it says of the session's statement before.
    pub previous: Previous,
    /// What it is itself.
    pub this: This,
}

/// What a record says of the session's statement before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Previous {
    /// Nothing: the statement may still run, or share its Sync with what follows.
    Open,
    /// This; and more may follow, since its Sync has not been seen.
    Noted(Amendment),
    /// Nothing more will be said of it.
    Ended,
    /// This; and then nothing more.
    Amended(Amendment),
}

/// What a record is.
#[derive(Debug, PartialEq)]
pub enum This {
    /// A statement.
    Statement {
        /// What was sent.
        statement: Box<Statement>,
        /// How it ended, as far as the record tells.
        end: SourceEnd,
        /// How it failed, if it did.
        failure: Option<Failure>,
    },
    /// The session may begin: it was authorized.
    Opened,
    /// The session's end. With an error if the server ended it.
    Closed(Option<SqlState>),
    /// Nothing to replay.
    Nothing(Nothing),
    /// A statement that can't be replayed.
    Lost(Lost),
    /// The server ended all its sessions.
    ServerEnded,
    /// The server lost the backend with this process id.
    BackendDied(Option<u32>),
}

/// Why there is nothing to replay in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nothing {
    /// Warnings, checkpoints, lock waits, plans, text that poses as a statement.
    Noise,
    /// Parse, bind, fetch: a step of a statement that has a record of its own.
    Step,
    /// It told how the statement before ended.
    Outcome,
    /// A connection's beginning or end.
    Connection,
    /// A parallel worker's copy of its leader's error.
    ParallelWorker,
}

/// Why a statement can't be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// A function call by object id: its arguments are never logged.
    Fastpath,
    /// A replication command, or SQL on a replication connection.
    Replication,
    /// A duration without its statement (`log_duration`).
    NoText,
    /// Its parameters are not whole.
    Truncated,
}

/// The state of one session's log.
#[derive(Debug, Default)]
pub struct SessionLog {
    /// The last statement, while the log may still tell how it ended.
    last: Option<Last>,
    /// The statement text that a parse or bind record announced, with its parameters.
    bound: Option<Bound>,
    /// Names of prepared statements that hold a colon, with their texts: their records can only be
    /// split where the text is known.
    colon_names: Vec<(Box<str>, Box<str>)>,
    /// Whether the session is in a transaction block, as far as its own commands tell.
    in_block: bool,
    /// Whether it is a replication connection: PostgreSQL 12 has no column that says so.
    replicates: bool,
    /// When the last record was written.
    last_ms: i64,
}

#[derive(Debug)]
struct Last {
    sql: Box<str>,
    extended: bool,
    virtual_transaction: Box<str>,
    end: SourceEnd,
    logged_ms: i64,
}

#[derive(Debug)]
struct Bound {
    name: Box<str>,
    portal: Box<str>,
    sql: Box<str>,
    parameters: Vec<Option<Box<str>>>,
}

impl SessionLog {
    /// Reads the session's next record.
    pub fn read(&mut self, record: &LogRecord<'_>) -> Reading {
        let reading = self.reading(record);
        if let This::Statement { statement, end, .. } = &reading.this {
            self.last = Some(Last {
                sql: statement.sql.clone(),
                extended: statement.is_extended(),
                virtual_transaction: record.virtual_transaction.as_ref().into(),
                end: *end,
                logged_ms: record.log_time.unix_ms,
            });
            self.bound = None;
            self.in_block = in_block_after(&statement.outline).unwrap_or(self.in_block);
        } else {
            match (reading.previous, &mut self.last) {
                (Previous::Open, _) => {}
                (Previous::Noted(_), Some(last)) => last.end = SourceEnd::Succeeded,
                _ => self.last = None,
            }
        }
        self.last_ms = record.log_time.unix_ms;
        reading
    }

    fn reading(&mut self, record: &LogRecord<'_>) -> Reading {
        if record.backend_type == "parallel worker" {
            return Reading::aside(This::Nothing(Nothing::ParallelWorker));
        }
        if record.backend_type == "walsender" || self.replicates {
            return self.replication(record);
        }
        match record.severity {
            Severity::Log => self.log(record),
            Severity::Error => self.error(record),
            Severity::Fatal | Severity::Panic => self.fatal(record),
            Severity::Noise => Reading::aside(This::Nothing(Nothing::Noise)),
        }
    }

    fn replication(&self, record: &LogRecord<'_>) -> Reading {
        let Logged { event, .. } = message::read_message(&record.message);
        match event {
            LogEvent::Statement(_) | LogEvent::Execute(_) => {
                Reading::aside(This::Lost(Lost::Replication))
            }
            _ => Reading::aside(This::Nothing(Nothing::Noise)),
        }
    }

    fn log(&mut self, record: &LogRecord<'_>) -> Reading {
        let Logged { duration_ms, event } = message::read_message(&record.message);
        let duration_ms = duration_ms.or(record.cut_duration_ms);
        let forged = !record.context.is_empty() || !record.query.is_empty();
        match event {
            LogEvent::Statement(_)
            | LogEvent::Parse(_)
            | LogEvent::Bind(_)
            | LogEvent::Execute(_)
            | LogEvent::Fetch(_)
            | LogEvent::Fastpath
            | LogEvent::BareDuration
                if forged =>
            {
                // RAISE LOG can write any text; a genuine statement record has neither.
                Reading::aside(This::Nothing(Nothing::Noise))
            }
            LogEvent::Statement(text) => {
                let end = started_or_ended(duration_ms);
                self.statement(record, text, Protocol::Simple, duration_ms, end)
            }
            LogEvent::Execute(rest) => {
                let Some(name) = self.split(rest) else {
                    return Reading::after(This::Lost(Lost::NoText));
                };
                let Some(parameters) = parameters_of(record) else {
                    return Reading::after(This::Lost(Lost::Truncated));
                };
                let sql: Box<str> = name.text.into();
                let protocol = Protocol::Extended {
                    name: name.statement.unwrap_or_default().into(),
                    portal: name.portal.unwrap_or_default().into(),
                    parameters,
                };
                let end = started_or_ended(duration_ms);
                self.statement(record, &sql, protocol, duration_ms, end)
            }
            LogEvent::Parse(rest) => {
                if let Some(name) = message::split_name(rest) {
                    let has_colon = name.text.contains(": ");
                    let (statement, text) = (name.statement.unwrap_or_default(), name.text);
                    self.bound = Some(Bound {
                        name: statement.into(),
                        portal: "".into(),
                        sql: text.into(),
                        parameters: Vec::new(),
                    });
                    if has_colon {
                        self.remember_colon(rest);
                    }
                }
                Reading { previous: self.step(record), this: This::Nothing(Nothing::Step) }
            }
            LogEvent::Bind(rest) => {
                self.bound = self.split(rest).and_then(|name| {
                    Some(Bound {
                        name: name.statement.unwrap_or_default().into(),
                        portal: name.portal.unwrap_or_default().into(),
                        sql: name.text.into(),
                        parameters: parameters_of(record)?,
                    })
                });
                Reading { previous: self.step(record), this: This::Nothing(Nothing::Step) }
            }
            LogEvent::Fetch(_) => {
                Reading { previous: self.step(record), this: This::Nothing(Nothing::Step) }
            }
            LogEvent::Fastpath => Reading::after(This::Lost(Lost::Fastpath)),
            LogEvent::BareDuration => self.bare_duration(record, duration_ms),
            LogEvent::ConnectionAuthorized => Reading::after(This::Opened),
            LogEvent::ReplicationAuthorized => {
                self.replicates = true;
                Reading::aside(This::Nothing(Nothing::Connection))
            }
            LogEvent::ConnectionReceived
            | LogEvent::ConnectionAuthenticated
            | LogEvent::ConnectionReady => Reading::aside(This::Nothing(Nothing::Connection)),
            LogEvent::UnexpectedEof => Reading::aside(This::Nothing(Nothing::Connection)),
            LogEvent::Disconnection => {
                Reading { previous: self.disconnected(record), this: This::Closed(None) }
            }
            // The postmaster says these; a session that does was told to by RAISE LOG.
            LogEvent::BackendCrash { pid } if record.user.is_empty() => {
                Reading::aside(This::BackendDied(pid))
            }
            LogEvent::ServerRestart if record.user.is_empty() => Reading::aside(This::ServerEnded),
            LogEvent::BackendCrash { .. }
            | LogEvent::ServerRestart
            | LogEvent::Plan
            | LogEvent::Other => Reading::aside(This::Nothing(Nothing::Noise)),
        }
    }

    /// Splits `NAME[/PORTAL]: TEXT`. Names may hold colons; where the parse record showed that one
    /// does, the text decides.
    fn split<'r>(&self, rest: &'r str) -> Option<Name<'r>> {
        let known = self.bound.iter().map(|bound| (&bound.name, &bound.sql));
        let colon_names = self.colon_names.iter().map(|(name, sql)| (name, sql));
        known
            .chain(colon_names)
            .find_map(|(name, sql)| message::split_known(rest, name, sql))
            .or_else(|| message::split_name(rest))
    }

    /// Notes every way to cut a parse record whose name may hold `: `, so that a bind record with a
    /// portal (which stands between name and text) can tell which one was meant.
    fn remember_colon(&mut self, rest: &str) {
        const KEPT: usize = 64;
        for (at, _) in rest.match_indices(": ").skip(1) {
            let (name, sql) = (&rest[..at], &rest[at + 2..]);
            let known = self.colon_names.iter().any(|(n, s)| &**n == name && &**s == sql);
            if !known && self.colon_names.len() < KEPT {
                self.colon_names.push((name.into(), sql.into()));
            }
        }
    }

    fn statement(
        &mut self,
        record: &LogRecord<'_>,
        sql: &str,
        protocol: Protocol,
        duration_ms: Option<f64>,
        end: SourceEnd,
    ) -> Reading {
        let extended = matches!(protocol, Protocol::Extended { .. } | Protocol::ParseOnly);
        let previous = if extended { self.joined(record) } else { self.ended() };
        let statement = Statement {
            outline: Outline::of(sql),
            sql: sql.into(),
            protocol,
            duration_ms,
            logged_ms: record.log_time.unix_ms,
        };
        let statement = Box::new(statement);
        Reading { previous, this: This::Statement { statement, end, failure: None } }
    }

    /// The statement before, seen from a record of the session that began something new: where it
    /// was logged at its start and no error followed, it succeeded.
    fn ended(&self) -> Previous {
        match &self.last {
            Some(Last { end: SourceEnd::Unknown, .. }) => {
                Previous::Amended(Amendment::Succeeded(None))
            }
            _ => Previous::Ended,
        }
    }

    fn shares_transaction(&self, record: &LogRecord<'_>) -> bool {
        // In a transaction block a Sync ends nothing, and every statement has the block's id.
        !self.in_block
            && self.last.as_ref().is_some_and(|last| {
                last.extended
                    && !last.virtual_transaction.ends_with("/0")
                    && !last.virtual_transaction.is_empty()
                    && *last.virtual_transaction == *record.virtual_transaction
            })
    }

    /// The statement before, seen from the next one of the extended protocol: consecutive records
    /// with one virtual transaction id shared a Sync.
    fn joined(&self, record: &LogRecord<'_>) -> Previous {
        if self.shares_transaction(record) {
            Previous::Amended(Amendment::Joined)
        } else {
            self.ended()
        }
    }

    /// The statement before, seen from a parse, bind or fetch record: those don't tell yet whether
    /// another statement will share its Sync.
    fn step(&self, record: &LogRecord<'_>) -> Previous {
        if self.shares_transaction(record) { Previous::Open } else { self.ended() }
    }

    fn bare_duration(&self, record: &LogRecord<'_>, duration_ms: Option<f64>) -> Reading {
        match &self.last {
            Some(last) if last.end == SourceEnd::Unknown => {
                let succeeded = Amendment::Succeeded(duration_ms);
                let previous = if last.extended {
                    Previous::Noted(succeeded)
                } else {
                    Previous::Amended(succeeded)
                };
                Reading { previous, this: This::Nothing(Nothing::Outcome) }
            }
            // With log_duration alone, Parse and Bind leave bare durations as well.
            _ if matches!(&*record.command_tag, "PARSE" | "BIND") => {
                Reading::aside(This::Nothing(Nothing::Step))
            }
            _ => Reading::after(This::Lost(Lost::NoText)),
        }
    }

    fn disconnected(&self, record: &LogRecord<'_>) -> Previous {
        let idle = record.command_tag.is_empty() || record.command_tag.starts_with("idle");
        match &self.last {
            Some(last) if last.extended && !idle && !self.in_block => {
                Previous::Amended(Amendment::NeverSynced)
            }
            _ => self.ended(),
        }
    }

    fn error(&mut self, record: &LogRecord<'_>) -> Reading {
        let code = record.sqlstate;
        let tag = &*record.command_tag;
        let before_running = matches!(tag, "PARSE" | "BIND") || tag.starts_with("idle");
        if let Some(last) = &self.last {
            let same_text = *last.sql == *record.query;
            let at_sync = record.query.is_empty() && last.extended;
            let running = last.end == SourceEnd::Unknown && same_text;
            if !before_running && (running || at_sync) {
                return Reading {
                    previous: Previous::Amended(Amendment::Failed(Failure {
                        code,
                        after_ms: self.ran_ms(record),
                        part: failed_part(&last.sql, tag),
                    })),
                    this: This::Nothing(Nothing::Outcome),
                };
            }
        }
        let failure =
            Failure { code, after_ms: self.ran_ms(record), part: failed_part(&record.query, tag) };
        let protocol = self.failed_protocol(record);
        let mut reading =
            self.statement(record, &record.query, protocol, None, SourceEnd::Failed(code));
        if let This::Statement { failure: told, .. } = &mut reading.this {
            *told = Some(failure);
        }
        reading
    }

    /// How a statement was sent that is known from its error alone.
    fn failed_protocol(&mut self, record: &LogRecord<'_>) -> Protocol {
        if record.query.is_empty() {
            return Protocol::Unknown;
        }
        let bound = self.bound.take().filter(|bound| *bound.sql == *record.query);
        let extended = |bound: Option<Bound>, parameters: Vec<Option<Box<str>>>| {
            let (name, portal) = bound.map(|b| (b.name, b.portal)).unwrap_or_default();
            Protocol::Extended { name, portal, parameters }
        };
        match &*record.command_tag {
            "PARSE" => Protocol::ParseOnly,
            "BIND" => match parameters::read_error_parameters(&record.context) {
                Some(values) => extended(bound, owned(values)),
                None if sql::has_parameters(&record.query) => Protocol::Unknown,
                None => extended(bound, Vec::new()),
            },
            _ => match bound {
                Some(mut bound) => {
                    let parameters = std::mem::take(&mut bound.parameters);
                    extended(Some(bound), parameters)
                }
                None => Protocol::Simple,
            },
        }
    }

    /// How long a failed statement may have run: since its own record where it has one, otherwise at
    /// most since the session's record before.
    fn ran_ms(&self, record: &LogRecord<'_>) -> Option<f64> {
        let since = match &self.last {
            Some(last) if last.end == SourceEnd::Unknown => last.logged_ms,
            _ if self.last_ms > 0 => self.last_ms,
            _ => return None,
        };
        Some((record.log_time.unix_ms - since).max(0) as f64)
    }

    fn fatal(&self, record: &LogRecord<'_>) -> Reading {
        let running = matches!(&self.last, Some(last) if last.end == SourceEnd::Unknown);
        let idle = record.command_tag.starts_with("idle");
        let previous = if running && !idle {
            Previous::Amended(Amendment::Terminated)
        } else {
            self.disconnected(record)
        };
        Reading { previous, this: This::Closed(Some(record.sqlstate)) }
    }
}

impl Reading {
    /// A record that says nothing of the statement before.
    fn aside(this: This) -> Self {
        Self { previous: Previous::Open, this }
    }

    /// A record after which nothing more can be said of the statement before.
    fn after(this: This) -> Self {
        Self { previous: Previous::Ended, this }
    }
}

/// Which statement of a string failed: the last one that begins with the command in the process
/// title (`SELECT`, `INSERT`, `UPDATE waiting`…).
fn failed_part(sql: &str, tag: &str) -> Option<usize> {
    let command = tag.split(' ').next().filter(|word| !word.is_empty())?;
    let outline = Outline::of(sql);
    outline
        .parts
        .iter()
        .rposition(|part| sql::key(&sql[part.range.clone()], 1).eq_ignore_ascii_case(command))
}

/// Whether a transaction block is open after these commands; `None` if they don't tell.
fn in_block_after(outline: &Outline) -> Option<bool> {
    outline.parts.iter().rev().find_map(|part| match part.command {
        Command::Begin | Command::Chain => Some(true),
        command if command.ends_transaction() => Some(false),
        _ => None,
    })
}

/// A duration is logged when a statement ends.
fn started_or_ended(duration_ms: Option<f64>) -> SourceEnd {
    if duration_ms.is_some() { SourceEnd::Succeeded } else { SourceEnd::Unknown }
}

/// `None` where the list of parameters is not whole.
fn parameters_of(record: &LogRecord<'_>) -> Option<Vec<Option<Box<str>>>> {
    match parameters::read_detail(&record.detail) {
        Detail::Parameters(values) => Some(owned(values)),
        Detail::Prepare(_) | Detail::None => Some(Vec::new()),
        Detail::Unreadable => None,
    }
}

fn owned(values: Vec<Option<Cow<'_, str>>>) -> Vec<Option<Box<str>>> {
    values.into_iter().map(|value| value.map(|text| text.into_owned().into_boxed_str())).collect()
}
