//! Shows how far the replay is, and what it waits for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Consumer;
use crate::metrics;
use crate::replay::account::progress::{self, Unit};
use crate::replay::session::waits::{Wait, Waits};
use crate::source::Extent;
use crate::source::kafka::Offsets;

impl Consumer {
    /// While nothing is fetched, nothing tells how much more there has come to be.
    pub(super) fn look_at_ends(&mut self) {
        let looks = self.look_at_ends.as_ref().is_some_and(|look| !look.is_finished());
        if !looks
            && !self.window.has_room()
            && let Some(offsets) = self.offsets.clone()
        {
            let look = tokio::task::spawn_blocking(move || offsets.look_at_ends());
            self.look_at_ends = Some(look);
        }
    }

    /// Shows how much has been read of what has an end.
    pub(super) fn show_extent(&self) {
        let (unit, extent) = match (&self.offsets, self.bytes) {
            (Some(offsets), _) => (Unit::Records, offsets.extent()),
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
        let positions = self.offsets.iter().flat_map(Offsets::positions);
        let partitions = positions.map(|at| metrics::Partition {
            partition: at.partition,
            position: Some(at.position),
            committed: at.committed,
            low_watermark: Some(at.low_watermark),
            high_watermark: Some(at.high_watermark),
        });
        let nothing_held = self.partitions.is_empty() && self.intake.is_empty();
        let nothing_left = self.window.in_flight() == 0 && nothing_held && self.caught_up;
        let behind = if nothing_left || self.newest_ended_ms == 0 {
            Duration::ZERO
        } else {
            let logged = u64::try_from(self.newest_ended_ms)
                .map_or(UNIX_EPOCH, |ms| UNIX_EPOCH + Duration::from_millis(ms));
            SystemTime::now().duration_since(logged).unwrap_or_default()
        };
        self.overview.lag(partitions.collect(), behind);
    }
}
