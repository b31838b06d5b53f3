use super::*;

#[test]
fn what_is_shown_is_in_order_and_known_to_librdkafka() {
    assert!(SHOWN.is_sorted());
    let is_known = |key: &str| {
        let set = rdkafka::ClientConfig::new().set(key, "no such value").create_native_config();
        set.map_or_else(|error| !error.to_string().contains("No such configuration"), |_| true)
    };
    assert!(!is_known("no.such.key"));
    for key in SHOWN {
        assert!(is_known(key), "librdkafka knows no {key}");
    }
}

#[test]
fn the_value_of_a_setting_that_is_not_known_to_be_harmless_is_not_shown() {
    for key in [
        "sasl.password",
        "sasl.passwort",
        "sasl.username",
        "sasl.jaas.config",
        "sasl.kerberos.kinit.cmd",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.token.endpoint.url",
        "ssl.key.pem",
        "ssl.key.location",
        "plugin.library.paths",
        "",
        "x",
    ] {
        let shown = format!("{:?}", Property::new(key, "hunter2"));
        assert_eq!(shown, format!("{key}=***"));
    }
    for key in ["SASL.PASSWORD", "hunter2", "aHVudGVyMg"] {
        assert_eq!(format!("{:?}", Property::new(key, "=")), "***");
    }
}

#[test]
fn a_harmless_setting_is_shown_with_its_value() {
    for (key, value) in
        [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("debug", "cgrp,topic")]
    {
        assert_eq!(format!("{:?}", Property::new(key, value)), format!("{key}={value}"));
        assert!(Property::is_shown(&format!(" {key} ")), "librdkafka gets it without the blanks");
    }
}
