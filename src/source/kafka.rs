//! Records from a Kafka topic.
//!
//! - [`settings`]: what the command line says, as librdkafka's configuration.
//! - [`start`]: where a partition begins. Pure.
//! - [`lookup`]: what the broker has to be asked for that.
//! - [`context`]: what librdkafka calls back: logs, errors, statistics, rebalances.
//! - [`offsets`]: positions and commits, from any thread.

mod context;
mod lookup;
mod offsets;
mod settings;
mod start;
mod throttle;

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use self::context::{Context, Rebalance, answer, assign, unassign};
use self::lookup::Found;
pub use self::offsets::{Commit, CommitMode, Offsets, PartitionPosition};
pub use self::settings::{KafkaSettings, OnGap, Start};
use self::start::{Fresh, Partition, StartAt, start_offset};
use super::{Arrival, Chunk, Event, Resume, SourceError};

/// How long there may be no room before fetching is paused. Pausing throws away what was fetched
/// ahead, so a short wait costs more paused than not.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// How long to wait before the broker is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// A chunk is closed when it has grown to this, so that large records do not pile up 512-fold.
const CHUNK_BYTES: usize = 1 << 20;

/// A topic, read by a member of a consumer group. It leaves the group when it and all its
/// [`Offsets`] are dropped.
pub struct KafkaSource {
    client: Arc<StreamConsumer<Context>>,
    settings: Arc<KafkaSettings>,
    /// How many partitions the topic had when we connected.
    partitions: i32,
    /// The partitions being read.
    reading: BTreeMap<i32, Reading>,
    /// The partitions that were ever assigned.
    opened: BTreeMap<i32, Opened>,
    /// Whether there was an assignment, be it of no partition at all.
    joined: bool,
    /// The records that were read and not handed out yet.
    chunk: Chunk,
    /// What else was not handed out yet. It happened after the chunk's records were read.
    said: VecDeque<Event>,
    /// Partitions whose revocation is confirmed once it was handed out.
    leaving: Option<Vec<i32>>,
    /// What has to be asked of the broker before anything else.
    question: Option<Question>,
    /// The answer being waited for.
    answer: Option<JoinHandle<KafkaResult<Vec<Found>>>>,
    /// Since when there has been no room.
    idle_since: Option<Instant>,
    paused: bool,
}

/// A partition being read.
#[derive(Debug)]
struct Reading {
    /// The offset that comes next.
    next: i64,
    /// Whether the fetcher found nothing after `next`.
    at_end: bool,
    /// Whether `until_end` is through with it.
    through: bool,
}

/// What is settled when a partition is assigned for the first time.
#[derive(Debug)]
struct Opened {
    start: i64,
    /// Where `until_end` stops.
    target: i64,
}

/// Why the broker is asked about partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// They were assigned: where do they begin?
    Begin(Vec<i32>),
    /// The broker does not hold what comes next in one of those that are read: which, and why?
    GoOn,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("settings", &self.settings)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins the consumer group. Returns once a broker has confirmed that the topic exists; while
    /// none can be reached, it goes on trying and logs why.
    ///
    /// # Errors
    ///
    /// [`SourceError::BadProperty`], [`SourceError::UnknownTopic`],
    /// [`SourceError::Authentication`], [`SourceError::Authorization`].
    pub async fn connect(settings: KafkaSettings) -> Result<Self, SourceError> {
        let client = Arc::new(settings.client()?);
        let settings = Arc::new(settings);
        let partitions = loop {
            let ask = lookup::partitions(Arc::clone(&client), settings.topic.clone());
            let mut asking = tokio::task::spawn_blocking(ask);
            let answer = loop {
                tokio::select! {
                    answer = &mut asking => break answer.expect("a lookup does not panic"),
                    trouble = lookup::next_trouble(&client) => {
                        if let Some(error) = trouble.fatal(&settings, true) {
                            return Err(error);
                        }
                    }
                }
            };
            match answer {
                Ok(partitions) => break partitions,
                Err(error) => {
                    lookup::give_up_or_warn(error, &settings, client.context())?;
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        client.subscribe(&[&settings.topic]).map_err(failed("subscribe to the topic"))?;
        info!(topic = settings.topic, partitions, group = settings.group_id, "connected to Kafka");
        Ok(Self {
            client,
            settings,
            partitions,
            reading: BTreeMap::new(),
            opened: BTreeMap::new(),
            joined: false,
            chunk: Chunk::default(),
            said: VecDeque::new(),
            leaving: None,
            question: None,
            answer: None,
            idle_since: None,
            paused: false,
        })
    }

    /// A handle for positions and commits.
    pub fn offsets(&self) -> Offsets {
        Offsets::new(Arc::clone(&self.client), self.settings.topic.as_str().into())
    }

    /// What comes next. Cancel-safe. Records are handed out as soon as nothing more is at hand, or
    /// a chunk is full. After the last record of [`KafkaSettings::until_end`] it is
    /// [`Event::End`], again and again.
    ///
    /// # Errors
    ///
    /// [`SourceError::Gap`] with [`OnGap::Stop`]; [`SourceError::UnknownTopic`] if the topic was
    /// deleted; [`SourceError::Authorization`]; [`SourceError::Kafka`] for what librdkafka calls
    /// fatal.
    pub async fn next(&mut self) -> Result<Event, SourceError> {
        self.idle_since = None;
        if self.paused {
            self.paused = false;
            let list = self.list(|reading| !reading.through)?;
            self.client.resume(&list).map_err(failed("resume fetching"))?;
        }
        self.step(true).await
    }

    /// To be polled in place of [`KafkaSource::next`] while there is no room for records: keeps the
    /// membership of the group alive. Cancel-safe; it may be given up and called again as often as
    /// one likes. Resolves only with what can't wait: assigned, revoked, lost.
    ///
    /// # Errors
    ///
    /// As [`KafkaSource::next`].
    pub async fn idle(&mut self) -> Result<Event, SourceError> {
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if !self.paused {
            tokio::time::sleep_until(since + PAUSE_AFTER).await;
            self.paused = true;
            self.client.pause(&self.list(|_| true)?).map_err(failed("pause fetching"))?;
        }
        self.step(false).await
    }

    /// One event. `room` says whether it may be records or the end.
    async fn step(&mut self, room: bool) -> Result<Event, SourceError> {
        let client = Arc::clone(&self.client);
        let mut messages = pin!(client.stream());
        loop {
            if let Some(event) = self.at_hand(room) {
                return Ok(event);
            }
            if let Some(partitions) = self.leaving.take() {
                answer(unassign(&*self.client, &self.named(&partitions)));
            }
            // Nothing is polled meanwhile: the answer to one rebalance is due before the next.
            self.ask().await?;
            if self.said.is_empty() {
                let mut poll = |wakeup: &mut Wakeup<'_>| self.poll(wakeup, &mut messages, room);
                std::future::poll_fn(&mut poll).await?;
            }
        }
    }

    /// What can be handed out without asking Kafka.
    fn at_hand(&mut self, room: bool) -> Option<Event> {
        // Without room the records stay until there is some, and what happened after them waits
        // only for those of them that came before the pause.
        if !self.chunk.records.is_empty() && (room || !self.said.is_empty()) {
            self.publish_positions();
            return Some(Event::Records(std::mem::take(&mut self.chunk)));
        }
        if let Some(event) = self.said.pop_front() {
            return Some(event);
        }
        (room && self.is_through()).then_some(Event::End)
    }

    /// Takes messages until there is something to hand out or to ask.
    fn poll<'a>(
        &mut self,
        wakeup: &mut Wakeup<'_>,
        messages: &mut (impl Stream<Item = KafkaResult<BorrowedMessage<'a>>> + Unpin),
        room: bool,
    ) -> Poll<Result<(), SourceError>> {
        let mut sure = false;
        loop {
            match messages.poll_next_unpin(wakeup) {
                Poll::Ready(Some(Ok(message))) => {
                    self.take(&message);
                    sure = false;
                    let full = self.chunk.records.len() >= Chunk::RECORDS
                        || self.chunk.buffer.len() >= CHUNK_BYTES;
                    if full && room {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    if let Err(error) = self.hear(error) {
                        return Poll::Ready(Err(error));
                    }
                }
                // The stream is also pending after an event that was no message (a log line, say),
                // so "nothing at hand" takes two.
                Poll::Ready(None) | Poll::Pending if !sure => sure = true,
                Poll::Ready(None) | Poll::Pending => {
                    self.chunk.caught_up = true;
                    self.settle_ends();
                    if room && (!self.chunk.records.is_empty() || self.is_through()) {
                        return Poll::Ready(Ok(()));
                    }
                    return Poll::Pending;
                }
            }
            if let Some(rebalance) = self.client.context().next_rebalance() {
                self.hear_rebalance(rebalance);
            }
            if !self.said.is_empty() || self.question.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Adds a message to the chunk.
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(reading) = self.reading.get_mut(&partition) else { return };
        reading.next = offset + 1;
        reading.at_end = false;
        if self.settings.until_end {
            let target = self.opened.get(&partition).map_or(i64::MAX, |opened| opened.target);
            if reading.next >= target && !reading.through {
                reading.through = true;
                // The others may take long, and this one's new records are of no use.
                answer(self.client.pause(&self.named(&[partition])));
            }
            if offset >= target {
                return;
            }
        }
        let start = self.chunk.buffer.len();
        self.chunk.buffer.extend_from_slice(message.payload().unwrap_or_default());
        let payload = start..self.chunk.buffer.len();
        self.chunk.records.push(Arrival { partition, offset, line: 0, payload });
        self.chunk.caught_up = false;
    }

    /// An error in place of a message. What may pass has been logged already.
    fn hear(&mut self, error: KafkaError) -> Result<(), SourceError> {
        let trouble = self.client.context().take_trouble();
        match error {
            KafkaError::PartitionEOF(partition) => {
                if let Some(reading) = self.reading.get_mut(&partition) {
                    reading.at_end = true;
                }
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                self.question.get_or_insert(Question::GoOn);
            }
            source @ KafkaError::MessageConsumptionFatal(_) => {
                return Err(failed("read the topic")(source));
            }
            _ => {
                if let Some(fatal) = trouble.and_then(|it| it.fatal(&self.settings, false)) {
                    return Err(fatal);
                }
            }
        }
        Ok(())
    }

    fn hear_rebalance(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assigned(partitions) => self.question = Some(Question::Begin(partitions)),
            Rebalance::Revoked(partitions) => {
                self.forget(&partitions);
                self.leaving = Some(partitions.clone());
                self.said.push_back(Event::Revoked(partitions));
            }
            Rebalance::Taken(partitions) => {
                warn!(?partitions, "Kafka took partitions away: we were silent for too long");
                self.forget(&partitions);
                self.said.push_back(Event::Revoked(partitions));
            }
        }
    }

    fn forget(&mut self, partitions: &[i32]) {
        self.reading.retain(|partition, _| !partitions.contains(partition));
        self.client.context().positions.with(|positions| {
            positions.retain(|partition, _| !partitions.contains(partition));
        });
    }

    /// Asks the broker what has to be known, for as long as it takes.
    async fn ask(&mut self) -> Result<(), SourceError> {
        while let Some(question) = self.question.clone() {
            let answer = self.answer.get_or_insert_with(|| {
                let partitions = match &question {
                    Question::Begin(partitions) => partitions.clone(),
                    Question::GoOn => self.reading.keys().copied().collect(),
                };
                let settings = Arc::clone(&self.settings);
                tokio::task::spawn_blocking(lookup::find(
                    Arc::clone(&self.client),
                    settings,
                    partitions,
                ))
            });
            let found = answer.await.expect("a lookup does not panic");
            self.answer = None;
            match found {
                Ok(found) => {
                    self.question = None;
                    match question {
                        Question::Begin(_) => self.begin(found)?,
                        Question::GoOn => self.go_on(&found)?,
                    }
                }
                Err(error) => {
                    lookup::give_up_or_warn(error, &self.settings, self.client.context())?;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        Ok(())
    }

    /// Begins to read partitions that were assigned.
    fn begin(&mut self, found: Vec<Found>) -> Result<(), SourceError> {
        let mut resumes = Vec::with_capacity(found.len());
        let mut lost = Vec::new();
        let mut fresh = Vec::new();
        let mut reading = Vec::with_capacity(found.len());
        for Found { partition, committed, low, high, since } in found {
            let before = self.opened.get(&partition);
            let committed = committed.filter(|_| !self.settings.reset || before.is_some());
            // Assigned again before anything was committed: from where it was the first time.
            let again = before.map(|opened| (opened.start, String::new()));
            let known = committed.clone().or(again);
            let start = start_offset(
                Partition {
                    number: partition,
                    committed: known.as_ref().map(|(offset, _)| *offset),
                    low,
                    high,
                },
                self.fresh(partition, since),
                self.settings.on_gap,
            );
            let StartAt { offset, gap } = start.map_err(|gap| self.stopped(gap))?;
            if known.is_none() {
                // So that a crash before the first commit does not move the start.
                let metadata = String::new();
                fresh.push(Commit { partition, offset, metadata });
            }
            lost.extend(gap);
            let (resume, metadata) = match (known, gap) {
                (None, _) => (None, String::new()),
                (Some((resume, metadata)), None) => (Some(resume), metadata),
                // What was noted about records beside that offset says nothing about this one.
                (Some(_), Some(_)) => (Some(offset), String::new()),
            };
            resumes.push(Resume { partition, offset: resume, metadata });
            let committed = committed.map(|(offset, _)| offset);
            let position = PartitionPosition {
                partition,
                position: offset,
                low_watermark: low,
                high_watermark: high,
                committed,
            };
            self.client.context().positions.with(|it| it.insert(partition, position));
            let opened =
                self.opened.entry(partition).or_insert(Opened { start: offset, target: high });
            let through = self.settings.until_end && offset >= opened.target;
            reading.push((partition, Reading { next: offset, at_end: false, through }));
        }
        let offsets = reading.iter().map(|(partition, reading)| (*partition, reading.next));
        let list = offsets_of(&self.settings.topic, offsets)?;
        answer(assign(&*self.client, &list));
        self.reading.extend(reading);
        self.pause_again()?;
        self.joined = true;
        if !fresh.is_empty() {
            self.offsets().commit(&fresh, CommitMode::Async)?;
        }
        self.said.push_back(Event::Assigned(resumes));
        self.said.extend(lost.into_iter().map(Event::Lost));
        Ok(())
    }

    /// Goes on where a partition does not hold what comes next (any more).
    ///
    /// librdkafka does not say which one it is and has stopped fetching it, so all are placed anew,
    /// where they were.
    fn go_on(&mut self, found: &[Found]) -> Result<(), SourceError> {
        for Found { partition, low, high, .. } in found {
            let Some(reading) = self.reading.get_mut(partition) else { continue };
            let start = start_offset(
                Partition {
                    number: *partition,
                    committed: Some(reading.next),
                    low: *low,
                    high: *high,
                },
                Fresh::Earliest,
                self.settings.on_gap,
            );
            let StartAt { offset, gap } = match start {
                Ok(start) => start,
                Err(gap) => return Err(self.stopped(gap)),
            };
            reading.next = offset;
            reading.at_end = false;
            self.said.extend(gap.map(Event::Lost));
        }
        let partitions: Vec<i32> = self.reading.keys().copied().collect();
        answer(unassign(&*self.client, &self.named(&partitions)));
        let list = self.list(|_| true)?;
        answer(assign(&*self.client, &list));
        self.pause_again()
    }

    fn stopped(&self, gap: super::Gap) -> SourceError {
        SourceError::Gap { topic: self.settings.topic.clone(), gap }
    }

    /// Where a partition begins without a committed offset. One that the topic did not have when we
    /// connected is read from its first record: whatever it holds was written since.
    fn fresh(&self, partition: i32, since: Option<i64>) -> Fresh {
        match self.settings.start {
            _ if partition >= self.partitions => Fresh::Earliest,
            Start::Earliest => Fresh::Earliest,
            Start::Latest => Fresh::Latest,
            Start::At(_) => Fresh::At(since),
        }
    }

    /// Pauses, after an assignment, what had been paused.
    fn pause_again(&self) -> Result<(), SourceError> {
        let list = self.list(|reading| self.paused || reading.through)?;
        self.client.pause(&list).map_err(failed("pause fetching"))
    }

    /// Notes which partitions `until_end` is through with. Called when nothing is at hand.
    ///
    /// Control records and compacted ones are never handed out, so that the last offset before the
    /// target may not be seen. What is known of them: the application's position is past control
    /// records, and the fetcher's (by statistics) past everything.
    fn settle_ends(&mut self) {
        if !self.reading.values().any(|reading| reading.at_end && !reading.through) {
            return;
        }
        let positions = self.client.position().ok();
        let topic = self.settings.topic.as_str();
        for (partition, reading) in &mut self.reading {
            let Some(opened) = self.opened.get(partition) else { continue };
            let position = positions.as_ref().and_then(|list| {
                list.find_partition(topic, *partition).map(|entry| entry.offset())
            });
            let position = match position {
                Some(Offset::Offset(position)) => position,
                _ => reading.next,
            };
            let fetched = self.client.context().fetched(*partition).unwrap_or(0);
            reading.through |= reading.at_end && position.max(fetched) >= opened.target;
        }
    }

    /// Whether `until_end` is through with everything.
    fn is_through(&self) -> bool {
        self.settings.until_end
            && self.joined
            && self.question.is_none()
            && self.reading.values().all(|reading| reading.through)
    }

    fn publish_positions(&self) {
        self.client.context().positions.with(|positions| {
            for (partition, reading) in &self.reading {
                if let Some(position) = positions.get_mut(partition) {
                    position.position = position.position.max(reading.next);
                    position.high_watermark = position.high_watermark.max(reading.next);
                }
            }
        });
    }

    /// The partitions being read for which `wanted` holds, with the offsets that come next.
    fn list(&self, wanted: impl Fn(&Reading) -> bool) -> Result<TopicPartitionList, SourceError> {
        let wanted = self.reading.iter().filter(|(_, reading)| wanted(reading));
        let offsets = wanted.map(|(partition, reading)| (*partition, reading.next));
        offsets_of(&self.settings.topic, offsets)
    }

    fn named(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.settings.topic, *partition);
        }
        list
    }
}

impl Drop for KafkaSource {
    /// librdkafka waits for an answer to each rebalance, also while it closes.
    fn drop(&mut self) {
        self.client.context().close();
        let mut unanswered = matches!(self.question, Some(Question::Begin(_)));
        let mut leaving = self.leaving.take();
        while let Some(rebalance) = self.client.context().next_rebalance() {
            match rebalance {
                Rebalance::Assigned(_) => unanswered = true,
                Rebalance::Revoked(partitions) => leaving = Some(partitions),
                Rebalance::Taken(_) => {}
            }
        }
        if unanswered {
            answer(assign(&*self.client, &TopicPartitionList::new()));
        }
        if let Some(partitions) = leaving {
            answer(unassign(&*self.client, &self.named(&partitions)));
        }
    }
}

/// Partitions with the offsets that come next.
fn offsets_of(
    topic: &str,
    offsets: impl Iterator<Item = (i32, i64)>,
) -> Result<TopicPartitionList, SourceError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .map_err(failed("set an offset"))?;
    }
    Ok(list)
}

fn failed(action: &'static str) -> impl Fn(KafkaError) -> SourceError {
    move |source| SourceError::Kafka { action, source }
}
