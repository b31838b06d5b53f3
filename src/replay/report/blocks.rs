//! The calls of a shape by blocks of time.
//!
//! What disturbs a call disturbs its neighbours: a checkpoint, a build on the same machine, a cache that
//! others have emptied. A thousand calls within such a second are one observation and not a thousand.
//! So calls are put together by when they ran, and a block counts once; in simulation this is known as
//! the method of batch means (A. M. Law, "Simulation Modeling and Analysis", chapter 9). Blocks grow with
//! the run: there are never more than [`MOST`].

use std::time::Duration;

use super::bins::Bins;

/// The most blocks that a run has.
pub(super) const MOST: u32 = 64;
/// The shortest block. A disturbance is seldom shorter.
const SHORTEST: Duration = Duration::from_millis(250);

/// The blocks of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timeline {
    /// When the first call began that counts, since the replay began.
    began: Option<Duration>,
    /// How often the length of a block was doubled.
    doubled: u32,
}

impl Timeline {
    /// The block of a call that began then.
    pub(super) fn block(&mut self, began: Duration) -> u32 {
        let first = *self.began.get_or_insert(began);
        let shortest = began.saturating_sub(first).as_millis() / SHORTEST.as_millis();
        let shortest = u32::try_from(shortest).unwrap_or(u32::MAX);
        while shortest >> self.doubled >= MOST {
            self.doubled += 1;
        }
        shortest >> self.doubled
    }

    /// The first block that began no earlier than this.
    pub(super) fn first_block_after(&self, moment: Duration) -> u32 {
        let offset = self.began.map_or(Duration::ZERO, |began| moment.saturating_sub(began));
        let blocks = offset.as_millis().div_ceil(SHORTEST.as_millis() << self.doubled);
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }
}

/// The ratios of a shape's calls by block.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    doubled: u32,
    /// In their order, those without a call left out.
    blocks: Vec<Block>,
}

/// The calls of a shape in a block of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    /// Which block of the timeline it is.
    pub number: u32,
    pub calls: u64,
    pub ratios: Bins,
}

impl Blocks {
    /// Counts a call of this block of the timeline.
    pub(super) fn add(&mut self, timeline: &Timeline, number: u32, ratio: f64) {
        self.align(timeline);
        // Nearly always the last one.
        let position = self.blocks.iter().rposition(|block| block.number <= number);
        let position = match position {
            Some(position) if self.blocks[position].number == number => position,
            before => {
                let position = before.map_or(0, |it| it + 1);
                self.blocks.insert(position, Block { number, ..Block::default() });
                position
            }
        };
        self.blocks[position].calls += 1;
        self.blocks[position].ratios.add(ratio);
    }

    /// Makes the blocks as long as the timeline's.
    fn align(&mut self, timeline: &Timeline) {
        if self.doubled >= timeline.doubled {
            return;
        }
        let shift = timeline.doubled - self.doubled;
        self.doubled = timeline.doubled;
        self.blocks.iter_mut().for_each(|block| block.number >>= shift);
        self.blocks.dedup_by(|later, kept| {
            let are_one = later.number == kept.number;
            if are_one {
                kept.calls += later.calls;
                kept.ratios.merge(&later.ratios);
            }
            are_one
        });
    }

    /// The blocks as long as the timeline's, in their order.
    pub(super) fn aligned(&self, timeline: &Timeline) -> Vec<Block> {
        let mut aligned = self.clone();
        aligned.align(timeline);
        aligned.blocks
    }
}

#[cfg(test)]
mod tests;
