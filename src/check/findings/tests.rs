//! Every finding, from what leads to it.

mod broker;
mod log;
mod target;

use super::broker::{KafkaFacts, PartitionFacts, TopicFacts, TopicSettings};
use super::sample::{Sample, Sampled};
use super::target::{LoginFacts, ServerFacts, SessionFacts, TargetFacts};
use strum::VariantArray as _;

use super::*;
use crate::pglog::{Encodings, Format, RecordReader};

/// 2026-11-22 15:30:00 UTC, and the log's newest record is about a second older.
const NOW_MS: i64 = 1_795_361_400_000;

/// Everything is as it should be.
fn well() -> Facts {
    Facts {
        now_ms: NOW_MS,
        input: InputFacts::Kafka(Box::new(kafka())),
        sample: Some(log(&session("6b0308e2.10", &["begin", "select 1", "commit"]))),
        target: Some(server()),
    }
}

fn kafka() -> KafkaFacts {
    let settings = TopicSettings {
        retention_ms: 7 * 86_400_000,
        retention_bytes: -1,
        cleanup_policy: "delete".into(),
        max_message_bytes: 5_242_880,
        broker_time: false,
    };
    let partition = PartitionFacts {
        number: 0,
        low: 100,
        high: 1100,
        committed: true,
        start: 1000,
        gap: None,
        start_ms: Some(NOW_MS - 3_600_000),
    };
    KafkaFacts {
        brokers: "kafka1:9092".into(),
        protocol: "SASL_SSL".into(),
        topic: "pg".into(),
        group: "kreplay_pg".into(),
        reached: Ok(TopicFacts {
            cluster: Some("abc".into()),
            brokers: 3,
            settings: Ok(settings),
            members: Ok(Vec::new()),
            partitions: Ok(vec![partition]),
        }),
    }
}

fn server() -> TargetFacts {
    let server = ServerFacts {
        version: 180_006,
        tls: true,
        in_recovery: false,
        connections: 97,
        in_use: 2,
        sees_blockers: true,
        reads_all_statistics: true,
        databases: vec![("app".into(), "UTF8".into()), ("shop".into(), "UTF8".into())],
        roles: vec!["postgres".into(), "app".into()],
    };
    TargetFacts {
        address: "test18:5432".into(),
        server: Some(Ok(server)),
        observer: None,
        logins: vec![login("app", "app", Ok(SessionFacts { tables: 12, ..Default::default() }))],
        untried: 0,
        reserved: 7,
    }
}

fn login(
    user: &str,
    database: &str,
    outcome: Result<SessionFacts, super::target::Refused>,
) -> LoginFacts {
    LoginFacts { user: user.into(), database: database.into(), outcome }
}

// ---- Logs ----

/// A record of PostgreSQL 15.
#[derive(Debug, Clone)]
struct Record {
    session: String,
    line: u64,
    severity: &'static str,
    sqlstate: &'static str,
    message: String,
    detail: String,
    query: String,
    zone: &'static str,
    database: &'static str,
    second: u64,
}

impl Record {
    fn new(session: &str, line: u64, message: &str) -> Self {
        Self {
            session: session.into(),
            line,
            severity: "LOG",
            sqlstate: "00000",
            message: message.into(),
            detail: String::new(),
            query: String::new(),
            zone: "UTC",
            database: "app",
            second: 58,
        }
    }

    fn csv(&self) -> String {
        let quoted = |text: &str| match text {
            "" => String::new(),
            text => format!("\"{}\"", text.replace('"', "\"\"")),
        };
        format!(
            "2026-11-22 15:29:{:02}.992 {},\"app\",\"{}\",16,\"[local]\",{},{},\"SELECT\",2026-11-22 \
             15:23:14 UTC,3/0,0,{},{},{},{},,,,,{},,,\"psql\",\"client backend\",,0",
            self.second,
            self.zone,
            self.database,
            self.session,
            self.line,
            self.severity,
            self.sqlstate,
            quoted(&self.message),
            quoted(&self.detail),
            quoted(&self.query),
        )
    }
}

/// A session from its beginning to its end.
fn session(id: &str, statements: &[&str]) -> Vec<Record> {
    let authorized = "connection authorized: user=app database=app application_name=psql";
    let mut records = vec![Record::new(id, 2, authorized)];
    for sql in statements {
        let line = records.len() as u64 + 2;
        records.push(Record::new(id, line, &format!("duration: 0.100 ms  statement: {sql}")));
    }
    let line = records.len() as u64 + 2;
    let end = "disconnection: session time: 0:00:00.185 user=app database=app host=[local]";
    records.push(Record::new(id, line, end));
    records
}

/// As they come from a topic of one partition, keyed by session, 20 ms after they were logged.
fn sampled(records: &[Record]) -> Vec<Sampled> {
    let sampled = records.iter().zip(0..).map(|(record, offset)| Sampled {
        offset,
        broker_ms: Some(NOW_MS - 60_000 + 1012 + record.second as i64 * 1000),
        key: Some(record.session.clone().into_bytes()),
        payload: record.csv().into_bytes(),
        ..Sampled::default()
    });
    sampled.collect()
}

fn read(sampled: &[Sampled], filters: &Filters) -> Sample {
    let mut reader = RecordReader::new(Format::Auto, Encodings::default());
    let name = |sampled: &Sampled| format!("offset {}", sampled.offset);
    Sample::read(sampled, &mut reader, &Identity::default(), filters, name)
}

fn log(records: &[Record]) -> Sample {
    read(&sampled(records), &Filters::default())
}

/// All is well but the log.
fn with_sample(sample: Sample) -> Facts {
    Facts { sample: Some(sample), ..well() }
}

fn with_log(records: &[Record]) -> Facts {
    with_sample(log(records))
}

// ---- What is found ----

/// The findings of a level, with their remedies.
fn at(level: Level, facts: &Facts, plan: &CheckPlan) -> Vec<String> {
    let found = findings(facts, plan).into_iter().filter(|finding| finding.level == level);
    found.map(|it| format!("{} -> {}", it.what, it.remedy.unwrap_or_default())).collect()
}

/// Checks that this and nothing else is wrong, whatever its place in the list.
#[track_caller]
fn only(level: Level, facts: &Facts, plan: &CheckPlan, what: &str, remedy: &str) {
    let found: Vec<String> = [Level::Warning, Level::Error]
        .into_iter()
        .flat_map(|level| at(level, facts, plan).into_iter().map(move |it| (level, it)))
        .map(|(level, finding)| format!("{}: {finding}", level))
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let finding = &found[0];
    let begins = format!("{}: ", level);
    assert!(finding.starts_with(&begins), "{finding}");
    let (told, advice) = finding.split_once(" -> ").expect("a remedy");
    assert!(told.contains(what), "{told:?} lacks {what:?}");
    assert!(advice.contains(remedy), "{advice:?} lacks {remedy:?}");
}

#[track_caller]
fn warns(facts: &Facts, what: &str, remedy: &str) {
    only(Level::Warning, facts, &CheckPlan::default(), what, remedy);
}

#[track_caller]
fn fails(facts: &Facts, what: &str, remedy: &str) {
    only(Level::Error, facts, &CheckPlan::default(), what, remedy);
}

#[track_caller]
fn says(facts: &Facts, plan: &CheckPlan, what: &str) {
    let found = at(Level::Ok, facts, plan);
    assert!(found.iter().any(|finding| finding.contains(what)), "{what:?} in {found:#?}");
}

#[test]
fn where_all_is_well_nothing_needs_a_remedy() {
    let found = findings(&well(), &CheckPlan::default());
    assert!(found.iter().all(|it| it.level == Level::Ok && it.remedy.is_none()), "{found:#?}");
    for area in &Area::VARIANTS[1..] {
        assert!(found.iter().any(|finding| finding.area == *area), "{area:?} in {found:#?}");
    }
}

#[test]
fn no_finding_quotes_a_statement_or_a_parameter() {
    let mut records =
        session("6b0308e2.10", &["select 'hunter2'", "alter role x password 'hunter2'"]);
    let mut failed = Record::new("6b0308e2.10", 6, "syntax error near hunter2");
    (failed.severity, failed.sqlstate) = ("ERROR", "42601");
    failed.query = "selec $1 'hunter2'".into();
    records.push(failed);
    let mut sample = sampled(&records);
    let mut torn = sample[1].clone();
    torn.payload.truncate(torn.payload.len() - 60);
    sample.push(torn);
    let found = findings(&with_sample(read(&sample, &Filters::default())), &CheckPlan::default());
    assert!(found.iter().any(|finding| finding.level == Level::Error));
    assert!(!format!("{found:?}").contains("hunter2"), "{found:#?}");
}

#[test]
fn spans_and_counts_are_written_for_people() {
    assert_eq!(
        [0, 999, 1500, 61_000, -90_000_000].map(span),
        ["0 ms", "999 ms", "1.5 s", "1m 01s", "1d 01h"]
    );
    assert_eq!([counted(1, "record"), counted(1200, "record")], ["1 record", "1,200 records"]);
    assert_eq!(listed(["a", "b"]), "a, b");
    assert_eq!(listed(["a", "b", "c", "d", "e", "f", "g", "h"]), "a, b, c, d, e, f and 2 more");
}
