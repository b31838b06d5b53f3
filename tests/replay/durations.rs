//! The target's own durations, in band; and what sessions see of that: nothing.

use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;

const APP: Client = Client { user: "app", database: "app", application: "shop" };
const VERSIONS: [u32; 2] = [15, 18];

fn server(version: u32) -> Server {
    let server = Server::start(version);
    server.query("create database app");
    server.query("create role app login");
    let tables = "create table seen (id serial, client text, duration text, minimum text);
        create table names (name text); insert into names values ('client_min_messages');
        grant all on all tables in schema public to public;
        grant usage on all sequences in schema public to public;
        create function raises() returns void language plpgsql as
            $$ begin raise log 'duration: 77777.000 ms'; end $$;
        create function hushes() returns void language plpgsql as
            $$ begin perform set_config('client_min_messages', 'error', false); end $$";
    server.query_in("app", tables);
    server
}

fn replay(server: &Server, log: &Log, arguments: &[&str]) -> Finished {
    let file = log.file();
    let kreplay = Kreplay::new().target(server).env("RUST_LOG", "kreplay=debug").args(arguments);
    kreplay.arg("--input").arg(file.path()).run()
}

/// The server's durations of the statements that ran, in milliseconds and in their order.
fn on_server(finished: &Finished) -> Vec<Option<f64>> {
    let ran = finished.stderr.lines().filter_map(|line| line.split_once(" on_server="));
    let mut figures: Vec<(u64, Option<f64>)> = ran
        .map(|(before, figure)| {
            let (_, seq) = before.split_once(" seq=").expect("its place");
            let seq = seq.split(' ').next().and_then(|seq| seq.parse().ok()).expect("a number");
            (seq, figure.trim().strip_prefix("Some(").map(|it| ms(it.trim_end_matches(')'))))
        })
        .collect();
    figures.sort_by_key(|(seq, _)| *seq);
    figures.into_iter().map(|(_, figure)| figure).collect()
}

/// A duration as Rust writes it.
fn ms(text: &str) -> f64 {
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1000.0)];
    let (figure, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .expect("a duration");
    figure.parse::<f64>().expect("a number") * factor
}

/// Whether they are the durations of statements that slept so long, in milliseconds, and did little else.
fn slept(figures: &[Option<f64>], expected: &[f64]) {
    assert_eq!(figures.len(), expected.len(), "{figures:?}");
    for (figure, least) in figures.iter().zip(expected) {
        let figure = figure.unwrap_or_else(|| panic!("one is missing: {figures:?}"));
        assert!(figure >= *least && figure < least + 60.0, "{figures:?}");
    }
}

const SLEEPS: [&str; 4] =
    ["select pg_sleep(0.1)", "select 1", "select pg_sleep(0.2)", "select pg_sleep(0)"];

#[test]
fn each_statement_that_is_sent_ahead_gets_the_servers_own_duration() {
    for version in VERSIONS {
        let server = server(version);
        let mut log = Log::new().ended(1, SLEEPS);
        for seconds in ["0.1", "0.0", "0.2"] {
            log = log.executed(2, "select pg_sleep($1)", &[seconds]);
        }
        let finished = replay(&server, &log, &["--order", "session"]).well();
        slept(&on_server(&finished), &[100.0, 0.0, 200.0, 0.0, 100.0, 0.0, 200.0]);
        assert!(!server.log().contains("duration:"), "they are kept out of the target's own log");
    }
}

#[test]
fn what_a_statement_raises_is_no_duration() {
    let server = server(15);
    let forging = "do $$ begin raise log 'duration: 99999.000 ms'; perform pg_sleep(0.1); end $$";
    let log = Log::new().ended(1, [forging, "select raises()", "select 1"]);
    slept(&on_server(&replay(&server, &log, &[]).well()), &[100.0, 0.0, 0.0]);
}

/// Notes what the session's settings are, as it sees them.
const SEES: &str = "insert into seen (client, duration, minimum) select \
    current_setting('client_min_messages'), current_setting('log_duration'), \
    current_setting('log_min_messages')";

/// The one that it sees in a transaction as well.
const SEES_CLIENT: &str = "insert into seen (client) select current_setting('client_min_messages')";

/// What sessions do with these settings. `pg_sleep` marks what is to be measured by the server.
const SESSIONS: [&[&str]; 16] = [
    &[SEES, "select pg_sleep(0)"],
    // As Rails begins each connection.
    &["set client_min_messages to warning", "select pg_sleep(0)", SEES, "select pg_sleep(0)", SEES],
    &["set client_min_messages = 'error'", "reset client_min_messages", "select pg_sleep(0)", SEES],
    &[
        "select set_config('client_min_messages', 'debug1', false)",
        SEES,
        "reset all",
        "select pg_sleep(0)",
        SEES,
    ],
    &["set log_duration to on", "discard all", "select pg_sleep(0)", SEES, "select pg_sleep(0)"],
    &["set log_min_messages to error", SEES, "set log_duration = off", "select pg_sleep(0)", SEES],
    &[
        "begin",
        "set local client_min_messages = error",
        "select pg_sleep(0)",
        SEES_CLIENT,
        "select pg_sleep(0)",
        "commit",
        "select pg_sleep(0)",
        SEES,
    ],
    &[
        "begin",
        "set client_min_messages = warning",
        SEES_CLIENT,
        "select pg_sleep(0)",
        "commit",
        "begin",
        "set client_min_messages = error",
        "rollback",
        SEES,
        "select pg_sleep(0)",
    ],
    &[
        "begin",
        "set local client_min_messages = info",
        "savepoint a",
        "set local client_min_messages = error",
        SEES_CLIENT,
        "rollback to a",
        "select pg_sleep(0)",
        SEES_CLIENT,
        "release a",
        SEES_CLIENT,
        "commit",
        SEES,
    ],
    &["begin", "reset all", "select 1", SEES_CLIENT, "commit", "select pg_sleep(0)", SEES],
    &["begin isolation level serializable", SEES_CLIENT, "select pg_sleep(0)", "commit", SEES],
    &[
        "begin",
        "set client_min_messages = warning",
        "set transaction isolation level repeatable read",
        "select pg_sleep(0)",
        SEES_CLIENT,
        "commit",
    ],
    &[
        "prepare sees as insert into seen (client, duration, minimum) select \
         current_setting('client_min_messages'), setting, '' from pg_settings \
         where name = 'log_duration'",
        "set client_min_messages to warning",
        "execute sees",
        "select pg_sleep(0)",
    ],
    &[
        "insert into seen (client) select current_setting(name) from names",
        "select pg_sleep(0)",
        "create function quiet() returns text language sql set client_min_messages from current \
         as 'select current_setting(''client_min_messages'')'",
        "insert into seen (client) select quiet()",
    ],
    &[
        "set client_min_messages = warning; select 1",
        "do $$ begin insert into seen (client) values (current_setting('client_min_messages')); end $$",
        "select pg_sleep(0)",
    ],
    &[
        "set role app",
        "select pg_sleep(0)",
        "begin",
        "reset all",
        "select 1",
        "commit",
        "reset role",
        SEES,
    ],
];

#[test]
fn a_session_sees_its_own_settings_and_is_measured_all_the_same() {
    for version in VERSIONS {
        let mut seen = Vec::new();
        for durations in ["client", "server"] {
            let server = server(version);
            for session in SESSIONS {
                let log = Log::new().ended(1, session);
                let arguments = ["--order", "session", "--target-durations", durations];
                let finished = replay(&server, &log, &arguments).well();
                let figures = on_server(&finished);
                for (statement, figure) in session.iter().zip(&figures) {
                    let measured = durations == "server" && statement.contains("pg_sleep");
                    let is_right = if durations == "client" { figure.is_none() } else { true };
                    assert!(
                        is_right && (!measured || figure.is_some()),
                        "{version} {durations}: {statement} of {session:?}: {figures:?}"
                    );
                }
            }
            seen.push(
                server.query_in("app", "select client, duration, minimum from seen order by id"),
            );
        }
        assert_eq!(seen[0], seen[1], "{version}");
    }
}

/// A function makes the session act as a role that may not measure.
const BECOMES: &str = "create role low; grant low to app; grant all on seen to low;
    grant usage on sequence seen_id_seq to low;
    create function become() returns void language plpgsql as $$ begin set local role low; end $$";

#[test]
fn no_transaction_is_undone_by_what_is_set_in_it() {
    let server = server(15);
    server.query("alter role app superuser");
    server.query_in("app", BECOMES);
    let insert = "insert into seen (client) values ('kept')";
    let set = "set local client_min_messages to warning";
    let log = Log::new()
        .client(1, APP)
        .client(2, APP)
        .ended(1, ["begin", "select become()", insert, set, insert, "commit"])
        .ended(1, ["begin", "select become()", "show client_min_messages", insert, "commit"])
        .ended(2, ["begin", "alter role app nosuperuser", set, insert, "commit", insert]);
    let finished = replay(&server, &log, &["--order", "serial"]).well();
    assert_eq!(server.query_in("app", "select count(*) from seen"), "5", "{finished}");
}

#[test]
fn kreplays_own_values_are_stored_nowhere() {
    let server = server(15);
    server.query("alter role app superuser");
    server.query_in("app", BECOMES);
    let stores = "alter role app set log_min_messages from current";
    let also = "alter database app set log_duration from current";
    let asks = "select set_config('client_min_messages', 'notice', false)";
    let log = Log::new()
        .client(1, APP)
        .client(2, APP)
        .ended(1, ["set role low", asks, "select 1", "reset role", stores, "select 1"])
        .ended(2, ["begin", "select 1", also, "commit"]);
    let finished = replay(&server, &log, &["--order", "serial"]).well();
    let stored = server
        .query("select string_agg(s, ',' order by s) from pg_db_role_setting, unnest(setconfig) s");
    assert_eq!(stored, "log_duration=off,log_min_messages=warning", "{finished}");
}

#[test]
fn a_role_that_may_not_costs_only_its_own_statements_the_servers_durations() {
    let server = server(15);
    server.query_in("app", BECOMES);
    let mut statements = vec!["set role low", "reset all"];
    statements.extend(["select 1"; 20]);
    statements.push("reset role");
    statements.extend(["select 2"; 40]);
    let figures = on_server(&replay(&server, &Log::new().ended(1, statements), &[]).well());
    assert!(figures.iter().rev().take(20).all(Option::is_some), "{figures:?}");
    assert!(!server.log().contains("permission denied"), "{}", server.log());
}

#[test]
fn what_a_function_changes_unseen_is_set_again() {
    let server = server(15);
    let mut statements = vec!["select hushes()"];
    statements.extend(["select pg_sleep(0)"; 40]);
    let figures = on_server(&replay(&server, &Log::new().ended(1, statements), &[]).well());
    assert!(figures.last().is_some_and(Option::is_some), "{figures:?}");
}

#[test]
fn a_role_that_the_target_gives_no_durations_is_measured_by_kreplay() {
    for version in VERSIONS {
        let server = server(version);
        let log = || {
            let log = Log::new().client(1, APP).client(2, APP);
            log.ended(1, ["begin", "select 1", "commit", SEES]).ended(2, ["select 2", SEES])
        };
        let finished = replay(&server, &log(), &[]).well();
        assert!(on_server(&finished).iter().all(Option::is_none), "{finished}");
        let refused = server.log().matches("log_min_messages").count();
        assert!(refused <= 2, "it is not asked again and again: {}", server.log());
        let seen = server.query_in("app", "select distinct client, duration from seen");
        assert_eq!(seen, "notice|off");

        server.query("grant set on parameter log_duration, log_min_messages to app");
        let figures = on_server(&replay(&server, &log(), &[]).well());
        assert_eq!(figures.iter().flatten().count(), 4, "all but what reads them: {figures:?}");

        server.query("revoke set on parameter log_duration, log_min_messages from app");
        server.query("alter role app set log_duration = on");
        let figures = on_server(&replay(&server, &log(), &[]).well());
        assert_eq!(figures.iter().flatten().count(), 4, "its owner has set it: {figures:?}");
    }
}

#[test]
fn durations_of_slow_statements_alone_do_not_count() {
    let server = server(15);
    server.query("alter role app set log_min_duration_statement = 50");
    let log = Log::new().client(1, APP).ended(1, ["select 1", "select pg_sleep(0.1)", "select 1"]);
    let figures = on_server(&replay(&server, &log, &[]).well());
    assert_eq!(figures, [None, None, None], "those would be the slow ones");
}

#[test]
fn a_log_that_its_owner_wants_is_left_alone() {
    let server = server(15);
    server.query("alter role app set log_min_duration_statement = 0");
    server.query("grant set on parameter log_duration, log_min_messages to app");
    let log = Log::new().client(1, APP).ended(1, ["select 1 as mine", "select pg_sleep(0.1)"]);
    slept(&on_server(&replay(&server, &log, &[]).well()), &[0.0, 100.0]);
    assert!(server.log().contains("select 1 as mine"), "{}", server.log());
}

#[test]
fn a_target_that_does_not_give_its_durations_is_refused_where_they_are_asked_for() {
    let server = server(15);
    let log = Log::new().client(1, APP).ended(1, ["select 1"]);
    let asked = ["--target-durations", "server", "-u", "app", "-d", "app"];
    let finished = replay(&server, &log, &asked);
    assert_eq!(finished.code, Some(3), "{finished}");
    let grant = "GRANT SET ON PARAMETER log_duration, log_min_messages TO \"app\"";
    assert!(finished.stderr.contains(grant), "{finished}");
    assert!(finished.stderr.contains("--target-durations"), "{finished}");
    server.query("grant set on parameter log_duration, log_min_messages to app");
    let finished = replay(&server, &log, &asked).well();
    assert!(on_server(&finished).iter().all(Option::is_some), "{finished}");
}

#[test]
fn check_says_whose_durations_there_will_be_and_how_to_get_the_servers() {
    let server = server(15);
    let log = Log::new().client(1, APP).ended(1, ["select 1"]).ended(2, ["select 2"]);
    let file = log.file();
    let check = |arguments: &[&str]| {
        let kreplay = Kreplay::new().check().target(&server).args(arguments);
        kreplay.arg("--input").arg(file.path()).run()
    };
    let auto = check(&[]);
    assert!(auto.stdout.contains("the server's own for postgres"), "{auto}");
    assert!(auto.stdout.contains("kreplay's own for app"), "{auto}");
    assert!(auto.stdout.contains("GRANT SET ON PARAMETER"), "{auto}");
    let demanded = check(&["--target-durations", "server"]);
    assert_eq!(demanded.code, Some(7), "{demanded}");
    let renounced = check(&["--target-durations", "client"]);
    assert!(renounced.stdout.contains("--target-durations client"), "{renounced}");
}
