//! What a statement reads and writes, as far as that can be told before it runs.
//!
//! The conflict order puts statements in order by it. What cannot be told is widened: a
//! row to its table, a table to everything.
//!
//! [`Footprints`] tells it, from PostgreSQL's own parser and a [`Catalog`] of the target: once per
//! [shape](crate::sql::shape) of a statement, after which only the literals are read.

mod analysis;
pub mod catalog;
mod computation;
mod engine;
mod literals;
mod locks;
mod sessions;
mod template;
#[cfg(test)]
mod tests;
mod values;

use foldhash::HashMap;
use smallvec::SmallVec;
use strum::{IntoStaticStr, VariantArray};

use self::catalog::Oid;
pub use catalog::Catalog;
pub use engine::{Footprints, TopFallback};
pub use locks::{LockMode, TableLock};

/// A table of the target, over all its databases. A partition stands for its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u32);

/// The numbers of tables over all databases. They stay what they are when a catalog is read again.
#[derive(Debug, Default)]
pub(super) struct Tables(HashMap<(u32, Oid), Table>);

impl Tables {
    pub(super) fn number(&mut self, database: u32, root: Oid) -> Table {
        let next = Table(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        *self.0.entry((database, root)).or_insert(next)
    }
}

/// A key of a row: a hash of the values of the table's key columns. Two keys with one hash are
/// taken for one row, which costs concurrency and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// Something whose draws keep their order but which no transaction holds: a sequence, an advisory
/// lock, the identifier of a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(pub u64);

impl Object {
    /// A prepared transaction, by its identifier as the statements that prepare and finish it spell it.
    pub fn prepared_transaction(gid: &str) -> Self {
        template::object(("prepared", gid))
    }
}

/// What a statement does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Looks whether they are there and keeps them there, as a foreign key does
    /// (`FOR KEY SHARE`): what else becomes of them does not matter to it.
    Reference,
    /// Reads them.
    Read,
    /// Changes or locks them, but for what foreign keys could reference (`FOR NO KEY UPDATE`).
    Update,
    /// Adds, deletes or locks them (`FOR UPDATE`), or changes what foreign keys could reference.
    Write,
}

impl Mode {
    /// Whether it changes what others see when its transaction ends.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Update | Self::Write)
    }
}

/// One thing that a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// To the row with this key. What writes it holds its lock to the end of the transaction: whoever
    /// wrote it next on the source had to wait for that end. If there is such a row, that is, and it
    /// met what else the statement asks of it (`AND version = 3`).
    Row(Table, Key, Mode),
    /// To rows of the table that can't be told.
    Table(Table, Mode),
    /// Reads anything at all, but writes nothing: a function that is only known to be stable, the
    /// statements of a transaction that keeps its snapshot.
    ReadAll,
    /// Adds rows whose keys can't be told, and touches no row that is there: such statements do not
    /// disturb each other.
    Append(Table),
    /// Adds rows under keys that it gives. Rows that were appended may have the same keys, so that the
    /// two keep their order, statement by statement; the server's own locks do the rest.
    InsertGiven(Table),
    /// Locks the table, as `LOCK TABLE` does: behind the statements before it that it is in the way of.
    Lock(Table, LockMode),
    /// Draws from it: in the order of the log, statement by statement.
    Advance(Object),
    /// May do anything: a barrier.
    Everything,
}

impl Access {
    /// Whether it changes what others see when its transaction ends.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Row(_, _, mode) | Self::Table(_, mode) => mode.is_write(),
            Self::Append(_) => true,
            Self::InsertGiven(_)
            | Self::ReadAll
            | Self::Lock(..)
            | Self::Advance(_)
            | Self::Everything => false,
        }
    }
}

/// What a statement reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Its accesses, each once. None: it touches nothing that others could see.
    pub accesses: Vec<Access>,
    /// The locks that it takes on tables, as far as that is sure.
    pub locks: SmallVec<[TableLock; 2]>,
    /// Why less is known than a row, where that is so; the first reason found.
    pub widened: Option<Widening>,
}

/// Why a footprint is wider than rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Widening {
    /// The table has no key that could tell its rows: no primary key, no plain unique index over
    /// columns that are never NULL, or heirs of its own.
    NoKey,
    /// The statement does not pin the table's key by constants.
    NotPinned,
    /// The key has a type or a collation whose values can't be compared here.
    KeyType,
    /// A value of the key can't be read.
    KeyValue,
    /// The statement pins more rows than are told apart.
    ManyRows,
    /// The statement changes the table's key.
    KeyChanged,
    /// Another unique index than the table's key decides: it pins the row, or its values change or
    /// go.
    OtherKey,
    /// A foreign key leads to rows that can't be told.
    ForeignKey,
    /// The rows that a lock skips can't be told (`SKIP LOCKED`).
    SkipLocked,
    /// A view stands between the statement and its tables.
    View,
    /// `MERGE`, `WHERE CURRENT OF`: whole tables by their nature.
    WholeTable,
    /// A function, operator or cast is only known to be stable.
    StableFunction,
    /// A statement of a transaction that keeps its snapshot: it minds what was committed before.
    Snapshot,
    /// PostgreSQL's parser does not take the text.
    Unparsable,
    /// The text is longer or nested deeper than is parsed.
    TooLong,
    /// The catalog of the statement's database is not known.
    NoCatalog,
    /// The schema of the statement's database has changed, and its catalog is being read again.
    StaleCatalog,
    /// The catalog does not hold a relation, function or prepared statement by that name.
    UnknownName,
    /// It changes the schema, or empties or moves tables.
    Ddl,
    /// A command whose doings don't stand in its text: `DO`, `CALL`, `COPY` from a file.
    Command,
    /// A construct of the grammar that is not understood here.
    Construct,
    /// A function that may do anything.
    VolatileFunction,
    /// A function or trigger runs SQL that it puts together (`EXECUTE`).
    DynamicSql,
    /// An operator, cast or default over a function that may do anything.
    VolatileOperator,
    /// A trigger fires.
    Trigger,
    /// A rule rewrites the statement.
    Rule,
    /// The table lies on another server.
    Foreign,
}

/// How far a footprint was widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Extent {
    /// From rows to tables.
    Table,
    /// To reading anything.
    AllReads,
    /// To everything: a barrier.
    Everything,
}

impl Extent {
    /// What a statement is taken to touch, for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Table => "whole tables",
            Self::AllReads => "everything, reading",
            Self::Everything => "everything",
        }
    }
}

impl Widening {
    /// How far it widens.
    pub fn extent(self) -> Extent {
        match self {
            Self::NoKey
            | Self::NotPinned
            | Self::KeyType
            | Self::KeyValue
            | Self::ManyRows
            | Self::KeyChanged
            | Self::OtherKey
            | Self::ForeignKey
            | Self::SkipLocked
            | Self::View
            | Self::WholeTable => Extent::Table,
            Self::StableFunction | Self::Snapshot => Extent::AllReads,
            Self::Unparsable
            | Self::TooLong
            | Self::NoCatalog
            | Self::StaleCatalog
            | Self::UnknownName
            | Self::Ddl
            | Self::Command
            | Self::Construct
            | Self::VolatileFunction
            | Self::DynamicSql
            | Self::VolatileOperator
            | Self::Trigger
            | Self::Rule
            | Self::Foreign => Extent::Everything,
        }
    }
}

impl Footprint {
    /// A barrier, for this reason.
    pub fn everything(why: Widening) -> Self {
        Self { accesses: vec![Access::Everything], widened: Some(why), ..Self::default() }
    }

    /// It may do anything, and what is known of its rows besides counts too.
    pub(super) fn widen_to_everything(&mut self, why: Widening) {
        self.add(Access::Everything);
        self.widen(Some(why));
    }

    /// Adds what another statement does.
    fn join(&mut self, other: Self) {
        for access in other.accesses {
            self.add(access);
        }
        self.locks.extend(other.locks);
        self.widen(other.widened);
    }

    fn add(&mut self, access: Access) {
        self.accesses.push(access);
    }

    /// Notes a reason; the first counts, unless a later one widens further.
    fn widen(&mut self, why: Option<Widening>) {
        let extent = |why: Option<Widening>| why.map(Widening::extent);
        if extent(why) > extent(self.widened) {
            self.widened = why;
        }
    }

    /// What is run and undone changes nothing that others see. But it meets what is there, which nobody
    /// may take away before: it counts as a read of what it would write. Whether it has got its locks, the
    /// log does not tell.
    fn undo(&mut self) {
        self.locks.clear();
        self.accesses.retain_mut(|access| {
            match access {
                Access::Row(_, _, mode) | Access::Table(_, mode) if mode.is_write() => {
                    *mode = Mode::Read;
                }
                Access::Append(_) | Access::Lock(..) => return false,
                _ => {}
            }
            true
        });
    }

    /// Says everything once, and where that is all there is to say, nothing else.
    fn settle(&mut self) {
        self.accesses.sort_unstable();
        self.accesses.dedup();
        if self.accesses.contains(&Access::Everything) {
            self.accesses.clear();
            self.accesses.push(Access::Everything);
        }
        self.locks.sort_unstable();
        self.locks.dedup();
    }
}
