//! Where a session stands, for whoever asks why nothing goes on.

use super::Session;
use super::waits::{QueueState, Wait};
use crate::pglog::SessionId;
use crate::replay::order::conflict::finished_prepared;
use crate::replay::order::stalls::{Activity, NextOf, OnTarget};
use crate::replay::order::wait_chain::{Place, WaitState};
use crate::replay::work::Work;

impl Session {
    /// How its statements stand, for the account of what they wait for.
    pub(super) fn waiting(&self) -> QueueState {
        let sent = self.connection.sent.len().max(usize::from(self.connection.current.is_some()));
        let head = self.queue.front().and_then(|front| {
            let seq = front.work.seq;
            match () {
                () if self.not_before().is_some() => Some(Wait::Schedule),
                () if self.is_held() => Some(Wait::Order),
                () if !self.connection.connected => Some(Wait::Connection),
                () if !front.again && self.turn.is_awaited(seq) => Some(Wait::Order),
                () => (sent > 0).then_some(Wait::Session),
            }
        });
        QueueState { sent, queued: self.queue.len(), head }
    }

    /// What it is about on its connection: to be compared with what it is about later.
    pub fn activity(&self) -> Activity {
        Activity { running: self.is_running(), answers: self.answers }
    }

    /// Whether what the server works on ends by itself, even if it waits for a lock.
    pub fn is_limited(&self) -> bool {
        self.connection.is_limited()
    }

    /// Where it stands on its connection, which this backend serves.
    pub fn wait_state(&self, backend: i32) -> WaitState {
        if self.is_running() {
            return WaitState::Request(backend);
        }
        let Some(head) = self.head().map(|work| work.seq) else { return WaitState::Silent };
        match () {
            () if self.not_before().is_some() => WaitState::Schedule,
            () if self.is_held() => WaitState::Turn(head),
            () if self.turn.is_awaited(head) => WaitState::Turn(head),
            () if self.change.asked == head => WaitState::Change(head),
            () => WaitState::Ready,
        }
    }

    /// What it holds and would do next as this `session`, whose connection this backend serves. Where it
    /// finishes one of these prepared transactions, it says so.
    pub fn on_target(&self, session: SessionId, backend: i32, prepared: &[String]) -> OnTarget {
        let next = match self.head() {
            None => NextOf::Nothing,
            Some(_) if self.not_before().is_some() => NextOf::Later,
            Some(work) if work.ends_locks() => NextOf::End(work.seq),
            Some(work) => NextOf::Statement(work.seq),
        };
        let finishes = |work: &Work| {
            let finished = finished_prepared(&work.statement);
            finished.into_iter().any(|gid| prepared.iter().any(|it| **it == *gid))
        };
        let finishing = match prepared {
            [] => None,
            _ => self.queued().find(|work| finishes(work)),
        };
        OnTarget {
            session,
            backend,
            running: self.running().map(|work| work.seq),
            activity: self.activity(),
            is_limited: self.is_limited(),
            next,
            finishes: finishing.map(|work| work.seq),
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
