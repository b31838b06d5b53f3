//! The connection to the target, against real PostgreSQL.

use kreplay::target::{
    Batch, ConnectError, Connection, Login, Reply, Request, Target, TargetSettings,
    TransactionStatus,
};

use crate::support::postgres::Server;

fn settings(server: &Server) -> TargetSettings {
    TargetSettings { host: "127.0.0.1".into(), port: server.port(), ..Default::default() }
}

fn login(user: &str, database: &str) -> Login {
    Login { user: user.into(), database: database.into(), application_name: "kreplay tests".into() }
}

async fn connect(server: &Server) -> Connection {
    let target = Target::new(settings(server)).expect("usable settings");
    target.connect(&login("postgres", "postgres")).await.expect("a connection")
}

async fn simple(connection: &Connection, sql: &str) -> Reply {
    connection.run(Request::Simple(sql)).await.expect("an answer")
}

async fn batch(connection: &Connection, build: impl FnOnce(&mut Batch)) -> Reply {
    let mut batch = Batch::new();
    build(&mut batch);
    connection.run(Request::Batch(batch)).await.expect("an answer")
}

fn sqlstate(reply: &Reply) -> &str {
    reply.error.as_ref().map_or("00000", |error| error.sqlstate.as_str())
}

#[tokio::test]
async fn a_statement_is_answered_with_its_rows_and_the_transaction_status() {
    let server = Server::start(15);
    let connection = connect(&server).await;
    let reply = simple(&connection, "SELECT generate_series(1, 5)").await;
    assert_eq!(
        reply,
        Reply { status: TransactionStatus::Idle, completed: 1, rows: 5, error: None }
    );
    assert_eq!(simple(&connection, "BEGIN").await.status, TransactionStatus::InTransaction);
    let reply = simple(&connection, "SELECT 1; SELECT 1/0; SELECT 2").await;
    assert_eq!((sqlstate(&reply), reply.completed), ("22012", 1));
    assert_eq!(reply.status, TransactionStatus::Failed);
    assert_eq!(connection.status(), TransactionStatus::Failed);
    // The server turns it into a ROLLBACK, without an error.
    let reply = simple(&connection, "COMMIT").await;
    assert_eq!((sqlstate(&reply), reply.status), ("00000", TransactionStatus::Idle));
    connection.close().await;
}
