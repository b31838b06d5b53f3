//! Shows how far the replay is, and what it waits for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Consumer;
use crate::metrics;
use crate::replay::account::progress::{self, Unit};
use crate::replay::session::waits::{Wait, Waits};
use crate::source::{Committer, Extent};

impl Consumer {
    /// Shows everything that is worth a look each second.
    pub(super) fn show(&mut self) {
        self.look_at_ends();
        self.show_lag();
        self.show_waits();
        let now = self.now();
        let backends = self.downstream.as_ref().map(|downstream| &downstream.backends);
        let connected = || backends.map_or_else(Default::default, |backends| backends.sessions());
        metrics::SOURCE_SESSIONS.set(self.feed.forget_silent(now, connected) as f64);
    }

    /// While nothing is fetched, nothing tells how much more there has come to be.
    fn look_at_ends(&mut self) {
        let looks = self.look_at_ends.as_ref().is_some_and(|look| !look.is_finished());
        if !looks
            && !self.feed.has_room_in_flight()
            && let Some(committer) = self.committer.clone()
        {
            let look = tokio::task::spawn_blocking(move || committer.look_at_ends());
            self.look_at_ends = Some(look);
        }
    }

    /// Shows how much has been read of what has an end.
    pub(super) fn show_extent(&self) {
        let (unit, extent) = match (&self.committer, self.bytes) {
            (Some(committer), _) => (Unit::Records, committer.extent()),
            (None, total) => {
                (Unit::Bytes, total.map(|total| Extent { read: self.bytes_read, total }))
            }
        };
        if let Some(Extent { read, total }) = extent {
            self.overview.extent(progress::Extent { unit, read, total });
        }
    }

    fn show_waits(&mut self) {
        let now = self.now();
        let mut waits = Waits::default();
        waits.add(Wait::Backpressure, 1, self.feed.take_backpressure(now));
        self.overview.waited(&waits);
        if let Some(shares) = self.load.look(self.feed.empty_for(now), self.overview.waits()) {
            self.overview.bound(shares);
        }
    }

    fn show_lag(&self) {
        self.overview.in_flight(self.feed.in_flight());
        let partitions = self.committer.as_ref().map_or_else(Vec::new, Committer::positions);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let lag = self.feed.replay_lag(since_epoch.unwrap_or(Duration::ZERO));
        self.overview.lag(partitions, lag);
    }
}
