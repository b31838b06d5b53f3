use super::*;
use crate::replay::ledger::{Filtered, GivenUp, Skipped};

/// What `record` leaves in a scrape of a recorder of its own.
fn scrape(record: impl FnOnce()) -> String {
    let recorder = builder().unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        describe_and_touch();
        record();
    });
    handle.render()
}

fn value(scrape: &str, series: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{scrape}")).parse().unwrap()
}

#[test]
fn every_metric_is_there_at_the_start_with_help_and_type() {
    let scrape = scrape(|| ());
    // Known only when the topic, or the first bad record, is.
    let later = ["partition"];
    for metric in ALL {
        let known = metric.name != RECORDS_REJECTED.name
            && !metric.labels.iter().any(|label| later.contains(label));
        assert_eq!(scrape.contains(&format!("# HELP {} ", metric.name)), known, "{metric:?}");
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let kind = format!("# TYPE {} {kind}\n", metric.name);
        assert_eq!(scrape.contains(&kind), known, "{metric:?}");
    }
    assert_eq!(value(&scrape, "kreplay_records_skipped_total{reason=\"copy_data\"}"), 0.0);
    assert_eq!(value(&scrape, "kreplay_statements_total{outcome=\"new_error\"}"), 0.0);
    assert_eq!(value(&scrape, "kreplay_statement_target_seconds_count"), 0.0);
    assert!(value(&scrape, "process_start_time_seconds") > 1.7e9);
    assert!(value(&scrape, "process_resident_memory_bytes") > 1e5);
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for metric in ALL {
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{metric:?}");
        let seconds = metric.name.trim_end_matches("_total").ends_with("_seconds");
        assert_eq!(seconds, metric.unit == Unit::Seconds, "{metric:?}");
        assert!(metric.name.starts_with("kreplay_") || metric.name.starts_with("process_"));
    }
}

#[test]
fn the_ledger_balances_in_a_scrape() {
    let mut ledger = crate::replay::ledger::Ledger::new();
    ledger.consume(10);
    ledger.settle_many(Fate::Replayed, 4);
    ledger.settle(Fate::Failed);
    ledger.settle(Fate::Filtered(Filtered::Noise));
    ledger.settle(Fate::Skipped(Skipped::Truncated));
    ledger.settle(Fate::Rejected("columns"));
    ledger.settle(Fate::GivenUp(GivenUp::ConnectionLost));
    let scrape = scrape(|| publish_ledger(&ledger));
    let fates: f64 = Fate::LABELS
        .iter()
        .map(|fate| value(&scrape, &format!("kreplay_records_total{{fate=\"{fate}\"}}")))
        .sum();
    let pending = value(&scrape, "kreplay_records_pending");
    assert_eq!((fates, pending), (9.0, 1.0));
    assert_eq!(value(&scrape, "kreplay_records_consumed_total"), fates + pending);
    assert_eq!(value(&scrape, "kreplay_records_rejected_total{reason=\"columns\"}"), 1.0);
}

#[test]
fn statements_are_sorted_into_buckets_and_outcomes() {
    let scrape = scrape(|| {
        let statements = Statements::new();
        let ms = Duration::from_millis;
        statements.ran(Some(ms(3)), ms(7), Outcome::Same);
        statements.ran(None, ms(70_000), Outcome::NewError);
    });
    let target = |le: &str| {
        value(&scrape, &format!("kreplay_statement_target_seconds_bucket{{le=\"{le}\"}}"))
    };
    assert_eq!((target("0.005"), target("0.01"), target("60"), target("+Inf")), (0., 1., 1., 2.));
    assert_eq!(value(&scrape, "kreplay_statement_source_seconds_count"), 1.0);
    assert_eq!(value(&scrape, "kreplay_statements_total{outcome=\"new_error\"}"), 1.0);
}

#[test]
fn delays_are_sorted_into_buckets_of_their_own() {
    let scrape = scrape(|| Statements::new().started(Duration::from_micros(1900)));
    let delay =
        |le: &str| value(&scrape, &format!("kreplay_schedule_delay_seconds_bucket{{le=\"{le}\"}}"));
    assert_eq!((delay("0.0015"), delay("0.002"), delay("3600")), (0.0, 1.0, 1.0));
}

#[test]
fn the_lag_of_a_partition_is_what_was_not_read_of_it() {
    let at =
        Partition { partition: 3, position: Some(40), high_watermark: Some(42), committed: None };
    let scrape = scrape(|| partition(&at));
    assert_eq!(value(&scrape, "kreplay_consumer_lag{partition=\"3\"}"), 2.0);
    assert!(!scrape.contains("kreplay_consumer_committed_offset{"));
}

#[test]
fn the_readme_has_every_metric_with_its_labels_and_their_values() {
    let readme = include_str!("../../README.md");
    for metric in ALL {
        let start =
            format!("| `{}` | {} |", metric.name, format!("{:?}", metric.kind).to_lowercase());
        let row = readme.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("README.md has no row {start}"));
        assert!(metric.labels.iter().all(|label| row.contains(&format!("`{label}`"))), "{row}");
    }
    let labels = (Outcome::ALL.iter().map(|value| ("outcome", value.label())))
        .chain(SessionState::ALL.iter().map(|value| ("state", value.label())))
        .chain(Fate::LABELS.iter().map(|fate| ("fate", *fate)))
        .chain(Filtered::ALL.iter().map(|value| ("filtered", value.label())))
        .chain(Skipped::ALL.iter().map(|value| ("skipped", value.label())))
        .chain(GivenUp::ALL.iter().map(|value| ("given_up", value.label())));
    for (kind, value) in labels {
        assert!(readme.contains(&format!("| `{kind}` | `{value}` |")), "{kind} {value}");
    }
    for reason in Eviction::ALL {
        assert!(readme.contains(&format!("eviction `reason` | `{}` |", reason.label())));
    }
    for reason in StallBreak::ALL {
        assert!(readme.contains(&format!("`reason` | `{}` |", reason.label())), "{reason:?}");
    }
}
