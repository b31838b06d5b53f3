//! A real Kafka broker for tests, started by `kafka.sh` beside this file.

use std::future::Future;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka.sh");
const TIMEOUT: Duration = Duration::from_secs(30);

/// A broker with one node, which ends with the process that started it.
pub struct Broker {
    address: String,
    directory: PathBuf,
    /// Waits for the end of this process, however it comes, and then kills the broker.
    undertaker: Child,
}

/// A record to produce.
#[derive(Clone, Debug)]
pub struct Record {
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since 1970; `None` is now.
    pub timestamp: Option<i64>,
}

impl Record {
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    pub fn tombstone() -> Self {
        Self { payload: None, ..Self::from("") }
    }
}

impl From<&str> for Record {
    fn from(payload: &str) -> Self {
        Self::from(payload.as_bytes())
    }
}

impl From<String> for Record {
    fn from(payload: String) -> Self {
        Self::from(payload.as_bytes())
    }
}

impl From<&[u8]> for Record {
    fn from(payload: &[u8]) -> Self {
        let (key, headers, timestamp) = (None, Vec::new(), None);
        Self { payload: Some(payload.to_owned()), key, headers, timestamp }
    }
}

/// The broker that tests share. Each uses topics of its own.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

/// A name that no other topic or group of this run has.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Broker {
    /// A broker of a test's own, to kill and restart.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A broker that also listens with TLS on [`Broker::tls`] and with SASL on [`Broker::sasl`];
    /// its one user is `app` with the password `app-secret`.
    pub fn start_secure() -> Self {
        Self::start_with(&[("KAFKA_SECURE", "1")])
    }

    fn start_with(environment: &[(&str, &str)]) -> Self {
        let distribution = distribution();
        let directory = tempfile::Builder::new().prefix("kreplay-kafka-").tempdir();
        let directory = directory.expect("a directory for the broker").keep();
        let undertaker = Command::new("bash")
            .args(["-c", r#"trap '' INT TERM HUP; cat; "$1" kill "$2"; rm -rf "$2""#, "undertaker"])
            .args([Path::new(SCRIPT), &directory])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash");
        let mut start = Command::new(SCRIPT);
        start.arg("start").arg(&directory).arg("0").env("KAFKA_HOME", distribution);
        // A member that was killed is missed after half a second, if it has asked for that.
        start.env("KAFKA_EXTRA", "group.min.session.timeout.ms=500");
        let address = run(start.envs(environment.iter().copied()));
        Self { address, directory, undertaker }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address that wants TLS; see [`Broker::certificates`].
    pub fn tls(&self) -> String {
        self.beside(1)
    }

    /// The address that wants SASL, without TLS.
    pub fn sasl(&self) -> String {
        self.beside(2)
    }

    fn beside(&self, distance: u16) -> String {
        let (host, port) = self.address.rsplit_once(':').expect("host:port");
        format!("{host}:{}", port.parse::<u16>().expect("a port") + distance)
    }

    /// The directory of `ca.pem`, `client.pem` and `client.key`.
    pub fn certificates(&self) -> PathBuf {
        self.directory.join("tls")
    }

    /// SIGKILL.
    pub fn kill(&self) {
        run(Command::new(SCRIPT).arg("kill").arg(&self.directory));
    }

    /// Starts the broker again (stopping it if it runs), on the same port and data.
    pub fn restart(&self) {
        run(Command::new(SCRIPT)
            .arg("restart")
            .arg(&self.directory)
            .env("KAFKA_HOME", distribution()));
    }

    /// Makes a topic.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// Makes a topic with a configuration of its own.
    pub fn create_topic_with(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let admin = self.admin();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let made = block_on(admin.create_topics([&topic], &AdminOptions::new()));
        made.expect("an answer").remove(0).expect("a topic");
    }

    /// Makes a topic with a name that begins with `stem` and gives the name.
    pub fn topic(&self, stem: &str, partitions: i32) -> String {
        let name = unique(stem);
        self.create_topic(&name, partitions);
        name
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) {
        let admin = self.admin();
        let deleted = block_on(admin.delete_topics(&[name], &AdminOptions::new()));
        deleted.expect("an answer").remove(0).expect("deleted");
    }

    /// Adds partitions until there are `partitions`.
    pub fn grow_topic(&self, name: &str, partitions: usize) {
        let admin = self.admin();
        let more = rdkafka::admin::NewPartitions::new(name, partitions);
        let grown = block_on(admin.create_partitions([&more], &AdminOptions::new()));
        grown.expect("an answer").remove(0).expect("more partitions");
    }

    /// What a group has committed for a topic's first partition.
    pub fn committed(&self, group: &str, topic: &str) -> Option<i64> {
        self.committed_in(group, topic, 0)
    }

    /// What a group has committed for a partition.
    pub fn committed_in(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.committed_beside(group, topic, partition).map(|(offset, _)| offset)
    }

    /// The offset that a group has committed for a topic's one partition, and what stands beside it.
    pub fn committed_with_metadata(&self, group: &str, topic: &str) -> Option<(i64, String)> {
        self.committed_beside(group, topic, 0)
    }

    fn committed_beside(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let mut config = self.client();
        let consumer: BaseConsumer = config.set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = consumer.committed_offsets(list, TIMEOUT).expect("an answer");
        let element = &committed.elements()[0];
        match element.offset() {
            Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
            _ => None,
        }
    }

    /// How many members a group has.
    pub fn members(&self, group: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        let groups = consumer.fetch_group_list(Some(group), TIMEOUT).expect("an answer");
        groups.groups().iter().map(|group| group.members().len()).sum()
    }

    /// Deletes a partition's records before `offset`.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        let admin = self.admin();
        block_on(admin.delete_records(&list, &AdminOptions::new())).expect("deleted");
    }

    /// Writes records and waits until the broker has them all.
    pub fn produce<R: Into<Record>>(
        &self,
        topic: &str,
        partition: i32,
        records: impl IntoIterator<Item = R>,
    ) {
        let producer = self.producer(&[]);
        send(&producer, topic, partition, records);
        flush(&producer);
    }

    /// Writes each of `batches` in a transaction; `false` aborts it.
    pub fn produce_in_transactions(
        &self,
        topic: &str,
        partition: i32,
        batches: &[(&[&str], bool)],
    ) {
        let producer = self.producer(&[("transactional.id", &unique("tx"))]);
        producer.init_transactions(TIMEOUT).expect("transactions");
        for (records, commit) in batches {
            producer.begin_transaction().expect("begun");
            send(&producer, topic, partition, records.iter().copied());
            flush(&producer);
            if *commit {
                producer.commit_transaction(TIMEOUT).expect("committed");
            } else {
                producer.abort_transaction(TIMEOUT).expect("aborted");
            }
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("reconnect.backoff.max.ms", "200");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    fn producer(&self, properties: &[(&str, &str)]) -> BaseProducer<Deliveries> {
        let mut config = self.client();
        config.set("linger.ms", "0").set("acks", "all").set("enable.idempotence", "true");
        for (key, value) in properties {
            config.set(*key, *value);
        }
        config.create_with_context(Deliveries::default()).expect("a producer")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.undertaker.stdin.take());
        self.undertaker.wait().expect("the broker's end");
    }
}

/// Notes the records that could not be written.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<String>>>);

impl ClientContext for Deliveries {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().expect("no panic").push(error.to_string());
        }
    }
}

fn send<R: Into<Record>>(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    partition: i32,
    records: impl IntoIterator<Item = R>,
) {
    for record in records {
        let Record { payload, key, headers, timestamp } = record.into();
        let mut owned = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in &headers {
            owned = owned.insert(rdkafka::message::Header { key, value: Some(value) });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        if owned.count() > 0 {
            record = record.headers(owned);
        }
        record.payload = payload.as_deref();
        record.key = key.as_deref();
        record.timestamp = timestamp;
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(rdkafka::types::RDKafkaErrorCode::QueueFull),
                "{error}"
            );
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
}

fn flush(producer: &BaseProducer<Deliveries>) {
    producer.flush(TIMEOUT).expect("delivered");
    let failed = producer.context().0.lock().expect("no panic");
    assert!(failed.is_empty(), "not delivered: {failed:?}");
}

/// Runs a future to its end, from within a runtime or without one.
fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

/// The broker's jars, downloaded by the first test that needs them.
fn distribution() -> PathBuf {
    for tool in ["java", "mvn"] {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
        assert!(
            found.is_ok_and(|found| found.status.success()),
            "These tests run against a real Kafka and need `{tool}`: install a Java runtime \
             (17 or newer) and Maven, in Debian `apt-get install default-jre-headless maven`."
        );
    }
    let directory = std::env::var_os("KREPLAY_KAFKA_DIST")
        .map_or_else(|| Path::new(super::ROOT).join("target/kafka-dist"), PathBuf::from);
    run(Command::new(SCRIPT).arg("get").arg(&directory));
    directory
}

/// Runs a command and gives what it prints.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("bash");
    if !output.status.success() {
        let _ = std::io::stderr().write_all(&output.stderr);
        panic!("{command:?} failed: {}", output.status);
    }
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
