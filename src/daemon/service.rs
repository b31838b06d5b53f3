//! What systemd is told of a service with `Type=notify`: that it is ready, how it goes, that it lives,
//! that it stops.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::{error, warn};

use super::status::{Gauges, every};
use crate::health::Health;
use crate::replay::account::progress::Sample;

/// How often systemd's status line is written anew.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// How often is looked whether there is something to tell.
const LOOK: Duration = Duration::from_millis(250);

/// What systemd knows, and when it was told. Pure: the clock is the caller's.
#[derive(Debug)]
struct NotifiedState {
    /// How long systemd waits for a sign of life; `None`: it does not.
    watchdog: Option<Duration>,
    ready: bool,
    fed: Option<Instant>,
    status: Option<Instant>,
}

/// What is to be told now.
#[derive(Debug, Default, PartialEq, Eq)]
struct DueNotifications {
    ready: bool,
    feed: bool,
    status: bool,
}

impl NotifiedState {
    fn new(watchdog: Option<Duration>) -> Self {
        Self { watchdog, ready: false, fed: None, status: None }
    }

    /// What systemd should hear at this moment. `ready` stays told: whoever loses its target later is
    /// still a service that runs. The watchdog is fed at half its time, only while the actors live:
    /// then systemd ends and restarts what hangs.
    fn news(&mut self, now: Instant, alive: bool, ready: bool) -> DueNotifications {
        let due = |last: Option<Instant>, interval: Duration| {
            last.is_none_or(|last| now.saturating_duration_since(last) >= interval)
        };
        let news = DueNotifications {
            ready: ready && !self.ready,
            feed: alive && self.watchdog.is_some_and(|watchdog| due(self.fed, watchdog / 2)),
            status: due(self.status, STATUS_INTERVAL) || ready && !self.ready,
        };
        self.ready |= news.ready;
        if news.feed {
            self.fed = Some(now);
        }
        if news.status {
            self.status = Some(now);
        }
        news
    }
}

/// Tells systemd how the service does, for as long as it is polled. Where no systemd asks
/// (`NOTIFY_SOCKET`), it ends at once.
pub(super) async fn tell_systemd(health: Health, gauges: Gauges) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let look = watchdog.map_or(LOOK, |watchdog| LOOK.min(watchdog / 4));
    let mut told = NotifiedState::new(watchdog);
    let mut before = Sample::default();
    let mut was_alive = true;
    let mut ticks = every(look.max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let (alive, ready) = (health.alive(now), health.ready());
        let news = told.news(now, alive.is_ok(), ready.is_ok());
        let status = news.status.then(|| {
            let sample = gauges.sample();
            let words = match (&alive, &ready) {
                (Err(stuck), _) => format!("stuck: {stuck}"),
                _ if health.is_draining() => "stopping: what runs is finished".to_owned(),
                (Ok(()), Err(reason)) => format!("waiting: {reason}"),
                (Ok(()), Ok(())) => sample.status(&before),
            };
            before = sample;
            words
        });
        let mut states = Vec::new();
        states.extend(news.ready.then_some(NotifyState::Ready));
        states.extend(news.feed.then_some(NotifyState::Watchdog));
        states.extend(status.as_deref().map(NotifyState::Status));
        if !states.is_empty() && !send(&states) {
            return;
        }
        if let (Err(stuck), true, Some(_)) = (&alive, was_alive, watchdog) {
            error!(
                "an actor does not answer any more, a defect of kreplay ({stuck}): systemd's \
                 watchdog is not fed until it does, and will restart the service (WatchdogSec)"
            );
        }
        was_alive = alive.is_ok();
    }
}

/// Tells systemd that the service stops, and may take so long for it.
pub(super) fn stopping(patience: Duration) {
    // The sessions' connections and the last commit take their time too.
    let patience = patience.saturating_add(Duration::from_secs(15));
    let patience = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(patience)]);
}

fn send(states: &[NotifyState<'_>]) -> bool {
    let sent = sd_notify::notify(states);
    if let Err(error) = &sent {
        warn!(
            "systemd can't be told how the service does (NOTIFY_SOCKET: {error}): it will take it \
             for hung; run it as its main process, or with Type=simple and without WatchdogSec"
        );
    }
    sent.is_ok()
}

#[cfg(test)]
mod tests;
