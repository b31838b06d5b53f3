//! Which open transactions a node stands behind, so that nobody has to walk the graph for it.
//!
//! A statement must not wait for what waits for its own transaction. So each statement and gate notes
//! the lock spans that it waits for, directly or through others, and whose end had not been read when it came:
//! few, as on the source each of them had ended by then, and but its record was still to come. What these
//! wait for in turn is looked up, since it grows with each statement of their transactions.

use foldhash::HashSet;

use super::{Graph, Id, LockSpan, Node, TransactionId};

impl Graph {
    /// Notes what a node stands behind, from what it waits for.
    pub(super) fn note_behind(&mut self, id: Id, previous: Option<Id>) {
        let spans = self.spans_awaited(id, previous);
        if spans.is_empty() {
            return;
        }
        let open = self.open_spans(spans);
        for span in &open {
            if let Some(LockSpan { transaction, .. }) = self.lock_span(*span) {
                self.note_awaited(*transaction);
            }
        }
        if let Some(entry) = self.nodes.get_mut(&id) {
            entry.behind = open;
        }
    }

    /// The lock spans that what a node waits for notes.
    fn spans_awaited(&self, id: Id, previous: Option<Id>) -> Vec<Id> {
        let Some(entry) = self.nodes.get(&id) else { return Vec::new() };
        let awaited = entry.waits_for.iter().chain(&previous);
        awaited.flat_map(|awaited| self.behind(awaited)).copied().collect()
    }

    /// Whether a node waits, directly or through others, for what one of these transactions holds; or
    /// is such a lock span.
    pub(in super::super) fn is_behind(&mut self, id: Id, transactions: &[TransactionId]) -> bool {
        !transactions.is_empty() && self.finds(id, transactions)
    }

    /// Whether a node waits for any transaction whose end has not been read.
    pub(in super::super) fn is_behind_any(&self, id: Id) -> bool {
        match self.lock_span(id).and_then(|span| span.ended_by) {
            Some(end) => !self.behind(&end).is_empty(),
            None => !self.behind(&id).is_empty(),
        }
    }

    fn finds(&mut self, id: Id, transactions: &[TransactionId]) -> bool {
        let mut ahead = self.behind(&id).to_vec();
        let mut seen = HashSet::default();
        while let Some(span) = ahead.pop() {
            let Some(&LockSpan { transaction, ended_by, .. }) = self.lock_span(span) else {
                continue;
            };
            if !seen.insert(span) {
                continue;
            }
            match ended_by {
                Some(end) => {
                    self.shorten(end);
                    ahead.extend_from_slice(self.behind(&end));
                }
                None if transactions.contains(&transaction) => return true,
                None => {
                    if let Some(newest) = self.newest(transaction) {
                        ahead.extend_from_slice(self.behind(&newest));
                    }
                }
            }
        }
        false
    }

    /// The lock spans that a node notes, ended or not; a lock span itself.
    fn behind<'g>(&'g self, id: &'g Id) -> &'g [Id] {
        match self.nodes.get(id) {
            Some(entry) => match &entry.node {
                Node::LockSpan(_) => std::slice::from_ref(id),
                Node::Statement(statement) if statement.granted => &[],
                Node::Statement(_) | Node::Join(_) | Node::Overtook => &entry.behind,
            },
            None => &[],
        }
    }

    /// The same with, for each lock span that has ended meanwhile, what its end stands behind.
    fn open_spans(&mut self, mut spans: Vec<Id>) -> Vec<Id> {
        let mut open = Vec::new();
        let mut seen = HashSet::default();
        while let Some(span) = spans.pop() {
            match self.lock_span(span).map(|span| span.ended_by) {
                None => {}
                Some(None) => open.push(span),
                Some(Some(_)) if !seen.insert(span) => {}
                Some(Some(end)) => {
                    self.shorten(end);
                    spans.extend_from_slice(self.behind(&end));
                }
            }
        }
        open.sort_unstable();
        open.dedup();
        open
    }

    /// Brings what a statement notes one step closer to what is open, so that whoever asks next has a
    /// shorter way.
    fn shorten(&mut self, statement: Id) {
        let noted = self.behind(&statement);
        let has_ended = |id: &Id| self.lock_span(*id).is_none_or(|span| span.ended_by.is_some());
        if !noted.iter().any(has_ended) {
            return;
        }
        let mut closer = Vec::with_capacity(noted.len());
        for span in noted {
            match self.lock_span(*span).map(|span| span.ended_by) {
                None => {}
                Some(None) => closer.push(*span),
                Some(Some(end)) => closer.extend_from_slice(self.behind(&end)),
            }
        }
        closer.sort_unstable();
        closer.dedup();
        if let Some(entry) = self.nodes.get_mut(&statement) {
            entry.behind = closer;
        }
    }
}
