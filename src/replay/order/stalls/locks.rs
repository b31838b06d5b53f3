//! Who waits for whose locks, as the target says.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Probe;

/// What `pg_blocking_pids` gives for a prepared transaction.
pub const PREPARED: i32 = 0;

/// What a session is about on its connection, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Whether a request is under way.
    pub running: bool,
    /// How many answers it has got.
    pub answers: u64,
}

impl Activity {
    /// Whether the session has done nothing at all since `before`.
    ///
    /// What the target says of its locks is old when it is read, and a statement takes locks that it
    /// gives back as it goes on: to make a table longer, say. A session that ran when the target was
    /// asked, and does not when the answer is there, need not hold anything.
    pub fn has_rested_since(self, before: Option<Self>) -> bool {
        !self.running && before == Some(self)
    }

    /// Whether the session had a request under way at `before` and has got no answer since: what waited then
    /// waits still.
    pub fn has_run_since(self, before: Option<Self>) -> bool {
        self.running && before == Some(self)
    }
}

/// Who waits for whose locks: backends, and [`PREPARED`] for a prepared transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    waits: HashMap<i32, Vec<i32>>,
}

impl Locks {
    /// This backend waits for those, if for any.
    pub fn note(&mut self, waiter: i32, blockers: Vec<i32>) {
        if !blockers.is_empty() {
            self.waits.insert(waiter, blockers);
        }
    }

    /// Whether this backend waits for anybody.
    pub fn waits(&self, backend: i32) -> bool {
        self.waits.contains_key(&backend)
    }

    /// Those that others wait for, each once, with who waits for them.
    pub fn blockers(&self) -> BTreeMap<i32, Vec<i32>> {
        let mut blockers: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (waiter, all) in &self.waits {
            for blocker in all {
                blockers.entry(*blocker).or_default().push(*waiter);
            }
        }
        blockers
    }

    /// All that this backend waits for, directly or because it waits for others that do.
    pub fn ahead_of(&self, waiter: i32) -> HashSet<i32> {
        let mut all = HashSet::new();
        let mut ahead = vec![waiter];
        while let Some(backend) = ahead.pop() {
            for blocker in self.waits.get(&backend).into_iter().flatten() {
                if all.insert(*blocker) {
                    ahead.push(*blocker);
                }
            }
        }
        all
    }
}

/// A probe's answer, as far as the target has given it.
#[derive(Debug)]
pub struct LockSnapshot {
    pub(super) probe: Probe,
    pub(super) locks: Locks,
    /// The prepared transactions among those that are waited for.
    prepared: Vec<String>,
    asked: HashSet<i32>,
}

impl LockSnapshot {
    /// Nothing has been asked yet.
    pub fn of(probe: Probe) -> Self {
        Self { probe, locks: Locks::default(), prepared: Vec::new(), asked: HashSet::new() }
    }

    /// The backends that the target is to be asked about next: those that others wait for may run, and
    /// wait for somebody in turn. Each is asked about once.
    pub fn next_to_ask(&mut self) -> Vec<i32> {
        let next: Vec<i32> = if self.asked.is_empty() {
            self.probe.waiters.clone()
        } else {
            let before = &self.probe.before;
            let runs = |backend: &i32| before.get(backend).is_some_and(|it| it.running);
            let blockers = self.locks.blockers().into_keys();
            blockers.filter(|it| !self.asked.contains(it) && runs(it)).collect()
        };
        self.asked.extend(next.iter().copied());
        next
    }

    /// This backend waits for those, if for any.
    pub fn note(&mut self, waiter: i32, blockers: Vec<i32>) {
        self.locks.note(waiter, blockers);
    }

    /// Leaves out what backends wait for that do not stand as they stood when the target was asked.
    pub(super) fn keep_waits(&mut self, stands: impl Fn(i32, Option<Activity>) -> bool) {
        let before = &self.probe.before;
        self.locks.waits.retain(|waiter, _| stands(*waiter, before.get(waiter).copied()));
    }

    /// Who waits for whose locks, as far as the target was asked.
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The backends that wait for prepared transactions: which those are is to be asked too.
    pub fn wait_for_prepared(&self) -> Vec<i32> {
        self.locks.blockers().remove(&PREPARED).unwrap_or_default()
    }

    /// These are the prepared transactions that are waited for.
    pub fn note_prepared(&mut self, prepared: Vec<String>) {
        self.prepared = prepared;
    }

    /// The prepared transactions that are waited for.
    pub fn prepared(&self) -> &[String] {
        &self.prepared
    }
}

#[cfg(test)]
mod tests;
