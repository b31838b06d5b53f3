//! What waits for what: a graph that never has a cycle.

use foldhash::{HashMap, HashSet};

use crate::pglog::SessionId;
use crate::replay::work::Seq;

mod behind;

/// A node's name; names are never used again, so a name without a node is of one that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u64);

/// A transaction's name: the statement that began it.
pub(super) type TransactionId = Id;

#[derive(Debug)]
pub(super) enum Node {
    /// A statement; done when it has finished.
    Statement(Statement),
    /// What a transaction has written since it began, or since a savepoint; done when others may
    /// see that, or when it is undone.
    LockSpan(LockSpan),
    /// Two nodes under one name; done with the last of them.
    Join([Id; 2]),
    /// A statement that has finished ahead of its turn; done with the last of what it waited for. It
    /// may stand for these: who waits for it waits for nothing else that comes behind them.
    Overtook,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) seq: Seq,
    pub(super) session: SessionId,
    /// The statement of its session before it, if that had not finished.
    pub(super) previous: Option<Id>,
    /// Whether it may start: it and those of its session before it wait for nothing.
    pub(super) granted: bool,
    /// Whether it ends a transaction block.
    pub(super) ends_transaction: bool,
    /// How many transactions end with it that may have taken locks which can't be told.
    pub(super) releases: usize,
    /// What is done with it.
    pub(super) ends: Vec<Id>,
}

impl Statement {
    /// One that follows nothing and ends nothing.
    pub(super) fn of(session: SessionId, seq: Seq) -> Self {
        let (ends_transaction, releases) = (false, 0);
        let (previous, granted, ends) = (None, false, Vec::new());
        Self { seq, session, previous, granted, ends_transaction, releases, ends }
    }
}

#[derive(Debug)]
pub(super) struct LockSpan {
    pub(super) session: SessionId,
    pub(super) transaction: TransactionId,
    /// The statement that ends it, once the log has told.
    pub(super) ended_by: Option<Id>,
    /// Whether that undoes it.
    pub(super) undone: bool,
}

impl LockSpan {
    /// One of this transaction that goes on.
    pub(super) fn of(session: SessionId, transaction: TransactionId) -> Self {
        Self { session, transaction, ended_by: None, undone: false }
    }
}

#[derive(Debug)]
struct Entry {
    node: Node,
    waits_for: Vec<Id>,
    pending: usize,
    waiting: Vec<Id>,
    /// See [`behind`].
    behind: Vec<Id>,
}

/// A transaction whose end has not been read.
#[derive(Debug, Default)]
struct Open {
    /// The last statement of it that has been read. Where that prepares it, only its end is left, in
    /// whichever session.
    newest: Option<Id>,
    /// Whether anything has come to wait for what it holds.
    is_awaited: bool,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Id, Entry>,
    last: u64,
    open: HashMap<TransactionId, Open>,
}

impl Graph {
    pub(super) fn add(&mut self, node: Node) -> Id {
        self.last += 1;
        let id = Id(self.last);
        let (waits_for, waiting, behind) = (Vec::new(), Vec::new(), Vec::new());
        self.nodes.insert(id, Entry { node, waits_for, pending: 0, waiting, behind });
        id
    }

    /// A node that is done with the last of these two.
    pub(super) fn gather(&mut self, both: [Id; 2]) -> Id {
        let gate = self.add(Node::Join(both));
        self.wait(gate, both, None);
        gate
    }

    pub(super) fn has(&self, id: Id) -> bool {
        self.nodes.contains_key(&id)
    }

    pub(super) fn statement(&self, id: Id) -> Option<&Statement> {
        match &self.nodes.get(&id)?.node {
            Node::Statement(statement) => Some(statement),
            _ => None,
        }
    }

    pub(super) fn statement_mut(&mut self, id: Id) -> Option<&mut Statement> {
        match &mut self.nodes.get_mut(&id)?.node {
            Node::Statement(statement) => Some(statement),
            _ => None,
        }
    }

    pub(super) fn lock_span(&self, id: Id) -> Option<&LockSpan> {
        match &self.nodes.get(&id)?.node {
            Node::LockSpan(span) => Some(span),
            _ => None,
        }
    }

    pub(super) fn lock_span_mut(&mut self, id: Id) -> Option<&mut LockSpan> {
        match &mut self.nodes.get_mut(&id)?.node {
            Node::LockSpan(span) => Some(span),
            _ => None,
        }
    }

    /// The session that finishes it: a statement, or a lock span whose end has been read.
    pub(super) fn done_by(&self, id: Id) -> Option<SessionId> {
        match &self.nodes.get(&id)?.node {
            Node::Statement(statement) => Some(statement.session),
            Node::LockSpan(span) => self.statement(span.ended_by?).map(|end| end.session),
            Node::Join(_) | Node::Overtook => None,
        }
    }

    /// What a join node gathers.
    pub(super) fn gathered(&self, id: Id) -> Option<[Id; 2]> {
        match self.nodes.get(&id)?.node {
            Node::Join(both) => Some(both),
            _ => None,
        }
    }

    /// Whether it waits for nothing.
    pub(super) fn is_free(&self, id: Id) -> bool {
        self.nodes.get(&id).is_none_or(|entry| entry.pending == 0)
    }

    /// Whether anything waits for it.
    pub(super) fn is_awaited(&self, id: Id) -> bool {
        self.nodes.get(&id).is_some_and(|entry| !entry.waiting.is_empty())
    }

    /// Lets a node wait for others, each named once, as far as they are not done; and for the
    /// statement before it.
    pub(super) fn wait(
        &mut self,
        id: Id,
        for_ids: impl IntoIterator<Item = Id>,
        previous: Option<Id>,
    ) {
        let mut waits_for = Vec::new();
        for for_id in for_ids {
            if for_id != id
                && let Some(awaited) = self.nodes.get_mut(&for_id)
            {
                awaited.waiting.push(id);
                waits_for.push(for_id);
            }
        }
        if let Some(entry) = self.nodes.get_mut(&id) {
            entry.pending = waits_for.len();
            entry.waits_for = waits_for;
        }
        self.note_behind(id, previous);
    }

    /// A node is done, and with it what it ends. Returns the statements that wait for nothing now.
    pub(super) fn done(&mut self, id: Id) -> Vec<Id> {
        let mut freed = Vec::new();
        let mut ended = vec![id];
        while let Some(id) = ended.pop() {
            if let Some(ends) = self.overtakes(id) {
                ended.extend(ends);
                continue;
            }
            let Some(entry) = self.nodes.remove(&id) else { continue };
            if let Node::Statement(statement) = entry.node {
                ended.extend(statement.ends);
            }
            for waiter in entry.waiting {
                let Some(entry) = self.nodes.get_mut(&waiter) else { continue };
                entry.pending -= 1;
                if entry.pending == 0 {
                    match entry.node {
                        Node::Join(_) | Node::Overtook => ended.push(waiter),
                        _ => freed.push(waiter),
                    }
                }
            }
        }
        freed
    }

    /// A statement that has finished while it waited for others is kept until those are done. Returns
    /// what is done with it, which is so at once.
    fn overtakes(&mut self, id: Id) -> Option<Vec<Id>> {
        let entry = self.nodes.get_mut(&id).filter(|entry| entry.pending > 0)?;
        let Node::Statement(statement) = &mut entry.node else { return None };
        let ends = std::mem::take(&mut statement.ends);
        entry.node = Node::Overtook;
        Some(ends)
    }

    // ---- Open transactions ----

    /// This statement belongs to an open transaction.
    pub(super) fn extend(&mut self, transaction: TransactionId, statement: Id) {
        self.open.entry(transaction).or_default().newest = Some(statement);
    }

    /// The end of the transaction has been read.
    pub(super) fn close(&mut self, transaction: TransactionId) {
        self.open.remove(&transaction);
    }

    /// Something may wait for what the transaction holds.
    pub(super) fn note_awaited(&mut self, transaction: TransactionId) {
        if let Some(open) = self.open.get_mut(&transaction) {
            open.is_awaited = true;
        }
    }

    pub(super) fn has_waiters(&self, transaction: TransactionId) -> bool {
        self.open.get(&transaction).is_some_and(|open| open.is_awaited)
    }

    /// The last statement of an open transaction that has been read, if it has not finished: what it
    /// holds it holds at least as long as that.
    pub(super) fn newest(&self, transaction: TransactionId) -> Option<Id> {
        self.open.get(&transaction)?.newest.filter(|id| self.statement(*id).is_some())
    }

    // ---- Walks ----

    /// Whether any of what `from` stands for or waits for, directly or through others, is `wanted`.
    /// What may start waits for nothing. For use where the replay stands still: it may visit all that
    /// is in flight.
    pub(super) fn meets(&self, from: Id, wanted: impl FnMut(Id) -> bool) -> bool {
        self.meets_before(from, |_| false, wanted)
    }

    /// The same without what statements wait for that run already, ahead of their turn.
    pub(super) fn meets_before(
        &self,
        from: Id,
        runs: impl Fn(&Statement) -> bool,
        mut wanted: impl FnMut(Id) -> bool,
    ) -> bool {
        let mut seen = HashSet::default();
        let mut ahead = vec![from];
        while let Some(id) = ahead.pop() {
            let Some(entry) = self.nodes.get(&id) else { continue };
            if !seen.insert(id) {
                continue;
            }
            if wanted(id) {
                return true;
            }
            match &entry.node {
                Node::Statement(statement) if statement.granted || runs(statement) => {}
                Node::Statement(statement) => {
                    ahead.extend(statement.previous);
                    ahead.extend(&entry.waits_for);
                }
                Node::LockSpan(span) => {
                    ahead.extend(span.ended_by.or_else(|| self.newest(span.transaction)));
                }
                Node::Join(both) => ahead.extend(both),
                Node::Overtook => ahead.extend(&entry.waits_for),
            }
        }
        false
    }

    /// The statements and holds that a node waits for, without their join nodes.
    #[cfg(test)]
    pub(super) fn waits_for(&self, id: Id) -> Vec<Id> {
        let mut members = Vec::new();
        let mut ahead = self.nodes.get(&id).map_or(Vec::new(), |entry| entry.waits_for.clone());
        while let Some(id) = ahead.pop() {
            match self.nodes.get(&id) {
                Some(Entry { node: Node::Join(both), .. }) => ahead.extend(both),
                Some(Entry { node: Node::Overtook, waits_for, .. }) => ahead.extend(waits_for),
                Some(_) => members.push(id),
                None => {}
            }
        }
        members
    }

    /// How many nodes there are, how many waits, and how many holds the nodes note.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize, usize) {
        let all = self.nodes.values();
        let waits = all.clone().map(|entry| entry.waits_for.len()).sum();
        (self.nodes.len(), waits, all.map(|entry| entry.behind.len()).sum())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}
