use std::sync::Arc;

use super::*;
use crate::pglog::statement::{Failure, Protocol};
use crate::replay::work::End;

fn outgoing(sql: &str, end: End) -> Outgoing {
    let work: Arc<Work> = crate::replay::session::tests::work(1, sql, Protocol::Simple, end);
    Outgoing::of(&work, &Backends::default(), &Snapshots::default())
}

fn ok() -> End {
    End { source: SourceEnd::Succeeded, ..End::default() }
}

fn failed(code: &str) -> End {
    let failure = Failure { code: code.parse().expect("a SQLSTATE"), after_ms: None, part: None };
    End { source: SourceEnd::Failed(failure.code), failure: Some(failure), ..End::default() }
}

#[test]
fn a_statement_that_names_nothing_of_the_source_is_sent_as_it_is() {
    assert_eq!(outgoing("select 1", ok()), Outgoing::Own);
}

#[test]
fn a_signal_to_a_backend_that_no_session_had_is_withheld() {
    let withheld = Outgoing::Withheld(Skipped::UnknownPid, 0);
    assert_eq!(outgoing("select pg_cancel_backend(4711)", ok()), withheld);
}

const IMPORT: &str = "set transaction snapshot '00000003-0000001B-1'";

#[test]
fn an_import_of_a_snapshot_that_stands_for_nothing_is_withheld_or_left_out_and_counted() {
    let withheld = Outgoing::Withheld(Skipped::UnknownSnapshot, 1);
    assert_eq!(outgoing(IMPORT, ok()), withheld);
    assert_eq!(withheld.left_out(), 1);
    let Outgoing::Rewritten(sql, 1) = outgoing(&format!("{IMPORT}; select 1"), ok()) else {
        panic!("what is beside it is sent");
    };
    assert!(!sql.contains("snapshot") && sql.contains("select 1"), "{sql}");
}

#[test]
fn an_import_that_failed_on_the_source_is_sent_as_it_was_and_fails_here() {
    for code in ["22023", "42704", "25001"] {
        assert_eq!(outgoing(IMPORT, failed(code)), Outgoing::Rewritten(IMPORT.to_owned(), 0));
    }
}
