//! What the broker has to be asked before a partition can be read. All of it blocks, so it runs on
//! threads for blocking work.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::TopicError;
use super::context::{Context, ReportedError};
use super::settings::{KafkaSettings, Start};

/// How long one question may take. Short, since a runtime that ends waits for it.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a broker said of a partition.
#[derive(Debug)]
pub(crate) struct Found {
    pub partition: i32,
    /// What the group committed, with its metadata.
    pub committed: Option<(i64, String)>,
    pub low: i64,
    /// One past the newest offset that can be read.
    pub high: i64,
    /// The first offset at or after [`Start::At`]; `None` without one.
    pub since: Option<i64>,
}

/// Waits for librdkafka to report an error, on a client that reads nothing yet.
pub(crate) async fn next_trouble(client: &StreamConsumer<Context>) -> ReportedError {
    loop {
        // Only errors come before the subscription.
        let _ = client.recv().await;
        if let Some(trouble) = client.context().take_trouble() {
            return trouble;
        }
    }
}

/// Asks for the number of the topic's partitions.
pub(crate) fn partitions(
    client: Arc<StreamConsumer<Context>>,
    topic: String,
) -> impl FnOnce() -> KafkaResult<i32> + Send {
    move || {
        let metadata = client.fetch_metadata(Some(&topic), TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let found = found.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic))?;
        match found.error() {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(i32::try_from(found.partitions().len()).expect("partitions have an i32")),
        }
    }
}

/// Asks for all there is to know of `partitions`.
pub(crate) fn find(
    client: Arc<StreamConsumer<Context>>,
    settings: Arc<KafkaSettings>,
    partitions: Vec<i32>,
) -> impl FnOnce() -> KafkaResult<Vec<Found>> + Send {
    move || {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let topic = settings.topic.as_str();
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            list.add_partition(topic, *partition);
        }
        let committed = client.committed_offsets(list.clone(), TIMEOUT)?;
        let since = match settings.start {
            Start::At(time) => {
                list.set_all_offsets(Offset::Offset(time))?;
                Some(client.offsets_for_times(list, TIMEOUT)?)
            }
            Start::Earliest | Start::Latest => None,
        };
        let find = |partition| {
            let (low, high) = client.fetch_watermarks(topic, partition, TIMEOUT)?;
            let committed = match committed.find_partition(topic, partition) {
                Some(entry) => {
                    entry.error()?;
                    absolute(entry.offset()).map(|offset| (offset, entry.metadata().to_owned()))
                }
                None => None,
            };
            let since = match since.as_ref().and_then(|list| list.find_partition(topic, partition))
            {
                Some(entry) => {
                    entry.error()?;
                    absolute(entry.offset())
                }
                None => None,
            };
            Ok(Found { partition, committed, low, high, since })
        };
        partitions.into_iter().map(find).collect()
    }
}

/// An offset that is a number; the others say "none", one way or another.
fn absolute(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// Turns an error into what ends the reading, or logs it as what may pass.
pub(crate) fn give_up_or_warn(
    error: KafkaError,
    settings: &KafkaSettings,
    context: &Context,
) -> Result<(), TopicError> {
    let reason = error.to_string();
    let code = error.rdkafka_error_code();
    if let Some(code) = code {
        let trouble = ReportedError { code, reason: reason.clone() };
        if let Some(fatal) = trouble.fatal(settings, true) {
            return Err(fatal);
        }
    }
    // "No broker" says less than why there is none.
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    let unreachable =
        matches!(code, Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut));
    if !(unreachable && context.remind()) {
        let brokers = settings.brokers.join(",");
        context.warn("lookup", &format!("Kafka at {brokers}: {reason}; trying again"));
    }
    Ok(())
}
