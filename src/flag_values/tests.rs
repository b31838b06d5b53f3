use super::*;

#[test]
fn a_duration_has_a_unit_and_no_sign() {
    assert_eq!(duration("5ms"), Ok(Duration::from_millis(5)));
    assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
    assert_eq!(duration("0"), Ok(Duration::ZERO));
    for wrong in ["5", "-5s", "", "fast", "5 ago"] {
        assert!(duration(wrong).unwrap_err().contains("unit"), "{wrong}");
    }
}

#[test]
fn a_moment_is_unix_seconds_or_a_timestamp_with_its_zone() {
    assert_eq!(moment("1763856000"), Ok(1_763_856_000_000));
    assert_eq!(moment("1763856000.25"), Ok(1_763_856_000_250));
    assert_eq!(moment("2025-11-23T00:00:00Z"), Ok(1_763_856_000_000));
    assert_eq!(moment("2025-11-23T01:00:00+01:00"), Ok(1_763_856_000_000));
    assert!(moment("1763856000000").unwrap_err().contains("milliseconds"));
    for wrong in ["", "-5", "nan", "inf", "yesterday", "2025-11-23T00:00:00"] {
        assert!(moment(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_size_has_one_meaning_for_each_unit_and_is_not_0() {
    assert_eq!((size("4096"), size("7 b")), (Ok(4096), Ok(7)));
    assert_eq!((size("256MiB"), size("64 mib")), (Ok(256 << 20), Ok(64 << 20)));
    assert_eq!((size("256MB"), size("1gb")), (Ok(256_000_000), Ok(1_000_000_000)));
    for wrong in ["0", "0MiB", "", "-1", "many", "5 apples"] {
        assert!(size(wrong).unwrap_err().contains("256MiB"), "{wrong}");
    }
}

#[test]
fn a_limit_of_0_is_none() {
    assert_eq!((limit("0"), limit("40")), (Ok(None), Ok(Some(40))));
    assert!(limit("-1").is_err());
}

#[test]
fn a_timeout_is_off_or_a_duration() {
    assert_eq!((timeout("off"), timeout("0"), timeout("0s")), (Ok(None), Ok(None), Ok(None)));
    assert_eq!(timeout("5s"), Ok(Some(Duration::from_secs(5))));
    assert!(timeout("on").is_err());
}

#[test]
fn a_share_is_written_in_percent_or_as_a_number() {
    assert_eq!(share("10%"), Ok(0.1));
    assert_eq!(share(" 5 % "), Ok(0.05));
    assert_eq!(share("0.2"), Ok(0.2));
    for wrong in ["0", "-1%", "", "%", "ten", "inf", "NaN"] {
        assert!(share(wrong).is_err(), "{wrong}");
    }
}
