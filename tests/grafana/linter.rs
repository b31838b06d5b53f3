//! The rules of <https://github.com/grafana/dashboard-linter>, re-stated by their names: all those of its rule set that
//! look at a dashboard of this format, and the two that take settings, with `job` and `instance` as these.
//!
//! Each has a change to the dashboard that it objects to.

use std::collections::BTreeSet;

use kreplay::metrics::{self, Kind};
use promql_parser::label::MatchOp;
use serde_json::{Value, json};

use super::promql::{self, RATE_INTERVAL};
use super::{Dashboard, Panel, Variable, dashboard_json};

/// A rule's name, what it objects to, and a change that it objects to.
type Rule = (&'static str, fn(&Dashboard) -> Vec<String>, fn(&mut Value));

const RULES: [Rule; 19] = [
    ("template-datasource-rule", template_datasource, |json| {
        json["templating"]["list"][0]["name"] = json!("prometheus");
    }),
    (
        "template-job-rule",
        |it| template(it, "job"),
        |json| {
            json["templating"]["list"][1]["multi"] = json!(false);
        },
    ),
    (
        "template-instance-rule",
        |it| template(it, "instance"),
        |json| {
            json["templating"]["list"][2]["allValue"] = json!(".*");
        },
    ),
    ("template-label-promql-rule", template_label_promql, |json| {
        json["templating"]["list"][1]["query"] = json!("label_vals(kreplay_build_info, job)");
    }),
    ("template-on-time-change-reload-rule", template_on_time_change_reload, |json| {
        json["templating"]["list"][1]["refresh"] = json!(1);
    }),
    ("template-required-variables-rule", template_required_variables, |json| {
        json["templating"]["list"].as_array_mut().expect("a list").pop();
    }),
    ("panel-datasource-rule", panel_datasource, |json| {
        json["panels"][1]["datasource"]["uid"] = json!("P1809F7CD0C75ACF3");
    }),
    ("panel-title-description-rule", panel_title_description, |json| {
        json["panels"][1]["description"] = json!("");
    }),
    ("panel-units-rule", panel_units, |json| {
        json["panels"][1]["fieldConfig"]["defaults"]["unit"] = json!("seconds");
    }),
    ("panel-no-targets-rule", panel_no_targets, |json| json["panels"][1]["targets"] = json!([])),
    ("target-logql-rule", target_logql, |json| {
        json["panels"][1]["targets"][0]["datasource"]["type"] = json!("loki");
    }),
    ("target-logql-auto-rule", target_logql_auto, |json| {
        json["panels"][1]["targets"][0]["expr"] =
            json!("count_over_time({job=~\"$job\"} [$__auto])");
    }),
    ("target-promql-rule", target_promql, |json| {
        json["panels"][1]["targets"][0]["expr"] = json!("sum(");
    }),
    ("target-rate-interval-rule", target_rate_interval, |json| {
        json["panels"][1]["targets"][0]["expr"] = json!("rate(a[5m])");
    }),
    (
        "target-job-rule",
        |it| target_matcher(it, "job"),
        |json| {
            json["panels"][1]["targets"][0]["expr"] =
                json!("a{job=\"$job\", instance=~\"$instance\"}");
        },
    ),
    (
        "target-instance-rule",
        |it| target_matcher(it, "instance"),
        |json| {
            json["panels"][1]["targets"][0]["expr"] = json!("a{job=~\"$job\"}");
        },
    ),
    ("target-required-matchers-rule", target_required_matchers, |json| {
        json["panels"][1]["targets"][0]["expr"] = json!("a / b{job=~\"$job\"}");
    }),
    ("target-counter-agg-rule", target_counter_agg, |json| {
        json["panels"][1]["targets"][0]["expr"] = json!("sum(kreplay_records_total)");
    }),
    ("uneditable-dashboard", uneditable, |json| json["editable"] = json!(true)),
];

#[test]
fn the_dashboard_passes_every_rule_of_grafanas_linter() {
    let dashboard = Dashboard::load();
    let objections: Vec<_> = RULES
        .iter()
        .flat_map(|(name, rule, _)| {
            rule(&dashboard).into_iter().map(move |why| format!("{name}: {why}"))
        })
        .collect();
    assert!(objections.is_empty(), "{objections:#?}");
}

#[test]
fn every_rule_objects_to_what_it_is_there_for() {
    for (name, rule, spoil) in RULES {
        let mut json = dashboard_json();
        spoil(&mut json);
        let dashboard: Dashboard = serde_json::from_value(json).expect("still a dashboard");
        assert_ne!(rule(&dashboard), Vec::<String>::new(), "{name}");
    }
}

fn variable<'a>(dashboard: &'a Dashboard, name: &str) -> Option<&'a Variable> {
    dashboard.templating.list.iter().find(|variable| variable.name == name)
}

fn queries(dashboard: &Dashboard) -> impl Iterator<Item = &Variable> {
    dashboard.templating.list.iter().filter(|variable| variable.kind == "query")
}

/// What is wrong with some of the panels.
fn of_panels(dashboard: &Dashboard, wrong: impl Fn(&Panel) -> bool) -> Vec<String> {
    dashboard.panels().filter(|panel| wrong(panel)).map(|panel| panel.title.clone()).collect()
}

/// What is wrong with some of the panels' expressions.
fn of_expressions(dashboard: &Dashboard, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let wrong = dashboard.expressions().filter(|(_, expression)| wrong(expression));
    wrong.map(|(place, expression)| format!("{place}: {expression}")).collect()
}

/// What is wrong with some of the selectors; those of what is not PromQL are another rule's.
fn of_selectors(dashboard: &Dashboard, wrong: impl Fn(&promql::Selector) -> bool) -> Vec<String> {
    of_expressions(dashboard, |expression| {
        promql::parse(expression).is_ok() && promql::selectors(expression).iter().any(&wrong)
    })
}

fn template_datasource(dashboard: &Dashboard) -> Vec<String> {
    let sources = dashboard.templating.list.iter().filter(|variable| variable.kind == "datasource");
    let sources: Vec<_> =
        sources.map(|it| (it.name.as_str(), it.label.as_str(), it.query.as_str())).collect();
    let wanted = [("datasource", "Data source", "prometheus")];
    if sources == wanted { Vec::new() } else { vec![format!("{sources:?}")] }
}

fn template(dashboard: &Dashboard, name: &str) -> Vec<String> {
    let Some(variable) = variable(dashboard, name) else { return vec![format!("no {name}")] };
    let uid = variable.datasource.as_ref().map_or("", |source| source.uid.as_str());
    let [first, rest] = [&name[..1], &name[1..]];
    let right = matches!(uid, "$datasource" | "${datasource}")
        && variable.kind == "query"
        && variable.label == first.to_uppercase() + rest
        && variable.multi
        && variable.all_value == ".+";
    if right { Vec::new() } else { vec![format!("{variable:?}")] }
}

fn template_required_variables(dashboard: &Dashboard) -> Vec<String> {
    ["job", "instance"].into_iter().flat_map(|name| template(dashboard, name)).collect()
}

fn template_label_promql(dashboard: &Dashboard) -> Vec<String> {
    let right = |query: &str| {
        let asked = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let selector =
            asked.and_then(|asked| asked.rsplit_once(", ")).map(|(selector, _)| selector);
        selector.is_some_and(|selector| promql::parse(selector).is_ok())
    };
    let wrong = queries(dashboard).filter(|variable| !right(&variable.query));
    wrong.map(|variable| variable.query.clone()).collect()
}

fn template_on_time_change_reload(dashboard: &Dashboard) -> Vec<String> {
    let wrong = queries(dashboard).filter(|variable| variable.refresh != 2);
    wrong.map(|variable| variable.name.clone()).collect()
}

fn panel_datasource(dashboard: &Dashboard) -> Vec<String> {
    of_panels(dashboard, |panel| {
        panel.datasource.as_ref().is_none_or(|source| source.uid != "${datasource}")
            || panel.targets.iter().any(|target| target.datasource.uid != "${datasource}")
    })
}

fn panel_title_description(dashboard: &Dashboard) -> Vec<String> {
    of_panels(dashboard, |panel| panel.title.is_empty() || panel.description.is_empty())
}

/// Those of Grafana's units that a dashboard of kreplay may use.
const UNITS: [&str; 7] = ["none", "short", "string", "percentunit", "s", "ops", "bytes"];

fn panel_units(dashboard: &Dashboard) -> Vec<String> {
    of_panels(dashboard, |panel| !UNITS.contains(&&*panel.field_config.defaults.unit))
}

fn panel_no_targets(dashboard: &Dashboard) -> Vec<String> {
    of_panels(dashboard, |panel| panel.targets.is_empty())
}

/// Everything is asked of Prometheus, in its own language.
fn target_logql(dashboard: &Dashboard) -> Vec<String> {
    of_panels(dashboard, |panel| {
        panel.targets.iter().any(|target| target.datasource.kind != "prometheus")
    })
}

fn target_logql_auto(dashboard: &Dashboard) -> Vec<String> {
    of_expressions(dashboard, |expression| expression.contains("$__auto"))
}

fn target_promql(dashboard: &Dashboard) -> Vec<String> {
    of_expressions(dashboard, |expression| promql::parse(expression).is_err())
}

fn target_rate_interval(dashboard: &Dashboard) -> Vec<String> {
    of_selectors(dashboard, |selector| {
        matches!(selector.function, Some("rate" | "irate"))
            && selector.window != Some(RATE_INTERVAL)
    })
}

fn target_matcher(dashboard: &Dashboard, label: &str) -> Vec<String> {
    let variable = format!("${label}");
    of_selectors(dashboard, |selector| {
        !selector.matchers.iter().any(|matcher| {
            let is_regular_expression = matches!(matcher.op, MatchOp::Re(_));
            matcher.name == label && is_regular_expression && matcher.value == variable
        })
    })
}

fn target_required_matchers(dashboard: &Dashboard) -> Vec<String> {
    ["job", "instance"].into_iter().flat_map(|label| target_matcher(dashboard, label)).collect()
}

/// The linter knows counters by `_total`; we know ours, and what counts in a histogram.
fn target_counter_agg(dashboard: &Dashboard) -> Vec<String> {
    let counters = metrics::ALL.iter().flat_map(|metric| match metric.kind {
        Kind::Counter => vec![metric.name.to_owned()],
        Kind::Histogram => {
            ["bucket", "sum", "count"].map(|part| format!("{}_{part}", metric.name)).into()
        }
        Kind::Gauge => Vec::new(),
    });
    let counters: BTreeSet<_> = counters.collect();
    of_selectors(dashboard, |selector| {
        let is_rate = matches!(selector.function, Some("rate" | "irate" | "increase"));
        (counters.contains(&selector.name) || selector.name.ends_with("_total")) && !is_rate
    })
}

fn uneditable(dashboard: &Dashboard) -> Vec<String> {
    if dashboard.editable { vec!["it is editable".to_owned()] } else { Vec::new() }
}
