use super::*;
use LogEvent::{
    BackendCrash, BareDuration, Bind, Execute, Fastpath, Fetch, Other, Parse, Plan, Statement,
};

fn event(message: &str) -> LogEvent<'_> {
    read_message(message).event
}

#[test]
fn a_statement_is_verbatim_with_and_without_a_duration() {
    assert_eq!(
        read_message("duration: 0.190 ms  statement:   select 1;\r\n-- ü "),
        Logged { duration_ms: Some(0.19), event: Statement("  select 1;\r\n-- ü ") }
    );
    assert_eq!(
        read_message("statement: savepoint a;"),
        Logged { duration_ms: None, event: Statement("savepoint a;") }
    );
    assert_eq!(event("statement: "), Statement(""));
}

#[test]
fn the_extended_protocols_messages_are_told_apart() {
    let of = |rest: &str| format!("duration: 0.031 ms  {rest}");
    assert_eq!(event(&of("parse S_1: select 1")), Parse("S_1: select 1"));
    assert_eq!(event(&of("bind S_1/C_5: select 1")), Bind("S_1/C_5: select 1"));
    assert_eq!(event(&of("execute S_1: select 1")), Execute("S_1: select 1"));
    assert_eq!(event("execute S_3: insert"), Execute("S_3: insert"));
    assert_eq!(
        event(&of("execute fetch from <unnamed>/C_5: select id")),
        Fetch("<unnamed>/C_5: select id")
    );
    assert_eq!(event(&of("fastpath function call: \"random\" (OID 1598)")), Fastpath);
    assert_eq!(event("fastpath function call: \"random\" (OID 1598)"), Fastpath);
}

#[test]
fn a_duration_alone_and_a_plan_are_no_statements() {
    assert_eq!(
        read_message("duration: 1.929 ms"),
        Logged { duration_ms: Some(1.929), event: BareDuration }
    );
    assert_eq!(
        event("duration: 1.0 ms  plan:\nQuery Text: select 1"),
        Plan("\nQuery Text: select 1")
    );
    assert_eq!(event("duration: 1.0 ms and more"), Other);
    assert_eq!(event("duration: inf ms  statement: select 1"), Other);
    assert_eq!(event("parse error"), Other);
    assert_eq!(event(""), Other);
}

#[test]
fn the_frame_of_a_session_is_recognised() {
    for (message, expected) in [
        ("connection received: host=127.0.0.1 port=58916", LogEvent::ConnectionReceived),
        (
            "connection authenticated: user=\"app\" method=trust (pg_hba.conf:119)",
            LogEvent::ConnectionAuthenticated,
        ),
        ("connection authorized: user=app database=app", LogEvent::ConnectionAuthorized),
        ("replication connection authorized: user=r", LogEvent::ReplicationAuthorized),
        ("connection ready: setup total=2.011 ms, fork=0.3 ms", LogEvent::ConnectionReady),
        (
            "disconnection: session time: 0:00:00.185 user=app database=app host=[local]",
            LogEvent::Disconnection,
        ),
        ("unexpected EOF on client connection with an open transaction", LogEvent::UnexpectedEof),
    ] {
        assert_eq!(event(message), expected, "{message}");
    }
}

#[test]
fn a_crash_names_the_backend_and_a_restart_ends_all_sessions() {
    assert_eq!(
        event("server process (PID 24215) was terminated by signal 9: Killed"),
        BackendCrash { pid: Some(24215) }
    );
    assert_eq!(
        event("client backend (PID 77) exited with exit code 2"),
        BackendCrash { pid: Some(77) }
    );
    assert_eq!(event("server process (PID 1) is fine"), Other);
    for message in [
        "all server processes terminated; reinitializing",
        "database system is shut down",
        "starting PostgreSQL 15.20 on x86_64-pc-linux-gnu",
    ] {
        assert_eq!(event(message), LogEvent::ServerRestart, "{message}");
    }
}

#[test]
fn a_name_is_split_at_the_first_colon_when_nothing_is_known() {
    assert_eq!(
        split_name("<unnamed>: select 'a: b'"),
        Some(Name { statement: None, portal: None, text: "select 'a: b'" })
    );
    assert_eq!(
        split_name("__asyncpg_stmt_1__/__asyncpg_portal_8__: select 1"),
        Some(Name {
            statement: Some("__asyncpg_stmt_1__"),
            portal: Some("__asyncpg_portal_8__"),
            text: "select 1"
        })
    );
    assert_eq!(split_name("S_1"), None);
    assert_eq!(split_name(": select 1"), None);
}

#[test]
fn a_name_may_hold_anything_when_the_text_is_known() {
    let rest = "x: delete from t/po: r: select 1";
    assert_eq!(
        split_known(rest, "x: delete from t", "select 1"),
        Some(Name { statement: Some("x: delete from t"), portal: Some("po: r"), text: "select 1" })
    );
    assert_eq!(split_known("upd acc: update acc", "upd acc", "update acc").unwrap().portal, None);
    assert_eq!(split_known("<unnamed>/c: select 1", "", "select 1").unwrap().statement, None);
    assert_eq!(split_known(rest, "x", "select 2"), None);
    assert_eq!(split_known("S_10: select 1", "S_1", "select 1"), None);
    assert_eq!(split_known("é", "", "x"), None);
}
