//! The dashboard: what it shows exists, what exists is shown, and it can be read.

use std::collections::BTreeSet;

use kreplay::metrics::{self, Kind, Metric};

use super::{Dashboard, alerts, promql, unknown_flags};

/// The metric that a series belongs to, and whether it is one of a histogram's buckets.
fn metric_of(series: &str) -> Option<(&'static Metric, bool)> {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| series.strip_suffix(part));
    metrics::ALL.iter().find_map(|metric| match metric.kind {
        Kind::Histogram => {
            (Some(metric.name) == histogram).then(|| (metric, series.ends_with("_bucket")))
        }
        _ => (metric.name == series).then_some((metric, false)),
    })
}

/// The labels that a series has; `None` where there is no such series.
fn labels_of(series: &str) -> Option<BTreeSet<&'static str>> {
    let mut labels = BTreeSet::from(["job", "instance"]);
    // Prometheus's own.
    if series != "up" {
        let (metric, is_bucket) = metric_of(series)?;
        labels.extend(metric.labels);
        labels.extend(is_bucket.then_some("le"));
    }
    Some(labels)
}

/// The `{{label}}` of a text.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label.trim())
}

#[test]
fn every_metric_that_is_asked_for_exists_with_the_labels_that_are_named() {
    let dashboard = Dashboard::load();
    let alerts = alerts();
    let alerts = alerts.iter().map(|alert| (alert.alert.clone(), alert.expr.as_str()));
    let mut wrong = Vec::new();
    for (place, expression) in dashboard.expressions().chain(alerts) {
        for selector in promql::selectors(expression) {
            match labels_of(&selector.name) {
                None => wrong.push(format!("{place}: there is no metric {}", selector.name)),
                Some(labels) => wrong.extend(
                    selector
                        .labels()
                        .filter(|label| !labels.contains(label))
                        .map(|label| format!("{place}: {} has no label {label}", selector.name)),
                ),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn legends_and_alerts_use_labels_that_are_there() {
    let dashboard = Dashboard::load();
    let alerts = alerts();
    let legends = dashboard.panels().flat_map(|panel| {
        panel
            .targets
            .iter()
            .map(|target| (&panel.title, &target.expr, target.legend_format.clone()))
    });
    let texts = alerts.iter().map(|alert| {
        let said = format!("{} {}", alert.annotations.summary, alert.annotations.description);
        (&alert.alert, &alert.expr, said.replace("{{ $labels.", "{{"))
    });
    for (place, expression, text) in legends.chain(texts) {
        let selectors = promql::selectors(expression);
        let there = selectors.first().map_or_else(BTreeSet::new, |selector| match &selector.kept {
            Some(kept) => kept.iter().cloned().collect(),
            None => labels_of(&selector.name).into_iter().flatten().map(str::to_owned).collect(),
        });
        for label in placeholders(&text).filter(|label| !label.starts_with("$value")) {
            assert!(there.contains(label), "{place}: {{{{{label}}}}} is not in {there:?}");
        }
    }
}

#[test]
fn every_metric_is_shown_somewhere() {
    let dashboard = Dashboard::load();
    let panels = dashboard.panels().flat_map(|panel| &panel.targets);
    let shown: BTreeSet<_> = panels
        .flat_map(|target| promql::selectors(&target.expr))
        .filter_map(|selector| Some(metric_of(&selector.name)?.0.name))
        .collect();
    let hidden: Vec<_> = metrics::ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.contains(name))
        .collect();
    assert!(hidden.is_empty(), "not on the dashboard: {hidden:#?}");
}

#[test]
fn histograms_have_heatmaps_and_say_so() {
    let dashboard = Dashboard::load();
    let heatmaps: Vec<_> = dashboard.panels().filter(|panel| panel.kind == "heatmap").collect();
    let shown: BTreeSet<_> = heatmaps
        .iter()
        .flat_map(|panel| promql::selectors(&panel.targets[0].expr))
        .filter_map(|selector| Some(metric_of(&selector.name)?.0.name))
        .collect();
    let histograms = metrics::ALL.iter().filter(|metric| metric.kind == Kind::Histogram);
    assert_eq!(shown, histograms.map(|metric| metric.name).collect());
    for panel in heatmaps {
        let [target] = &*panel.targets else { panic!("{}: one query each", panel.title) };
        assert_eq!(
            (&*target.format, &*target.legend_format),
            ("heatmap", "{{le}}"),
            "{}",
            panel.title
        );
        assert_eq!(
            panel.options["yAxis"]["unit"], *panel.field_config.defaults.unit,
            "{}",
            panel.title
        );
    }
}

#[test]
fn the_rows_are_those_of_the_documentation_and_no_two_panels_overlap() {
    let dashboard = Dashboard::load();
    assert_eq!(dashboard.uid, "kreplay");
    let rows = dashboard.panels.iter().filter(|panel| panel.kind == "row");
    let rows: Vec<_> = rows.map(|row| row.title.as_str()).collect();
    let page = include_str!("../../docs/reference/alerts.md");
    let table = page.lines().skip_while(|line| *line != "| Row | Answers |").skip(2);
    let listed: Vec<_> =
        table.map_while(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    assert_eq!(rows, listed);
    let ids: BTreeSet<_> = dashboard.panels.iter().map(|panel| panel.id).collect();
    assert_eq!(ids.len(), dashboard.panels.len(), "an id is there twice");
    let mut taken = BTreeSet::new();
    let mut above = 0;
    for panel in &dashboard.panels {
        let at = &panel.grid_pos;
        assert!(at.w > 0 && at.h > 0 && at.x + at.w <= 24, "{}: {at:?}", panel.title);
        assert!(at.y >= above, "{}: not in the order of the file", panel.title);
        above = at.y;
        for cell in (at.x..at.x + at.w).flat_map(|x| (at.y..at.y + at.h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} lies on another panel at {cell:?}", panel.title);
        }
    }
    // Grafana moves panels up into holes: what it shows would not be what stands here.
    let height = taken.iter().map(|(_, y)| y + 1).max().unwrap_or_default();
    assert_eq!(taken.len() as u32, 24 * height, "there are holes");
}

#[test]
fn every_query_of_a_panel_can_be_told_from_the_others() {
    for panel in Dashboard::load().panels() {
        let ids: BTreeSet<_> = panel.targets.iter().map(|target| &target.ref_id).collect();
        assert_eq!(ids.len(), panel.targets.len(), "{}", panel.title);
        let legends: BTreeSet<_> =
            panel.targets.iter().map(|target| &target.legend_format).collect();
        // A table names its columns itself.
        assert!(panel.kind == "table" || legends.len() == panel.targets.len(), "{}", panel.title);
        for target in &panel.targets {
            assert_ne!(target.instant, target.range, "{} {}", panel.title, target.ref_id);
            let over_the_range =
                target.expr.contains("$__range]") && !target.expr.contains("$__rate_interval");
            assert!(!over_the_range || target.instant, "{}: one number for the range", panel.title);
        }
    }
}

#[test]
fn descriptions_are_sentences_and_name_flags_that_exist() {
    for panel in Dashboard::load().panels() {
        let text = &panel.description;
        assert!(text.ends_with(['.', ')']), "{}: {text}", panel.title);
        assert_eq!(unknown_flags(text), Vec::<&str>::new(), "{}", panel.title);
    }
}

#[test]
fn the_dashed_line_of_a_panel_is_the_threshold_of_the_alert_that_it_names() {
    let (dashboard, alerts) = (Dashboard::load(), alerts());
    let mut named = 0;
    for panel in dashboard.panels() {
        let mut words = panel.description.split(|c: char| !c.is_ascii_alphanumeric());
        let Some(name) = words.find(|word| word.starts_with("Kreplay")) else { continue };
        let alert = alerts.iter().find(|alert| alert.alert == name);
        let expression = &alert.unwrap_or_else(|| panic!("there is no alert {name}")).expr;
        let line = panel.field_config.defaults.thresholds.steps.last().and_then(|step| step.value);
        let line = line.unwrap_or_else(|| panic!("{}: there is no line", panel.title));
        assert!(
            format!("{expression} ").contains(&format!(" > {line} ")),
            "{}: {line}",
            panel.title
        );
        named += 1;
    }
    assert_eq!(named, 2);
}

#[test]
fn restarts_are_annotated_at_the_moment_of_the_start() {
    let dashboard = Dashboard::load();
    let restarts =
        dashboard.annotations.list.iter().find(|annotation| annotation.name == "Restarts");
    let restarts = restarts.expect("an annotation");
    assert!(restarts.use_value_for_time, "the value, in milliseconds, is the moment");
    let expression = restarts.expr.as_deref().expect("a query");
    assert!(
        expression.starts_with("process_start_time_seconds{") && expression.contains("} * 1000 ")
    );
}
