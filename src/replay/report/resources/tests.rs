use serde_json::json;

use super::*;

/// A time in 2026.
const AT: i64 = 1_780_000_000_000;

fn row(view: &str, row: Value) -> StatisticsRow {
    let Value::Object(row) = row else { panic!("no object: {row}") };
    StatisticsRow::read(view, &row).expect("a row that is told apart")
}

fn database(name: &str, commits: f64, reset: Option<&str>) -> StatisticsRow {
    let (oid, backends) = (16_384, commits);
    row(
        DATABASES,
        json!({"datid": oid, "datname": name, "numbackends": backends, "xact_commit": commits,
            "blk_read_time": 0.25, "checksum_failures": null, "stats_reset": reset}),
    )
}

fn spent(spending: &Spending, view: &str, counter: &str) -> Option<f64> {
    spending.resources()?.get(view)?.get(counter).copied()
}

#[test]
fn what_was_counted_before_the_run_is_taken_off() {
    let mut spending = Spending::default();
    assert_eq!(spending.resources(), None);
    spending.replays_to("app");
    spending.read(vec![database("app", 100.0, None), database("other", 5.0, None)], AT);
    assert_eq!((spending.resources(), spending.notes()), (None, Vec::new()));
    spending.read(vec![database("app", 130.0, None), database("other", 50.0, None)], AT);
    spending.read(vec![database("app", 142.0, None), database("other", 500.0, None)], AT);

    let resources = spending.resources().expect("it was read");
    let expected = [("xact_commit".to_owned(), 42.0), ("blk_read_time".to_owned(), 0.0)];
    assert_eq!(resources[DATABASES], BTreeMap::from(expected));
    assert_eq!(spending.notes(), [OWN_WORK]);
    assert_eq!(spending.period().gap, None);
}

#[test]
fn the_databases_that_are_replayed_to_count_together() {
    let mut spending = Spending::default();
    spending.read(vec![database("a", 100.0, None), database("b", 10.0, None)], AT);
    spending.replays_to("a");
    spending.replays_to("b");
    spending.read(vec![database("a", 101.0, None), database("b", 12.0, None)], AT);
    assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(3.0));
}

#[test]
fn a_database_that_is_made_during_the_run_counts_from_its_beginning() {
    let mut spending = Spending::default();
    spending.replays_to("new");
    spending.read(vec![database("app", 100.0, None)], AT);
    spending.read(vec![database("app", 100.0, None), database("new", 7.0, None)], AT);
    assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(7.0));
}

#[test]
fn counters_that_were_reset_are_said_and_never_shown_as_less_than_nothing() {
    for reset in [None, Some("2026-11-30 14:05:00+00")] {
        let mut spending = Spending::default();
        spending.replays_to("app");
        spending.read(vec![database("app", 100.0, None)], AT);
        spending.read(vec![database("app", 110.0, None)], AT);
        // With a reset that is told, it may have come to more by now.
        let now = if reset.is_some() { 400.0 } else { 4.0 };
        spending.read(vec![database("app", now, reset)], AT);
        assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(10.0 + now));
        let notes = spending.notes();
        assert!(notes.len() == 2 && notes[1].starts_with("pg_stat_database: "), "{notes:?}");
    }
}

#[test]
fn what_is_read_and_written_is_told_apart_by_kind_of_process() {
    let io = |kind: &str, context: &str, reads: u64| {
        row(
            "pg_stat_io",
            json!({"backend_type": kind, "object": "relation", "context": context,
                "reads": reads, "writes": null, "op_bytes": 8192, "stats_reset": "then"}),
        )
    };
    let read = |client, vacuum| {
        vec![
            io("client backend", "normal", client),
            io("client backend", "bulkread", 2 * client),
            io("autovacuum worker", "vacuum", vacuum),
        ]
    };
    let mut spending = Spending::default();
    spending.read(read(10, 5), AT);
    spending.read(read(30, 5), AT);
    let resources = spending.resources().expect("it was read");
    let expected = BTreeMap::from([("reads".to_owned(), 60.0)]);
    assert_eq!(resources, Resources::from([("pg_stat_io (client backend)".to_owned(), expected)]));
}

#[test]
fn one_reading_tells_nothing_and_says_why_there_is_no_other() {
    // Nobody could log in, or the target was gone at the end.
    for fails_first in [true, false] {
        let mut spending = Spending::default();
        spending.replays_to("app");
        if fails_first {
            spending.fails("refused");
        }
        spending.read(vec![database("app", 100.0, None)], AT);
        if !fails_first {
            spending.fails("refused");
        }
        assert_eq!(spending.resources(), None);
        assert_eq!(
            spending.notes(),
            [
                "statistics: read at 2026-05-28T20:26:40.000Z alone: refused",
                "pg_stat_statements: refused"
            ]
        );
        let period = spending.period();
        assert_eq!((period.until, period.gap.as_deref()), (None, Some("refused")));
    }
}

#[test]
fn readings_that_leave_out_the_beginning_or_the_end_say_what_they_are_of() {
    let mut spending = Spending::default();
    spending.replays_to("app");
    spending.fails("too early");
    spending.read(vec![database("app", 100.0, None)], AT);
    // What fails in between is made up for.
    spending.fails("busy");
    spending.read(vec![database("app", 107.0, None)], AT + 60_000);
    let of = "only from 2026-05-28T20:26:40.000Z to 2026-05-28T20:27:40.000Z";
    assert_eq!(spending.notes()[0], format!("statistics: {of}: too early"));
    assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(7.0));

    spending.fails("gone");
    assert_eq!(
        spending.notes()[0],
        format!("statistics: {of}: at first, too early; at last, gone")
    );
    let period = spending.period();
    assert_eq!(period.since.as_deref(), Some("2026-05-28T20:26:40.000Z"));
    assert_eq!(period.until.as_deref(), Some("2026-05-28T20:27:40.000Z"));
    assert_eq!(period.gap.as_deref(), Some("at first, too early; at last, gone"));
}

#[test]
fn statistics_that_could_never_be_read_are_said_once() {
    let mut spending = Spending::default();
    spending.fails("refused");
    spending.fails("refused");
    assert_eq!(
        (spending.resources(), spending.notes()),
        (None, vec!["statistics: refused".into()])
    );
}

#[test]
fn statements_are_read_of_all_databases_first_and_then_of_those_that_are_replayed_to() {
    let mut spending = Spending::default();
    assert_eq!(spending.databases_of_statements(), None);
    spending.read(Vec::new(), AT);
    spending.read_statements(Vec::new(), AT);
    spending.replays_to("app");
    assert_eq!(spending.databases_of_statements(), Some(vec!["app".to_owned()]));
}
