//! Several partitions, one order: a k-way merge that waits for whoever may still have something
//! older.
//!
//! A shipper spreads one log over the partitions of a topic. Each partition has its records in the
//! order of the log; which of two partitions' records is the older one, the shipper's position tells
//! (a byte or a line in a file of the log), or, inexactly, log_time. A record leaves when every
//! partition has one at hand to compare it with; a partition that is silent for long, or at its end,
//! is not waited for. Within a partition nothing ever changes places.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Where a record stands in the source's log, as its shipper tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The log file; empty where positions grow over all files. Names sort as the files follow.
    pub file: Arc<str>,
    /// A number that grows within the file.
    pub offset: u64,
}

/// What a record is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeKey {
    /// Where it stands in the log, if the shipper tells.
    pub position: Option<LogPosition>,
    /// When it was logged, in Unix milliseconds.
    pub log_ms: i64,
}

/// What all records are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Their positions in the log: exact.
    Position,
    /// Their log times: inexact. A record came without a position.
    LogTime,
    /// Their log times, since positions went backwards while time went forwards: the files' names do
    /// not sort, or a number began anew with a new file.
    LogTimeForPositionsRestart,
}

/// How the merge waits, and how much it holds.
#[derive(Debug, Clone, Copy)]
pub struct MergeSettings {
    /// A partition of which nothing came for that long is not waited for, in milliseconds.
    pub idle_ms: u64,
    /// While more bytes than this are held, partitions with more than their share are not read.
    pub bytes: usize,
}

/// Something that comes out.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged<T> {
    /// What went in.
    pub item: T,
    /// Whether younger records of other partitions have left before it: its partition was not
    /// waited for.
    pub late: bool,
}

/// Records of several partitions on their way into one order.
///
/// Times (`now_ms`) count from any moment, never backwards, and only while all partitions were being
/// read: nobody is silent to whom nobody listens.
#[derive(Debug)]
pub struct Merge<T> {
    settings: MergeSettings,
    partitions: BTreeMap<i32, Partition<T>>,
    basis: Basis,
    /// Bytes held, of all partitions.
    bytes: usize,
    /// The youngest that has left.
    youngest: Option<MergeKey>,
}

#[derive(Debug)]
struct Partition<T> {
    queue: VecDeque<Held<T>>,
    bytes: usize,
    heard_ms: u64,
    finished: bool,
    /// Something of another partition has left since this one had something at hand.
    passed_over: bool,
    /// What is older than this comes late.
    late_before: Option<MergeKey>,
    /// The key of the last one that came.
    last: Option<MergeKey>,
    held_back: bool,
}

#[derive(Debug)]
struct Held<T> {
    item: T,
    key: MergeKey,
    bytes: usize,
}

/// Log times run backwards by milliseconds, and a shipper's repeats are older than what they follow:
/// a position that goes back while the time goes on by more than this is no position in one log.
const TIME_GOES_ON_MS: i64 = 1000;
/// What holding a record costs beside its own bytes.
const OVERHEAD_BYTES: usize = 128;

impl<T> Merge<T> {
    /// A merge of no partitions.
    pub fn new(settings: MergeSettings) -> Self {
        Self {
            settings,
            partitions: BTreeMap::new(),
            basis: Basis::Position,
            bytes: 0,
            youngest: None,
        }
    }

    /// Whether there is nothing to merge: records of the one partition need not come here.
    pub fn is_idle(&self) -> bool {
        self.partitions.len() < 2 && self.is_empty()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// What records are ordered by, as far as is known by now.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// A partition is read from now on.
    pub fn assign(&mut self, partition: i32, now_ms: u64) {
        self.partitions.entry(partition).or_insert_with(|| Partition {
            queue: VecDeque::new(),
            bytes: 0,
            heard_ms: now_ms,
            finished: false,
            passed_over: true,
            late_before: None,
            last: None,
            held_back: false,
        });
    }

    /// A partition is read no longer. Gives back what was held of it.
    pub fn revoke(&mut self, partition: i32) -> Vec<T> {
        let Some(gone) = self.partitions.remove(&partition) else { return Vec::new() };
        self.bytes -= gone.bytes;
        gone.queue.into_iter().map(|held| held.item).collect()
    }

    /// Nothing more will come of a partition.
    pub fn finish(&mut self, partition: i32) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.finished = true;
        }
    }

    /// Nothing more will come at all.
    pub fn finish_all(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.finished = true);
    }

    /// Takes the next record of a partition, of so many bytes. One without a key (it can't be read)
    /// stays right behind the one before it.
    pub fn push(
        &mut self,
        partition: i32,
        item: T,
        key: Option<MergeKey>,
        bytes: usize,
        now_ms: u64,
    ) {
        self.assign(partition, now_ms);
        let Some(from) = self.partitions.get_mut(&partition) else { return };
        if let Some(key) = &key {
            self.basis = from.basis_after(key, self.basis);
        }
        let key = key.or_else(|| from.last.clone());
        let key = key.unwrap_or(MergeKey { position: None, log_ms: i64::MIN });
        if from.passed_over && from.queue.is_empty() {
            from.late_before.clone_from(&self.youngest);
        }
        from.passed_over = false;
        from.heard_ms = now_ms;
        from.last = Some(key.clone());
        let bytes = bytes + OVERHEAD_BYTES;
        from.bytes += bytes;
        from.queue.push_back(Held { item, key, bytes });
        self.bytes += bytes;
        if self.bytes > self.settings.bytes {
            let share = self.settings.bytes / self.partitions.len();
            for partition in self.partitions.values_mut() {
                partition.held_back |= partition.bytes > share;
            }
        }
    }

    /// Takes the oldest record, unless a partition may have an older one still to come. Costs a look
    /// at each partition.
    pub fn pop(&mut self, now_ms: u64) -> Option<Merged<T>> {
        let mut oldest: Option<(i32, &MergeKey)> = None;
        for (&number, partition) in &self.partitions {
            match (partition.queue.front(), oldest) {
                (None, _) if partition.is_waited_for(now_ms, self.settings.idle_ms) => return None,
                (Some(head), Some((_, key))) if !self.basis.is_before(&head.key, key) => {}
                (Some(head), _) => oldest = Some((number, &head.key)),
                (None, _) => {}
            }
        }
        let (number, _) = oldest?;
        let share = self.settings.bytes / self.partitions.len();
        let partition = self.partitions.get_mut(&number)?;
        let Held { item, key, bytes } = partition.queue.pop_front()?;
        partition.bytes -= bytes;
        self.bytes -= bytes;
        partition.held_back &= partition.bytes > share / 2;
        let late = partition.late_before.as_ref();
        let late = late.is_some_and(|younger| self.basis.is_before(&key, younger));
        if !late {
            partition.late_before = None;
        }
        for partition in self.partitions.values_mut() {
            partition.passed_over |= partition.queue.is_empty();
        }
        if self.youngest.as_ref().is_none_or(|youngest| self.basis.is_before(youngest, &key)) {
            self.youngest = Some(key);
        }
        Some(Merged { item, late })
    }

    /// The partitions that are so far ahead of the others that they are not to be read for now. None
    /// of which nothing is held is ever among them: the others wait for it.
    pub fn held_back(&self) -> Vec<i32> {
        let held_back = self.partitions.iter().filter(|(_, partition)| partition.held_back);
        held_back.map(|(&number, _)| number).collect()
    }
}

impl<T> Partition<T> {
    fn is_waited_for(&self, now_ms: u64, idle_ms: u64) -> bool {
        !self.finished && now_ms.saturating_sub(self.heard_ms) < idle_ms
    }

    /// What everything is ordered by, with this key as the partition's next.
    fn basis_after(&self, key: &MergeKey, basis: Basis) -> Basis {
        let Some(position) = &key.position else {
            return if basis == Basis::Position { Basis::LogTime } else { basis };
        };
        match &self.last {
            Some(MergeKey { position: Some(last), log_ms })
                if basis == Basis::Position
                    && position < last
                    && key.log_ms > log_ms.saturating_add(TIME_GOES_ON_MS) =>
            {
                Basis::LogTimeForPositionsRestart
            }
            _ => basis,
        }
    }
}

impl Basis {
    fn is_before(self, a: &MergeKey, b: &MergeKey) -> bool {
        match self {
            Self::Position => a.position < b.position,
            Self::LogTime | Self::LogTimeForPositionsRestart => a.log_ms < b.log_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE_MS: u64 = 1000;

    fn merge(partitions: i32) -> Merge<i64> {
        let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 1 << 20 });
        (0..partitions).for_each(|partition| merge.assign(partition, 0));
        merge
    }

    fn in_file(file: &str, offset: u64, log_ms: i64) -> Option<MergeKey> {
        Some(MergeKey { position: Some(LogPosition { file: file.into(), offset }), log_ms })
    }

    fn at(offset: u64) -> Option<MergeKey> {
        in_file("", offset, 0)
    }

    fn logged(log_ms: i64) -> Option<MergeKey> {
        Some(MergeKey { position: None, log_ms })
    }

    fn popped(merge: &mut Merge<i64>, now_ms: u64) -> Vec<i64> {
        std::iter::from_fn(|| merge.pop(now_ms)).map(|merged| merged.item).collect()
    }

    #[test]
    fn nothing_leaves_before_every_partition_has_something_at_hand() {
        let mut merge = merge(3);
        merge.push(0, 1, at(1), 10, 0);
        merge.push(1, 2, at(2), 10, 0);
        assert_eq!(popped(&mut merge, 0), [0; 0]);
        merge.push(2, 3, at(3), 10, 0);
        assert_eq!(popped(&mut merge, 0), [1]);
        merge.push(0, 4, at(4), 10, 0);
        assert_eq!(popped(&mut merge, 0), [2]);
        assert_eq!(merge.basis(), Basis::Position);
    }

    #[test]
    fn a_silent_partition_is_waited_for_only_so_long_and_what_it_says_then_is_late() {
        let mut merge = merge(2);
        merge.push(0, 5, at(5), 10, 100);
        assert_eq!(popped(&mut merge, IDLE_MS - 1), [0; 0]);
        assert_eq!(popped(&mut merge, IDLE_MS), [5]);
        merge.push(1, 3, at(3), 10, IDLE_MS);
        merge.push(1, 4, at(4), 10, IDLE_MS);
        merge.push(1, 6, at(6), 10, IDLE_MS);
        merge.push(0, 7, at(7), 10, IDLE_MS);
        let all: Vec<_> = std::iter::from_fn(|| merge.pop(IDLE_MS)).collect();
        let expected = [(3, true), (4, true), (6, false)];
        assert_eq!(all, expected.map(|(item, late)| Merged { item, late }));
        assert_eq!(popped(&mut merge, IDLE_MS), [0; 0], "it is waited for again");
    }

    #[test]
    fn a_partition_that_is_through_or_gone_is_not_waited_for() {
        let mut merge = merge(3);
        merge.push(0, 1, at(1), 10, 0);
        merge.push(2, 2, at(2), 10, 0);
        merge.finish(1);
        assert_eq!(popped(&mut merge, 0), [1]);
        merge.push(0, 3, at(3), 10, 0);
        assert_eq!(merge.revoke(2), [2]);
        assert_eq!(popped(&mut merge, 0), [3]);
        assert!(merge.is_empty());
        merge.revoke(1);
        assert!(merge.is_idle(), "one is left");
    }

    #[test]
    fn one_record_without_a_position_makes_it_a_merge_by_time() {
        let mut merge = merge(2);
        merge.push(0, 1, in_file("", 9, 10), 10, 0);
        merge.push(1, 2, in_file("", 8, 20), 10, 0);
        merge.push(1, 3, logged(30), 10, 0);
        assert_eq!(merge.basis(), Basis::LogTime);
        merge.finish_all();
        assert_eq!(popped(&mut merge, 0), [1, 2, 3]);
    }

    #[test]
    fn offsets_of_several_files_are_ordered_by_file() {
        let mut merge = merge(2);
        merge.push(0, 1, in_file("log-1.csv", 900, 0), 10, 0);
        merge.push(0, 3, in_file("log-2.csv", 10, 5_000), 10, 0);
        merge.push(1, 2, in_file("log-1.csv", 950, 0), 10, 0);
        merge.push(1, 4, in_file("log-2.csv", 20, 5_000), 10, 0);
        merge.finish_all();
        assert_eq!(popped(&mut merge, 0), [1, 2, 3, 4]);
        assert_eq!(merge.basis(), Basis::Position);
    }

    #[test]
    fn positions_that_begin_anew_while_time_goes_on_are_not_trusted() {
        for (before, after) in [(("", 900), ("", 0)), (("Tue.csv", 5), ("Fri.csv", 9))] {
            let mut merge = merge(2);
            merge.push(0, 1, in_file(before.0, before.1, 0), 10, 0);
            merge.push(0, 3, in_file(after.0, after.1, 60_000), 10, 0);
            merge.push(1, 2, in_file(before.0, before.1 + 1, 10), 10, 0);
            assert_eq!(merge.basis(), Basis::LogTimeForPositionsRestart);
            merge.finish_all();
            assert_eq!(popped(&mut merge, 0), [1, 2, 3]);
        }
        let mut merge = merge(2);
        merge.push(0, 1, in_file("", 900, 10_000), 10, 0);
        merge.push(0, 1, in_file("", 700, 8_000), 10, 0);
        assert_eq!(merge.basis(), Basis::Position, "a shipper that starts again repeats some");
    }

    #[test]
    fn a_record_that_cannot_be_read_stays_behind_the_one_before_it() {
        let mut merge = merge(2);
        merge.push(0, 1, at(1), 10, 0);
        merge.push(0, 2, None, 10, 0);
        merge.push(0, 4, at(4), 10, 0);
        merge.push(1, 3, at(3), 10, 0);
        merge.finish_all();
        assert_eq!(popped(&mut merge, 0), [1, 2, 3, 4]);
        assert_eq!(merge.basis(), Basis::Position);
    }

    #[test]
    fn who_is_far_ahead_is_held_back_until_half_of_its_share_has_left() {
        let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 20_000 });
        merge.assign(0, 0);
        merge.assign(1, 0);
        let mut pushed = 0;
        while merge.held_back().is_empty() {
            merge.push(0, pushed, at(pushed as u64), 872, 0);
            pushed += 1;
        }
        assert_eq!((merge.held_back(), pushed), (vec![0], 21));
        merge.push(1, 100, at(100), 872, 0);
        assert_eq!(merge.held_back(), [0], "whom the others wait for is read");
        let mut left = 0;
        while !merge.held_back().is_empty() {
            assert!(merge.pop(0).is_some());
            left += 1;
        }
        assert_eq!(left, 16);
    }

    proptest! {
        #[test]
        fn the_order_of_the_log_comes_out_whatever_the_order_of_arrival(
            spread in prop::collection::vec(0..4i32, 0..150),
            arrivals in prop::collection::vec(any::<prop::sample::Index>(), 150),
            by_position in any::<bool>(),
        ) {
            let mut merge = merge(4);
            let mut waiting: [VecDeque<i64>; 4] = Default::default();
            for (place, &partition) in (0..).zip(&spread) {
                waiting[partition as usize].push_back(place);
            }
            let mut out = Vec::new();
            for arrival in arrivals.iter().take(spread.len()) {
                let left: Vec<usize> = (0..4).filter(|&p| !waiting[p].is_empty()).collect();
                let from = left[arrival.index(left.len())];
                let place = waiting[from].pop_front().unwrap();
                let key = if by_position { at(place as u64) } else { logged(place) };
                merge.push(from as i32, place, key, 10, 0);
                while let Some(merged) = merge.pop(0) {
                    prop_assert!(!merged.late);
                    out.push(merged.item);
                }
            }
            merge.finish_all();
            out.extend(popped(&mut merge, 0));
            prop_assert_eq!(out, (0..spread.len() as i64).collect::<Vec<_>>());
            prop_assert!(merge.is_empty());
        }

        #[test]
        fn a_partition_keeps_its_own_order_whatever_the_clocks_and_silences(
            log in prop::collection::vec((0..3i32, 0..6i64, 0..1500u64), 0..100),
        ) {
            let mut out: Vec<(i32, i64)> = Vec::new();
            let mut merge = Merge::new(MergeSettings { idle_ms: IDLE_MS, bytes: 500 });
            let mut now_ms = 0;
            for (place, (partition, jitter, silence)) in (0..).zip(&log) {
                now_ms += silence;
                merge.push(*partition, (*partition, place), logged(place - jitter), 10, now_ms);
                out.extend(std::iter::from_fn(|| merge.pop(now_ms)).map(|merged| merged.item));
            }
            let late = now_ms + IDLE_MS;
            out.extend(std::iter::from_fn(|| merge.pop(late)).map(|merged| merged.item));
            prop_assert!(merge.is_empty());
            for partition in 0..3 {
                let sent = (0..).zip(&log).filter(|(_, (from, ..))| *from == partition);
                let sent: Vec<i64> = sent.map(|(place, _)| place).collect();
                let got = out.iter().filter(|(from, _)| *from == partition);
                prop_assert_eq!(got.map(|(_, place)| *place).collect::<Vec<_>>(), sent);
            }
        }
    }
}
