//! Says how the replay goes: the progress bar, the status line in the log.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::info;

use super::screen::Screen;
use crate::config::Config;
use crate::pipeline::Telemetry;
use crate::replay::account::progress::{Recent, Sample};

/// How often the bar moves.
const MOVE: Duration = Duration::from_millis(200);

/// Where the numbers come from.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    telemetry: Telemetry,
    began: Instant,
}

impl Gauges {
    /// Those of a replay that begins now.
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self { telemetry: telemetry.clone(), began: Instant::now() }
    }

    /// Where the replay is now.
    pub(super) fn sample(&self) -> Sample {
        let tally = self.telemetry.tally.lock();
        self.telemetry.overview.sample(&tally, self.began.elapsed())
    }
}

/// Says how the replay goes, until what this gives is dropped: on the bar where there can be one, or
/// else in the log.
pub(super) fn show(config: &Config, gauges: Gauges, screen: &Screen) -> Shown {
    let screen = screen.clone();
    let task = if config.source.has_known_extent() && screen.show_bar() {
        Some(actix_rt::spawn(move_bar(gauges, screen.clone())))
    } else {
        let interval = config.status_interval;
        interval.map(|interval| actix_rt::spawn(log_status(gauges, interval)))
    };
    Shown { task, screen }
}

/// What says how the replay goes; it ends when this is dropped, and leaves the screen to others.
pub(super) struct Shown {
    task: Option<JoinHandle<()>>,
    screen: Screen,
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.screen.clear();
    }
}

/// Moves the bar for as long as it is polled.
async fn move_bar(gauges: Gauges, screen: Screen) {
    let mut recent = Recent::default();
    let mut ticks = every(MOVE);
    loop {
        ticks.tick().await;
        recent.push(gauges.sample());
        screen.draw(&recent);
    }
}

/// Writes a status line to the log at each interval, for as long as it is polled.
async fn log_status(gauges: Gauges, interval: Duration) {
    let mut before = gauges.sample();
    let mut ticks = every(interval);
    // The first comes at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = gauges.sample();
        info!("{}", now.status(&before));
        before = now;
    }
}

pub(super) fn every(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
