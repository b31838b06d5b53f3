//! Records from a Kafka topic.
//!
//! - `assignment`: what the consumer group gives and takes.
//! - `settings`: which topic is read, and how; `client`: the same as librdkafka's configuration.
//! - `start`: where a partition begins. Pure.
//! - `lookup`: what the broker has to be asked for that.
//! - `context`: what librdkafka calls back: logs, errors, statistics, rebalances.
//! - `committer`: commits from any thread; `positions`: where the partitions stand.
//! - `instance`: a member's own name in its group.
//! - `error`: what keeps a topic from being read.

mod assignment;
pub(crate) mod client;
mod committer;
pub(crate) mod context;
mod error;
mod instance;
pub(crate) mod lookup;
mod positions;
mod settings;
pub(crate) mod start;
mod throttle;

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info};

use self::assignment::{Opened, Question};
pub use self::committer::{Commit, CommitMode, Committer};
use self::context::{Context, Rebalance, answer, assign, unassign};
pub use self::error::TopicError;
use self::instance::Claim;
use self::lookup::Found;
pub use self::settings::{KafkaSettings, Membership, OnGap, Property, Start};
use super::{Arrival, Chunk, Event};
use crate::pglog::PLACE_KEY;

/// How long there may be no room before fetching is paused. Pausing throws away what was fetched
/// ahead, so a short wait costs more paused than not.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// How long to wait before the broker is asked again.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
/// A chunk is closed when it has grown to this, so that large records do not pile up 512-fold.
const CHUNK_BYTES: usize = 1 << 20;

/// A topic, read by a member of a consumer group. It leaves the group when it and all its
/// [`Committer`] are dropped.
pub struct KafkaSource {
    client: Arc<StreamConsumer<Context>>,
    _claim: Option<Claim>,
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
    pending_events: VecDeque<Event>,
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
    /// Whether others have to catch up with it first.
    held_back: bool,
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
    /// [`TopicError::NameTaken`], [`TopicError::BadProperty`], [`TopicError::UnknownTopic`],
    /// [`TopicError::Authentication`], [`TopicError::Authorization`].
    pub async fn connect(settings: KafkaSettings) -> Result<Self, TopicError> {
        let claim = claim(&settings)?;
        let client = Arc::new(client::consumer(&settings)?);
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
            _claim: claim,
            settings,
            partitions,
            reading: BTreeMap::new(),
            opened: BTreeMap::new(),
            joined: false,
            chunk: Chunk::default(),
            pending_events: VecDeque::new(),
            leaving: None,
            question: None,
            answer: None,
            idle_since: None,
            paused: false,
        })
    }

    /// A handle for positions and commits.
    pub fn committer(&self) -> Committer {
        Committer::new(Arc::clone(&self.client), &self.settings)
    }

    /// What comes next. Cancel-safe. Records are handed out as soon as nothing more is at hand, or
    /// a chunk is full. After the last record of [`KafkaSettings::until_end`] it is
    /// [`Event::End`], again and again.
    ///
    /// # Errors
    ///
    /// [`TopicError::Gap`] with [`OnGap::Stop`]; [`TopicError::UnknownTopic`] if the topic was
    /// deleted; [`TopicError::Authorization`]; [`TopicError::Fenced`]; [`TopicError::Client`] for what
    /// librdkafka calls fatal.
    pub async fn next(&mut self) -> Result<Event, TopicError> {
        self.idle_since = None;
        if self.paused {
            self.paused = false;
            let list = self.list(|reading| !reading.through && !reading.held_back)?;
            self.client.resume(&list).map_err(failed("resume fetching"))?;
        }
        self.step(true).await
    }

    /// To be polled in place of [`KafkaSource::next`] while there is no room for records: keeps the
    /// membership of the group alive. Cancel-safe; it may be given up and called again as often as
    /// one likes. Resolves only with what can't wait (assigned, revoked, lost) and the records, a
    /// chunk at most, that were read before it.
    ///
    /// # Errors
    ///
    /// As [`KafkaSource::next`].
    pub async fn idle(&mut self) -> Result<Event, TopicError> {
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if !self.paused {
            tokio::time::sleep_until(since + PAUSE_AFTER).await;
            self.paused = true;
            self.client.pause(&self.list(|_| true)?).map_err(failed("pause fetching"))?;
        }
        self.step(false).await
    }

    /// Fetches all partitions but these.
    ///
    /// # Errors
    ///
    /// [`TopicError::Client`].
    pub fn hold_back(&mut self, partitions: &[i32]) -> Result<(), TopicError> {
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (partition, reading) in &mut self.reading {
            let held_back = partitions.contains(partition);
            if held_back != reading.held_back {
                reading.held_back = held_back;
                if held_back { pause.push(*partition) } else { resume.push(*partition) }
            }
        }
        if self.paused {
            return Ok(());
        }
        if !pause.is_empty() {
            debug!(partitions = ?pause, "far ahead of the others: not fetched for now");
            self.client.pause(&self.named(&pause)).map_err(failed("pause fetching"))?;
        }
        resume.retain(|partition| !self.reading[partition].through);
        if !resume.is_empty() {
            self.client.resume(&self.named(&resume)).map_err(failed("resume fetching"))?;
        }
        Ok(())
    }

    /// One event. `room` says whether it may be records or the end.
    async fn step(&mut self, room: bool) -> Result<Event, TopicError> {
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
            if self.pending_events.is_empty() {
                let mut poll = |wakeup: &mut Wakeup<'_>| self.poll(wakeup, &mut messages, room);
                std::future::poll_fn(&mut poll).await?;
            }
        }
    }

    /// What can be handed out without asking Kafka.
    fn at_hand(&mut self, room: bool) -> Option<Event> {
        // Without room the records stay until there is some, and what happened after them waits
        // only for those of them that came before the pause.
        if !self.chunk.records.is_empty() && (room || !self.pending_events.is_empty()) {
            self.publish_positions();
            return Some(Event::Records(std::mem::take(&mut self.chunk)));
        }
        if let Some(event) = self.pending_events.pop_front() {
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
    ) -> Poll<Result<(), TopicError>> {
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
                    if let Err(error) = self.handle_error(error) {
                        return Poll::Ready(Err(error));
                    }
                }
                // The stream is also pending after an event that was no message (a log line, say),
                // so "nothing at hand" takes two.
                Poll::Ready(None) | Poll::Pending if !sure => sure = true,
                Poll::Ready(None) | Poll::Pending => {
                    self.chunk.caught_up = true;
                    self.settle_ends();
                    let something = !self.chunk.records.is_empty() || self.is_through();
                    if !self.pending_events.is_empty() || room && something {
                        return Poll::Ready(Ok(()));
                    }
                    return Poll::Pending;
                }
            }
            if let Some(rebalance) = self.client.context().next_rebalance() {
                self.hear_rebalance(rebalance);
            }
            if !self.pending_events.is_empty() || self.question.is_some() {
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
                self.pending_events.push_back(Event::PartitionEof(partition));
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
        if let Some(place) = message.headers().and_then(place) {
            self.chunk.buffer.extend_from_slice(place);
        }
        let place = payload.end..self.chunk.buffer.len();
        self.chunk.records.push(Arrival { partition, offset, line: 0, payload, place });
        self.chunk.caught_up = false;
    }

    /// An error in place of a message. What may pass has been logged already.
    fn handle_error(&mut self, error: KafkaError) -> Result<(), TopicError> {
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
            KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => {
                let name = instance::of(&self.settings).unwrap_or_default();
                return Err(TopicError::Fenced { name, group_id: self.settings.group_id.clone() });
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
            if !reading.through && reading.at_end && position.max(fetched) >= opened.target {
                reading.through = true;
                self.pending_events.push_back(Event::PartitionEof(*partition));
            }
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
    fn list(&self, wanted: impl Fn(&Reading) -> bool) -> Result<TopicPartitionList, TopicError> {
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
                Rebalance::Lost(_) => {}
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

/// Claims the member's name, if it is to have one.
fn claim(settings: &KafkaSettings) -> Result<Option<Claim>, TopicError> {
    let Some(name) = instance::of(settings) else { return Ok(None) };
    match Claim::of(settings, &name) {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => Err(TopicError::NameTaken { name, group_id: settings.group_id.clone() }),
        Err(error) => {
            debug!("can't tell whether another process is the member {name}: {error}");
            Ok(None)
        }
    }
}

/// Where the shipper read a record, if it says so.
pub(crate) fn place<H: Headers>(headers: &H) -> Option<&[u8]> {
    headers.iter().find(|header| header.key == PLACE_KEY)?.value
}

/// Partitions with the offsets that come next.
pub(crate) fn offsets_of(
    topic: &str,
    offsets: impl Iterator<Item = (i32, i64)>,
) -> Result<TopicPartitionList, TopicError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .map_err(failed("set an offset"))?;
    }
    Ok(list)
}

fn failed(action: &'static str) -> impl Fn(KafkaError) -> TopicError {
    move |source| TopicError::Client { action, source }
}
