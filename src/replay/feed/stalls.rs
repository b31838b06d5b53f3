//! What is done when nothing ends any more: soon, room is made and the sequencer looks for who waits for
//! what has not been read; after `--stall-timeout`, everybody is asked what they wait for.

use std::time::Duration;

use super::{Feed, FeedAction, Phase, Round};
use crate::replay::intake::in_flight_limit::StallTimer;
use crate::replay::order::stall_watch::StallWatch;
use crate::replay::order::wait_chain::Stall;

/// For how long nothing has ended.
#[derive(Debug)]
pub(super) struct Stalls {
    last_progress: Duration,
    timer: StallTimer,
    watch: Option<StallWatch>,
}

impl Stalls {
    pub(super) fn new(timeout: Option<Duration>, patience: Duration, now: Duration) -> Self {
        let watch = timeout.map(|timeout| StallWatch::new(timeout, patience, now));
        Self { last_progress: now, timer: StallTimer::default(), watch }
    }

    /// Something has ended.
    pub(super) fn progressed(&mut self, now: Duration, out: &mut Vec<FeedAction>) {
        self.last_progress = now;
        self.stalls_no_more(now, out);
    }

    /// Something has ended, or there is nothing that could.
    fn stalls_no_more(&mut self, now: Duration, out: &mut Vec<FeedAction>) {
        if self.watch.as_mut().is_some_and(|watch| watch.progressed(now)) {
            out.push(FeedAction::StallOver);
        }
    }
}

impl Feed {
    pub(super) fn check_stall(&mut self, round: &mut Round<'_>) {
        // What waits for a record that is still to come continues when it has been read.
        let no_more = matches!(self.phase, Phase::Draining | Phase::Delivered | Phase::Done);
        let is_stuck = !self.in_flight.has_room() || no_more && self.in_flight() > 0;
        let still_for = round.now.saturating_sub(self.stalls.last_progress);
        if !is_stuck || !self.stalls.timer.is_due(still_for) {
            return;
        }
        if self.phase == Phase::Reading && self.in_flight.open() {
            self.release(round);
            round.out.push(FeedAction::DemandChanged);
        } else {
            round.out.push(FeedAction::BreakStall);
        }
    }

    /// Has everybody asked what they wait for, where nothing has ended for long.
    pub(super) fn watch_stall(&mut self, round: &mut Round<'_>) {
        if self.in_flight() == 0 || self.phase == Phase::Stopped {
            return self.stalls.stalls_no_more(round.now, round.out);
        }
        let due = self.stalls.watch.as_mut().and_then(|watch| watch.due(round.now));
        if let Some(probe) = due {
            let no_more = matches!(self.phase, Phase::Delivered | Phase::Done);
            round.out.push(FeedAction::ProbeStall { probe, no_more });
        }
    }

    /// What everybody waits for, as a probe has found.
    pub fn stall_probed(&mut self, probe: u64, stalls: Vec<Stall>, round: &mut Round<'_>) {
        let watch = self.stalls.watch.as_mut();
        if let Some(stall) = watch.and_then(|watch| watch.on_probe(probe, stalls, round.now)) {
            round.out.push(FeedAction::ReportStall(stall));
        }
    }
}
