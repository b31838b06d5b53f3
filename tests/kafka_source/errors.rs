//! What ends a run at once, and what does not.

use kreplay::check::broker::{Inspection, inspect};
use kreplay::check::findings::broker::Refusal;

use super::*;

async fn refused(settings: KafkaSettings) -> TopicError {
    let connecting = KafkaSource::connect(settings);
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    connected.expect("at once").expect_err("an error")
}

#[tokio::test]
async fn an_unknown_topic_is_an_error_at_once() {
    let broker = shared();
    let topic = unique("nowhere");
    let error = refused(settings(broker, &topic)).await;
    assert!(matches!(error, TopicError::UnknownTopic { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&topic) && text.contains(broker.address()), "{text}");
}

#[tokio::test]
async fn a_topic_that_is_deleted_is_an_error() {
    let broker = shared();
    let topic = broker.topic("deleted", 1);
    let mut settings = settings(broker, &topic);
    settings.properties.push(Property::new("topic.metadata.refresh.interval.ms", "500"));
    let mut reader = Reader::connect(settings).await;
    reader.assigned().await;
    broker.delete_topic(&topic);
    let error = reader.read(|_| false).await.expect_err("an error");
    assert!(matches!(error, TopicError::UnknownTopic { .. }), "{error}");
}

#[tokio::test]
async fn an_unreachable_broker_is_tried_until_it_is_there() {
    let broker = Broker::start();
    let topic = broker.topic("patience", 1);
    broker.produce(&topic, 0, ["there"]);
    broker.kill();
    let mut connecting = tokio::spawn(KafkaSource::connect(settings(&broker, &topic)));
    let waited = tokio::time::timeout(Duration::from_secs(2), &mut connecting).await;
    assert!(waited.is_err(), "given up: {waited:?}");
    broker.restart();
    let source = tokio::time::timeout(PATIENCE, connecting).await.expect("in time");
    source.expect("no panic").expect("a connection");
}

#[tokio::test]
async fn a_wrong_password_is_an_error_at_once_and_is_not_in_its_text() {
    let broker = Broker::start_secure();
    let topic = broker.topic("secure", 1);
    broker.produce(&topic, 0, ["a"]);
    let with = |mechanism: &str, password: &str| KafkaSettings {
        brokers: vec![broker.sasl()],
        properties: [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "app"),
            ("sasl.password", password),
        ]
        .map(|(key, value)| Property::new(key, value))
        .into(),
        ..settings(&broker, &topic)
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let error = refused(with(mechanism, "hunter2")).await;
        assert!(matches!(error, TopicError::Authentication { .. }), "{error}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        let Inspection { facts: refused, .. } = inspect(&with(mechanism, "hunter2")).await;
        assert!(matches!(refused.reached, Err(Refusal::Authentication(_))), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        let looked = inspect(&with(mechanism, "app-secret")).await;
        let topic = looked.facts.reached.expect("the right password");
        assert!(topic.settings.is_ok() && topic.members.is_ok(), "{topic:?}");
        assert_eq!(looked.sample[0].payload, b"a");
        let mut reader = Reader::connect(with(mechanism, "app-secret")).await;
        assert_eq!(reader.records(1).await, [facts(0, 0, "a")]);
    }
    // Over TLS, with a certificate authority that we don't know and then with the right one.
    let tls = |properties: &[(&str, &str)]| KafkaSettings {
        brokers: vec![broker.tls()],
        properties: [("security.protocol", "SSL")]
            .iter()
            .chain(properties)
            .map(|(key, value)| Property::new(*key, *value))
            .collect(),
        ..settings(&broker, &topic)
    };
    let error = refused(tls(&[])).await;
    assert!(matches!(error, TopicError::Authentication { .. }), "{error}");
    let authority = broker.certificates().join("ca.pem").display().to_string();
    let mut reader = Reader::connect(tls(&[("ssl.ca.location", &authority)])).await;
    assert_eq!(reader.records(1).await, [facts(0, 0, "a")]);
}

#[tokio::test]
async fn without_a_broker_a_run_still_ends_soon() {
    let broker = Broker::start();
    let topic = broker.topic("away", 1);
    broker.produce(&topic, 0, ["a"]);
    let mut reader = Reader::connect(settings(&broker, &topic)).await;
    reader.records(1).await;
    broker.kill();
    let commit = Commit { partition: 0, offset: 1, metadata: String::new() };
    let begun = Instant::now();
    let committed = reader.source.committer().commit(&[commit], CommitMode::Sync);
    assert!(matches!(committed, Err(TopicError::Client { .. })), "{committed:?}");
    drop(reader);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
