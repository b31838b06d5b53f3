//! The logs of real servers against what a proxy on the wire counted.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::pglog::SqlState;
use crate::pglog::encoding::Encodings;
use crate::pglog::reader::{Format, RecordReader};

/// What a log tells of a whole run.
#[derive(Debug, Default)]
struct Told {
    /// Statements that succeeded, each of a string counted.
    succeeded: u64,
    /// Failures, and the ends that servers put to sessions, by code.
    failed: BTreeMap<String, u64>,
}

struct Meta {
    command_complete: u64,
    errors: BTreeMap<String, u64>,
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(data()).expect("tests/data");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".csv")?.to_owned())).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn meta(name: &str) -> Option<Meta> {
    let text = fs::read(data().join(format!("{name}.meta.json"))).expect("a description");
    let meta: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let wire = meta.get("wire").filter(|wire| wire.is_object())?;
    let errors = wire["errors_by_sqlstate"].as_object().expect("an object");
    Some(Meta {
        command_complete: wire["CommandComplete"].as_u64().expect("a number"),
        errors: errors
            .iter()
            .map(|(code, n)| (code.clone(), n.as_u64().expect("a number")))
            .collect(),
    })
}

/// The records of a log. A record ends at a line feed outside quotes.
fn records(log: &[u8]) -> Vec<&[u8]> {
    let mut quoted = false;
    log.split_inclusive(|byte| {
        quoted ^= *byte == b'"';
        *byte == b'\n' && !quoted
    })
    .collect()
}

fn read(name: &str) -> Told {
    let log = fs::read(data().join(format!("{name}.csv"))).expect("a log");
    let mut reader = RecordReader::new(Format::Csvlog, Encodings::default());
    let mut sessions: HashMap<SessionId, (SessionLog, Option<Open>)> = HashMap::new();
    let mut told = Told::default();
    for payload in records(&log) {
        let record = reader.read(payload).expect("a whole record");
        let (session, open) = sessions.entry(record.session).or_default();
        let reading = session.read(&record);
        match reading.previous {
            PriorUpdate::Open => {}
            PriorUpdate::Ended => told.end(open.take(), None),
            PriorUpdate::AmendedOpen(amendment) => {
                if let Some(open) = open {
                    open.amend(amendment);
                }
            }
            PriorUpdate::AmendedFinal(amendment) => told.end(open.take(), Some(amendment)),
        }
        match reading.this {
            RecordEffect::Statement { statement, end, failure } => {
                *open = Some(Open { statement: *statement, end, failure });
            }
            RecordEffect::Closed(Some(code)) => told.fail(code),
            _ => {}
        }
    }
    for (_, (_, open)) in sessions {
        told.end(open, None);
    }
    told
}

struct Open {
    statement: Statement,
    end: SourceEnd,
    failure: Option<Failure>,
}

impl Open {
    fn amend(&mut self, amendment: Amendment) {
        match amendment {
            Amendment::Failed(failure) => {
                self.end = SourceEnd::Failed(failure.code);
                self.failure = Some(failure);
            }
            Amendment::Terminated => self.end = SourceEnd::Terminated,
            _ => self.end = SourceEnd::Succeeded,
        }
    }
}

impl Told {
    fn end(&mut self, open: Option<Open>, amendment: Option<Amendment>) {
        let Some(mut open) = open else { return };
        if let Some(amendment) = amendment {
            open.amend(amendment);
        }
        let parts = open.statement.outline.parts.len() as u64;
        match open.end {
            SourceEnd::Failed(code) => {
                self.fail(code);
                // Those before the one that failed had succeeded.
                self.succeeded += open.failure.and_then(|f| f.part).unwrap_or_default() as u64;
            }
            SourceEnd::Terminated => {}
            SourceEnd::Succeeded | SourceEnd::Unknown => self.succeeded += parts,
        }
    }

    fn fail(&mut self, code: SqlState) {
        *self.failed.entry(code.to_string()).or_default() += 1;
    }
}

/// Portals that a cursor left suspended: on the wire they ended with a PortalSuspended, of which the
/// log knows nothing.
fn suspended(name: &str) -> u64 {
    match name.rsplit('-').next() {
        Some("asyncpg") => 6,
        Some("nodepg") => 1,
        _ => 0,
    }
}

#[test]
fn every_statement_and_failure_on_the_wire_is_told_once() {
    for name in names() {
        // Two have nothing to compare with.
        let Some(meta) = meta(&name) else { continue };
        let told = read(&name);
        assert_eq!(told.succeeded, meta.command_complete + suspended(&name), "{name}");
        assert_eq!(told.failed, meta.errors, "{name}");
    }
}

#[test]
fn a_log_read_backwards_or_in_part_panics_nowhere() {
    for name in names() {
        let log = fs::read(data().join(format!("{name}.csv"))).expect("a log");
        let mut reader = RecordReader::new(Format::Csvlog, Encodings::default());
        for step in 1..4 {
            let (mut forth, mut back) = (SessionLog::default(), SessionLog::default());
            let records = records(&log);
            for payload in records.iter().step_by(step) {
                forth.read(&reader.read(payload).expect("a whole record"));
            }
            for payload in records.iter().rev().step_by(step) {
                back.read(&reader.read(payload).expect("a whole record"));
            }
        }
    }
}
