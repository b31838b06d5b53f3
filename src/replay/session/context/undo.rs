//! What an open transaction has changed, to be undone by its rollback or one to a savepoint.

use std::collections::HashMap;

use super::{Entry, Key};

/// The entries before each change, by savepoint. It grows with what is changed, not with how often.
#[derive(Debug, Default)]
pub(super) struct UndoLog {
    /// Of the transaction up to its first savepoint.
    first: HashMap<Key, Option<Entry>>,
    savepoints: Vec<Savepoint>,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    before: HashMap<Key, Option<Entry>>,
}

impl UndoLog {
    /// This entry has been changed, and was so before.
    pub(super) fn note(&mut self, key: Key, before: Option<Entry>) {
        let level = self.savepoints.last_mut().map_or(&mut self.first, |last| &mut last.before);
        level.entry(key).or_insert(before);
    }

    pub(super) fn savepoint(&mut self, name: String) {
        self.savepoints.push(Savepoint { name, before: HashMap::new() });
    }

    /// What changed since the savepoint belongs to what was before it.
    pub(super) fn release(&mut self, name: &str) {
        let Some(at) = self.position(name) else { return };
        for Savepoint { before, .. } in self.savepoints.split_off(at) {
            before.into_iter().for_each(|(key, entry)| self.note(key, entry));
        }
    }

    /// What has to be put back so that all is as at the savepoint, which stays.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Vec<(Key, Option<Entry>)> {
        let Some(at) = self.position(name) else { return Vec::new() };
        let undone = undo(self.savepoints.split_off(at).into_iter().map(|level| level.before));
        self.savepoint(name.to_owned());
        undone
    }

    /// What has to be put back so that all is as before the transaction.
    pub(super) fn roll_back(&mut self) -> Vec<(Key, Option<Entry>)> {
        let first = std::mem::take(&mut self.first);
        let savepoints = std::mem::take(&mut self.savepoints).into_iter();
        undo(std::iter::once(first).chain(savepoints.map(|level| level.before)))
    }

    pub(super) fn clear(&mut self) {
        self.first.clear();
        self.savepoints.clear();
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }
}

/// The oldest state of each entry of these levels, oldest first.
fn undo(levels: impl Iterator<Item = HashMap<Key, Option<Entry>>>) -> Vec<(Key, Option<Entry>)> {
    let mut oldest: HashMap<Key, Option<Entry>> = HashMap::new();
    for (key, before) in levels.flatten() {
        oldest.entry(key).or_insert(before);
    }
    oldest.into_iter().collect()
}
