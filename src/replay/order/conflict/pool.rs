//! Nodes that many wait for together.

use super::graph::{Graph, Id, TransactionId};
use crate::pglog::SessionId;

/// What a statement is to wait for.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// Its session, whose earlier statements go before it anyway.
    session: SessionId,
    /// The transactions that the statement extends or ends, and that something may wait for.
    pub(super) own: Vec<TransactionId>,
    on: Vec<Id>,
    /// How many were left out because they wait for the statement's own transaction.
    pub(super) waived: u64,
}

impl Dependencies {
    /// Those of a statement of this session and these transactions.
    pub(super) fn of(session: SessionId, own: Vec<TransactionId>) -> Self {
        Self { session, own, on: Vec::new(), waived: 0 }
    }

    /// It waits for this one, unless that waits for the statement's own transaction.
    pub(super) fn add(&mut self, graph: &mut Graph, id: Id) {
        if graph.is_behind(id, &self.own) {
            self.waive(graph, id);
        } else {
            self.on.push(id);
        }
    }

    fn waive(&mut self, graph: &Graph, id: Id) {
        let is_own = graph.lock_span(id).is_some_and(|span| self.own.contains(&span.transaction));
        self.waived += u64::from(!is_own);
    }

    /// What it waits for, each once.
    pub(super) fn into_nodes(mut self, graph: &Graph) -> Vec<Id> {
        self.on.sort_unstable();
        self.on.dedup();
        self.on.retain(|id| graph.done_by(*id) != Some(self.session));
        self.on
    }
}

/// Nodes that many wait for together. There is one for each row that is in flight, and most stay empty.
#[derive(Debug, Default)]
pub(super) struct WaitSet(Option<Box<Gathered>>);

/// What is in a pool.
///
/// The nodes are gathered in binary trees of join nodes, so that who waits for all of n nodes waits for the roots
/// of at most log n trees, and finds those that it must not wait for in as many steps each.
#[derive(Debug, Default)]
struct Gathered {
    /// No two of one height.
    trees: Vec<Tree>,
    /// What has come since they were asked for last.
    fresh: Vec<Id>,
    /// What the last who asked did not wait for: the next may not either.
    aside: Vec<Id>,
    /// How many `fresh` may hold before those that are done are looked for.
    room: usize,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    root: Id,
    height: u32,
}

impl WaitSet {
    pub(super) fn add(&mut self, graph: &Graph, id: Id) {
        self.0.get_or_insert_default().add(graph, id);
    }

    /// Adds all of them that are not done to what a statement waits for, but for those that wait for
    /// its own transaction.
    pub(super) fn gather(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        if let Some(gathered) = &mut self.0 {
            gathered.gather(graph, waits);
        }
    }

    /// From now on `id`, which waits for all that were gathered for it, stands for them.
    pub(super) fn stand(&mut self, id: Id) {
        self.0.get_or_insert_default().stand(id);
    }

    /// Whether none is left.
    pub(super) fn is_done(&self, graph: &Graph) -> bool {
        self.0.as_ref().is_none_or(|gathered| gathered.is_done(graph))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |gathered| gathered.len())
    }
}

impl Gathered {
    fn add(&mut self, graph: &Graph, id: Id) {
        if self.fresh.last() == Some(&id) {
            return;
        }
        if self.fresh.len() >= self.room {
            self.fresh.retain(|id| graph.has(*id));
            self.room = (self.fresh.len() * 2).max(16);
        }
        self.fresh.push(id);
    }

    fn gather(&mut self, graph: &mut Graph, waits: &mut Dependencies) {
        self.trees.retain(|tree| graph.has(tree.root));
        self.plant_fresh(graph, waits.session);
        for id in std::mem::take(&mut self.aside) {
            if graph.is_behind(id, &waits.own) {
                waits.waive(graph, id);
                self.aside.push(id);
            } else {
                self.plant(graph, Tree { root: id, height: 0 });
            }
        }
        if waits.own.is_empty() {
            waits.on.extend(self.trees.iter().map(|tree| tree.root));
            return;
        }
        let mut ahead = std::mem::take(&mut self.trees);
        while let Some(Tree { root, height }) = ahead.pop() {
            if !graph.is_behind(root, &waits.own) {
                waits.on.push(root);
                self.plant(graph, Tree { root, height });
            } else if let Some(both) = graph.gathered(root) {
                let height = height.saturating_sub(1);
                ahead.extend(both.map(|root| Tree { root, height }));
            } else {
                waits.waive(graph, root);
                self.aside.push(root);
            }
        }
    }

    fn stand(&mut self, id: Id) {
        self.trees.clear();
        self.fresh.clear();
        self.fresh.push(id);
    }

    /// Plants what has come since, but for the last that is done by this session: that is not waited for
    /// now. It stands for those of its session before it, unless it may be waived where they are not.
    fn plant_fresh(&mut self, graph: &mut Graph, session: SessionId) {
        let mut own = None;
        for id in std::mem::take(&mut self.fresh) {
            let planted = match graph.done_by(id) == Some(session) {
                true => own.replace(id).filter(|_| graph.is_behind_any(id)),
                false => Some(id),
            };
            if let Some(root) = planted {
                self.plant(graph, Tree { root, height: 0 });
            }
        }
        self.fresh.extend(own);
    }

    fn plant(&mut self, graph: &mut Graph, mut tree: Tree) {
        if !graph.has(tree.root) {
            return;
        }
        while let Some(at) = self.trees.iter().position(|other| other.height == tree.height) {
            let other = self.trees.swap_remove(at);
            let root = graph.gather([other.root, tree.root]);
            tree = Tree { root, height: tree.height + 1 };
        }
        self.trees.push(tree);
    }

    fn is_done(&self, graph: &Graph) -> bool {
        let roots = self.trees.iter().map(|tree| &tree.root);
        roots.chain(&self.fresh).chain(&self.aside).all(|id| !graph.has(*id))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.trees.len() + self.fresh.len() + self.aside.len()
    }
}
