use serde_json::{Value, json};

use super::*;
use crate::compare::report::tests::{report, shape};

/// A report of a minute that was counted for all of it.
fn counted(resources: Value) -> Value {
    let mut json = report(json!([shape("a1", &[10.0; 40])]));
    json["resources"] = resources;
    json["resource_period"] =
        json!({ "since": "2026-11-30T10:00:00Z", "until": "2026-11-30T10:01:00Z", "gap": null });
    json
}

fn between(baseline: &Value, candidate: &Value) -> Spent {
    let read = |it: &Value| ReplayReport::read(&it.to_string()).unwrap();
    Spent::of(&read(baseline), &read(candidate))
}

/// The counters of a target that ran so many transactions.
fn spent(transactions: f64, wal_bytes: f64) -> Value {
    json!({
        "pg_stat_database": { "xact_commit": transactions, "xact_rollback": 0.0 },
        "pg_stat_wal": { "wal_bytes": wal_bytes },
    })
}

#[test]
fn what_the_targets_spent_on_the_whole_log_stands_side_by_side_as_it_is() {
    let before = counted(json!({ "pg_stat_wal": { "wal_bytes": 100.0, "wal_sync": 1.0 } }));
    let after = counted(json!({ "pg_stat_wal": { "wal_bytes": 250.0 } }));
    let both = between(&before, &after);
    let bytes = Sides { baseline: Some(100.0), candidate: Some(250.0) };
    let wal = &both.views["pg_stat_wal"];
    assert_eq!(wal["wal_bytes"], Counter { sides: bytes, ratio: Some(2.5) });
    assert_eq!((wal["wal_sync"].sides.candidate, wal["wal_sync"].ratio), (None, None));
    assert_eq!((both.ratios, both.notes.len()), (Ratios::Run, 0));
    assert_eq!(both.in_words().unwrap(), "WAL 100 B → 250 B (×2.50)");
    assert_eq!(both.periods.candidate.seconds, Some(60.0));
}

#[test]
fn what_a_target_spent_on_a_part_is_compared_by_transaction() {
    let whole = counted(spent(1000.0, 5000.0));
    let mut part = counted(spent(200.0, 2000.0));
    part["resource_period"]["since"] = json!("2026-11-30T10:00:48Z");
    part["resource_period"]["gap"] = json!("nobody could log in");
    let both = between(&whole, &part);
    assert_eq!(both.ratios, Ratios::Transaction);
    assert_eq!(both.views["pg_stat_wal"]["wal_bytes"].ratio, Some(2.0));
    let said = "counted for the whole run in the baseline, 12 s of 60 s in the candidate: ratios are per \
                transaction";
    assert_eq!(both.notes, [said]);
    // Without transactions nothing says of how much work it is.
    part["resources"]["pg_stat_database"] = json!({});
    let both = between(&whole, &part);
    assert_eq!((both.ratios, both.views["pg_stat_wal"]["wal_bytes"].ratio), (Ratios::None, None));
    assert!(both.notes[0].contains("have no ratios"), "{:?}", both.notes);
    // Neither does a report that has no period.
    part.as_object_mut().unwrap().remove("resource_period");
    assert!(between(&whole, &part).notes[0].contains("a time that is not known"));
}

#[test]
fn a_report_of_a_replay_that_runs_is_of_the_time_up_to_its_last_reading() {
    let whole = counted(spent(1000.0, 5000.0));
    let mut running = whole.clone();
    running["now"] = json!({ "ready": true });
    assert_eq!(between(&whole, &running).ratios, Ratios::Run);
    running["resource_period"]["until"] = json!("2026-11-30T10:00:50Z");
    let both = between(&whole, &running);
    assert!(both.notes[0].contains("50 s of 60 s in the candidate"), "{:?}", both.notes);
    // Once it has ended, what came behind the last reading is no statement.
    running["now"] = json!(null);
    assert_eq!(between(&whole, &running).ratios, Ratios::Run);
}

#[test]
fn what_goes_by_the_clock_is_said_where_one_run_took_longer() {
    let short = counted(spent(1000.0, 5000.0));
    let mut long = short.clone();
    long["until"] = json!("2026-11-30T10:02:00Z");
    long["resource_period"]["until"] = json!("2026-11-30T10:02:00Z");
    let both = between(&short, &long);
    assert_eq!(both.ratios, Ratios::Run);
    assert!(both.notes[0].contains("60 s in the baseline, 120 s in"), "{:?}", both.notes);
}

#[test]
fn what_was_spent_on_a_shape_is_compared_by_call() {
    let of = |value: Value| value.as_object().unwrap().clone();
    let before = of(json!({ "calls": 100.0, "wal_bytes": 1000.0, "jit_ms": null }));
    let after = of(json!({ "calls": 50.0, "wal_bytes": 1000.0, "jit_ms": 3.0 }));
    let both = of_shape(Some(&before), Some(&after));
    assert_eq!((both["wal_bytes"].ratio, both["calls"].ratio), (Some(2.0), Some(0.5)));
    let jit = Sides { baseline: None, candidate: Some(3.0) };
    assert_eq!(both["jit_ms"], Counter { sides: jit, ratio: None });
    assert!(of_shape(None, None).is_empty());
    assert_eq!(of_shape(Some(&before), None)["wal_bytes"].ratio, None);
}

#[test]
fn what_the_reports_could_not_tell_is_passed_on() {
    let noted = |notes: Value| {
        let mut json = counted(spent(1.0, 1.0));
        json["resource_notes"] = notes;
        json
    };
    let both = between(&noted(json!(["a", "b"])), &noted(json!(["b", "c"])));
    assert_eq!(
        both.notes,
        ["the baseline's target: a", "both targets: b", "the candidate's target: c"]
    );
}

#[test]
fn numbers_that_no_server_counts_are_no_ratio() {
    let both = between(&counted(spent(1.0, 1e-300)), &counted(spent(1.0, 1e300)));
    assert_eq!(both.views["pg_stat_wal"]["wal_bytes"].ratio, None);
}
