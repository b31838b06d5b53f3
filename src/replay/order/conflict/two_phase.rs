//! Which PREPARE TRANSACTION the end of a prepared transaction needs, and which ends there will be.

use foldhash::HashMap;

use super::{Arrival, Step};
use crate::replay::work::Seq;

/// Prepared transactions by the statements that prepare and finish them.
#[derive(Debug, Default)]
pub(super) struct TwoPhase {
    /// What was prepared last under a name, and is not finished by anything that has arrived.
    prepares: HashMap<Box<str>, Seq>,
    /// By the statement that finishes it.
    ends: HashMap<Seq, End>,
}

/// The end of a prepared transaction.
#[derive(Debug)]
struct End {
    /// Under which name it was prepared.
    name: Box<str>,
    /// The statement that prepares it, if that has arrived.
    prepare: Option<Seq>,
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
                    let prepare = self.prepares.remove(name);
                    self.ends.insert(arrival.seq, End { name: name.clone(), prepare });
                }
                _ => {}
            }
        }
    }

    /// A statement has finished.
    pub(super) fn finish(&mut self, seq: Seq) {
        self.ends.remove(&seq);
    }

    /// What prepares the transaction that this statement finishes.
    pub(super) fn prepare_of(&self, seq: Seq) -> Option<Seq> {
        self.ends.get(&seq)?.prepare
    }

    /// Whether a statement that has not finished finishes what was prepared under this name.
    pub(super) fn is_end_ahead(&self, name: &str) -> bool {
        self.ends.values().any(|end| &*end.name == name)
    }
}
