use serde_json::json;

use super::*;

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
    spending.read(vec![database("app", 100.0, None), database("other", 5.0, None)]);
    spending.read(vec![database("app", 130.0, None), database("other", 50.0, None)]);
    spending.read(vec![database("app", 142.0, None), database("other", 500.0, None)]);

    let resources = spending.resources().expect("it was read");
    let expected = [("xact_commit".to_owned(), 42.0), ("blk_read_time".to_owned(), 0.0)];
    assert_eq!(resources[DATABASES], BTreeMap::from(expected));
    assert_eq!(spending.notes(), [""; 0]);
}

#[test]
fn the_databases_that_are_replayed_to_count_together() {
    let mut spending = Spending::default();
    spending.read(vec![database("a", 100.0, None), database("b", 10.0, None)]);
    spending.replays_to("a");
    spending.replays_to("b");
    spending.read(vec![database("a", 101.0, None), database("b", 12.0, None)]);
    assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(3.0));
}

#[test]
fn a_database_that_is_made_during_the_run_counts_from_its_beginning() {
    let mut spending = Spending::default();
    spending.replays_to("new");
    spending.read(vec![database("app", 100.0, None)]);
    spending.read(vec![database("app", 100.0, None), database("new", 7.0, None)]);
    assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(7.0));
}

#[test]
fn counters_that_were_reset_are_said_and_never_shown_as_less_than_nothing() {
    for reset in [None, Some("2026-11-30 14:05:00+00")] {
        let mut spending = Spending::default();
        spending.replays_to("app");
        spending.read(vec![database("app", 100.0, None)]);
        spending.read(vec![database("app", 110.0, None)]);
        // With a reset that is told, it may have come to more by now.
        let now = if reset.is_some() { 400.0 } else { 4.0 };
        spending.read(vec![database("app", now, reset)]);
        assert_eq!(spent(&spending, DATABASES, "xact_commit"), Some(10.0 + now));
        let notes = spending.notes();
        assert!(notes.len() == 1 && notes[0].starts_with("pg_stat_database: "), "{notes:?}");
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
    spending.read(read(10, 5));
    spending.read(read(30, 5));
    let resources = spending.resources().expect("it was read");
    let expected = BTreeMap::from([("reads".to_owned(), 60.0)]);
    assert_eq!(resources, Resources::from([("pg_stat_io (client backend)".to_owned(), expected)]));
}

#[test]
fn what_is_not_to_be_had_is_said_until_it_is() {
    let mut spending = Spending::default();
    spending.misses("statistics", "refused");
    assert_eq!(spending.notes(), ["statistics: refused"]);
    spending.has("statistics");
    assert_eq!(spending.notes(), [""; 0]);
}
