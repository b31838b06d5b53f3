use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::pglog::statement::{Protocol, Statement};
use crate::replay::work::{End, Position, Seq};

const EXPORTER: SessionId = SessionId { start: 1, pid: 1 };

fn exporter() -> VirtualTransaction {
    VirtualTransaction::parse("3/30").expect("a transaction")
}

fn rewrite(snapshots: &Snapshots, sql: &str) -> (String, usize) {
    let Rewritten { sql, left_out } = snapshots.rewrite(sql, &Outline::of(sql));
    (sql, left_out)
}

fn import(identifier: &str) -> Arc<Work> {
    let sql = format!("set transaction snapshot '{identifier}'");
    let statement = Statement::new(&sql, Protocol::Simple);
    let at = Position { partition: 0, offset: 0, line: 0 };
    let session = SessionId { start: 2, pid: 2 };
    Arc::new(Work::new(Seq(1), at, session, statement, End::default()))
}

#[test]
fn an_import_gets_the_targets_identifier_while_the_exporter_lasts() {
    let snapshots = Snapshots::default();
    snapshots.export(EXPORTER, exporter(), ["x", "00000009-00000002-2", "0"]);
    let sql = "begin; SET TRANSACTION SNAPSHOT\n$$00000003-0000001E-2$$; select 1";
    let right = "begin; SET TRANSACTION SNAPSHOT\n'00000009-00000002-2'; select 1";
    assert_eq!(rewrite(&snapshots, sql), (right.to_owned(), 0));
    // The transaction is run again after a lost connection.
    snapshots.forget(EXPORTER);
    let without = ("begin; ; select 1".to_owned(), 1);
    assert_eq!(rewrite(&snapshots, sql), without);
    snapshots.export(EXPORTER, exporter(), ["0000000A-00000007-2"]);
    assert!(rewrite(&snapshots, sql).0.contains("'0000000A-00000007-2'"));
    snapshots.forget_imports_of(sql, &Outline::of(sql));
    assert_eq!(rewrite(&snapshots, sql), without);
    snapshots.export(EXPORTER, exporter(), ["0000000A-00000007-2"]);
    snapshots.end(VirtualTransaction::parse("3/31").expect("another"));
    assert_eq!(rewrite(&snapshots, sql).1, 0);
    snapshots.end(exporter());
    assert_eq!(rewrite(&snapshots, sql), without);
}

#[test]
fn a_snapshot_that_the_log_does_not_export_is_left_out_alone() {
    let snapshots = Snapshots::default();
    snapshots.export(EXPORTER, exporter(), ["00000009-00000002-1"]);
    for sql in [
        "set transaction snapshot '00000003-0000001E-2'",
        "set transaction snapshot '00000003-0000001e-1'",
        "set transaction snapshot ''",
    ] {
        assert_eq!(rewrite(&snapshots, sql), (String::new(), 1), "{sql}");
    }
}

#[test]
fn an_exporter_stays_until_what_was_read_has_seen_its_snapshot() {
    struct Woken(AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let snapshots = Snapshots::default();
    let (work, other) = (import("00000003-0000001E-1"), import("00000003-0000001E-2"));
    snapshots.await_import(&work);
    snapshots.await_import(&other);
    assert!(!snapshots.is_awaited(EXPORTER, &waker), "nothing is exported");
    let both = ["00000009-00000002-1", "00000009-00000002-2"];
    snapshots.export(EXPORTER, exporter(), both);
    assert!(snapshots.is_awaited(EXPORTER, &waker));
    // One has ended, the other will never be run.
    work.mark_reported();
    snapshots.import_ended();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(snapshots.is_awaited(EXPORTER, &waker));
    drop(other);
    assert!(!snapshots.is_awaited(EXPORTER, &waker));
    snapshots.import_ended();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
}
