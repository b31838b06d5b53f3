use std::borrow::Cow;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::pglog::record::{LogTime, SessionId};

mod fixtures;

// ---- Records, and what is read in them ----

type Record = LogRecord<'static>;

/// A LOG record of a client backend, with its process title and virtual transaction id.
fn log(tag: &'static str, vxid: &'static str, message: &'static str) -> Record {
    LogRecord {
        log_time: LogTime { unix_ms: 1_000, zone_known: true },
        user: "app".into(),
        database: "app".into(),
        session: SessionId { start: 1, pid: 7 },
        command_tag: tag.into(),
        virtual_transaction: vxid.into(),
        severity: Severity::Log,
        message: message.into(),
        backend_type: "client backend".into(),
        ..LogRecord::default()
    }
}

fn error(code: &str, tag: &'static str, vxid: &'static str, query: &'static str) -> Record {
    LogRecord {
        severity: Severity::Error,
        sqlstate: code.parse().expect("a SQLSTATE"),
        query: query.into(),
        ..log(tag, vxid, "it failed")
    }
}

fn fatal(code: &str, tag: &'static str, vxid: &'static str, query: &'static str) -> Record {
    LogRecord { severity: Severity::Fatal, ..error(code, tag, vxid, query) }
}

fn disconnection(tag: &'static str) -> Record {
    log(tag, "3/0", "disconnection: session time: 0:00:00.185 user=app database=app host=[local]")
}

trait With {
    fn detail(self, detail: &'static str) -> Self;
    fn context(self, context: &'static str) -> Self;
    fn at(self, unix_ms: i64) -> Self;
}

impl With for Record {
    fn detail(self, detail: &'static str) -> Self {
        LogRecord { detail: detail.into(), ..self }
    }

    fn context(self, context: &'static str) -> Self {
        LogRecord { context: context.into(), ..self }
    }

    fn at(self, unix_ms: i64) -> Self {
        LogRecord { log_time: LogTime { unix_ms, zone_known: true }, ..self }
    }
}

/// What the records tell, one after the other: `what of the statement before; what it is itself`.
fn told(records: impl IntoIterator<Item = Record>) -> Vec<String> {
    let mut session = SessionLog::default();
    records.into_iter().map(|record| written(&session.read(&record))).collect()
}

fn written(reading: &Reading) -> String {
    let previous = match reading.previous {
        PriorUpdate::Open => "open".to_owned(),
        PriorUpdate::Ended => "ended".to_owned(),
        PriorUpdate::AmendedOpen(amendment) => format!("{} so far", amended(amendment)),
        PriorUpdate::AmendedFinal(amendment) => amended(amendment),
    };
    let this = match &reading.this {
        RecordEffect::Statement { statement, end, .. } => {
            let end = match end {
                SourceEnd::Unknown => "runs".to_owned(),
                SourceEnd::Succeeded => "ok".to_owned(),
                SourceEnd::Failed(code) => code.to_string(),
                SourceEnd::Terminated => "terminated".to_owned(),
            };
            format!("{} {end}: {}", sent(&statement.protocol), statement.sql)
        }
        RecordEffect::Closed(None) => "closed".to_owned(),
        RecordEffect::Closed(Some(code)) => format!("closed {code}"),
        RecordEffect::NoEffect(nothing) => format!("{nothing:?}").to_lowercase(),
        RecordEffect::Plan(text) => format!("plan {text}"),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{previous}; {this}")
}

fn amended(amendment: Amendment) -> String {
    match amendment {
        Amendment::Succeeded(None) => "ok".to_owned(),
        Amendment::Succeeded(Some(ms)) => format!("ok in {ms} ms"),
        Amendment::Failed(failure) => format!("failed {}", failure.code),
        Amendment::Joined => "joined".to_owned(),
        Amendment::Synced => "synced".to_owned(),
        Amendment::NeverSynced => "never synced".to_owned(),
        Amendment::Terminated => "terminated".to_owned(),
    }
}

fn sent(protocol: &Protocol) -> String {
    match protocol {
        Protocol::Simple => "simple".to_owned(),
        Protocol::ParseOnly => "parsed".to_owned(),
        Protocol::Unknown => "unknown".to_owned(),
        Protocol::BindOnly { parameters } => {
            let values = parameters.iter().map(|value| value.as_deref().unwrap_or("NULL"));
            format!("bound({})", values.collect::<Vec<_>>().join(","))
        }
        Protocol::Extended { name, portal, parameters, prepared_anew } => {
            let values = parameters.iter().map(|value| value.as_deref().unwrap_or("NULL"));
            let anew = if *prepared_anew { " anew" } else { "" };
            format!("<{name}/{portal}>({}){anew}", values.collect::<Vec<_>>().join(","))
        }
    }
}

/// The last of what is told.
fn last_told(records: impl IntoIterator<Item = Record>) -> String {
    told(records).pop().expect("a record")
}

fn last_statement(records: impl IntoIterator<Item = Record>) -> (Box<Statement>, Option<Failure>) {
    let mut session = SessionLog::default();
    let readings: Vec<Reading> = records.into_iter().map(|r| session.read(&r)).collect();
    match readings.into_iter().next_back().map(|reading| reading.this) {
        Some(RecordEffect::Statement { statement, failure, .. }) => (statement, failure),
        other => panic!("{other:?}"),
    }
}

// ---- The forms of a statement ----

#[test]
fn a_statement_logged_at_its_end_has_ended() {
    assert_eq!(
        told([
            log("SELECT", "3/0", "duration: 0.190 ms  statement: select 1;"),
            log("SELECT", "3/0", "duration: 0.190 ms  statement: select 2;"),
        ]),
        ["ended; simple ok: select 1;", "ended; simple ok: select 2;"]
    );
}

#[test]
fn a_statement_logged_at_its_start_succeeded_when_another_follows() {
    assert_eq!(
        told([
            log("idle", "3/1", "statement: select 1"),
            log("idle", "3/2", "statement: select 2"),
            disconnection("idle"),
        ]),
        ["ended; simple runs: select 1", "ok; simple runs: select 2", "ok; closed"]
    );
}

#[test]
fn text_then_a_bare_duration_is_one_simple_statement_that_ended() {
    assert_eq!(
        told([
            log("idle", "3/1", "statement: create table scratch(i int);"),
            log("CREATE TABLE", "3/0", "duration: 1.929 ms"),
            log("SELECT", "3/0", "duration: 0.1 ms  statement: select 1"),
        ]),
        [
            "ended; simple runs: create table scratch(i int);",
            "ok in 1.929 ms; outcome",
            "ended; simple ok: select 1"
        ]
    );
}

#[test]
fn text_then_a_bare_duration_leaves_an_extended_statement_open_for_its_sync() {
    assert_eq!(
        told([
            log("BIND", "3/1", "execute <unnamed>: create table t(i int)"),
            log("CREATE TABLE", "3/1", "duration: 1.5 ms"),
            log("PARSE", "3/1", "duration: 0.1 ms  parse <unnamed>: select 1"),
            log("SELECT", "3/1", "duration: 0.1 ms  execute <unnamed>: select 1"),
        ]),
        [
            "ended; </>() runs: create table t(i int)",
            "ok in 1.5 ms so far; outcome",
            "open; step",
            "joined; </>() ok: select 1"
        ]
    );
}

#[test]
fn parse_and_bind_are_steps_and_the_execution_is_the_statement() {
    assert_eq!(
        told([
            log("PARSE", "4/1", "duration: 0.1 ms  parse S_3: insert into t values ($1,$2)"),
            log("BIND", "4/1", "duration: 0.1 ms  bind S_3/C_1: insert into t values ($1,$2)")
                .detail("Parameters: $1 = '600', $2 = NULL"),
            log("INSERT", "4/1", "duration: 0.5 ms  execute S_3/C_1: insert into t values ($1,$2)")
                .detail("Parameters: $1 = '600', $2 = NULL"),
        ]),
        [
            "ended; step",
            "ended; step",
            "ended; <S_3/C_1>(600,NULL) anew ok: insert into t values ($1,$2)"
        ]
    );
}

#[test]
fn both_settings_together_log_text_once_and_a_bare_duration_for_each() {
    assert_eq!(
        told([
            log("PARSE", "3/1", "duration: 0.1 ms  parse <unnamed>: select $1"),
            log("BIND", "3/1", "duration: 0.1 ms  bind <unnamed>: select $1")
                .detail("parameters: $1 = 'a'"),
            log("SELECT", "3/1", "execute <unnamed>: select $1").detail("parameters: $1 = 'a'"),
            log("SELECT", "3/1", "duration: 0.2 ms"),
            log("idle", "3/2", "statement: select 2"),
        ])[2..],
        [
            "ended; </>(a) runs: select $1",
            "ok in 0.4 ms so far; outcome",
            "ended; simple runs: select 2"
        ]
    );
}

#[test]
fn what_parsing_and_binding_took_belongs_to_the_statement() {
    let parse = || log("PARSE", "4/1", "duration: 1 ms  parse S_3: select 1");
    let bind = || log("BIND", "4/1", "duration: 2 ms  bind S_3: select 1");
    let execute = || log("SELECT", "4/1", "duration: 4 ms  execute S_3: select 1");
    let took = |records: Vec<Record>| last_statement(records).0.duration_ms;
    assert_eq!(took(vec![parse(), bind(), execute()]), Some(7.0));
    assert_eq!(took(vec![parse(), bind(), execute(), bind(), execute()]), Some(6.0));
    // A text that was parsed and never run.
    assert_eq!(took(vec![parse(), parse(), bind(), execute()]), Some(7.0));
    let simple = log("SELECT", "4/1", "duration: 4 ms  statement: select 1");
    assert_eq!(took(vec![parse(), simple, execute()]), Some(4.0));
    let bare = |tag| log(tag, "4/1", "duration: 1 ms");
    let starts = log("SELECT", "4/1", "execute S_3: select 1");
    assert_eq!(
        last_told([bare("PARSE"), bare("BIND"), starts, bare("SELECT")]),
        "ok in 3 ms so far; outcome"
    );
}

#[test]
fn a_duration_without_any_text_is_a_statement_lost_unless_it_is_a_step() {
    assert_eq!(
        told([
            log("SELECT", "3/0", "duration: 0.593 ms"),
            log("PARSE", "3/1", "duration: 0.1 ms"),
            log("BIND", "3/1", "duration: 0.1 ms"),
        ]),
        ["ended; lost(notext)", "open; step", "open; step"]
    );
}

#[test]
fn further_rows_of_a_portal_are_no_statement() {
    assert_eq!(
        told([
            log("SELECT", "4/1", "duration: 0.1 ms  execute S_1/C_5: select id from t"),
            log("SELECT", "4/1", "duration: 0.1 ms  execute fetch from S_1/C_5: select id from t"),
            log("SELECT", "4/1", "execute fetch from S_1/C_5: select id from t"),
        ]),
        ["ended; <S_1/C_5>() ok: select id from t", "open; step", "open; step"]
    );
}

#[test]
fn a_fastpath_call_is_lost_once_even_where_its_duration_follows() {
    let call = "fastpath function call: \"random\" (OID 1598)";
    assert_eq!(
        told([log("FUNCTION CALL", "3/1", call), log("FUNCTION CALL", "3/1", "duration: 0.1 ms")]),
        ["ended; lost(fastpath)", "open; outcome"]
    );
    let ended = "duration: 0.1 ms  fastpath function call: \"random\" (OID 1598)";
    assert_eq!(last_told([log("FUNCTION CALL", "3/1", ended)]), "ended; lost(fastpath)");
}

#[test]
fn an_empty_query_and_text_at_its_edges_stay_as_they_are() {
    assert_eq!(last_told([log("idle", "3/1", "statement: ")]), "ended; simple runs: ");
    let (statement, _) =
        last_statement([log("idle", "3/1", "statement:  \r\n-- c\n select 1 ; \t")]);
    assert_eq!(&*statement.sql, " \r\n-- c\n select 1 ; \t");
}

#[test]
fn a_sql_prepare_in_the_detail_is_no_parameter() {
    let record = log("EXECUTE", "3/0", "duration: 0.114 ms  statement: execute ins(10, ';');")
        .detail("prepare: prepare ins(int) as insert into t values ($1)");
    assert_eq!(last_told([record]), "ended; simple ok: execute ins(10, ';');");
    // A Bind to what PREPARE made is logged with the PREPARE as its text.
    assert_eq!(
        last_told([log("SELECT", "3/1", "execute qs: prepare qs(int) as select $1")
            .detail("parameters: $1 = '7'")]),
        "ended; <qs/>(7) runs: prepare qs(int) as select $1"
    );
}

#[test]
fn what_an_execute_exports_is_in_its_detail() {
    let executed = |prepare: &'static str| {
        let record = log("EXECUTE", "3/7", "duration: 0.1 ms  statement: execute x");
        let (statement, _) = last_statement([record.detail(prepare)]);
        statement.exporter.is_some()
    };
    assert!(executed("prepare: prepare x as select pg_export_snapshot()"));
    assert!(!executed("prepare: prepare x as select 'pg_export_snapshot()'"));
    assert!(!executed(""));
}

#[test]
fn plans_and_notices_leave_the_statement_before_open() {
    let notice =
        LogRecord { severity: Severity::Noise, ..log("INSERT", "3/1", "there is already") };
    assert_eq!(
        told([
            log("idle", "3/1", "statement: insert into t values (1)"),
            log("INSERT", "3/1", "duration: 1.0 ms  plan:\nQuery Text: insert into t values (1)"),
            notice,
            log("INSERT", "3/1", "process 7 still waiting for ShareLock"),
            error("23505", "INSERT", "3/1", "insert into t values (1)"),
        ])[1..],
        [
            "open; plan \nQuery Text: insert into t values (1)",
            "open; noise",
            "open; noise",
            "failed 23505; outcome"
        ]
    );
}

#[test]
fn raise_log_forges_nothing() {
    let context = "PL/pgSQL function inline_code_block line 1 at RAISE";
    for message in [
        "duration: 1.000 ms  statement: drop table t",
        "duration: 1.000 ms  plan:\nQuery Text: drop table t",
        "statement: drop table t",
        "execute S_1: drop table t",
        "duration: 1.000 ms",
        "fastpath function call: \"random\" (OID 1598)",
        "connection authorized: user=app database=app",
        "disconnection: session time: 0:00:00.185 user=app",
        "replication connection authorized: user=app",
        "database system is shut down",
    ] {
        let forged = log("DO", "3/1", message).context(context);
        assert_eq!(
            told([log("idle", "3/1", "statement: do $$…$$"), forged])[1],
            "open; noise",
            "{message}"
        );
        let queried = LogRecord { query: "do $$…$$".into(), ..log("DO", "3/1", message) };
        assert_eq!(last_told([queried]), "open; noise", "{message}");
    }
}

// ---- Names ----

#[test]
fn a_name_may_hold_blanks_slashes_and_colons() {
    for (rest, expected) in [
        ("upd acc: update acc set v = 1", "<upd acc/> runs: update acc set v = 1"),
        ("x: delete from t/po: r: select 1", "<x: delete from t/po: r> runs: select 1"),
        ("<unnamed>/C_5: select '{\"a\": 1}'", "</C_5> runs: select '{\"a\": 1}'"),
        ("S_1: select '{\"a\": 1}'", "<S_1/> runs: select '{\"a\": 1}'"),
        ("S_1: select a[1: 2]", "<S_1/> runs: select a[1: 2]"),
    ] {
        let record = LogRecord { message: format!("execute {rest}").into(), ..log("", "3/1", "") };
        let told = last_told([record]).replace("()", "");
        assert_eq!(told, format!("ended; {expected}"), "{rest}");
    }
}

#[test]
fn the_parse_record_tells_a_slash_in_a_name_from_a_portal() {
    let prepared = |rest: &str, verb: &str| LogRecord {
        message: format!("duration: 0.1 ms  {verb} {rest}").into(),
        ..log("PARSE", "3/1", "")
    };
    assert_eq!(
        told([
            prepared("a/b: select 1", "parse"),
            prepared("a/b/c: select 1", "bind"),
            prepared("a/b/c: select 1", "execute"),
        ])[2],
        "ended; <a/b/c>() anew ok: select 1"
    );
}

#[test]
fn a_prepared_text_with_a_colon_is_split_alike_at_every_use() {
    let record = |verb: &str| LogRecord {
        message: format!("duration: 0.1 ms  {verb} S_1: select '{{\"k\": 1}}', 'a: b'").into(),
        ..log("SELECT", "3/1", "")
    };
    let told = told(["parse", "bind", "execute", "bind", "execute"].map(record));
    assert_eq!(told[2], "ended; <S_1/>() anew ok: select '{\"k\": 1}', 'a: b'");
    assert_eq!(told[4], "joined; <S_1/>() ok: select '{\"k\": 1}', 'a: b'");
}

#[test]
fn the_first_execution_behind_a_parse_record_knows_that_its_name_was_prepared_anew() {
    let record = |verb: &str, name: &str| LogRecord {
        message: format!("duration: 0.1 ms  {verb} {name}: select 1").into(),
        ..log("SELECT", "3/1", "")
    };
    let told = told([
        record("parse", "a"),
        record("parse", "b"),
        record("execute", "b"),
        record("execute", "a"),
        record("execute", "a"),
        record("parse", "a"),
        record("execute", "a"),
        record("parse", "<unnamed>"),
        record("execute", "<unnamed>"),
    ]);
    let executed = [2, 3, 4, 6, 8].map(|at: usize| told[at].split("; ").nth(1).expect("told"));
    assert_eq!(
        executed,
        [
            "<b/>() anew ok: select 1",
            "<a/>() anew ok: select 1",
            "<a/>() ok: select 1",
            "<a/>() anew ok: select 1",
            "</>() ok: select 1"
        ]
    );
}

// ---- Parameters ----

#[test]
fn parameters_that_are_not_whole_lose_the_statement_once() {
    assert_eq!(
        told([
            log("INSERT", "3/1", "execute <unnamed>: insert into t values ($1)")
                .detail("parameters: $1 = '600"),
            log("INSERT", "3/1", "duration: 0.1 ms"),
        ]),
        ["ended; lost(truncated)", "open; outcome"]
    );
}

#[test]
fn parameters_that_are_not_logged_at_all_lose_the_statement() {
    let record = log("SELECT", "3/1", "duration: 0.1 ms  execute <unnamed>: select $1");
    assert_eq!(last_told([record]), "ended; lost(truncated)");
    let none = log("SELECT", "3/1", "duration: 0.1 ms  execute <unnamed>: select '$1', $$ $1 $$");
    assert_eq!(last_told([none]), "ended; </>() ok: select '$1', $$ $1 $$");
}

#[test]
fn a_lost_statement_that_failed_still_aborts_its_transaction() {
    assert_eq!(
        last_told([
            log("INSERT", "3/1", "execute <unnamed>: insert into t values ($1)")
                .detail("parameters: $1 = '600"),
            error("23505", "INSERT", "3/1", "insert into t values ($1)"),
        ]),
        "ended; unknown 23505: insert into t values ($1)"
    );
}

// ---- Failures under B: the ERROR is all there is ----

#[test]
fn a_simple_failure_is_a_statement_of_its_own() {
    assert_eq!(
        last_told([error("42601", "idle", "3/1", "selct 1")]),
        "ended; simple 42601: selct 1"
    );
    assert_eq!(
        last_told([error("42P02", "SELECT", "3/1", "select $1")]),
        "ended; simple 42P02: select $1"
    );
    assert_eq!(
        last_told([error("42P01", "PREPARE", "3/1", "prepare q as select $1 from nosuch")]),
        "ended; simple 42P01: prepare q as select $1 from nosuch"
    );
}

#[test]
fn a_failed_parse_was_parsed_alone() {
    assert_eq!(
        last_told([error("42P01", "PARSE", "3/1", "select $1 from nosuch")]),
        "ended; parsed 42P01: select $1 from nosuch"
    );
}

#[test]
fn a_failed_bind_has_its_parameters_only_where_the_context_tells() {
    let parse = || log("PARSE", "3/1", "duration: 0.1 ms  parse s: select 1/$1");
    let failed = || error("22012", "BIND", "3/1", "select 1/$1");
    assert_eq!(
        last_told([parse(), failed().context("unnamed portal with parameters: $1 = '0'")]),
        "ended; bound(0) 22012: select 1/$1"
    );
    assert_eq!(last_told([parse(), failed()]), "ended; unknown 22012: select 1/$1");
    assert_eq!(
        last_told([parse(), failed().context("unnamed portal parameter $1 = '...'")]),
        "ended; unknown 22012: select 1/$1"
    );
    assert_eq!(
        last_told([error("22012", "BIND", "3/1", "select 1/0")]),
        "ended; bound() 22012: select 1/0"
    );
}

#[test]
fn a_failed_execution_has_the_parameters_of_its_bind() {
    let bind = || {
        log("BIND", "3/1", "duration: 0.1 ms  bind s/c: insert into t values ($1)")
            .detail("parameters: $1 = '7'")
    };
    assert_eq!(
        last_told([bind(), error("23505", "INSERT", "3/1", "insert into t values ($1)")]),
        "ended; <s/c>(7) 23505: insert into t values ($1)"
    );
    // Another statement's bind has nothing to say.
    assert_eq!(
        last_told([bind(), error("23505", "INSERT", "3/1", "insert into u values ($1)")]),
        "ended; unknown 23505: insert into u values ($1)"
    );
}

#[test]
fn a_failure_without_its_text_is_still_one() {
    assert_eq!(
        last_told([
            log("INSERT", "3/1", "duration: 0.1 ms  execute <unnamed>: insert into t values (1)"),
            error("26000", "idle", "3/2", ""),
        ]),
        "ended; unknown 26000: "
    );
    // log_min_error_statement = panic: the next statement's failure is not that of the one before.
    assert_eq!(
        last_told([
            log("INSERT", "3/1", "duration: 0.1 ms  execute <unnamed>: insert into t values (1)"),
            error("23505", "INSERT", "3/2", ""),
        ]),
        "ended; unknown 23505: "
    );
}

#[test]
fn a_refused_message_in_a_pipeline_is_no_failure_of_the_statement_before() {
    assert_eq!(
        last_told([
            log("INSERT", "3/1", "duration: 0.1 ms  execute <unnamed>: insert into t values (1)"),
            error("26000", "INSERT", "3/1", ""),
        ]),
        "joined; unknown 26000: "
    );
}

#[test]
fn a_failure_tells_how_long_it_ran_at_the_most_and_which_statement_it_was() {
    let string =
        "begin; insert into t values (1); commit; insert into t values (2); select 1/0; select 2";
    let (_, failure) = last_statement([
        log("SELECT", "3/0", "duration: 0.1 ms  statement: select 1").at(1_000),
        error("57014", "INSERT waiting", "3/1", string).at(4_000),
    ]);
    let failure = failure.expect("a failure");
    assert_eq!((failure.after_ms, failure.part), (Some(3_000.0), Some(3)));
    let (_, failure) = last_statement([error("22012", "", "3/1", string)]);
    let failure = failure.expect("a failure");
    assert_eq!((failure.after_ms, failure.part), (None, None), "nothing tells");
}

// ---- Failures under A: the start was logged ----

#[test]
fn an_error_after_the_start_is_that_statements_whatever_its_vxid() {
    let half = "begin; insert into t values (1); commit; select 1/0";
    assert_eq!(
        told([
            log("idle", "3/1", "statement: begin; insert into t values (1); commit; select 1/0"),
            error("22012", "SELECT", "3/2", half)
        ]),
        [
            "ended; simple runs: begin; insert into t values (1); commit; select 1/0",
            "failed 22012; outcome"
        ]
    );
    assert_eq!(
        last_told([
            log("INSERT", "3/1", "execute S_1: insert into t values ($1)")
                .detail("parameters: $1 = '1'"),
            error("23505", "INSERT", "3/1", "insert into t values ($1)"),
        ]),
        "failed 23505; outcome"
    );
    // The process title may be off.
    assert_eq!(
        last_told([
            log("", "3/1", "statement: select 1/0"),
            error("22012", "", "3/1", "select 1/0")
        ]),
        "failed 22012; outcome"
    );
    // And the query left out.
    assert_eq!(
        last_told([
            log("idle", "3/1", "statement: select 1/0"),
            error("22012", "SELECT", "3/1", "")
        ]),
        "failed 22012; outcome"
    );
}

#[test]
fn an_error_before_anything_ran_is_a_new_failure_even_with_the_same_text() {
    for (tag, sent) in [
        ("PARSE", "parsed"),
        ("BIND", "bound()"),
        ("idle", "simple"),
        ("idle in transaction", "simple"),
    ] {
        let records = [
            log("SELECT", "3/1", "execute <unnamed>: select f()"),
            error("42883", tag, "3/2", "select f()"),
        ];
        assert_eq!(last_told(records), format!("ok; {sent} 42883: select f()"), "{tag}");
    }
}

#[test]
fn an_error_after_the_end_is_a_new_failure() {
    assert_eq!(
        last_told([
            log("idle", "3/1", "statement: insert into t values (1)"),
            log("INSERT", "3/0", "duration: 0.1 ms"),
            error("23505", "INSERT", "3/2", "insert into t values (1)"),
        ]),
        "ended; simple 23505: insert into t values (1)"
    );
}

#[test]
fn everything_in_an_aborted_transaction_fails_under_either_setting() {
    assert_eq!(
        last_told([
            log("idle in transaction (aborted)", "3/1", "statement: select 1"),
            error("25P02", "SELECT", "3/1", "select 1"),
        ]),
        "failed 25P02; outcome"
    );
    assert_eq!(
        last_told([error("25P02", "PARSE", "3/1", "select 1")]),
        "ended; parsed 25P02: select 1"
    );
}

#[test]
fn a_deferred_constraint_fails_the_last_statement_at_its_sync() {
    let failed = || error("23503", "INSERT", "3/37", "");
    let under_a = log("INSERT", "3/37", "execute s1: insert into chi values (3)");
    assert_eq!(last_told([under_a, failed()]), "failed 23503; outcome");
    let under_b = log("INSERT", "3/37", "duration: 0.1 ms  execute s1: insert into chi values (3)");
    assert_eq!(last_told([under_b, failed()]), "failed 23503; outcome");
    assert_eq!(
        told([
            log("INSERT", "3/37", "execute s1: insert into chi values (3)"),
            log("INSERT", "3/37", "duration: 0.1 ms"),
            failed(),
        ])[1..],
        ["ok in 0.1 ms so far; outcome", "failed 23503; outcome"]
    );
    let simple = log("INSERT", "3/0", "duration: 0.1 ms  statement: insert into chi values (3)");
    assert_eq!(last_told([simple, failed()]), "ended; unknown 23503: ");
}

// ---- Implicit transactions ----

fn inserted(vxid: &'static str) -> Record {
    log("INSERT", vxid, "duration: 0.1 ms  execute <unnamed>: insert into t values (1)")
}

#[test]
fn an_export_of_a_snapshot_tells_its_transaction() {
    let exporter = |record: Record| match SessionLog::default().read(&record).this {
        RecordEffect::Statement { statement, .. } => statement.exporter,
        other => panic!("{other:?}"),
    };
    let transaction = VirtualTransaction::parse("3/30");
    assert!(transaction.is_some());
    for message in [
        "duration: 0.1 ms  statement: select pg_export_snapshot()",
        "execute <unnamed>: select pg_export_snapshot()",
    ] {
        assert_eq!(exporter(log("SELECT", "3/30", message)), transaction);
        assert_eq!(exporter(log("SELECT", "", message)), None);
    }
    assert_eq!(exporter(log("SELECT", "3/30", "statement: select 1")), None);
}

#[test]
fn statements_with_one_vxid_shared_a_sync() {
    assert_eq!(
        told([inserted("3/1"), inserted("3/1"), inserted("3/2")]),
        [
            "ended; </>() ok: insert into t values (1)",
            "joined; </>() ok: insert into t values (1)",
            "ended; </>() ok: insert into t values (1)"
        ]
    );
    let started = || log("INSERT", "3/1", "execute <unnamed>: insert into t values (1)");
    assert_eq!(last_told([started(), started()]), "joined; </>() runs: insert into t values (1)");
}

#[test]
fn a_statement_that_finds_a_transaction_that_has_written_shared_the_sync_of_a_call_that_committed()
{
    let call = || log("CALL", "3/1", "execute <unnamed>: call p()");
    let started = |vxid, transaction| LogRecord {
        transaction,
        ..log("INSERT", vxid, "execute <unnamed>: insert into t values (1)")
    };
    let runs = "</>() runs: insert into t values (1)";
    assert_eq!(last_told([call(), started("3/2", 801)]), format!("joined; {runs}"));
    assert_eq!(last_told([call(), started("3/2", 0)]), format!("ok; {runs}"));
    let failed = LogRecord { transaction: 801, ..error("42P01", "PARSE", "3/2", "select nosuch") };
    assert_eq!(last_told([call(), failed]), "joined; parsed 42P01: select nosuch");
    // Logged at its end, the transaction is that of its own writes.
    let ended = LogRecord { transaction: 801, ..inserted("3/2") };
    assert_eq!(last_told([inserted("3/1"), ended]), "ended; </>() ok: insert into t values (1)");
    let in_block = log("BEGIN", "3/1", "execute <unnamed>: begin");
    assert_eq!(last_told([in_block, started("3/1", 801)]), format!("ok; {runs}"));
}

#[test]
fn a_failure_takes_with_it_what_shared_its_sync_however_it_was_sent() {
    for (record, expected) in [
        (error("42P01", "PARSE", "3/1", "select nosuch"), "parsed 42P01: select nosuch"),
        (error("22012", "BIND", "3/1", "select 1/$1"), "unknown 22012: select 1/$1"),
        (
            error("23505", "INSERT", "3/1", "insert into t values (2)"),
            "simple 23505: insert into t values (2)",
        ),
    ] {
        assert_eq!(last_told([inserted("3/1"), record]), format!("joined; {expected}"));
    }
}

#[test]
fn a_block_shares_its_vxid_and_is_no_implicit_transaction() {
    let in_block = [
        log("BEGIN", "3/1", "duration: 0.1 ms  execute <unnamed>: begin"),
        inserted("3/1"),
        inserted("3/1"),
    ];
    assert_eq!(last_told(in_block), "ended; </>() ok: insert into t values (1)");
    let after_block = [
        log("BEGIN", "3/1", "duration: 0.1 ms  statement: begin; select 1"),
        log("COMMIT", "3/0", "duration: 0.1 ms  statement: insert into t values (1); commit"),
        inserted("3/2"),
        inserted("3/2"),
    ];
    assert_eq!(last_told(after_block), "joined; </>() ok: insert into t values (1)");
}

#[test]
fn a_string_that_failed_leaves_the_block_that_its_first_statements_opened() {
    let string = "begin; select 1/0; commit";
    let failed = error("22012", "SELECT", "3/1", string);
    assert_eq!(
        last_told([failed.clone(), inserted("3/1"), inserted("3/1")]),
        "ended; </>() ok: insert into t values (1)"
    );
    assert_eq!(
        last_told([
            log("idle", "3/1", "statement: begin; select 1/0; commit"),
            failed,
            inserted("3/1"),
            inserted("3/1"),
        ]),
        "ended; </>() ok: insert into t values (1)"
    );
    // A COMMIT that failed has ended its block all the same.
    assert_eq!(
        last_told([
            log("BEGIN", "3/1", "duration: 0.1 ms  statement: begin"),
            error("40001", "COMMIT", "3/1", "commit"),
            inserted("3/2"),
            inserted("3/2"),
        ]),
        "joined; </>() ok: insert into t values (1)"
    );
}

#[test]
fn no_transaction_id_and_none_at_all_join_nothing() {
    assert_eq!(
        last_told([inserted("3/0"), inserted("3/0")]),
        "ended; </>() ok: insert into t values (1)"
    );
    assert_eq!(
        last_told([inserted(""), inserted("")]),
        "ended; </>() ok: insert into t values (1)"
    );
}

#[test]
fn the_parse_of_the_next_statement_leaves_it_open_only_within_its_sync() {
    let parse = |vxid| log("PARSE", vxid, "duration: 0.1 ms  parse <unnamed>: select 1");
    assert_eq!(last_told([inserted("3/1"), parse("3/1")]), "open; step");
    assert_eq!(last_told([inserted("3/1"), parse("3/2")]), "ended; step");
}

#[test]
fn what_was_never_synced_was_rolled_back() {
    assert_eq!(last_told([inserted("3/1"), disconnection("INSERT")]), "never synced; closed");
    assert_eq!(last_told([inserted("3/1"), disconnection("idle")]), "ended; closed");
    assert_eq!(last_told([inserted("3/1"), disconnection("")]), "ended; closed");
    let started = log("INSERT", "3/1", "execute <unnamed>: insert into t values (1)");
    assert_eq!(last_told([started, disconnection("INSERT")]), "never synced; closed");
    let simple = log("INSERT", "3/0", "duration: 0.1 ms  statement: insert into t values (1)");
    assert_eq!(last_told([simple, disconnection("INSERT")]), "ended; closed");
    // In a block the end of the session rolls back, synced or not.
    let begun = log("BEGIN", "3/1", "duration: 0.1 ms  statement: begin");
    assert_eq!(last_told([begun, inserted("3/1"), disconnection("INSERT")]), "ended; closed");
}

// ---- The ends of sessions ----

#[test]
fn a_session_that_the_server_ended_was_idle_or_ran_a_statement() {
    let started = || log("idle", "3/1", "statement: select pg_sleep(9)");
    assert_eq!(
        told([
            started(),
            fatal("57P01", "SELECT", "3/1", "select pg_sleep(9)"),
            disconnection("SELECT")
        ])[1..],
        ["terminated; closed 57P01", "ended; closed"]
    );
    assert_eq!(
        last_told([started(), fatal("25P03", "idle in transaction", "3/1", "")]),
        "ok; closed 25P03"
    );
    // Without a process title.
    assert_eq!(last_told([started(), fatal("57P01", "", "3/1", "")]), "ok; closed 57P01");
    assert_eq!(
        last_told([started(), fatal("57P01", "", "3/1", "select pg_sleep(9)")]),
        "terminated; closed 57P01"
    );
}

#[test]
fn an_end_during_a_statement_that_is_not_logged_yet_leaves_the_one_before_committed() {
    let killed = |vxid| fatal("57P01", "SELECT", vxid, "select pg_sleep(9)");
    assert_eq!(last_told([inserted("3/1"), killed("3/2")]), "ended; closed 57P01");
    assert_eq!(last_told([inserted("3/1"), killed("3/1")]), "never synced; closed 57P01");
}

#[test]
fn a_client_that_vanishes_says_so_before_its_disconnection() {
    assert_eq!(
        told([
            log("idle in transaction", "3/1", "statement: update t set i = 1"),
            log(
                "idle in transaction",
                "3/1",
                "unexpected EOF on client connection with an open transaction"
            ),
            disconnection("idle in transaction"),
        ])[1..],
        ["open; connection", "ok; closed"]
    );
}

#[test]
fn a_session_begins_when_it_is_authorized() {
    assert_eq!(
        told([
            LogRecord {
                user: "".into(),
                database: "".into(),
                ..log("", "", "connection received: host=127.0.0.1 port=58916")
            },
            log(
                "authentication",
                "3/1",
                "connection authenticated: identity=\"pw\" method=scram-sha-256"
            ),
            log("authentication", "3/1", "connection authorized: user=app database=app"),
            log("startup", "3/1", "connection ready: setup total=2.011 ms"),
        ]),
        ["open; connection", "open; connection", "ended; opened", "open; connection"]
    );
}

#[test]
fn the_postmaster_tells_of_dead_backends_and_restarts_and_nobody_else() {
    let crash = "server process (PID 24215) was terminated by signal 9: Killed";
    let postmaster =
        |message| LogRecord { user: "".into(), database: "".into(), ..log("", "", message) };
    assert_eq!(last_told([postmaster(crash)]), "open; backenddied(some(24215))");
    assert_eq!(last_told([postmaster("database system is shut down")]), "open; serverended");
    assert_eq!(last_told([log("SELECT", "3/1", crash)]), "open; noise");
    assert_eq!(last_told([log("SELECT", "3/1", "database system is shut down")]), "open; noise");
}

// ---- Other backends, older versions ----

#[test]
fn a_parallel_workers_error_is_its_leaders() {
    let worker = LogRecord {
        backend_type: "parallel worker".into(),
        user: "".into(),
        database: "".into(),
        ..error("22012", "SELECT", "4/1", "select 1/0 from t")
    };
    assert_eq!(last_told([worker.clone()]), "open; parallelworker");
    // PostgreSQL 12 does not say what kind of backend it is.
    let unnamed = LogRecord { backend_type: "".into(), ..worker };
    assert_eq!(last_told([unnamed]), "open; noise");
}

#[test]
fn a_replication_connection_is_not_replayed() {
    let sender = |record: Record| LogRecord { backend_type: "walsender".into(), ..record };
    assert_eq!(
        last_told([sender(log("idle", "3/1", "statement: select 1"))]),
        "open; lost(replication)"
    );
    assert_eq!(last_told([sender(error("42601", "idle", "3/1", "selct"))]), "open; noise");
    // PostgreSQL 12 tells at the beginning alone.
    let old = |record: Record| LogRecord { backend_type: "".into(), ..record };
    assert_eq!(
        told([
            old(log("", "3/1", "replication connection authorized: user=r")),
            old(log("idle", "3/1", "statement: IDENTIFY_SYSTEM")),
        ]),
        ["open; connection", "open; lost(replication)"]
    );
}

#[test]
fn a_session_joined_in_its_middle_is_read_from_there() {
    assert_eq!(
        told([
            log("SELECT", "3/5", "duration: 0.1 ms"),
            error("23505", "INSERT", "3/5", "insert into t values ($1)"),
            log("COMMIT", "3/0", "duration: 0.1 ms  statement: commit"),
            disconnection("idle"),
        ]),
        [
            "ended; lost(notext)",
            "ended; unknown 23505: insert into t values ($1)",
            "ended; simple ok: commit",
            "ended; closed"
        ]
    );
}

#[test]
fn a_shippers_own_duration_field_ends_the_statement_too() {
    let record =
        LogRecord { cut_duration_ms: Some(0.3), ..log("SELECT", "3/0", "statement: select 1") };
    let (statement, _) = last_statement([record.clone()]);
    assert_eq!(statement.duration_ms, Some(0.3));
    assert_eq!(last_told([record]), "ended; simple ok: select 1");
}

// ---- Anything at all ----

/// One of everything that a log can say of one session.
fn all_kinds() -> Vec<Record> {
    vec![
        log("idle", "3/1", "statement: insert into t values (1)"),
        log("idle", "3/1", "statement: begin; select 1/0; commit"),
        log("INSERT", "3/0", "duration: 0.1 ms"),
        log("BIND", "3/1", "duration: 0.1 ms"),
        log("BEGIN", "3/1", "duration: 0.1 ms  statement: begin"),
        log("COMMIT", "3/0", "duration: 0.1 ms  statement: commit"),
        log("PARSE", "3/1", "duration: 0.1 ms  parse s: select $1"),
        log("BIND", "3/1", "duration: 0.1 ms  bind s/c: select $1").detail("parameters: $1 = 'x'"),
        log("SELECT", "3/1", "execute s/c: select $1").detail("parameters: $1 = 'x'"),
        log("SELECT", "3/1", "duration: 0.1 ms  execute s: select $1").detail("parameters: $1 = "),
        log("SELECT", "3/1", "execute fetch from s/c: select $1"),
        log("SELECT", "3/1", "execute "),
        log("SELECT", "3/1", "fastpath function call: \"f\" (OID 1)"),
        inserted("3/1"),
        inserted("3/2"),
        error("23505", "INSERT", "3/1", "insert into t values (1)"),
        error("42601", "PARSE", "3/1", "select $1"),
        error("22012", "BIND", "3/2", "select $1"),
        error("22012", "SELECT", "3/2", "begin; select 1/0; commit"),
        error("23503", "INSERT", "3/1", ""),
        fatal("57P01", "SELECT", "3/1", "select 1"),
        fatal("25P03", "idle in transaction", "3/1", ""),
        disconnection("INSERT"),
        disconnection("idle"),
        log("authentication", "3/1", "connection authorized: user=app database=app"),
    ]
}

proptest! {
    #[test]
    fn no_order_of_records_panics_or_tells_of_a_statement_twice(
        order in prop::collection::vec(0..25_usize, 0..60)
    ) {
        let kinds = all_kinds();
        let mut session = SessionLog::default();
        // Whether a statement's end may still be told.
        let mut open = false;
        for kind in order {
            let reading = session.read(&kinds[kind]);
            if matches!(reading.previous, PriorUpdate::AmendedFinal(_) | PriorUpdate::AmendedOpen(_)) {
                prop_assert!(open, "nothing is left to be told: {}", written(&reading));
            }
            open &= matches!(reading.previous, PriorUpdate::Open | PriorUpdate::AmendedOpen(_));
            open |= matches!(reading.this, RecordEffect::Statement { .. });
            // What can be replayed at once is what nothing more can be told of.
            open &= session.may_tell_more();
        }
    }

    #[test]
    fn no_text_panics(message in ".{0,60}", verb in prop::sample::select(vec![
        "statement: ", "duration: 1 ms  parse ", "duration: 1 ms  bind ", "execute ",
        "duration: 1 ms  execute ", "execute fetch from ", "",
    ]), query in ".{0,20}", detail in ".{0,20}") {
        let mut session = SessionLog::default();
        let text = LogRecord { message: format!("{verb}{message}").into(),
            detail: Cow::Owned(format!("parameters: {detail}")), ..log("SELECT", "3/1", "") };
        let failed = LogRecord { query: query.into(), ..error("22012", "SELECT", "3/1", "") };
        for record in [&text, &failed, &text, &text, &failed] {
            session.read(record);
        }
    }
}
