//! pgbench's TPC-B: what the orders make of transactions that want the same rows.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{self, Cost};
use crate::table::{median, thousands};
use testkit::postgres::Server;

/// What is recorded, and how often it is replayed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// pgbench's scale: so many branches, ten times as many tellers, 100,000 times as many accounts.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Clients of the source.
    #[arg(long, default_value_t = 16)]
    sessions: usize,
    /// Transactions of all of them.
    #[arg(long, default_value_t = 16_000)]
    transactions: usize,
    /// Runs of each order that count; one more comes first and does not.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const ORDERS: [&str; 3] = ["serial", "conflict", "session"];
/// What a transaction is: BEGIN, three UPDATEs, a SELECT, an INSERT, COMMIT.
const STATEMENTS: usize = 7;
/// The history's times are those of the replay.
const STATE: &str = "
    select md5(string_agg(r, ',' order by r)) from (
        select format('a %s %s', aid, abalance) from pgbench_accounts union all
        select format('t %s %s', tid, tbalance) from pgbench_tellers union all
        select format('b %s %s', bid, bbalance) from pgbench_branches union all
        select format('h %s %s %s %s', tid, bid, aid, delta) from pgbench_history) as rows (r)";

/// Records it once, replays it in each order in turn, prints medians and whether the states are equal.
pub fn compare(arguments: &Arguments) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("tpcb.csv");
    let (source, recorded) = record(arguments, &log)?;
    let target = Server::start_with(15, |data| settings(data, ""));
    target.query("create database pristine");
    initialize(&target, "pristine", arguments.scale)?;
    let mut rounds = Vec::new();
    for round in 0..=arguments.runs {
        let mut runs = Vec::new();
        for order in ORDERS {
            target.query("drop database if exists bench");
            target.query("create database bench template pristine");
            target.query("checkpoint");
            let cost = replay(&target, &log, order)?;
            let state = target.query_in("bench", STATE);
            runs.push((cost, state == source));
        }
        if round > 0 {
            rounds.push(runs);
        }
    }
    print(arguments, recorded, &rounds);
    Ok(())
}

fn print(arguments: &Arguments, recorded: f64, rounds: &[Vec<(Cost, bool)>]) {
    let statements = (arguments.transactions * STATEMENTS) as f64;
    let Arguments { scale, sessions, transactions, .. } = arguments;
    println!(
        "### PostgreSQL 15, TPC-B at scale {scale}, {sessions} sessions, {transactions} transactions\n"
    );
    println!("| order | statements/s | µs CPU | × serial | × session | equal to the source |");
    println!("|---|--:|--:|--:|--:|--:|");
    println!("| (the source, pgbench) | {} | | | | |", thousands(statements / recorded));
    for (index, order) in ORDERS.iter().enumerate() {
        let wall = |round: &Vec<(Cost, bool)>, index: usize| round[index].0.wall.as_secs_f64();
        let beside =
            |other: usize| median(rounds.iter().map(|r| wall(r, other) / wall(r, index)).collect());
        let rate = median(rounds.iter().map(|r| statements / wall(r, index)).collect());
        let cpu = rounds.iter().map(|r| r[index].0.cpu.as_secs_f64() * 1e6 / statements);
        let equal = rounds.iter().filter(|round| round[index].1).count();
        println!(
            "| {order} | {} | {:.1} | {:.2} | {:.2} | {equal} of {} |",
            thousands(rate),
            median(cpu.collect()),
            beside(0),
            beside(2),
            rounds.len(),
        );
    }
    println!();
}

/// Lets pgbench work on a source that logs as kreplay's manual asks for. Gives the state that it left
/// and the seconds that it took.
fn record(arguments: &Arguments, log: &Path) -> io::Result<(String, f64)> {
    let mut server = Server::start_with(15, |data| {
        settings(data, include_str!("../../dist/postgresql-source.conf"));
    });
    server.query("create database bench");
    initialize(&server, "bench", arguments.scale)?;
    let clients = arguments.sessions.to_string();
    let each = (arguments.transactions / arguments.sessions).to_string();
    let mut pgbench = pgbench(&server, &["-n", "-c", &clients, "-t", &each]);
    let cost = process::run(pgbench.arg("bench").env("PGAPPNAME", "client"))?;
    let state = server.query_in("bench", STATE);
    server.stop();
    // The clients' part of the log: each line is a record, since pgbench's statements are lines.
    let mut lines = Vec::new();
    let mut files: Vec<_> = fs::read_dir(server.data().join("log"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    for file in files {
        let text = fs::read_to_string(file)?;
        lines.extend(text.lines().map(str::to_owned));
    }
    let first = lines.iter().position(|line| line.contains("application_name=client"));
    let last = lines.iter().rposition(|line| line.contains(",\"client\",\"client backend\""));
    let (Some(first), Some(last)) = (first, last) else {
        return Err(io::Error::other("the source has logged no client"));
    };
    fs::write(log, lines[first..=last].join("\n"))?;
    Ok((state, cost.wall.as_secs_f64()))
}

fn initialize(server: &Server, database: &str, scale: u32) -> io::Result<()> {
    process::run(pgbench(server, &["-i", "-q", "-s", &scale.to_string()]).arg(database))?;
    Ok(())
}

fn pgbench(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new("pgbench");
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres"]);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn settings(data: &Path, more: &str) {
    let path = data.join("postgresql.conf");
    let own = fs::read_to_string(&path).expect("a postgresql.conf");
    let ours =
        "max_connections = 200\nautovacuum = off\nshared_buffers = '512MB'\nmax_wal_size = '4GB'\n";
    fs::write(path, format!("{own}{ours}{more}")).expect("it can be written");
}

fn replay(target: &Server, log: &Path, order: &str) -> io::Result<Cost> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kreplay"));
    command.args(["-H", "127.0.0.1", "-P", &target.port().to_string(), "--sslmode", "disable"]);
    command.args(["--listen", "off", "--source-db", "bench", "--order", order, "--input"]).arg(log);
    process::run(&mut command)
}
