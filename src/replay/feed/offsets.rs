//! How far the replay is, for the next start.

use std::time::Duration;

use super::{Feed, FeedAction, InputKind, Round};
use crate::replay::account::checkpoint::Watermark;
use crate::replay::account::ledger::{Fate, Filtered};

/// How often offsets are committed that have not changed: a commit that was not waited for may have
/// failed, and nothing new may follow it.
const COMMIT_ALL_INTERVAL: Duration = Duration::from_secs(10);

impl Feed {
    /// This process reads a partition from now on; `resume`: from the offset and with the metadata that
    /// an earlier run committed.
    pub fn assign(&mut self, partition: i32, resume: Option<(i64, &str)>, now: Duration) {
        if let Some((offset, metadata)) = resume {
            self.intake.resume(partition, offset, metadata);
        }
        if self.input == InputKind::Topic {
            self.partitions.assign(partition, now);
        }
    }

    /// Partitions go to another process: drops what is held of them. Their sessions have to end behind
    /// their last transactions; then they are [given up](Self::give_up).
    pub fn revoke(&mut self, partitions: &[i32], round: &mut Round<'_>) {
        let mut dropped = 0;
        for &partition in partitions {
            dropped += self.partitions.revoke(partition);
            dropped += self.intake.hand_over(partition);
        }
        round.tally.records.settle_many(Fate::Filtered(Filtered::HandedOver), dropped as u64);
        self.is_revoking = true;
    }

    /// The sessions of partitions that go to another process have ended: forgets the partitions. Returns
    /// what to commit before.
    pub fn give_up(&mut self, partitions: &[i32]) -> Vec<Watermark> {
        let watermarks = self.all_watermarks();
        for &partition in partitions {
            self.intake.checkpoint.revoke(partition);
        }
        self.is_revoking = false;
        watermarks
    }

    /// What is to be committed by now.
    pub fn due_watermarks(&mut self, now: Duration) -> Vec<Watermark> {
        if now.saturating_sub(self.committed_all) >= COMMIT_ALL_INTERVAL {
            self.committed_all = now;
            self.intake.checkpoint.hand_out_again();
        }
        self.intake.checkpoint.watermarks()
    }

    /// Everything that can be committed, changed or not.
    pub fn all_watermarks(&mut self) -> Vec<Watermark> {
        self.intake.checkpoint.hand_out_again();
        self.intake.checkpoint.watermarks()
    }

    /// What was to be committed is not.
    pub fn commit_failed(&mut self) {
        self.intake.checkpoint.hand_out_again();
    }

    /// The sequencer needs records past the limit on what is in flight: everything waits for what has not
    /// been read.
    pub fn read_on(&mut self, round: &mut Round<'_>) {
        if self.in_flight.has_room() {
            return;
        }
        if !self.in_flight.open() {
            self.counts.limit_overrides += 1;
            self.in_flight.open_beyond();
        }
        self.release(round);
        round.out.push(FeedAction::DemandChanged);
    }
}
