use super::*;

fn ms(text: &str) -> i64 {
    LogTime::parse(text).unwrap_or_else(|| panic!("{text}")).unix_ms
}

#[test]
fn a_csvlog_time_is_read_to_the_millisecond() {
    let time = LogTime::parse("2026-11-22 15:32:20.435 UTC").unwrap();
    assert_eq!(time, LogTime { unix_ms: 1_795_361_540_435, zone_known: true });
}

#[test]
fn the_fraction_is_optional_and_cut_not_rounded() {
    let whole = ms("2026-11-22 15:32:20 UTC");
    assert_eq!(ms("2026-11-22T15:32:20.4Z"), whole + 400);
    assert_eq!(ms("2026-11-22T15:32:20.435999Z"), whole + 435);
    assert_eq!(ms("2026-11-22T15:32:20.43Z"), whole + 430);
}

#[test]
fn numeric_zones_count_east_of_greenwich() {
    let utc = ms("2026-11-22 15:30:39.165 UTC");
    assert_eq!(ms("2026-11-22 12:30:39.165 -03"), utc);
    assert_eq!(ms("2026-11-22 21:00:39.165 +05:30"), utc);
    assert_eq!(ms("2026-11-22 21:00:39.165 +0530"), utc);
    assert_eq!(ms("2026-11-22T21:00:39.165+05:30"), utc);
}

#[test]
fn an_ambiguous_abbreviation_is_read_as_utc_and_marked() {
    let time = LogTime::parse("2026-11-22 15:32:20.435 IST").unwrap();
    assert_eq!(time, LogTime { unix_ms: 1_795_361_540_435, zone_known: false });
    assert!(!LogTime::parse("2026-11-22 15:32:20.435").unwrap().zone_known);
}

#[test]
fn days_agree_with_a_calendar_library_over_nine_centuries() {
    let mut date = jiff::civil::date(1599, 12, 30);
    let epoch = jiff::civil::date(1970, 1, 1);
    for _ in 0..330_000 {
        let days = (date - epoch).get_days();
        let (y, m, d) = (date.year().into(), date.month().into(), date.day().into());
        assert_eq!(days_from_civil(y, m, d), i64::from(days));
        assert!(d <= days_in_month(y, m));
        date = date.tomorrow().unwrap();
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "2026-11-22",
        "2026-13-22 15:32:20.435 UTC",
        "2026-02-29 15:32:20.435 UTC",
        "2026-11-22 25:32:20.435 UTC",
        "2026-11-22 15:32:20. UTC",
        "2026-11-22 15:32:20.435 UTC and more",
        "2026-11-22 15:32:20.435 +5",
        "2026-11-22x15:32:20.435 UTC",
        "yyyy-mm-dd hh:mm:ss.mmm UTC",
    ] {
        assert_eq!(LogTime::parse(text), None, "{text}");
    }
}

#[test]
fn an_epoch_number_is_seconds_or_milliseconds() {
    assert_eq!(LogTime::from_epoch(1_795_361_540.435).unwrap().unix_ms, 1_795_361_540_435);
    assert_eq!(LogTime::from_epoch(1_795_361_540_435.0).unwrap().unix_ms, 1_795_361_540_435);
    assert_eq!(LogTime::from_epoch(f64::NAN), None);
    assert_eq!(LogTime::from_epoch(f64::INFINITY), None);
}
