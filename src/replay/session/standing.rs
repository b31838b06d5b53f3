//! Where a session stands, for whoever asks why nothing goes on.

use super::Session;
use crate::replay::order::conflict::{Step, steps};
use crate::replay::order::wait_chain::{Place, Standing};
use crate::replay::work::Work;

impl Session {
    /// Where it stands on its connection, which this backend serves.
    pub fn standing(&self, backend: i32) -> Standing {
        if self.is_running() {
            return Standing::Request(backend);
        }
        let Some(head) = self.head().map(|work| work.seq) else { return Standing::Silent };
        match () {
            () if self.not_before().is_some() => Standing::Schedule,
            () if self.asked >= head && !self.may_start(head) && self.ahead != Some(head) => {
                Standing::Turn(head)
            }
            () if self.change.asked == head => Standing::Change(head),
            () => Standing::Ready,
        }
    }

    /// Its first statement that has not finished.
    pub fn first_in_flight(&self) -> Option<Place> {
        let running = self.running().filter(|work| !work.is_reported());
        let first = running.or_else(|| self.queued().find(|work| !work.is_reported()));
        first.map(|work| Place { seq: work.seq, at: work.at })
    }

    /// The prepared transactions that its statements finish, as far as they have been read.
    pub fn finishes(&self) -> Vec<Box<str>> {
        let finished = |work: &Work| {
            steps(&work.statement).into_iter().filter_map(|step| match step {
                Step::FinishPrepared { name, .. } => Some(name),
                _ => None,
            })
        };
        let running = self.running().into_iter().chain(self.queued());
        running.flat_map(|work| finished(work)).collect()
    }
}
