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
mod tests;
