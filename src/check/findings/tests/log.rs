//! The records, the source's settings, the clocks.

use std::time::Duration;

use super::super::sample::Version;
use super::*;

const SESSION: &str = "6b0308e2.10";

fn well_logged() -> Vec<Record> {
    session(SESSION, &["begin", "select 1", "commit"])
}

/// A session with so many statements, each logged as `record` says.
fn each(count: u64, record: impl Fn(u64) -> Vec<Record>) -> Vec<Record> {
    let mut records = vec![well_logged().swap_remove(0)];
    for number in 0..count {
        for mut record in record(number) {
            record.line = records.len() as u64 + 2;
            records.push(record);
        }
    }
    records
}

fn said(message: &str) -> Record {
    Record::new(SESSION, 0, message)
}

#[test]
fn what_records_look_like_is_told() {
    says(
        &well(),
        &CheckPlan::default(),
        "5 of 5 records in the sample can be read: csvlog of 26 columns",
    );
    let mut sample = sampled(&well_logged());
    sample[2].payload = format!(
        "{{\"message\":{}}}",
        serde_json::Value::from(String::from_utf8(sample[2].payload.clone()).expect("UTF-8"))
    )
    .into_bytes();
    let facts = with_sample(read(&sample, &Filters::default()));
    says(
        &facts,
        &CheckPlan::default(),
        "csvlog of 26 columns (4), csvlog of 26 columns in JSON objects (1)",
    );
}

#[test]
fn records_that_can_not_be_read_are_told_with_the_first_place_and_the_remedy() {
    let mut sample = sampled(&well_logged());
    let torn = |length: usize, offset| {
        let payload = format!(
            "{}{}",
            Record::new(SESSION, 9, "x").csv().split_once("\"x").expect("x").0,
            "\"duration: 1 ms  statement: select "
        );
        let payload = payload.into_bytes().into_iter().chain(std::iter::repeat(b'a')).take(length);
        Sampled { payload: payload.collect(), offset, ..Sampled::default() }
    };
    sample.extend([torn(400, 7), torn(500, 8)]);
    let facts = with_sample(read(&sample, &Filters::default()));
    fails(&facts, "2 records can't be read (torn); the first one, offset 7: ", "startmsg.regex");

    let mut sample = sampled(&well_logged());
    sample.push(torn(8096, 9));
    let facts = with_sample(read(&sample, &Filters::default()));
    fails(&facts, "1 record can't be read (torn)", "maxMessageSize");

    let mut sample = sampled(&well_logged());
    sample.push(Sampled::default());
    warns(&with_sample(read(&sample, &Filters::default())), "(empty)", "usually harmless");
}

#[test]
fn line_feeds_that_a_shipper_has_escaped_are_known_by_their_place() {
    let facts = with_log(&session(SESSION, &["select 1,\\n  2", "select '\\n'"]));
    fails(&facts, "1 statement has a backslash where SQL has none", "escapeLF");
}

#[test]
fn records_missing_in_the_middle_of_a_session_are_counted() {
    let mut records = well_logged();
    records.remove(2);
    warns(&with_log(&records), "1 record is missing in the middle of sessions", "every record");
    let twice: Vec<Record> = well_logged().into_iter().flat_map(|it| [it.clone(), it]).collect();
    says(&with_log(&twice), &CheckPlan::default(), "5 records came twice");
}

#[test]
fn the_rows_of_a_copy_are_missed() {
    let facts = with_log(&session(SESSION, &["copy t from stdin"]));
    warns(&facts, "1 statement has COPY … FROM STDIN", "INSERT");
}

// ---- Several partitions ----

/// Two sessions on two partitions.
fn two_partitions(change: impl Fn(usize, &mut Sampled)) -> Facts {
    let mut sample = sampled(&well_logged());
    let other = sampled(&session("6b0308e2.11", &["select 1"]));
    sample.extend(other.into_iter().map(|it| Sampled { partition: 1, ..it }));
    sample.iter_mut().enumerate().for_each(|(number, sampled)| change(number, sampled));
    with_sample(read(&sample, &Filters::default()))
}

#[test]
fn partitions_merge_exactly_where_every_record_tells_its_place() {
    let placed = |number: usize, it: &mut Sampled| it.place = Some(format!("{number}"));
    let facts = two_partitions(placed);
    says(&facts, &CheckPlan::default(), "merged exactly");
    says(&facts, &CheckPlan::default(), "sessions are whole on one partition");
    assert_eq!(at(Level::Warning, &facts, &CheckPlan::default()), [""; 0]);
    let some = two_partitions(|number, it| {
        if number > 2 {
            placed(number, it)
        }
    });
    warns(&some, "3 of 8 records in the sample do not tell their place", "kreplay.pos");
}

#[test]
fn one_partition_needs_no_key() {
    says(&well(), &CheckPlan::default(), "every record's key is its session");
    let mut sample = sampled(&well_logged());
    sample.iter_mut().for_each(|it| it.key = None);
    let found = findings(&with_sample(read(&sample, &Filters::default())), &CheckPlan::default());
    assert!(found.iter().all(|it| it.level == Level::Ok && !it.what.contains("key")), "{found:#?}");
}

#[test]
fn sessions_without_a_key_can_be_spread() {
    let placed = |number: usize, it: &mut Sampled| it.place = Some(format!("{number}"));
    let unkeyed = two_partitions(|number, it| {
        placed(number, it);
        it.key = if number == 0 { None } else { Some(b"pg".to_vec()) };
    });
    warns(
        &unkeyed,
        "8 of 8 records in the sample have a key other than their session",
        "as the key",
    );
    let spread = two_partitions(|number, it| {
        placed(number, it);
        it.partition = number as i32 % 2;
        it.offset = number as i64;
    });
    fails(&spread, "2 sessions are on more than one partition", "one partition");
}

#[test]
fn files_have_an_order() {
    let mut sample = sampled(&well_logged());
    let mut before = session("6b0308e2.11", &["select 1"]);
    before.iter_mut().for_each(|record| record.second = 10);
    sample.extend(sampled(&before).into_iter().map(|it| Sampled { partition: 1, ..it }));
    sample.iter_mut().for_each(|it| (it.key, it.broker_ms) = (None, None));
    let sample = Sample { files: true, ..read(&sample, &Filters::default()) };
    let input = InputFacts::Files(Ok(FilesFacts {
        names: vec!["a".into(), "b".into()],
        ..FilesFacts::default()
    }));
    fails(
        &Facts { input, ..with_sample(sample) },
        "file 1 of --input begins later than file 2",
        "order",
    );
}

// ---- Names ----

#[test]
fn names_on_the_command_line_are_looked_for_in_the_log() {
    let plan = |databases: &[&str], maps: &[&str], users: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|it| ((*it).into(), "x".into())).collect();
        let source_databases = databases.iter().map(|it| (*it).into()).collect();
        CheckPlan {
            filters: Filters { source_databases, ..Filters::default() },
            identity: Identity {
                databases: names(maps),
                users: names(users),
                ..Identity::default()
            },
            ..CheckPlan::default()
        }
    };
    says(&well(), &CheckPlan::default(), "1 session of app on app (psql)");
    let wrong = plan(&["App"], &[], &[]);
    only(
        Level::Error,
        &well(),
        &wrong,
        "no record is of --source-db App; the sample has app",
        "letter",
    );
    let one = plan(&["app", "shop"], &[], &[]);
    only(Level::Warning, &well(), &one, "--source-db shop: none such", "misspelt");
    only(Level::Warning, &well(), &plan(&[], &["a"], &[]), "--map-db a", "misspelt");
    only(Level::Warning, &well(), &plan(&[], &[], &["b"]), "--map-user b", "misspelt");
}

#[test]
fn several_databases_in_one_are_a_mistake() {
    let mut records = well_logged();
    let mut other = session("6b0308e2.11", &["select 1"]);
    other.iter_mut().for_each(|record| record.database = "shop");
    records.extend(other);
    let identity = Identity { one_database: Some("app".into()), ..Identity::default() };
    let plan = CheckPlan { identity, ..CheckPlan::default() };
    only(
        Level::Warning,
        &with_log(&records),
        &plan,
        "app, shop are all replayed to one",
        "--source-db",
    );
}

#[test]
fn databases_that_are_left_out_need_no_log_in() {
    let mut records = well_logged();
    let mut other = session("6b0308e2.11", &["select 1"]);
    other.iter_mut().for_each(|record| record.database = "shop");
    records.extend(other);
    let filters = Filters { source_databases: vec!["shop".into()], ..Filters::default() };
    let sample = read(&sampled(&records), &filters);
    assert_eq!(sample.logins.keys().collect::<Vec<_>>(), [&("app".to_owned(), "shop".to_owned())]);
    assert_eq!((sample.left_out, sample.sessions), (5, 1));
}

// ---- How the source logs ----

#[test]
fn statements_are_logged_at_their_end_or_at_their_start() {
    says(
        &well(),
        &CheckPlan::default(),
        "logged when they end, with their duration: 3 in the sample",
    );
    let start = with_log(&each(30, |_| vec![said("statement: select 1")]));
    warns(
        &start,
        "logged when they start (log_statement), without a duration: 30 in the sample",
        "log_statement = 'none'",
    );
    let both = each(30, |_| vec![said("statement: select 1"), said("duration: 0.1 ms")]);
    warns(&with_log(&both), "again when they end", "log_statement = 'none'");
    let ddl = each(30, |number| match number {
        0 => vec![said("statement: create table t()"), said("duration: 0.1 ms")],
        _ => vec![said("duration: 0.1 ms  statement: select 1")],
    });
    says(
        &with_log(&ddl),
        &CheckPlan::default(),
        "logged when they end: 29 in the sample; 1 when they start",
    );
}

#[test]
fn durations_alone_are_no_statements() {
    let facts = with_log(&each(30, |_| vec![said("duration: 0.1 ms")]));
    fails(&facts, "30 durations without a text", "in place of log_duration");
    warns(
        &with_log(&session(SESSION, &[])),
        "no statement in the sample",
        "log_min_duration_statement",
    );
}

#[test]
fn a_threshold_shows_in_the_shortest_duration() {
    let slow = |_| vec![said("duration: 5.100 ms  statement: select 1")];
    warns(&with_log(&each(30, slow)), "less than 5 ms", "log_min_duration_statement = 0");
    assert_eq!(at(Level::Warning, &with_log(&each(3, slow)), &CheckPlan::default()), [""; 0]);
}

#[test]
fn a_sample_shows_in_transactions_without_ends() {
    let begins = |_| vec![said("duration: 0.1 ms  statement: begin")];
    warns(&with_log(&each(9, begins)), "8 of 8 transactions have a BEGIN without an end", "sample");
    let commits = |_| vec![said("duration: 0.1 ms  statement: commit")];
    warns(&with_log(&each(9, commits)), "9 of 9 transactions", "sample");
    // Pools roll back in case there is something.
    let resets = |_| vec![said("duration: 0.1 ms  statement: rollback")];
    assert_eq!(at(Level::Warning, &with_log(&each(9, resets)), &CheckPlan::default()), [""; 0]);
}

#[test]
fn a_session_that_was_joined_midway_is_no_sample() {
    let mut records = session(SESSION, &["commit", "begin", "commit", "commit", "commit"]);
    records.remove(0);
    records.iter_mut().for_each(|record| record.line += 40);
    let sample = log(&records);
    assert_eq!((sample.logging.paired, sample.logging.unpaired), (1, 2));
}

#[test]
fn connections_and_their_ends_should_be_logged() {
    says(&well(), &CheckPlan::default(), "connections and their ends are logged");
    let mut unannounced = session(SESSION, &["select 1"]);
    unannounced.remove(0);
    unannounced.iter_mut().for_each(|record| record.line -= 2);
    warns(&with_log(&unannounced), "1 session begins without a record", "log_connections = on");
    let endless: Vec<Record> = (0..25)
        .flat_map(|pid| {
            let mut records = session(&format!("6b0308e2.{pid:x}"), &["select 1"]);
            records.pop();
            records
        })
        .collect();
    warns(&with_log(&endless), "25 sessions began and none ended", "log_disconnections");
    let mut midway = session(SESSION, &["select 1"])[1..2].to_vec();
    midway[0].line = 77;
    says(&with_log(&midway), &CheckPlan::default(), "no session begins in the sample");
}

fn executed(detail: &str) -> Record {
    let mut record = said("duration: 0.1 ms  execute <unnamed>: select $1");
    record.detail = detail.into();
    record
}

#[test]
fn parameters_have_to_be_there_and_whole() {
    let facts = with_log(&each(2, |_| vec![executed("parameters: $1 = 'abc'")]));
    says(&facts, &CheckPlan::default(), "parameters are logged, with 2 statements");
    let none = with_log(&each(2, |_| vec![executed("")]));
    fails(&none, "2 statements without (all of) their parameters", "log_parameter_max_length = -1");
    let cut = with_log(&each(3, |n| {
        vec![executed(if n == 0 { "parameters: $1 = 'ab'" } else { "parameters: $1 = 'abcde...'" })]
    }));
    warns(&cut, "cut after 5 bytes", "log_parameter_max_length = -1");
    // Somebody's text may end so.
    let dots = with_log(&each(2, |n| {
        vec![executed(if n == 0 {
            "parameters: $1 = 'well...'"
        } else {
            "parameters: $1 = 'longer than that'"
        })]
    }));
    assert_eq!(at(Level::Warning, &dots, &CheckPlan::default()), [""; 0]);
}

#[test]
fn failed_statements_need_their_parameters_too() {
    let mut failed = said("division by zero");
    (failed.severity, failed.sqlstate) = ("ERROR", "22012");
    failed.query = "select 1/$1".into();
    let facts = with_log(&each(1, |_| vec![failed.clone()]));
    let warnings = at(Level::Warning, &facts, &CheckPlan::default());
    assert!(
        warnings.iter().any(|it| it.starts_with("1 of 1 failed statement can't be run again")
            && it.contains("log_parameter_max_length_on_error = -1")),
        "{warnings:#?}"
    );
}

#[test]
fn messages_in_another_language_are_not_understood() {
    let german = each(9, |_| vec![said("Dauer: 0.1 ms  Anweisung: select 1")]);
    fails(&with_log(&german[1..]), "9 records of sessions", "lc_messages = 'C'");
}

#[test]
fn a_zone_that_is_an_abbreviation_is_ambiguous() {
    let mut records = well_logged();
    records[1].zone = "IST";
    warns(&with_log(&records), "log times of 1 record are in a zone", "log_timezone = 'UTC'");
}

#[test]
fn the_source_s_version_shows_in_columns_and_words() {
    let version = |records: &[Record]| log(records).version;
    assert_eq!(version(&well_logged()), Version { least: Some(14), most: None });
    let before_17 = each(1, |_| vec![executed("parameters: $1 = 'a'")]);
    assert_eq!(version(&before_17), Version { least: Some(14), most: Some(16) });
    says(&with_log(&before_17), &CheckPlan::default(), "the source is PostgreSQL 14 to 16");
    let after_17 = each(1, |_| vec![executed("Parameters: $1 = 'a'")]);
    assert_eq!(version(&after_17), Version { least: Some(17), most: None });
    let starting = each(1, |_| vec![said("starting PostgreSQL 15.20 (Debian 15.20-1) on x86_64")]);
    says(&with_log(&starting), &CheckPlan::default(), "the source is PostgreSQL 15");
}

#[test]
fn sessions_that_live_at_the_same_moment_are_counted() {
    let lives = |pid: u32, from: u64, to: u64| {
        let mut records = session(&format!("6b0308e2.{pid:x}"), &["select 1"]);
        records.iter_mut().for_each(|record| record.second = from);
        records.last_mut().expect("its end").second = to;
        records
    };
    let mut records =
        [lives(1, 0, 10), lives(2, 5, 20), lives(3, 11, 30), lives(4, 12, 13)].concat();
    records.sort_by_key(|record| record.second);
    assert_eq!(log(&records).at_once, 3);
    // One that goes on, and one that was there before.
    let mut midway = lives(5, 29, 29);
    midway.remove(0);
    midway.pop();
    midway[0].line = 50;
    records.extend(midway);
    assert_eq!(log(&records).at_once, 4);
}

// ---- Clocks ----

#[test]
fn a_clock_that_is_ahead_is_told() {
    says(&well(), &CheckPlan::default(), "the newest record was logged 1.0 s ago");
    says(&well(), &CheckPlan::default(), "records come to Kafka 20 ms after they were logged");
    warns(&Facts { now_ms: NOW_MS - 3_600_000, ..well() }, "in the future", "clocks");
    let mut sample = sampled(&well_logged());
    sample.iter_mut().for_each(|it| it.broker_ms = it.broker_ms.map(|ms| ms - 5000));
    let facts = with_sample(read(&sample, &Filters::default()));
    warns(&facts, "5.0 s before they were logged", "log_timezone");
    says(
        &Facts { now_ms: NOW_MS + 7_200_000, ..well() },
        &CheckPlan::default(),
        "logged 2h 00m ago: the source is silent",
    );
}

#[test]
fn a_paced_replay_of_a_live_topic_needs_a_playout_delay() {
    let plan = |delay| CheckPlan {
        pace: Some(Pace { speed: 1.0, playout_delay: Duration::from_millis(delay) }),
        lookahead_ms: 100,
        ..CheckPlan::default()
    };
    only(Level::Warning, &well(), &plan(0), "up to 120 ms after", "--playout-delay 1s or more");
    says(&well(), &plan(1000), "--playout-delay 1.0 s covers");
    // What is there already need not be waited for.
    let old = Facts { now_ms: NOW_MS + 7_200_000, ..well() };
    assert_eq!(at(Level::Warning, &old, &plan(0)), [""; 0]);
}

#[test]
fn plans_of_the_source_are_told_where_they_can_be_read() {
    says(&well(), &CheckPlan::default(), "no plans of auto_explain in the sample");
    let with_plan = |plan: &str| {
        let mut records = session(SESSION, &["select 1", "select 2"]);
        records[1].message = format!("duration: 0.100 ms  plan:\n{plan}");
        with_log(&records)
    };
    let text = with_plan("Query Text: select 1\nResult  (cost=0.00..0.01 rows=1 width=4)");
    says(&text, &CheckPlan::default(), "1 plan of auto_explain in the sample");
    let yaml = with_plan("Query Text: \"select 1\"\nPlan: \n  Node Type: \"Result\"");
    warns(&yaml, "1 plan of auto_explain is in a format", "auto_explain.log_format = text");
}
