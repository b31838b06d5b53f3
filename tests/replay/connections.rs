//! More sessions than connections.

use std::time::Duration;

use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;

const APP: Client = Client { user: "app", database: "app", application: "shop" };

const ORDERS: [&str; 3] = ["serial", "conflict", "session"];

/// A server with a table, and so many connections for the role that the sessions log in as: one more
/// is refused by the server itself.
fn server(connections: usize) -> Server {
    let server = Server::start_with(15, |data| {
        let path = data.join("postgresql.conf");
        let own = std::fs::read_to_string(&path).expect("a postgresql.conf");
        let own = format!("{own}\nmax_connections = 100\n");
        std::fs::write(path, own).expect("it can be written");
    });
    server.query(&format!("create role app login connection limit {connections}"));
    server.query("create database app");
    server.query_in("app", "create table t (n bigint, v text); grant all on t to app");
    server
}

fn replay(server: &Server, log: &Log, arguments: &[&str]) -> Finished {
    let file = log.file();
    let kreplay = Kreplay::new().target(server).args(arguments).arg("--input").arg(file.path());
    // Ten thousand sessions take a while on a slow machine; it is a hang that is looked for.
    kreplay.spawn().wait_at_most(Duration::from_secs(900)).well()
}

fn clients(pids: impl IntoIterator<Item = u32>) -> Log {
    pids.into_iter().fold(Log::new(), |log, pid| log.client(pid, APP))
}

fn insert(n: u64) -> String {
    format!("insert into t values ({n})")
}

/// So many sessions that are all open from the first statement to the last, each with a setting and
/// a prepared statement, and statements that come in turn with the others'.
fn interleaved(sessions: u32, rounds: u64) -> Log {
    let prepare = "prepare p (bigint) as insert into t values ($1, current_setting('my.x'))";
    let mut log = clients(1..=sessions);
    for pid in 1..=sessions {
        log = log.ended(pid, [&*format!("set my.x = 'of {pid}'"), prepare]);
    }
    for round in 1..=rounds {
        for pid in 1..=sessions {
            log = log.ended(pid, [format!("execute p({})", (round << 16) | u64::from(pid))]);
        }
    }
    (1..=sessions).fold(log, Log::disconnected)
}

fn replays_ten_thousand_open_sessions(order: &str) {
    const SESSIONS: u32 = 10_000;
    const ROUNDS: u64 = 1;
    // What max_connections = 100 leaves: 3 are for superusers, and 7 kreplay leaves to others.
    let server = server(90);
    let log = interleaved(SESSIONS, ROUNDS);
    let finished = replay(&server, &log, &["--order", order]);
    let statements = u64::from(SESSIONS) * (2 + ROUNDS);
    assert_eq!(finished.count("/outcomes/same"), statements, "{finished}");
    assert_eq!(finished.statements(), statements, "{finished}");
    let counts = "select count(*), count(distinct n),
        count(*) filter (where v <> 'of ' || (n & 65535)) from t";
    let rows = u64::from(SESSIONS) * ROUNDS;
    assert_eq!(server.query_in("app", counts), format!("{rows}|{rows}|0"));
    assert!(!server.log().contains("too many"), "{finished}\n{}", server.log());
}

#[test]
fn ten_thousand_open_sessions_share_the_connections_of_a_small_server_in_serial_order() {
    replays_ten_thousand_open_sessions("serial");
}

#[test]
fn ten_thousand_open_sessions_share_the_connections_of_a_small_server_in_session_order() {
    replays_ten_thousand_open_sessions("session");
}

#[test]
fn ten_thousand_open_sessions_share_the_connections_of_a_small_server_in_conflict_order() {
    replays_ten_thousand_open_sessions("conflict");
}

#[test]
fn a_session_with_a_temporary_table_keeps_its_connection_while_others_can_go() {
    for order in ORDERS {
        let server = server(2);
        server.query_in("app", "grant temp on database app to app");
        let log = clients(1..=4)
            .ended(1, ["create temp table mine as select 7 as n"])
            .ended(2, [insert(2)])
            .ended(3, [insert(3)])
            .ended(4, [insert(4)])
            .ended(2, [insert(5)])
            .ended(1, ["insert into t select n from mine"]);
        let finished = replay(&server, &log, &["--order", order, "--max-sessions", "2"]);
        assert_eq!(finished.count("/outcomes/same"), 6, "{finished}");
        assert_eq!(server.query_in("app", "select count(*), max(n) from t"), "5|7");
    }
}

/// Three sessions, each in a transaction before the first one ends.
fn three_open_transactions() -> Log {
    let log = (1..=3).fold(clients(1..=3), |log, pid| {
        log.ended(pid, ["begin".to_owned(), insert(u64::from(pid))])
    });
    let log = (1..=3).fold(log, |log, pid| log.ended(pid, [insert(u64::from(pid) + 10)]));
    (1..=3).fold(log, |log, pid| log.ended(pid, ["commit"]).disconnected(pid))
}

/// Nothing is inserted before it is opened: nobody's transaction ends and makes room before everybody
/// has asked for a connection, however slow that is.
const GATE: &str = "
    create table gate (is_open bool);
    insert into gate values (false);
    create function pass() returns trigger language plpgsql security definer as $$begin
        while not (select is_open from gate) loop
            perform pg_sleep(0.01);
        end loop;
        return new;
    end$$;
    create trigger pass before insert on t for each row execute function pass()";

const ALL_THREE: &str = "1\n2\n3\n11\n12\n13";

#[test]
fn where_all_connections_are_in_transactions_the_limit_is_passed_and_that_is_said() {
    for order in ORDERS {
        let server = server(3);
        let arguments = ["--order", order, "--max-sessions", "2"];
        let finished = replay(&server, &three_open_transactions(), &arguments);
        assert_eq!(finished.count("/outcomes/same"), 12, "{finished}");
        assert_eq!(server.query_in("app", "select n from t order by n"), ALL_THREE);
        assert!(order != "serial" || finished.stderr.contains("--max-sessions"), "{finished}");
        assert!(!finished.stderr.contains("rolled back"), "{finished}");
    }
}

#[test]
fn a_server_without_another_connection_makes_a_transaction_wait_and_run_again() {
    for order in ORDERS {
        let server = server(2);
        server.query_in("app", GATE);
        let file = three_open_transactions().file();
        let replay = Kreplay::new().target(&server).args(["--order", order]);
        let replay = replay.args(["--max-sessions", "3", "--input"]).arg(file.path());
        let mut running = replay.spawn();
        running.wait_for_line("the target has no more connections");
        server.query_in("app", "update gate set is_open = true");
        let finished = running.wait().well();
        assert_eq!(finished.statements(), 12, "{finished}");
        assert_eq!(finished.count("/outcomes/same"), 12, "{finished}");
        assert_eq!(server.query_in("app", "select n from t order by n"), ALL_THREE);
    }
}
