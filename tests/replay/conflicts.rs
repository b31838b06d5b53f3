//! Transactions that do not commute, recorded from many clients at once.

use std::io::Write as _;

use serde_json::json;
use tempfile::NamedTempFile;

use testkit::kreplay::{Finished, Kreplay};
use testkit::postgres::Server;
use testkit::source::{pgbench, record};

/// How often each log is replayed in each order: what goes wrong seldom does not go wrong always.
const TIMES: usize = 10;

fn set_up(rows: u32) -> String {
    format!(
        "create table account (id int primary key, v bigint not null);
         insert into account select i, i from generate_series(1, {rows}) i"
    )
}

/// Locks two rows in the order of their keys, and reads only what it has locked.
fn script(rows: u32) -> String {
    format!(
        r"
\set one random(1, {rows})
\set other random(1, {rows})
\set low least(:one, :other)
\set high greatest(:one, :other)
\set k random(1, 1000)
BEGIN;
UPDATE account SET v = (v * 31 + :k) % 1000003 WHERE id = :low;
UPDATE account SET v = (v * 31 + :k) % 1000003 WHERE id = :high;
SELECT v FROM account WHERE id = :high FOR UPDATE;
COMMIT;
"
    )
}

const STATE: &str = "select id, v from account order by id";

/// What sixteen clients did, as a file, and the state that they left.
fn recorded(rows: u32, arguments: &[&str]) -> (NamedTempFile, String) {
    let mut state = String::new();
    let (records, _) = record(&set_up(rows), |server| {
        let clients = ["-c", "16", "-t", "25", "--random-seed=7"];
        let mut clients = pgbench(server, &script(rows), &[&clients, arguments].concat());
        assert!(clients.wait().expect("pgbench").success());
        state = server.query(STATE);
    });
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&records.join(&b"\n"[..])).expect("it can be written");
    (file, state)
}

fn replay(server: &Server, log: &NamedTempFile, arguments: &[&str]) -> Finished {
    let replay = Kreplay::new().target(server).args(arguments).arg("--input").arg(log.path());
    replay.run().well()
}

/// Replays it in this order, again and again, each time from the state that the source began with.
fn leads_to_the_sources_state(rows: u32, arguments: &[&str], order: &[&str]) {
    let (log, source) = recorded(rows, arguments);
    let server = Server::start(15);
    server.query(&set_up(rows));
    for time in 1..=TIMES {
        let finished = replay(&server, &log, order);
        assert!(server.query(STATE) == source, "{rows} rows, time {time}, {order:?}: {finished}");
        // pgbench asks something of its own, too.
        assert!(finished.statements() > 16 * 25 * 5, "{finished}");
        assert_eq!(finished.statements(), finished.count("/outcomes/same"), "{finished}");
        if order.contains(&"conflict") {
            // Whoever starts has nobody to wait for: no statement ever has to go out of its order.
            assert_eq!(finished.report["stalls_broken"], json!({}), "time {time}: {finished}");
        }
        server.query(&format!("drop table account; {}", set_up(rows)));
    }
}

#[test]
fn in_serial_order_few_hot_rows_end_as_on_the_source() {
    leads_to_the_sources_state(5, &[], &["--order", "serial"]);
}

#[test]
fn in_serial_order_hot_rows_end_as_on_the_source() {
    leads_to_the_sources_state(50, &["-M", "prepared"], &["--order", "serial"]);
}

#[test]
fn in_serial_order_many_rows_end_as_on_the_source() {
    leads_to_the_sources_state(500, &["-M", "extended"], &["--order", "serial"]);
    leads_to_the_sources_state(2000, &[], &["--order", "serial"]);
}

#[test]
fn in_conflict_order_few_hot_rows_end_as_on_the_source() {
    leads_to_the_sources_state(5, &[], &["--order", "conflict"]);
}

#[test]
fn in_conflict_order_hot_rows_end_as_on_the_source() {
    leads_to_the_sources_state(50, &["-M", "prepared"], &["--order", "conflict"]);
}

#[test]
fn in_conflict_order_many_rows_end_as_on_the_source() {
    leads_to_the_sources_state(500, &["-M", "extended"], &["--order", "conflict"]);
    leads_to_the_sources_state(2000, &[], &["--order", "conflict"]);
}

#[test]
fn a_bound_on_what_is_in_flight_hangs_no_order() {
    let (log, source) = recorded(5, &[]);
    let server = Server::start(15);
    for order in ["serial", "conflict", "session"] {
        server.query(&set_up(5));
        // Every statement in flight may wait for a COMMIT that has not been read.
        let finished = replay(&server, &log, &["--order", order, "--max-in-flight", "4"]);
        let same = server.query(STATE) == source;
        assert!(same || order == "session", "{order}: {finished}");
        server.query("drop table account");
    }
}
