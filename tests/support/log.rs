//! Logs written by hand: csvlog as PostgreSQL 15 writes it, of sessions that never were.

use std::collections::BTreeMap;
use std::io::Write as _;

use tempfile::NamedTempFile;

/// A csvlog. Each session is known by its process id; what is not said of it is as in
/// [`Client::default`].
#[derive(Debug)]
pub struct Log {
    records: Vec<Vec<u8>>,
    sessions: BTreeMap<u32, Session>,
    /// When the next record is written, in milliseconds since the first.
    time: usize,
    /// How much later the one behind it is.
    pace: usize,
    /// How long the statements take, in milliseconds.
    duration: f64,
}

impl Default for Log {
    fn default() -> Self {
        let (records, sessions) = (Vec::new(), BTreeMap::new());
        Self { records, sessions, time: 0, pace: 1, duration: 0.1 }
    }
}

/// Who a session belongs to.
#[derive(Debug, Clone)]
pub struct Client {
    pub user: &'static str,
    pub database: &'static str,
    pub application: &'static str,
}

impl Default for Client {
    fn default() -> Self {
        Self { user: "postgres", database: "app", application: "" }
    }
}

#[derive(Debug, Default)]
struct Session {
    client: Client,
    lines: u64,
    in_transaction: bool,
    transactions: u64,
}

/// What sets a record apart.
struct Said<'a> {
    severity: &'a str,
    sqlstate: &'a str,
    message: &'a [u8],
    detail: &'a [u8],
    query: &'a [u8],
}

impl<'a> Said<'a> {
    fn message(message: &'a [u8]) -> Self {
        Self { severity: "LOG", sqlstate: "00000", message, detail: b"", query: b"" }
    }
}

impl Log {
    pub fn new() -> Self {
        Self::default()
    }

    /// The session is this client's.
    pub fn client(mut self, pid: u32, client: Client) -> Self {
        self.sessions.entry(pid).or_default().client = client;
        self
    }

    /// Statements that succeeded, one after the other, as `log_min_duration_statement` logs them at
    /// their end.
    pub fn ended<S: AsRef<[u8]>>(
        mut self,
        pid: u32,
        statements: impl IntoIterator<Item = S>,
    ) -> Self {
        for sql in statements {
            let mut message =
                format!("duration: {:.3} ms  statement: ", self.duration).into_bytes();
            message.extend(sql.as_ref());
            self.push(pid, sql.as_ref(), Said::message(&message));
        }
        self
    }

    /// Statements as `log_statement` logs them at their start.
    pub fn started(mut self, pid: u32, statements: &[&str]) -> Self {
        for sql in statements {
            let message = format!("statement: {sql}");
            self.push(pid, sql.as_bytes(), Said::message(message.as_bytes()));
        }
        self
    }

    /// An unnamed statement with parameters, in the extended protocol.
    pub fn executed(self, pid: u32, sql: &str, parameters: &[&str]) -> Self {
        self.extended(pid, "execute <unnamed>", sql, parameters)
    }

    /// A statement prepared under this name, in the extended protocol.
    pub fn executed_as(self, pid: u32, name: &str, sql: &str, parameters: &[&str]) -> Self {
        self.extended(pid, &format!("execute {name}"), sql, parameters)
    }

    /// The same, as far as its Bind.
    pub fn bound(self, pid: u32, sql: &str, parameters: &[&str]) -> Self {
        self.extended(pid, "bind <unnamed>", sql, parameters)
    }

    fn extended(mut self, pid: u32, step: &str, sql: &str, parameters: &[&str]) -> Self {
        let message = format!("duration: {:.3} ms  {step}: {sql}", self.duration);
        let parameters = parameters.iter().zip(1..).map(|(value, n)| format!("${n} = '{value}'"));
        let detail = format!("parameters: {}", parameters.collect::<Vec<_>>().join(", "));
        let said = Said { detail: detail.as_bytes(), ..Said::message(message.as_bytes()) };
        self.push(pid, sql.as_bytes(), said);
        self
    }

    /// A statement that failed.
    pub fn failed(mut self, pid: u32, sqlstate: &str, sql: &str) -> Self {
        let said = Said {
            severity: "ERROR",
            sqlstate,
            query: sql.as_bytes(),
            ..Said::message(b"it failed")
        };
        self.push(pid, b"", said);
        self
    }

    /// The session's end.
    pub fn disconnected(mut self, pid: u32) -> Self {
        let message =
            b"disconnection: session time: 0:00:00.003 user=app database=app host=[local]";
        self.push(pid, b"", Said::message(message));
        self
    }

    /// Nothing is logged for so many milliseconds.
    pub fn silent(mut self, milliseconds: usize) -> Self {
        self.time += milliseconds;
        self
    }

    /// From here on the records have the same time, and the statements take so many milliseconds.
    pub fn at_once(mut self, duration: f64) -> Self {
        (self.pace, self.duration) = (0, duration);
        self
    }

    /// Bytes that are no record.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.records.push(bytes.to_owned());
        self
    }

    /// The records, each with its line feed.
    pub fn records(&self) -> &[Vec<u8>] {
        &self.records
    }

    /// The log as a file.
    pub fn file(&self) -> NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
        file.write_all(&self.records.concat()).expect("it can be written");
        file
    }

    fn push(&mut self, pid: u32, sql: &[u8], said: Said<'_>) {
        let Said { severity, sqlstate, message, detail, query } = said;
        let time = self.time;
        self.time += self.pace;
        let session = self.sessions.entry(pid).or_default();
        session.lines += 1;
        // As on a real server: a statement that ends its transaction has none any more.
        match sql.split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default() {
            b"begin" => {
                session.in_transaction = true;
                session.transactions += 1;
            }
            b"commit" | b"rollback" | b"prepare" => session.in_transaction = false,
            _ => {}
        }
        let transaction = if session.in_transaction { session.transactions } else { 0 };
        let Client { user, database, application } = session.client;
        let mut record = format!(
            "2026-11-22 {:02}:{:02}:{:02}.{:03} UTC,\"{user}\",\"{database}\",{pid},\"127.0.0.1:40000\",\
             6b030000.{pid:x},{},\"\",2026-11-22 10:00:00 UTC,{pid}/{transaction},0,{severity},{sqlstate},",
            10 + time / 3_600_000,
            time / 60_000 % 60,
            time / 1000 % 60,
            time % 1000,
            session.lines,
        )
        .into_bytes();
        record.extend(quoted(message));
        record.push(b',');
        record.extend(quoted(detail));
        record.extend(b",,,,,");
        record.extend(quoted(query));
        record.extend(b",,,");
        record.extend(quoted(application.as_bytes()));
        record.extend(b",\"client backend\",,0\n");
        self.records.push(record);
    }
}

/// A column in quotes; an empty one is left out.
fn quoted(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut quoted = vec![b'"'];
    for &byte in text {
        quoted.push(byte);
        if byte == b'"' {
            quoted.push(byte);
        }
    }
    quoted.push(b'"');
    quoted
}
