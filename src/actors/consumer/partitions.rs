//! What several partitions ask of the consumer: to make one order of them, and to let go of those
//! that go to another process when nothing of them is under way here any more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use super::Consumer;
use crate::actors::messages::{Abort, RevokePartitions};
use crate::actors::stopwatch::Stopwatch;
use crate::metrics;
use crate::pglog::LogPlace;
use crate::replay::account::ledger::{Fate, Filtered};
use crate::replay::intake::merge::{Basis, LogPosition, Merge, MergeKey, MergeSettings, Merged};
use crate::replay::work::Position;
use crate::source::Chunk;

/// While so much waits for other partitions, those that are ahead are not read.
const MERGE_BYTES: usize = 64 << 20;

/// The partitions that are read, on their way into one order.
pub(super) struct Partitions {
    merge: Merge<Waiting>,
    /// Stands still while nobody listens to the source.
    listening: Stopwatch,
    /// The names of log files, each once.
    files: HashSet<Arc<str>>,
    /// What the merge goes by, as it was told last.
    told: Option<Basis>,
    /// The partitions that the source was last told not to read.
    held_back: Vec<i32>,
}

/// A record that waits for those of other partitions.
#[derive(Debug)]
struct Waiting {
    at: Position,
    payload: Box<[u8]>,
}

impl Partitions {
    pub(super) fn new(idle: Duration) -> Self {
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        Self {
            merge: Merge::new(MergeSettings { idle_ms, bytes: MERGE_BYTES }),
            listening: Stopwatch::default(),
            files: HashSet::new(),
            told: None,
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

    pub(super) fn assign(&mut self, partition: i32) {
        self.merge.assign(partition, self.listened_ms());
    }

    fn listened_ms(&self) -> u64 {
        u64::try_from(self.listening.elapsed().as_millis()).unwrap_or(u64::MAX)
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
    pub(super) fn listen(&mut self, listens: bool) -> &[i32] {
        self.listening.switch(listens);
        self.held_back = self.merge.held_back();
        &self.held_back
    }

    /// Whether the source has to be told anew what not to read.
    pub(super) fn have_caught_up(&self) -> bool {
        !self.held_back.is_empty() && self.held_back != self.merge.held_back()
    }

    fn position(&mut self, place: LogPlace<'_>) -> LogPosition {
        let file = match self.files.get(&*place.file) {
            Some(file) => file.clone(),
            None => {
                let file: Arc<str> = place.file.into();
                self.files.insert(file.clone());
                file
            }
        };
        LogPosition { file, offset: place.offset }
    }

    /// Tells once what the order of several partitions rests on.
    fn tell_basis(&mut self) {
        let (basis, partitions) = (self.merge.basis(), self.merge.partitions());
        if self.told.replace(basis) == Some(basis) {
            return;
        }
        match basis {
            Basis::Position => info!(
                partitions,
                "merging the partitions by the shipper's position in the log: their order is exact"
            ),
            Basis::LogTime => warn!(
                partitions,
                "merging the partitions by log_time, which is inexact: records come without the \
                 shipper's position (kreplay.pos, or Filebeat's log.offset)"
            ),
            Basis::LogTimeForPositionsRestart => warn!(
                partitions,
                "merging the partitions by log_time, which is inexact: the shipper's positions go \
                 back while time goes on; they have to grow from file to file, or to name files \
                 that sort"
            ),
        }
    }
}

impl Consumer {
    /// Takes records that have to wait for those of other partitions.
    pub(super) fn merge(&mut self, chunk: &Chunk) {
        let Some(mut reader) = self.reader.take() else { return };
        let now_ms = self.partitions.listened_ms();
        for (arrival, payload) in chunk.iter() {
            let record = reader.read(payload).ok();
            let key = record.map(|record| {
                let place = chunk.place(arrival).and_then(LogPlace::parse).or(record.place);
                let position = place.map(|place| self.partitions.position(place));
                MergeKey { position, log_ms: record.log_time.unix_ms }
            });
            let (partition, offset) = (arrival.partition, arrival.offset);
            let at = Position { partition, offset, line: arrival.line };
            let waiting = Waiting { at, payload: payload.into() };
            self.partitions.merge.push(partition, waiting, key, payload.len(), now_ms);
        }
        self.reader = Some(reader);
    }

    /// Takes up to a chunk's worth of what has its place among all partitions, as far as there is
    /// room. Returns whether there was anything.
    pub(super) fn take_merged(&mut self) -> bool {
        if self.partitions.is_empty() {
            return false;
        }
        let Some(mut reader) = self.reader.take() else { return false };
        let now_ms = self.partitions.listened_ms();
        let read_ms = self.now_ms();
        let mut taken = 0;
        while taken < Chunk::RECORDS
            && self.has_room()
            && let Some(Merged { item: Waiting { at, payload }, late }) =
                self.partitions.merge.pop(now_ms)
        {
            taken += 1;
            if late {
                metrics::merged_late();
            }
            self.payload(&mut reader, at, &payload, read_ms);
        }
        self.reader = Some(reader);
        if taken > 0 {
            self.partitions.tell_basis();
        }
        taken > 0
    }

    /// Partitions go to another process: drops what is held of them, lets their sessions end behind
    /// their last transactions, and only then commits and gives them up.
    pub(super) fn revoked(&mut self, partitions: Vec<i32>, ctx: &mut Context<Self>) {
        let mut dropped = 0;
        for &partition in &partitions {
            dropped += self.partitions.merge.revoke(partition).len();
            dropped += self.intake.hand_over(partition);
            metrics::partition_revoked(partition);
        }
        let mut tally = self.tally();
        (0..dropped).for_each(|_| tally.records.settle(Fate::Filtered(Filtered::HandedOver)));
        drop(tally);
        info!(?partitions, "handing over to another process");
        let downstream = self.downstream.clone();
        let patience = self.settings.shutdown_timeout;
        let consumer = ctx.address();
        self.commit_first = Some(Box::pin(async move {
            if let Some(downstream) = downstream {
                let ended = downstream.supervisor.send(RevokePartitions(partitions.clone()));
                if tokio::time::timeout(patience, ended).await.is_err() {
                    warn!(
                        ?partitions,
                        "statements still run after {patience:?} (--shutdown-timeout): they are \
                         canceled, and the next owner of the partitions runs their transactions; \
                         what ends in spite of that comes twice"
                    );
                    downstream.supervisor.do_send(Abort(partitions.clone()));
                }
            }
            // Behind all that the sessions have said.
            let _ = consumer.send(GiveUp(partitions)).await;
        }));
    }
}

/// Consumer → itself: commit what is settled of these partitions, and forget them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct GiveUp(Vec<i32>);

impl Handler<GiveUp> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, GiveUp(partitions): GiveUp, _: &mut Self::Context) -> Self::Result {
        let commit = self.commit_in_full();
        for partition in partitions {
            self.intake.checkpoint.revoke(partition);
        }
        commit.unwrap_or_else(|| Box::pin(async {}))
    }
}
