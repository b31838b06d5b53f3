//! What Prometheus and Grafana are given: the dashboard, the alerts, and how they are provisioned.

mod alerts;
mod dashboard;
mod linter;
mod live;
mod promql;
mod provisioning;

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A file below `grafana/`.
fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/grafana")).join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml<T: DeserializeOwned>(name: &str) -> T {
    serde_norway::from_str(&read(name)).unwrap_or_else(|error| panic!("grafana/{name}: {error}"))
}

fn dashboard_json() -> Value {
    serde_json::from_str(&read("kreplay.json")).expect("JSON")
}

/// The parts of a dashboard (schema version 39) that the tests look at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dashboard {
    uid: String,
    editable: bool,
    templating: List<Variable>,
    annotations: List<Annotation>,
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    list: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    query: String,
    datasource: Option<DataSource>,
    refresh: u8,
    multi: bool,
    #[serde(default)]
    all_value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    name: String,
    expr: Option<String>,
    #[serde(default)]
    use_value_for_time: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    id: u32,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default)]
    description: String,
    grid_pos: GridPosition,
    datasource: Option<DataSource>,
    #[serde(default)]
    field_config: FieldConfig,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct GridPosition {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

#[derive(Debug, Deserialize)]
struct DataSource {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
struct FieldConfig {
    defaults: Defaults,
}

#[derive(Debug, Default, Deserialize)]
struct Defaults {
    #[serde(default)]
    unit: String,
    #[serde(default)]
    thresholds: Thresholds,
}

#[derive(Debug, Default, Deserialize)]
struct Thresholds {
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    value: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    ref_id: String,
    datasource: DataSource,
    expr: String,
    legend_format: String,
    format: String,
    instant: bool,
    range: bool,
}

impl Dashboard {
    fn load() -> Self {
        serde_json::from_value(dashboard_json()).expect("a dashboard")
    }

    /// The panels that show something: all but the rows' headings.
    fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.panels.iter().filter(|panel| panel.kind != "row")
    }

    /// Every expression of the panels and of the annotations, with where it stands.
    fn expressions(&self) -> impl Iterator<Item = (String, &str)> {
        let panels = self.panels().flat_map(|panel| {
            let place = |target: &Target| format!("{:?} {}", panel.title, target.ref_id);
            panel.targets.iter().map(move |target| (place(target), target.expr.as_str()))
        });
        let annotations = self.annotations.list.iter().filter_map(|annotation| {
            Some((format!("annotation {:?}", annotation.name), annotation.expr.as_deref()?))
        });
        panels.chain(annotations)
    }
}

/// The rules of `alerts.yml`.
#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    alert: String,
    expr: String,
    labels: AlertLabels,
    annotations: Annotations,
}

#[derive(Debug, Deserialize)]
struct AlertLabels {
    severity: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    summary: String,
    description: String,
}

fn alerts() -> Vec<Alert> {
    let rules: Rules = yaml("alerts.yml");
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The flags of the command line that a text names, `--listen` and the like, which do not exist.
fn unknown_flags(text: &str) -> Vec<&str> {
    use clap::CommandFactory as _;

    let command = kreplay::cli::Cli::command();
    let known = |flag: &str| command.get_arguments().any(|known| known.get_long() == Some(flag));
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter_map(|word| word.strip_prefix("--")).filter(|flag| !known(flag)).collect()
}
