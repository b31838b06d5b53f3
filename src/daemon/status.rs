//! Says how the replay goes: the progress bar, the status line in the log.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::info;

use super::screen::Screen;
use crate::actors::overview::Overview;
use crate::config::{Config, Source};
use crate::replay::account::policy::Tally;
use crate::replay::account::progress::{Recent, Sample};

/// How often the bar moves.
const MOVE: Duration = Duration::from_millis(200);

/// Where the numbers come from.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    pub tally: Arc<Mutex<Tally>>,
    pub overview: Arc<Overview>,
    pub began: Instant,
}

impl Gauges {
    /// Where the replay is now.
    pub(super) fn sample(&self) -> Sample {
        let tally = self.tally.lock();
        self.overview.sample(&tally, self.began.elapsed())
    }
}

/// Says how the replay goes, until what this gives is dropped: on the bar where there can be one, or
/// else in the log.
pub(super) fn show(config: &Config, gauges: Gauges, screen: &Screen) -> Shown {
    let screen = screen.clone();
    let task = if has_known_extent(&config.source) && screen.show_bar() {
        Some(actix_rt::spawn(move_bar(gauges, screen.clone())))
    } else {
        let interval = config.status_interval;
        interval.map(|interval| actix_rt::spawn(log_status(gauges, interval)))
    };
    Shown { task, screen }
}

/// Whether it is known how much there is to read: not of a live topic, nor of a pipe.
fn has_known_extent(source: &Source) -> bool {
    match source {
        Source::Kafka(kafka) => kafka.until_end,
        Source::Files(paths) => paths.iter().all(|path| path.is_file()),
    }
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
