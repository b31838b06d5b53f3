//! The servers that clients are measured against.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use crate::process;
use crate::workload::Workload;
use testkit::postgres::Server;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// Speaks the protocol and executes nothing.
    Sink,
    /// PostgreSQL 15.
    Postgres,
}

impl TargetKind {
    /// What it is called in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sink => "a sink",
            Self::Postgres => "PostgreSQL 15",
        }
    }
}

/// A server that runs until this is dropped.
pub enum Target {
    Sink(Sink),
    Postgres(Box<Server>),
}

impl Target {
    /// Starts one.
    pub fn start(kind: TargetKind) -> io::Result<Self> {
        match kind {
            TargetKind::Sink => Sink::start().map(Self::Sink),
            TargetKind::Postgres => {
                let server = Server::start_with(15, |data| {
                    let path = data.join("postgresql.conf");
                    let settings =
                        "max_connections = 1000\nautovacuum = off\nshared_buffers = '256MB'\n";
                    let file = fs::OpenOptions::new().append(true).open(path);
                    file.and_then(|mut file| file.write_all(settings.as_bytes()))
                        .expect("postgresql.conf can be written");
                });
                server.query("CREATE DATABASE app");
                Ok(Self::Postgres(Box::new(server)))
            }
        }
    }

    /// Makes the table that the workload wants.
    pub fn prepare(&self, workload: &Workload) {
        if let Self::Postgres(server) = self {
            let rows = workload.rows();
            server.query_in(
                "app",
                &format!(
                    "DROP TABLE IF EXISTS t; \
                 CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL) WITH (fillfactor = 50); \
                 INSERT INTO t SELECT k, 0 FROM generate_series(0, {rows} - 1) k; \
                 VACUUM ANALYZE t; CHECKPOINT"
                ),
            );
        }
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match self {
            Self::Sink(sink) => sink.port,
            Self::Postgres(server) => server.port(),
        }
    }

    /// The CPU time it has had, once it has let go of its connections.
    pub fn cpu(&self) -> io::Result<Duration> {
        match self {
            Self::Sink(sink) => process::cpu_of_tree(sink.process.id()),
            Self::Postgres(server) => {
                let pid = postmaster(server)?;
                // The background processes; a backend's time counts for the server when it has ended.
                while process::children(pid)? > server_processes() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                process::cpu_of_tree(pid)
            }
        }
    }

    /// How many statements it was asked for since this was asked last, where it counts them.
    pub fn statements(&mut self) -> io::Result<Option<usize>> {
        match self {
            Self::Sink(sink) => sink.statements().map(Some),
            Self::Postgres(_) => Ok(None),
        }
    }
}

/// The process id of the server's first process.
fn postmaster(server: &Server) -> io::Result<u32> {
    let file = fs::read_to_string(server.data().join("postmaster.pid"))?;
    file.lines().next().unwrap_or_default().parse().map_err(io::Error::other)
}

/// Checkpointer, background writer, WAL writer and the launcher of logical replication: autovacuum is
/// off.
fn server_processes() -> usize {
    4
}

/// The sink's process.
pub struct Sink {
    process: Child,
    port: u16,
    ask: Option<ChildStdin>,
    answer: BufReader<ChildStdout>,
}

impl Sink {
    fn start() -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("the sink has no pipes");
        let ask = process.stdin.take().ok_or_else(missing)?;
        let mut answer = BufReader::new(process.stdout.take().ok_or_else(missing)?);
        let port = read_number(&mut answer)?;
        let port = u16::try_from(port).map_err(io::Error::other)?;
        Ok(Self { process, port, ask: Some(ask), answer })
    }

    /// How many statements it was asked for since this was asked last.
    pub fn statements(&mut self) -> io::Result<usize> {
        if let Some(ask) = &mut self.ask {
            ask.write_all(b"\n")?;
        }
        read_number(&mut self.answer)
    }
}

fn read_number(from: &mut BufReader<ChildStdout>) -> io::Result<usize> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    line.trim().parse().map_err(io::Error::other)
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.ask.take());
        let _ = self.process.wait();
    }
}
