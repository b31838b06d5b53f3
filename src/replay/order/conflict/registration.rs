//! What an arriving statement waits for, and what of it is noted for those that come after.

use super::graph::{Id, LockSpan, Node, TransactionId};
use super::pool::Dependencies;
use super::{Arrival, ConflictOrder};
use crate::replay::order::footprint::{Access, Mode};

impl ConflictOrder {
    /// Adds what the statement's own accesses wait for.
    pub(super) fn conflicts(
        &mut self,
        arrival: &Arrival,
        accesses: &[Access],
        waits: &mut Dependencies,
    ) {
        let Self { graph, tables, .. } = self;
        if tables.len() + self.objects.len() >= self.room {
            tables.retain(|_, table| !table.is_done(graph));
            self.objects.retain(|_, drawing| !drawing.is_done(graph));
            self.room = ((tables.len() + self.objects.len()) * 2).max(64);
        }
        self.barriers.gather(graph, waits);
        for access in accesses {
            match *access {
                Access::Row(table, key, mode) => {
                    // What failed may have looked for a row that was not there yet.
                    let locks = mode.is_write() || mode == Mode::Reference && !arrival.failed;
                    let locks = locks.then_some(arrival.session);
                    let table = tables.entry(table).or_default();
                    table.before_row(graph, key, mode, locks, waits);
                }
                Access::Table(table, mode) => {
                    tables.entry(table).or_default().before_table(graph, mode, waits);
                }
                Access::Append(table) => {
                    tables.entry(table).or_default().before_append(graph, waits);
                }
                Access::InsertGiven(table) => {
                    tables.entry(table).or_default().before_insert(graph, waits);
                }
                Access::Lock(table, mode) => {
                    tables.entry(table).or_default().before_lock(graph, mode, waits);
                }
                Access::ReadAll => self.ended.gather(graph, waits),
                Access::Advance(object) => {
                    self.objects.entry(object).or_default().gather(graph, waits);
                }
                Access::Everything => self.unfinished.gather(graph, waits),
            }
        }
        for lock in &arrival.footprint.locks {
            // Nobody else is in the way of a weak one.
            if self.has_locked_tables || !lock.mode.is_weak() {
                let table = tables.entry(lock.relation).or_default();
                table.locks.before(graph, lock.mode, waits);
            }
        }
    }

    /// Adds what the end of a transaction that did this waits for (rule 3).
    pub(super) fn readers(&mut self, access: Access, waits: &mut Dependencies) {
        let Self { graph, tables, .. } = self;
        if !access.is_write() {
            return;
        }
        match access {
            Access::Row(table, key, mode) => {
                tables.entry(table).or_default().before_end_of_row(graph, key, mode, waits);
            }
            Access::Table(table, mode) => {
                tables.entry(table).or_default().before_end_of_table(graph, mode, waits);
            }
            Access::Append(table) => {
                let table = tables.entry(table).or_default();
                table.before_end_of_table(graph, Mode::Write, waits);
            }
            Access::InsertGiven(_)
            | Access::ReadAll
            | Access::Lock(..)
            | Access::Advance(_)
            | Access::Everything => {}
        }
        self.reading_all.gather(graph, waits);
    }

    /// Notes what the statement touches, for those that follow.
    pub(super) fn register(
        &mut self,
        id: Id,
        arrival: &Arrival,
        accesses: &[Access],
        transaction: Option<TransactionId>,
    ) {
        let span = self.span_for(id, arrival, transaction);
        let Self { graph, tables, sessions, .. } = self;
        let line = sessions.get_mut(&arrival.session).filter(|_| !arrival.failed);
        let mut open = line.and_then(|line| line.transaction.as_mut());
        for access in accesses {
            let is_first = open.as_mut().is_none_or(|open| open.note(*access));
            match *access {
                Access::Row(table, key, mode) => {
                    let table = tables.entry(table).or_default();
                    if mode.is_write() {
                        table.write_row(graph, key, mode, id, span.filter(|_| is_first));
                    } else {
                        table.read_row(graph, key, mode, id, span);
                    }
                }
                Access::Table(table, mode) => {
                    tables.entry(table).or_default().touch_table(graph, mode, id);
                }
                Access::Lock(table, mode) => {
                    tables.entry(table).or_default().locks.lock(graph, mode, id);
                }
                Access::ReadAll => self.reading_all.add(graph, id),
                Access::Advance(object) => self.objects.entry(object).or_default().stand(id),
                Access::Append(table) => {
                    tables.entry(table).or_default().touch_append(graph, id);
                }
                Access::InsertGiven(table) => {
                    tables.entry(table).or_default().touch_insert(graph, id);
                }
                Access::Everything => {
                    self.barriers.stand(id);
                    self.unfinished.stand(id);
                }
            }
        }
        for lock in &arrival.footprint.locks {
            self.has_locked_tables |= !lock.mode.is_weak();
            if open.as_mut().is_none_or(|open| open.note_lock(*lock)) {
                let table = tables.entry(lock.relation).or_default();
                table.locks.hold(graph, lock.mode, span.unwrap_or(id));
            }
        }
        self.unfinished.add(graph, id);
        if arrival.draws_only {
            self.drawing_only.add(graph, id);
        }
        if transaction.is_none()
            && !arrival.failed
            && let Some(span) = span
        {
            self.ended.add(&self.graph, span);
            for access in &arrival.footprint.accesses {
                self.note_end(*access, span);
            }
        }
    }

    /// The lock span that takes what the statement writes or locks: its transaction's, or one that ends
    /// with it.
    pub(super) fn span_for(
        &mut self,
        id: Id,
        arrival: &Arrival,
        transaction: Option<TransactionId>,
    ) -> Option<Id> {
        let Arrival { session, failed, .. } = *arrival;
        let accesses = &arrival.footprint.accesses;
        let references = |access: &Access| matches!(access, Access::Row(_, _, Mode::Reference));
        let is_held = |access: &Access| access.is_write() || references(access);
        let locks_for_long =
            transaction.is_some() && !failed && !arrival.footprint.locks.is_empty();
        (locks_for_long || accesses.iter().any(is_held)).then_some(())?;
        let Some(transaction) = transaction.filter(|_| !failed) else {
            // What failed has lost its locks with that.
            let span = self.graph.add(Node::LockSpan(LockSpan::of(session, id)));
            self.end_span(span, id, failed);
            return Some(span);
        };
        if accesses.iter().any(references) {
            self.graph.note_awaited(transaction);
        }
        let open = self.sessions.get_mut(&session)?.transaction.as_mut()?;
        open.lock_span(|id| self.graph.add(Node::LockSpan(LockSpan::of(session, id))))
    }

    // ---- Starts ----
}
