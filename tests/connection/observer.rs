//! Looking at the server from outside the sessions.

use std::time::Instant;

use kreplay::postgres::{Observer, Request, Target};

use super::{PATIENCE, connect, login, settings, simple};
use testkit::postgres::Server;

async fn observe(server: &Server) -> Observer {
    let target = Target::new(settings(server)).expect("usable settings");
    target.observe(&login("postgres", "postgres")).await.expect("an observer")
}

/// Asks until the waiter waits for somebody, and the holder for nobody.
async fn blockers(observer: &Observer, waiter: i32, holder: i32) -> Vec<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let locks = observer.locks(&[waiter, holder]).await.expect("an answer");
        assert_eq!(locks[1], (holder, Vec::new()));
        assert_eq!(locks[0].0, waiter);
        if !locks[0].1.is_empty() {
            return locks[0].1.clone();
        }
        assert!(Instant::now() < deadline, "nobody blocks {waiter}");
    }
}

#[actix_rt::test]
async fn who_blocks_whom_is_told_by_process_id() {
    let server = Server::start(15);
    let observer = observe(&server).await;
    let (holder, waiter) = (connect(&server).await, connect(&server).await);
    simple(&holder, "CREATE TABLE t (id int)").await;
    simple(&holder, "BEGIN; LOCK t").await;
    waiter.send(Request::Simple("SELECT * FROM t"));
    let pids = (waiter.backend_pid(), holder.backend_pid());
    assert_eq!(blockers(&observer, pids.0, pids.1).await, [pids.1]);

    simple(&holder, "PREPARE TRANSACTION 'limbo'").await;
    assert_eq!(blockers(&observer, pids.0, pids.1).await, [0], "a prepared transaction");
    simple(&holder, "ROLLBACK PREPARED 'limbo'").await;
    // The table was created before the transaction.
    assert!(waiter.answer().await.expect("an answer").error.is_none());
}

#[actix_rt::test]
async fn encodings_and_version_are_those_of_the_server() {
    let server = Server::start(15);
    server.query("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
    let observer = observe(&server).await;
    let encodings = observer.encodings().await.expect("an answer");
    assert!(encodings.contains(&("latin".into(), "LATIN1".into())), "{encodings:?}");
    assert!(encodings.contains(&("postgres".into(), "UTF8".into())), "{encodings:?}");
    assert_eq!(observer.server_version().await.expect("an answer") / 10_000, 15);
}

#[actix_rt::test]
async fn an_observer_tells_that_its_connection_has_ended() {
    let mut server = Server::start(15);
    let observer = observe(&server).await;
    let victim = connect(&server).await;
    victim.send(Request::Simple("SELECT pg_sleep(600)"));
    server.query(&format!("SELECT pg_terminate_backend({})", victim.backend_pid()));
    let lost = victim.answer().await.expect_err("lost");
    assert_eq!(lost.error.expect("what the server said").sqlstate.as_str(), "57P01");

    server.restart();
    let refused = observer.server_version().await.expect_err("the connection went with it");
    assert!(observer.is_closed(), "{refused}");
}
