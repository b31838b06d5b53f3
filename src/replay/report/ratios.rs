//! The ratios target / source of a shape's calls, and which of them count.
//!
//! The target's own figure for a call is exact: its log would tell the same. Where the target tells none,
//! a call's duration is known between two bounds. What kreplay measures has the way to the server and
//! back in it, which the source's log has not: that is the upper bound. Less a round trip, it is the lower
//! one, and nothing where answers came together and can't be told apart. So there are two distributions
//! then, and the truth is between them.

use std::time::Duration;

use super::bins::Bins;
use super::blocks::{Block, Blocks, Timeline};
use super::durations::nanos;
use super::judgement::{Evidence, LEAST_BLOCKS, LEAST_CALLS, Observed, Unjudged};
use super::{ClockCounts, PaceCounts};
use crate::replay::session::request::Took;

/// When a call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// While the replay was not at the source's pace.
    OffPace,
    /// While the target was cold.
    Cold,
    /// At pace, in this block of the timeline.
    In(u32),
}

/// The calls of a shape that have both durations.
#[derive(Debug, Clone, Default)]
pub(super) struct Ratios {
    /// By the upper bound.
    at_most: Blocks,
    /// By the lower bound, where there is a call for which it is another.
    at_least: Option<Blocks>,
    /// By the upper bound, those that do not count.
    left_out: Bins,
    off_pace: u64,
    cold: u64,
    clock: ClockCounts,
    /// Calls whose answer came in one read with others, and that the target has not measured.
    together: u64,
}

impl Ratios {
    /// Notes a call. Without a round trip, nothing is known of the least that the target took, unless it
    /// tells.
    pub(super) fn add(
        &mut self,
        source: Duration,
        target: Took,
        round_trip: Option<Duration>,
        when: When,
        timeline: &Timeline,
    ) {
        let is_exact = target.on_server.is_some();
        *if is_exact { &mut self.clock.server } else { &mut self.clock.client } += 1;
        self.together += u64::from(!is_exact && target.together > 1);
        // The log's own resolution; a statement of no duration has less than that.
        let source = nanos(source).max(500) as f64;
        let ratio = |target: Duration| nanos(target) as f64 / source;
        let at_most = ratio(target.on_server.unwrap_or(target.at_most));
        let block = match when {
            When::OffPace => {
                self.off_pace += 1;
                return self.left_out.add(at_most);
            }
            When::Cold => {
                self.cold += 1;
                return self.left_out.add(at_most);
            }
            When::In(block) => block,
        };
        if !is_exact && self.at_least.is_none() {
            self.at_least = Some(self.at_most.clone());
        }
        if let Some(blocks) = &mut self.at_least {
            let at_least = round_trip.map_or(Duration::ZERO, |it| target.at_least(it));
            blocks.add(timeline, block, ratio(target.on_server.unwrap_or(at_least)));
        }
        self.at_most.add(timeline, block, at_most);
    }

    /// Who measured the target's calls.
    pub(super) fn clock(&self) -> ClockCounts {
        self.clock
    }

    /// What they tell of a shape that typically takes `source_ms` on the source, and how many of them
    /// tell it. From the block `warm` on the target is warm.
    pub(super) fn evidence(
        &self,
        timeline: &Timeline,
        warm: u32,
        source_ms: f64,
    ) -> (PaceCounts, Result<Evidence, Unjudged>) {
        let mut at_most = self.at_most.aligned(timeline);
        let mut at_least = self.at_least.as_ref().map(|blocks| blocks.aligned(timeline));
        let calls = |blocks: &[Block]| blocks.iter().map(|block| block.calls).sum::<u64>();
        let at_pace = calls(&at_most);
        let is_warm = |block: &Block| block.number >= warm;
        let first_warm = at_most.iter().position(is_warm).unwrap_or(at_most.len());
        let is_enough =
            |blocks: &[Block]| calls(blocks) >= LEAST_CALLS && blocks.len() >= LEAST_BLOCKS;
        let within_warm_up = !is_enough(&at_most[first_warm..]);
        if !within_warm_up {
            at_most.retain(is_warm);
            at_least.iter_mut().for_each(|blocks| blocks.retain(is_warm));
        }
        let judged = calls(&at_most);
        let cold = self.cold + at_pace - judged;
        let pace = PaceCounts { judged, off_pace: self.off_pace, cold };
        let evidence = if judged < LEAST_CALLS {
            let mut all = self.left_out.clone();
            at_most.iter().for_each(|block| all.merge(&block.ratios));
            Err(Unjudged { all, why: too_few(pace) })
        } else {
            Ok(Evidence {
                is_exact: at_least.is_none(),
                at_least: Observed::of(&at_least.unwrap_or_else(|| at_most.clone())),
                at_most: Observed::of(&at_most),
                calls: judged,
                source_ms,
                within_warm_up: within_warm_up && warm > at_most.first().map_or(0, |it| it.number),
                together: self.together,
            })
        };
        (pace, evidence)
    }
}

/// Why too few calls are left.
fn too_few(pace: PaceCounts) -> String {
    let PaceCounts { judged, off_pace, cold } = pace;
    let calls = judged + off_pace + cold;
    if calls < LEAST_CALLS {
        format!("too few calls: {calls} with both durations, and {LEAST_CALLS} are needed")
    } else if off_pace >= cold {
        format!("off pace: {off_pace} of {calls} calls")
    } else {
        format!("cold: {cold} of {calls} calls ran in the target's first moments")
    }
}
