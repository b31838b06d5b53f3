use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::*;

#[test]
fn a_client_finds_the_topics_at_the_address_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker");
    let _cluster = start(&file, &["log".into()], 3).unwrap();
    let address = fs::read_to_string(&file).unwrap();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address.trim()).create().unwrap();
    let metadata = consumer.fetch_metadata(Some("log"), Duration::from_secs(10)).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let file = Path::new("/nowhere/broker");
    let error = start(file, &[], 1).err().unwrap().to_string();
    assert!(error.contains("--listen-file /nowhere/broker"), "{error}");
}
