//! Statements on their way into the conflict order: what each touches, by the catalog of its database.
//!
//! A database's first catalog is waited for. Later ones are not: behind a change of the schema, each
//! statement is a barrier until the catalog has been read again, so that the replay goes on as in
//! serial order meanwhile. What the old catalog says of a statement's rows still counts beside that.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;

use super::{Arrival, ConflictOrder, Step, steps};
use crate::pglog::sql::Command;
use crate::pglog::statement::{SourceEnd, SyncEnd};
use crate::pglog::{SessionId, SqlState};
use crate::replay::footprint::{Access, Catalog, Costly, Footprint, Footprints, Object, Widening};
use crate::replay::order::Start;
use crate::replay::settings::Login;
use crate::replay::work::{Seq, Work};

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

/// How a database's catalog stands.
#[derive(Debug)]
struct Database {
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
        self.footprints.catalog(database, catalog);
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
        self.order.is_stuck() && self.held.is_empty()
    }

    /// How often footprints were widened, by reason.
    pub fn widened(&self) -> impl Iterator<Item = (Widening, u64)> {
        self.widened.iter().map(|(why, count)| (*why, *count))
    }

    /// The shapes of statements that cost the most concurrency, the worst first.
    pub fn worst(&self, n: usize) -> Vec<Costly> {
        self.footprints.worst(n)
    }

    /// Whether the catalog of a database was read, or looked for in vain.
    fn is_known(&mut self, database: &str) -> bool {
        if let Some(known) = self.databases.get(database) {
            return known.is_known;
        }
        // It may not be there before such a change has run, or be another one.
        let is_known = self.unfinished.values().any(|change| change.is_everywhere);
        let new = Database { is_known, is_stale: true, changes: 0, read_at: None };
        self.databases.insert(database.into(), new);
        is_known
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
        let database = self.databases.get(&*login.database);
        if database.is_some_and(|database| database.is_stale)
            && work.statement.outline.has(needs_catalog)
        {
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
                Some(Access::Draw(Object::prepared_transaction(name)))
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
mod tests {
    use super::*;
    use crate::pglog::sql::Outline;
    use crate::pglog::statement::{Protocol, Statement};
    use crate::replay::footprint::catalog::{ColumnRow, IndexRow, RelationRow, Rows, SettingRow};
    use crate::replay::work::{End, Position};

    #[derive(Default)]
    struct Log {
        arrivals: Arrivals,
        seq: u64,
    }

    impl Log {
        /// One whose database's catalog has been read.
        fn known() -> Self {
            let mut log = Self::default();
            let first = log.runs(9, "select 1");
            log.know();
            log.finish(first);
            log
        }

        fn runs(&mut self, pid: u32, sql: &str) -> Seq {
            self.runs_in("d", pid, sql)
        }

        fn runs_in(&mut self, database: &str, pid: u32, sql: &str) -> Seq {
            self.seq += 1;
            let statement = Statement {
                exporter: None,
                sql: sql.into(),
                protocol: Protocol::Simple,
                duration_ms: None,
                logged_ms: 0,
                outline: Outline::of(sql),
            };
            let session = SessionId { start: 1, pid };
            let at = Position { partition: 0, offset: 0, line: 0 };
            let work = Work::new(Seq(self.seq), at, session, statement, End::default());
            let login = Login {
                user: "u".to_owned(),
                database: database.to_owned(),
                application_name: String::new(),
            };
            self.arrivals.take(Arc::new(work), Arc::new(login), &mut Vec::new());
            Seq(self.seq)
        }

        fn know(&mut self) {
            self.know_in("d");
        }

        fn know_in(&mut self, database: &str) {
            let name = |name: &str| name.to_owned();
            let column = |number, name: &str| ColumnRow {
                relation: 1,
                number,
                name: name.to_owned(),
                type_oid: 23,
                modifier: -1,
                not_null: number == 1,
                is_deterministic: true,
                is_generated: false,
                has_default: false,
            };
            let key = IndexRow {
                oid: 2,
                relation: 1,
                columns: vec![1],
                mentions: vec![1],
                is_primary: true,
                is_immediate: true,
                is_whole: true,
                is_unique: true,
            };
            let path = SettingRow { role: None, name: name("search_path"), value: name("public") };
            let table = RelationRow { oid: 1, schema: name("public"), name: name("t"), kind: 'r' };
            let catalog = Catalog::new(Rows {
                settings: vec![path],
                relations: vec![table],
                columns: vec![column(1, "a"), column(2, "b")],
                indexes: vec![key],
                ..Rows::default()
            });
            if let Some(wanted) = self.wanted(database) {
                self.arrivals.reads(&wanted);
            }
            self.arrivals.know(database, Some(catalog), &mut Vec::new());
        }

        /// Who would see the catalog that is wanted, if it is this database's.
        fn wanted(&self, database: &str) -> Option<Arc<Login>> {
            let wanted = self.arrivals.wanted().map(|wanted| wanted.login);
            wanted.filter(|login| login.database == database)
        }

        fn finish(&mut self, seq: Seq) {
            self.arrivals.finish(seq, &mut Vec::new());
        }

        fn may_start(&self, seq: Seq) -> bool {
            self.arrivals.order().may_start(seq)
        }
    }

    #[test]
    fn nothing_starts_before_the_catalog_of_its_database_is_known() {
        let mut log = Log::default();
        let first = log.runs(1, "select 1");
        assert!(!log.may_start(first));
        assert!(log.arrivals.wanted().is_some_and(|wanted| wanted.is_waited_for));
        assert!(log.wanted("d").is_some());
        log.know();
        assert!(log.may_start(first));
    }

    #[test]
    fn a_catalog_that_can_not_be_read_is_gone_without() {
        let mut log = Log::default();
        let first = log.runs(1, "select 1");
        log.arrivals.reads(&log.wanted("d").expect("the first one"));
        log.arrivals.go_without("d", &mut Vec::new());
        assert!(log.may_start(first));
        let second = log.runs(2, "select 1");
        assert!(!log.may_start(second), "one after the other");
        assert!(log.arrivals.wanted().is_some_and(|wanted| !wanted.is_waited_for));
    }

    #[test]
    fn behind_a_change_of_the_schema_each_is_a_barrier_until_the_catalog_is_read_again() {
        let mut log = Log::known();
        let change = log.runs(1, "create table u (a int)");
        let [second, third] = [2, 3].map(|pid| log.runs(pid, "select 1"));
        assert!(log.may_start(change) && !log.may_start(second));
        assert!(log.wanted("d").is_none(), "it is about to change");
        log.finish(change);
        assert!(log.may_start(second) && !log.may_start(third));
        log.know();
        log.finish(second);
        let [fourth, fifth] = [4, 5].map(|pid| log.runs(pid, "select 1"));
        assert!(!log.may_start(fourth), "the barrier before it is one still");
        log.finish(third);
        assert!(log.may_start(fourth) && log.may_start(fifth));
    }

    #[test]
    fn a_catalog_that_was_read_while_the_schema_changed_does_not_count() {
        let mut log = Log::known();
        let change = log.runs(1, "create table u (a int)");
        log.finish(change);
        log.runs(2, "select 1");
        let wanted = log.wanted("d").expect("it has changed");
        log.arrivals.reads(&wanted);
        let second = log.runs(1, "drop table u");
        log.arrivals.know("d", None, &mut Vec::new());
        assert!(log.wanted("d").is_none());
        log.finish(second);
        assert!(log.wanted("d").is_some());
    }

    #[test]
    fn rows_that_the_old_catalog_knows_count_beside_the_barrier() {
        let mut log = Log::known();
        let change = log.runs(1, "create table u (a int)");
        let done = [log.runs(2, "begin"), log.runs(2, "update t set b = 1 where a = 1")];
        let waits = log.runs(3, "update t set b = 2 where a = 1");
        log.finish(change);
        done.into_iter().for_each(|seq| log.finish(seq));
        assert!(!log.may_start(waits), "for the end of the transaction, which has not been read");
        let commit = log.runs(2, "commit");
        assert!(log.may_start(commit));
        log.finish(commit);
        assert!(log.may_start(waits));
    }

    #[test]
    fn nothing_is_kept_of_a_session_that_has_ended() {
        let mut log = Log::known();
        for pid in 1..=2 {
            for sql in ["set search_path = x", "begin", "create table u (a int)"] {
                let seq = log.runs(pid, sql);
                log.finish(seq);
            }
        }
        let session = SessionId { start: 1, pid: 1 };
        let before = log.arrivals.footprints.sessions();
        log.arrivals.close(session, true, &mut Vec::new());
        assert_eq!(log.arrivals.changing.len(), 1);
        assert_eq!(log.arrivals.footprints.sessions(), before - 1);
        assert!(log.arrivals.order().granted(session).is_none());
    }

    #[test]
    fn a_change_in_a_transaction_counts_from_its_end() {
        let mut log = Log::known();
        let begin = log.runs(1, "begin");
        let change = log.runs(1, "create table u (a int)");
        let own = log.runs(1, "select 1");
        log.finish(begin);
        log.finish(change);
        assert!(log.may_start(own));
        log.finish(own);
        let [one, other] = [2, 3].map(|pid| log.runs(pid, "select 1"));
        assert!(log.may_start(one) && log.may_start(other));
        let commit = log.runs(1, "commit");
        let [one, other] = [2, 3].map(|pid| log.runs(pid, "select 1"));
        log.finish(commit);
        assert!(log.wanted("d").is_some());
        assert!(!(log.may_start(one) && log.may_start(other)));
    }

    #[test]
    fn a_change_that_is_rolled_back_is_none() {
        let mut log = Log::known();
        for sql in ["begin", "create table u (a int)", "rollback"] {
            let seq = log.runs(1, sql);
            log.finish(seq);
        }
        log.runs(2, "select 1");
        assert!(log.arrivals.wanted().is_none());
    }

    #[test]
    fn what_changes_the_cluster_makes_every_catalog_old() {
        let mut log = Log::known();
        log.runs_in("e", 1, "select 1");
        log.know_in("e");
        let drop = log.runs(1, "drop database f");
        log.runs_in("e", 2, "select 1");
        assert!(log.arrivals.wanted().is_none(), "it has not changed yet");
        log.finish(drop);
        assert!(log.wanted("e").is_some());
    }

    #[test]
    fn a_database_that_is_about_to_be_made_is_not_read_before() {
        let mut log = Log::known();
        let create = log.runs(1, "create database e");
        let first = log.runs_in("e", 2, "select 1");
        assert!(log.arrivals.wanted().is_none() && !log.may_start(first));
        log.finish(create);
        assert!(log.wanted("e").is_some() && log.may_start(first));
    }

    #[test]
    fn a_change_that_waits_for_what_stands_behind_it_does_not_stop_that() {
        let mut log = Log::known();
        let done = [log.runs(1, "begin"), log.runs(1, "update t set b = 1 where a = 1")];
        log.runs(2, "update t set b = 2 where a = 1");
        let change = log.runs(3, "create table u (a int)");
        let commit = log.runs(1, "commit");
        assert!(!log.may_start(change));
        done.into_iter().for_each(|seq| log.finish(seq));
        assert!(log.may_start(commit), "the change waits for the second update, that for this");
    }
}
