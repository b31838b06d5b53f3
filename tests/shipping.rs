//! A live csvlog on its way to Kafka, with the configurations in `dist/`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use testkit::fixture::csv_records;
use testkit::kafka;
use testkit::postgres::Server;
use testkit::rsyslog::Rsyslog;

const PATIENCE: Duration = Duration::from_secs(60);

/// A source with the settings that kreplay recommends.
fn source() -> Server {
    Server::start_with(15, |data| {
        let recommended = include_str!("../dist/postgresql-source.conf");
        let configuration = data.join("postgresql.conf");
        let own = fs::read_to_string(&configuration).expect("a postgresql.conf");
        fs::write(configuration, own + recommended).expect("it can be written");
    })
}

/// The records of a server's csvlog.
fn records(log_directory: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(log_directory)
        .expect("a log directory")
        .map(|entry| entry.expect("an entry of it").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    files.sort();
    files.iter().flat_map(|file| csv_records(&fs::read(file).expect("a log file"))).collect()
}

/// Key and value of the first `count` records of a topic's only partition.
fn shipped(broker: &str, topic: &str, count: usize, rsyslog: &Rsyslog) -> Vec<(Vec<u8>, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("log_level", "0")
        .create()
        .expect("a consumer");
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&start).expect("the partition");
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count {
        assert!(
            Instant::now() < deadline,
            "{} of {count} records have come; rsyslogd: {}",
            records.len(),
            rsyslog.output()
        );
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            let record = record.expect("a record");
            records.push((
                record.key().unwrap_or_default().to_owned(),
                record.payload().unwrap_or_default().to_owned(),
            ));
        }
    }
    records
}

#[test]
fn rsyslog_ships_every_record_byte_for_byte_keyed_by_its_session() {
    let mut server = source();
    let broker = kafka::shared();
    let topic = broker.topic("shipping", 1);
    let log_directory = server.data().join("log");
    let rsyslog = Rsyslog::start(broker.address(), &topic, &log_directory);

    server.query("create database latin encoding 'LATIN1' template template0");
    let long_line = "x".repeat(100_000);
    let long_text = "a line of a hundred kilobytes\n".repeat(3_500);
    for text in [
        "a\nb\n\n\nc",
        "a\r\nb\r\n",
        "\n \n\t\n",
        "\\n is not a line feed",
        "\"quoted\", '' and, commas",
        "\u{1b}[1m\u{1}\u{7f}\u{85}\u{2028}",
        &long_line,
        &long_text,
    ] {
        let literal = text.replace('\'', "''");
        server.query(&format!("set standard_conforming_strings = on;\nselect length('{literal}')"));
    }
    // Texts stand in the log in the database's encoding: this one is not UTF-8.
    server.query_in(
        "latin",
        "set client_encoding = 'UTF8';\nselect 'äöü\nß', \"é\" from (select 1 as \"é\") as été",
    );

    server.stop();
    let expected = records(&log_directory);
    assert!(expected.iter().any(|record| std::str::from_utf8(record).is_err()));
    assert!(expected.iter().any(|record| record.len() > 100_000));
    let shipped = shipped(broker.address(), &topic, expected.len(), &rsyslog);
    for (number, (expected, (key, value))) in expected.iter().zip(&shipped).enumerate() {
        assert_eq!(
            expected.escape_ascii().to_string(),
            value.escape_ascii().to_string(),
            "record {number}"
        );
        let session = expected.split(|byte| *byte == b',').nth(5).expect("a session id");
        assert_eq!(key.escape_ascii().to_string(), session.escape_ascii().to_string());
    }
    assert_eq!(rsyslog.output(), "");
}
