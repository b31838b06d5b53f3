//! Whether the records can be read, and whose they are.

use super::sample::Sample;
use super::{CheckPlan, Section, counted, listed};
use crate::display::grouped;

pub(super) fn judge(sample: &Sample, lines: &mut Section) {
    if sample.cut_short {
        lines.warning(
            format!("only {} of the sample came in time", counted(sample.records, "record")),
            "check again; if it stays so, look at the network and the broker's load",
        );
    }
    if sample.readable() > 0 {
        let forms = sample.forms.iter().map(|(form, records)| match sample.forms.len() {
            1 => form.clone(),
            _ => format!("{form} ({records})"),
        });
        let forms: Vec<String> = forms.collect();
        lines.ok(format!(
            "{} of {} in the sample can be read: {}",
            grouped(sample.readable()),
            counted(sample.records, "record"),
            forms.join(", ")
        ));
    }
    for (reason, damage) in &sample.malformed {
        let what = format!(
            "{} can't be read ({reason}); the first one, {}: {}",
            counted(damage.records, "record"),
            damage.first,
            damage.what
        );
        // Blank lines are no statements.
        match *reason {
            "empty" => lines.warning(what, "usually harmless: the shipper sends blank lines"),
            _ => lines
                .error(what, damage.remedy.unwrap_or("send the records as PostgreSQL writes them")),
        }
    }
    if sample.logging.stray_backslashes > 0 {
        lines.error(
            format!(
                "{} a backslash where SQL has none: the shipper writes line feeds as \\n",
                has(sample.logging.stray_backslashes)
            ),
            "rsyslog: escapeLF=\"off\" on the imfile input (see dist/rsyslog-kreplay.conf)",
        );
    }
    if sample.missing > 0 {
        lines.warning(
            format!(
                "{} missing in the middle of sessions, by their line numbers",
                match sample.missing {
                    1 => "1 record is".to_owned(),
                    missing => format!("{} are", counted(missing, "record")),
                }
            ),
            "the shipper loses them or sends them to another topic: let it send every record of the \
             csvlog, errors and connections too, and look at its log for records that the broker \
             refused",
        );
    }
    if sample.repeats > 0 {
        lines.ok(format!("{} came twice: repeats are left out", counted(sample.repeats, "record")));
    }
    if sample.logging.copies > 0 {
        lines.warning(
            format!("{} COPY … FROM STDIN, whose rows no log holds", has(sample.logging.copies)),
            "load these rows by INSERT on the source, or expect them to be missing on the target",
        );
    }
}

fn has(statements: u64) -> String {
    match statements {
        1 => "1 statement has".to_owned(),
        _ => format!("{} have", counted(statements, "statement")),
    }
}

/// Whose sessions they are, against `--source-db`, `--map-db`, `--map-user`.
pub(super) fn judge_names(sample: &Sample, plan: &CheckPlan, lines: &mut Section) {
    let wanted = &plan.filters.source_databases;
    let facts = |name: &str| sample.databases.contains(name);
    if sample.databases.is_empty() {
        return;
    }
    let all = listed(sample.databases.iter().map(String::as_str));
    if !wanted.is_empty() && !wanted.iter().any(|name| facts(name)) {
        lines.error(
            format!("no record is of --source-db {}; the sample has {all}", wanted.join(", ")),
            "correct --source-db: names are compared letter by letter",
        );
        return;
    }
    lines.ok(format!(
        "{} of {} on {}{}",
        counted(sample.sessions as u64, "session"),
        listed(sample.users.iter().map(String::as_str)),
        all,
        match sample.applications.len() {
            0 => String::new(),
            _ => format!(" ({})", listed(sample.applications.iter().map(String::as_str))),
        }
    ));
    let unseen = |flag: &str, names: Vec<&str>, lines: &mut Section| {
        if !names.is_empty() {
            lines.warning(
                format!("{flag} {}: none such in the sample", names.join(", ")),
                format!("correct {flag} if it is misspelt; otherwise it is only rare"),
            );
        }
    };
    let absent = wanted.iter().map(String::as_str).filter(|name| !facts(name));
    unseen("--source-db", absent.collect(), lines);
    let renamed = plan.identity.renamed_databases().filter(|name| !facts(name));
    unseen("--map-db", renamed.collect(), lines);
    let renamed = plan.identity.renamed_users().filter(|name| !sample.users.contains(*name));
    unseen("--map-user", renamed.collect(), lines);
    let several = sample.databases.len() > 1 && wanted.is_empty();
    if several && plan.identity.one_database().is_some() {
        lines.warning(
            format!("the sessions of {all} are all replayed to one database (-d)"),
            "pick one with --source-db, or leave -d out so that each goes to its own",
        );
    }
}
