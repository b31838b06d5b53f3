//! What an ERROR or a FATAL record tells of the statement it belongs to.

use super::reading::{NoEffect, PriorUpdate, Reading, RecordEffect};
use super::{Bound, SessionLog, failed_part, lacks_parameters, owned};
use crate::pglog::parameters;
use crate::pglog::statement::{Amendment, Failure, Protocol, SourceEnd};
use crate::pglog::{LogRecord, SqlState};
use crate::sql;

impl SessionLog {
    pub(super) fn error(&mut self, record: &LogRecord<'_>) -> Reading {
        let code = record.sqlstate;
        let tag = &*record.command_tag;
        let before_running = matches!(tag, "PARSE" | "BIND") || tag.starts_with("idle");
        if let Some(last) = &self.last {
            // log_min_error_statement = panic leaves the query out.
            let same_text = record.query.is_empty() || *last.sql == *record.query;
            let running = last.end == SourceEnd::Unknown && same_text;
            let at_sync = record.query.is_empty()
                && last.extended
                && self.may_tell_more()
                && *last.virtual_transaction == *record.virtual_transaction
                && !refuses_message(code);
            if !before_running && (running || at_sync) {
                return Reading {
                    previous: PriorUpdate::AmendedFinal(Amendment::Failed(Failure {
                        code,
                        after_ms: self.ran_ms(record),
                        part: failed_part(&last.sql, tag),
                    })),
                    this: RecordEffect::NoEffect(NoEffect::Outcome),
                };
            }
        }
        let failure =
            Failure { code, after_ms: self.ran_ms(record), part: failed_part(&record.query, tag) };
        let protocol = self.failed_protocol(record);
        let mut reading =
            self.statement(record, &record.query, protocol, None, SourceEnd::Failed(code));
        if let RecordEffect::Statement { failure: told, .. } = &mut reading.this {
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
        match &*record.command_tag {
            "PARSE" => Protocol::ParseOnly,
            "BIND" => match parameters::read_error_parameters(&record.context) {
                Some(values) => Protocol::BindOnly { parameters: owned(values) },
                None if sql::has_parameters(&record.query) => Protocol::Unknown,
                None => Protocol::BindOnly { parameters: Vec::new() },
            },
            _ => match bound {
                Some(Bound { name, portal, parameters, .. }) => {
                    let prepared_anew = self.prepared.remove(&name);
                    Protocol::Extended { name, portal, parameters, prepared_anew }
                }
                // A simple query has no parameters, unless that was its very error.
                None if record.sqlstate != UNDEFINED_PARAMETER
                    && lacks_parameters(&record.query) =>
                {
                    Protocol::Unknown
                }
                None => Protocol::Simple,
            },
        }
    }

    /// How long a failed statement may have run: since its own record where it has one, otherwise at
    /// most since the session's record before.
    pub(super) fn ran_ms(&self, record: &LogRecord<'_>) -> Option<f64> {
        let since = match &self.last {
            Some(last) if last.end == SourceEnd::Unknown => last.logged_ms,
            _ if self.last_ms > 0 => self.last_ms,
            _ => return None,
        };
        Some((record.log_time.unix_ms - since).max(0) as f64)
    }

    pub(super) fn fatal(&self, record: &LogRecord<'_>) -> Reading {
        let tag = &*record.command_tag;
        // Without a process title the query tells, which only a running statement has.
        let idle = tag.starts_with("idle") || tag.is_empty() && record.query.is_empty();
        let previous = match &self.last {
            Some(last) if last.end == SourceEnd::Unknown && !idle => {
                PriorUpdate::AmendedFinal(Amendment::Terminated)
            }
            // Another statement ran, which is not logged before its end: the one before had its
            // Sync.
            Some(last) if *last.virtual_transaction != *record.virtual_transaction => self.ended(),
            _ => self.disconnected(record),
        };
        Reading { previous, this: RecordEffect::Closed(Some(record.sqlstate)) }
    }
}

/// `42P02`: the text has a parameter, and there are none.
const UNDEFINED_PARAMETER: SqlState = SqlState(*b"42P02");

/// Whether an error is about a message that named something unknown (a prepared statement, a portal)
/// or was malformed: not about the statement that ran before it.
pub(super) fn refuses_message(code: SqlState) -> bool {
    matches!(&code.0, b"26000" | b"34000" | b"08P01")
}
