//! Where a session stands, for whoever asks why nothing goes on.

use super::Session;
use crate::replay::order::conflict::finished_prepared;
use crate::replay::order::wait_chain::{Place, WaitState};

impl Session {
    /// Where it stands on its connection, which this backend serves.
    pub fn wait_state(&self, backend: i32) -> WaitState {
        if self.is_running() {
            return WaitState::Request(backend);
        }
        let Some(head) = self.head().map(|work| work.seq) else { return WaitState::Silent };
        match () {
            () if self.not_before().is_some() => WaitState::Schedule,
            () if self.is_held() => WaitState::Turn(head),
            () if self.asked >= head && !self.may_start(head) && self.ahead != Some(head) => {
                WaitState::Turn(head)
            }
            () if self.change.asked == head => WaitState::Change(head),
            () => WaitState::Ready,
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
        let works = self.running().into_iter().chain(self.queued());
        works.flat_map(|work| finished_prepared(&work.statement)).collect()
    }
}
