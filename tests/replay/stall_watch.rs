//! Nothing goes on: what everything waits for is told, and given up where that is kreplay's to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use testkit::fixture::DATABASE;
use testkit::kreplay::{Kreplay, Running};
use testkit::log::Log;
use testkit::postgres::Server;

const STALLED: &str = "kreplay_stalled";
const GIVEN_UP: &str = r#"kreplay_stalls_broken_total{reason="given_up"}"#;

/// A server with a row.
fn server() -> Server {
    let server = Server::start(15);
    server.query(&format!("create database {DATABASE}"));
    server.query_in(
        DATABASE,
        "create table t (id int primary key, v text); insert into t values (1, 'a')",
    );
    server
}

/// Somebody else's connection to the target with an open transaction.
struct Stranger {
    psql: Child,
    input: ChildStdin,
}

impl Stranger {
    /// Runs this in a transaction that stays open.
    fn with_open_transaction(server: &Server, sql: &str) -> Self {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE])
            .args(["-p", &server.port().to_string()])
            .env("PGAPPNAME", "nightly-job")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql is installed");
        let mut input = psql.stdin.take().expect("piped");
        writeln!(input, "begin; {sql}; select 'it is open';").expect("psql reads");
        let mut line = String::new();
        let output = psql.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("psql answers");
        assert_eq!(line, "it is open\n");
        Self { psql, input }
    }

    /// Ends the transaction, and the connection.
    fn lets_go(self) {
        let Self { mut psql, input } = self;
        drop(input);
        psql.wait().expect("own child");
    }
}

fn replay(server: &Server, order: &str, log: &tempfile::NamedTempFile) -> Running {
    let replay = Kreplay::new().target(server).args(["--order", order]);
    replay.args(["--stall-timeout", "300ms"]).arg("--input").arg(log.path()).spawn()
}

fn report(running: &Running) -> Value {
    serde_json::from_str(&running.get("/report").1).expect("JSON")
}

#[test]
fn a_lock_that_somebody_else_holds_is_named_again_and_again_and_waited_for() {
    for order in ["serial", "session"] {
        let server = server();
        let stranger =
            Stranger::with_open_transaction(&server, "update t set v = 'x' where id = 1");
        let log = Log::new()
            .ended(1, ["update t set v = v || 'y' where id = 1"])
            .ended(2, ["update t set v = v || 'z' where id = 1"])
            .file();
        let mut running = replay(&server, order, &log);
        let line = running.wait_for_line("the replay stands still");
        assert!(line.contains("application 'nightly-job', idle in transaction"), "{line}");
        assert!(line.contains("line 1) waits for a lock, held up by "), "{line}");
        assert!(line.contains("held up by backend "), "{line}");
        running.wait_for(|metrics| metrics[STALLED] == 1.0);
        let stall = &report(&running)["stall"];
        assert_eq!((&stall["is_over"], &stall["given_up"]), (&json!(false), &json!([])), "{stall}");
        assert_eq!(stall["chain"][0]["waits_for"], "a lock", "{stall}");
        running.wait_for_lines("the replay stands still", 2);
        assert_eq!(running.metrics()[GIVEN_UP], 0.0, "{running}");

        stranger.lets_go();
        let finished = running.wait().well();
        assert_eq!(finished.count("/outcomes/same"), 2, "{finished}");
        assert_eq!(finished.report["stall"]["is_over"], true, "{finished}");
        let v = server.query_in(DATABASE, "select v from t");
        assert!(v == "ayz" || (order == "session" && v == "azy"), "{order}: {v}");
    }
}

#[test]
fn who_waits_for_a_prepared_transaction_that_nothing_finishes_is_given_up() {
    for order in ["serial", "conflict"] {
        let server = server();
        let log = Log::new()
            .ended(1, ["begin", "update t set v = 'x' where id = 1", "prepare transaction 'lost'"])
            .ended(2, ["update t set v = 'y' where id = 1", "insert into t values (2, 'b')"])
            .file();
        let mut running = replay(&server, order, &log);
        let line = running.wait_for_line("the replay stands still");
        assert!(line.contains("the prepared transaction 'lost'"), "{order}: {line}");

        let finished = running.wait().incomplete();
        assert!(finished.stderr.contains("is canceled and given up"), "{order}: {finished}");
        assert_eq!(finished.count("/records/given_up/reasons/stalled"), 1, "{finished}");
        // It is sent first, though its turn has not come.
        assert_eq!(finished.report["stalls_broken"]["given_up"], 2, "{finished}");
        let chain = &finished.report["stall"]["chain"];
        let holder =
            chain.as_array().and_then(|it| it.last()).map(|it| it["held_up_by"].to_string());
        assert!(holder.is_some_and(|it| it.contains("'lost'")), "{chain}");
        assert_eq!(finished.count("/outcomes/same"), 4, "what stood behind it was run: {finished}");
        assert_eq!(server.query_in(DATABASE, "select v from t where id = 2"), "b");
        assert_eq!(server.query("select gid from pg_prepared_xacts"), "lost");
    }
}

#[test]
fn who_waits_for_a_prepared_transaction_of_somebody_else_is_given_up_in_session_order_as_well() {
    let server = server();
    let prepare = "begin; update t set v = 'x' where id = 1; prepare transaction 'Order 7'";
    server.query_in(DATABASE, prepare);
    let log = Log::new()
        .ended(1, ["update t set v = 'y' where id = 1", "insert into t values (2, 'b')"])
        .ended(2, ["update t set v = 'z' where id = 1"])
        .file();
    let finished = replay(&server, "session", &log).wait().incomplete();
    assert!(finished.stderr.contains("the prepared transaction 'Order 7'"), "{finished}");
    assert_eq!(finished.count("/records/given_up/reasons/stalled"), 2, "{finished}");
    assert_eq!(finished.count("/outcomes/same"), 1, "{finished}");
}

/// The session's lock outlives its transaction, and its connection is kept where it is idle.
#[test]
fn a_session_that_holds_a_lock_and_of_which_nothing_is_left_to_read_is_closed() {
    for order in ["serial", "conflict"] {
        let server = server();
        let log = Log::new()
            .ended(1, ["select pg_advisory_lock(7)"])
            .ended(2, ["select pg_advisory_lock(7)", "insert into t values (2, 'b')"])
            .file();
        let finished = replay(&server, order, &log).wait().well();
        assert!(finished.stderr.contains("held up by session 6b030000.1"), "{order}: {finished}");
        assert!(
            finished.stderr.contains("the connection of session 6b030000.1 is closed"),
            "{finished}"
        );
        assert!(finished.count("/stalls_broken/given_up") > 0, "{finished}");
        assert_eq!(finished.count("/outcomes/same"), 3, "{finished}");
    }
}

#[test]
fn a_catalog_that_can_not_be_read_for_a_lock_is_not_waited_for() {
    let server = server();
    let lock = "lock table pg_catalog.pg_trigger in access exclusive mode";
    let stranger = Stranger::with_open_transaction(&server, lock);
    let log = Log::new().ended(1, ["update t set v = 'y' where id = 1"]).file();
    let mut running = replay(&server, "conflict", &log);
    let line = running.wait_for_line("the replay stands still");
    assert!(line.contains("held up by the reading of the catalog of database app"), "{line}");
    running.wait_for_line("the replay continues");
    let finished = running.wait().well();
    assert_eq!(finished.report["stalls_broken"], json!({"given_up": 1}), "{finished}");
    stranger.lets_go();
    assert_eq!(server.query_in(DATABASE, "select v from t"), "y");
}

#[test]
fn an_outage_of_the_target_is_no_standstill() {
    let mut server = server();
    let log = Log::new().ended(1, ["begin", "select pg_sleep(30)", "commit"]).file();
    let mut running = replay(&server, "serial", &log);
    let sleeps = "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)'";
    running.wait_for(|_| server.query(sleeps) == "1");
    server.stop();
    // The second is told a second after the first.
    running.wait_for_lines("waiting for the target", 2);
    let finished = running.kill();
    assert!(!finished.stderr.contains("stands still"), "{finished}");
}

#[test]
fn a_statement_that_the_target_works_on_is_no_standstill_nor_is_one_that_is_not_due() {
    let server = server();
    let log = Log::new()
        .ended(1, ["begin", "select pg_advisory_xact_lock(1), pg_sleep(1.2)", "commit"])
        .ended(2, ["select pg_advisory_xact_lock(1)"])
        .silent(1200)
        .ended(2, ["select 1"])
        .file();
    for arguments in [["--order", "session"], ["--speed", "1"]] {
        let replay = Kreplay::new().target(&server).args(["--stall-timeout", "300ms"]);
        let finished = replay.args(arguments).arg("--input").arg(log.path()).run().well();
        assert!(!finished.stderr.contains("stands still"), "{finished}");
        assert_eq!(finished.report["stall"], Value::Null, "{finished}");
    }
}
