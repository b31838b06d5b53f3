//! The target.

use super::super::target::{Refused, ServerSeen, SessionSeen, TargetSeen, Why};
use super::*;

fn refused(why: Why) -> Refused {
    Refused { why, words: format!("the words for {why:?}") }
}

/// All is well but the target.
fn with(change: impl FnOnce(&mut TargetSeen)) -> Seen {
    let mut target = server();
    change(&mut target);
    Seen { target: Some(target), ..well() }
}

fn with_server(change: impl FnOnce(&mut ServerSeen)) -> Seen {
    with(|target| match &mut target.server {
        Some(Ok(server)) => change(server),
        _ => unreachable!("it answers"),
    })
}

fn with_session(session: SessionSeen) -> Seen {
    with(|target| target.logins[0].outcome = Ok(session))
}

#[test]
fn a_target_is_named_with_its_version_and_encryption() {
    says(&well(), &Asked::default(), "PostgreSQL 18.6 answers at test18:5432, with TLS");
    says(&well(), &Asked::default(), "the sample's sessions can log in: app on app");
    says(&well(), &Asked::default(), "databases with data: app (UTF8, 12 tables)");
    says(&with_server(|it| it.tls = false), &Asked::default(), "without TLS");
    let dry = Seen { target: None, ..well() };
    assert!(findings(&dry, &Asked::default()).iter().all(|it| it.area != Area::Target));
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
        let seen = with(|target| {
            target.server = Some(Err(refused(why)));
            target.logins.clear();
        });
        fails(&seen, &format!("the words for {why:?}"), remedy);
    }
}

#[test]
fn where_nobody_is_let_in_each_session_s_reason_is_told_once() {
    let seen = with(|target| {
        target.server = Some(Err(refused(Why::Password)));
        target.logins = vec![login("ann", "shop", Err(refused(Why::NoPassword)))];
    });
    fails(&seen, "the words for NoPassword", "the password of ann");
}

#[test]
fn a_session_that_can_not_log_in_is_named_with_the_remedy() {
    let fails_as = |user: &str, database: &str, why, what: &str, remedy: &str| {
        let seen = with(|target| target.logins.push(login(user, database, Err(refused(why)))));
        fails(&seen, what, remedy);
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
    let asked = Asked { read_only: true, ..Asked::default() };
    assert_eq!(at(Level::Error, &replica, &asked), [""; 0]);
    let session = SessionSeen { tables: 1, read_only: true, ..SessionSeen::default() };
    let read_only = with_session(session);
    fails(&read_only, "default_transaction_read_only is on for app", "--read-only");
    assert_eq!(at(Level::Error, &read_only, &asked), [""; 0]);
}

#[test]
fn timeouts_of_the_target_end_what_the_source_did_not() {
    let limits = vec![("statement_timeout".to_owned(), "5s".to_owned())];
    let seen = with_session(SessionSeen { tables: 1, limits, ..SessionSeen::default() });
    warns(&seen, "statement_timeout is 5s for app", "PGOPTIONS='-c statement_timeout=0'");
}

#[test]
fn an_empty_database_lacks_the_data_of_the_log_s_beginning() {
    let seen = with_session(SessionSeen::default());
    warns(&seen, "the database app has no table", "Prepare the target");
}

#[test]
fn an_encoding_that_can_not_be_read_is_an_error() {
    fails(&with_server(|it| it.databases[0].1 = "EUC_TW".into()), "EUC_TW", "--source-db");
}

#[test]
fn sessions_need_connections() {
    says(&well(), &Asked::default(), "92 connections for 1 session");
    let few = with_server(|it| it.connections = 5);
    says(&few, &Asked::default(), "1 connection for 1 session");
    let taken = with_server(|it| it.in_use = 97);
    warns(&taken, "1 session at once in the sample, and 0 connections", "max_connections");
    let asked = Asked { max_sessions: Some(96), ..Asked::default() };
    only(Level::Warning, &well(), &asked, "--max-sessions 96 is more than", "lower --max-sessions");
}

#[test]
fn kreplay_has_to_see_who_blocks_whom() {
    fails(&with_server(|it| it.sees_blockers = false), "who blocks whom", "GRANT EXECUTE");
}
