//! The plans of query shapes, on the source and on the target.

use std::io::Write as _;

use serde_json::Value;
use tempfile::NamedTempFile;

use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;
use testkit::source::{pgbench, record};

const SET_UP: &str = "
    create table t (w int, v int);
    insert into t select i, i from generate_series(1, 20000) i;
    create index t_w on t (w);
    vacuum analyze t;
";

/// As a source has it whose owner wants to know its plans.
const AUTO_EXPLAIN: &str = "
    load 'auto_explain';
    alter system set session_preload_libraries = 'auto_explain';
    alter system set auto_explain.log_min_duration = 0;
    alter system set auto_explain.log_nested_statements = on;
    alter system set auto_explain.log_analyze = on;
";

/// What its statements do is planned by itself.
const FUNCTION: &str = "
    create function f(int) returns bigint language plpgsql as
        $$ declare n bigint; begin select count(*) into n from t where w = $1; return n; end $$;
";

/// `777123` is a literal that nobody may be shown.
const SCRIPT: &str = "
SELECT v FROM t WHERE w = 777123;
SELECT f(5);
";

fn shape<'a>(report: &'a Value, query: &str) -> &'a Value {
    let mut shapes = report["shapes"].as_array().expect("shapes").iter();
    let found =
        shapes.find(|shape| shape["query"].as_str().is_some_and(|it| it.starts_with(query)));
    found.unwrap_or_else(|| panic!("no {query} in {report:#}"))
}

/// The nodes of the newest plan on this side, each with what it reads.
fn newest(report: &Value, query: &str, side: &str) -> Vec<String> {
    fn nodes(node: &Value, all: &mut Vec<String>) {
        let words = [&node["node"], &node["index"], &node["relation"]];
        let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
        all.push(words.join(" "));
        node["children"].as_array().expect("a list").iter().for_each(|child| nodes(child, all));
    }
    let shape = shape(report, query);
    let seen = shape["plans"][side].as_array().expect("a list");
    let last = seen.last().unwrap_or_else(|| panic!("no plan on the {side}: {shape:#}"));
    let mut all = Vec::new();
    nodes(&last["tree"], &mut all);
    all
}

fn replay(server: &Server, log: &NamedTempFile, arguments: &[&str]) -> Finished {
    let replay = Kreplay::new().target(server).args(arguments);
    replay.arg("--input").arg(log.path()).run().well()
}

#[test]
fn an_index_that_the_target_lacks_shows_in_the_plans_of_both_sides() {
    for (format, protocol, version) in [("text", "prepared", 15), ("json", "simple", 18)] {
        let format = format!("alter system set auto_explain.log_format = '{format}';");
        let reload = "select pg_reload_conf();";
        let set_up = [AUTO_EXPLAIN, &format, reload, FUNCTION, SET_UP].concat();
        let (records, _) = record(&set_up, |server| {
            let arguments = ["-c", "1", "-t", "20", "-M", protocol];
            assert!(pgbench(server, SCRIPT, &arguments).wait().expect("pgbench").success());
        });
        let mut log = NamedTempFile::new().expect("a file");
        log.write_all(&records.join(&b"\n"[..])).expect("it can be written");
        let server = Server::start(version);
        server.query(&[FUNCTION, SET_UP, "drop index t_w"].concat());
        let finished = replay(&server, &log, &[]);
        let report = &finished.report;

        let query = "SELECT v FROM t WHERE w = ?";
        assert_eq!(newest(report, query, "source"), ["Index Scan t_w t"], "{report:#}");
        assert_eq!(newest(report, query, "target"), ["Seq Scan t"], "{report:#}");
        let plans = &shape(report, query)["plans"];
        assert_ne!(plans["source"][0]["hash"], plans["target"][0]["hash"], "{plans:#}");
        assert_eq!(plans["target"][0]["tree"]["filter"], "Filter: (w = ?)", "{plans:#}");
        // Of the function's own statement there is a plan too, which is none of its caller.
        assert_eq!(newest(report, "SELECT f(?)", "source"), ["Result"], "{report:#}");

        assert_eq!(finished.count("/records/filtered/reasons/plan"), 40, "{report:#}");
        assert_eq!(report["source_plans"]["read"], 40, "{report:#}");
        assert_eq!(finished.statements(), 40, "{report:#}");
        assert!(!report.to_string().contains("777123"), "{report:#}");

        let off = replay(&server, &log, &["--plans", "off"]).report;
        assert_eq!(shape(&off, query)["plans"]["target"], Value::Array(Vec::new()), "{off:#}");
        assert_eq!(newest(&off, query, "source"), ["Index Scan t_w t"], "{off:#}");
    }
}

#[test]
fn a_statement_is_explained_as_its_session_would_have_it_run() {
    for version in [15, 18] {
        let server = Server::start(version);
        server.query(
            "create database app; create role alice login; create role bob; grant bob to alice",
        );
        server.query_in(
            "app",
            "create table t (w int, v int);
             create schema tenant; create table tenant.t (w int, v int);
             create index tenant_w on tenant.t (w);
             create table secret (k int primary key); alter table secret owner to bob;
             grant usage on schema tenant to alice; grant all on tenant.t to alice",
        );
        let alice = Client { user: "alice", ..Client::default() };
        let log = Log::new()
            .client(1, alice)
            .ended(1, ["set search_path = tenant", "set enable_bitmapscan = off"])
            .ended(1, ["select set_config('enable_seqscan', 'off', false)"])
            .ended(1, ["begin", "set enable_seqscan = on", "rollback"])
            .ended(1, ["select v from t where w = 5"])
            .ended(1, ["set role bob", "select k from public.secret where k = 1 for update"])
            .executed(2, "select w, v from t where w = $1 and v > $2 + 1", &["5", "6"])
            .executed(2, "insert into t values ($1, $2)", &["1", "2"])
            .file();
        let finished = replay(&server, &log, &[]);
        let report = &finished.report;

        let target = |query: &str| newest(report, query, "target");
        assert_eq!(target("select v from t"), ["Index Scan tenant_w t"], "{report:#}");
        assert_eq!(target("select w, v from t"), ["Seq Scan t"], "{report:#}");
        assert_eq!(target("select k from")[0], "LockRows", "{report:#}");
        assert_eq!(target("insert into t"), ["Insert t", "Result"], "{report:#}");
        // Nothing was run by that.
        assert_eq!(server.query_in("app", "select count(*) from t"), "1");
    }
}

#[test]
fn a_locked_table_holds_nothing_up() {
    let server = Server::start(15);
    server.query("create database app");
    server.query_in("app", "create table t (w int); create table u (w int)");
    let log = Log::new()
        .ended(1, ["select w from t", "select w from u"])
        .ended(2, ["begin", "lock table t in access exclusive mode", "prepare transaction 'p'"])
        .file();
    let report = replay(&server, &log, &["--order", "serial"]).report;
    let locked = &shape(&report, "select w from t")["plans"];
    assert_eq!(locked["refused"], "55P03", "{locked:#}");
    assert_eq!(newest(&report, "select w from u", "target"), ["Seq Scan u"], "{report:#}");
}

#[test]
fn a_plan_that_changes_during_the_replay_is_kept_with_its_times() {
    let server = Server::start(15);
    server.query("create database app");
    server.query_in("app", SET_UP);
    // Longer than until shapes are explained for the first time.
    let log = Log::new()
        .ended(1, ["select v from t where w = 5"])
        .silent(4000)
        .ended(1, ["drop index t_w", "select v from t where w = 5"])
        .file();
    let report = replay(&server, &log, &["--speed", "1"]).report;
    let plans = &shape(&report, "select v from t")["plans"]["target"];
    let seen: Vec<_> = plans.as_array().expect("a list").iter().collect();
    assert_eq!(seen.len(), 2, "{plans:#}");
    assert_eq!(seen[0]["tree"]["node"], "Index Scan", "{plans:#}");
    assert_eq!(seen[1]["tree"]["node"], "Seq Scan", "{plans:#}");
    assert!(seen[0]["until"].as_str() < seen[1]["since"].as_str(), "{plans:#}");
}
