//! What was seen of Kafka: the cluster, the topic, the consumer group.

use super::{CheckPlan, Section, counted, span};
use crate::display::bytes;

/// Kafka, as it was seen.
#[derive(Debug)]
pub struct KafkaFacts {
    /// The brokers that were asked.
    pub brokers: String,
    /// `security.protocol`.
    pub protocol: String,
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// What they said, or why nothing.
    pub reached: Result<TopicFacts, Refusal>,
}

/// Why nothing can be read from Kafka. The texts are librdkafka's and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody answers.
    Unreachable(String),
    /// There is no such topic.
    UnknownTopic,
    /// The broker does not take our credentials, or we not its certificate.
    Authentication(String),
    /// The broker knows us, and does not let us read.
    Authorization(String),
    /// librdkafka does not take a property.
    Property(String),
}

/// A cluster that answered, and its topic. What could not be asked holds the reason.
#[derive(Debug)]
pub struct TopicFacts {
    /// The cluster's id, if it tells.
    pub cluster: Option<String>,
    /// How many brokers it has.
    pub brokers: usize,
    /// The topic's settings.
    pub settings: Result<TopicSettings, String>,
    /// Members of the consumer group that read at this moment, by client id and host.
    pub members: Result<Vec<String>, String>,
    /// The partitions.
    pub partitions: Result<Vec<PartitionFacts>, String>,
}

/// The settings of a topic that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// `retention.ms`; -1: for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; -1: no bound.
    pub retention_bytes: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: String,
    /// `max.message.bytes`.
    pub max_message_bytes: i64,
    /// Whether `message.timestamp.type` is LogAppendTime.
    pub broker_time: bool,
}

/// A partition, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Its number.
    pub number: i32,
    /// The oldest offset that it holds.
    pub low: i64,
    /// One past the newest.
    pub high: i64,
    /// Whether the group has committed an offset that counts.
    pub committed: bool,
    /// Where a replay would begin.
    pub start: i64,
    /// What is missing there: the topic no longer holds what was committed.
    pub gap: Option<String>,
    /// The broker's time of the record there, in Unix milliseconds, where there is one.
    pub start_ms: Option<i64>,
}

/// What one long statement needs, and docs/getting-started.md recommends.
const ROOM_FOR_A_RECORD: i64 = 5_000_000;
const DAY_MS: i64 = 86_400_000;

pub(super) fn judge(facts: &KafkaFacts, now_ms: i64, plan: &CheckPlan, lines: &mut Section) {
    let topic = match &facts.reached {
        Ok(topic) => topic,
        Err(refusal) => return refused(facts, refusal, lines),
    };
    let cluster = topic.cluster.as_deref().unwrap_or("without an id");
    lines.ok(format!(
        "Kafka answers at {}: cluster {cluster}, {}, {}",
        facts.brokers,
        counted(topic.brokers as u64, "broker"),
        facts.protocol
    ));
    match &topic.partitions {
        Ok(partitions) => {
            size(facts, partitions, lines);
            places(facts, partitions, plan, lines);
        }
        Err(reason) => lines.error(
            format!("the offsets of topic {} can't be asked for: {reason}", facts.topic),
            "check the cluster's health (leaders of the topic and of __consumer_offsets), and that \
             this user may read the topic and the group",
        ),
    }
    match &topic.settings {
        Ok(settings) => {
            let partitions = topic.partitions.as_deref().unwrap_or_default();
            retention(settings, partitions, now_ms, lines);
            record_size(settings, lines);
            lines.ok(match settings.broker_time {
                true => {
                    "records bear the broker's time (LogAppendTime): --from and --after go by it"
                }
                false => {
                    "records bear the shipper's time (CreateTime): --from and --after go by it"
                }
            });
        }
        Err(reason) => lines.warning(
            format!("the settings of topic {} can't be seen: {reason}", facts.topic),
            "let this user DESCRIBE_CONFIGS the topic, or have a look yourself: retention.ms, \
             cleanup.policy, max.message.bytes",
        ),
    }
    match &topic.members {
        Ok(members) if members.is_empty() => {}
        Ok(members) => lines.warning(
            format!(
                "{} of group {} at this moment: {}",
                counted(members.len() as u64, "member"),
                facts.group,
                super::listed(members.iter().map(String::as_str))
            ),
            "stop it, or give another --group-id: members share the partitions, and keep no order \
             between them",
        ),
        Err(reason) => lines.warning(
            format!("the members of group {} can't be seen: {reason}", facts.group),
            "let this user DESCRIBE the group, and make sure that no other kreplay uses it",
        ),
    }
}

fn refused(facts: &KafkaFacts, refusal: &Refusal, lines: &mut Section) {
    let KafkaFacts { brokers, topic, group, .. } = facts;
    match refusal {
        Refusal::Unreachable(reason) => lines.error(
            format!("no Kafka broker answers at {brokers}: {reason}"),
            "check --brokers (its port too), the network, that the broker runs and that its \
             advertised.listeners can be reached from here, and -X security.protocol: a broker that \
             wants TLS or SASL does not answer without",
        ),
        Refusal::UnknownTopic => lines.error(
            format!("there is no topic {topic} at {brokers}"),
            "check --topic; or make it: kafka-topics.sh --create --partitions 1 --config \
             max.message.bytes=5242880 --config retention.ms=604800000",
        ),
        Refusal::Authentication(reason) => lines.error(
            format!("authentication with Kafka failed: {reason}"),
            "check -X security.protocol, sasl.mechanisms, sasl.username and sasl.password (better in \
             KREPLAY_KAFKA_PROPERTY), or ssl.ca.location",
        ),
        Refusal::Authorization(reason) => lines.error(
            format!("Kafka does not allow reading topic {topic} as group {group}: {reason}"),
            format!("allow READ and DESCRIBE of topic {topic} and READ of group {group}"),
        ),
        Refusal::Property(reason) => lines.error(reason.clone(), "correct -X / --kafka-property"),
    }
}

fn size(facts: &KafkaFacts, partitions: &[PartitionFacts], lines: &mut Section) {
    let held: i64 = partitions.iter().map(|partition| partition.high - partition.low).sum();
    if held == 0 {
        lines.warning(
            format!("topic {} holds no record", facts.topic),
            "start the shipper and check again; if it runs, look at its log and at the topic that \
             it writes to",
        );
        return;
    }
    lines.ok(format!(
        "topic {} has {} with {}",
        facts.topic,
        counted(partitions.len() as u64, "partition"),
        counted(held.unsigned_abs(), "record")
    ));
}

/// Where a replay would begin.
fn places(
    facts: &KafkaFacts,
    partitions: &[PartitionFacts],
    plan: &CheckPlan,
    lines: &mut Section,
) {
    let mut gap_free = true;
    for gap in partitions.iter().filter_map(|partition| partition.gap.as_ref()) {
        gap_free = false;
        let what = format!("group {}: {gap}", facts.group);
        if plan.skips_gaps {
            lines.warning(what, "the replay continues from the oldest record and lacks these");
        } else {
            lines.error(
                what,
                "--on-gap continue continues from the oldest record without these; --reset, or another \
                 --group-id, with the data of that moment, begins anew",
            );
        }
    }
    let to_read: i64 = partitions.iter().map(|partition| partition.high - partition.start).sum();
    let to_read = counted(to_read.unsigned_abs(), "record");
    let committed = partitions.iter().any(|partition| partition.committed);
    if !gap_free {
        return;
    }
    if committed {
        lines.ok(format!("group {} continues where it stopped; {to_read} to read", facts.group));
    } else {
        let from = match partitions {
            _ if partitions.iter().all(|it| it.start == it.low) => "the oldest record",
            _ if partitions.iter().all(|it| it.start == it.high) => "the next record written",
            _ => "a record in the middle",
        };
        lines
            .ok(format!("a replay as group {} begins with {from}; {to_read} to read", facts.group));
    }
}

fn retention(
    settings: &TopicSettings,
    partitions: &[PartitionFacts],
    now_ms: i64,
    lines: &mut Section,
) {
    if settings.cleanup_policy.split(',').any(|policy| policy.trim() == "compact") {
        lines.error(
            "the topic is compacted: of each session Kafka keeps the last record alone \
             (cleanup.policy)",
            "kafka-configs.sh --alter --add-config cleanup.policy=delete; what is gone already can't \
             be had back",
        );
    }
    if settings.retention_bytes >= 0 {
        lines.warning(
            format!(
                "Kafka deletes records once a partition has more than {} (retention.bytes), \
                 whatever their age",
                bytes(settings.retention_bytes.unsigned_abs())
            ),
            "set retention.bytes=-1, or make sure that so much lasts for the longest pause",
        );
    }
    let keeps = settings.retention_ms;
    if keeps < 0 {
        lines.ok("records are kept for ever (retention.ms)");
        return;
    }
    let unread = partitions.iter().filter(|partition| partition.high > partition.start);
    let oldest = unread.filter_map(|partition| partition.start_ms).min();
    let Some(left) = oldest.map(|oldest| oldest + keeps - now_ms) else {
        if keeps < DAY_MS {
            short(keeps, lines);
        } else {
            lines.ok(format!("records are kept for {} (retention.ms)", span(keeps)));
        }
        return;
    };
    let soon = DAY_MS.min(keeps / 4);
    let remedy = "raise retention.ms for as long as the replay lasts, or begin later (--from, --after \
                  with data of that moment): what has expired before it was read stops the replay \
                  (--on-gap)";
    if left <= 0 {
        lines.warning(
            format!(
                "the oldest unread record is older than Kafka keeps records (retention.ms, {}): it \
                 can be deleted at any moment",
                span(keeps)
            ),
            remedy,
        );
    } else if left < soon {
        lines.warning(
            format!(
                "unread records begin to expire in {} (retention.ms, {})",
                span(left),
                span(keeps)
            ),
            remedy,
        );
    } else if keeps < DAY_MS {
        short(keeps, lines);
    } else {
        lines.ok(format!(
            "records are kept for {} (retention.ms); the oldest unread one expires in {}",
            span(keeps),
            span(left)
        ));
    }
}

fn short(keeps: i64, lines: &mut Section) {
    lines.warning(
        format!("records are kept for {} alone (retention.ms)", span(keeps)),
        "raise retention.ms above the longest pause of kreplay, of the target and of a night: \
         604800000 is a week",
    );
}

fn record_size(settings: &TopicSettings, lines: &mut Section) {
    let room = settings.max_message_bytes;
    if room < ROOM_FOR_A_RECORD {
        lines.warning(
            format!(
                "the topic takes no record above {} (max.message.bytes): longer statements are lost \
                 on the way",
                bytes(room.unsigned_abs())
            ),
            "kafka-configs.sh --alter --add-config max.message.bytes=5242880, and as much in the \
             shipper (rsyslog: message.max.bytes)",
        );
    } else {
        lines.ok(format!(
            "records may have up to {} (max.message.bytes)",
            bytes(room.unsigned_abs())
        ));
    }
}
