//! Statements on their way into the conflict order: what each touches, by a catalog that is not
//! older than the schema changes before it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::{Arrival, ConflictOrder, steps};
use crate::pglog::statement::{SourceEnd, SyncEnd};
use crate::pglog::{SessionId, SqlState};
use crate::replay::footprint::{Catalog, Costly, Footprint, Footprints, Widening};
use crate::replay::order::Start;
use crate::replay::settings::Login;
use crate::replay::work::{Seq, Work};

/// The conflict order of statements as they stand in the log.
///
/// It needs the catalog of each database before the first statement in it, and again after its
/// schema was changed: [`Arrivals::wanted`] names it, and until [`Arrivals::know`] brings it, what
/// has come since waits. (A change of the schema is a barrier: nothing could start anyway.)
#[derive(Debug, Default)]
pub struct Arrivals {
    order: ConflictOrder,
    footprints: Footprints,
    /// What has come and has no place in the order yet.
    held: VecDeque<(Arc<Work>, Arc<Login>)>,
    /// Databases whose catalog is known, or can't be.
    known: HashSet<Box<str>>,
    /// The statement with which a database's schema is another, and what it changes.
    change: Option<(Seq, Change)>,
    /// Whose catalog is needed before anything held goes on.
    wanted: Option<Arc<Login>>,
    /// Sessions that have changed the schema in a transaction that is open.
    changing: HashMap<SessionId, Change>,
    widened: HashMap<Widening, u64>,
}

/// A change of what catalogs hold.
#[derive(Debug)]
struct Change {
    /// Who made it.
    login: Arc<Login>,
    /// Whether it may have changed all databases: which there are, or the settings of roles.
    is_everywhere: bool,
}

impl Arrivals {
    /// Takes the next statement of the log.
    pub fn take(&mut self, work: Arc<Work>, login: Arc<Login>, starts: &mut Vec<Start>) {
        self.held.push_back((work, login));
        self.go_on(starts);
    }

    /// Who would see the catalog that is needed.
    pub fn wanted(&self) -> Option<&Arc<Login>> {
        self.wanted.as_ref()
    }

    /// This is the catalog of a database from now on; `None`: it can't be read, and every statement
    /// is a barrier.
    pub fn know(&mut self, database: &str, catalog: Option<Catalog>, starts: &mut Vec<Start>) {
        self.footprints.catalog(database, catalog);
        self.known.insert(database.into());
        if self.wanted.as_ref().is_some_and(|login| login.database == database) {
            self.wanted = None;
        }
        self.go_on(starts);
    }

    /// A statement has finished, or will never start.
    pub fn finish(&mut self, seq: Seq, starts: &mut Vec<Start>) {
        self.order.finish(seq, starts);
        if let Some((_, change)) = self.change.take_if(|(change, _)| *change == seq) {
            self.changed(change);
        }
        self.go_on(starts);
    }

    /// The session's connection is closed for good; `ended`: so is the session.
    pub fn close(&mut self, session: SessionId, ended: bool, starts: &mut Vec<Start>) {
        self.order.close(session, starts);
        if let Some(change) = self.changing.remove(&session) {
            self.changed(change);
        }
        if ended {
            self.footprints.forget(session);
        }
        self.go_on(starts);
    }

    /// What is known of catalogs is older than this change.
    fn changed(&mut self, Change { login, is_everywhere }: Change) {
        if is_everywhere {
            self.known.clear();
        }
        self.wanted.get_or_insert(login);
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

    /// Gives what is held its place, up to where a catalog has to be read first.
    fn go_on(&mut self, starts: &mut Vec<Start>) {
        while let Some((_, login)) = self.held.front() {
            if self.wanted.is_none() && !self.known.contains(&*login.database) {
                self.wanted = Some(login.clone());
            }
            // What the change waits for may itself wait for what stands behind it.
            let waits = self.change.is_some() && !self.order.is_stuck();
            if waits || self.wanted.is_some() {
                return;
            }
            if let Some((work, login)) = self.held.pop_front() {
                self.place(&work, login, starts);
            }
        }
    }

    fn place(&mut self, work: &Work, login: Arc<Login>, starts: &mut Vec<Start>) {
        let session = work.session;
        let end = work.end();
        let mut footprint = self.footprints.of(session, &login, work);
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
        let changes = Footprints::changes_catalog(work) && !footprint.accesses.is_empty();
        let arrival = Arrival {
            seq: work.seq,
            session,
            draws_only: end.source.is_transient() && !footprint.accesses.is_empty(),
            footprint,
            steps: steps(&work.statement),
            failed: matches!(end.source, SourceEnd::Failed(_)),
            joined: end.sync == SyncEnd::Joined,
        };
        self.order.arrive(&arrival, starts);
        if changes {
            let is_everywhere = work.statement.outline.changes_logins;
            let change = self.changing.entry(session);
            change.or_insert(Change { login, is_everywhere: false }).is_everywhere |= is_everywhere;
        }
        if !self.order.is_in_transaction(session)
            && let Some(change) = self.changing.remove(&session)
            && self.order.is_unfinished(work.seq)
        {
            self.change = Some((work.seq, change));
        }
    }
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
            self.arrivals.know(database, Some(catalog), &mut Vec::new());
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
        assert_eq!(log.arrivals.wanted().map(|login| &*login.database), Some("d"));
        log.know();
        assert!(log.may_start(first));
    }

    #[test]
    fn what_follows_a_change_of_the_schema_waits_for_the_new_catalog() {
        let mut log = Log::default();
        log.know();
        let change = log.runs(1, "create table t (a int)");
        let after = log.runs(2, "select 1");
        assert!(log.may_start(change));
        log.finish(change);
        assert!(!log.may_start(after) && log.arrivals.wanted().is_some());
        log.know();
        assert!(log.may_start(after));
    }

    #[test]
    fn a_change_in_a_transaction_counts_from_its_end() {
        let mut log = Log::default();
        log.know();
        let begin = log.runs(1, "begin");
        let change = log.runs(1, "create table t (a int)");
        let own = log.runs(1, "select 1");
        log.finish(begin);
        log.finish(change);
        assert!(log.arrivals.wanted().is_none());
        assert!(log.may_start(own));
        log.finish(own);
        let commit = log.runs(1, "commit");
        let after = log.runs(2, "select 1");
        log.finish(commit);
        assert!(log.arrivals.wanted().is_some() && !log.may_start(after));
    }

    #[test]
    fn what_changes_the_cluster_makes_every_catalog_old() {
        let mut log = Log::default();
        log.know();
        log.know_in("e");
        let drop = log.runs(1, "drop database e");
        log.runs_in("e", 2, "select 1");
        assert!(log.arrivals.wanted().is_none(), "the one that is dropped is not asked");
        log.finish(drop);
        log.know();
        assert_eq!(log.arrivals.wanted().map(|login| &*login.database), Some("e"));
    }

    #[test]
    fn a_change_that_waits_for_what_stands_behind_it_does_not_stop_that() {
        let mut log = Log::default();
        log.know();
        let done = [log.runs(1, "begin"), log.runs(1, "update t set b = 1 where a = 1")];
        log.runs(2, "update t set b = 2 where a = 1");
        let change = log.runs(3, "create table u (a int)");
        let commit = log.runs(1, "commit");
        assert!(!log.may_start(change));
        done.into_iter().for_each(|seq| log.finish(seq));
        assert!(log.may_start(commit), "the change waits for the second update, that for this");
    }
}
