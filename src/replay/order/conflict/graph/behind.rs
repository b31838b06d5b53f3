//! Which open transactions a node stands behind, so that nobody has to walk the graph for it.
//!
//! A statement must not wait for what waits for its own transaction. So each statement and gate notes
//! the holds that it waits for, directly or through others, and whose end had not been read when it came:
//! few, as on the source each of them had ended by then, and but its record was still to come. What these
//! wait for in turn is looked up, since it grows with each statement of their transactions.

use foldhash::HashSet;

use super::{Graph, Hold, Id, Node, TransactionId};

impl Graph {
    /// Notes what a node stands behind, from what it waits for.
    pub(super) fn note_behind(&mut self, id: Id, previous: Option<Id>) {
        let holds = self.holds_awaited(id, previous);
        if holds.is_empty() {
            return;
        }
        let open = self.open_holds(holds);
        for hold in &open {
            if let Some(Hold { transaction, .. }) = self.hold(*hold) {
                self.note_awaited(*transaction);
            }
        }
        if let Some(entry) = self.nodes.get_mut(&id) {
            entry.behind = open;
        }
    }

    /// The holds that what a node waits for notes.
    fn holds_awaited(&self, id: Id, previous: Option<Id>) -> Vec<Id> {
        let Some(entry) = self.nodes.get(&id) else { return Vec::new() };
        let awaited = entry.waits_for.iter().chain(&previous);
        awaited.flat_map(|awaited| self.behind(awaited)).copied().collect()
    }

    /// Whether a node waits, directly or through others, for what one of these transactions holds; or
    /// is such a hold.
    pub(in super::super) fn is_behind(&mut self, id: Id, transactions: &[TransactionId]) -> bool {
        !transactions.is_empty() && self.finds(id, transactions)
    }

    /// Whether a node waits for any transaction whose end has not been read.
    pub(in super::super) fn is_behind_any(&self, id: Id) -> bool {
        match self.hold(id).and_then(|hold| hold.ended_by) {
            Some(end) => !self.behind(&end).is_empty(),
            None => !self.behind(&id).is_empty(),
        }
    }

    fn finds(&mut self, id: Id, transactions: &[TransactionId]) -> bool {
        let mut ahead = self.behind(&id).to_vec();
        let mut seen = HashSet::default();
        while let Some(hold) = ahead.pop() {
            let Some(&Hold { transaction, ended_by, .. }) = self.hold(hold) else { continue };
            if !seen.insert(hold) {
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

    /// The holds that a node notes, ended or not; a hold itself.
    fn behind<'g>(&'g self, id: &'g Id) -> &'g [Id] {
        match self.nodes.get(id) {
            Some(entry) => match &entry.node {
                Node::Hold(_) => std::slice::from_ref(id),
                Node::Statement(statement) if statement.granted => &[],
                Node::Statement(_) | Node::Gate(_) | Node::Overtook => &entry.behind,
            },
            None => &[],
        }
    }

    /// The same with, for each hold that has ended meanwhile, what its end stands behind.
    fn open_holds(&mut self, mut holds: Vec<Id>) -> Vec<Id> {
        let mut open = Vec::new();
        let mut seen = HashSet::default();
        while let Some(hold) = holds.pop() {
            match self.hold(hold).map(|hold| hold.ended_by) {
                None => {}
                Some(None) => open.push(hold),
                Some(Some(_)) if !seen.insert(hold) => {}
                Some(Some(end)) => {
                    self.shorten(end);
                    holds.extend_from_slice(self.behind(&end));
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
        let has_ended = |id: &Id| self.hold(*id).is_none_or(|hold| hold.ended_by.is_some());
        if !noted.iter().any(has_ended) {
            return;
        }
        let mut closer = Vec::with_capacity(noted.len());
        for hold in noted {
            match self.hold(*hold).map(|hold| hold.ended_by) {
                None => {}
                Some(None) => closer.push(*hold),
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
