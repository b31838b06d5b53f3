//! What was replayed, in a few bytes: by it two reports tell whether they are of the same log.

use serde::{Serialize, Serializer};

use crate::replay::work::Work;

/// A digest of all statements that were accepted for replay, in whatever order they came and wherever
/// their records stood: a topic and the files that it was filled from have one digest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// How many there were.
    pub statements: u64,
    /// The sum of their hashes, 16 hexadecimal digits.
    #[serde(serialize_with = "hexadecimal")]
    pub hash: u64,
    /// When the first of them was logged, in milliseconds since the Unix epoch.
    pub first_logged_ms: Option<i64>,
    /// When the last of them was.
    pub last_logged_ms: Option<i64>,
}

impl Digest {
    /// Notes one more.
    pub fn add(&mut self, work: &Work) {
        let logged_ms = work.statement.logged_ms;
        self.statements += 1;
        self.hash = self.hash.wrapping_add(hash(work));
        self.first_logged_ms = Some(self.first_logged_ms.map_or(logged_ms, |it| it.min(logged_ms)));
        self.last_logged_ms = Some(self.last_logged_ms.map_or(logged_ms, |it| it.max(logged_ms)));
    }
}

/// By what tells a statement from all others of its log, and is there in every input format. Not by
/// what may come with a later record, which depends on the time that it took.
fn hash(work: &Work) -> u64 {
    [
        work.session.start,
        u64::from(work.session.pid),
        work.statement.logged_ms.cast_unsigned(),
        work.statement.sql.len() as u64,
        work.statement.parameters().len() as u64,
    ]
    .into_iter()
    .fold(0, |hash, word| mixed(hash ^ word))
}

/// Every bit of the result depends on every bit of the word: the finalizer of SplitMix64 (G. L. Steele,
/// D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", 2014). Unlike the hashes of
/// libraries it stays the same from version to version, as what is in a report has to.
fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn hexadecimal<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}

#[cfg(test)]
mod tests;
