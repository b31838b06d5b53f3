//! Puts the regression report together from what the actors account for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::cli::VERSION;
use crate::config::Config;
use crate::http;
use crate::label::Label as _;
use crate::pipeline::Telemetry;
use crate::private_file;
use crate::replay::account::policy::Tally;
use crate::replay::report::{self, KeptPace, Method, Report, Summary, Untold, Verdicts};
use crate::replay::session::waits::Waits;

/// Makes reports. Cheap to clone: what it reads is shared.
#[derive(Clone)]
pub(super) struct Reporting {
    /// What does not change in a run.
    frame: Arc<Report>,
    telemetry: Telemetry,
}

impl Reporting {
    pub(super) fn new(config: &Config, telemetry: &Telemetry) -> Self {
        let frame = Report {
            version: report::VERSION,
            kreplay: VERSION.to_owned(),
            source: config.source.description(),
            target: config.target.address(),
            order: config.replay.order.to_string(),
            pace: config.replay.pace().map(|pace| KeptPace {
                speed: pace.speed,
                playout_delay_seconds: pace.playout_delay.as_secs_f64(),
            }),
            method: Method {
                target_durations: config.replay.target_durations.to_string(),
                ..Method::default()
            },
            since: now(),
            ..Report::default()
        };
        Self { frame: Arc::new(frame), telemetry: telemetry.clone() }
    }

    /// How things stand.
    pub(super) fn report(&self) -> Report {
        let Telemetry { tally, shapes, spending, overview, .. } = &self.telemetry;
        let tally = tally.lock().clone();
        let shapes = shapes.lock();
        let (method, Summary { factor, shapes: mut shown, rest }) =
            (shapes.method(), shapes.summary());
        let (source_plans, target_plans) = (shapes.source_plans(), shapes.target_plans());
        let plan_notes = shapes.plan_notes();
        drop(shapes);
        let spending = spending.lock();
        spending.add_to(&mut shown);
        Report {
            until: now(),
            method: Method {
                target_durations: self.frame.method.target_durations.clone(),
                ..method
            },
            factor,
            verdicts: Verdicts::of(&shown),
            untold: Untold::of(&shown),
            shapes: shown,
            rest,
            tally: Tally { stalls_broken: overview.stalls_broken(), ..tally },
            lag: overview.lag_of_report(),
            waits: seconds(&overview.waits()),
            costly: overview.costly_of_report(),
            stall: overview.stall(),
            source_plans,
            target_plans,
            plan_notes,
            resources: spending.resources(),
            resource_period: spending.period(),
            resource_notes: spending.notes(),
            ..Report::clone(&self.frame)
        }
    }
}

fn seconds(waits: &Waits) -> BTreeMap<&'static str, f64> {
    waits.iter().map(|(wait, time)| (wait.label(), time.as_secs_f64())).collect()
}

/// Writes a report for `--report`: the page to `.html`, else JSON.
pub(super) fn write(report: &Report, path: &Path) -> anyhow::Result<()> {
    let is_page = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("html"));
    let text = if is_page { http::file(report) } else { serde_json::to_string_pretty(report) };
    let text = text.context("the report")?;
    private_file::write(path, &text).with_context(|| format!("--report {}", path.display()))
}

/// RFC 3339, to the millisecond.
fn now() -> String {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.3}")
}
