//! What librdkafka calls back. All of it runs inside a poll of the consumer, on its thread.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;
use tracing::{debug, error, info, warn};

use super::TopicError;
use super::positions::Positions;
use super::settings::KafkaSettings;
use super::throttle::Throttle;

/// Keeps what librdkafka says until it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// How far each partition is.
    pub positions: Positions,
    /// Where each partition's fetcher is, control records included, by the last statistics.
    fetched: Mutex<HashMap<i32, i64>>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    trouble: Mutex<Option<ReportedError>>,
    throttle: Mutex<Throttle>,
    /// What was last reported of a broker: about whom or what, and the text.
    last_report: Mutex<Option<(String, String)>>,
    /// Nobody will take rebalances from here any more, so they are answered at once.
    closing: AtomicBool,
}

/// What happened to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rebalance {
    /// These partitions are ours once the client is told where to begin.
    Assigned(Vec<i32>),
    /// These partitions are to be given up, which has to be confirmed by unassigning them.
    Revoked(Vec<i32>),
    /// These partitions were taken away: another member may read them already.
    Lost(Vec<i32>),
}

/// An error as librdkafka reports it, with its words.
#[derive(Debug, Clone)]
pub(crate) struct ReportedError {
    pub code: RDKafkaErrorCode,
    pub reason: String,
}

impl ReportedError {
    /// What ends the reading; `None` if it may pass by itself.
    ///
    /// Refused credentials end it only while `connecting`: a broker that once took them may refuse
    /// them for a moment while it starts.
    pub(crate) fn fatal(&self, settings: &KafkaSettings, connecting: bool) -> Option<TopicError> {
        use RDKafkaErrorCode as Code;
        let reason = self.reason.clone();
        match self.code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic => Some(TopicError::UnknownTopic {
                topic: settings.topic.clone(),
                brokers: settings.brokers.join(","),
            }),
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => Some(TopicError::Authorization {
                topic: settings.topic.clone(),
                group_id: settings.group_id.clone(),
                reason,
            }),
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
                if connecting =>
            {
                Some(TopicError::Authentication { reason })
            }
            Code::SSL if connecting && reason.contains("certificate verify failed") => {
                Some(TopicError::Authentication { reason })
            }
            _ => None,
        }
    }
}

impl Context {
    /// The next change of the assignment.
    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }

    /// The error that was reported last, once.
    pub(crate) fn take_trouble(&self) -> Option<ReportedError> {
        self.trouble.lock().take()
    }

    /// The offset that a partition's fetcher had come to when statistics were last taken.
    pub(crate) fn fetched(&self, partition: i32) -> Option<i64> {
        self.fetched.lock().get(&partition).copied()
    }

    /// From now on every rebalance is answered at once.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Notes what was committed.
    pub(crate) fn committed(&self, list: &TopicPartitionList) {
        self.positions.with(|positions| {
            for entry in list.elements() {
                if let (Offset::Offset(offset), Some(position)) =
                    (entry.offset(), positions.get_mut(&entry.partition()))
                {
                    position.committed = Some(offset);
                }
            }
        });
    }

    /// Logs a warning, at most every ten seconds for one `subject`.
    pub(crate) fn warn(&self, subject: &str, text: &str) {
        match self.throttle.lock().pass(subject, Instant::now()) {
            Some(0) => warn!("{text}"),
            Some(repeated) => warn!(repeated, "{text}"),
            None => {}
        }
    }

    /// Logs again what was last reported of a broker, since that is still so; whether there is anything.
    pub(crate) fn remind(&self) -> bool {
        let report = self.last_report.lock().clone();
        if let Some((subject, text)) = &report {
            self.warn(subject, text);
        }
        report.is_some()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as Level;
        let level = match facility {
            // A broken connection is reported as an error too, and reported there.
            "FAIL" => Level::Debug,
            // The only word of a commit that was not waited for and failed: librdkafka has no event
            // for it. The next commit covers it, so it is no more than a warning.
            "COMMITFAIL" => return self.warn("commit", &format!("Kafka: {message}")),
            _ => level,
        };
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                error!(target: "librdkafka", facility, "{message}");
            }
            Level::Warning => warn!(target: "librdkafka", facility, "{message}"),
            Level::Notice | Level::Info => info!(target: "librdkafka", facility, "{message}"),
            Level::Debug => debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // The one is no error, the other has been reported broker by broker.
        if matches!(code, RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        // `127.0.0.1:9092/1: Connect to … failed: Connection refused (after 3ms in state CONNECT)`:
        // the times differ from line to line, the broker and the code do not.
        let broker = reason.split(": ").next().unwrap_or_default();
        let (subject, text) = (format!("{broker} {code:?}"), format!("Kafka: {reason}"));
        self.warn(&subject, &text);
        *self.last_report.lock() = Some((subject, text));
        *self.trouble.lock() = Some(ReportedError { code, reason: reason.to_owned() });
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.take_statistics(statistics),
            Err(error) => debug!("librdkafka's statistics can't be read: {error}"),
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        happened: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<i32> = list.elements().iter().map(|entry| entry.partition()).collect();
        let closing = self.closing.load(Ordering::Relaxed);
        let rebalance = match happened {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                if closing {
                    answer(assign(client, &TopicPartitionList::new()));
                }
                Rebalance::Assigned(partitions)
            }
            // What was lost can't be committed any more: there is nothing to wait for.
            _ if closing || client.assignment_lost() => {
                answer(unassign(client, list));
                Rebalance::Lost(partitions)
            }
            _ => Rebalance::Revoked(partitions),
        };
        debug!(?rebalance, "the consumer group changed");
        if !closing {
            self.rebalances.lock().push_back(rebalance);
        }
    }
}

/// Adds to what is read (or says what is, where the group's protocol is the eager one).
pub(crate) fn assign<C: Consumer<Context>>(
    client: &C,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_assign(list),
        _ => client.assign(list),
    }
}

/// Takes from what is read (or all, where the group's protocol is the eager one).
pub(crate) fn unassign<C: Consumer<Context>>(
    client: &C,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_unassign(list),
        _ => client.unassign(),
    }
}

/// Logs what librdkafka thinks of an answer to a rebalance. It refuses one when the group has
/// changed again meanwhile, and then asks again.
pub(crate) fn answer(result: KafkaResult<()>) {
    if let Err(error) = result {
        debug!("the consumer group changed again: {error}");
    }
}

/// The part of librdkafka's statistics that is of use here (STATISTICS.md of librdkafka).
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: HashMap<i32, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    next_offset: i64,
    app_offset: i64,
    committed_offset: i64,
    lo_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
}

impl Context {
    fn take_statistics(&self, statistics: Statistics) {
        let mut fetched = self.fetched.lock();
        self.positions.with(|positions| {
            for topic in statistics.topics.values() {
                for (partition, known) in &topic.partitions {
                    let Some(position) = positions.get_mut(partition) else { continue };
                    fetched.insert(*partition, known.next_offset);
                    // Negative: not known (yet). The application's offset is past control records,
                    // which are never handed out.
                    position.position = position.position.max(known.app_offset);
                    position.low_watermark = position.low_watermark.max(known.lo_offset);
                    if known.committed_offset >= 0 {
                        position.committed = Some(known.committed_offset);
                    }
                    let end = if known.ls_offset >= 0 { known.ls_offset } else { known.hi_offset };
                    if end >= 0 {
                        // Of the last fetch, which may be long ago.
                        let least = position.high_watermark.max(position.position);
                        position.high_watermark = end.max(least);
                    }
                }
            }
        });
    }
}
