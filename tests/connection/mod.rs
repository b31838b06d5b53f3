//! The connection to the target, against real PostgreSQL.

mod catalog;
mod durations;
mod login;
mod observer;
mod targets;

use std::process::Command;
use std::time::{Duration, Instant};

use kreplay::postgres::{Batch, Connection, Host, Reply, Request, Target, TargetSettings};
use kreplay::replay::session::parameter_types::{Refusal, TypeSearch};
use kreplay::replay::session::request::TransactionStatus;
use kreplay::replay::settings::Login;

use testkit::postgres::Server;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

const NO_PARAMS: &[Option<&str>] = &[];

fn settings(server: &Server) -> TargetSettings {
    TargetSettings { hosts: vec![Host::new("127.0.0.1", server.port())], ..Default::default() }
}

fn login(user: &str, database: &str) -> Login {
    Login { user: user.into(), database: database.into(), application_name: "kreplay tests".into() }
}

async fn connect_to(server: &Server, database: &str) -> Connection {
    let target = Target::new(settings(server)).expect("usable settings");
    target.connect(&login("postgres", database)).await.expect("a connection")
}

async fn connect(server: &Server) -> Connection {
    connect_to(server, "postgres").await
}

async fn simple(connection: &Connection, sql: &str) -> Reply {
    connection.run(Request::Simple(sql)).await.expect("an answer")
}

fn batch(build: impl FnOnce(&mut Batch)) -> Request<'static> {
    let mut batch = Batch::new();
    build(&mut batch);
    Request::Batch(batch)
}

async fn extended(connection: &Connection, build: impl FnOnce(&mut Batch)) -> Reply {
    connection.run(batch(build)).await.expect("an answer")
}

fn sqlstate(reply: &Reply) -> &str {
    reply.error.as_ref().map_or("00000", |error| error.sqlstate.as_str())
}

/// Succeeded, completed and rows at once.
fn outcome(reply: &Reply) -> (&str, u32, u64) {
    (sqlstate(reply), reply.completed, reply.rows)
}

#[actix_rt::test]
async fn a_statement_is_answered_with_its_rows_and_the_transaction_status() {
    for version in [15, 18] {
        let server = Server::start(version);
        let connection = connect(&server).await;
        let reply = simple(&connection, "SELECT generate_series(1, 5)").await;
        assert_eq!((outcome(&reply), reply.status), (("00000", 1, 5), TransactionStatus::Idle));
        let reply = simple(&connection, "").await;
        assert_eq!(outcome(&reply), ("00000", 1, 0));
        let reply = simple(&connection, "BEGIN").await;
        assert_eq!(reply.status, TransactionStatus::InTransaction);
        let reply = simple(&connection, "SELECT 1; SELECT 1/0; SELECT 2").await;
        assert_eq!(outcome(&reply), ("22012", 1, 1));
        assert_eq!(reply.status, TransactionStatus::Failed);
        connection.close().await;
    }
}

#[actix_rt::test]
async fn a_commit_that_becomes_a_rollback_shows_in_the_status_before_it() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "CREATE TABLE t (id int)").await;
    simple(&connection, "BEGIN").await;
    simple(&connection, "INSERT INTO t VALUES (1)").await;
    let reply = simple(&connection, "SELECT * FROM nowhere").await;
    assert_eq!((sqlstate(&reply), reply.status), ("42P01", TransactionStatus::Failed));
    assert_eq!(connection.status(), TransactionStatus::Failed);
    let reply = simple(&connection, "COMMIT").await;
    assert_eq!((sqlstate(&reply), reply.status), ("00000", TransactionStatus::Idle));
    assert_eq!(simple(&connection, "SELECT * FROM t").await.rows, 0);
}

#[actix_rt::test]
async fn a_statement_prepared_under_its_name_can_be_executed_from_sql() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    let reply = extended(&connection, |batch| {
        batch.parse("S_1", "SELECT * FROM generate_series(1, $1)", &[]);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 0, 0));
    let reply = simple(&connection, r#"EXECUTE "S_1"(3)"#).await;
    assert_eq!(outcome(&reply), ("00000", 1, 3));
    let reply = extended(&connection, |batch| {
        batch.bind("", "S_1", &[Some("4")]).execute("", 0);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 1, 4));
    // Closing what is not there is no error, so a name can be used again safely.
    let reply = extended(&connection, |batch| {
        batch.close_statement("S_1").close_statement("S_1").close_portal("none");
    })
    .await;
    assert_eq!(sqlstate(&reply), "00000");
    let reply = simple(&connection, r#"EXECUTE "S_1"(3)"#).await;
    assert_eq!(sqlstate(&reply), "26000");
}

#[actix_rt::test]
async fn a_portal_is_a_cursor_to_sql() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "BEGIN").await;
    let reply = extended(&connection, |batch| {
        batch
            .parse("", "SELECT generate_series(1, 10)", &[])
            .bind("C_2", "", NO_PARAMS)
            .execute("C_2", 2);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 1, 2));
    assert_eq!(outcome(&simple(&connection, r#"MOVE 1 IN "C_2""#).await), ("00000", 1, 1));
    let reply = extended(&connection, |batch| {
        batch.execute("C_2", 0);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 1, 7));
}

#[actix_rt::test]
async fn executes_under_one_sync_are_one_transaction_and_counted_up_to_the_error() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let reply = extended(&connection, |batch| {
        batch.parse("i", "INSERT INTO t VALUES ($1)", &[]);
        for id in ["1", "2", "1", "3"] {
            batch.bind("", "i", &[Some(id)]).execute("", 0);
        }
    })
    .await;
    assert_eq!(outcome(&reply), ("23505", 2, 2));
    assert_eq!(reply.status, TransactionStatus::Idle);
    assert!(!reply.error.expect("an error").before_execute);
    assert_eq!(simple(&connection, "SELECT * FROM t").await.rows, 0);
}

#[actix_rt::test]
async fn copy_from_stdin_fails_and_leaves_the_connection_usable() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "CREATE TABLE t (id int)").await;
    for _ in 0..3 {
        let reply = simple(&connection, "INSERT INTO t VALUES (1); COPY t FROM STDIN").await;
        assert_eq!(outcome(&reply), ("57014", 1, 1));
        let reply = extended(&connection, |batch| {
            batch.command("INSERT INTO t VALUES (1)").command("COPY t FROM STDIN");
        })
        .await;
        assert_eq!(outcome(&reply), ("57014", 1, 1));
        assert!(!reply.error.expect("an error").before_execute);
        assert_eq!(outcome(&simple(&connection, "SELECT * FROM t").await), ("00000", 1, 0));
    }
}

#[actix_rt::test]
async fn copy_to_stdout_counts_its_rows() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    let copy = "COPY (SELECT generate_series(1, 1000)) TO STDOUT";
    assert_eq!(outcome(&simple(&connection, copy).await), ("00000", 1, 1000));
    let reply = extended(&connection, |batch| {
        batch.command(copy);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 1, 1000));
}

#[actix_rt::test]
async fn statements_sent_behind_a_copy_lose_the_connection() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "CREATE TABLE t (id int)").await;
    connection.send(Request::Simple("COPY t FROM STDIN"));
    connection.send(Request::Simple("SELECT 1"));
    assert!(connection.answer().await.expect_err("lost").reason.contains("COPY"));
    connection.answer().await.expect_err("lost");
    assert!(connection.is_closed());
}

#[actix_rt::test]
async fn a_result_of_200_megabytes_costs_no_memory() {
    // In a process of its own, whose memory is not that of the tests beside it.
    const ALONE: &str = "KREPLAY_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let output = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "connection::a_result_of_200_megabytes_costs_no_memory"])
            .env(ALONE, "1")
            .output()
            .expect("this program can be run again");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let server = Server::start(15);
    let connection = connect(&server).await;
    let before = peak_memory();
    let rows = "SELECT repeat('x', 1024 * 1024) FROM generate_series(1, 200)";
    assert_eq!(simple(&connection, rows).await.rows, 200);
    let rows = "SELECT repeat('x', 200 * 1024 * 1024)";
    assert_eq!(simple(&connection, rows).await.rows, 1);
    let grown = peak_memory() - before;
    assert!(grown < 50 << 20, "memory grew by {grown} bytes");
}

/// The most memory that this process has had so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux");
    let kilobytes = line.split_whitespace().nth(1).expect("a number");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

#[actix_rt::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    for n in 1..=64 {
        let series = format!("SELECT generate_series(1, {n})");
        connection.send(match n % 4 {
            0 => Request::Simple("SELECT * FROM nowhere"),
            1 => Request::Simple(&series),
            _ => batch(|batch| {
                batch
                    .parse("", "SELECT generate_series(1, $1::int)", &[])
                    .bind("", "", &[Some(n.to_string())])
                    .execute("", 0);
            }),
        });
    }
    for n in 1..=64 {
        let reply = connection.answer().await.expect("an answer");
        let expected = if n % 4 == 0 { ("42P01", 0, 0) } else { ("00000", 1, n) };
        assert_eq!(outcome(&reply), expected, "request {n}");
    }
}

#[actix_rt::test]
async fn what_is_asked_for_is_carried_out_even_if_nobody_waits() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    connection.send(Request::Simple("CREATE TABLE t (id int)"));
    connection.send(Request::Simple("INSERT INTO t VALUES (1)"));
    connection.close().await;
    assert_eq!(server.query("SELECT count(*) FROM t"), "1");
}

#[actix_rt::test]
async fn a_running_statement_can_be_canceled() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    connection.send(Request::Simple("SELECT pg_sleep(600)"));
    let deadline = Instant::now() + PATIENCE;
    // The first may come before the statement does.
    let reply = loop {
        assert!(Instant::now() < deadline, "it was not canceled");
        connection.cancel().await.expect("the request is delivered");
        let waiting = tokio::time::timeout(Duration::from_millis(100), connection.answer());
        if let Ok(answer) = waiting.await {
            break answer.expect("an answer");
        }
    };
    assert_eq!(sqlstate(&reply), "57014");
    // Canceling nothing does nothing.
    connection.cancel().await.expect("the request is delivered");
    connection.close().await;
}

#[actix_rt::test]
async fn a_server_that_dies_loses_everything_under_way() {
    let mut server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "SELECT 1").await;
    (0..3).for_each(|_| connection.send(Request::Simple("SELECT pg_sleep(600)")));
    server.kill();
    for _ in 0..3 {
        let lost = connection.answer().await.expect_err("lost");
        assert!(!lost.reason.is_empty());
    }
    assert!(connection.is_closed());
    let lost = connection.run(Request::Simple("SELECT 1")).await.expect_err("lost");
    assert!(!lost.reason.is_empty());
    connection.close().await;
}

#[actix_rt::test]
async fn a_terminated_session_says_so() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    connection.send(Request::Simple("SELECT pg_sleep(600)"));
    let pid = connection.backend_pid();
    // The server has to be asked while the connection is driven.
    let terminated = tokio::task::spawn_blocking(move || {
        // It must not stop before the backend has said why it ends.
        (server.query(&format!("SELECT pg_terminate_backend({pid})")), server)
    });
    let lost = connection.answer().await.expect_err("lost");
    let error = lost.error.as_ref().expect("what the server said");
    assert_eq!(error.sqlstate.as_str(), "57P01");
    assert!(error.severity_fatal && lost.to_string().contains("57P01"), "{lost}");
    assert_eq!(terminated.await.expect("psql").0, "t");
}

#[actix_rt::test]
async fn an_idle_session_that_is_terminated_is_noticed() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    server.query(&format!("SELECT pg_terminate_backend({})", connection.backend_pid()));
    let deadline = Instant::now() + PATIENCE;
    while !connection.is_closed() {
        assert!(Instant::now() < deadline, "the end was not noticed");
        tokio::task::yield_now().await;
    }
    let lost = connection.run(Request::Simple("SELECT 1")).await.expect_err("lost");
    assert_eq!(lost.error.expect("what the server said").sqlstate.as_str(), "57P01");
}

#[actix_rt::test]
async fn a_closed_session_is_gone_from_the_server_and_rolled_back() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    let pid = connection.backend_pid();
    simple(&connection, "CREATE TABLE t (id int)").await;
    simple(&connection, "BEGIN; LOCK t").await;
    connection.close().await;
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(server.query(&left), "0");
    assert_eq!(server.query("BEGIN; SET lock_timeout = 1; LOCK t; SELECT 1; COMMIT"), "1");
}

#[actix_rt::test]
async fn a_database_that_is_not_utf8_gets_its_own_encoding() {
    let server = Server::start(15);
    server.query("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
    let connection = connect_to(&server, "latin").await;
    let reply = simple(&connection, "SELECT 1 WHERE octet_length('größe') = 5").await;
    assert_eq!(outcome(&reply), ("00000", 1, 1));
    let reply = extended(&connection, |batch| {
        batch
            .parse("", "SELECT 1 WHERE octet_length($1) = 5", &[25])
            .bind("", "", &[Some("größe")])
            .execute("", 0);
    })
    .await;
    assert_eq!(outcome(&reply), ("00000", 1, 1));
    assert_eq!(sqlstate(&simple(&connection, "SELECT '☃'").await), "22P05");
    let reply = simple(&connection, "SELECT * FROM größe").await;
    assert!(reply.error.expect("an error").message.contains("größe"));
}

#[actix_rt::test]
async fn long_statements_arrive_whole() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    for length in [10_000, 1 << 20, 20 << 20] {
        let text = "x".repeat(length);
        let sql = format!("SELECT 1 WHERE length('{text}') = {length}");
        connection.send(Request::Simple(&sql));
        connection.send(batch(|batch| {
            batch.command(&sql);
        }));
        connection.send(batch(|batch| {
            batch
                .parse("", &format!("SELECT 1 WHERE length($1) = {length}"), &[])
                .bind("", "", &[Some(&text)])
                .execute("", 0);
        }));
        connection.send(Request::Simple("SELECT 1"));
        for _ in 0..4 {
            let reply = connection.answer().await.expect("an answer");
            assert_eq!(outcome(&reply), ("00000", 1, 1));
        }
    }
}

#[actix_rt::test]
async fn a_flood_of_notices_is_passed_over() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "LISTEN news").await;
    let flood = "DO $$ BEGIN FOR i IN 1..50000 LOOP RAISE NOTICE 'news %', i; END LOOP; END $$";
    assert_eq!(outcome(&simple(&connection, flood).await), ("00000", 1, 0));
    let notify = "SELECT pg_notify('news', i::text) FROM generate_series(1, 1000) i";
    assert_eq!(outcome(&simple(&connection, notify).await), ("00000", 1, 1000));
    let settings = "SET TimeZone = 'Asia/Tokyo'; SET client_encoding = 'LATIN1'; SELECT 1";
    assert_eq!(outcome(&simple(&connection, settings).await), ("00000", 3, 1));
}

#[actix_rt::test]
async fn what_the_protocol_cannot_carry_fails_on_the_server() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    simple(&connection, "BEGIN").await;
    let reply = simple(&connection, "SELECT 'a\0b'").await;
    assert_eq!((sqlstate(&reply), reply.status), ("08P01", TransactionStatus::Failed));
    simple(&connection, "ROLLBACK").await;
    let many = vec![Some("1"); 70_000];
    let reply = extended(&connection, |batch| {
        batch.parse("", "SELECT 1", &[]).bind("", "", &many).execute("", 0);
    })
    .await;
    assert_eq!((sqlstate(&reply), reply.status), ("08P01", TransactionStatus::Idle));
    assert_eq!(outcome(&simple(&connection, "SELECT 1").await), ("00000", 1, 1));
}

#[actix_rt::test]
async fn parameters_that_the_server_cannot_type_are_typed_by_their_values() {
    let server = Server::start(15);
    server.query(
        "CREATE TABLE t (id int);
         CREATE FUNCTION half(a int, OUT b int) LANGUAGE sql AS 'SELECT a / 2';",
    );
    let connection = connect(&server).await;
    let range = Some("[5,15]");
    for (sql, params, refusals) in [
        ("SELECT * FROM t WHERE id = $1", vec![Some("7")], vec![]),
        ("SELECT pg_typeof($1)", vec![Some("7")], vec!["42P18"]),
        ("SELECT $1 + $2", vec![Some("7"), Some("2.5")], vec!["42725"]),
        ("SELECT * FROM t WHERE id = $1", vec![Some("12.5")], vec!["22P02"]),
        ("SELECT round($1, $2)", vec![Some("2.5"), Some("1")], vec![]),
        ("SELECT * FROM half($1, $2)", vec![Some("8"), None], vec!["42883", "42883"]),
        ("SELECT concat($1, $2)", vec![Some("8"), Some("x")], vec!["42P18", "42P18"]),
        (
            "SELECT jsonb_build_object($1, $2, 'x', $3::date)",
            vec![Some("a"), None, None],
            vec!["42P18"; 2],
        ),
        // Of ranges and intervals the server infers the wrong type from the other side.
        ("SELECT $1::numrange @> $2", vec![range, Some("7")], vec!["22P02", "42883", "42883"]),
        ("SELECT $1::numrange @> $2", vec![range, Some("[6,7)")], vec![]),
        ("SELECT int4range(1, 20) @> $1", vec![Some("7")], vec!["22P02"]),
        ("SELECT $1 && $2", vec![range, Some("(1,9]")], vec!["42725"]),
        ("SELECT upper($1), lower($2)", vec![Some("[1.5,2)"), Some("X")], vec![]),
        ("SELECT isempty($1)", vec![Some("empty")], vec!["42725", "42883"]),
        ("SELECT $1 + current_date", vec![Some("5 days")], vec!["42725"]),
        ("SELECT now() - $1", vec![Some("1 mon 2 days 03:04:05")], vec!["22007"]),
        ("SELECT now() - $1", vec![Some("00:00:30")], vec!["22007"]),
        ("SELECT date_part('hour', $1)", vec![Some("00:00:30")], vec!["42725"]),
        ("SELECT $1 - $2", vec![Some("2012-05-10 12:15:25"), Some("5 days")], vec!["42725"]),
        ("SELECT array_length($1, 1)", vec![Some("{1,2}")], vec!["42804"]),
        ("SELECT $1 || $2", vec![Some("{1,2}"), Some("3")], vec![]),
        (
            "SELECT generate_series($1, $2, $3)",
            vec![Some("2026-01-01"), Some("2026-01-03"), Some("1 day")],
            vec!["42725"],
        ),
    ] {
        let values: Vec<_> = params.iter().map(|value| value.map(Box::from)).collect();
        let mut search = TypeSearch::new(params.len());
        let mut seen = Vec::new();
        loop {
            let reply = extended(&connection, |batch| {
                batch.parse("", sql, &search.types()).bind("", "", &params).execute("", 0);
            })
            .await;
            let Some(error) = reply.error else { break };
            assert!(error.before_execute, "{sql}: {error}");
            let refusal = Refusal { code: error.sqlstate, parameter: error.parameter };
            assert!(search.refused(refusal, &values, sql), "{sql}: {error}");
            seen.push(error.sqlstate.to_string());
        }
        assert_eq!(seen, refusals, "{sql}");
    }
}
