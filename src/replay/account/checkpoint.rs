//! How far each partition is replayed: the low watermark that is committed, and what is settled
//! above it.
//!
//! A record is *pending* from its arrival until its statement is settled: replayed with its
//! transaction ended, filtered, skipped or given up. The watermark of a partition is its first
//! pending offset. One open transaction holds it back while thousands of others are settled above
//! it; so that a restart does not repeat those, what is still pending is written beside the offset,
//! in the metadata that Kafka keeps with it (at most 4,096 bytes by default). Confluent's Parallel
//! Consumer does the same with a bitmap.
//!
//! Whatever a restart repeats, it repeats whole transactions: the end of one without its beginning
//! would be committed as something that never was.

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
#[derive(Debug)]
pub struct Checkpoint {
    partitions: BTreeMap<i32, Partition>,
    /// How many bytes of metadata may be written.
    room: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// Behind the last record that arrived.
    next: i64,
    pending: BTreeSet<i64>,
    /// Records that were settled together, for as long as something between them is pending.
    together: Vec<Vec<i64>>,
    /// How many of those make it worth looking which are still of use.
    prune_threshold: usize,
    /// What an earlier run had settled: everything below `next` that is not in `pending`.
    resumed: Option<Settled>,
    /// It is read by somebody else now, who begins with what was pending.
    revoked: bool,
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
/// No more pending records than that are told apart; those behind count as pending, all of them.
const MOST_PENDING: usize = 100_000;
/// No more are written or read: metadata of a few bytes may stand for any number.
const MOST_LISTED: usize = 10 * MOST_PENDING;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The version of the format: a leading word that no other one begins with.
const VERSION: &str = "kreplay1";

impl Default for Checkpoint {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), room: METADATA_BYTES }
    }
}

impl Checkpoint {
    /// A partition is read from `offset` on; `metadata` is what was committed with it. Metadata that
    /// this version did not write counts as none: then settled records above the offset are repeated.
    ///
    /// What was pending when the partition was read before is not any more: it was left to whoever
    /// read the partition next. What was settled stays so, committed or not.
    pub fn resume(&mut self, partition: i32, offset: i64, metadata: &str) {
        let committed = decode(offset, metadata);
        let before = self.partitions.remove(&partition).map(Partition::into_settled);
        let resumed = match before {
            None => committed,
            Some(before) => {
                let committed =
                    committed.unwrap_or_else(|| Settled { next: offset, pending: BTreeSet::new() });
                Some(before.or(&committed))
            }
        };
        self.partitions
            .insert(partition, Partition { next: offset, resumed, ..Partition::default() });
    }

    /// A partition is no longer read: nothing of it is committed any more.
    pub fn revoke(&mut self, partition: i32) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.revoked = true;
        }
    }

    /// Whether an earlier run settled this record, so that it must not be replayed again.
    pub fn is_settled(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|partition| partition.was_settled(offset))
    }

    /// A record arrived that is to be replayed, unless an earlier run settled it.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        let partition = self.partitions.entry(partition).or_default();
        if !partition.was_settled(offset) {
            partition.pending.insert(offset);
        }
        partition.next = offset + 1;
    }

    /// A record arrived that needs no replay.
    pub fn pass(&mut self, partition: i32, offset: i64) {
        self.partitions.entry(partition).or_default().next = offset + 1;
    }

    /// A pending record is settled.
    pub fn settle(&mut self, partition: i32, offset: i64) {
        self.settle_together([(partition, offset)]);
    }

    /// Pending records (partition and offset) are settled together: those of one transaction.
    pub fn settle_together(&mut self, records: impl IntoIterator<Item = (i32, i64)>) {
        let mut records = records.into_iter();
        let Some(first) = records.next() else { return };
        let Some(second) = records.next() else {
            // Nothing can come between a record and itself.
            if let Some(partition) = self.partitions.get_mut(&first.0) {
                partition.pending.remove(&first.1);
            }
            return;
        };
        let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for (partition, offset) in [first, second].into_iter().chain(records) {
            by_partition.entry(partition).or_default().push(offset);
        }
        for (partition, mut offsets) in by_partition {
            let Some(partition) = self.partitions.get_mut(&partition) else { continue };
            for offset in &offsets {
                partition.pending.remove(offset);
            }
            offsets.sort_unstable();
            if partition.surrounds_pending(&offsets) {
                partition.together.push(offsets);
                if partition.together.len() > partition.prune_threshold {
                    partition.prune();
                }
            }
        }
    }

    /// The watermarks that changed since the last call.
    pub fn watermarks(&mut self) -> Vec<Watermark> {
        let mut changed = Vec::new();
        for (&number, partition) in &mut self.partitions {
            if partition.revoked {
                continue;
            }
            partition.prune();
            let Some((offset, metadata)) = partition.watermark(self.room) else { continue };
            if partition.handed_out.as_ref() != Some(&(offset, metadata.clone())) {
                partition.handed_out = Some((offset, metadata.clone()));
                changed.push(Watermark { partition: number, offset, metadata });
            }
        }
        changed
    }

    /// What was handed out may not have been committed: hand it out again, changed or not.
    pub fn hand_out_again(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.handed_out = None;
        }
    }
}

impl Settled {
    fn holds(&self, offset: i64) -> bool {
        offset < self.next && !self.pending.contains(&offset)
    }

    /// What the one or the other has settled.
    fn or(&self, other: &Self) -> Self {
        let pending = self.pending.union(&other.pending).copied();
        let pending = pending.filter(|offset| !self.holds(*offset) && !other.holds(*offset));
        Self { next: self.next.max(other.next), pending: pending.collect() }
    }
}

impl Partition {
    /// All that is settled of it.
    fn into_settled(self) -> Settled {
        let Self { next, mut pending, resumed, .. } = self;
        let resumed = resumed.unwrap_or_default();
        pending.extend(resumed.pending.range(next..));
        Settled { next: next.max(resumed.next), pending }
    }

    fn was_settled(&self, offset: i64) -> bool {
        self.resumed.as_ref().is_some_and(|settled| settled.holds(offset))
    }

    fn surrounds_pending(&self, together: &[i64]) -> bool {
        match together {
            [first, .., last] => self.pending.range(first..last).next().is_some(),
            _ => false,
        }
    }

    /// Forgets those that nothing between them can tear apart any more.
    fn prune(&mut self) {
        let mut together = std::mem::take(&mut self.together);
        together.retain(|offsets| self.surrounds_pending(offsets));
        self.prune_threshold = 2 * together.len() + 1024;
        self.together = together;
    }

    /// Where a restart is to begin, and what it need not repeat from there on. `None`: that can't be
    /// written in so little room, and what was committed last has to do for longer.
    fn watermark(&self, room: usize) -> Option<(i64, String)> {
        let resumed_to = self.resumed.as_ref().map_or(0, |settled| settled.next);
        let end = resumed_to.max(self.next);
        // Records of an earlier run that were not read again yet are known from its own metadata only.
        let unread =
            self.resumed.iter().flat_map(|settled| settled.pending.range(self.next..)).copied();
        let pending = self.pending.iter().copied().chain(unread);
        // One more shows whether there is more.
        let pending: Vec<i64> = pending.take(MOST_PENDING + 1).collect();
        if pending.len() <= MOST_PENDING
            && let Some(written) = write(&pending, end, room)
        {
            return Some(written);
        }
        // There is no room for all: what lies behind some record counts as not settled, and is
        // repeated. An earlier run's transactions can't be told apart, so that it is not one of its.
        let least = pending.partition_point(|&offset| offset < resumed_to);
        let mut kept = pending.len() - 1;
        while kept >= least {
            let cut = pending[kept];
            let torn = self.together.iter().filter(|t| t[0] < cut && t[t.len() - 1] > cut);
            let torn = torn.flatten().copied().filter(|&offset| offset < cut);
            let mut listed: Vec<i64> = pending[..kept].iter().copied().chain(torn).collect();
            listed.sort_unstable();
            if let Some(written) = write(&listed, cut, room) {
                return Some(written);
            }
            if kept == 0 {
                break;
            }
            kept = kept * 7 / 8;
        }
        None
    }
}

/// The watermark of these pending offsets, with everything between them and up to `end` settled, and
/// the metadata for it; `None` if that is more than `room`.
///
/// `kreplay1 NEXT BITS`: NEXT is `end` relative to the watermark. BITS has a bit for each record from
/// the watermark on, set if it is pending; six of them are a character of base64 (the first record is
/// the lowest bit), and `(N)c` stands for N times `c`. Zeroes at the end are left out.
fn write(pending: &[i64], end: i64, room: usize) -> Option<(i64, String)> {
    let Some(&offset) = pending.first() else { return Some((end, String::new())) };
    if pending.len() > MOST_LISTED {
        return None;
    }
    let mut metadata = format!("{VERSION} {} ", end - offset);
    let mut put = |bits: usize, times: i64| {
        let character = char::from(BASE64[bits]);
        match times {
            ..=4 => metadata.extend((0..times).map(|_| character)),
            _ => metadata.push_str(&format!("({times}){character}")),
        }
        metadata.len() <= room
    };
    // The bits of the six records from `6 * at` on, so many times one after the other.
    let (mut at, mut bits, mut times) = (0, 0, 1);
    let groups = pending.chunk_by(|a, b| (a - offset) / 6 == (b - offset) / 6);
    for group in groups {
        let place = (group[0] - offset) / 6;
        let set = group.iter().fold(0, |set, at| set | 1 << ((at - offset) % 6));
        if place == 0 {
            bits = set;
        } else if place == at + times && set == bits {
            times += 1;
        } else {
            if !put(bits, times) || !put(0, place - at - times) {
                return None;
            }
            (at, bits, times) = (place, set, 1);
        }
    }
    put(bits, times).then_some((offset, metadata))
}

fn decode(offset: i64, metadata: &str) -> Option<Settled> {
    let mut words = metadata.split(' ');
    if words.next() != Some(VERSION) {
        return None;
    }
    let next = offset.checked_add(words.next()?.parse().ok()?)?;
    let mut bits = words.next()?;
    let mut pending = BTreeSet::new();
    let mut at = offset;
    while !bits.is_empty() {
        let mut times: i64 = 1;
        if let Some(run) = bits.strip_prefix('(') {
            let (count, rest) = run.split_once(')')?;
            (times, bits) = (count.parse().ok().filter(|count| *count > 0)?, rest);
        }
        let set = BASE64.iter().position(|character| Some(character) == bits.as_bytes().first())?;
        bits = &bits[1..];
        let end = at.checked_add(times.checked_mul(6)?)?;
        if set != 0 {
            let listed = times.saturating_mul(i64::from(set.count_ones()));
            if listed > (MOST_LISTED - pending.len()) as i64 {
                return None;
            }
            pending.extend((at..end).filter(|record| set & 1 << ((record - at) % 6) != 0));
        }
        at = end;
    }
    // A watermark without pending records stands behind everything that was read.
    let valid = next > offset && pending.first() == Some(&offset) && words.next().is_none();
    valid.then_some(Settled { next, pending })
}

#[cfg(test)]
mod tests;
