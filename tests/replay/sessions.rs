//! A session is replayed as who it was, where it was.

use std::fs;

use testkit::fixture::DATABASE;
use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;

const APP: Client = Client { user: "app", database: "app", application: "shop" };

/// Notes who a session is, in a table that the test makes.
const NOTE: &str = "insert into seen select current_user, current_database(), \
                    current_setting('application_name')";

/// A server with these roles and these databases, each with a table `seen` for [`NOTE`].
fn server(roles: &[&str], databases: &[&str]) -> Server {
    let server = Server::start(15);
    for role in roles {
        server.query(&format!("create role {role} login"));
    }
    for database in databases {
        server.query(&format!("create database {database}"));
        let table = "create table seen (who text, place text, application text);
             grant all on seen to public";
        server.query_in(database, table);
    }
    server
}

fn replay(server: &Server, log: &Log, arguments: &[&str]) -> Finished {
    let file = log.file();
    Kreplay::new().target(server).args(arguments).arg("--input").arg(file.path()).run()
}

fn seen(server: &Server, database: &str) -> String {
    server.query_in(database, "select * from seen order by 1, 2, 3")
}

#[test]
fn a_session_keeps_its_user_its_database_and_its_application_name() {
    let server = server(&["app", "bi"], &["app", "stock"]);
    let log = Log::new()
        .client(1, APP)
        .client(2, Client { user: "bi", database: "stock", application: "it's a \"report\"" })
        .client(3, Client { application: "looks at the others", ..Client::default() })
        .ended(1, [NOTE])
        .ended(
            3,
            ["insert into seen select usename, datname, application_name \
             from pg_stat_activity where usename = 'app'"],
        )
        .executed(2, &NOTE.replace("current_user", "$1"), &["bi"]);
    let finished = replay(&server, &log, &[]).well();
    assert_eq!(seen(&server, "app"), "app|app|shop\napp|app|shop");
    assert_eq!(seen(&server, "stock"), "bi|stock|it's a \"report\"", "{finished}");
}

/// Two sessions of different users in different databases.
fn two_sessions() -> Log {
    Log::new()
        .client(1, APP)
        .client(2, Client { user: "bi", database: "stock", application: "" })
        .ended(1, [NOTE])
        .ended(2, [NOTE])
}

#[test]
fn one_user_and_one_database_stand_for_all() {
    let server = server(&["tester"], &["everything"]);
    replay(&server, &two_sessions(), &["-u", "tester", "-d", "everything"]).well();
    assert_eq!(seen(&server, "everything"), "tester|everything|\ntester|everything|shop");
}

#[test]
fn users_and_databases_are_renamed() {
    let server = server(&["app2", "bi"], &["app2", "stock"]);
    replay(&server, &two_sessions(), &["--map-user", "app=app2", "--map-db", "app=app2"]).well();
    assert_eq!(seen(&server, "app2"), "app2|app2|shop");
    assert_eq!(seen(&server, "stock"), "bi|stock|");
}

#[test]
fn sessions_of_other_databases_are_left_out_and_counted() {
    let server = server(&["app", "bi"], &["app", "stock"]);
    let finished = replay(&server, &two_sessions(), &["--source-db", "stock"]).well();
    assert_eq!(seen(&server, "app"), "");
    assert_eq!(seen(&server, "stock"), "bi|stock|");
    assert_eq!(finished.count("/records/filtered/reasons/other_database"), 1, "{finished}");
    assert_eq!(finished.count("/records/replayed"), 1, "{finished}");
}

#[test]
fn a_signal_to_a_backend_that_no_session_had_is_skipped_and_counted() {
    let server = server(&[], &["app"]);
    // Backends have such numbers on the target too.
    let log = Log::new()
        .ended(1, [NOTE])
        .ended(2, ["select pg_cancel_backend(7)", "select pg_terminate_backend(7)", NOTE]);
    let finished = replay(&server, &log, &[]).well();
    assert_eq!(finished.count("/records/skipped/reasons/unknown_pid"), 2, "{finished}");
    assert_eq!(finished.count("/records/replayed"), 2, "{finished}");
}

#[test]
fn a_signal_reaches_the_session_that_it_was_meant_for() {
    let server = server(&[], &["app"]);
    let log = Log::new()
        .ended(1, ["begin", NOTE])
        .ended(2, ["select pg_terminate_backend(1)", NOTE])
        .failed(1, "57P01", "");
    let finished = replay(&server, &log, &[]).well();
    assert_eq!(finished.count("/records/skipped/total"), 0, "{finished}");
    assert_eq!(seen(&server, "app"), "postgres|app|", "the first was rolled back: {finished}");
}

#[test]
fn a_role_that_the_target_does_not_have_costs_its_own_sessions_alone() {
    let server = server(&["app"], &["app"]);
    let log = Log::new()
        .client(1, APP)
        .client(2, Client { user: "ghost", ..APP })
        // It comes first: the target is there all the same.
        .ended(2, [NOTE])
        .ended(1, [NOTE])
        .ended(2, [NOTE])
        .ended(1, [NOTE]);
    for times in 1..=3 {
        let finished = replay(&server, &log, &[]).incomplete();
        assert_eq!(seen(&server, "app"), vec!["app|app|shop"; 2 * times].join("\n"), "{finished}");
        assert_eq!(finished.count("/records/given_up/reasons/connect_failed"), 2, "{finished}");
        assert!(finished.stderr.contains("ghost"), "{finished}");
    }
}

#[test]
fn bytes_of_a_database_in_latin1_arrive_as_the_same_characters() {
    let server = Server::start(15);
    server.query("create database app encoding 'LATIN1' template template0");
    server.query_in(DATABASE, "create table words (word text)");
    // "Grüße" and "é", and a name that is not ASCII, as the log of such a database has them.
    let latin = [&b"insert into words select 'Gr\xfc\xdfe' as \"\xe9\""[..]];
    let log = Log::new().ended(1, latin);
    let finished = replay(&server, &log, &[]).well();
    let words = "select encode(convert_to(word, 'LATIN1'), 'hex') from words";
    assert_eq!(server.query_in(DATABASE, words), "4772fcdf65", "{finished}");
    assert!(fs::read(log.file().path()).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_err()));
}
