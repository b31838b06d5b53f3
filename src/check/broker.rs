//! What `kreplay check` asks Kafka. It joins no group and commits nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::check::findings::broker::{
    KafkaFacts, PartitionFacts, Refusal, TopicFacts, TopicSettings,
};
use crate::check::findings::sample::Sampled;
use crate::source::kafka::context::Context;
use crate::source::kafka::lookup::{self, Found};
use crate::source::kafka::start::{InitialOffset, Partition, start_offset};
use crate::source::kafka::{
    KafkaSettings, OnGap, RETRY, Start, TopicError, client, offsets_of, place,
};

/// How long the brokers have to answer at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a question may be put that the broker can't answer yet.
const TRIES: usize = 3;
/// How long a sample may take.
const SAMPLING: Duration = Duration::from_secs(15);
/// Records of a sample, over all partitions: from where the replay begins, and from the end.
const FIRST: i64 = 500;
const NEWEST: i64 = 1500;
/// Bytes of each stretch: records may have megabytes.
const BYTES: usize = 32 << 20;
/// Of one partition at the least, however many there are.
const LEAST: i64 = 25;

/// What was seen of Kafka, with a sample of the topic.
pub struct Inspection {
    /// The brokers, the topic, the group.
    pub facts: KafkaFacts,
    /// Records of the topic.
    pub sample: Vec<Sampled>,
    /// Whether fewer of them came in time than there are.
    pub cut_short: bool,
}

/// Looks at the brokers, the topic and the group, and takes a sample.
pub async fn inspect(settings: &KafkaSettings) -> Inspection {
    // Ends of partitions are told.
    let settings = Arc::new(KafkaSettings { until_end: true, ..settings.clone() });
    let protocol = settings.properties.iter().rev().find(|it| it.key == "security.protocol");
    let mut facts = KafkaFacts {
        brokers: settings.brokers.join(","),
        protocol: protocol.map_or_else(|| "PLAINTEXT".into(), |it| it.value().to_uppercase()),
        topic: settings.topic.clone(),
        group: settings.group_id.clone(),
        reached: Err(Refusal::UnknownTopic),
    };
    let (mut sample, mut cut_short) = (Vec::new(), false);
    facts.reached = match look(&settings).await {
        Ok((mut topic, client)) => {
            if let Ok(partitions) = &mut topic.partitions {
                (sample, cut_short) = take_sample(&client, &settings, partitions).await;
            }
            Ok(topic)
        }
        Err(refusal) => Err(refusal),
    };
    Inspection { facts, sample, cut_short }
}

async fn look(
    settings: &Arc<KafkaSettings>,
) -> Result<(TopicFacts, Arc<StreamConsumer<Context>>), Refusal> {
    let client = Arc::new(client::consumer(settings).map_err(refusal)?);
    let partitions = reach(&client, settings).await?;
    let ask = {
        let (client, settings) = (Arc::clone(&client), Arc::clone(settings));
        move || {
            let cluster = client.client().fetch_cluster_id(ANSWER);
            let brokers = client.fetch_metadata(Some(&settings.topic), ANSWER);
            (cluster, brokers.map_or(0, |metadata| metadata.brokers().len()))
        }
    };
    let (cluster, brokers) = blocking(ask).await;
    let topic = TopicFacts {
        cluster,
        brokers,
        settings: topic_settings(settings).await,
        members: members(&client, settings).await,
        partitions: offsets(&client, settings, partitions).await,
    };
    Ok((topic, client))
}

/// Waits until a broker has told how many partitions the topic has, or something is final.
async fn reach(
    client: &Arc<StreamConsumer<Context>>,
    settings: &KafkaSettings,
) -> Result<i32, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = "no answer".to_owned();
    let mut unknown = 0;
    while Instant::now() < deadline {
        let ask = lookup::partitions(Arc::clone(client), settings.topic.clone());
        let mut asking = tokio::task::spawn_blocking(ask);
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer.expect("a lookup does not panic"),
                trouble = lookup::next_trouble(client) => {
                    if let Some(error) = trouble.fatal(settings, true) {
                        return Err(refusal(error));
                    }
                    last = trouble.reason;
                }
            }
        };
        match answer {
            Ok(partitions) => return Ok(partitions),
            Err(error) => {
                match lookup::give_up_or_warn(error, settings, client.context()).map_err(refusal) {
                    // Not every broker knows a new topic as soon as one does.
                    Err(Refusal::UnknownTopic) if unknown < TRIES => unknown += 1,
                    result => result?,
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    Err(Refusal::Unreachable(format!("{last} (tried for {} s)", PATIENCE.as_secs())))
}

fn refusal(error: TopicError) -> Refusal {
    match error {
        TopicError::UnknownTopic { .. } => Refusal::UnknownTopic,
        TopicError::Authentication { reason } => Refusal::Authentication(reason),
        TopicError::Authorization { reason, .. } => Refusal::Authorization(reason),
        error @ TopicError::BadProperty { .. } => Refusal::Property(error.to_string()),
        error => Refusal::Unreachable(error.to_string()),
    }
}

async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(ask).await.expect("a lookup does not panic")
}

async fn topic_settings(settings: &KafkaSettings) -> Result<TopicSettings, String> {
    let admin = client::admin(settings).map_err(|error| error.to_string())?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let topic = [ResourceSpecifier::Topic(&settings.topic)];
    let described = timeout(2 * ANSWER, admin.describe_configs(&topic, &options)).await;
    let described = described.map_err(|_| format!("no answer within {:?}", 2 * ANSWER))?;
    let mut described = described.map_err(|error| error.to_string())?;
    let resource = described.pop().ok_or("no answer")?.map_err(|code| code.to_string())?;
    let entries = resource.entry_map();
    let text = |name: &str| entries.get(name).and_then(|entry| entry.value.clone());
    let number = |name: &str, default: i64| {
        text(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    Ok(TopicSettings {
        retention_ms: number("retention.ms", -1),
        retention_bytes: number("retention.bytes", -1),
        cleanup_policy: text("cleanup.policy").unwrap_or_default(),
        max_message_bytes: number("max.message.bytes", i64::MAX),
        broker_time: text("message.timestamp.type").as_deref() == Some("LogAppendTime"),
    })
}

/// Who is a member of the group at this moment.
async fn members(
    client: &Arc<StreamConsumer<Context>>,
    settings: &Arc<KafkaSettings>,
) -> Result<Vec<String>, String> {
    let (client, settings) = (Arc::clone(client), Arc::clone(settings));
    let ask = move || {
        let list = client.fetch_group_list(Some(&settings.group_id), ANSWER)?;
        let group = list.groups().iter().find(|group| group.name() == settings.group_id);
        let name = |member: &rdkafka::groups::GroupMemberInfo| {
            format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/'))
        };
        Ok(group.map_or_else(Vec::new, |group| group.members().iter().map(name).collect()))
    };
    blocking(ask).await.map_err(|error: KafkaError| error.to_string())
}

/// What each partition holds, and where a replay would begin.
async fn offsets(
    client: &Arc<StreamConsumer<Context>>,
    settings: &Arc<KafkaSettings>,
    partitions: i32,
) -> Result<Vec<PartitionFacts>, String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let numbers = (0..partitions).collect();
        let find = lookup::find(Arc::clone(client), Arc::clone(settings), numbers);
        match blocking(find).await {
            Ok(found) => return Ok(found.into_iter().map(|it| begin(it, settings)).collect()),
            // The group's coordinator may have to be made first.
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn begin(found: Found, settings: &KafkaSettings) -> PartitionFacts {
    let Found { partition, committed, low, high, since } = found;
    let committed = committed.filter(|_| !settings.reset).map(|(offset, _)| offset);
    let fresh = match settings.start {
        Start::Earliest => InitialOffset::Earliest,
        Start::Latest => InitialOffset::Latest,
        Start::At(_) => InitialOffset::At(since),
    };
    let of = Partition { number: partition, committed, low, high };
    // Where the replay would stop, the sample begins with what is there.
    let (start, gap) = start_offset(of, fresh, OnGap::Continue)
        .map_or_else(|gap| (low, Some(gap)), |start| (start.offset, start.gap));
    PartitionFacts {
        number: partition,
        low,
        high,
        committed: committed.is_some(),
        start,
        gap: gap.map(|gap| gap.to_string()),
        start_ms: None,
    }
}

// ---- The sample ----

/// The offsets of a partition that are wanted: from the first to before the second.
type Range = (i64, i64);

/// The ranges of each stretch by partition: where the replay begins, and the end.
fn ranges(partitions: &[PartitionFacts]) -> [BTreeMap<i32, Range>; 2] {
    let share = |records: i64| (records / partitions.len().max(1) as i64).max(LEAST);
    let mut stretches = [BTreeMap::new(), BTreeMap::new()];
    for partition in partitions {
        let PartitionFacts { number, low, high, start, .. } = *partition;
        // A replay that begins at the end has records all the same, of yesterday.
        let start =
            if start == high { low.max(high - share(FIRST) - share(NEWEST)) } else { start };
        let middle = (start + share(FIRST)).min(high);
        let newest = (high - share(NEWEST)).max(middle);
        if newest == middle {
            // One stretch has it all.
            stretches[0].insert(number, (start, high));
        } else {
            stretches[0].insert(number, (start, middle));
            stretches[1].insert(number, (newest, high));
        }
    }
    stretches.map(|mut ranges| {
        ranges.retain(|_, (from, to)| from < to);
        ranges
    })
}

async fn take_sample(
    client: &StreamConsumer<Context>,
    settings: &KafkaSettings,
    partitions: &mut [PartitionFacts],
) -> (Vec<Sampled>, bool) {
    let deadline = Instant::now() + SAMPLING;
    let mut sample = Vec::new();
    let mut cut_short = false;
    for (stretch, ranges) in ranges(partitions).into_iter().enumerate() {
        if ranges.is_empty() {
            continue;
        }
        let read = read_ranges(client, &settings.topic, stretch, ranges, &mut sample);
        match timeout_at(deadline, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!("the sample: {error}");
                cut_short = true;
            }
            Err(_) => cut_short = true,
        }
        // What is left of it is of no use.
        if let Err(error) = client.unassign() {
            debug!("the sample: {error}");
        }
    }
    for partition in partitions {
        let mut own = sample.iter().filter(|sampled| sampled.partition == partition.number);
        partition.start_ms = own.next().and_then(|sampled| sampled.broker_ms);
    }
    // Each stretch of a partition in one piece, in its order.
    sample.sort_by_key(|it: &Sampled| (it.stretch, it.partition, it.offset));
    (sample, cut_short)
}

async fn read_ranges(
    client: &StreamConsumer<Context>,
    topic: &str,
    stretch: usize,
    mut ranges: BTreeMap<i32, Range>,
    sample: &mut Vec<Sampled>,
) -> KafkaResult<()> {
    let offsets = ranges.iter().map(|(&partition, &(from, _))| (partition, from));
    let list = offsets_of(topic, offsets)
        .map_err(|_| KafkaError::SetPartitionOffset(RDKafkaErrorCode::InvalidArgument))?;
    client.assign(&list)?;
    let mut bytes = 0;
    while !ranges.is_empty() && bytes < BYTES {
        let message = match client.recv().await {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(partition)) => {
                ranges.remove(&partition);
                continue;
            }
            // What passes is tried again by librdkafka, until the time is over.
            Err(error) => {
                debug!("the sample: {error}");
                continue;
            }
        };
        let (partition, offset) = (message.partition(), message.offset());
        let Some(&(from, to)) = ranges.get(&partition) else { continue };
        if (from..to).contains(&offset) {
            bytes += message.payload_len();
            let place = message.headers().and_then(place);
            let place = place.and_then(|place| std::str::from_utf8(place).ok());
            sample.push(Sampled {
                partition,
                offset,
                stretch,
                broker_ms: message.timestamp().to_millis(),
                key: message.key().map(<[u8]>::to_vec),
                place: place.map(str::to_owned),
                payload: message.payload().unwrap_or_default().to_vec(),
            });
        }
        if offset + 1 >= to {
            ranges.remove(&partition);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
