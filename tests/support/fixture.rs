//! The logs of real servers in `tests/data`, with what is known about each run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::ROOT;
use super::postgres::Server;

/// The database that all of them were written for.
pub const DATABASE: &str = "app";

/// A log, and the run that it was written in.
pub struct Fixture {
    /// Version, setting and driver: `15-B-psql`.
    pub name: String,
    /// What the run's `.meta.json` says.
    pub run: Run,
}

/// What is known about a run beside its log.
#[derive(Debug, Deserialize)]
pub struct Run {
    pub server_version: String,
    setup_sql: String,
    checksum_sql: String,
    /// The source's lines for `checksum_sql`, at the end.
    pub checksum: Vec<String>,
    /// Records in the `.csv`.
    pub csv_records: Option<u64>,
    /// The last value that the source's sequence gave, where the schema has one. Gaps count: a
    /// statement that was rolled back drew its value all the same.
    pub events_id_seq_last_value: Option<String>,
    /// The log's own count.
    pub log_error_records_by_sqlstate: Option<BTreeMap<String, u64>>,
    /// What a proxy saw.
    pub wire: Option<Wire>,
}

/// The messages that a proxy between the clients and the source counted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wire {
    #[serde(rename = "sessions")]
    pub sessions: u64,
    /// Simple queries, each of one statement or several.
    pub query: u64,
    /// Statements parsed for the extended protocol.
    pub parse: u64,
    /// Statements that succeeded.
    pub command_complete: u64,
    /// Errors that clients got.
    #[serde(rename = "errors_by_sqlstate")]
    pub errors_by_sqlstate: BTreeMap<String, u64>,
}

impl Fixture {
    /// The fixture of this name.
    pub fn load(name: &str) -> Self {
        let path = data(&format!("{name}.meta.json"));
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} can't be read: {error}", path.display()));
        let run = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} is not understood: {error}", path.display()));
        Self { name: name.to_owned(), run }
    }

    /// Every fixture, by name.
    pub fn all() -> Vec<Self> {
        let mut names: Vec<String> = fs::read_dir(data(""))
            .expect("tests/data")
            .filter_map(|entry| {
                let name = entry.expect("an entry of tests/data").file_name();
                name.to_str().and_then(|name| name.strip_suffix(".csv")).map(str::to_owned)
            })
            .collect();
        names.sort();
        assert!(!names.is_empty(), "tests/data holds no fixture");
        names.iter().map(|name| Self::load(name)).collect()
    }

    /// The csvlog.
    pub fn csv(&self) -> PathBuf {
        data(&format!("{}.csv", self.name))
    }

    /// The jsonlog of the same run, for the few that have one here.
    pub fn json(&self) -> Option<PathBuf> {
        Some(data(&format!("{}.json", self.name))).filter(|path| path.exists())
    }

    /// The major version of the server that wrote the log.
    pub fn major_version(&self) -> u32 {
        self.run
            .server_version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or_else(|| panic!("no major version in {:?}", self.run.server_version))
    }

    /// Makes the database [`DATABASE`] with what it held when the log began.
    pub fn set_up(&self, server: &Server) {
        psql(server, "postgres", &["-c", &format!("create database {DATABASE}")]);
        psql(server, DATABASE, &["-f", file(&data(&self.run.setup_sql))]);
    }

    /// The checksums of the server's tables, to be compared with [`Run::checksum`].
    pub fn checksum_on(&self, server: &Server) -> Vec<String> {
        let printed = psql(server, DATABASE, &["-f", file(&data(&self.run.checksum_sql))]);
        printed.lines().map(str::to_owned).collect()
    }

    /// The counterpart of [`Run::events_id_seq_last_value`].
    pub fn sequence_on(&self, server: &Server) -> Option<String> {
        self.run.events_id_seq_last_value.as_ref()?;
        let printed = psql(server, DATABASE, &["-c", "select last_value from events_id_seq"]);
        Some(printed.trim_end().to_owned())
    }
}

/// The records of a whole csvlog, without their final line feeds. A record ends at a line feed
/// outside quotes: simple enough to judge kreplay's own reading by.
pub fn csv_records(log: &[u8]) -> Vec<Vec<u8>> {
    let mut quoted = false;
    let mut records: Vec<Vec<u8>> = log
        .split_inclusive(|byte| {
            quoted ^= *byte == b'"';
            *byte == b'\n' && !quoted
        })
        .map(<[u8]>::to_vec)
        .collect();
    for record in &mut records {
        assert_eq!(record.pop(), Some(b'\n'), "the log ends with a whole record");
    }
    records
}

fn data(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/data").join(name)
}

fn file(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs psql as superuser, stopping at the first error, and gives what it prints: a line for each
/// row, columns separated by a blank, as in the fixtures' checksums.
fn psql(server: &Server, database: &str, arguments: &[&str]) -> String {
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1"])
        .args(["-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-U", "postgres", "-d", database])
        .args(arguments)
        .env_remove("PGOPTIONS")
        .output()
        .expect("psql is installed: tests/run installs what the tests need");
    assert!(
        output.status.success(),
        "psql {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("psql prints UTF-8")
}
