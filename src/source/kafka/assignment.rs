//! What the consumer group gives and takes: each partition begins where it should, or stops.

use std::sync::Arc;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tracing::warn;

use super::TopicError;
use super::committer::{Commit, CommitMode};
use super::context::{Rebalance, answer, assign, unassign};
use super::lookup::{self, Found};
use super::settings::Start;
use super::start::{InitialOffset, Partition, StartAt, start_offset};
use super::{KafkaSource, RETRY, Reading, failed, offsets_of};
use crate::replay::account::progress::PartitionProgress;
use crate::source::{Event, Gap, Resume};

/// How often a partition that was assigned may be unknown to the broker that is asked.
const TRIES: u32 = 10;

/// What is settled when a partition is assigned for the first time.
#[derive(Debug)]
pub(super) struct Opened {
    pub start: i64,
    /// Where `until_end` stops.
    pub target: i64,
}

/// Why the broker is asked about partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// They were assigned: where do they begin?
    Begin(Vec<i32>),
    /// The broker does not hold what comes next in one of those that are read: which, and why?
    GoOn,
}

impl KafkaSource {
    pub(super) fn hear_rebalance(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assigned(partitions) => self.question = Some(Question::Begin(partitions)),
            Rebalance::Revoked(partitions) => {
                self.forget(&partitions);
                self.leaving = Some(partitions.clone());
                self.pending_events.push_back(Event::Revoked(partitions));
            }
            Rebalance::Lost(partitions) => {
                warn!(
                    ?partitions,
                    "Kafka took partitions away, since kreplay was silent for longer than session.timeout.ms \
                    (-X; a stopped or starved process?): they are joined again, and what was not \
                    committed comes twice"
                );
                self.forget(&partitions);
                self.pending_events.push_back(Event::Revoked(partitions));
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
    pub(super) async fn ask(&mut self) -> Result<(), TopicError> {
        let mut tries = 0;
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
                    tries = 0;
                    self.question = None;
                    match question {
                        Question::Begin(_) => self.begin(found)?,
                        Question::GoOn => self.go_on(&found)?,
                    }
                }
                Err(error) => {
                    // Not every broker knows a new partition as soon as one does.
                    tries += 1;
                    if tries > TRIES || !is_unknown(&error) {
                        lookup::give_up_or_warn(error, &self.settings, self.client.context())?;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        Ok(())
    }

    /// Begins to read partitions that were assigned.
    fn begin(&mut self, found: Vec<Found>) -> Result<(), TopicError> {
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
            let opened =
                self.opened.entry(partition).or_insert(Opened { start: offset, target: high });
            let position = PartitionProgress {
                partition,
                position: offset,
                low_watermark: low,
                high_watermark: high,
                committed,
                start: opened.start,
                end: self.settings.until_end.then_some(opened.target),
            };
            self.client.context().positions.with(|it| it.insert(partition, position));
            let through = self.settings.until_end && offset >= opened.target;
            let held_back = false;
            reading.push((partition, Reading { next: offset, at_end: false, through, held_back }));
        }
        let offsets = reading.iter().map(|(partition, reading)| (*partition, reading.next));
        let list = offsets_of(&self.settings.topic, offsets)?;
        answer(assign(&*self.client, &list));
        self.reading.extend(reading);
        self.pause_again()?;
        self.joined = true;
        if !fresh.is_empty() {
            self.committer().commit(&fresh, CommitMode::Async)?;
        }
        let through = resumes.iter().map(|resume| resume.partition);
        let through: Vec<i32> =
            through.filter(|partition| self.reading[partition].through).collect();
        self.pending_events.push_back(Event::Assigned(resumes));
        self.pending_events.extend(through.into_iter().map(Event::PartitionEof));
        self.pending_events.extend(lost.into_iter().map(Event::Lost));
        Ok(())
    }

    /// Goes on where a partition does not hold what comes next (any more).
    ///
    /// librdkafka does not say which one it is and has stopped fetching it, so all are placed anew,
    /// where they were.
    fn go_on(&mut self, found: &[Found]) -> Result<(), TopicError> {
        for Found { partition, low, high, .. } in found {
            let Some(reading) = self.reading.get_mut(partition) else { continue };
            let start = start_offset(
                Partition {
                    number: *partition,
                    committed: Some(reading.next),
                    low: *low,
                    high: *high,
                },
                InitialOffset::Earliest,
                self.settings.on_gap,
            );
            let StartAt { offset, gap } = match start {
                Ok(start) => start,
                Err(gap) => return Err(self.stopped(gap)),
            };
            reading.next = offset;
            reading.at_end = false;
            self.pending_events.extend(gap.map(Event::Lost));
            self.client.context().positions.with(|positions| {
                if let Some(position) = positions.get_mut(partition) {
                    position.position = offset;
                    position.low_watermark = *low;
                    position.high_watermark = *high;
                }
            });
        }
        let partitions: Vec<i32> = self.reading.keys().copied().collect();
        answer(unassign(&*self.client, &self.named(&partitions)));
        let list = self.list(|_| true)?;
        answer(assign(&*self.client, &list));
        self.pause_again()
    }

    fn stopped(&self, gap: Gap) -> TopicError {
        TopicError::Gap { topic: self.settings.topic.clone(), gap }
    }

    /// Where a partition begins without a committed offset. One that the topic did not have when we
    /// connected is read from its first record: whatever it holds was written since.
    fn fresh(&self, partition: i32, since: Option<i64>) -> InitialOffset {
        match self.settings.start {
            _ if partition >= self.partitions => InitialOffset::Earliest,
            Start::Earliest => InitialOffset::Earliest,
            Start::Latest => InitialOffset::Latest,
            Start::At(_) => InitialOffset::At(since),
        }
    }

    /// Pauses, after an assignment, what had been paused.
    fn pause_again(&self) -> Result<(), TopicError> {
        let list = self.list(|reading| self.paused || reading.through || reading.held_back)?;
        self.client.pause(&list).map_err(failed("pause fetching"))
    }
}

fn is_unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
    matches!(error.rdkafka_error_code(), Some(UnknownTopic | UnknownTopicOrPartition))
}
