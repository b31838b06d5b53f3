//! One session's records, in the order of its log, become statements.
//!
//! A statement can take several records (its text, then its duration; parse, bind and execute; its
//! start, then its error), and what a record means can depend on those before it. This is the state
//! that it depends on.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::pglog::message::{self, LogEvent, Logged, Name};
use crate::pglog::parameters::{self, Detail};
use crate::pglog::statement::{Amendment, Failure, Protocol, SourceEnd, Statement};
use crate::pglog::{LogRecord, RecordKind, Severity};
use crate::sql::{self, Command, Outline, VirtualTransaction};

mod errors;
mod reading;

pub use reading::{Lost, NoEffect, PriorUpdate, Reading, RecordEffect};

/// The state of one session's log.
#[derive(Debug, Default)]
pub struct SessionLog {
    /// The last statement, while the log may still tell how it ended.
    last: Option<Last>,
    /// The statement text that a parse or bind record announced, with its parameters.
    bound: Option<Bound>,
    /// Names that statements were prepared under and that have not been executed since.
    prepared: HashSet<Box<str>>,
    /// Whether the last parse or bind record shares a Sync with the last statement. What is executed then
    /// does too, even where its own record does not tell, since it has ended that transaction: a CALL
    /// that commits.
    joins: bool,
    /// How long parsing and binding took of the statement to come, in milliseconds. Its own duration
    /// is without.
    steps_ms: f64,
    /// Whether the last record was the text of a statement that can't be replayed: its duration may
    /// follow.
    lost: bool,
    /// Whether the session is in a transaction block, as far as its own commands tell.
    in_block: bool,
    /// The same, before the last statement.
    block_before: bool,
    /// Whether it is a replication connection: PostgreSQL 12 has no column that says so.
    replicates: bool,
    /// When the last record was written.
    last_ms: i64,
    /// What the last record was.
    kind: Option<RecordKind>,
}

#[derive(Debug)]
struct Last {
    /// Its text while it may still run; nothing once it is known to have ended.
    sql: Box<str>,
    extended: bool,
    virtual_transaction: String,
    end: SourceEnd,
    logged_ms: i64,
    /// What [`SessionLog::steps_ms`] was.
    steps_ms: f64,
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
        if let PriorUpdate::AmendedFinal(Amendment::Failed(failure)) = reading.previous
            && let Some(last) = &self.last
        {
            let outline = Outline::of(&last.sql);
            self.in_block = in_block_after(&outline, Some(failure), self.block_before);
        }
        if let RecordEffect::Statement { statement, end, failure } = &reading.this {
            let runs = *end == SourceEnd::Unknown;
            // Of one length nearly always: one buffer serves the whole session.
            let mut virtual_transaction =
                self.last.take().map_or_else(String::new, |last| last.virtual_transaction);
            virtual_transaction.clear();
            virtual_transaction.push_str(&record.virtual_transaction);
            self.last = Some(Last {
                sql: if runs { statement.sql.clone() } else { Box::default() },
                extended: statement.is_extended(),
                virtual_transaction,
                end: *end,
                logged_ms: record.log_time.unix_ms,
                steps_ms: self.steps_ms,
            });
            self.bound = None;
            self.steps_ms = 0.0;
            self.block_before = self.in_block;
            self.in_block = in_block_after(&statement.outline, *failure, self.in_block);
        } else {
            match (reading.previous, &mut self.last) {
                (PriorUpdate::Open, _) => {}
                (PriorUpdate::AmendedOpen(_), Some(last)) => last.end = SourceEnd::Succeeded,
                _ => self.last = None,
            }
        }
        self.lost = matches!(reading.this, RecordEffect::Lost(lost) if lost != Lost::NoText);
        self.last_ms = record.log_time.unix_ms;
        reading
    }

    /// Whether the session's next record may tell more of its last statement. Not of a simple query
    /// that was logged with its duration, nor of anything that ended within a transaction block.
    pub fn may_tell_more(&self) -> bool {
        self.last.as_ref().is_some_and(|last| match last.end {
            SourceEnd::Unknown => true,
            SourceEnd::Succeeded => last.extended && !self.in_block,
            SourceEnd::Failed(_) | SourceEnd::Terminated => false,
        })
    }

    /// What the last record was.
    pub fn kind(&self) -> RecordKind {
        self.kind.unwrap_or(RecordKind::Noise)
    }

    fn reading(&mut self, record: &LogRecord<'_>) -> Reading {
        self.kind = match record.severity {
            Severity::Error | Severity::Fatal | Severity::Panic => Some(RecordKind::Error),
            // Of a genuine LOG record its message tells.
            Severity::Log | Severity::Noise => None,
        };
        if record.backend_type == "parallel worker" {
            return Reading::aside(RecordEffect::NoEffect(NoEffect::ParallelWorker));
        }
        if record.backend_type == "walsender" || self.replicates {
            return self.replication(record);
        }
        match record.severity {
            // RAISE LOG can write any text; a genuine LOG record of a session has no context, and
            // one that has a query is about a lock that it waits for.
            Severity::Log if !record.context.is_empty() || !record.query.is_empty() => {
                Reading::aside(RecordEffect::NoEffect(NoEffect::Noise))
            }
            Severity::Log => self.log(record),
            // Nobody sent it: a background process, or a parallel worker of PostgreSQL 12, whose
            // leader reports the error too.
            Severity::Error if record.user.is_empty() && record.database.is_empty() => {
                Reading::aside(RecordEffect::NoEffect(NoEffect::Noise))
            }
            Severity::Error => self.error(record),
            Severity::Fatal | Severity::Panic => self.fatal(record),
            Severity::Noise => Reading::aside(RecordEffect::NoEffect(NoEffect::Noise)),
        }
    }

    fn replication(&mut self, record: &LogRecord<'_>) -> Reading {
        let Logged { event, .. } = message::read_message(&record.message);
        if record.severity == Severity::Log {
            self.kind = Some(RecordKind::of(&event));
        }
        match event {
            LogEvent::Statement(_) | LogEvent::Execute(_) => {
                Reading::aside(RecordEffect::Lost(Lost::Replication))
            }
            _ => Reading::aside(RecordEffect::NoEffect(NoEffect::Noise)),
        }
    }

    fn log(&mut self, record: &LogRecord<'_>) -> Reading {
        let Logged { duration_ms, event } = message::read_message(&record.message);
        let duration_ms = duration_ms.or(record.cut_duration_ms);
        self.kind = Some(RecordKind::of(&event));
        match event {
            LogEvent::Statement(text) => {
                let end = started_or_ended(duration_ms);
                self.statement(record, text, Protocol::Simple, duration_ms, end)
            }
            LogEvent::Execute(rest) => self.execute(record, rest, duration_ms),
            LogEvent::Parse(rest) => self.parse(record, rest, duration_ms),
            LogEvent::Bind(rest) => self.bind(record, rest, duration_ms),
            LogEvent::Fetch(_) => Reading {
                previous: if self.shares_transaction(record) {
                    PriorUpdate::Open
                } else {
                    self.ended()
                },
                this: RecordEffect::NoEffect(NoEffect::Step),
            },
            LogEvent::Fastpath => self.lost(Lost::Fastpath),
            LogEvent::BareDuration => self.bare_duration(record, duration_ms),
            LogEvent::ConnectionAuthorized => {
                Reading { previous: self.ended(), this: RecordEffect::Opened }
            }
            LogEvent::ReplicationAuthorized => {
                self.replicates = true;
                Reading::aside(RecordEffect::NoEffect(NoEffect::Connection))
            }
            LogEvent::ConnectionReceived
            | LogEvent::ConnectionAuthenticated
            | LogEvent::ConnectionReady => {
                Reading::aside(RecordEffect::NoEffect(NoEffect::Connection))
            }
            LogEvent::UnexpectedEof => Reading::aside(RecordEffect::NoEffect(NoEffect::Connection)),
            LogEvent::Disconnection => {
                Reading { previous: self.disconnected(record), this: RecordEffect::Closed(None) }
            }
            // The postmaster says these; a session that does was told to by RAISE LOG.
            LogEvent::BackendCrash { pid } if record.user.is_empty() => {
                Reading::aside(RecordEffect::BackendDied(pid))
            }
            LogEvent::ServerRestart if record.user.is_empty() => {
                Reading::aside(RecordEffect::ServerEnded)
            }
            // That of a function's statement has a context, and was taken for noise before.
            LogEvent::Plan(plan) => Reading::aside(RecordEffect::Plan(plan.into())),
            LogEvent::BackendCrash { .. } | LogEvent::ServerRestart | LogEvent::Other => {
                Reading::aside(RecordEffect::NoEffect(NoEffect::Noise))
            }
        }
    }

    /// Splits `NAME[/PORTAL]: TEXT`. Names may hold anything; the parse or bind record before knows.
    fn split<'r>(&self, rest: &'r str) -> Option<Name<'r>> {
        let known = self.bound.as_ref();
        known
            .and_then(|bound| message::split_known(rest, &bound.name, &bound.sql))
            .or_else(|| split_at_text(rest, true))
    }

    /// A statement that can't be replayed. It takes no part in an implicit transaction: what it
    /// shared a Sync with must not wait for it.
    fn lost(&self, lost: Lost) -> Reading {
        Reading { previous: self.ended(), this: RecordEffect::Lost(lost) }
    }

    fn statement(
        &mut self,
        record: &LogRecord<'_>,
        sql: &str,
        protocol: Protocol,
        duration_ms: Option<f64>,
        end: SourceEnd,
    ) -> Reading {
        let previous = self.joined(record, sql, end == SourceEnd::Unknown);
        if !matches!(protocol, Protocol::Extended { .. }) {
            self.steps_ms = 0.0;
        }
        let mut outline = Outline::of(sql);
        let prepared = parameters::read_prepared(&record.detail);
        outline.exports_snapshot |= prepared.is_some_and(sql::exports_snapshot);
        let exporter = outline
            .exports_snapshot
            .then(|| VirtualTransaction::parse(&record.virtual_transaction))
            .flatten();
        let statement = Statement {
            outline,
            exporter,
            sql: sql.into(),
            protocol,
            duration_ms: duration_ms.map(|ms| ms + self.steps_ms),
            logged_ms: record.log_time.unix_ms,
        };
        let statement = Box::new(statement);
        Reading { previous, this: RecordEffect::Statement { statement, end, failure: None } }
    }

    /// The statement before, seen from a record of the session that began something new: where it
    /// was logged at its start and no error followed, it succeeded.
    fn ended(&self) -> PriorUpdate {
        match &self.last {
            Some(Last { end: SourceEnd::Unknown, .. }) => {
                PriorUpdate::AmendedFinal(Amendment::Succeeded(None))
            }
            _ => PriorUpdate::Ended,
        }
    }

    fn shares_transaction(&self, record: &LogRecord<'_>) -> bool {
        // In a transaction block a Sync ends nothing, and every statement has the block's id.
        !self.in_block
            && self.last.as_ref().is_some_and(|last| {
                last.extended
                    // After an error the server skips everything up to the Sync.
                    && !matches!(last.end, SourceEnd::Failed(_))
                    && !last.virtual_transaction.ends_with("/0")
                    && !last.virtual_transaction.is_empty()
                    && *last.virtual_transaction == *record.virtual_transaction
            })
    }

    /// Whether the statement of this record, which was written before it ran, found a transaction that
    /// had written: that of the statement before. Its virtual id need not be that one's, which
    /// may have begun it by a COMMIT of a routine.
    fn finds_transaction(&self, record: &LogRecord<'_>, runs: bool) -> bool {
        let before_running = runs || matches!(&*record.command_tag, "PARSE" | "BIND");
        before_running
            && record.transaction != 0
            && !self.in_block
            && self
                .last
                .as_ref()
                .is_some_and(|last| last.extended && !matches!(last.end, SourceEnd::Failed(_)))
    }

    /// The statement before, seen from the next one: where the first was of the extended protocol,
    /// consecutive records with one virtual transaction id shared a Sync.
    fn joined(&mut self, record: &LogRecord<'_>, sql: &str, runs: bool) -> PriorUpdate {
        let is_bound = self.bound.as_ref().is_some_and(|bound| *bound.sql == *sql);
        let goes_on =
            self.last.as_ref().is_some_and(|last| !matches!(last.end, SourceEnd::Failed(_)));
        let joins = std::mem::take(&mut self.joins) && is_bound && goes_on;
        if joins || self.shares_transaction(record) || self.finds_transaction(record, runs) {
            PriorUpdate::AmendedFinal(Amendment::Joined)
        } else {
            self.ended()
        }
    }

    /// The statement before, seen from a parse, bind or fetch record: those don't tell yet whether
    /// another statement will share its Sync.
    fn step(&mut self, record: &LogRecord<'_>) -> PriorUpdate {
        self.joins = self.shares_transaction(record);
        if self.joins { PriorUpdate::Open } else { self.ended() }
    }

    fn execute(&mut self, record: &LogRecord<'_>, rest: &str, duration_ms: Option<f64>) -> Reading {
        let Some(name) = self.split(rest) else {
            return self.lost(Lost::NoText);
        };
        let Some(parameters) = parameters_of(record, name.text) else {
            return self.lost(Lost::Truncated);
        };
        let sql = name.text;
        let statement = name.statement.unwrap_or_default();
        let protocol = Protocol::Extended {
            prepared_anew: self.prepared.remove(statement),
            name: statement.into(),
            portal: name.portal.unwrap_or_default().into(),
            parameters,
        };
        let end = started_or_ended(duration_ms);
        self.statement(record, sql, protocol, duration_ms, end)
    }

    fn parse(&mut self, record: &LogRecord<'_>, rest: &str, duration_ms: Option<f64>) -> Reading {
        self.bound = split_at_text(rest, false).map(|name| Bound {
            name: name.statement.unwrap_or_default().into(),
            portal: "".into(),
            sql: name.text.into(),
            parameters: Vec::new(),
        });
        if let Some(bound) = self.bound.as_ref().filter(|bound| !bound.name.is_empty()) {
            self.prepared.insert(bound.name.clone());
        }
        self.steps_ms = duration_ms.unwrap_or_default();
        Reading { previous: self.step(record), this: RecordEffect::NoEffect(NoEffect::Step) }
    }

    fn bind(&mut self, record: &LogRecord<'_>, rest: &str, duration_ms: Option<f64>) -> Reading {
        self.bound = self.split(rest).and_then(|name| {
            Some(Bound {
                name: name.statement.unwrap_or_default().into(),
                portal: name.portal.unwrap_or_default().into(),
                sql: name.text.into(),
                parameters: parameters_of(record, name.text)?,
            })
        });
        self.steps_ms += duration_ms.unwrap_or_default();
        Reading { previous: self.step(record), this: RecordEffect::NoEffect(NoEffect::Step) }
    }

    fn bare_duration(&mut self, record: &LogRecord<'_>, duration_ms: Option<f64>) -> Reading {
        match &self.last {
            Some(last) if last.end == SourceEnd::Unknown => {
                let succeeded = Amendment::Succeeded(duration_ms.map(|ms| ms + last.steps_ms));
                let previous = if last.extended {
                    PriorUpdate::AmendedOpen(succeeded)
                } else {
                    PriorUpdate::AmendedFinal(succeeded)
                };
                Reading { previous, this: RecordEffect::NoEffect(NoEffect::Outcome) }
            }
            // With log_duration alone, Parse and Bind leave bare durations as well.
            _ if matches!(&*record.command_tag, "PARSE" | "BIND") => {
                let before = if record.command_tag == "BIND" { self.steps_ms } else { 0.0 };
                self.steps_ms = before + duration_ms.unwrap_or_default();
                Reading::aside(RecordEffect::NoEffect(NoEffect::Step))
            }
            _ if self.lost => Reading::aside(RecordEffect::NoEffect(NoEffect::Outcome)),
            _ => self.lost(Lost::NoText),
        }
    }

    fn disconnected(&self, record: &LogRecord<'_>) -> PriorUpdate {
        let idle = record.command_tag.is_empty() || record.command_tag.starts_with("idle");
        match &self.last {
            Some(last)
                if last.extended
                    && !idle
                    && !self.in_block
                    && !matches!(last.end, SourceEnd::Failed(_)) =>
            {
                PriorUpdate::AmendedFinal(Amendment::NeverSynced)
            }
            _ => self.ended(),
        }
    }
}

/// Whether the text has parameters that must be bound to run it. A PREPARE or a routine has its own.
fn lacks_parameters(sql: &str) -> bool {
    memchr::memchr(b'$', sql.as_bytes()).is_some()
        && sql::has_parameters(sql)
        && !matches!(&*sql::key(sql, 1), "prepare" | "create")
}

/// Splits `NAME[/PORTAL]: TEXT` where nothing is known of it: at the first `: ` behind which the text
/// can be one of SQL.
fn split_at_text(rest: &str, with_portal: bool) -> Option<Name<'_>> {
    let first = message::split_name(rest)?;
    if !first.text.contains(": ") || !sql::has_stray_colon(first.text) {
        return Some(if with_portal { first } else { whole_name(rest, first.text) });
    }
    let cuts = rest.match_indices(": ").map(|(at, _)| &rest[at + 2..]);
    // The last one leaves no colon before a blank.
    let text = cuts.skip(1).find(|text| !sql::has_stray_colon(text)).unwrap_or(first.text);
    let mut name = whole_name(rest, text);
    if with_portal
        && let Some((statement, portal)) = name.statement.and_then(|whole| whole.split_once('/'))
    {
        name.statement = Some(statement).filter(|&statement| statement != "<unnamed>");
        name.portal = Some(portal);
    }
    Some(name)
}

/// A parse record's name, which no portal follows.
fn whole_name<'r>(rest: &'r str, text: &'r str) -> Name<'r> {
    let name = &rest[..rest.len() - text.len() - 2];
    Name { statement: Some(name).filter(|&name| name != "<unnamed>"), portal: None, text }
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

/// Whether a transaction block is open after a string of statements, of which one failed perhaps:
/// those behind that one did not run.
fn in_block_after(outline: &Outline, failure: Option<Failure>, before: bool) -> bool {
    let parts = outline.parts.as_slice();
    let failed = failure.map(|failure| failure.part.unwrap_or(parts.len().saturating_sub(1)));
    let ran = failed.map_or(parts, |failed| &parts[..parts.len().min(failed + 1)]);
    ran.iter()
        .rev()
        .find_map(|part| match part.command {
            // A chain that failed began no transaction.
            Command::Chain => Some(failure.is_none()),
            Command::Begin => Some(true),
            command if command.ends_transaction() => Some(false),
            _ => None,
        })
        .unwrap_or(before)
}

/// A duration is logged when a statement ends.
fn started_or_ended(duration_ms: Option<f64>) -> SourceEnd {
    if duration_ms.is_some() { SourceEnd::Succeeded } else { SourceEnd::Unknown }
}

/// `None` where the list of parameters is not whole, or missing (`log_parameter_max_length = 0`).
fn parameters_of(record: &LogRecord<'_>, sql: &str) -> Option<Vec<Option<Box<str>>>> {
    match parameters::read_detail(&record.detail) {
        Detail::Parameters(values) => Some(owned(values)),
        Detail::None if lacks_parameters(sql) => None,
        Detail::Prepare(_) | Detail::None => Some(Vec::new()),
        Detail::Unreadable => None,
    }
}

fn owned(values: Vec<Option<Cow<'_, str>>>) -> Vec<Option<Box<str>>> {
    values.into_iter().map(|value| value.map(|text| text.into_owned().into_boxed_str())).collect()
}

#[cfg(test)]
mod tests;
