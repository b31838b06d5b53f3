//! Transactions that see a snapshot which another one has exported.

use super::{Case, Replayed};

#[test]
fn the_workers_of_a_dump_see_the_snapshot_of_its_leader() {
    Case::new("pg_dump_jobs").check(|replayed| {
        replayed.all_same();
        let skipped = &replayed.finished.report["records"]["skipped"]["total"];
        assert_eq!(*skipped, 0, "{}", replayed.finished);
    });
}

/// What each transaction saw of three commits, and what became of the imports of a snapshot whose
/// exporter is not in the log: alone in its string, and within one.
fn as_on_the_source(replayed: &Replayed) {
    replayed
        .all_same()
        .rows("select * from seen order by who", &["b|1", "c|1", "e|3", "f|4", "g|4"]);
    let skipped = &replayed.finished.report["records"]["skipped"];
    assert_eq!(skipped["total"], 1, "{}", replayed.finished);
    assert_eq!(skipped["reasons"]["unknown_snapshot"], 1, "{}", replayed.finished);
}

#[test]
fn an_exported_snapshot_shows_what_it_showed_on_the_source() {
    Case::new("exported_snapshots").check(as_on_the_source);
}

#[test]
fn an_exported_snapshot_is_mapped_where_statements_are_logged_at_their_start() {
    Case::new("exported_snapshots_start_logged").version(18).check(as_on_the_source);
}

/// With parameters whose types may have to be guessed, and by EXECUTE. Imports that the source refused
/// for their isolation level, or since the exporter had ended, are refused for the same.
#[test]
fn a_snapshot_is_exported_by_whatever_calls_the_function() {
    Case::new("exports_with_parameters").check(|replayed| {
        replayed
            .all_same()
            .rows("select id from a order by id", &["1", "2", "3", "4", "5", "6", "7"])
            .rows(
                "select * from seen order by ids",
                &["parameter|1", "again|3", "execute|5", "execute again|6"],
            );
    });
}

/// The log ends the exporter's connection on the target alone. Its snapshot is another then, or there
/// is none; what asked for it is run all the same.
#[test]
fn a_snapshot_that_goes_with_its_exporters_connection_dooms_no_transaction() {
    Case::new("exporter_lost").check(|replayed| {
        let report = &replayed.finished.report;
        assert_eq!(report["outcomes"]["new_error"].as_u64().unwrap_or_default(), 0);
        assert_eq!(report["records"]["pending"], 0, "{}", replayed.finished);
        replayed.rows("select who from seen order by who", &["b", "c", "e", "f", "g"]);
    });
}
