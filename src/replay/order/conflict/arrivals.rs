//! Statements on their way into the conflict order: what each touches, by the catalog of its database.
//!
//! A database's first catalog is waited for. Later ones are not: behind a change of the schema, each
//! statement is a barrier until the catalog has been read again, so that the replay continues as in
//! serial order meanwhile. What the old catalog says of a statement's rows still counts beside that.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;

use super::{Arrival, ConflictOrder, Step, steps};
use crate::pglog::statement::{SourceEnd, SyncEnd};
use crate::pglog::{SessionId, SqlState};
use crate::replay::order::Start;
use crate::replay::order::footprint::{
    Access, Catalog, Footprint, Footprints, Object, TopFallback, Widening,
};
use crate::replay::settings::Login;
use crate::replay::work::{Seq, Work};
use crate::sql::Command;

/// The conflict order of statements as they stand in the log.
///
/// It needs the catalog of each database before the first statement in it, and again after its
/// schema was changed: [`Arrivals::wanted`] names it, and [`Arrivals::know`] brings it.
#[derive(Debug, Default)]
pub struct Arrivals {
    order: ConflictOrder,
    footprints: Footprints,
    /// What has come and has no place in the order yet.
    held: VecDeque<(Arc<Work>, Arc<Login>)>,
    databases: HashMap<Box<str>, Database>,
    /// Who would see the catalogs that are to be read again, in the order in which statements asked.
    needed: Vec<Arc<Login>>,
    /// Changes of schemas that have a place in the order and have not finished.
    unfinished: HashMap<Seq, Change>,
    /// Sessions that have changed the schema in a transaction that is open.
    changing: HashMap<SessionId, Change>,
    widened: HashMap<Widening, u64>,
}

/// The catalogs of so many databases are kept, up to a MB each, and of those with sessions: a source may make
/// a database for each run of its tests.
const CATALOGS: usize = 256;

/// How a database's catalog stands.
#[derive(Debug)]
struct Database {
    /// The last statement in it that was given a place.
    used: Seq,
    /// Whether it was read, or looked for in vain.
    is_known: bool,
    /// Whether it is older than a change that has a place in the order.
    is_stale: bool,
    /// How many changes of it have been given a place in the order.
    changes: u64,
    /// How many changes there were when its reading began.
    read_at: Option<u64>,
}

/// A change of what catalogs hold.
#[derive(Debug)]
struct Change {
    /// Whose schema it is.
    database: Box<str>,
    /// Whether it may have changed all databases: which there are, or the settings of roles.
    is_everywhere: bool,
}

impl Change {
    /// Whether it makes this database's catalog old.
    fn concerns(&self, database: &str) -> bool {
        self.is_everywhere || *self.database == *database
    }
}

/// A catalog that is to be read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who would see it.
    pub login: Arc<Login>,
    /// Whether nothing goes on before.
    pub is_waited_for: bool,
}

impl Arrivals {
    /// Takes the next statement of the log.
    pub fn take(&mut self, work: Arc<Work>, login: Arc<Login>, starts: &mut Vec<Start>) {
        self.held.push_back((work, login));
        self.go_on(starts);
    }

    /// The catalog that is to be read next. None that a change which has not finished makes old at once.
    pub fn wanted(&self) -> Option<Wanted> {
        if let Some((_, login)) = self.held.front() {
            return Some(Wanted { login: login.clone(), is_waited_for: true });
        }
        let is_due = |login: &&Arc<Login>| {
            !self.unfinished.values().any(|change| change.concerns(&login.database))
        };
        let login = self.needed.iter().find(is_due)?.clone();
        Some(Wanted { login, is_waited_for: false })
    }

    /// The reading of the database's catalog begins.
    pub fn reads(&mut self, login: &Arc<Login>) {
        self.needed.retain(|needed| needed.database != login.database);
        if let Some(database) = self.databases.get_mut(&*login.database) {
            database.read_at = Some(database.changes);
        }
    }

    /// This is the catalog of a database from now on; `None`: it can't be read, and every statement
    /// is a barrier.
    pub fn know(&mut self, database: &str, catalog: Option<Catalog>, starts: &mut Vec<Start>) {
        // It may have been let go of meanwhile.
        if self.databases.contains_key(database) {
            self.footprints.catalog(database, catalog);
        }
        self.confirm(database, starts);
    }

    /// The catalog of a database is what is known of it.
    pub fn confirm(&mut self, database: &str, starts: &mut Vec<Start>) {
        if let Some(known) = self.databases.get_mut(database) {
            known.is_stale = known.read_at.take() != Some(known.changes);
            known.is_known = true;
            if !known.is_stale {
                self.needed.retain(|needed| needed.database != database);
            }
        }
        self.go_on(starts);
    }

    /// The catalog of a database can't be read now: nothing waits for it any longer.
    pub fn go_without(&mut self, database: &str, starts: &mut Vec<Start>) {
        if let Some(database) = self.databases.get_mut(database) {
            (database.is_known, database.is_stale) = (true, true);
        }
        self.go_on(starts);
    }

    /// A statement has finished, or will never start.
    pub fn finish(&mut self, seq: Seq, starts: &mut Vec<Start>) {
        self.order.finish(seq, starts);
        self.unfinished.remove(&seq);
    }

    /// The session's connection is closed for good; `ended`: so is the session.
    pub fn close(&mut self, session: SessionId, ended: bool, starts: &mut Vec<Start>) {
        self.order.close(session, starts);
        if ended {
            // What it had changed is rolled back.
            self.changing.remove(&session);
            self.footprints.forget(session);
        }
    }

    /// The order of what has a place in it.
    pub fn order(&self) -> &ConflictOrder {
        &self.order
    }

    /// Whether statements wait, and none may start before more has been read (rule 4).
    pub fn is_stuck(&self) -> bool {
        self.order.is_stuck() && !self.is_holding()
    }

    /// Whether statements have been read that have no place in the order yet.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// How often footprints were widened, by reason.
    pub fn widened(&self) -> impl Iterator<Item = (Widening, u64)> {
        self.widened.iter().map(|(why, count)| (*why, *count))
    }

    /// The shapes of statements that cost the most concurrency, the worst first.
    pub fn worst(&self, n: usize) -> Vec<TopFallback> {
        self.footprints.worst(n)
    }

    /// Whether the catalog of a database was read, or looked for in vain.
    fn is_known(&mut self, database: &str) -> bool {
        if let Some(known) = self.databases.get(database) {
            return known.is_known;
        }
        self.make_room();
        // It may not be there before such a change has run, or be another one.
        let is_known = self.unfinished.values().any(|change| change.is_everywhere);
        let new = Database { used: Seq(0), is_known, is_stale: true, changes: 0, read_at: None };
        self.databases.insert(database.into(), new);
        is_known
    }

    /// Lets go of catalogs that no session needs and that were not used for the longest, if there are too
    /// many: they are read again when they are needed. Not while a change that makes one old is under way:
    /// it would be read before that.
    fn make_room(&mut self) {
        if self.databases.len() < CATALOGS {
            return;
        }
        let changes = || self.unfinished.values().chain(self.changing.values());
        let in_use = self.footprints.databases();
        let is_idle = |name: &str| {
            !in_use.contains(name)
                && !changes().any(|change| change.concerns(name))
                && !self.needed.iter().any(|needed| *needed.database == *name)
        };
        let databases = self.databases.iter().filter(|(name, _)| is_idle(name));
        let mut idle: Vec<_> = databases.map(|(name, it)| (it.used, name.clone())).collect();
        idle.sort_unstable();
        for (_, name) in idle.into_iter().take(CATALOGS / 2) {
            self.databases.remove(&name);
            self.footprints.catalog(&name, None);
        }
    }

    /// Gives what is held its place, up to where a catalog has to be read first.
    fn go_on(&mut self, starts: &mut Vec<Start>) {
        while let Some((work, login)) = self.held.pop_front() {
            if !self.is_known(&login.database) {
                self.held.push_front((work, login));
                return;
            }
            self.place(&work, &login, starts);
        }
    }

    fn place(&mut self, work: &Work, login: &Arc<Login>, starts: &mut Vec<Start>) {
        let session = work.session;
        let end = work.end();
        let mut footprint = self.footprints.of(session, login, work);
        let changes = Footprints::changes_catalog(work) && !footprint.accesses.is_empty();
        let database = self.databases.get_mut(&*login.database);
        let is_stale = database.is_some_and(|database| {
            database.used = work.seq;
            database.is_stale
        });
        if is_stale && work.statement.outline.has(needs_catalog) {
            if !self.needed.iter().any(|needed| needed.database == login.database) {
                self.needed.push(login.clone());
            }
            footprint.widen_to_everything(Widening::StaleCatalog);
        }
        if self.changing.contains_key(&session) && !footprint.accesses.is_empty() {
            // The catalog does not know what this transaction has made.
            footprint = Footprint::everything(Widening::Ddl);
        }
        if work.statement.outline.signals_backend {
            // It is to hit what ran on the source, and no statement before or behind that.
            footprint = Footprint::everything(Widening::VolatileFunction);
        }
        if end.source == SourceEnd::Failed(SqlState::IN_FAILED_TRANSACTION) {
            footprint = Footprint::default();
        }
        if let Some(why) = footprint.widened {
            *self.widened.entry(why).or_default() += 1;
        }
        let steps = steps(&work.statement);
        footprint.accesses.extend(steps.iter().filter_map(|step| match step {
            Step::Prepare(name) | Step::FinishPrepared { name, .. } => {
                Some(Access::Advance(Object::prepared_transaction(name)))
            }
            _ => None,
        }));
        let arrival = Arrival {
            seq: work.seq,
            session,
            draws_only: end.source.is_transient() && !footprint.accesses.is_empty(),
            footprint,
            steps,
            failed: matches!(end.source, SourceEnd::Failed(_)),
            joined: end.sync == SyncEnd::Joined,
        };
        self.order.arrive(&arrival, starts);
        if changes {
            let is_everywhere = work.statement.outline.changes_logins;
            let database = login.database.as_str().into();
            let change = self.changing.entry(session);
            change.or_insert(Change { database, is_everywhere: false }).is_everywhere |=
                is_everywhere;
        }
        if !self.order.is_in_transaction(session)
            && let Some(change) = self.changing.remove(&session)
            && arrival.steps != [Step::Rollback]
        {
            self.note_change(work.seq, change);
        }
    }

    /// What stands behind this statement finds another schema.
    fn note_change(&mut self, seq: Seq, change: Change) {
        let changed = self.databases.iter_mut().filter(|(name, _)| change.concerns(name));
        for (_, database) in changed {
            database.changes += 1;
            database.is_stale = true;
        }
        if self.order.is_unfinished(seq) {
            self.unfinished.insert(seq, change);
        }
    }
}

/// Whether a catalog tells what such a command does.
fn needs_catalog(command: Command) -> bool {
    matches!(command, Command::Read | Command::SetConfig | Command::Other)
}

#[cfg(test)]
pub(in crate::replay::order) mod tests;
