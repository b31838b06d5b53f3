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
mod tests {
    use super::*;

    const COMMITTED: Partition = Partition { number: 3, committed: Some(50), low: 10, high: 100 };
    const NEW: Partition = Partition { committed: None, ..COMMITTED };

    fn starts(partition: Partition, fresh: InitialOffset) -> StartAt {
        start_offset(partition, fresh, OnGap::Stop).expect("no gap")
    }

    #[test]
    fn a_committed_offset_wins_over_every_fresh_start() {
        for fresh in [
            InitialOffset::Earliest,
            InitialOffset::Latest,
            InitialOffset::At(Some(70)),
            InitialOffset::At(None),
        ] {
            assert_eq!(starts(COMMITTED, fresh), StartAt { offset: 50, gap: None });
        }
    }

    #[test]
    fn a_new_group_starts_as_it_is_told() {
        assert_eq!(starts(NEW, InitialOffset::Earliest).offset, 10);
        assert_eq!(starts(NEW, InitialOffset::Latest).offset, 100);
        assert_eq!(starts(NEW, InitialOffset::At(Some(70))).offset, 70);
    }

    #[test]
    fn a_time_after_the_last_record_starts_at_the_end() {
        assert_eq!(starts(NEW, InitialOffset::At(None)).offset, 100);
    }

    #[test]
    fn both_watermarks_are_offsets_to_go_on_from() {
        for committed in [10, 100] {
            let partition = Partition { committed: Some(committed), ..COMMITTED };
            assert_eq!(starts(partition, InitialOffset::Earliest).offset, committed);
        }
    }

    #[test]
    fn an_expired_offset_stops_with_what_was_lost() {
        let partition = Partition { committed: Some(4), ..COMMITTED };
        let gap = start_offset(partition, InitialOffset::Earliest, OnGap::Stop).expect_err("a gap");
        assert_eq!(gap, Gap { partition: 3, wanted: 4, oldest: 10, end: 100 });
        assert_eq!(gap.lost(), 6);
        assert!(gap.to_string().contains("offsets 4 to 9 (6 records) are gone"), "{gap}");
    }

    #[test]
    fn an_offset_beyond_the_end_stops_too() {
        let partition = Partition { committed: Some(101), ..COMMITTED };
        let gap = start_offset(partition, InitialOffset::Latest, OnGap::Stop).expect_err("a gap");
        assert_eq!(gap.lost(), 0);
        assert!(gap.to_string().contains("ends at 100"), "{gap}");
    }

    #[test]
    fn told_to_continue_it_goes_on_from_the_oldest_and_keeps_the_gap() {
        for committed in [4, 101] {
            let partition = Partition { committed: Some(committed), ..COMMITTED };
            let start =
                start_offset(partition, InitialOffset::Latest, OnGap::Continue).expect("a start");
            assert_eq!(start.offset, 10);
            assert_eq!(start.gap.map(|gap| gap.wanted), Some(committed));
        }
    }
}
