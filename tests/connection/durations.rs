//! The server's own durations, as they come with its answers.

use std::time::Duration;

use kreplay::postgres::{Batch, Connection, Request};

use super::{NO_PARAMS, batch, connect, extended, simple};
use testkit::postgres::Server;

/// A connection whose server tells durations.
async fn measured(server: &Server) -> Connection {
    let connection = connect(server).await;
    let reply = simple(
        &connection,
        "SET log_min_messages TO fatal; SET log_duration TO on; SET client_min_messages TO log",
    )
    .await;
    assert!(reply.took.on_server.is_some(), "it is timed itself");
    connection
}

fn slept(on_server: Option<Duration>, ms: u64) -> bool {
    let least = Duration::from_millis(ms);
    on_server.is_some_and(|it| it >= least && it < least + Duration::from_millis(60))
}

#[actix_rt::test]
async fn each_statement_of_a_pipeline_gets_its_own() {
    for version in [15, 18] {
        let server = Server::start(version);
        let connection = measured(&server).await;
        // All are under way at once, and the Sync comes last.
        let sleeps = [100, 0, 200];
        for ms in sleeps {
            let sql = format!("SELECT pg_sleep({ms} / 1000.0)");
            connection.send(batch(|batch| {
                batch.command(&sql).leave_open();
            }));
        }
        connection.send(Request::Batch(Batch::new()));
        for ms in sleeps {
            let reply = connection.answer().await.expect("an answer");
            assert!(slept(reply.took.on_server, ms), "{version}: {ms}: {:?}", reply.took);
        }
        let synced = connection.answer().await.expect("an answer");
        assert_eq!(synced.took.on_server, None);
    }
}

#[actix_rt::test]
async fn every_kind_of_request_is_measured_as_a_whole() {
    let server = Server::start(18);
    let connection = measured(&server).await;
    let several = simple(&connection, "SELECT pg_sleep(0.05); SELECT pg_sleep(0.05)").await;
    assert!(slept(several.took.on_server, 100), "{:?}", several.took);
    assert!(simple(&connection, "").await.took.on_server.is_some(), "an empty query is one too");
    let failed = simple(&connection, "SELECT 1 / 0").await;
    assert_eq!(failed.took.on_server, None, "of a failure there is none");

    let named = extended(&connection, |batch| {
        batch.close_statement("s").parse("s", "SELECT pg_sleep($1)", &[]).bind(
            "",
            "s",
            &[Some("0.1")],
        );
        batch.execute("", 0);
    });
    let named = named.await;
    assert!(slept(named.took.on_server, 100), "{:?}", named.took);
    let again = extended(&connection, |batch| {
        batch.bind("p", "s", &[Some("0")]).execute("p", 0).close_portal("p");
    });
    let again = again.await;
    assert!(slept(again.took.on_server, 0), "{:?}", again.took);
    let parsed = extended(&connection, |batch| {
        batch.parse("", "SELECT 1", &[]);
    })
    .await;
    assert!(parsed.took.on_server.is_some());
    let forged = "DO $$ BEGIN RAISE LOG 'duration: 5000.000 ms'; END $$";
    assert!(slept(simple(&connection, forged).await.took.on_server, 0));
    let of_nothing = extended(&connection, |batch| {
        batch.parse("", "", &[]).bind("", "", NO_PARAMS).execute("", 0);
    });
    let of_nothing = of_nothing.await;
    assert_eq!(of_nothing.took.on_server, None, "its Execute is not timed");
}

#[actix_rt::test]
async fn plans_statements_and_statistics_beside_it_are_no_durations() {
    let server = Server::start(15);
    let connection = measured(&server).await;
    let reply = simple(
        &connection,
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration TO 0; SET log_statement TO 'all'; \
         SET log_executor_stats TO on; SET lc_messages TO 'C'",
    )
    .await;
    assert!(reply.error.is_none(), "{reply:?}");
    let reply = simple(&connection, "SELECT pg_sleep(0.1)").await;
    assert!(slept(reply.took.on_server, 100), "{:?}", reply.took);
    simple(&connection, "SET log_min_duration_statement TO 0").await;
    // The statement stands behind its duration, however long it is.
    let long = format!("SELECT length('{}')", "x".repeat(1_000_000));
    let reply = simple(&connection, &long).await;
    assert!(reply.took.on_server.is_some(), "{:?}", reply.took);
    let reply = extended(&connection, |batch| {
        batch.command("SELECT pg_sleep(0.1)");
    })
    .await;
    assert!(slept(reply.took.on_server, 100), "{:?}", reply.took);
}
