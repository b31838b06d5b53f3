//! The plans that statements use on the target, as its auto_explain tells (`--explain`).

use kreplay::replay::session::auto_explain::remedy;
use serde_json::{Value, json};

use testkit::kreplay::{Finished, Kreplay};
use testkit::log::{Client, Log};
use testkit::postgres::Server;

const APP: Client = Client { user: "app", database: "app", application: "shop" };
const VERSIONS: [u32; 2] = [15, 18];
/// A session that wants to see all of its plans, where one in fifty is told otherwise.
const EACH: &str = "set auto_explain.sample_rate to 1";

fn server(version: u32) -> Server {
    let server = Server::start(version);
    server.query("create database app");
    server.query("create role app login");
    let tables = "create table t (w int, v int);
        insert into t select i, i from generate_series(1, 5000) i;
        create index t_w on t (w);
        create table skewed (k int, v int);
        insert into skewed select greatest(1, i - 1800), i from generate_series(1, 2000) i;
        create index skewed_k on skewed (k);
        create table seen (client text, duration text, minimum text);
        grant all on all tables in schema public to public;
        vacuum analyze";
    server.query_in("app", tables);
    server
}

fn replay(server: &Server, log: &Log, arguments: &[&str]) -> Finished {
    let file = log.file();
    let kreplay = Kreplay::new().target(server).args(arguments).args(["--order", "session"]);
    kreplay.arg("--input").arg(file.path()).run().well()
}

fn shape<'a>(report: &'a Value, query: &str) -> &'a Value {
    let mut shapes = report["shapes"].as_array().expect("shapes").iter();
    let found =
        shapes.find(|shape| shape["query"].as_str().is_some_and(|it| it.starts_with(query)));
    found.unwrap_or_else(|| panic!("no {query} in {report:#}"))
}

/// The nodes of the target's newest plan, each with what it reads, and who told it.
fn newest(report: &Value, query: &str) -> (Vec<String>, String) {
    fn nodes(node: &Value, all: &mut Vec<String>) {
        let words = [&node["node"], &node["index"], &node["relation"]];
        let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
        all.push(words.join(" "));
        node["children"].as_array().expect("a list").iter().for_each(|child| nodes(child, all));
    }
    let plans = &shape(report, query)["plans"];
    let seen = plans["target"].as_array().and_then(|seen| seen.last());
    let seen = seen.unwrap_or_else(|| panic!("no plan: {plans:#}"));
    let mut all = Vec::new();
    nodes(&seen["tree"], &mut all);
    (all, seen["from"].as_str().expect("who told it").to_owned())
}

fn used<const N: usize>(nodes: [&str; N]) -> (Vec<String>, String) {
    (nodes.map(str::to_owned).to_vec(), "auto_explain".to_owned())
}

/// `777123` is a literal that nobody may be shown.
const POINT: &str = "select v from t where w = 777123";

#[test]
fn plans_come_with_the_answers_and_each_goes_to_its_own_statement() {
    for version in VERSIONS {
        let server = server(version);
        let log = Log::new()
            // What is set for it is undone at once, and set again.
            .ended(1, ["discard all", EACH, POINT, EACH])
            .ended(2, [EACH, "begin"])
            .executed(2, "select v from t where w > $1", &["777123"])
            .executed(2, "select count(*) from t where v > $1", &["777123"])
            .ended(2, ["commit"]);
        let finished = replay(&server, &log, &["--explain", "--plans", "off"]);
        let report = &finished.report;
        for query in ["select v from t where w =", "select v from t where w >"] {
            assert_eq!(newest(report, query), used(["Index Scan t_w t"]), "{version}");
        }
        let count = newest(report, "select count(*)");
        assert_eq!(count, used(["Aggregate", "Seq Scan t"]), "{version}");
        assert_eq!(report["target_plans"], json!({ "read": 3, "unread": 0 }), "{report:#}");
        assert!(!report.to_string().contains("777123"), "{report:#}");
        assert!(!server.log().contains("plan:"), "they are kept out of the target's own log");

        // To write the plan down was part of what the answer to this one took.
        let (simple, behind) = (shape(report, "select v from t where w ="), shape(report, "set "));
        assert_eq!((&simple["calls"], &simple["target"]["calls"]), (&json!(1), &json!(0)));
        assert_eq!(behind["calls"], behind["target"]["calls"], "{behind:#}");

        let without = replay(&server, &log, &["--plans", "off"]).report;
        assert_eq!(without["target_plans"]["read"], 0, "{without:#}");
    }
}

#[test]
fn the_generic_plan_of_a_prepared_statement_is_told_where_explain_shows_another() {
    let server = server(18);
    let sql = "select sum(v) from skewed where k = $1";
    // That none of so many is told has a chance of two in a billion.
    let log = (0..1000).fold(Log::new(), |log, _| log.executed_as(1, "s1", sql, &["1"]));
    let asked = replay(&server, &log, &[]).report;
    let expected = vec!["Aggregate".to_owned(), "Seq Scan skewed".to_owned()];
    assert_eq!(newest(&asked, "select sum(v)"), (expected, "explain".to_owned()), "{asked:#}");

    let told = replay(&server, &log, &["--explain"]).report;
    let (nodes, from) = newest(&told, "select sum(v)");
    assert_eq!(from, "auto_explain", "{told:#}");
    assert!(nodes.iter().any(|node| node.contains("skewed_k")), "{told:#}");
}

#[test]
fn a_session_sees_its_own_settings_as_before() {
    let sees = "insert into seen select current_setting('client_min_messages'), \
        current_setting('log_duration'), current_setting('log_min_messages')";
    let server = server(15);
    for durations in ["client", "auto"] {
        server.query_in("app", "truncate seen");
        let log = Log::new()
            .ended(1, [sees, "select v from t where w = 1", "reset all", sees])
            .ended(1, ["begin", "discard temp", "reset all", sees, "rollback", sees])
            .ended(1, ["set client_min_messages to error", sees]);
        let log = log.ended(1, [EACH, POINT]);
        let arguments = ["--explain", "--plans", "off", "--target-durations", durations];
        let report = replay(&server, &log, &arguments).report;
        let seen = server.query_in("app", "select string_agg(seen::text, ' ') from seen");
        assert_eq!(
            seen,
            "(notice,off,warning) (notice,off,warning) (notice,off,warning) (error,off,warning)"
        );
        assert_eq!(newest(&report, "select v from t"), used(["Index Scan t_w t"]), "{durations}");
    }
}

/// Two sessions of a role that may set nothing.
fn of_app() -> Log {
    let log = Log::new().client(1, APP).client(2, APP).ended(2, [POINT]);
    log.ended(1, [EACH, POINT])
}

#[test]
fn a_role_that_may_not_is_replayed_all_the_same_and_that_is_said_once() {
    let server = server(18);
    let finished = replay(&server, &of_app(), &["--explain"]);
    let report = &finished.report;
    assert_eq!(finished.count("/outcomes/same"), 3, "{finished}");
    let (_, from) = newest(report, "select v from t");
    assert_eq!(from, "explain", "{report:#}");
    let note = report["plan_notes"][0].as_str().expect("a note");
    assert!(note.contains("app") && note.contains("--explain"), "{note}");
    assert_eq!(report["plan_notes"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(finished.stderr.matches("auto_explain (--explain)").count(), 1, "{finished}");
}

#[test]
fn check_says_what_a_role_needs_and_with_that_it_has_its_plans_told() {
    for (version, number) in [(15, 150_000), (18, 180_000)] {
        let (server, log) = (server(version), of_app().file());
        let check = || {
            let kreplay = Kreplay::new().check().target(&server).arg("--explain");
            kreplay.arg("--input").arg(log.path()).run()
        };
        let needs = remedy("app", number);
        let checked = check();
        assert!(checked.stdout.contains(&needs), "{checked}");
        assert!(checked.stdout.contains("does not let app use auto_explain"), "{checked}");
        let (_, sql) = needs.split_once("superuser: ").expect("what to do");
        server.query(sql);
        let report = replay(&server, &of_app(), &["--explain", "--plans", "off"]).report;
        assert_eq!(newest(&report, "select v from t"), used(["Index Scan t_w t"]), "{number}");
        assert_eq!(report["plan_notes"], Value::Array(Vec::new()), "{report:#}");

        // What a role of 14 needs does here too.
        server.query("drop owned by app; alter role app reset all");
        server.query(remedy("app", 140_000).split_once("superuser: ").expect("what to do").1);
        let checked = check();
        let expected = if version == 15 { "statements use for app" } else { "permission denied" };
        assert!(checked.stdout.contains(expected), "{checked}");
    }
}
