//! `kreplay check`: what it finds on real servers, and that it leaves everything as it is.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::Value;

use testkit::fixture::Fixture;
use testkit::kafka::{self, Broker, Record};
use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;
use testkit::rsyslog::Rsyslog;
use testkit::source::{pgbench, record};
use testkit::spread;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a source with the recommended settings logged of a few clients.
fn recorded() -> &'static [Vec<u8>] {
    static LOG: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let script = "\\set n random(1, 9)\nbegin;\ninsert into t\n  values (default);\n\
                      select :n::int;\ncommit;\n";
        let (log, _) = record("create table t (i serial primary key)", |server| {
            for mode in ["simple", "extended"] {
                let arguments = ["-c", "2", "-t", "10", "-M", mode];
                let ended = pgbench(server, script, &arguments).wait().expect("own child");
                assert!(ended.success(), "{ended}");
            }
        });
        log
    })
}

/// A target with the table that [`recorded`] wants.
fn target() -> Server {
    let server = Server::start(18);
    server.query("create table t (i serial primary key)");
    server
}

/// A topic as docs/getting-started.md recommends it, with these records.
fn topic(broker: &Broker, log: &[Vec<u8>]) -> String {
    let name = kafka::unique("check");
    broker.create_topic_with(&name, 1, &[("max.message.bytes", "5242880")]);
    broker.produce(&name, 0, log.iter().map(|record| keyed(record)));
    name
}

/// A record with its session as the key.
fn keyed(record: &[u8]) -> Record {
    let session = record.split(|byte| *byte == b',').nth(5).expect("a session id");
    Record { key: Some(session.to_owned()), ..Record::from(record) }
}

fn of_topic(broker: &Broker, topic: &str) -> Kreplay {
    Kreplay::new().args(["-b", broker.address(), "-t", topic])
}

/// The lines of this level.
fn lines(finished: &Finished, level: &str) -> Vec<String> {
    let marked = finished.stdout.lines().filter_map(|line| line.trim_start().strip_prefix(level));
    marked.map(|line| line.trim().to_owned()).collect()
}

#[track_caller]
fn has(finished: &Finished, level: &str, text: &str) {
    let found = lines(finished, level);
    assert!(found.iter().any(|line| line.contains(text)), "{text:?} in {found:#?}\n{finished}");
}

#[test]
fn where_all_is_well_every_line_is_ok_and_nothing_has_changed() {
    let (broker, target) = (kafka::shared(), target());
    let topic = topic(broker, recorded());
    let replay = || of_topic(broker, &topic).target(&target);

    let checked = replay().check().run();
    assert_eq!(checked.code, Some(0), "{checked}");
    assert_eq!(lines(&checked, "warning"), [""; 0], "{checked}");
    has(&checked, "ok", &format!("Kafka answers at {}", broker.address()));
    has(&checked, "ok", &format!("topic {topic} has 1 partition with"));
    has(&checked, "ok", "begins with the oldest record");
    has(&checked, "ok", "can be read: csvlog of 26 columns");
    has(&checked, "ok", "the source is PostgreSQL 14 to 16");
    has(&checked, "ok", "are logged when they end, with their duration");
    has(&checked, "ok", "connections and their ends are logged");
    has(&checked, "ok", "PostgreSQL 18.");
    has(&checked, "ok", "can log in: postgres on postgres");
    assert!(checked.stdout.ends_with("check: all is well\n"), "{checked}");
    assert_eq!(checked.stderr, "", "{checked}");

    let json = replay().check().arg("--json").run();
    let document: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((&document["warnings"], &document["errors"]), (&0.into(), &0.into()), "{json}");

    assert_eq!(broker.committed(&format!("kreplay_{topic}"), &topic), None);
    assert_eq!(target.query("select count(*) from t"), "0");
    // What was promised holds.
    let replayed = replay().arg("--until-end").run().well();
    assert_eq!(replayed.count("/outcomes/new_error"), 0, "{replayed}");
    assert_eq!(target.query("select count(*) from t"), "40");
    has(&replay().check().run(), "ok", "continues where it stopped; 0 records to read");
}

#[test]
fn a_check_beside_a_running_replay_says_so_and_leaves_it_alone() {
    let broker = kafka::shared();
    let topic = topic(broker, recorded());
    let mut running = of_topic(broker, &topic).arg("--dry-run").spawn();
    let read = recorded().len() as f64;
    let position = "kreplay_consumer_position{partition=\"0\"}";
    running.wait_for(|metrics| metrics.get(position) == Some(&read));

    let checked = of_topic(broker, &topic).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(0), "{checked}");
    has(
        &checked,
        "warning",
        &format!("1 member of group kreplay_{topic}_dry-run at this moment: kreplay"),
    );

    // The partition is still its own.
    broker.produce(&topic, 0, recorded()[..1].iter().map(|record| keyed(record)));
    running.wait_for(|metrics| metrics.get(position) == Some(&(read + 1.0)));
}

#[test]
fn servers_that_do_not_answer_are_errors_of_their_own() {
    let mut target = Server::start(18);
    target.stop();
    let nowhere = Kreplay::new().args(["-t", "pg", "-b", "127.0.0.1:1"]).target(&target);
    let checked = nowhere.check().run();
    assert_eq!(checked.code, Some(7), "{checked}");
    has(&checked, "error", "no Kafka broker answers at 127.0.0.1:1");
    has(&checked, "error", &format!("can't reach 127.0.0.1:{}", target.port()));
    assert_eq!(lines(&checked, "error").len(), 2, "{checked}");
    has(&checked, "->", "check --brokers");
    has(&checked, "->", "--db-host");
}

#[test]
fn a_topic_that_is_missing_is_told_from_one_that_is_empty() {
    let broker = kafka::shared();
    let missing = of_topic(broker, "no-such-topic").arg("--dry-run").check().run();
    assert_eq!(missing.code, Some(7), "{missing}");
    has(&missing, "error", "there is no topic no-such-topic");
    let empty = broker.topic("check", 1);
    let empty = of_topic(broker, &empty).arg("--dry-run").check().run();
    assert_eq!(empty.code, Some(0), "{empty}");
    has(&empty, "warning", "holds no record");
    has(&empty, "warning", "takes no record above 1.0 MB");
}

#[test]
fn each_session_s_log_in_is_tried() {
    let target = Server::start_with(18, |data| {
        let path = data.join("pg_hba.conf");
        let trust = fs::read_to_string(&path).expect("a pg_hba.conf");
        let strict = "host all alice 127.0.0.1/32 scram-sha-256\n";
        fs::write(path, strict.to_owned() + &trust).expect("it can be written");
    });
    target.query(
        "create role alice login password 'right'; create role app login; create database app;
         alter role app set statement_timeout = '5s'",
    );
    let client = |user, database| Client { user, database, application: "" };
    let log = Log::new()
        .client(1, client("alice", "app"))
        .client(2, client("app", "app"))
        .client(3, client("ghost", "app"))
        .client(4, client("app", "missing"));
    let log = (1..=4).fold(log, |log, pid| log.ended(pid, ["select 1"])).file();
    let replay = || Kreplay::new().arg("--input").arg(log.path()).target(&target).check();

    let checked = replay().env("PGPASSWORD", "wrong").run();
    assert_eq!(checked.code, Some(7), "{checked}");
    has(&checked, "error", "refused user \"alice\" for database \"app\"");
    has(&checked, "error", "there is no role ghost that may log in");
    has(&checked, "error", "database \"missing\" does not exist");
    assert_eq!(lines(&checked, "error").len(), 3, "{checked}");
    has(&checked, "ok", "can log in: app on app");
    has(&checked, "warning", "the database app has no table");
    has(&checked, "warning", "statement_timeout is 5s for app");
    assert!(!checked.to_string().contains("wrong"), "{checked}");

    let mended = ["--map-user", "ghost=app", "--map-db", "missing=app"];
    let mended = replay().args(mended).env("PGPASSWORD", "right").run();
    assert_eq!(mended.code, Some(0), "{mended}");
    let unasked = replay().run();
    has(&unasked, "error", "asks for a password of user \"alice\"");
}

#[test]
fn a_log_of_statements_at_their_start_is_a_warning() {
    let log = Fixture::load("15-A-psql").csv();
    let checked = Kreplay::new().arg("--input").arg(log).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(0), "{checked}");
    has(&checked, "warning", "logged when they start (log_statement)");
    has(&checked, "->", "log_min_duration_statement = 0");
}

#[test]
fn the_logs_of_real_sources_are_read_without_an_error() {
    for fixture in Fixture::all() {
        let log = Kreplay::new().arg("--input").arg(fixture.csv()).arg("--dry-run");
        let checked = log.check().run();
        assert_eq!(checked.code, Some(0), "{}: {checked}", fixture.name);
        let major = fixture.major_version();
        let version = match major {
            12 => "PostgreSQL 12 or older",
            15 => "PostgreSQL 14 ",
            _ => "PostgreSQL 1",
        };
        has(&checked, "ok", &format!("the source is {version}"));
    }
}

#[test]
fn the_damage_that_rsyslog_does_by_default_is_an_error() {
    let broker = kafka::shared();
    let name = broker.topic("check", 1);
    let directory = tempfile::tempdir().expect("a log directory");
    let long = format!("select 1, -- {}\n2", "x".repeat(9000));
    let several_lines = ["select 1,\n  2"; 20];
    let log = Log::new().ended(1, several_lines).ended(1, [long]).ended(1, several_lines);
    fs::write(directory.path().join("pg.csv"), log.records().concat()).expect("a log file");
    let rsyslog = Rsyslog::start_with_defaults(broker.address(), &name, directory.path());
    // It keeps the last record back until the next one.
    wait_for_records(broker, &name, 40, &rsyslog);

    let checked = of_topic(broker, &name).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(7), "{checked}");
    has(&checked, "error", "statements have a backslash where SQL has none");
    has(&checked, "error", "can't be read (torn)");
    has(&checked, "->", "escapeLF=\"off\"");
    has(&checked, "->", "maxMessageSize=\"4m\"");
}

fn wait_for_records(broker: &Broker, topic: &str, count: i64, rsyslog: &Rsyslog) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .create()
        .expect("a consumer");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, high) = consumer.fetch_watermarks(topic, 0, PATIENCE).expect("an answer");
        if high >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{high} records; rsyslogd: {}", rsyslog.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn partitions_without_keys_and_places_are_warnings_and_torn_sessions_an_error() {
    let broker = kafka::shared();
    let whole = broker.topic("check", spread::PARTITIONS);
    spread::produce(broker, &whole, recorded(), |_, record| Record::from(record));
    let checked = of_topic(broker, &whole).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(0), "{checked}");
    has(&checked, "warning", "have a key other than their session, or none");
    has(&checked, "warning", "do not tell their place in the log");

    let exact = broker.topic("check", spread::PARTITIONS);
    spread::produce(broker, &exact, recorded(), |place, record| Record {
        key: keyed(record).key,
        ..spread::with_position(&place.to_string(), record)
    });
    let checked = of_topic(broker, &exact).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(0), "{checked}");
    has(&checked, "ok", "the partitions are merged exactly");

    let torn = broker.topic("check", 2);
    for partition in 0..2 {
        let every_other = recorded().iter().skip(partition as usize).step_by(2);
        broker.produce(&torn, partition, every_other.map(|record| Record::from(&record[..])));
    }
    let checked = of_topic(broker, &torn).arg("--dry-run").check().run();
    assert_eq!(checked.code, Some(7), "{checked}");
    has(&checked, "error", "on more than one partition");
}

#[test]
fn a_command_line_that_is_wrong_is_no_finding() {
    assert_eq!(Kreplay::new().check().run().code, Some(2));
    let unknown = Kreplay::new().args(["-t", "pg", "-X", "no.such=1", "--dry-run"]).check().run();
    assert_eq!(unknown.code, Some(7), "{unknown}");
    has(&unknown, "error", "no.such");
}
