//! What has to hold whatever bytes come from outside: from a topic, a file, a server, a group's commits.
//!
//! Each function takes any bytes and panics where kreplay does not hold what it owes. The fuzz targets (`fuzz/`)
//! look for such bytes for as long as one likes; a unit test tries some each time. Built for them alone.

use clap::ValueEnum as _;

use crate::pglog::message::{LogEvent, read_message, split_known, split_name};
use crate::pglog::parameters::{read_detail, read_error_parameters};
use crate::pglog::session_log::SessionLog;
use crate::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use crate::pglog::{Encoding, Encodings, Format, LogPlace, Malformed, RecordReader, SessionId};
pub use crate::postgres::any_answers as answers;
use crate::replay::account::checkpoint::{Checkpoint, Watermark};
use crate::replay::order::footprint::catalog::{
    ColumnRow, IndexRow, RelationRow, Rows, SettingRow,
};
use crate::replay::order::footprint::{Access, Catalog, Footprints};
use crate::replay::settings::Login;
use crate::replay::work::{End, Position, Seq, Work};
use crate::source::split::Splitter;

/// The name of a fuzz target, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// What can be tried.
pub const TARGETS: [Target; 8] = [
    ("payload", payload),
    ("message", message),
    ("session", session),
    ("splitter", splitter),
    ("metadata", metadata),
    ("place", place),
    ("footprints", footprints),
    ("answers", answers),
];

/// A record's payload, in every format: nothing torn inside quotes is accepted.
pub fn payload(payload: &[u8]) {
    for &format in Format::value_variants() {
        for encoding in ["UTF8", "LATIN1", "LATIN5", "EUC_JP"] {
            let Some(encoding) = Encoding::from_postgres_name(encoding) else { continue };
            let mut reader = RecordReader::new(format, Encodings::all(encoding));
            match reader.read(payload) {
                Ok(_) if format == Format::Csvlog => {
                    let quotes = payload.iter().filter(|&&byte| byte == b'"').count();
                    assert_eq!(quotes % 2, 0, "a record's quotes pair");
                }
                Ok(_) => {}
                Err(malformed) => {
                    assert!(Malformed::REASONS.contains(&malformed.reason()));
                    assert!(malformed.to_string().len() < 1000);
                    let _ = malformed.remedy();
                }
            }
        }
    }
}

/// A message, a detail and a context: what is split off is a part of it.
pub fn message(text: &[u8]) {
    let text = &String::from_utf8_lossy(text);
    if let LogEvent::Parse(rest)
    | LogEvent::Bind(rest)
    | LogEvent::Execute(rest)
    | LogEvent::Fetch(rest) = read_message(text).event
        && let Some(name) = split_name(rest)
    {
        let known = split_known(rest, name.statement.unwrap_or_default(), name.text);
        assert_eq!(known, Some(name), "both ways to split agree on what one of them found");
    }
    let _ = read_detail(text);
    let _ = read_error_parameters(text);
}

/// Records, one a line, as the log of one session.
pub fn session(log: &[u8]) {
    let mut reader = RecordReader::new(Format::Auto, Encodings::default());
    let mut session = SessionLog::default();
    for line in log.split(|&byte| byte == b'\n') {
        if let Ok(record) = reader.read(line) {
            session.read(&record);
        }
    }
}

/// A file, behind a byte that says how much of it is read at once: its records cover it, and are the same
/// however it is read.
pub fn splitter(bytes: &[u8]) {
    let Some((&block, file)) = bytes.split_first() else { return };
    assert_eq!(records(file, usize::MAX), records(file, 1 + usize::from(block)));
}

/// The records of a file that is read in such blocks.
fn records(file: &[u8], block: usize) -> Vec<&[u8]> {
    let mut splitter = Splitter::default();
    let mut records = Vec::new();
    let (mut start, mut end) = (0, block.min(file.len()));
    loop {
        let bytes = &file[start..end];
        match splitter.next(bytes, end == file.len()) {
            Some(piece) => {
                assert!(piece.length > 0 && piece.payload.end <= piece.length, "{piece:?}");
                let lines = bytes[..piece.length].iter().filter(|&&byte| byte == b'\n').count();
                assert_eq!(piece.lines, lines as u64);
                records.extend(Some(&bytes[piece.payload]).filter(|record| !record.is_empty()));
                start += piece.length;
            }
            None if end < file.len() => end = end.saturating_add(block).min(file.len()),
            None => break,
        }
    }
    assert_eq!(start, file.len(), "nothing is left");
    records
}

/// The metadata of a commit: what is written behind it says of no record that it is settled which was not.
pub fn metadata(metadata: &[u8]) {
    const FIRST: i64 = 1_000;
    const READ: i64 = 40;
    let metadata = String::from_utf8_lossy(metadata);
    for metadata in [metadata.clone().into_owned(), format!("kreplay1 {metadata}")] {
        let mut read = Checkpoint::default();
        read.resume(0, FIRST, &metadata);
        let settled: Vec<bool> =
            (FIRST..FIRST + 2 * READ).map(|offset| read.is_settled(0, offset)).collect();
        (FIRST..FIRST + READ).for_each(|offset| read.begin(0, offset));
        for Watermark { offset, metadata, .. } in read.watermarks() {
            assert!(offset >= FIRST && metadata.len() < 4096, "{offset} {}", metadata.len());
            let mut again = Checkpoint::default();
            again.resume(0, offset, &metadata);
            for (at, was_settled) in (FIRST..).zip(&settled) {
                let is_settled = at < offset || again.is_settled(0, at);
                assert!(*was_settled || !is_settled, "{at} of {metadata:?}");
            }
        }
    }
}

/// A position in a log: as it is read it can be written and read again.
pub fn place(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let Some(place) = LogPlace::parse(&text) else { return };
    let LogPlace { file, offset } = &place;
    let written = if file.is_empty() { offset.to_string() } else { format!("{file}:{offset}") };
    assert_eq!(LogPlace::parse(&written), Some(place.clone()));
}

/// Statements, one a line, of two sessions of a small database; what follows a tab is a parameter. What
/// can't be told of one has a reason.
pub fn footprints(log: &[u8]) {
    let login =
        Login { user: "u".to_owned(), database: "d".to_owned(), application_name: String::new() };
    let mut footprints = Footprints::default();
    footprints.catalog(&login.database, Some(small_catalog()));
    for (at, line) in String::from_utf8_lossy(log).lines().enumerate() {
        let session = SessionId { start: 1, pid: at as u32 % 2 };
        let footprint = footprints.of(session, &login, &work(at, session, line));
        let is_barrier = footprint.accesses.contains(&Access::Everything);
        assert!(!is_barrier || footprint.widened.is_some(), "{line}");
    }
}

fn work(at: usize, session: SessionId, line: &str) -> Work {
    let mut columns = line.split('\t');
    let sql = columns.next().unwrap_or_default();
    let parameters: Vec<Option<Box<str>>> = columns.map(|value| Some(value.into())).collect();
    let protocol = match parameters.is_empty() {
        true => Protocol::Simple,
        false => Protocol::Extended {
            name: "".into(),
            portal: "".into(),
            parameters,
            prepared_anew: false,
        },
    };
    let end = End { source: SourceEnd::Succeeded, sync: SyncEnd::Synced, ..End::default() };
    let place = Position { partition: 0, offset: at as i64, line: 1 };
    Work::new(Seq(at as u64), place, session, Statement::new(sql, protocol), end)
}

/// A table `t` with a primary key `a` and another column `b`.
pub(crate) fn small_catalog() -> Catalog {
    let name = |name: &str| name.to_owned();
    let column = |number, of: &str| ColumnRow {
        relation: 1,
        number,
        name: name(of),
        type_oid: 23,
        modifier: -1,
        not_null: number == 1,
        is_deterministic: true,
        is_generated: false,
        has_default: false,
    };
    let key = IndexRow {
        oid: 2,
        relation: 1,
        columns: vec![1],
        mentions: vec![1],
        is_primary: true,
        is_immediate: true,
        is_whole: true,
        is_unique: true,
    };
    Catalog::new(&Rows {
        settings: vec![SettingRow { role: None, name: name("search_path"), value: name("public") }],
        relations: vec![RelationRow { oid: 1, schema: name("public"), name: name("t"), kind: 'r' }],
        columns: vec![column(1, "a"), column(2, "b")],
        indexes: vec![key],
        ..Rows::default()
    })
}

#[cfg(test)]
mod tests;
