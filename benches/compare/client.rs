//! The clients that are measured, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::workload::{LogStyle, Workload};

/// Who sends the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// kreplay --order serial, from a file.
    Serial,
    /// The same with --spin 50us.
    SerialSpin,
    /// kreplay --order conflict, from a file.
    Conflict,
    /// kreplay --order session, from a file.
    Session,
    /// The same on one thread.
    SessionOneThread,
    /// The same with one statement in flight for each session.
    SessionOne,
    /// kreplay --order session, from a Kafka topic.
    SessionKafka,
    /// pgreplay -j.
    Pgreplay,
    /// pgbench with as many clients as the log has sessions.
    Pgbench,
    /// pgbench with one client.
    PgbenchOne,
    /// A hand-written writer of the same log.
    Raw,
}

/// What a client reads and where.
pub struct Input<'a> {
    /// What is sent.
    pub workload: Workload,
    /// The server's port on this machine.
    pub port: u16,
    /// Where the logs are, and a place for what a run leaves.
    pub directory: &'a Path,
    /// The broker's address and the topic, where there is one.
    pub topic: Option<(&'a str, &'a str)>,
    /// Told apart from every other run.
    pub run: usize,
}

impl Client {
    /// What it is called in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serial => "kreplay serial",
            Self::SerialSpin => "kreplay serial, `--spin 50us`",
            Self::Conflict => "kreplay conflict",
            Self::Session => "kreplay session",
            Self::SessionOneThread => "kreplay session, `--workers 1`",
            Self::SessionOne => "kreplay session, `--pipeline 1`",
            Self::SessionKafka => "kreplay session, from Kafka",
            Self::Pgreplay => "pgreplay -j",
            Self::Pgbench => "pgbench",
            Self::PgbenchOne => "pgbench, one client",
            Self::Raw => "raw writer",
        }
    }

    /// Whether only one of its statements is under way at a time: it gets fewer of them.
    pub fn is_one_at_a_time(self) -> bool {
        matches!(self, Self::Serial | Self::SerialSpin | Self::PgbenchOne)
    }

    /// Whether it reads a topic.
    pub fn reads_kafka(self) -> bool {
        self == Self::SessionKafka
    }

    /// Which log it reads, if any.
    pub fn log_style(self) -> Option<LogStyle> {
        match self {
            Self::Pgbench | Self::PgbenchOne => None,
            Self::Pgreplay => Some(LogStyle::AtStart),
            _ => Some(LogStyle::AtEnd),
        }
    }

    /// The program that it needs, if it is not kreplay's own.
    pub fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Pgreplay => Some(("pgreplay", "pgreplay")),
            Self::Pgbench | Self::PgbenchOne => Some(("pgbench", "postgresql-contrib")),
            _ => None,
        }
    }

    /// The command of one run.
    pub fn command(self, input: &Input<'_>) -> Command {
        let port = input.port.to_string();
        let log = log_path(input.directory, &input.workload, LogStyle::AtEnd);
        match self {
            Self::Serial => kreplay(input, &["--order", "serial"], true),
            Self::SerialSpin => kreplay(input, &["--order", "serial", "--spin", "50us"], true),
            Self::Conflict => kreplay(input, &["--order", "conflict"], true),
            Self::Session => kreplay(input, &["--order", "session"], true),
            Self::SessionOneThread => {
                kreplay(input, &["--order", "session", "--workers", "1"], true)
            }
            Self::SessionOne => kreplay(input, &["--order", "session", "--pipeline", "1"], true),
            Self::SessionKafka => kreplay(input, &["--order", "session"], false),
            Self::Pgreplay => {
                let mut command = Command::new("pgreplay");
                command.args(["-j", "-c", "-h", "127.0.0.1", "-p", &port]);
                command.arg(log_path(input.directory, &input.workload, LogStyle::AtStart));
                command
            }
            Self::Pgbench => pgbench(input, input.workload.sessions),
            Self::PgbenchOne => pgbench(input, 1),
            Self::Raw => {
                let this = std::env::current_exe().expect("this program has a path");
                let mut command = Command::new(this);
                command.arg("raw").arg(port).arg(log);
                command
            }
        }
    }

    /// How many statements it really sends.
    pub fn statements(self, workload: &Workload) -> usize {
        match self {
            // The same number by each client.
            Self::Pgbench => workload.statements / workload.sessions * workload.sessions,
            _ => workload.statements,
        }
    }
}

/// Where a workload's log is.
pub fn log_path(directory: &Path, workload: &Workload, style: LogStyle) -> PathBuf {
    let Workload { kind, sessions, statements, .. } = workload;
    directory.join(format!("{}-{sessions}-{statements}-{style:?}.csv", kind.name()))
}

/// Where kreplay writes its report.
pub fn report_path(directory: &Path) -> PathBuf {
    directory.join("report.json")
}

fn kreplay(input: &Input<'_>, order: &[&str], from_file: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kreplay"));
    command.args(["-H", "127.0.0.1", "-P", &input.port.to_string(), "--sslmode", "disable"]);
    command.args(["--listen", "off", "--report"]).arg(report_path(input.directory)).args(order);
    match input.topic {
        Some((broker, topic)) if !from_file => {
            command.args(["--brokers", broker, "--topic", topic, "--until-end", "--group-id"]);
            command.arg(format!("{topic}-{}", input.run));
        }
        _ => {
            command.arg("--input");
            command.arg(log_path(input.directory, &input.workload, LogStyle::AtEnd));
        }
    }
    command
}

fn pgbench(input: &Input<'_>, clients: usize) -> Command {
    let protocol = match input.workload.kind {
        crate::workload::Kind::Parameters => "extended",
        _ => "simple",
    };
    let script = input.directory.join("pgbench.sql");
    std::fs::write(&script, input.workload.pgbench_script()).expect("a temporary file");
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", protocol, "-h", "127.0.0.1", "-p", &input.port.to_string()]);
    command.args(["-U", "postgres", "-c", &clients.to_string()]);
    command.args(["-t", &(input.workload.statements / clients).to_string(), "-f"]).arg(script);
    command.arg("app");
    command
}
