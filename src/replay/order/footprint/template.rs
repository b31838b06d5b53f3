//! What a shape does, its keys still open: filled in with each statement's values.

use std::hash::{Hash, Hasher};

use super::catalog::Oid;
use super::literals::{Call, Read, Value};
use super::sessions::Effect;
use super::values::{self, KeyType};
use super::{Access, Catalog, Footprint, Key, Mode, Object, Table, Widening};

/// How many rows of one statement are told apart; more are the whole table.
pub(super) const MOST_ROWS: usize = 1_000;

/// What a shape does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Template {
    /// What it does whatever its values.
    pub(super) footprint: Footprint,
    /// The rows that its values name.
    pub(super) rows: Vec<Rows>,
    /// The sequences that it names in literals or parameters.
    pub(super) sequences: Vec<Value>,
    /// The advisory locks that it names by their keys.
    pub(super) locks: Vec<Vec<Value>>,
    /// What it changes of its session.
    pub(super) effects: Vec<Effect>,
    /// Whether it reads by the snapshot of its transaction, where that keeps one.
    pub(super) reads_by_snapshot: bool,
}

/// Rows of a table that the values of a key name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) table: Table,
    /// Which of the table's keys: keys over the same columns are one.
    pub(super) key: u64,
    pub(super) mode: Mode,
    pub(super) columns: Vec<(KeyType, Given)>,
}

/// What a key column is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    One(Value),
    /// `IN (…)`, `= ANY (ARRAY[…])`.
    Any(Vec<Value>),
    /// `= ANY ('{…}')`.
    Array(Value),
}

/// Where a template's names lead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) database: u32,
    pub(super) path: &'a [Box<str>],
    /// Whether the path leads to a schema of the user's own name.
    pub(super) follows_user: bool,
    /// Whether backslashes in literals stand for themselves.
    pub(super) has_plain_backslashes: bool,
}

impl Template {
    /// A barrier.
    pub(super) fn everything(why: Widening) -> Self {
        Self { footprint: Footprint::everything(why), reads_by_snapshot: true, ..Self::default() }
    }

    pub(super) fn fill(&self, call: Call<'_>, names: Names<'_>) -> Footprint {
        let mut footprint = self.footprint.clone();
        for rows in &self.rows {
            rows.fill(call, &mut footprint);
        }
        for name in &self.sequences {
            match names.sequence(&call.read(name)) {
                Ok(access) => footprint.add(access),
                Err(None) => {}
                Err(Some(why)) => {
                    footprint.add(Access::Everything);
                    footprint.widen(Some(why));
                }
            }
        }
        for lock in &self.locks {
            footprint.add(Access::Advance(advisory_lock(names.database, lock, call)));
        }
        footprint
    }
}

impl Rows {
    fn fill(&self, call: Call<'_>, footprint: &mut Footprint) {
        let mut hasher = values::hasher();
        self.key.hash(&mut hasher);
        if let Err(why) = self.add(&self.columns, hasher, call, footprint, &mut 0) {
            footprint.add(self.whole());
            footprint.widen(Some(why));
        }
    }

    fn whole(&self) -> Access {
        Access::Table(self.table, self.mode)
    }

    /// Adds the rows that have these values in the columns left, for each value of the first.
    fn add<H: Hasher + Clone>(
        &self,
        columns: &[(KeyType, Given)],
        key: H,
        call: Call<'_>,
        footprint: &mut Footprint,
        count: &mut usize,
    ) -> Result<(), Widening> {
        let Some(((kind, given), rest)) = columns.split_first() else {
            *count += 1;
            if *count > MOST_ROWS {
                return Err(Widening::ManyRows);
            }
            let key = Key(key.finish());
            footprint.add(Access::Row(self.table, key, self.mode));
            return Ok(());
        };
        let mut one = |text: Option<&str>| {
            // NULL equals nothing.
            let Some(text) = text else { return Ok(()) };
            let mut key = key.clone();
            if !kind.write(text, &mut key) {
                return Err(Widening::KeyValue);
            }
            self.add(rest, key, call, footprint, count)
        };
        let mut read = |value: &Value| match call.read(value) {
            Read::Null => Ok(()),
            Read::Text(text) => one(Some(&text)),
            Read::Unknown => Err(Widening::KeyValue),
        };
        match given {
            Given::One(value) => read(value),
            Given::Any(values) => values.iter().try_for_each(read),
            Given::Array(value) => match call.read(value) {
                Read::Null => Ok(()),
                Read::Unknown => Err(Widening::KeyValue),
                Read::Text(text) => {
                    let elements = values::elements(&text).ok_or(Widening::KeyValue)?;
                    elements.into_iter().try_for_each(one)
                }
            },
        }
    }
}

impl Names<'_> {
    /// Drawing from the sequence by this name.
    pub(super) fn sequence(self, name: &Read<'_>) -> Result<Access, Option<Widening>> {
        let Read::Text(name) = name else {
            return Err(matches!(name, Read::Unknown).then_some(Widening::UnknownName));
        };
        let parts = identifiers(name).ok_or(Some(Widening::UnknownName))?;
        let (schema, name) = match parts.as_slice() {
            [name] => ("", name),
            [schema, name] => (schema.as_str(), name),
            _ => return Err(Some(Widening::UnknownName)),
        };
        let oid = self.catalog.find(schema, name, self.path).ok_or(Some(Widening::UnknownName))?;
        Ok(Access::Advance(sequence(self.database, oid)))
    }
}

/// A dotted name as `regclass` reads it.
pub(super) fn identifiers(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut left = quoted;
            loop {
                let (before, behind) = left.split_once('"')?;
                part.push_str(before);
                match behind.strip_prefix('"') {
                    Some(behind) => {
                        part.push('"');
                        left = behind;
                    }
                    None => break (part, behind),
                }
            }
        } else {
            let end = rest.find(['.', ',', '"', ' ']).unwrap_or(rest.len());
            (rest[..end].to_ascii_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match behind.trim_start().strip_prefix('.') {
            Some(behind) => rest = behind.trim_start(),
            None if behind.trim_start().is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// What draws from a sequence draw from.
pub(super) fn sequence(database: u32, oid: Oid) -> Object {
    object(("sequence", database, oid))
}

/// The exported snapshots of all databases.
pub(super) fn snapshots() -> Object {
    object("snapshots")
}

/// An advisory lock. Those whose keys can't be told are one.
fn advisory_lock(database: u32, keys: &[Value], call: Call<'_>) -> Object {
    let read = |value| match call.read(value) {
        Read::Text(text) => text.trim().parse::<i64>().ok(),
        Read::Null | Read::Unknown => None,
    };
    let keys: Option<Vec<i64>> = keys.iter().map(read).collect();
    object(("lock", database, keys.filter(|keys| !keys.is_empty())))
}

pub(super) fn object(what: impl Hash) -> Object {
    let mut hasher = values::hasher();
    what.hash(&mut hasher);
    Object(hasher.finish())
}
