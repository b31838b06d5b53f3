//! What waits for what: a graph that never has a cycle.

use foldhash::{HashMap, HashSet};

use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// A node's name; names are never used again, so a name without a node is of one that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Debug)]
pub(super) enum Node {
    /// A statement; done when it has finished.
    Statement(Statement),
    /// What a transaction has written since it began, or since a savepoint; done when others may
    /// see that, or when it is undone.
    Hold(Hold),
    /// Many nodes under one name; done with the last of them.
    Gate,
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) seq: Seq,
    pub(super) session: SessionId,
    /// The statement of its session before it, if that had not finished.
    pub(super) previous: Option<Id>,
    /// Whether it may start: it and those of its session before it wait for nothing.
    pub(super) granted: bool,
    /// What is done with it.
    pub(super) ends: Vec<Id>,
}

#[derive(Debug)]
pub(super) struct Hold {
    pub(super) session: SessionId,
    /// The statement that ends it, once the log has told.
    pub(super) ended_by: Option<Id>,
    /// Whether that undoes it.
    pub(super) undone: bool,
}

impl Hold {
    /// One of this session that goes on.
    pub(super) fn of(session: SessionId) -> Self {
        Self { session, ended_by: None, undone: false }
    }
}

#[derive(Debug)]
struct Entry {
    node: Node,
    waits_for: Vec<Id>,
    pending: usize,
    waiting: Vec<Id>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Id, Entry>,
    last: u64,
}

impl Graph {
    pub(super) fn add(&mut self, node: Node) -> Id {
        self.last += 1;
        let id = Id(self.last);
        let entry = Entry { node, waits_for: Vec::new(), pending: 0, waiting: Vec::new() };
        self.nodes.insert(id, entry);
        id
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

    pub(super) fn hold(&self, id: Id) -> Option<&Hold> {
        match &self.nodes.get(&id)?.node {
            Node::Hold(hold) => Some(hold),
            _ => None,
        }
    }

    pub(super) fn hold_mut(&mut self, id: Id) -> Option<&mut Hold> {
        match &mut self.nodes.get_mut(&id)?.node {
            Node::Hold(hold) => Some(hold),
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

    /// Lets a node wait for another that is not done.
    pub(super) fn wait(&mut self, id: Id, for_id: Id) {
        let known = self.nodes.get(&id).is_some_and(|entry| entry.waits_for.contains(&for_id));
        if known || id == for_id {
            return;
        }
        let Some(awaited) = self.nodes.get_mut(&for_id) else { return };
        awaited.waiting.push(id);
        if let Some(entry) = self.nodes.get_mut(&id) {
            entry.waits_for.push(for_id);
            entry.pending += 1;
        }
    }

    /// A node is done, and with it what it ends. Returns the statements that wait for nothing now.
    pub(super) fn done(&mut self, id: Id) -> Vec<Id> {
        let mut freed = Vec::new();
        let mut ended = vec![id];
        while let Some(id) = ended.pop() {
            let Some(entry) = self.nodes.remove(&id) else { continue };
            if let Node::Statement(statement) = entry.node {
                ended.extend(statement.ends);
            }
            for waiter in entry.waiting {
                let Some(entry) = self.nodes.get_mut(&waiter) else { continue };
                entry.pending -= 1;
                if entry.pending == 0 {
                    match entry.node {
                        Node::Gate => ended.push(waiter),
                        _ => freed.push(waiter),
                    }
                }
            }
        }
        freed
    }

    /// Whether any of what `from` stands for or waits for, directly or through others, is `wanted`.
    /// What may start waits for nothing. `newest` is the last statement of a session that has not
    /// finished: an open hold goes on at least as long as that.
    pub(super) fn meets(
        &self,
        from: Id,
        newest: impl Fn(SessionId) -> Option<Id>,
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
                Node::Statement(statement) if statement.granted => {}
                Node::Statement(statement) => {
                    ahead.extend(statement.previous);
                    ahead.extend(&entry.waits_for);
                }
                Node::Hold(hold) => ahead.extend(hold.ended_by.or_else(|| newest(hold.session))),
                Node::Gate => ahead.extend(&entry.waits_for),
            }
        }
        false
    }

    /// The statements and holds that a node stands for: itself, or what a gate gathers.
    pub(super) fn members(&self, id: Id) -> Vec<Id> {
        let mut members = Vec::new();
        let mut ahead = vec![id];
        while let Some(id) = ahead.pop() {
            match self.nodes.get(&id) {
                Some(Entry { node: Node::Gate, waits_for, .. }) => ahead.extend(waits_for),
                Some(_) => members.push(id),
                None => {}
            }
        }
        members
    }

    #[cfg(test)]
    pub(super) fn waits_for(&self, id: Id) -> Vec<Id> {
        let waits_for = self.nodes.get(&id).map_or(&[][..], |entry| &entry.waits_for);
        waits_for.iter().flat_map(|id| self.members(*id)).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// Nodes that many wait for together: each gathers them under one name, so that the next has only
/// what came since to add to it.
#[derive(Debug, Default)]
pub(super) struct Pool {
    gathered: Option<Id>,
    fresh: Vec<Id>,
    /// How many `fresh` may hold before those that are done are looked for.
    room: usize,
}

impl Pool {
    pub(super) fn add(&mut self, graph: &Graph, id: Id) {
        if self.fresh.last() == Some(&id) {
            return;
        }
        if self.fresh.len() >= self.room {
            self.fresh.retain(|id| graph.has(*id));
            self.room = (self.fresh.len() * 2).max(16);
        }
        self.fresh.push(id);
    }

    /// All of them that are not done, under one name.
    pub(super) fn gather(&mut self, graph: &mut Graph) -> Option<Id> {
        self.fresh.retain(|id| graph.has(*id));
        self.gathered = self.gathered.filter(|id| graph.has(*id));
        if self.gathered.is_none() && self.fresh.len() <= 1 {
            self.gathered = self.fresh.pop();
        } else if !self.fresh.is_empty() {
            let gate = graph.add(Node::Gate);
            for id in self.gathered.into_iter().chain(self.fresh.drain(..)) {
                graph.wait(gate, id);
            }
            self.gathered = Some(gate);
        }
        self.gathered
    }

    /// From now on `id`, which waits for all of them, stands for them.
    pub(super) fn replace(&mut self, id: Id) {
        self.gathered = None;
        self.fresh.clear();
        self.fresh.push(id);
    }

    /// Whether none is left.
    pub(super) fn is_done(&self, graph: &Graph) -> bool {
        self.gathered.is_none_or(|id| !graph.has(id)) && self.fresh.iter().all(|id| !graph.has(*id))
    }
}
