//! How a replay ends, and what it says, where something is wrong.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use testkit::fixture::DATABASE;
use testkit::kafka;
use testkit::kreplay::{Finished, Kreplay};
use testkit::log::Log;
use testkit::postgres::Server;

const PASSWORD: &str = "correct-horse";

/// A server that asks everybody but `postgres` for a password; `app` has [`PASSWORD`].
fn server_with_passwords() -> Server {
    let server = Server::start_with(15, |data: &Path| {
        let rules =
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("it can be written");
    });
    server.query(&format!("create role app login superuser password '{PASSWORD}'"));
    server.query(&format!("create database {DATABASE}"));
    server
}

/// A server with the database that logs are of by themselves.
fn server() -> Server {
    let server = Server::start(15);
    server.query(&format!("create database {DATABASE}"));
    server
}

fn replay(server: &Server, log: &Log, arguments: &[&str]) -> Finished {
    let file = log.file();
    Kreplay::new().target(server).args(arguments).arg("--input").arg(file.path()).run()
}

#[track_caller]
fn assert_ended(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished}");
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("kreplay: "), "the reason stands last: {finished}");
    for word in words {
        assert!(last.contains(word), "{last:?} does not tell {word:?}: {finished}");
    }
}

fn one_statement() -> Log {
    Log::new().ended(1, ["select 1"])
}

// ---- Refused at the start ----

#[test]
fn a_wrong_password_ends_it_with_3_and_is_not_shown() {
    let server = server_with_passwords();
    let arguments = ["-u", "app", "-d", DATABASE, "-p", "wrong-horse"];
    let finished = replay(&server, &one_statement(), &arguments);
    assert_ended(&finished, 3, &["app", &server.port().to_string(), "password"]);
    assert!(!format!("{finished}").contains("wrong-horse"), "{finished}");
}

#[test]
fn the_target_and_the_password_may_come_from_the_environment() {
    let server = server_with_passwords();
    let file = one_statement().file();
    let home = tempfile::tempdir().expect("a directory");
    let pgpass = home.path().join(".pgpass");
    fs::write(&pgpass, format!("*:*:*:app:{PASSWORD}\n")).expect("it can be written");
    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o600)).expect("own file");
    for (name, value) in [("PGPASSWORD", PASSWORD.as_ref()), ("HOME", home.path().as_os_str())] {
        let replay = Kreplay::new().env("dbHost", "127.0.0.1").env("dbUser", "app");
        let replay = replay.env("dbPort", server.port().to_string()).env("PGDATABASE", DATABASE);
        let finished = replay.env(name, value).arg("--input").arg(file.path()).run().well();
        assert_eq!(finished.count("/records/replayed"), 1, "{name}: {finished}");
    }
}

#[test]
fn an_unknown_database_ends_it_with_3() {
    let finished = replay(&server(), &one_statement(), &["-d", "nowhere"]);
    assert_ended(&finished, 3, &["nowhere"]);
}

#[test]
fn an_unknown_topic_ends_it_with_4() {
    let (broker, server) = (kafka::shared(), server());
    let topic = kafka::unique("never-made");
    let source = ["-t", &topic, "-b", broker.address(), "--until-end"];
    let finished = Kreplay::new().args(source).target(&server).run();
    assert_ended(&finished, 4, &[&topic]);
}

#[test]
fn a_bad_flag_ends_it_with_2_and_is_named() {
    for (arguments, named) in [
        (["--no-such-flag", "x"], "--no-such-flag"),
        (["--pipeline", "0"], "--pipeline"),
        (["--order", "random"], "--order"),
        (["--after", "yesterday"], "--after"),
        (["-X", "security.protocol"], "--kafka-property"),
    ] {
        let finished = Kreplay::new().args(["-t", "any"]).args(arguments).run();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished}");
        assert!(finished.stderr.contains(named), "{arguments:?}: {finished}");
    }
    let neither = Kreplay::new().run();
    assert_eq!(neither.code, Some(2), "{neither}");
    assert!(neither.stderr.contains("--topic") && neither.stderr.contains("--input"), "{neither}");
}

#[test]
fn a_target_that_is_not_there_is_waited_for_and_named_with_the_reason() {
    let mut server = server();
    server.stop();
    let file = one_statement().file();
    let mut replay = Kreplay::new().target(&server).arg("--input").arg(file.path()).spawn();
    let line = replay.wait_for_line("waiting for the target");
    assert!(line.contains(&format!("127.0.0.1:{}", server.port())), "{line}");
    assert!(line.to_lowercase().contains("refused"), "{line}");
    server.restart();
    let finished = replay.wait().well();
    assert_eq!(finished.count("/records/replayed"), 1, "{finished}");
}

// ---- Statements ----

/// A unique violation, then a syntax error; neither was one on the source.
fn new_errors() -> Log {
    Log::new()
        .ended(1, ["create table t (id int primary key)", "insert into t values (1)"])
        .ended(1, ["insert into t values (1)", "select 1", "selec 1", "insert into t values (2)"])
}

#[test]
fn a_new_error_is_counted_and_the_replay_goes_on() {
    let server = server();
    let finished = replay(&server, &new_errors(), &[]).well();
    assert_eq!(finished.count("/outcomes/new_error"), 2, "{finished}");
    assert_eq!(finished.count("/records/failed"), 2, "{finished}");
    assert!(finished.stderr.contains("line 3") && finished.stderr.contains("23505"), "{finished}");
    assert_eq!(server.query_in(DATABASE, "select count(*) from t"), "2");
}

#[test]
fn a_new_error_ends_it_with_6_where_it_is_told_to_stop() {
    let server = server();
    for order in ["serial", "session"] {
        server.query(&format!("drop database {DATABASE}"));
        server.query(&format!("create database {DATABASE}"));
        // Those after it that had been sent already run; it is not said how many they are.
        let log = new_errors().ended(1, vec!["insert into t select max(id) + 1 from t"; 5_000]);
        let finished = replay(&server, &log, &["--on-error", "stop", "--order", order]);
        assert_ended(&finished, 6, &["23505", "line 3", "--on-error"]);
        let rows: u32 = server.query_in(DATABASE, "select count(*) from t").parse().expect("n");
        assert!((1..5_000).contains(&rows), "{order} order: {rows} rows: {finished}");
        assert_eq!(finished.report["records"]["balances"], true, "{finished}");
    }
}

#[test]
fn the_very_last_statement_s_error_is_told_by_the_exit_code_too() {
    let server = server();
    let log = Log::new().ended(1, ["select 1", "selec 1"]);
    for _ in 0..5 {
        let finished = replay(&server, &log, &["--on-error", "stop"]);
        assert_ended(&finished, 6, &["42601", "line 2"]);
    }
}

#[test]
fn integrity_errors_are_tolerated_for_ever_where_asked_and_others_are_not() {
    let server = server();
    let tolerant = ["--on-error", "stop", "-i", "-1"];
    let finished = replay(&server, &new_errors(), &tolerant);
    assert_ended(&finished, 6, &["42601", "line 5"]);
    server.query_in(DATABASE, "drop table t");
    let integrity_alone = Log::new().ended(
        1,
        ["create table t (id int primary key)", "insert into t values (1), (1)", "select 1"],
    );
    let finished = replay(&server, &integrity_alone, &tolerant).well();
    assert_eq!(finished.count("/target_errors/23505"), 1, "{finished}");
}

// ---- Records ----

#[test]
fn a_torn_end_of_a_file_is_told_with_its_place_and_counted() {
    let server = server();
    let torn = Log::new().ended(1, ["select 1", "select 2"]);
    let half = &torn.records()[1];
    let torn = Log::new().ended(1, ["select 1"]).raw(&half[..half.len() - 30]);
    let file = torn.file();
    let replay = || Kreplay::new().target(&server).arg("--input").arg(file.path());
    let finished = replay().run().incomplete();
    assert_eq!(finished.count("/records/replayed"), 1, "{finished}");
    assert_eq!(finished.count("/records/rejected/total"), 1, "{finished}");
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("not everything could be replayed"), "{finished}");
    assert!(
        last.contains("--allow-losses") && last.ends_with(": 1 rejected (column_count 1)"),
        "{last}"
    );
    replay().arg("--allow-losses").run().well();
    let path = file.path().to_str().expect("UTF-8");
    let told = finished.stderr.lines().find(|line| line.contains("WARN")).unwrap_or_default();
    assert!(told.contains(path) && told.contains("line 2"), "{finished}");
}

#[test]
fn a_record_that_can_t_be_read_is_put_aside_as_it_was() {
    let server = server();
    let directory = tempfile::tempdir().expect("a directory");
    let letters = directory.path().join("letters");
    let unreadable = "no record, with a \"quote\" and a tab\t.";
    let (broker, log) = (kafka::shared(), Log::new().ended(1, ["select 1", "select 2"]));
    let topic = broker.topic("letters", 1);
    let (first, second) = (&log.records()[0][..], &log.records()[1][..]);
    broker.produce(&topic, 0, [first, unreadable.as_bytes(), second]);
    let source = ["-t", &topic, "-b", broker.address(), "--until-end"];
    let replay = Kreplay::new().args(source).target(&server).arg("--dead-letter").arg(&letters);
    let finished = replay.run().incomplete();
    assert_eq!(finished.count("/records/rejected/total"), 1, "{finished}");
    assert_eq!(finished.count("/records/replayed"), 2, "{finished}");
    assert!(finished.stderr.contains("offset 1"), "{finished}");
    let mut letters = csv::ReaderBuilder::new().has_headers(false).from_path(&letters).expect("it");
    let letters: Vec<_> = letters.records().map(|letter| letter.expect("CSV")).collect();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let place_and_payload = (&letters[0][0], &letters[0][1], &letters[0][5]);
    assert_eq!(place_and_payload, ("0", "1", unreadable));
}

// ---- What is left out ----

#[test]
fn a_dry_run_touches_no_database_and_counts() {
    let unused = TcpListener::bind("127.0.0.1:0").expect("a port");
    unused.set_nonblocking(true).expect("a socket");
    let port = unused.local_addr().expect("bound").port().to_string();
    let file = new_errors().file();
    let target = ["-H", "127.0.0.1", "-P", &port, "--dry-run", "--input"];
    let finished = Kreplay::new().args(target).arg(file.path()).run().well();
    assert_eq!(finished.count("/records/filtered/reasons/dry_run"), 6, "{finished}");
    assert!(unused.accept().is_err(), "nobody has knocked");
    assert!(finished.stdout.contains("dry_run"), "{finished}");
}

#[test]
fn statements_that_only_read_are_left_out_on_demand() {
    let server = server();
    let writes = "create function f() returns int language sql as 'select 1'";
    let log = Log::new().ended(
        1,
        ["create table t (v int)", "select 1", "table t", writes, "insert into t select 1"],
    );
    for alone in [&["-s"][..], &["-s", "true"], &["--skip-selects"]] {
        server.query(&format!("drop database {DATABASE}"));
        server.query(&format!("create database {DATABASE}"));
        let finished = replay(&server, &log, alone).well();
        assert_eq!(finished.count("/records/filtered/reasons/select"), 2, "{alone:?}: {finished}");
        assert_eq!(finished.count("/outcomes/same"), 3, "{alone:?}: {finished}");
    }
    let finished = replay(&server, &one_statement(), &["-s", "false"]).well();
    assert_eq!(finished.count("/records/replayed"), 1, "{finished}");
}

#[test]
fn the_first_statements_are_left_out_on_demand() {
    let server = server();
    let log = Log::new().ended(1, ["select 1/0", "select 1/0", "create table t ()"]);
    let finished = replay(&server, &log, &["-c", "2"]).well();
    assert_eq!(finished.count("/records/filtered/reasons/skip_count"), 2, "{finished}");
    assert_eq!(finished.report["outcomes"], serde_json::json!({"same": 1}), "{finished}");
}

#[test]
fn what_was_logged_before_a_moment_is_left_out_on_demand() {
    let server = server();
    let log = Log::new().ended(1, ["select 1/0", "select 1/0", "create table t ()"]);
    // Records of a log by hand are a millisecond apart, from this moment on.
    for moment in ["1795341600", "2026-11-22T10:00:00Z"] {
        let finished = replay(&server, &log, &["-a", moment, "--dry-run"]).well();
        assert_eq!(finished.count("/records/filtered/reasons/dry_run"), 3, "{finished}");
    }
    let finished = replay(&server, &log, &["-a", "2026-11-22T10:00:00.002Z"]).well();
    assert_eq!(finished.count("/records/filtered/reasons/before_start_time"), 2, "{finished}");
    assert_eq!(finished.report["outcomes"], serde_json::json!({"same": 1}), "{finished}");
    let finished = replay(&server, &log, &["-a", "1795341601"]).well();
    assert_eq!(finished.count("/records/filtered/reasons/before_start_time"), 3, "{finished}");
}

// ---- Secrets ----

#[test]
fn a_password_is_shown_nowhere() {
    let server = server_with_passwords();
    let (broker, topic) = (kafka::shared(), kafka::shared().topic("secrets", 1));
    let log = Log::new().ended(1, ["select 1", "selec 2"]);
    broker.produce(&topic, 0, log.records().iter().map(Vec::as_slice));
    let source = ["-t", &topic, "-b", broker.address(), "-X", "sasl.password=kafka-secret"];
    let login = ["-u", "app", "-p", PASSWORD, "--log", "trace"];
    let mut replay = Kreplay::new().args(source).args(login).target(&server).spawn();
    replay.wait_for(|metrics| {
        metrics["kreplay_records_consumed_total"] == 2.0
            && metrics["kreplay_records_pending"] == 0.0
    });
    let shown: String =
        ["/", "/metrics", "/livez", "/readyz"].map(|path| replay.get(path).1).concat();
    replay.term();
    let finished = replay.wait().well();
    assert_eq!(finished.count("/records/replayed"), 1, "it was the right one: {finished}");
    let told = format!("{finished}{}", finished.report);
    for secret in [PASSWORD, "kafka-secret"] {
        assert!(!shown.contains(secret), "{shown}");
        let line = told.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    assert!(told.contains("process list"), "a password on the command line is warned of: {told}");
}
