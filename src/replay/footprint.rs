//! What a statement reads and writes, as far as that can be told before it runs.
//!
//! The conflict order puts statements in order by it. What cannot be told is widened: a
//! row to its table, a table to everything.

/// A table of the target, over all its databases. A partition stands for its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u32);

/// A key of a row: a hash of the values of the table's key columns. Two keys with one hash are
/// taken for one row, which costs concurrency and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// Something whose draws keep their order but which no transaction holds: a sequence, an advisory
/// lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(pub u64);

/// One thing that a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Reads the row with this key.
    ReadRow(Table, Key),
    /// Reads any rows of the table.
    ReadTable(Table),
    /// Reads anything at all, but writes nothing: a function that is only known to be stable, the
    /// first statement of a transaction that keeps its snapshot.
    ReadAll,
    /// Writes or locks the row with this key, and holds its lock to the end of the transaction:
    /// whoever wrote it next on the source had to wait for that end.
    WriteRow(Table, Key),
    /// Writes rows of the table that can't be told.
    WriteTable(Table),
    /// Adds rows whose keys can't be told, and touches no row that is there: such statements do not
    /// disturb each other.
    Append(Table),
    /// Draws from it: in the order of the log, statement by statement.
    Draw(Object),
    /// May do anything: a barrier.
    Everything,
}

impl Access {
    /// Whether it changes what others see when its transaction ends.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::WriteRow(..) | Self::WriteTable(_) | Self::Append(_))
    }
}

/// What a statement reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Its accesses, each once, in any order. None: it touches nothing that others could see.
    pub accesses: Vec<Access>,
    /// Why less is known than a row, where that is so; the first reason found.
    pub widened: Option<Widening>,
}

/// Why a footprint is wider than rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Widening {
    /// PostgreSQL's parser does not take the text.
    Unparsable,
}
