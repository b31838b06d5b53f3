//! The target.

use super::super::target::{Refused, ServerFacts, SessionFacts, TargetFacts, Why};
use super::*;

fn refused(why: Why) -> Refused {
    Refused { why, words: format!("the words for {why:?}") }
}

/// All is well but the target.
fn with(change: impl FnOnce(&mut TargetFacts)) -> Facts {
    let mut target = server();
    change(&mut target);
    Facts { target: Some(target), ..well() }
}

fn with_server(change: impl FnOnce(&mut ServerFacts)) -> Facts {
    with(|target| match &mut target.server {
        Some(Ok(server)) => change(server),
        _ => unreachable!("it answers"),
    })
}

fn with_session(session: SessionFacts) -> Facts {
    with(|target| target.logins[0].outcome = Ok(session))
}

#[test]
fn a_target_is_named_with_its_version_and_encryption() {
    says(&well(), &CheckPlan::default(), "PostgreSQL 18.6 answers at test18:5432, with TLS");
    says(&well(), &CheckPlan::default(), "the sample's sessions can log in: app on app");
    says(&well(), &CheckPlan::default(), "databases with data: app (UTF8, 12 tables)");
    says(&with_server(|it| it.tls = false), &CheckPlan::default(), "without TLS");
    let dry = Facts { target: None, ..well() };
    assert!(findings(&dry, &CheckPlan::default()).iter().all(|it| it.area != Area::Target));
}

#[test]
fn a_target_that_lets_nobody_in_is_an_error_with_the_remedy_for_it() {
    for (why, remedy) in [
        (Why::Unreachable, "--db-port"),
        (Why::Tls, "--sslrootcert"),
        (Why::NoPassword, "PGPASSFILE"),
        (Why::Password, "0600"),
        (Why::NotAllowed, "pg_hba.conf"),
        (Why::NoDatabase, "--map-db"),
        (Why::Full, "max_connections"),
        (Why::NoPrivilege, "GRANT CONNECT"),
        (Why::Other, "the target's log"),
    ] {
        let facts = with(|target| {
            target.server = Some(Err(refused(why)));
            target.logins.clear();
        });
        fails(&facts, &format!("the words for {why:?}"), remedy);
    }
}

#[test]
fn where_nobody_is_let_in_each_session_s_reason_is_told_once() {
    let facts = with(|target| {
        target.server = Some(Err(refused(Why::Password)));
        target.logins = vec![login("ann", "shop", Err(refused(Why::NoPassword)))];
    });
    fails(&facts, "the words for NoPassword", "the password of ann");
}

#[test]
fn a_session_that_can_not_log_in_is_named_with_the_remedy() {
    let fails_as = |user: &str, database: &str, why, what: &str, remedy: &str| {
        let facts = with(|target| target.logins.push(login(user, database, Err(refused(why)))));
        fails(&facts, what, remedy);
    };
    fails_as("app", "app", Why::Password, "the words for Password", "password of app");
    fails_as("app", "x", Why::NoDatabase, "NoDatabase", "--map-db x=NAME");
    fails_as("app", "x", Why::NoPrivilege, "NoPrivilege", "GRANT CONNECT ON DATABASE x TO app");
    // With trust the server says of a role that is missing what it says of one without an entry.
    fails_as(
        "ann",
        "app",
        Why::NotAllowed,
        "there is no role ann that may log in",
        "--map-user ann=NAME",
    );
    fails_as(
        "ann",
        "app",
        Why::Password,
        "there is no role ann that may log in",
        "--map-user ann=NAME",
    );
    fails_as("app", "app", Why::NotAllowed, "the words for NotAllowed", "pg_hba.conf");
}

#[test]
fn who_looks_at_the_target_need_not_be_postgres() {
    let observer = Some(("postgres on postgres".to_owned(), refused(Why::Password)));
    warns(&with(|it| it.observer = observer), "as postgres on postgres", "give -u and -d");
    warns(&with(|it| it.untried = 3), "3 pairs of users and databases were not tried", "-u");
}

#[test]
fn an_older_target_does_not_know_everything() {
    warns(
        &with_server(|it| it.version = 130_023),
        "older than the source, PostgreSQL 14",
        "errors",
    );
}

#[test]
fn a_replica_refuses_writes() {
    let replica = with_server(|it| it.in_recovery = true);
    fails(&replica, "it is a replica", "primary");
    let plan = CheckPlan { read_only: true, ..CheckPlan::default() };
    assert_eq!(at(Level::Error, &replica, &plan), [""; 0]);
    let session = SessionFacts { tables: 1, read_only: true, ..SessionFacts::default() };
    let read_only = with_session(session);
    fails(&read_only, "default_transaction_read_only is on for app", "--read-only");
    assert_eq!(at(Level::Error, &read_only, &plan), [""; 0]);
}

#[test]
fn timeouts_of_the_target_end_what_the_source_did_not() {
    let limits = vec![("statement_timeout".to_owned(), "5s".to_owned())];
    let facts = with_session(SessionFacts { tables: 1, limits, ..SessionFacts::default() });
    warns(&facts, "statement_timeout is 5s for app", "PGOPTIONS='-c statement_timeout=0'");
}

#[test]
fn an_empty_database_lacks_the_data_of_the_log_s_beginning() {
    let facts = with_session(SessionFacts::default());
    warns(&facts, "the database app has no table", "Prepare the target");
}

#[test]
fn an_encoding_that_can_not_be_read_is_an_error() {
    fails(&with_server(|it| it.databases[0].1 = "EUC_TW".into()), "EUC_TW", "--source-db");
}

#[test]
fn sessions_need_connections() {
    says(&well(), &CheckPlan::default(), "90 connections for 1 session");
    let few = with_server(|it| it.connections = 5);
    says(&few, &CheckPlan::default(), "1 connection for 1 session");
    let taken = with_server(|it| it.in_use = 97);
    warns(&taken, "1 session at once in the sample, and 0 connections", "max_connections");
    let plan = CheckPlan { max_sessions: Some(96), ..CheckPlan::default() };
    only(Level::Warning, &well(), &plan, "--max-sessions 96 is more than", "lower --max-sessions");
}

#[test]
fn kreplay_has_to_see_who_blocks_whom() {
    fails(&with_server(|it| it.sees_blockers = false), "who blocks whom", "GRANT EXECUTE");
}

#[test]
fn whose_plans_are_told_is_said_where_that_is_asked_for() {
    let refused = Some("permission denied to set parameter".to_owned());
    let refused = SessionFacts { tables: 12, plans_refused: refused, ..SessionFacts::default() };
    let plan = CheckPlan { explain: true, ..CheckPlan::default() };
    says(&well(), &plan, "auto_explain tells the plans that statements use for app");
    let (what, remedy) = ("does not let app use auto_explain (--explain): permission", "GRANT SET");
    only(Level::Warning, &with_session(refused.clone()), &plan, what, remedy);
    assert_eq!(at(Level::Warning, &with_session(refused), &CheckPlan::default()), [""; 0]);
}

#[test]
fn what_each_shape_spends_is_told_where_statements_are_counted() {
    let counting = || SessionFacts { tables: 12, counts_statements: true, ..Default::default() };
    let plan = CheckPlan::default();
    says(&well(), &plan, "pg_stat_statements is not installed");
    says(&with_session(counting()), &plan, "pg_stat_statements tells the report");
    let mut blind = with_server(|it| it.reads_all_statistics = false);
    if let Some(target) = &mut blind.target {
        target.logins[0].outcome = Ok(counting());
    }
    says(&blind, &plan, "GRANT pg_read_all_stats");
}
