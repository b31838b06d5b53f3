//! Everything that can go down in the middle of a replay goes down, and nothing is lost.

mod broker;
mod crashes;
mod ended;
mod idle;
mod live;
mod members;
mod offsets;
mod signals;
mod stopped;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use testkit::kafka::{self, Broker};
use testkit::kreplay::{Kreplay, Running};
use testkit::postgres::Server;
use testkit::source::{CLIENT, pgbench, record, records, source};

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

// ---- Clients of a source ----

/// A client of a server.
struct Client {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Client {
    fn connect(server: &Server) -> Self {
        Self::connect_to(server, "postgres")
    }

    fn connect_to(server: &Server, database: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(server.port()).user("postgres").dbname(database);
        config.application_name(CLIENT);
        let connecting = config.connect(tokio_postgres::NoTls);
        let (client, connection) = runtime.block_on(connecting).expect("a connection");
        runtime.spawn(connection);
        Self { runtime, client }
    }

    /// Simple protocol.
    fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).expect(sql);
    }

    /// Extended protocol, one named statement, parameters in binary.
    fn execute(&self, sql: &str, parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)]) {
        self.runtime.block_on(self.client.execute(sql, parameters)).expect(sql);
    }

    fn prepare(&self, sql: &str) -> tokio_postgres::Statement {
        self.runtime.block_on(self.client.prepare(sql)).expect(sql)
    }

    fn execute_prepared(
        &self,
        statement: &tokio_postgres::Statement,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) {
        self.runtime.block_on(self.client.execute(statement, parameters)).expect("executed");
    }
}

/// Where in a log the record stands that holds a text.
fn place_of(records: &[Vec<u8>], text: &str) -> usize {
    let contains = |record: &Vec<u8>| String::from_utf8_lossy(record).contains(text);
    records.iter().position(contains).unwrap_or_else(|| panic!("no record holds {text:?}"))
}

// ---- A log whose replay can be judged exactly ----

/// Every transaction writes its own number three times, and changes one of a few rows in a way that
/// does not commute. Between transactions stand single statements.
struct Workload {
    records: Vec<Vec<u8>>,
    /// The first and the last record of each transaction.
    transactions: BTreeMap<i64, (usize, usize)>,
    /// The record of each single statement.
    singles: BTreeMap<i64, usize>,
    /// The contended rows at the end.
    accounts: String,
}

const SET_UP: &str = "
    create table account (id int primary key, v bigint not null);
    insert into account select i, i from generate_series(1, 20) i;
    create table log (id bigint not null, n int not null);
    create table single (id bigint not null)";

const SHORT: &str = r"
\set id random(1, 9000000000000000)
\set account random(1, 20)
BEGIN;
INSERT INTO log VALUES (:id, 1);
UPDATE account SET v = (v * 31 + :id % 1000) % 1000003 WHERE id = :account;
INSERT INTO log VALUES (:id, 2);
INSERT INTO log VALUES (:id, 3);
COMMIT;
INSERT INTO single VALUES (:id);
";

/// Open while hundreds of others begin and end.
const LONG: &str = r"
\set id random(1, 9000000000000000)
BEGIN;
INSERT INTO log VALUES (:id, 1);
\sleep 10 ms
INSERT INTO log VALUES (:id, 2);
\sleep 10 ms
INSERT INTO log VALUES (:id, 3);
COMMIT;
INSERT INTO single VALUES (:id);
";

impl Workload {
    /// The one that tests share.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Workload> = OnceLock::new();
        SHARED.get_or_init(Self::record)
    }

    fn record() -> Self {
        let mut accounts = String::new();
        let (records, _) = record(SET_UP, |server| {
            let long = pgbench(server, LONG, &["-c", "2", "-T", "1", "--random-seed=1"]);
            let short = pgbench(server, SHORT, &["-c", "4", "-t", "300", "--random-seed=2"]);
            for mut clients in [short, long] {
                assert!(clients.wait().expect("pgbench").success());
            }
            accounts = accounts_of(server);
        });
        let mut transactions = BTreeMap::new();
        let mut singles = BTreeMap::new();
        let mut open: HashMap<String, (usize, i64)> = HashMap::new();
        for (at, record) in records.iter().enumerate() {
            let text = String::from_utf8_lossy(record);
            let session = text.split(',').nth(5).expect("a session id").to_owned();
            let number = |marker: &str| {
                let (_, rest) = text.split_once(marker)?;
                rest.split([',', ')']).next()?.parse::<i64>().ok()
            };
            if text.contains("statement: BEGIN") {
                open.insert(session, (at, 0));
            } else if let Some(id) = number("INTO log VALUES (") {
                open.get_mut(&session).expect("a BEGIN before").1 = id;
            } else if text.contains("statement: COMMIT") {
                let (begin, id) = open.remove(&session).expect("a BEGIN before");
                assert!(transactions.insert(id, (begin, at)).is_none(), "{id} twice");
            } else if let Some(id) = number("INTO single VALUES (") {
                assert!(singles.insert(id, at).is_none(), "{id} twice");
            }
        }
        assert!(open.is_empty() && transactions.len() > 1200);
        Self { records, transactions, singles, accounts }
    }

    /// A topic with all of it.
    fn topic(&self, broker: &Broker, stem: &str) -> String {
        let topic = broker.topic(stem, 1);
        broker.produce(&topic, 0, self.records.iter().map(Vec::as_slice));
        topic
    }

    /// Looks at a target: every transaction is there as a whole or not at all.
    fn on(&self, target: &Server) -> Found {
        let counted = target.query(
            "select id, count(*) filter (where n = 1), count(*) filter (where n = 2),
                count(*) filter (where n = 3) from log group by id",
        );
        let numbers = |line: &str| -> Vec<i64> {
            line.split('|').map(|number| number.parse().expect("a number")).collect()
        };
        let mut times = BTreeMap::new();
        for line in counted.lines() {
            let row = numbers(line);
            let (begin, end) = self.transactions[&row[0]];
            assert!(
                row[1] == row[2] && row[2] == row[3],
                "a fragment of transaction {} (records {begin} to {end}) is there: {line}",
                row[0]
            );
            times.insert(row[0], row[1]);
        }
        let singles = target.query("select id, count(*) from single group by id");
        let singles = singles.lines().map(|line| (numbers(line)[0], numbers(line)[1])).collect();
        Found { transactions: times, singles }
    }
}

/// How often each is on a target.
struct Found {
    transactions: BTreeMap<i64, i64>,
    singles: BTreeMap<i64, i64>,
}

impl Found {
    /// Panics where anything is missing. Gives how much is there more often than once.
    #[track_caller]
    fn doubled(&self, workload: &Workload) -> i64 {
        let lost: Vec<_> = workload
            .transactions
            .iter()
            .filter(|(id, _)| !self.transactions.contains_key(id))
            .collect();
        assert!(lost.is_empty(), "{} transactions are lost: {lost:?}", lost.len());
        let lost: Vec<_> =
            workload.singles.iter().filter(|(id, _)| !self.singles.contains_key(id)).collect();
        assert!(lost.is_empty(), "{} statements are lost: {lost:?}", lost.len());
        self.transactions.values().chain(self.singles.values()).map(|times| times - 1).sum()
    }
}

fn accounts_of(server: &Server) -> String {
    server.query("select id, v from account order by id")
}

// ---- The replay ----

/// A target that holds what the source held when its log began.
fn target(set_up: &str) -> Server {
    let server = Server::start(18);
    server.query(set_up);
    server
}

/// Lets each single statement of the [`Workload`] take this long, so that a replay can be caught in
/// its middle.
fn slow_down(target: &Server, milliseconds: u32) {
    target.query(&format!(
        "create function wait() returns trigger language plpgsql as $$begin
            perform pg_sleep({milliseconds} / 1000.0);
            return new;
         end$$;
         create trigger wait before insert on single for each row execute function wait()"
    ));
}

/// kreplay on a topic.
fn replay(broker: &Broker, topic: &str, target: &Server) -> Kreplay {
    Kreplay::new().args(["-t", topic, "-b", broker.address()]).target(target)
}

/// The group of that kreplay.
fn group(topic: &str) -> String {
    format!("kreplay_{topic}")
}

/// Statements that have run.
fn statements(metrics: &HashMap<String, f64>) -> f64 {
    let series = metrics.iter().filter(|(name, _)| name.starts_with("kreplay_statements_total"));
    series.map(|(_, value)| value).sum()
}

/// Waits until a topic of so many records has been replayed to its end.
#[track_caller]
fn wait_for_end(running: &mut Running, records: usize) {
    let all = Some(records as f64);
    running.wait_for(|metrics| {
        metrics["kreplay_records_pending"] == 0.0
            && metrics.get(r#"kreplay_consumer_position{partition="0"}"#).copied() == all
    });
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a target has ended what a client that is gone had begun.
fn wait_for_silence(target: &Server) {
    wait_until("nobody is connected to the target", || {
        target.query(
            "select count(*) from pg_stat_activity
             where backend_type = 'client backend' and pid <> pg_backend_pid()",
        ) == "0"
    });
}
