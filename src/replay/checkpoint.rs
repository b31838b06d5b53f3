//! How far each partition is replayed: the low watermark that is committed, and what is settled
//! above it.
//!
//! A record is *pending* from its arrival until its statement is settled: replayed with its
//! transaction ended, filtered, skipped or given up. The watermark of a partition is its first
//! pending offset. One open transaction holds it back while thousands of others are settled above
//! it; so that a restart does not repeat those, what is still pending is written beside the offset,
//! in the metadata that Kafka keeps with it (at most 4,096 bytes by default). Confluent's Parallel
//! Consumer does the same with a bitmap.

use std::collections::{BTreeMap, BTreeSet};

/// What to commit for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The partition.
    pub partition: i32,
    /// The first offset that a restart has to read again.
    pub offset: i64,
    /// Which of the records from there on are settled.
    pub metadata: String,
}

/// The pending offsets of all partitions.
#[derive(Debug, Default)]
pub struct Checkpoint {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Behind the last record that arrived.
    next: i64,
    pending: BTreeSet<i64>,
    /// What an earlier run had settled: everything below `next` that is not in `pending`.
    resumed: Option<Settled>,
    /// What was last handed out, to commit only news.
    handed_out: Option<(i64, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settled {
    next: i64,
    pending: BTreeSet<i64>,
}

/// Kafka's default for `offset.metadata.max.bytes`, less a margin.
const METADATA_BYTES: usize = 4000;
/// The version of the format: a leading word that no other one begins with.
const VERSION: &str = "kreplay1";

impl Checkpoint {
    /// A partition is read from `offset` on; `metadata` is what was committed with it. Metadata that
    /// this version did not write counts as none: then settled records above the offset are repeated.
    pub fn resume(&mut self, partition: i32, offset: i64, metadata: &str) {
        self.partitions.insert(
            partition,
            Partition { next: offset, resumed: decode(offset, metadata), ..Partition::default() },
        );
    }

    /// A partition is no longer read: nothing of it is committed any more.
    pub fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Whether an earlier run settled this record, so that it must not be replayed again.
    pub fn is_settled(&self, partition: i32, offset: i64) -> bool {
        self.partitions
            .get(&partition)
            .and_then(|partition| partition.resumed.as_ref())
            .is_some_and(|settled| offset < settled.next && !settled.pending.contains(&offset))
    }

    /// A record arrived that is to be replayed.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        let partition = self.partitions.entry(partition).or_default();
        partition.pending.insert(offset);
        partition.next = offset + 1;
    }

    /// A record arrived that needs no replay.
    pub fn pass(&mut self, partition: i32, offset: i64) {
        self.partitions.entry(partition).or_default().next = offset + 1;
    }

    /// A pending record is settled. Says nothing of partitions that are not read any more.
    pub fn settle(&mut self, partition: i32, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.pending.remove(&offset);
        }
    }

    /// How many records are pending in all partitions.
    pub fn pending(&self) -> usize {
        self.partitions.values().map(|partition| partition.pending.len()).sum()
    }

    /// The watermarks that changed since the last call.
    pub fn watermarks(&mut self) -> Vec<Watermark> {
        let mut changed = Vec::new();
        for (&number, partition) in &mut self.partitions {
            let offset = partition.pending.first().copied().unwrap_or(partition.next);
            let metadata = encode(offset, partition);
            if partition.handed_out.as_ref() != Some(&(offset, metadata.clone())) {
                partition.handed_out = Some((offset, metadata.clone()));
                changed.push(Watermark { partition: number, offset, metadata });
            }
        }
        changed
    }
}

/// `kreplay1 NEXT GAP GAP…`: NEXT relative to the offset; then the pending offsets, each as its
/// distance from the one before. The first pending offset is the watermark itself and not written.
fn encode(offset: i64, partition: &Partition) -> String {
    // Records of an earlier run that were not read again yet are known from its own metadata only.
    let unread =
        partition.resumed.iter().flat_map(|settled| settled.pending.range(partition.next..));
    let next = partition.resumed.as_ref().map_or(0, |settled| settled.next).max(partition.next);
    let mut pending = partition.pending.iter().chain(unread).copied().filter(|&o| o > offset);
    let mut gaps = String::new();
    let mut before = offset;
    let mut settled_to = next;
    for at in pending.by_ref() {
        if gaps.len() > METADATA_BYTES - 60 {
            // No room for the rest: what lies behind counts as not settled and is repeated.
            settled_to = at;
            break;
        }
        gaps.push_str(&format!(" {}", at - before));
        before = at;
    }
    if settled_to == offset {
        String::new()
    } else {
        format!("{VERSION} {}{gaps}", settled_to - offset)
    }
}

fn decode(offset: i64, metadata: &str) -> Option<Settled> {
    let mut words = metadata.split(' ');
    if words.next() != Some(VERSION) {
        return None;
    }
    let next = offset.checked_add(words.next()?.parse().ok()?)?;
    let mut pending = BTreeSet::from([offset]);
    let mut at = offset;
    for gap in words {
        at = at.checked_add(gap.parse().ok()?)?;
        pending.insert(at);
    }
    // A watermark without pending records stands behind everything that was read.
    if next <= offset { None } else { Some(Settled { next, pending }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watermark(checkpoint: &mut Checkpoint) -> Watermark {
        checkpoint.watermarks().pop().expect("a new watermark")
    }

    #[test]
    fn the_watermark_stands_at_the_first_pending_record() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.resume(0, 100, "");
        checkpoint.begin(0, 100);
        checkpoint.pass(0, 101);
        checkpoint.begin(0, 102);
        assert_eq!(watermark(&mut checkpoint).offset, 100);
        checkpoint.settle(0, 102);
        assert_eq!(watermark(&mut checkpoint).offset, 100);
        checkpoint.settle(0, 100);
        let last = watermark(&mut checkpoint);
        assert_eq!((last.offset, last.metadata.as_str()), (103, ""));
        assert!(checkpoint.watermarks().is_empty(), "nothing changed");
    }

    #[test]
    fn a_restart_repeats_only_what_was_pending() {
        let mut before = Checkpoint::default();
        before.resume(3, 10, "");
        for offset in 10..20 {
            before.begin(3, offset);
        }
        for offset in [11, 12, 15, 18, 19] {
            before.settle(3, offset);
        }
        let committed = watermark(&mut before);
        assert_eq!(committed.offset, 10);

        let mut after = Checkpoint::default();
        after.resume(3, committed.offset, &committed.metadata);
        let settled: Vec<i64> = (10..25).filter(|&o| after.is_settled(3, o)).collect();
        assert_eq!(settled, [11, 12, 15, 18, 19]);
    }

    #[test]
    fn a_second_restart_before_everything_was_read_again_remembers_the_first() {
        let mut first = Checkpoint::default();
        first.resume(0, 0, "");
        (0..10).for_each(|offset| first.begin(0, offset));
        [1, 2, 3, 8].into_iter().for_each(|offset| first.settle(0, offset));
        let committed = watermark(&mut first);

        let mut second = Checkpoint::default();
        second.resume(0, committed.offset, &committed.metadata);
        second.begin(0, 0);
        second.pass(0, 1);
        second.settle(0, 0);
        let committed = watermark(&mut second);
        assert_eq!(committed.offset, 2);

        let mut third = Checkpoint::default();
        third.resume(0, committed.offset, &committed.metadata);
        let settled: Vec<i64> = (2..12).filter(|&o| third.is_settled(0, o)).collect();
        assert_eq!(settled, [3, 8]);
    }

    #[test]
    fn metadata_never_outgrows_what_kafka_keeps_and_stays_true() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.resume(0, 0, "");
        (0..100_000).for_each(|offset| checkpoint.begin(0, offset));
        (0..100_000)
            .filter(|offset| offset % 2 == 1)
            .for_each(|offset| checkpoint.settle(0, offset));
        let committed = watermark(&mut checkpoint);
        assert!(committed.metadata.len() < 4096, "{}", committed.metadata.len());
        let mut after = Checkpoint::default();
        after.resume(0, committed.offset, &committed.metadata);
        assert!((0..100_000).all(|offset| offset % 2 == 1 || !after.is_settled(0, offset)));
        assert!(after.is_settled(0, 1));
        assert!(!after.is_settled(0, 99_999));
    }

    #[test]
    fn metadata_of_others_counts_as_none() {
        for foreign in
            ["", "x", "kreplay2 5", "kreplay1", "kreplay1 x", "kreplay1 5 -9223372036854775808 -1"]
        {
            assert_eq!(decode(7, foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_pending_is_ever_taken_for_settled(
            records in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut checkpoint = Checkpoint::default();
            checkpoint.resume(0, 5, "");
            let mut pending = Vec::new();
            for (offset, (replayed, settled)) in (5..).zip(&records) {
                if *replayed {
                    checkpoint.begin(0, offset);
                    if *settled { checkpoint.settle(0, offset) } else { pending.push(offset) }
                } else {
                    checkpoint.pass(0, offset);
                }
            }
            let end = 5 + records.len() as i64;
            let committed = watermark(&mut checkpoint);
            let mut after = Checkpoint::default();
            after.resume(0, committed.offset, &committed.metadata);
            let repeated: Vec<i64> =
                (committed.offset..end).filter(|&o| !after.is_settled(0, o)).collect();
            prop_assert_eq!(repeated, pending);
            prop_assert!((end..end + 10).all(|o| !after.is_settled(0, o)));
        }
    }
}
