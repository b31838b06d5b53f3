//! How the source logs, as far as its log shows.

use super::sample::{Logging, Sample, Version};
use super::{Section, counted, span};
use crate::display::grouped;

/// How few statements say nothing of how statements are logged.
const FEW: u64 = 20;

const RECOMMENDED: &str = "see dist/postgresql-source.conf";

pub(super) fn judge(sample: &Sample, lines: &mut Section) {
    let logging = &sample.logging;
    if logging.not_understood >= 5 && logging.understood == 0 {
        lines.error(
            format!(
                "none of {} of sessions says anything that kreplay knows: the source's messages are \
                 not in English",
                counted(logging.not_understood, "record")
            ),
            "on the source: lc_messages = 'C', and reload it",
        );
        return;
    }
    if let Some(version) = version(sample.version) {
        lines.ok(format!("the source is {version}"));
    }
    statements(logging, lines);
    sampling(logging, lines);
    connections(logging, lines);
    parameters(logging, lines);
    plans(logging, lines);
    if logging.unknown_zone > 0 {
        lines.warning(
            format!(
                "log times of {} are in a zone that its abbreviation does not tell: they are read as \
                 UTC",
                counted(logging.unknown_zone, "record")
            ),
            "on the source: log_timezone = 'UTC', and reload it; until then --after is off by the \
             zone's distance",
        );
    } else {
        lines.ok("log times are in UTC or tell their distance from it (log_timezone)");
    }
}

/// The major version, in words.
fn version(version: Version) -> Option<String> {
    Some(match (version.least, version.most) {
        (Some(least), Some(most)) if least == most => format!("PostgreSQL {least}"),
        (Some(least), Some(most)) if least < most => format!("PostgreSQL {least} to {most}"),
        (Some(least), _) => format!("PostgreSQL {least} or newer"),
        (None, Some(most)) => format!("PostgreSQL {most} or older"),
        (None, None) => return None,
    })
}

fn statements(logging: &Logging, lines: &mut Section) {
    let Logging { at_end, at_start, bare_durations, without_text, .. } = *logging;
    if without_text > at_end + at_start {
        lines.error(
            format!(
                "{} without a text: the statements are not in the log",
                counted(without_text, "duration")
            ),
            format!(
                "on the source: log_min_duration_statement = 0 in place of log_duration; {RECOMMENDED}"
            ),
        );
        return;
    }
    if at_end + at_start == 0 {
        // Those that lack their parameters have a line of their own.
        if logging.without_parameters > 0 {
            return;
        }
        lines.warning(
            "no statement in the sample",
            format!(
                "if the source was busy, statements are not logged: log_min_duration_statement = 0; \
                 {RECOMMENDED}"
            ),
        );
        return;
    }
    let order = "on the source: log_min_duration_statement = 0 and log_statement = 'none', then the \
                 records stand in the order of the effects. Until then the order between sessions \
                 that touch the same rows is often wrong";
    if at_start > at_end && bare_durations * 2 > at_start {
        lines.warning(
            format!(
                "statements are logged when they start and again when they end (log_statement and \
                 log_min_duration_statement; {} in the sample): the start counts, and the log has \
                 twice the volume",
                counted(at_start, "statement")
            ),
            order,
        );
    } else if at_start > at_end {
        lines.warning(
            format!(
                "statements are logged when they start (log_statement), without a duration: {} in the \
                 sample",
                grouped(at_start)
            ),
            order,
        );
    } else if at_start > 0 {
        lines.ok(format!(
            "statements are logged when they end: {} in the sample; {} when they start (log_statement = \
             'ddl' or 'mod')",
            grouped(at_end),
            grouped(at_start)
        ));
    } else {
        lines.ok(format!(
            "statements are logged when they end, with their duration: {} in the sample",
            grouped(at_end)
        ));
    }
}

fn sampling(logging: &Logging, lines: &mut Section) {
    // Even a client on another continent's BEGIN takes the server microseconds.
    if let Some((shortest, _)) = logging.durations_ms
        && shortest >= 1.0
        && logging.at_end >= FEW
    {
        lines.warning(
            format!(
                "no statement took less than {}: shorter ones seem not to be logged",
                span(shortest as i64)
            ),
            "on the source: log_min_duration_statement = 0",
        );
    }
    let Logging { unpaired, paired, .. } = *logging;
    if unpaired >= 3 && unpaired * 50 > paired + unpaired {
        lines.warning(
            format!(
                "{} of {} have a BEGIN without an end or a COMMIT without a BEGIN: the log looks like \
                 a sample",
                grouped(unpaired),
                counted(paired + unpaired, "transaction")
            ),
            "on the source: no log_statement_sample_rate, no log_min_duration_sample; and let the \
             shipper send every record",
        );
    }
}

fn connections(logging: &Logging, lines: &mut Section) {
    let Logging { authorized, disconnected, unannounced, .. } = *logging;
    if unannounced > 0 {
        lines.warning(
            format!(
                "{} without a record of their connection",
                match unannounced {
                    1 => "1 session begins".to_owned(),
                    _ => format!("{} begin", counted(unannounced, "session")),
                }
            ),
            "on the source: log_connections = on, which tells the user and the database before the \
             first statement",
        );
    } else if authorized >= FEW && disconnected == 0 {
        lines.warning(
            format!("{} began and none ended", counted(authorized, "session")),
            "on the source: log_disconnections = on; without it connections stay open for \
             --idle-timeout",
        );
    } else if authorized + disconnected > 0 {
        lines.ok("connections and their ends are logged");
    } else {
        lines.ok("no session begins in the sample: whether connections are logged does not show");
    }
}

fn parameters(logging: &Logging, lines: &mut Section) {
    if logging.without_parameters > 0 {
        lines.error(
            format!(
                "{} without (all of) their parameters can't be replayed",
                counted(logging.without_parameters, "statement")
            ),
            "on the source: log_parameter_max_length = -1",
        );
    } else if let Some(length) = cut_parameters(logging) {
        lines.warning(
            format!("parameters seem to be cut after {} bytes", length - 3),
            "on the source: log_parameter_max_length = -1",
        );
    } else if logging.with_parameters > 0 {
        lines.ok(format!(
            "parameters are logged, with {} in the sample",
            counted(logging.with_parameters, "statement")
        ));
    }
    if logging.unknown_errors > 0 {
        lines.warning(
            format!(
                "{} of {} can't be run again: their parameters or their texts are not in the log",
                grouped(logging.unknown_errors),
                counted(logging.errors, "failed statement")
            ),
            "on the source: log_parameter_max_length_on_error = -1 (PostgreSQL 13 and newer), and \
             log_min_error_statement = error; until then their transactions are aborted all the same",
        );
    }
}

/// The one length that every parameter with dots at its end has, where none is longer.
fn cut_parameters(logging: &Logging) -> Option<usize> {
    let mut lengths = logging.dotted.iter();
    match (lengths.next(), lengths.next()) {
        (Some((&length, &times)), None) if times >= 2 && length == logging.longest_parameter => {
            Some(length)
        }
        _ => None,
    }
}

/// Plans for the report. Without them it has the target's alone.
fn plans(logging: &Logging, lines: &mut Section) {
    let Logging { plans, unread_plans, .. } = *logging;
    if unread_plans > 0 {
        lines.warning(
            format!(
                "{} of auto_explain {} in a format that kreplay does not read",
                counted(unread_plans, "plan"),
                if unread_plans == 1 { "is" } else { "are" }
            ),
            "on the source: auto_explain.log_format = text, or json",
        );
    } else if plans > 0 {
        lines.ok(format!(
            "{} of auto_explain in the sample: the report shows the source's beside the target's",
            counted(plans, "plan")
        ));
    } else {
        lines.ok(
            "no plans of auto_explain in the sample: with them (session_preload_libraries, \
             auto_explain.log_min_duration, sample_rate) the report shows the source's beside the target's",
        );
    }
}
