use super::*;
pub(in crate::replay::order) use crate::any_bytes::small_catalog as catalog;
use crate::pglog::statement::{Protocol, Statement};
use crate::replay::work::{End, Position};

/// A statement of the session with this process id.
pub(in crate::replay::order) fn work(seq: u64, pid: u32, sql: &str) -> Arc<Work> {
    let statement = Statement::new(sql, Protocol::Simple);
    let session = SessionId { start: 1, pid };
    let at = Position { partition: 0, offset: 0, line: 0 };
    Arc::new(Work::new(Seq(seq), at, session, statement, End::default()))
}

pub(in crate::replay::order) fn login(database: &str) -> Arc<Login> {
    let (user, database) = ("u".to_owned(), database.to_owned());
    Arc::new(Login { user, database, application_name: String::new() })
}

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
        let work = work(self.seq, pid, sql);
        self.arrivals.take(work, login(database), &mut Vec::new());
        Seq(self.seq)
    }

    fn know(&mut self) {
        self.know_in("d");
    }

    fn know_in(&mut self, database: &str) {
        if let Some(wanted) = self.wanted(database) {
            self.arrivals.reads(&wanted);
        }
        self.arrivals.know(database, Some(catalog()), &mut Vec::new());
    }

    /// Who would see the catalog that is wanted, if it is this database's.
    fn wanted(&self, database: &str) -> Option<Arc<Login>> {
        let wanted = self.arrivals.wanted().map(|wanted| wanted.login);
        wanted.filter(|login| login.database == database)
    }

    fn finish(&mut self, seq: Seq) {
        self.arrivals.finish(seq, &mut Vec::new());
    }

    fn end(&mut self, pid: u32) {
        self.arrivals.close(SessionId { start: 1, pid }, true, &mut Vec::new());
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

#[test]
fn of_many_databases_the_catalogs_of_those_that_were_used_last_are_kept() {
    let mut log = Log::default();
    for at in 0..10 * CATALOGS {
        for (pid, database) in [(10 + at as u32, format!("test_{at}")), (1, "busy".to_owned())] {
            let seq = log.runs_in(&database, pid, "select 1");
            if log.wanted(&database).is_some() {
                log.know_in(&database);
            }
            assert!(log.may_start(seq), "{database}");
            log.finish(seq);
            log.end(pid);
        }
        assert!(log.arrivals.databases.len() <= CATALOGS);
    }
    log.runs_in("busy", 2, "select 1");
    assert!(log.arrivals.wanted().is_none(), "it was never let go of");
    let again = log.runs_in("test_0", 3, "select 1");
    assert!(log.arrivals.wanted().is_some_and(|wanted| wanted.is_waited_for));
    log.know_in("test_0");
    assert!(log.may_start(again));
}

#[test]
fn a_catalog_that_a_change_under_way_makes_old_is_kept_however_many_there_are() {
    let mut log = Log::known();
    let change = log.runs(1, "create table u (a int)");
    for at in 0..2 * CATALOGS {
        let database = format!("test_{at}");
        let seq = log.runs_in(&database, 10 + at as u32, "select 1");
        log.know_in(&database);
        log.finish(seq);
        log.end(10 + at as u32);
    }
    log.runs(3, "select a from u");
    assert!(log.arrivals.wanted().is_none(), "it is not read before it has changed");
    log.finish(change);
    assert!(log.wanted("d").is_some());
}

#[test]
fn a_catalog_is_kept_for_as_long_as_a_session_of_its_database_goes_on() {
    let mut log = Log::default();
    for at in 0..2 * CATALOGS as u32 {
        let database = format!("tenant_{at}");
        let seq = log.runs_in(&database, at, "select 1");
        log.know_in(&database);
        log.finish(seq);
    }
    log.runs_in("tenant_0", 0, "select 1");
    assert!(log.arrivals.wanted().is_none());
}
