//! The statements that every client runs, as each of them wants to read them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::ValueEnum;

/// What a statement looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A SELECT by key of some 20 bytes.
    Short,
    /// The same as an object-relational mapper writes it: 395 bytes.
    Long,
    /// The short one with its key as a parameter, by the extended protocol.
    Parameters,
    /// An UPDATE by key. No two sessions share a row.
    Update,
}

impl Kind {
    /// What it is called in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Parameters => "parameters",
            Self::Update => "update",
        }
    }

    /// The text, with `key` as its key: a number, or pgbench's variable.
    fn text(self, key: &str) -> String {
        match self {
            Self::Short => format!("SELECT v FROM t WHERE k={key}"),
            Self::Parameters => "SELECT v FROM t WHERE k=$1".to_owned(),
            Self::Update => format!("UPDATE t SET v=v+1 WHERE k={key}"),
            Self::Long => {
                let columns = ["k", "v", "k", "v", "k", "v", "k", "v"].iter().enumerate();
                let columns: Vec<String> = columns
                    .map(|(n, name)| format!(r#""accounts_{n}"."{name}" AS c{n}"#))
                    .collect();
                let columns = columns.join(", ").replace(|c: char| c.is_ascii_digit(), "0");
                let mut text = format!(
                    r#"SELECT {columns} FROM "t" "accounts_0" WHERE "accounts_0"."k" = {key} "#
                );
                let comment = LONG.saturating_sub(text.len() + 4);
                text.push_str("/*");
                text.extend(std::iter::repeat_n('=', comment));
                text.push_str("*/");
                text
            }
        }
    }
}

const LONG: usize = 395;
/// Rows that each session has for itself.
const ROWS: usize = 100;

/// So many statements of one kind, spread over so many sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What they look like.
    pub kind: Kind,
    /// Sessions of the source.
    pub sessions: usize,
    /// Statements of all sessions together.
    pub statements: usize,
    /// How many of them the log says to have ended in each millisecond.
    pub per_ms: usize,
}

/// Twenty thousand a second: nobody can keep up, so nobody waits for the clock.
pub const FLAT_OUT: usize = 20;

/// Which of the two ways in which PostgreSQL logs statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// With their durations, when they end, as kreplay's manual asks for.
    AtEnd,
    /// When they start, as pgreplay's manual asks for: it passes over those with durations.
    AtStart,
}

impl Workload {
    /// How many rows the table needs.
    pub fn rows(&self) -> usize {
        self.sessions * ROWS
    }

    /// Writes the csvlog that a server would have written. Its sessions take turns as chance has it,
    /// the same in each log.
    pub fn write_log(&self, style: LogStyle, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for record in self.records(style) {
            file.write_all(record.as_bytes())?;
        }
        file.flush()
    }

    /// The records, each with its line feed.
    pub fn records(self, style: LogStyle) -> impl Iterator<Item = String> {
        let mut lines = vec![0u32; self.sessions];
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        (0..self.statements).map(move |n| {
            let session = chance.below(self.sessions);
            lines[session] += 1;
            let pid = 1000 + session;
            let line = lines[session];
            let key = (session * ROWS + chance.below(ROWS)).to_string();
            let duration = match style {
                LogStyle::AtEnd => "duration: 0.042 ms  ",
                LogStyle::AtStart => "",
            };
            let sql = self.kind.text(&key).replace('"', "\"\"");
            let (how, detail) = match self.kind {
                Kind::Parameters => ("execute <unnamed>", format!("\"parameters: $1 = '{key}'\"")),
                _ => ("statement", String::new()),
            };
            let ms = n / self.per_ms;
            format!(
                "2026-11-22 {:02}:{:02}:{:02}.{:03} UTC,\"postgres\",\"app\",{pid},\
                 \"127.0.0.1:40000\",6b030000.{pid:x},{line},\"\",2026-11-22 00:00:00 UTC,\
                 {session}/{line},0,LOG,00000,\"{duration}{how}: {sql}\",{detail},,,,,,,,\"\",\
                 \"client backend\",,0\n",
                10 + ms / 3_600_000,
                ms / 60_000 % 60,
                ms / 1000 % 60,
                ms % 1000,
            )
        })
    }

    /// A script for pgbench.
    pub fn pgbench_script(&self) -> String {
        let first = format!("\\set k random(0, {}) + {ROWS} * :client_id\n", ROWS - 1);
        let text = match self.kind {
            // pgbench makes parameters of its variables by itself.
            Kind::Parameters => Kind::Short.text(":k"),
            kind => kind.text(":k"),
        };
        format!("{first}{text};\n")
    }
}

/// Numbers that look like chance and are the same each time (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
