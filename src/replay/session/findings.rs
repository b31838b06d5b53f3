//! What sessions find out about the target and tell each other.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::replay::session::context::Routines;
use crate::replay::session::durations::FigureBudget;
use crate::replay::session::parameter_types::KnownTypes;

/// What sessions find out about the target and tell each other.
#[derive(Debug, Default)]
pub struct Findings {
    /// The types of statements' parameters.
    pub types: KnownTypes,
    /// Whether the target may choose victims that the source had not.
    victims: AtomicBool,
    /// By name. A mutex, held for a look-up.
    databases: Mutex<HashMap<Box<str>, Arc<DatabaseFindings>>>,
    /// By user and database. A mutex, held for a look-up.
    logins: Mutex<HashMap<UserAndDatabase, Arc<LoginFindings>>>,
    /// How many of the server's durations sessions that send ahead may have. A mutex, held for a sum.
    pub(super) figures: Mutex<FigureBudget>,
}

type UserAndDatabase = (Box<str>, Box<str>);

impl Findings {
    /// Whether the target may choose victims that the source had not: it has, or the log is of a kind
    /// that has such.
    pub fn expects_victims(&self) -> bool {
        self.victims.load(Ordering::Relaxed)
    }

    pub(super) fn expect_victims(&self) {
        self.victims.store(true, Ordering::Relaxed);
    }

    /// What is known of a database of the target.
    pub fn database(&self, name: &str) -> Arc<DatabaseFindings> {
        shared(&mut self.databases.lock(), name.into())
    }

    /// What is known of those who log in like this.
    pub fn login(&self, user: &str, database: &str) -> Arc<LoginFindings> {
        shared(&mut self.logins.lock(), (user.into(), database.into()))
    }
}

/// How many databases, or log-ins, are remembered without a session that has to do with them.
const REMEMBERED: usize = 1024;

/// What is known by a key. Where there are many keys, what no session has any more is found out again: a
/// source may make a database for each run of its tests.
fn shared<K: Eq + Hash, V: Default>(known: &mut HashMap<K, Arc<V>>, key: K) -> Arc<V> {
    if known.len() >= REMEMBERED && !known.contains_key(&key) {
        known.retain(|_, of| Arc::strong_count(of) > 1);
    }
    known.entry(key).or_default().clone()
}

/// What sessions find out about what a user may do in a database.
#[derive(Debug, Default)]
pub struct LoginFindings {
    may_not_measure: AtomicBool,
    tells_nothing: AtomicBool,
    may_not_explain: AtomicBool,
}

impl LoginFindings {
    /// Whether it may not have the server measure durations.
    pub(super) fn may_not_measure(&self) -> bool {
        self.may_not_measure.load(Ordering::Relaxed)
    }

    pub(super) fn note_may_not_measure(&self) {
        self.may_not_measure.store(true, Ordering::Relaxed);
    }

    /// Whether the server tells it no durations whatever is set.
    pub(super) fn tells_nothing(&self) -> bool {
        self.tells_nothing.load(Ordering::Relaxed)
    }

    pub(super) fn note_tells_nothing(&self) {
        self.tells_nothing.store(true, Ordering::Relaxed);
    }

    /// Whether it may not have auto_explain tell plans.
    pub(super) fn may_not_explain(&self) -> bool {
        self.may_not_explain.load(Ordering::Relaxed)
    }

    /// Returns whether that was not known.
    pub(super) fn note_may_not_explain(&self) -> bool {
        !self.may_not_explain.swap(true, Ordering::Relaxed)
    }
}

/// What sessions find out about one database.
#[derive(Debug, Default)]
pub struct DatabaseFindings {
    /// How often its schema has changed.
    changes: AtomicU64,
    /// How often what statements on its tables and views give may have changed.
    result_changes: AtomicU64,
    /// What its routines may do to a session, as of so many changes. A mutex, held for a copy.
    routines: Mutex<Option<(u64, Arc<Routines>)>>,
}

impl DatabaseFindings {
    /// A transaction has ended that may have changed the schema.
    pub(super) fn schema_changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the schema has changed: to be read before it is asked about.
    pub(super) fn schema_changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// A transaction has ended that may have changed what prepared statements give.
    pub(super) fn results_changed(&self) {
        self.result_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that has happened.
    pub(super) fn result_changes(&self) -> u64 {
        self.result_changes.load(Ordering::Relaxed)
    }

    /// What its routines may do to a session, unless that has to be asked for.
    pub(super) fn routines(&self) -> Option<Arc<Routines>> {
        let known = self.routines.lock();
        let (as_of, routines) = known.as_ref()?;
        (*as_of == self.schema_changes()).then(|| routines.clone())
    }

    pub(super) fn note_routines(&self, as_of: u64, routines: Arc<Routines>) {
        let mut known = self.routines.lock();
        *known = Some((as_of, routines));
    }
}

#[cfg(test)]
mod tests;
