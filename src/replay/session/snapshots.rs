//! Which snapshot of the target stands for which that the source exported.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::pglog::SessionId;
use crate::replay::work::Work;
use crate::sql::{Outline, SnapshotImport, VirtualTransaction, snapshot_imports, snapshot_number};

/// The exported snapshots by the source's identifiers. Shared by the sessions, of which one exports
/// what another asks to see; a std mutex, held for a look-up.
#[derive(Debug, Default)]
pub struct Snapshots {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the source's identifier.
    exported: HashMap<Box<str>, Exported>,
    /// What was read and asks to see a snapshot, by the source's identifier.
    awaited: HashMap<Box<str>, Vec<Weak<Work>>>,
    /// The sessions that stay until theirs have been seen.
    staying: Vec<Waker>,
}

#[derive(Debug)]
struct Exported {
    /// The target's identifier.
    target: Box<str>,
    session: SessionId,
    by: VirtualTransaction,
}

/// A text with the target's identifiers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub sql: String,
    /// How many statements were taken out, since the target has no such snapshot.
    pub left_out: usize,
}

impl Snapshots {
    /// A transaction of the session has exported snapshots: the identifiers among these values of
    /// what it returned.
    pub fn export<'v>(
        &self,
        session: SessionId,
        by: VirtualTransaction,
        values: impl IntoIterator<Item = &'v str>,
    ) {
        let mut state = self.state();
        for target in values {
            // The same transaction has exported as many on both sides.
            if let Some(number) = snapshot_number(target) {
                let exported = Exported { target: target.into(), session, by };
                state.exported.insert(by.snapshot(number).into(), exported);
            }
        }
    }

    /// The transaction has ended, and what it exported is gone.
    pub fn end(&self, by: VirtualTransaction) {
        self.state().exported.retain(|_, exported| exported.by != by);
    }

    /// The session's connection is gone, or its transaction rolled back to be run again, and with it
    /// what it exported.
    pub fn forget(&self, session: SessionId) {
        self.state().exported.retain(|_, exported| exported.session != session);
    }

    /// The target does not have the snapshots any more that this text asks to see.
    pub fn forget_imports_of(&self, sql: &str, outline: &Outline) {
        let mut state = self.state();
        for import in snapshot_imports(sql, outline) {
            state.exported.remove(import.identifier.as_str());
        }
    }

    /// A statement was read that asks to see a snapshot.
    pub fn await_import(&self, work: &Arc<Work>) {
        let mut state = self.state();
        for import in snapshot_imports(&work.statement.sql, &work.statement.outline) {
            let waiting = state.awaited.entry(import.identifier.into()).or_default();
            waiting.push(Arc::downgrade(work));
        }
    }

    /// A statement that asks to see a snapshot has been run, or never will be.
    pub fn import_ended(&self) {
        let mut state = self.state();
        state.awaited.retain(|_, waiting| {
            waiting.retain(|work| work.upgrade().is_some_and(|work| !work.is_reported()));
            !waiting.is_empty()
        });
        state.staying.drain(..).for_each(Waker::wake);
    }

    /// Whether a statement that was read is still to see a snapshot of this session. If so, `waker`
    /// is woken when that may have changed.
    pub fn is_awaited(&self, session: SessionId, waker: &Waker) -> bool {
        let mut state = self.state();
        let awaited = state.exported.iter().any(|(identifier, exported)| {
            exported.session == session
                && state.awaited.get(identifier).is_some_and(|waiting| {
                    let lives =
                        |work: &Weak<Work>| work.upgrade().is_some_and(|w| !w.is_reported());
                    waiting.iter().any(lives)
                })
        });
        if awaited {
            state.staying.push(waker.clone());
        }
        awaited
    }

    /// The text with the target's identifiers in its `SET TRANSACTION SNAPSHOT`, and without those
    /// statements for which the target has none.
    pub fn rewrite(&self, sql: &str, outline: &Outline) -> Rewritten {
        let state = self.state();
        let mut rewritten = Rewritten { sql: String::with_capacity(sql.len()), left_out: 0 };
        let mut copied = 0;
        for SnapshotImport { identifier, literal, statement } in snapshot_imports(sql, outline) {
            let target = state.exported.get(identifier.as_str());
            let replaced = if target.is_some() { literal } else { statement };
            rewritten.sql.push_str(&sql[copied..replaced.start]);
            match target {
                Some(exported) => rewritten.sql.push_str(&format!("'{}'", exported.target)),
                None => rewritten.left_out += 1,
            }
            copied = replaced.end;
        }
        rewritten.sql.push_str(&sql[copied..]);
        rewritten
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
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
        let statement = Statement {
            outline: Outline::of(&sql),
            sql: sql.into(),
            protocol: Protocol::Simple,
            duration_ms: None,
            exporter: None,
            logged_ms: 0,
        };
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
}
