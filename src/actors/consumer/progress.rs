//! Shows how far the replay is, and what it waits for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Consumer;
use crate::replay::account::progress::{self, Unit};
use crate::replay::session::waits::{Wait, Waits};
use crate::source::{Committer, Extent};

impl Consumer {
    /// While nothing is fetched, nothing tells how much more there has come to be.
    pub(super) fn look_at_ends(&mut self) {
        let looks = self.look_at_ends.as_ref().is_some_and(|look| !look.is_finished());
        if !looks
            && !self.window.has_room()
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

    pub(super) fn show_waits(&mut self) {
        let paused = self.backpressure.elapsed();
        let mut waits = Waits::default();
        waits.add(Wait::Backpressure, 1, paused.saturating_sub(self.backpressure_told));
        self.backpressure_told = paused;
        self.overview.waited(&waits);
        self.overview.bound(self.load.look(self.empty.elapsed(), self.overview.waits()));
    }

    pub(super) fn show_lag(&self) {
        self.overview.in_flight(self.window.in_flight());
        let partitions = self.committer.as_ref().map_or_else(Vec::new, Committer::positions);
        let nothing_held = self.partitions.is_empty() && self.intake.is_empty();
        let nothing_left = self.window.in_flight() == 0 && nothing_held && self.caught_up;
        let behind = if nothing_left || self.newest_ended_ms == 0 {
            Duration::ZERO
        } else {
            let logged = u64::try_from(self.newest_ended_ms)
                .map_or(UNIX_EPOCH, |ms| UNIX_EPOCH + Duration::from_millis(ms));
            SystemTime::now().duration_since(logged).unwrap_or_default()
        };
        self.overview.lag(partitions, behind);
    }
}
