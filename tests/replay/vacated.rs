//! Databases that a statement needs to itself: kreplay's own connections leave them.

use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;

/// Whoever asks `pg_stat_statements` here has no answer for longer than a DROP waits for others. A statement
/// that is only to be explained takes a second to plan: kreplay allows it no more.
const SLOW: &str = "
    create extension pg_stat_statements;
    alter extension pg_stat_statements drop view pg_stat_statements;
    alter extension pg_stat_statements drop function pg_stat_statements(boolean);
    drop view pg_stat_statements;
    drop function pg_stat_statements(boolean);
    create view pg_stat_statements as select 0::bigint as queryid;
    create function pg_stat_statements(boolean, out dbid oid, out userid oid, out queryid bigint)
        returns setof record language plpgsql as 'begin perform pg_sleep(30); end';
    create function planned() returns int immutable language plpgsql as $$ begin
        if current_setting('transaction_read_only') = 'on' then perform pg_sleep(30); end if;
        return 1;
    end $$
";

/// Ends when kreplay reads statistics and explains, both over connections to this database.
const WHEN_BOTH_ARE_AT_WORK: &str = "do $$ begin
    while 2 > (select count(distinct left(query, 7)) from pg_stat_activity
        where datname = 'd' and pid <> pg_backend_pid() and wait_event = 'PgSleep'
            and (query like 'EXPLAIN%' or query like '%pg_stat_statements(false)%'))
    loop
        perform pg_sleep(0.01);
        perform pg_stat_clear_snapshot();
    end loop;
end $$";

fn server() -> Server {
    let server = Server::start(15);
    server.query("create database app");
    server.query("create database d");
    server
}

/// Replays the log, each of whose statements has to succeed.
#[track_caller]
fn all_succeed(server: &Server, log: &Log, order: &str) {
    let log = log.file();
    let replay = Kreplay::new().target(server).args(["--order", order]).arg("--input");
    let finished = replay.arg(log.path()).run().well();
    let outcomes = &finished.report["outcomes"];
    let others = outcomes.as_object().expect("outcomes").iter();
    let others = others.filter(|(outcome, calls)| *outcome != "same" && **calls != 0);
    assert_eq!(others.collect::<Vec<_>>(), [], "{finished}");
}

#[test]
fn what_reads_statistics_and_what_explains_leave_a_database_that_is_dropped() {
    let server = server();
    server.query_in("d", SLOW);
    // Nobody but the sessions can tell kreplay how to log in.
    server.query_in("d", "alter database postgres allow_connections false");
    // More shapes than can be explained while the server waits.
    let shapes = ["am", "cast", "class", "database", "index", "namespace", "proc", "range", "type"];
    let shapes = shapes.map(|catalog| format!("select planned() from pg_{catalog}"));
    let log = Log::new()
        .client(1, Client { database: "d", ..Client::default() })
        .ended(1, shapes)
        .ended(1, [WHEN_BOTH_ARE_AT_WORK])
        .disconnected(1)
        .ended(2, ["drop database d"])
        .disconnected(2);
    all_succeed(&server, &log, "serial");
    assert_eq!(server.query_in("app", "select count(*) from pg_database where datname = 'd'"), "0");
}

#[test]
fn databases_are_made_copied_renamed_and_dropped_time_and_again() {
    for order in ["serial", "conflict"] {
        let server = server();
        server.query("drop database d");
        let log = (0..6).fold(Log::new(), |log, round| {
            let pid = 10 + 3 * round;
            let of = |database| Client { database, ..Client::default() };
            log.ended(1, ["create database d"])
                .client(pid, of("d"))
                .ended(
                    pid,
                    ["create table t (i int)", "insert into t values (1)", "select i from t"],
                )
                .disconnected(pid)
                .ended(1, ["create database copy template d", "alter database copy rename to e"])
                .client(pid + 1, of("e"))
                .ended(pid + 1, ["insert into t select i + 1 from t"])
                .disconnected(pid + 1)
                .ended(1, ["drop database d", "drop database e"])
        });
        all_succeed(&server, &log.disconnected(1), order);
        assert_eq!(
            server.query("select count(*) from pg_database where datname in ('d', 'e')"),
            "0"
        );
    }
}
