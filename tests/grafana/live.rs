//! The dashboard and the alerts on the numbers of a real kreplay, as a real Prometheus has them.

use std::time::Duration;

use serde_json::Value;

use super::{Dashboard, alerts, path, promql, read};
use testkit::kafka;
use testkit::kreplay::Kreplay;
use testkit::log::{Client, Log};
use testkit::postgres::Server;
use testkit::prometheus::Prometheus;

/// What Grafana would choose for a scrape interval this short, and for the last five minutes.
const RATE_INTERVAL: Duration = Duration::from_secs(2);
const RANGE: Duration = Duration::from_secs(300);

/// The configuration that users get, in a hurry.
fn configuration(address: &str) -> String {
    let replaced = [("15s", "200ms"), ("localhost:11432", address)];
    replaced.iter().fold(read("prometheus.yml"), |text, (from, to)| {
        assert!(text.contains(from), "{from} is gone from prometheus.yml");
        text.replace(from, to)
    })
}

/// Statements of all outcomes, an error that both sides have, and what is no record. Each round has
/// sessions of its own, so that none is taken for a repeat.
fn load(round: u32) -> Vec<Vec<u8>> {
    let client = Client { database: "postgres", ..Client::default() };
    let log = (0..4).fold(Log::new(), |log, session| {
        let pid = 100 * round + session;
        let insert = format!("insert into t values ({pid})");
        log.client(pid, client.clone())
            .ended(pid, ["select 1", "begin", &insert, "commit", "select pg_sleep(0.01)"])
            .ended(pid, ["select * from only_on_the_source", "update t set id = id"])
            .failed(pid, "42P01", "select * from nowhere")
            .failed(pid, "42P01", "select * from t")
            .disconnected(pid)
    });
    log.raw(b"this is no record").records().to_vec()
}

/// The expressions that give nothing, or are not understood.
fn without_data<'a>(
    prometheus: &Prometheus,
    expressions: impl IntoIterator<Item = &'a (String, String)>,
) -> Vec<String> {
    let asked = expressions
        .into_iter()
        .map(|(place, expression)| (place, expression, prometheus.query(expression)));
    asked
        .filter(|(_, _, answer)| answer.as_ref().map_or(true, Vec::is_empty))
        .map(|(place, expression, answer)| format!("{place}: {expression}: {answer:?}"))
        .collect()
}

#[test]
fn every_panel_and_every_alert_has_data_while_kreplay_works() {
    let server = Server::start(15);
    server.query("create table t (id int primary key)");
    let broker = kafka::shared();
    let topic = broker.topic("grafana", 1);
    let mut replay = Kreplay::new()
        .args(["-t", &topic, "-b", broker.address(), "--order", "conflict", "-u", "postgres"])
        .target(&server)
        .spawn();
    let mut prometheus = Prometheus::start(&configuration(replay.address()), &path("alerts.yml"));

    // What happens before the first scrape is in no rate.
    prometheus.wait_until(|prometheus| match prometheus.query("up{job=\"kreplay\"} == 1") {
        Ok(series) if series.len() == 1 => Ok(()),
        answer => Err(format!("kreplay is not scraped: {answer:?}")),
    });
    let dashboard = Dashboard::load();
    let panels: Vec<_> = dashboard
        .expressions()
        .map(|(place, expression)| (place, promql::fill_in(expression, RATE_INTERVAL, RANGE)))
        .collect();
    let alerts = alerts();
    let alerted: Vec<_> = alerts
        .iter()
        .flat_map(|alert| {
            promql::operands(&alert.expr).into_iter().map(|part| (alert.alert.clone(), part))
        })
        .collect();
    let mut round = 0;
    prometheus.wait_until(|prometheus| {
        round += 1;
        let records = load(round);
        broker.produce(&topic, 0, records.iter().map(Vec::as_slice));
        let missing = without_data(prometheus, panels.iter().chain(&alerted));
        if missing.is_empty() { Ok(()) } else { Err(format!("no data: {missing:#?}\n{replay}")) }
    });

    for alert in &alerts {
        // Whether it fires is not said here: only that it can be asked.
        prometheus.query(&alert.expr).unwrap_or_else(|error| panic!("{}: {error}", alert.alert));
    }
    // Those without a `for` fire at once; each has to be evaluated without an error.
    let fire = ["KreplayRecordsRejected", "KreplayNewErrors"];
    prometheus.wait_until(|prometheus| {
        let rules = prometheus.api("rules", &[])?;
        let rules = rules["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        let fires = |rule: &Value| rule["state"] == "firing";
        let expected = |rule: &Value| fire.iter().any(|name| rule["name"] == **name);
        let right = |rule: &&Value| rule["health"] == "ok" && fires(rule) == expected(rule);
        match rules.iter().filter(right).count() {
            count if count == alerts.len() => Ok(()),
            _ => Err(format!("{fire:?} alone should fire: {rules:#?}")),
        }
    });
    for variable in ["job", "instance"] {
        let values = prometheus
            .api(&format!("label/{variable}/values"), &[("match[]", "kreplay_build_info")]);
        assert_eq!(values.expect("values").as_array().map(Vec::len), Some(1), "{variable}");
    }
    replay.wait_for(|metrics| {
        metrics["kreplay_consumer_lag{partition=\"0\"}"] == 0.0
            && metrics["kreplay_records_pending"] == 0.0
    });
    replay.term();
    replay.wait().well();
}
