//! Where a partition begins. Pure.

use super::settings::OnGap;
use crate::source::Gap;

/// What is known of a partition before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its number.
    pub number: i32,
    /// What the consumer group committed; `None` also where `--reset` says to forget it.
    pub committed: Option<i64>,
    /// The oldest offset it holds.
    pub low: i64,
    /// One past the newest offset that can be read.
    pub high: i64,
}

/// Where a group without a committed offset begins, with a time already looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitialOffset {
    /// With the oldest record.
    Earliest,
    /// With the next record that is written.
    Latest,
    /// With this offset; `None` where every record is older than the time that was asked for.
    At(Option<i64>),
}

/// Where a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartAt {
    /// The first offset to be read.
    pub offset: i64,
    /// What was skipped to get there.
    pub gap: Option<Gap>,
}

/// Where `partition` begins: at the committed offset if there is one, else as `fresh` says.
///
/// # Errors
///
/// The gap, if the partition does not hold the committed offset and `on_gap` says to stop.
pub(crate) fn start_offset(
    partition: Partition,
    fresh: InitialOffset,
    on_gap: OnGap,
) -> Result<StartAt, Gap> {
    let Partition { number, committed, low, high } = partition;
    let Some(committed) = committed else {
        let offset = match fresh {
            InitialOffset::Earliest => low,
            InitialOffset::Latest => high,
            InitialOffset::At(found) => found.unwrap_or(high).max(low),
        };
        return Ok(StartAt { offset, gap: None });
    };
    if (low..=high).contains(&committed) {
        return Ok(StartAt { offset: committed, gap: None });
    }
    let gap = Gap { partition: number, wanted: committed, oldest: low, end: high };
    match on_gap {
        OnGap::Stop => Err(gap),
        OnGap::Continue => Ok(StartAt { offset: low, gap: Some(gap) }),
    }
}

#[cfg(test)]
mod tests;
