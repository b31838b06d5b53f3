//! Where the partitions stand that are being read.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::replay::account::progress::PartitionProgress;

/// The positions of the partitions that are being read.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<BTreeMap<i32, PartitionProgress>>);

impl Positions {
    /// Runs `f` on them.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<i32, PartitionProgress>) -> T) -> T {
        f(&mut self.0.lock())
    }
}
