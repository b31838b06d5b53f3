//! One order out of several partitions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Feed, FeedAction, Notice, Round, SourceRecord, Stopwatch, millis};
use crate::pglog::LogPlace;
use crate::replay::intake::merge::{Basis, LogPosition, Merge, MergeKey, MergeSettings, Merged};
use crate::replay::work::Position;

/// How many merged records are taken before others are delivered.
const TAKEN_AT_ONCE: usize = 512;

/// The partitions that are read, on their way into one order.
#[derive(Debug)]
pub(super) struct Partitions {
    merge: Merge<Waiting>,
    /// Stands still while nobody listens to the source.
    listening: Stopwatch,
    files: FileNames,
    /// What the merge is based on, as it was reported last.
    reported: Option<Basis>,
    /// The partitions that the source was last told not to read.
    held_back: Vec<i32>,
}

/// A record that waits for those of other partitions.
#[derive(Debug)]
struct Waiting {
    at: Position,
    payload: Box<[u8]>,
}

/// The names of log files, each once, as far as records that wait are of them.
#[derive(Debug, Default)]
pub(super) struct FileNames {
    pub(super) names: HashSet<Arc<str>>,
    /// How many there may be before those are looked for that nothing is of any more.
    room: usize,
}

impl FileNames {
    /// Fewer are not worth a look.
    pub(super) const ROOM: usize = 1024;

    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(name) = self.names.get(name) {
            return name.clone();
        }
        if self.names.len() >= self.room.max(Self::ROOM) {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.room = 2 * self.names.len();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

impl Partitions {
    /// No partitions. One that is silent for `idle` is not waited for; while more bytes than this wait
    /// for others, those that are ahead are not read.
    pub(super) fn new(idle: Duration, bytes: usize) -> Self {
        Self {
            merge: Merge::new(MergeSettings { idle_ms: millis(idle), bytes }),
            listening: Stopwatch::default(),
            files: FileNames::default(),
            reported: None,
            held_back: Vec::new(),
        }
    }

    /// Whether records have to be merged: those of a single partition need not.
    pub(super) fn are_merged(&self) -> bool {
        !self.merge.is_idle()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.merge.is_empty()
    }

    pub(super) fn assign(&mut self, partition: i32, now: Duration) {
        self.merge.assign(partition, self.listened_ms(now));
    }

    /// A partition is read no longer. Returns how many of its records are dropped.
    pub(super) fn revoke(&mut self, partition: i32) -> usize {
        self.merge.revoke(partition).len()
    }

    fn listened_ms(&self, now: Duration) -> u64 {
        millis(self.listening.elapsed(now))
    }

    /// Nothing more will come of a partition.
    pub(super) fn finish(&mut self, partition: i32) {
        self.merge.finish(partition);
    }

    /// Nothing more will come.
    pub(super) fn finish_all(&mut self) {
        self.merge.finish_all();
    }

    /// The source is asked for records now, or for what can't wait alone. Gives the partitions that
    /// it is not to read.
    pub(super) fn listen(&mut self, listens: bool, now: Duration) -> &[i32] {
        self.listening.switch(listens, now);
        self.held_back = self.merge.held_back();
        &self.held_back
    }

    /// Whether the source was told not to read partitions with which the others have caught up.
    pub(super) fn have_caught_up(&self) -> bool {
        !self.held_back.is_empty() && self.held_back != self.merge.held_back()
    }

    fn position(&mut self, place: LogPlace<'_>) -> LogPosition {
        LogPosition { file: self.files.shared(&place.file), offset: place.offset }
    }

    /// Reports once what the order of several partitions is based on.
    fn report_basis(&mut self, out: &mut Vec<FeedAction>) {
        let (basis, partitions) = (self.merge.basis(), self.merge.partitions());
        if self.reported.replace(basis) != Some(basis) {
            out.push(FeedAction::Notice(Notice::MergeBasis { basis, partitions }));
        }
    }
}

impl Feed {
    /// Takes records that have to wait for those of other partitions.
    pub(super) fn merge<'a>(
        &mut self,
        records: impl Iterator<Item = SourceRecord<'a>>,
        now: Duration,
    ) {
        let Some(mut reader) = self.reader.take() else { return };
        let now_ms = self.partitions.listened_ms(now);
        for SourceRecord { at, payload, place } in records {
            let record = reader.read(payload).ok();
            let key = record.map(|record| {
                let place = std::str::from_utf8(place).ok().filter(|place| !place.is_empty());
                let place = place.and_then(LogPlace::parse).or(record.place);
                let position = place.map(|place| self.partitions.position(place));
                MergeKey { position, log_ms: record.log_time.unix_ms }
            });
            let waiting = Waiting { at, payload: payload.into() };
            self.partitions.merge.push(at.partition, waiting, key, payload.len(), now_ms);
        }
        self.reader = Some(reader);
    }

    /// Takes some of what has its place among all partitions, as far as there is room. Returns whether
    /// there was anything.
    pub(super) fn take_merged(&mut self, round: &mut Round<'_>) -> bool {
        if self.partitions.is_empty() {
            return false;
        }
        let Some(mut reader) = self.reader.take() else { return false };
        let now_ms = self.partitions.listened_ms(round.now);
        let mut taken = 0;
        while taken < TAKEN_AT_ONCE
            && self.has_room()
            && let Some(Merged { item: Waiting { at, payload }, late }) =
                self.partitions.merge.pop(now_ms)
        {
            taken += 1;
            self.counts.merged_late += u64::from(late);
            self.payload(&mut reader, at, &payload, round);
        }
        self.reader = Some(reader);
        if taken > 0 {
            self.partitions.report_basis(round.out);
        }
        taken > 0
    }
}
