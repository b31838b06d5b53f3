//! The alerts, by promtool, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

use super::{alerts, path, unknown_flags, yaml};

/// Runs promtool where the files are.
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(path("")).output();
    let output = output.expect("promtool is installed: tests/run installs Debian's prometheus");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

#[test]
fn promtool_accepts_the_rules_and_the_configuration() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn every_alert_fires_and_is_silent_as_its_tests_say() {
    promtool(&["test", "rules", "alerts.test.yml"]);
}

/// The tests of `promtool test rules`.
#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<serde_json::Value>,
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let tests: Tests = yaml("alerts.test.yml");
    let mut tested: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for test in tests.tests.into_iter().flat_map(|test| test.alert_rule_test) {
        tested.entry(test.alertname).or_default().insert(!test.exp_alerts.is_empty());
    }
    let expected = alerts().into_iter().map(|alert| (alert.alert, BTreeSet::from([false, true])));
    assert_eq!(tested, expected.collect());
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do_with_flags_that_exist() {
    for alert in alerts() {
        let name = &alert.alert;
        assert!(name.starts_with("Kreplay"), "{name}");
        assert!(["critical", "warning", "info"].contains(&&*alert.labels.severity), "{name}");
        let text = &alert.annotations.description;
        assert!(text.len() > 80 && text.ends_with('.'), "{name}: {text}");
        assert_eq!(unknown_flags(text), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn the_documentation_has_the_alerts_in_their_order_with_their_severities() {
    let page = include_str!("../../docs/reference/alerts.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `Kreplay")).collect();
    let alerts = alerts();
    assert_eq!(rows.len(), alerts.len());
    for (row, alert) in rows.iter().zip(alerts) {
        let start = format!("| `{}` | {} | ", alert.alert, alert.labels.severity);
        assert!(row.starts_with(&start), "{row} should start with {start}");
    }
}
