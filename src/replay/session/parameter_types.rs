//! The types of a statement's parameters, which the source's log does not hold.
//!
//! A driver says what it sends (`$1` is a `bigint`) or leaves it to the server to infer from where
//! the parameter stands. The log holds the values alone. So the server is asked first; where it can't
//! tell, the statement is prepared again with types guessed from the values, for no more parameters
//! than it takes: see [`TypeSearch`].
//!
//! - `guess`: which types a value may have;
//! - `search`: which of them are tried, and in which order.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use smallvec::SmallVec;

use crate::pglog::SqlState;

mod guess;
mod oid;
mod search;
#[cfg(test)]
mod tests;

use guess::{candidates, fits, widened};
pub use search::{Refusal, TypeSearch};

/// A parameter's value as text.
pub type Value = Option<Box<str>>;

/// How a parameter gets its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum ParamType {
    /// The server infers it.
    #[default]
    Inferred,
    /// It is guessed from the value.
    Guessed {
        /// The type of a NULL.
        null: u32,
    },
    /// It is this one, as far as a value fits.
    Fixed(u32),
}

/// How a statement's parameters get their types.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParamTyping(SmallVec<[ParamType; 4]>);

impl ParamTyping {
    /// Whether the server infers all of them.
    pub fn is_inferred(&self) -> bool {
        self.0.iter().all(|param| *param == ParamType::Inferred)
    }

    /// Whether these values are of the types that the statement was accepted with.
    pub fn fits(&self, values: &[Value]) -> bool {
        self.0.iter().zip(values).all(|(param, value)| match param {
            ParamType::Inferred | ParamType::Guessed { .. } => true,
            ParamType::Fixed(oid) => fits(*oid, value.as_deref()),
        })
    }

    /// A search for types that begins here, since these values do not fit.
    pub fn widening(&self, values: &[Value], sql: &str) -> TypeSearch {
        TypeSearch::from(self, values, sql)
    }

    /// The type of each parameter, as OIDs for Parse; empty where the server infers all.
    pub fn types(&self, values: &[Value], sql: &str) -> Vec<u32> {
        if self.is_inferred() {
            return Vec::new();
        }
        let ranges = works_with_ranges(sql);
        let types = values.iter().enumerate().map(|(at, value)| {
            let value = value.as_deref();
            match self.0.get(at).copied().unwrap_or_default() {
                ParamType::Inferred => oid::UNKNOWN,
                ParamType::Fixed(oid) if fits(oid, value) => oid,
                ParamType::Guessed { null } if value.is_none() => null,
                ParamType::Guessed { .. } | ParamType::Fixed(_) => {
                    candidates(value, ranges).first().copied().unwrap_or(oid::UNKNOWN)
                }
            }
        });
        types.collect()
    }
}

/// Whether all values fit the types that a statement was prepared with.
pub fn all_fit(types: &[u32], values: &[Value]) -> bool {
    types.iter().zip(values).all(|(oid, value)| fits(*oid, value.as_deref()))
}

/// What is known of the types that a statement was prepared with for these values: that of a NULL may be
/// any.
pub fn types_of_values(types: &[u32], values: &[Value]) -> Vec<u32> {
    let of_value = |(oid, value): (&u32, &Value)| {
        if *oid != oid::UNKNOWN && value.is_none() { oid::VOID } else { *oid }
    };
    types.iter().zip(values).map(of_value).collect()
}

/// Whether nothing but NULLs was seen of a parameter.
pub fn has_untold(types: &[u32]) -> bool {
    types.contains(&oid::VOID)
}

/// Whether a bracketed value is rather a range than a JSON array.
fn works_with_ranges(sql: &str) -> bool {
    let operators = ["@>", "<@", "&&", "-|-", "<<", ">>", "&<", "&>"];
    operators.iter().any(|operator| sql.contains(operator))
        || sql.to_ascii_lowercase().contains("range")
}

/// What sessions know of the types of statements' parameters, by text. Shared by all: one that has
/// found out spares the others the savepoint.
///
/// What holds for one need not hold for another, with other values or tables of the same name in another
/// schema: who is refused has it forgotten.
#[derive(Debug, Default)]
pub struct KnownTypes {
    /// By a hash of the text; a collision costs a failed statement its second chance, no more. A std
    /// mutex, held for a look-up.
    known: Mutex<HashMap<u64, Known>>,
}

/// What is known of a text.
#[derive(Debug, Clone)]
enum Known {
    /// It was accepted like this.
    Typing(ParamTyping),
    /// It was not accepted with any types, so many times.
    Refused(u8),
}

impl KnownTypes {
    /// How many texts are kept; past it all are forgotten and found out again.
    const KEPT: usize = 100_000;

    /// How often a text is searched for types in vain: with other values there may be some.
    const SEARCHES: u8 = 3;

    /// What this text was accepted with, or is sent with since nothing helps; `None`: to be found out.
    pub fn get(&self, sql: &str) -> Option<ParamTyping> {
        match self.known.lock().get(&hash(sql))? {
            Known::Typing(typing) => Some(typing.clone()),
            Known::Refused(times) => (*times >= Self::SEARCHES).then(ParamTyping::default),
        }
    }

    /// This text was accepted like this.
    pub fn put(&self, sql: &str, typing: ParamTyping) {
        self.insert(sql, Known::Typing(typing));
    }

    /// This text was not accepted with any types.
    pub fn refused(&self, sql: &str) {
        let times = match self.known.lock().get(&hash(sql)) {
            Some(Known::Refused(times)) => times.saturating_add(1),
            _ => 1,
        };
        self.insert(sql, Known::Refused(times));
    }

    /// This text was refused with the types that are known of it. Returns whether they are forgotten.
    pub fn forget(&self, sql: &str) -> bool {
        let mut known = self.known.lock();
        let hash = hash(sql);
        matches!(known.get(&hash), Some(Known::Typing(_))) && known.remove(&hash).is_some()
    }

    fn insert(&self, sql: &str, what: Known) {
        let mut known = self.known.lock();
        if known.len() >= Self::KEPT {
            known.clear();
        }
        known.insert(hash(sql), what);
    }
}

fn hash(sql: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sql.hash(&mut hasher);
    hasher.finish()
}

/// Whether a statement was refused because the server could not infer its parameters' types, or
/// inferred others than the source's driver had given.
///
/// Those of class 22 (a value that is none of its type) are among them, but only where Parse or Bind
/// raised them (`ServerError::before_execute`): a value then does not fit the inferred type. Raised
/// while the statement ran, they are the statement's own.
pub fn is_inference_failure(sqlstate: SqlState) -> bool {
    matches!(
        &sqlstate.0,
        // indeterminate datatype, ambiguous function, undefined function, datatype mismatch,
        // cannot coerce, ambiguous parameter
        b"42P18" | b"42725" | b"42883" | b"42804" | b"42846" | b"42P08"
        // invalid text, invalid datetime, datetime field overflow, number out of range
        | b"22P02" | b"22007" | b"22008" | b"22003"
    )
}
