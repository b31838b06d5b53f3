//! Puts the regression report together from what the actors account for.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use jiff::Timestamp;

use super::take;
use crate::actors::overview::Overview;
use crate::cli::VERSION;
use crate::config::{self, Config};
use crate::http;
use crate::replay::account::policy::Tally;
use crate::replay::report::{self, KeptPace, Report, Shapes, Verdicts};
use crate::replay::session::waits::Waits;

/// Makes reports. Cheap to clone: what it reads is shared.
#[derive(Clone)]
pub(super) struct Reporting {
    /// What does not change in a run.
    frame: Arc<Report>,
    pub tally: Arc<Mutex<Tally>>,
    pub shapes: Arc<Mutex<Shapes>>,
    pub overview: Arc<Overview>,
}

impl Reporting {
    pub fn new(config: &Config, tally: &Arc<Mutex<Tally>>, overview: &Arc<Overview>) -> Self {
        let frame = Report {
            version: report::VERSION,
            kreplay: VERSION.to_owned(),
            source: source(config),
            target: target(config),
            order: config.replay.order.name().to_owned(),
            pace: config.replay.pace.map(|pace| KeptPace {
                speed: pace.speed,
                playout_delay_seconds: pace.playout_delay.as_secs_f64(),
            }),
            since: now(),
            ..Report::default()
        };
        Self {
            frame: Arc::new(frame),
            tally: tally.clone(),
            shapes: Arc::new(Mutex::new(Shapes::new(config.report_shapes))),
            overview: overview.clone(),
        }
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        let stalls_broken = self.overview.stalls_broken();
        let shapes = self.shapes.lock();
        let (method, (shown, rest)) = (shapes.method(), shapes.summary());
        drop(shapes);
        Report {
            until: now(),
            method,
            verdicts: Verdicts::of(&shown),
            shapes: shown,
            rest,
            tally: Tally { stalls_broken, ..take(&self.tally) },
            lag: self.overview.lag_of_report(),
            waits: seconds(&self.overview.waits()),
            costly: self.overview.costly_of_report(),
            stall: self.overview.stall(),
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
    fs::write(path, text).with_context(|| format!("--report {}", path.display()))
}

/// What is read, in words.
pub(super) fn source(config: &Config) -> String {
    match &config.source {
        config::Source::Kafka(kafka) => {
            format!("topic {} of {}", kafka.topic, kafka.brokers.join(", "))
        }
        config::Source::Files(paths) => format!("{} files", paths.len()),
    }
}

/// What is written to, in words.
pub(super) fn target(config: &Config) -> String {
    config.target.address()
}

/// RFC 3339, to the millisecond.
fn now() -> String {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.3}")
}
