use super::*;
use crate::source::kafka::{Membership, OnGap, Start};

fn with(properties: &[(&str, &str)]) -> KafkaSettings {
    let own = |(key, value): &(&str, &str)| Property::new(*key, *value);
    KafkaSettings {
        brokers: vec!["a:1".into(), "b:2".into()],
        topic: "pglog".into(),
        group_id: "kreplay_pglog".into(),
        membership: Membership::Named("one".into()),
        start: Start::Earliest,
        reset: false,
        on_gap: OnGap::Stop,
        until_end: false,
        properties: properties.iter().map(own).collect(),
        commits: true,
    }
}

#[test]
fn properties_of_the_command_line_have_the_last_word() {
    let config = configuration(&with(&[("client.id", "mine"), ("fetch.wait.max.ms", "7")]))
        .expect("a configuration");
    assert_eq!(config.get("client.id"), Some("mine"));
    assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
    assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
    assert_eq!(config.get("enable.auto.commit"), Some("false"));
}

#[test]
fn properties_that_would_lose_records_are_refused() {
    for (key, value) in [("enable.auto.commit", "true"), ("auto.offset.reset", "latest")] {
        let error = configuration(&with(&[(key, value)])).expect_err("refused");
        assert!(error.to_string().contains(key), "{error}");
    }
    configuration(&with(&[("enable.auto.commit", "false")])).expect("what we set anyway");
}

#[test]
fn an_unknown_property_is_named() {
    let error = consumer(&with(&[("no.such", "x")])).err().expect("refused");
    assert!(matches!(&error, TopicError::BadProperty { key, .. } if key == "no.such"));
}

#[test]
fn secrets_are_neither_in_debug_output_nor_in_errors() {
    let settings = with(&[
        ("sasl.password", "hunter2"),
        ("ssl.key.pem", "hunter2"),
        ("sasl.oauthbearer.client.secret", "hunter2"),
        ("client.rack", "app"),
        ("security.protocol", "hunter2"),
    ]);
    let error = consumer(&settings).err().expect("no such protocol");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let debug = format!("{:?}", with(&settings_without_protocol(&settings)));
    assert!(!debug.contains("hunter2"), "{debug}");
    assert!(debug.contains("app"), "{debug}");
}

fn settings_without_protocol(settings: &KafkaSettings) -> Vec<(&str, &str)> {
    let all = settings.properties.iter().map(|property| (&*property.key, property.value()));
    all.filter(|(key, _)| *key != "security.protocol").collect()
}
