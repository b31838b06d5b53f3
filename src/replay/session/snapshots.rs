//! Which snapshot of the target stands for which that the source exported.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::pglog::SessionId;
use crate::replay::work::Work;
use crate::sql::{Outline, SnapshotImport, VirtualTransaction, snapshot_imports, snapshot_number};

/// The exported snapshots by the source's identifiers. Shared by the sessions, of which one exports
/// what another asks to see; a mutex, held for a look-up.
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
        let mut state = self.state.lock();
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
        self.state.lock().exported.retain(|_, exported| exported.by != by);
    }

    /// The session's connection is gone, or its transaction rolled back to be run again, and with it
    /// what it exported.
    pub fn forget(&self, session: SessionId) {
        self.state.lock().exported.retain(|_, exported| exported.session != session);
    }

    /// The target does not have the snapshots any more that this text asks to see.
    pub fn forget_imports_of(&self, sql: &str, outline: &Outline) {
        let mut state = self.state.lock();
        for import in snapshot_imports(sql, outline) {
            state.exported.remove(import.identifier.as_str());
        }
    }

    /// A statement was read that asks to see a snapshot.
    pub fn await_import(&self, work: &Arc<Work>) {
        let mut state = self.state.lock();
        for import in snapshot_imports(&work.statement.sql, &work.statement.outline) {
            let waiting = state.awaited.entry(import.identifier.into()).or_default();
            waiting.push(Arc::downgrade(work));
        }
    }

    /// A statement that asks to see a snapshot has been run, or never will be.
    pub fn import_ended(&self) {
        let mut state = self.state.lock();
        state.awaited.retain(|_, waiting| {
            waiting.retain(|work| work.upgrade().is_some_and(|work| !work.is_reported()));
            !waiting.is_empty()
        });
        state.staying.drain(..).for_each(Waker::wake);
    }

    /// Whether a statement that was read is still to see a snapshot of this session. If so, `waker`
    /// is woken when that may have changed.
    pub fn is_awaited(&self, session: SessionId, waker: &Waker) -> bool {
        let mut state = self.state.lock();
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
        let state = self.state.lock();
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
}

#[cfg(test)]
mod tests;
