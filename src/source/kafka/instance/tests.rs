use super::*;
use crate::source::kafka::{OnGap, Property, Start};

fn with(membership: Membership, group_id: &str, properties: &[(&str, &str)]) -> KafkaSettings {
    KafkaSettings {
        brokers: vec!["a:1".into()],
        topic: "log".into(),
        group_id: group_id.into(),
        membership,
        start: Start::Earliest,
        reset: false,
        on_gap: OnGap::Stop,
        until_end: false,
        properties: properties.iter().map(|(key, value)| Property::new(*key, *value)).collect(),
        commits: true,
    }
}

#[test]
fn a_member_is_named_after_its_group_and_its_host_in_what_a_broker_takes() {
    let of = |group: &str, host: &str| name(&with(Membership::OfHost, group, &[]), host).unwrap();
    assert_eq!(of("kreplay_log", "db-1.example"), "kreplay_log-db-1.example");
    assert_eq!(of("our group/é", "host"), "our-group---host");
    let long = of(&"g".repeat(300), "host");
    assert!(long.len() == LONGEST && long.ends_with("gg-host"), "{long}");
    assert!(long.parse::<Membership>().is_ok());
}

#[test]
fn what_is_given_goes_before_that_and_off_makes_it_a_new_member() {
    let named = |text: &str, properties: &[(&str, &str)]| {
        name(&with(text.parse().unwrap(), "group", properties), "host")
    };
    assert_eq!(named("left", &[]), Some("left".to_owned()));
    assert_eq!(named("off", &[]), None);
    // Who dies there keeps its place until its session has timed out.
    let brokers = [("group.protocol", "consumer")];
    assert_eq!(name(&with(Membership::OfHost, "group", &brokers), "host"), None);
    assert_eq!(named("left", &brokers), Some("left".to_owned()));
}

#[test]
fn a_name_that_a_broker_would_refuse_is_refused() {
    for text in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(LONGEST + 1)] {
        assert!(text.parse::<Membership>().is_err(), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_on_one_host_do_not_claim_one_name_and_a_name_is_free_again_behind_its_member() {
    let settings = with(Membership::OfHost, &format!("group-{}", std::process::id()), &[]);
    let first = Claim::of(&settings, "one").unwrap();
    assert!(first.is_some());
    assert!(Claim::of(&settings, "one").unwrap().is_none());
    assert!(Claim::of(&settings, "two").unwrap().is_some());
    let elsewhere = KafkaSettings { brokers: vec!["b:1".into()], ..settings.clone() };
    assert!(Claim::of(&elsewhere, "one").unwrap().is_some());
    drop(first);
    assert!(Claim::of(&settings, "one").unwrap().is_some());
}
