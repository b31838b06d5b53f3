//! kreplay beside other ways of sending the same statements: whole processes, in turn, medians.
//!
//! See `benches/README.md`, or `cargo bench --bench compare -- --help`.

mod client;
mod open_sessions;
mod pace;
mod process;
mod raw;
mod sessions;
mod sink;
mod table;
mod target;
mod tpcb;
mod workload;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Parser, Subcommand, ValueEnum as _};

use client::{Client, Input, log_path, report_path};
use table::Run;
use target::{Target, TargetKind};
use testkit::kafka::Broker;
use workload::{FLAT_OUT, Kind, Workload};

/// Compares kreplay with other clients. Without options: a quick part of the table.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Every session count, kind of statement, server and client.
    #[arg(long)]
    all: bool,
    /// The servers.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<TargetKind>,
    /// The kinds of statements.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// How many sessions.
    #[arg(long, value_delimiter = ',')]
    sessions: Vec<usize>,
    /// The clients.
    #[arg(long, value_delimiter = ',')]
    clients: Vec<Client>,
    /// Statements of a run against the sink; against PostgreSQL, and of a client that has one
    /// under way at a time, a quarter of that.
    #[arg(long, default_value_t = 400_000)]
    statements: usize,
    /// Runs of each client that count; one more comes first and does not.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Be the server that executes nothing, until standard input ends.
    Sink,
    /// Be the raw writer.
    Raw { port: u16, log: PathBuf },
    /// pgbench's TPC-B, recorded on a PostgreSQL and replayed on another in each order.
    Tpcb(tpcb::Arguments),
    /// How late statements start that are due at a pace.
    Pace(pace::Arguments),
    /// What sessions take that are open and have a connection.
    OpenSessions(open_sessions::Arguments),
    /// What many sessions leave that have ended.
    Sessions(sessions::Arguments),
}

fn main() -> io::Result<()> {
    let mut arguments = Arguments::parse();
    match arguments.part.take() {
        Some(Part::Sink) => return sink::serve(),
        Some(Part::Raw { port, log }) => return raw::replay(port, &log),
        Some(Part::Tpcb(arguments)) => return tpcb::compare(&arguments),
        Some(Part::Pace(arguments)) => return pace::measure(&arguments),
        Some(Part::OpenSessions(arguments)) => return open_sessions::measure(&arguments),
        Some(Part::Sessions(arguments)) => return sessions::measure(&arguments),
        None => {}
    }
    if arguments.all {
        fill(&mut arguments.sessions, &[1, 8, 64, 900]);
        fill(&mut arguments.targets, TargetKind::value_variants());
        fill(&mut arguments.kinds, Kind::value_variants());
        fill(&mut arguments.clients, Client::value_variants());
    } else {
        fill(&mut arguments.sessions, &[64]);
        fill(&mut arguments.targets, &[TargetKind::Sink]);
        fill(&mut arguments.kinds, &[Kind::Long]);
        fill(&mut arguments.clients, &[Client::Session, Client::Pgreplay, Client::Raw]);
    }
    arguments.clients.retain(|client| is_there(*client));
    Bench { arguments, directory: tempfile::tempdir()?, broker: None, runs: 0 }.run()
}

fn fill<T: Copy>(chosen: &mut Vec<T>, otherwise: &[T]) {
    if chosen.is_empty() {
        chosen.extend_from_slice(otherwise);
    }
}

/// Whether the program of a client can be run; says so if it can't.
fn is_there(client: Client) -> bool {
    let Some((program, package)) = client.program() else { return true };
    let mut command = Command::new(program);
    let found = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("left out: {} ({program} is missing; in Debian: {package})", client.name());
    }
    found.is_ok()
}

struct Bench {
    arguments: Arguments,
    directory: tempfile::TempDir,
    broker: Option<Broker>,
    /// How many runs there have been.
    runs: usize,
}

impl Bench {
    fn run(mut self) -> io::Result<()> {
        let Arguments { targets, kinds, sessions, .. } = &self.arguments;
        let (targets, kinds, sessions) = (targets.clone(), kinds.clone(), sessions.clone());
        for kind in targets {
            let mut target = Target::start(kind)?;
            for &statement in &kinds {
                for &sessions in &sessions {
                    println!(
                        "### {}, {sessions} sessions, {} statements",
                        kind.name(),
                        statement.name()
                    );
                    self.compare(kind, &mut target, statement, sessions)?;
                }
            }
        }
        Ok(())
    }

    /// Measures all clients side by side and prints what came of it.
    fn compare(
        &mut self,
        kind: TargetKind,
        target: &mut Target,
        statement: Kind,
        sessions: usize,
    ) -> io::Result<()> {
        let mut clients = self.arguments.clients.clone();
        if sessions == 1 {
            clients.retain(|client| *client != Client::PgbenchOne);
        }
        let statements = match kind {
            TargetKind::Sink => self.arguments.statements,
            TargetKind::Postgres => self.arguments.statements / 4,
        };
        let workload = |client: Client| {
            let one = client.is_one_at_a_time() || sessions == 1;
            let statements = if one { statements / 4 } else { statements };
            Workload { kind: statement, sessions, statements, per_ms: FLAT_OUT }
        };
        for client in &clients {
            self.write_log(*client, workload(*client))?;
        }
        let from_kafka = clients.iter().find(|client| client.reads_kafka());
        let topic = from_kafka.map(|client| self.fill_topic(workload(*client)));
        target.prepare(&workload(Client::Session));
        let mut rounds = Vec::new();
        for round in 0..=self.arguments.runs {
            let mut runs = Vec::new();
            for client in &clients {
                runs.push(self.measure(*client, workload(*client), target, topic.as_deref())?);
            }
            if round > 0 {
                rounds.push(runs);
            }
        }
        table::print(&clients, &rounds);
        for entry in std::fs::read_dir(self.directory.path())? {
            std::fs::remove_file(entry?.path())?;
        }
        if let (Some(broker), Some(topic)) = (&self.broker, topic) {
            broker.delete_topic(&topic);
        }
        Ok(())
    }

    fn write_log(&self, client: Client, workload: Workload) -> io::Result<()> {
        let Some(style) = client.log_style().filter(|_| !client.reads_kafka()) else {
            return Ok(());
        };
        let path = log_path(self.directory.path(), &workload, style);
        if path.exists() { Ok(()) } else { workload.write_log(style, &path) }
    }

    /// Makes a topic of a workload's records. Returns its name.
    fn fill_topic(&mut self, workload: Workload) -> String {
        let broker = self.broker.get_or_insert_with(Broker::start);
        let topic = broker.topic("compare", 1);
        broker.produce(&topic, 0, workload.records(workload::LogStyle::AtEnd));
        topic
    }

    fn measure(
        &mut self,
        client: Client,
        workload: Workload,
        target: &mut Target,
        topic: Option<&str>,
    ) -> io::Result<Run> {
        self.runs += 1;
        let topic = self.broker.as_ref().map(Broker::address).zip(topic);
        let input = Input {
            workload,
            port: target.port(),
            directory: self.directory.path(),
            topic,
            run: self.runs,
        };
        let statements = client.statements(&workload);
        let before = target.cpu()?;
        let cost = process::run(&mut client.command(&input))?;
        let server = target.cpu()? - before;
        if let Some(seen) = target.statements()?.filter(|seen| *seen != statements) {
            return Err(io::Error::other(format!(
                "{} has sent {seen} statements of {statements}",
                client.name()
            )));
        }
        check_report(input.directory, statements)?;
        Ok(Run { statements, client: cost, server })
    }
}

/// Whether kreplay, if it was it, says that all statements ended as on the source.
fn check_report(directory: &Path, statements: usize) -> io::Result<()> {
    let path = report_path(directory);
    let Ok(report) = std::fs::read(&path) else { return Ok(()) };
    std::fs::remove_file(path)?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let same = report.pointer("/outcomes/same").and_then(serde_json::Value::as_u64);
    if same != Some(statements as u64) {
        return Err(io::Error::other(format!(
            "of {statements} statements not all were the same: {report}"
        )));
    }
    Ok(())
}
