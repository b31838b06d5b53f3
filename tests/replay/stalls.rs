//! A record can stand before the one that freed its statement: nothing hangs, whoever waits for
//! whom, and what was broken is told.

use std::time::{Duration, Instant};

use serde_json::json;

use testkit::fixture::DATABASE;
use testkit::kreplay::{Finished, Kreplay};
use testkit::log::Log;
use testkit::postgres::Server;

/// Rows 1, 2 and 3 of a table, each with a value of its own.
const TABLE: &str = "create table t (id int primary key, v text not null);
    insert into t values (1, 'a'), (2, 'b'), (3, 'c');";

/// Appends a letter to a row: the result tells the order. Which row is known to nobody but the server.
fn append(id: u32, letter: char) -> String {
    format!("update t set v = v || '{letter}' where id + 0 = {id}")
}

/// Replays the log on a server of its own with [`TABLE`]; gives the values of its rows beside the
/// account.
fn replay(log: &Log) -> (String, Finished) {
    replay_on(&Server::start(15), log, &["--order", "serial"])
}

fn replay_on(server: &Server, log: &Log, arguments: &[&str]) -> (String, Finished) {
    server.query(&format!("drop database if exists {DATABASE}"));
    server.query(&format!("create database {DATABASE}"));
    server.query_in(DATABASE, TABLE);
    let file = log.file();
    let started = Instant::now();
    let replay = Kreplay::new().target(server).args(arguments).arg("--input").arg(file.path());
    let finished = replay.run().well();
    // No time-out has helped: neither --shutdown-timeout, which warns, nor --idle-timeout, a minute.
    assert!(!finished.stderr.contains("WARN"), "{finished}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}\n{finished}", started.elapsed());
    let rows = server.query_in(DATABASE, "select string_agg(v, ' ' order by id) from t");
    assert_eq!(server.query("select count(*) from pg_prepared_xacts"), "0");
    (rows, finished)
}

/// Logged at their end, a waiter can stand before the COMMIT that freed it: the COMMIT is logged
/// after its locks are gone.
fn waiter_before_commit() -> Log {
    Log::new()
        .ended(1, ["begin", &append(1, 'x')])
        .ended(2, [append(1, 'y')])
        .ended(1, ["commit"])
        .ended(2, [append(2, 'y')])
}

#[test]
fn where_the_row_is_known_its_waiter_is_sent_behind_the_commit_and_never_waits() {
    let log = Log::new()
        .ended(1, ["begin", "delete from t where id = 1", "insert into t values (1, 'x')"])
        .ended(2, ["update t set v = v || 'y' where id = 1"])
        .ended(1, ["commit"]);
    for order in ["serial", "conflict"] {
        let (rows, finished) = replay_on(&Server::start(15), &log, &["--order", order]);
        assert_eq!(rows, "xy b c", "{order}: {finished}");
        assert_eq!(finished.report["stalls_broken"], json!({}), "{order}: {finished}");
    }
}

#[test]
fn a_waiter_that_stands_before_the_commit_of_its_blocker_is_freed_by_an_early_commit() {
    let (rows, finished) = replay(&waiter_before_commit());
    assert_eq!(rows, "axy by c", "{finished}");
    assert_eq!(finished.report["stalls_broken"], json!({"early_end": 1}), "{finished}");
    assert!(finished.stdout.contains("stalls broken  early_end 1"), "{finished}");
    assert_eq!(finished.count("/outcomes/same"), 5, "{finished}");
}

#[test]
fn a_waiter_that_stands_before_a_rollback_is_freed_by_it() {
    let log = Log::new()
        .ended(1, ["begin", &append(1, 'x')])
        .ended(2, [append(1, 'y')])
        .ended(1, ["rollback"]);
    let (rows, finished) = replay(&log);
    assert_eq!(rows, "ay b c", "{finished}");
    assert_eq!(finished.report["stalls_broken"], json!({"early_end": 1}), "{finished}");
}

#[test]
fn a_blocker_whose_commit_is_not_due_is_waited_for_and_ends_early_once() {
    let log = Log::new()
        .ended(1, ["begin", &append(1, 'x')])
        .ended(2, [append(1, 'y')])
        .silent(1500)
        .ended(1, ["commit"])
        .ended(2, [append(2, 'y')]);
    let started = Instant::now();
    let (rows, finished) =
        replay_on(&Server::start(15), &log, &["--order", "serial", "--speed", "1"]);
    assert!(started.elapsed() > Duration::from_millis(1500), "{finished}");
    assert_eq!(rows, "axy by c", "{finished}");
    assert_eq!(finished.report["stalls_broken"], json!({"early_end": 1}), "{finished}");
}

/// Logged at its start, a waiter stands before all that its blocker still did.
fn waiter_before_statements() -> Log {
    Log::new()
        .started(1, &["begin", &append(1, 'x')])
        .started(2, &[&append(1, 'y')])
        .started(1, &[&append(2, 'x'), &append(3, 'x'), "commit"])
        .started(3, &[&append(3, 'z')])
}

#[test]
fn a_blocker_goes_on_alone_until_its_waiter_is_free() {
    let (rows, finished) = replay(&waiter_before_statements());
    assert_eq!(rows, "axy bx cxz", "{finished}");
    let broken = json!({"early_advance": 2, "early_end": 1});
    assert_eq!(finished.report["stalls_broken"], broken, "{finished}");
}

/// The blocker's backend crashed, or the rest of its log was lost.
fn blocker_without_an_end() -> Log {
    Log::new().ended(1, ["begin", &append(1, 'x')]).ended(2, [append(1, 'y'), append(2, 'y')])
}

#[test]
fn a_blocker_without_a_record_left_is_given_up_where_the_input_ends() {
    let (rows, finished) = replay(&blocker_without_an_end());
    assert_eq!(rows, "ay by c", "its transaction was rolled back: {finished}");
    assert_eq!(finished.report["stalls_broken"], json!({"blocker_closed": 1}), "{finished}");
}

/// The third waits for the second, which, in its next statement, waits for the first.
fn chain() -> Log {
    Log::new()
        .started(1, &["begin", &append(1, 'x')])
        .started(2, &["begin", &append(2, 'y')])
        .started(3, &[&append(2, 'z')])
        .started(2, &[&append(1, 'y')])
        .started(1, &["commit"])
        .started(2, &["commit"])
}

#[test]
fn a_chain_of_waiters_is_freed_from_its_far_end() {
    let (rows, finished) = replay(&chain());
    assert_eq!(rows, "axy byz c", "{finished}");
    let broken = json!({"early_advance": 1, "early_end": 2});
    assert_eq!(finished.report["stalls_broken"], broken, "{finished}");
}

/// A transaction that its session has handed over, and somebody else ends.
fn prepared_transaction() -> Log {
    Log::new()
        .ended(1, ["begin", &append(1, 'x'), "prepare transaction 'two-phase'"])
        .ended(2, [append(1, 'y')])
        .ended(3, ["commit prepared 'two-phase'"])
        .ended(2, [append(2, 'y')])
}

#[test]
fn a_waiter_for_a_prepared_transaction_is_freed_by_whoever_ends_it() {
    let (rows, finished) = replay(&prepared_transaction());
    assert_eq!(rows, "axy by c", "{finished}");
    assert_eq!(finished.report["stalls_broken"], json!({"early_advance": 1}), "{finished}");
}

/// Replays every log here with room for one statement, and for two.
#[track_caller]
fn nothing_hangs_with_little_room(order: &str) {
    let logs: [(&str, Log, &str); 5] = [
        ("waiter before COMMIT", waiter_before_commit(), "axy by c"),
        ("waiter before statements", waiter_before_statements(), "axy bx cxz"),
        ("blocker without an end", blocker_without_an_end(), "ay by c"),
        ("chain", chain(), "axy byz c"),
        ("prepared transaction", prepared_transaction(), "axy by c"),
    ];
    let server = Server::start(15);
    for (name, log, expected) in &logs {
        for limit in ["1", "2"] {
            let limited = ["--order", order, "--max-in-flight", limit];
            let (mut rows, finished) = replay_on(&server, log, &limited);
            if order == "session" {
                // Nothing is lost; who is first is left open.
                rows = rows.split(' ').map(sorted).collect::<Vec<_>>().join(" ");
            }
            assert_eq!(rows, *expected, "{name}, {order} order, {limit} in flight: {finished}");
        }
    }
}

fn sorted(letters: &str) -> String {
    let mut letters: Vec<char> = letters.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[test]
fn in_serial_order_nothing_hangs_where_all_in_flight_waits_for_what_has_not_been_read() {
    nothing_hangs_with_little_room("serial");
}

#[test]
fn in_session_order_nothing_hangs_where_all_in_flight_waits_for_what_has_not_been_read() {
    nothing_hangs_with_little_room("session");
}
