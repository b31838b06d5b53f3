//! Which PREPARE TRANSACTION the end of a prepared transaction needs.

use foldhash::HashMap;

use super::{Arrival, Step};
use crate::replay::work::Seq;

/// Prepared transactions by the statements that prepare and finish them.
#[derive(Debug, Default)]
pub(super) struct TwoPhase {
    /// What was prepared last under a name, and is not finished by anything that has arrived.
    prepares: HashMap<Box<str>, Seq>,
    /// By the statement that finishes it, the one that prepares it.
    finishes: HashMap<Seq, Seq>,
}

impl TwoPhase {
    /// The next statement of the log.
    pub(super) fn arrive(&mut self, arrival: &Arrival) {
        for step in &arrival.steps {
            match step {
                Step::Prepare(name) if !arrival.failed => {
                    self.prepares.insert(name.clone(), arrival.seq);
                }
                Step::FinishPrepared { name, .. } if !arrival.failed => {
                    if let Some(prepare) = self.prepares.remove(name) {
                        self.finishes.insert(arrival.seq, prepare);
                    }
                }
                _ => {}
            }
        }
    }

    /// A statement has finished.
    pub(super) fn finish(&mut self, seq: Seq) {
        self.finishes.remove(&seq);
    }

    /// What prepares the transaction that this statement finishes.
    pub(super) fn prepare_of(&self, seq: Seq) -> Option<Seq> {
        self.finishes.get(&seq).copied()
    }
}
