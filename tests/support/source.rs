//! Servers whose clients' work is recorded.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::fixture::csv_records;
use super::postgres::Server;

/// A source with the settings that kreplay recommends.
pub fn source() -> Server {
    Server::start_with(15, |data| {
        let recommended = include_str!("../../dist/postgresql-source.conf");
        let configuration = data.join("postgresql.conf");
        let own = fs::read_to_string(&configuration).expect("a postgresql.conf");
        fs::write(configuration, own + recommended).expect("it can be written");
    })
}

/// The records of a server's csvlog.
pub fn records(log_directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(log_directory).expect("a log directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of it").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    files.iter().flat_map(|file| csv_records(&fs::read(file).expect("a log file"))).collect()
}

/// What clients did on a source: the records of the sessions with an application name of theirs
/// (the set-up has none), and of everybody while they lived.
pub fn record(set_up: &str, work: impl FnOnce(&Server)) -> (Vec<Vec<u8>>, Server) {
    let mut server = source();
    server.query(set_up);
    work(&server);
    server.stop();
    let records = records(&server.data().join("log"));
    let begin = format!("application_name={CLIENT}");
    let contains = |record: &Vec<u8>| String::from_utf8_lossy(record).contains(&begin);
    let first = records.iter().position(contains).expect("a client's session");
    let last = records.iter().rposition(|r| String::from_utf8_lossy(r).contains("disconnection:"));
    (records[first..=last.expect("its end")].to_vec(), server)
}

/// The application name of clients whose sessions are replayed.
pub const CLIENT: &str = "client";

/// Starts pgbench with a script.
pub fn pgbench(server: &Server, script: &str, arguments: &[&str]) -> Child {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, script.as_bytes()).expect("a script");
    let (_, path) = file.keep().expect("kept until pgbench has read it");
    let shell = r#""$@" >&2; code=$?; rm -f "$0"; exit $code"#;
    Command::new("sh")
        .args(["-c", shell])
        .arg(&path)
        .args(["pgbench", "-n", "-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-U", "postgres"])
        .args(arguments)
        .arg("-f")
        .arg(&path)
        .arg("postgres")
        .env("PGAPPNAME", CLIENT)
        .stderr(Stdio::null())
        .spawn()
        .expect("pgbench is installed")
}
