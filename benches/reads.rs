//! What no order can promise, counted: how many reads see another version than on the source.
//!
//! Sixteen clients update rows and note, in the same statements, the version of another row. What they
//! did is recorded and replayed in every order; then the notes are compared with the source's. See
//! `benches/README.md`, or `cargo bench --bench reads -- --help`.

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::Parser;
use tempfile::NamedTempFile;
use testkit::kreplay::Kreplay;
use testkit::postgres::Server;

/// Counts the reads that see another version than on the source, in every order.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many rows there are to update and to read.
    #[arg(long, value_delimiter = ',', default_values_t = [5000, 500, 50])]
    rows: Vec<u32>,
    /// The orders.
    #[arg(long, value_delimiter = ',', default_values_t = ["serial".to_owned(), "conflict".to_owned(), "session".to_owned()])]
    orders: Vec<String>,
    /// How often the clients are recorded; each recording is replayed once in each order.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Transactions of each client, of two reads each.
    #[arg(long, default_value_t = 200)]
    transactions: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const CLIENTS: u32 = 16;

const STATE: &str = "select id, version from account order by id";

fn set_up(rows: u32) -> String {
    format!(
        "create table account (id int primary key, version int not null);
         insert into account select i, 0 from generate_series(1, {rows}) i;
         create table noted (reading bigint not null, id int not null, version int not null)"
    )
}

/// Two rows in the order of their keys, so that no two clients wait for each other; each update may
/// wait for a lock, and reads as of its start.
fn script(rows: u32) -> String {
    let update = |row: &str, number: u32| {
        format!(
            "WITH note AS (INSERT INTO noted SELECT :reading + {number}, id, version FROM account \
             WHERE id = :read{number}) UPDATE account SET version = version + 1 WHERE id = :{row};"
        )
    };
    format!(
        r"
\set one random(1, {rows})
\set other random(1, {rows})
\set low least(:one, :other)
\set high greatest(:one, :other)
\set read1 random(1, {rows})
\set read2 random(1, {rows})
\set reading random(1, 1000000000000000) * 4
BEGIN;
{}
{}
COMMIT;
",
        update("low", 1),
        update("high", 2)
    )
}

/// The version that each reading saw.
fn noted(server: &Server) -> BTreeMap<String, String> {
    let noted = server.query("select reading, id, version from noted");
    let pairs = noted.lines().filter_map(|line| line.rsplit_once('|'));
    pairs.map(|(reading, version)| (reading.to_owned(), version.to_owned())).collect()
}

/// What a replay of a recording came to.
struct Compared {
    differing: usize,
    state_is_equal: bool,
}

fn replay(log: &NamedTempFile, rows: u32, order: &str, source: &Source) -> Compared {
    let target = Server::start(15);
    target.query(&set_up(rows));
    let replay = Kreplay::new().target(&target).args(["--order", order, "--input"]);
    replay.arg(log.path()).run().well();
    let seen = noted(&target);
    assert_eq!(seen.len(), source.noted.len(), "every reading was replayed");
    let differing = source.noted.iter().filter(|(reading, version)| seen[*reading] != **version);
    Compared { differing: differing.count(), state_is_equal: target.query(STATE) == source.state }
}

/// What the source came to.
struct Source {
    noted: BTreeMap<String, String>,
    state: String,
}

fn recorded(rows: u32, transactions: u32, seed: usize) -> (NamedTempFile, Source) {
    let mut came_to = None;
    let (records, _) = testkit::source::record(&set_up(rows), |server| {
        let (clients, transactions) = (CLIENTS.to_string(), transactions.to_string());
        let seed = format!("--random-seed={seed}");
        let arguments = ["-c", &clients, "-t", &transactions, &seed];
        let mut clients = testkit::source::pgbench(server, &script(rows), &arguments);
        assert!(clients.wait().expect("pgbench").success());
        came_to = Some(Source { noted: noted(server), state: server.query(STATE) });
    });
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&records.join(&b"\n"[..])).expect("it can be written");
    (file, came_to.expect("the clients have worked"))
}

fn main() {
    let Arguments { rows, orders, runs, transactions, bench: _ } = Arguments::parse();
    let reads = CLIENTS * transactions * 2;
    println!(
        "{CLIENTS} sessions, {reads} reads a run: how many see another version than on the source"
    );
    println!("(and in how many of {runs} runs the rows are the source's in the end)\n");
    println!("| rows | order | differing reads of each run | median | end as on the source |");
    println!("|---|---|---|---|---|");
    for &rows in &rows {
        let mut found: BTreeMap<&str, Vec<Compared>> = BTreeMap::new();
        for run in 1..=runs {
            let (log, source) = recorded(rows, transactions, run);
            for order in &orders {
                found.entry(order).or_default().push(replay(&log, rows, order, &source));
            }
        }
        for order in &orders {
            let compared = &found[order.as_str()];
            let mut counts: Vec<usize> = compared.iter().map(|run| run.differing).collect();
            let equal = compared.iter().filter(|run| run.state_is_equal).count();
            counts.sort_unstable();
            let listed: Vec<String> = counts.iter().map(ToString::to_string).collect();
            let (median, listed) = (counts[counts.len() / 2], listed.join(", "));
            println!("| {rows} | {order} | {listed} | {median} | {equal} of {runs} |");
        }
    }
}
