//! Footprints over a small database, made by hand.

mod any;
mod locks;
mod routines;
mod rows;
mod sessions;
mod shop;
mod triggers;
mod wider;

use std::collections::HashMap;

use super::catalog::Rows;
use super::{Access, Catalog, Footprint, Footprints, LockMode, Mode, Table, Widening};
use crate::label::Label as _;
use crate::pglog::SessionId;
use crate::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use crate::replay::settings::Login;
use crate::replay::work::{End, Position, Seq, Work};

const SESSION: SessionId = SessionId { start: 1, pid: 1 };

/// The engine, and what it was told so far.
struct World {
    footprints: Footprints,
    tables: HashMap<String, Table>,
}

fn login() -> Login {
    Login { user: "ann".into(), database: "shop".into(), application_name: String::new() }
}

fn work(session: SessionId, sql: &str, protocol: Protocol, source: SourceEnd) -> Work {
    let statement = Statement::new(sql, protocol);
    let end = End { source, sync: SyncEnd::Synced, ..End::default() };
    let at = Position { partition: 0, offset: 0, line: 0 };
    Work::new(Seq(1), at, session, statement, end)
}

fn bound(parameters: &[Option<&str>]) -> Protocol {
    Protocol::Extended {
        prepared_anew: false,
        name: "".into(),
        portal: "".into(),
        parameters: parameters.iter().map(|value| value.map(Into::into)).collect(),
    }
}

impl World {
    fn new() -> Self {
        Self::of_rows(shop::rows())
    }

    fn of_rows(rows: Rows) -> Self {
        let mut footprints = Footprints::default();
        footprints.catalog("shop", Some(Catalog::new(&rows)));
        let mut world = Self { footprints, tables: HashMap::new() };
        for name in shop::TABLES {
            let found = world.of(&format!("LOCK TABLE {name}"));
            let [Access::Lock(table, LockMode::AccessExclusive)] = found.accesses[..] else {
                panic!("{found:?}")
            };
            world.tables.insert(name.to_owned(), table);
        }
        world
    }

    fn of(&mut self, sql: &str) -> Footprint {
        self.of_protocol(sql, Protocol::Simple)
    }

    fn of_bound(&mut self, sql: &str, parameters: &[Option<&str>]) -> Footprint {
        self.of_protocol(sql, bound(parameters))
    }

    fn of_protocol(&mut self, sql: &str, protocol: Protocol) -> Footprint {
        let work = work(SESSION, sql, protocol, SourceEnd::Succeeded);
        self.footprints.of(SESSION, &login(), &work)
    }

    fn failed(&mut self, sql: &str, code: &str) -> Footprint {
        let source = SourceEnd::Failed(code.parse().expect("a SQLSTATE"));
        self.footprints.of(SESSION, &login(), &work(SESSION, sql, Protocol::Simple, source))
    }

    fn table(&self, name: &str) -> Table {
        self.tables[name]
    }

    /// The accesses as words, rows and draws without their keys: `write accounts row`.
    fn told(&mut self, sql: &str) -> Vec<String> {
        let found = self.of(sql);
        self.tell(&found)
    }

    fn tell(&self, found: &Footprint) -> Vec<String> {
        let name = |table| {
            let found = self.tables.iter().find(|(_, known)| **known == table);
            found.map_or("?", |(name, _)| name.as_str())
        };
        let word = |mode| match mode {
            Mode::Reference => "reference",
            Mode::Read => "read",
            Mode::Update => "update",
            Mode::Write => "write",
        };
        let mut told: Vec<String> = { found.accesses.iter() }
            .map(|access| match *access {
                Access::ReadAll => "read all".to_owned(),
                Access::Row(table, _, mode) => format!("{} {} row", word(mode), name(table)),
                Access::Table(table, mode) => format!("{} {}", word(mode), name(table)),
                Access::Append(table) => format!("append {}", name(table)),
                Access::InsertGiven(table) => format!("insert {}", name(table)),
                Access::Lock(table, _) => format!("lock {}", name(table)),
                Access::Advance(_) => "draw".to_owned(),
                Access::Everything => "everything".to_owned(),
            })
            .collect();
        told.sort();
        told
    }
}

/// Asserts that each statement does just this.
#[track_caller]
fn assert_told(cases: &[(&str, &[&str])]) {
    let mut world = World::new();
    for (sql, expected) in cases {
        assert_eq!(world.told(sql), *expected, "{sql}");
    }
}

/// Asserts that each statement is a barrier, for this reason.
#[track_caller]
fn assert_barriers(why: Widening, statements: &[&str]) {
    let mut world = World::new();
    for sql in statements {
        assert_eq!(unlocked(world.of(sql)), Footprint::everything(why), "{sql}");
    }
}

/// What else there is to a footprint than locks on tables.
fn unlocked(mut footprint: Footprint) -> Footprint {
    footprint.locks.clear();
    footprint
}

#[test]
fn every_reason_has_a_label_of_its_own() {
    let labels: std::collections::BTreeSet<_> =
        Widening::ALL.iter().map(|why| why.label()).collect();
    assert_eq!(labels.len(), Widening::ALL.len());
}
