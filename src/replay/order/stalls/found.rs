//! What a probe has found, and what is done about it.

use std::collections::HashMap;

use super::OnTarget;
use super::blocker::{Blocker, StallAction, Waiting, against};
use super::locks::{Activity, LockSnapshot, PREPARED};
use super::out_of_turn::{Ahead, OutOfTurnStart, overtaking};
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::order::conflict::Awaited;
use crate::replay::order::view::OrderView;

/// The sessions with a connection, by backend and by session.
pub(super) struct Connected {
    backends: HashMap<i32, OnTarget>,
    sessions: HashMap<SessionId, i32>,
}

impl Connected {
    pub(super) fn new(sessions: Vec<OnTarget>) -> Self {
        Self {
            sessions: sessions.iter().map(|it| (it.session, it.backend)).collect(),
            backends: sessions.into_iter().map(|it| (it.backend, it)).collect(),
        }
    }

    fn served_by(&self, backend: i32) -> Option<&OnTarget> {
        self.backends.get(&backend)
    }

    pub(super) fn of(&self, session: SessionId) -> Option<&OnTarget> {
        self.served_by(*self.sessions.get(&session)?)
    }

    /// Whether a backend that waited for a lock waits still, and until that is freed. `before`: what its
    /// session was about when the target was asked.
    pub(super) fn still_waits(&self, backend: i32, before: Option<Activity>) -> bool {
        let served = self.served_by(backend);
        served.is_some_and(|it| it.activity.has_run_since(before) && !it.is_limited)
    }

    /// Who finishes one of the prepared transactions in question, and first.
    fn finisher(&self) -> Option<&OnTarget> {
        let finishers = self.backends.values().filter(|it| it.finishes.is_some());
        finishers.min_by_key(|it| it.finishes)
    }
}

/// What a probe has found, and what is done about it.
pub(super) struct Found<'a, O> {
    pub(super) answer: &'a LockSnapshot,
    pub(super) order: &'a O,
    pub(super) sessions: Connected,
    pub(super) waiting: Waiting,
    /// How many statements have finished by now.
    pub(super) finished: u64,
    /// Whether statements that it finds waiting for their turn may start ahead of it.
    pub(super) by_turn: bool,
}

impl<O: OrderView> Found<'_, O> {
    /// What is done about all that hold locks which others wait for.
    pub(super) fn actions(&self) -> Vec<StallAction> {
        let (mut actions, mut may_start) = (Vec::new(), Vec::new());
        for (backend, waiters) in self.answer.locks.blockers() {
            let action = against(self.blocker(backend), &self.waiting);
            match action {
                Some(StallAction::EndEarly(start) | StallAction::Advance(start))
                    if self.order.is_held(start.seq) => {}
                Some(StallAction::EndEarly(start)) if self.by_turn => {
                    may_start.push(self.out_of_turn(start, true, backend, &waiters));
                }
                Some(StallAction::Advance(start)) if self.by_turn => {
                    may_start.push(self.out_of_turn(start, false, backend, &waiters));
                }
                Some(StallAction::EndEarly(_) | StallAction::Advance(_)) => {
                    // It goes on by itself.
                    actions.extend((backend == PREPARED).then_some(StallAction::ReadOn));
                }
                other => actions.extend(other),
            }
        }
        actions.extend(self.starts(may_start));
        actions
    }

    /// Who holds these locks. Of a prepared transaction: the session that will finish it.
    fn blocker(&self, backend: i32) -> Blocker {
        let known = match backend {
            PREPARED => self.sessions.finisher(),
            _ => self.sessions.served_by(backend),
        };
        match known {
            Some(it) => {
                let before = self.answer.probe.before.get(&it.backend).copied();
                let rests = it.activity.has_rested_since(before);
                Blocker::Session { session: it.session, rests, next: it.next }
            }
            None if backend == PREPARED => Blocker::Prepared {
                still: self.answer.probe.finished == self.finished,
                is_end_ahead: self.is_prepared_end_ahead(),
            },
            None => Blocker::ForeignBackend(backend),
        }
    }

    /// Whether something finishes one of the prepared transactions that are waited for.
    fn is_prepared_end_ahead(&self) -> bool {
        self.answer.prepared().iter().any(|gid| self.order.is_prepared_end_ahead(gid))
    }

    /// A statement that could start ahead of its turn, since these wait for this backend.
    fn out_of_turn(
        &self,
        start: Start,
        ends: bool,
        blocker: i32,
        waiters: &[i32],
    ) -> OutOfTurnStart {
        let running = waiters.iter().filter_map(|waiter| self.sessions.served_by(*waiter)?.running);
        let waiter = running.min().unwrap_or(start.seq);
        OutOfTurnStart { start, ends, blocker, waiter, ahead: self.ahead_of(start) }
    }

    /// What this statement waits for in the order, as far as it can still be waited for.
    fn ahead_of(&self, start: Start) -> Vec<Ahead> {
        if self.order.is_serial() {
            // For all before it, of which only one may run: the one that is blocked.
            return Vec::new();
        }
        let runs = |Start { session, seq }: Start| {
            let connected = self.sessions.of(session);
            connected.filter(|it| it.running.is_some_and(|running| running <= seq))
        };
        // One that was let ahead of its turn ends, and frees what waits for it.
        let runs_ahead = |Start { session, seq }: Start| {
            self.sessions.of(session).is_some_and(|it| it.running == Some(seq))
        };
        let awaited = self.order.awaited_by(start.seq, &runs_ahead).into_iter();
        let ahead = awaited.map(|awaited| match awaited {
            Awaited::Unread => Ahead::Unread,
            Awaited::Statement(other) => {
                runs(other).map_or(Ahead::Unsent, |it| Ahead::Runs(it.backend))
            }
        });
        let lost_patience = self.waiting.has_lost_patience();
        let waited_for = |ahead: &Ahead| match ahead {
            Ahead::Runs(_) => true,
            Ahead::Unsent => !lost_patience,
            Ahead::Unread => !lost_patience && !self.waiting.no_more,
        };
        ahead.filter(waited_for).collect()
    }

    /// What starts ahead of its turn: what nothing else brings on. One without a connection asks again
    /// when it has one.
    fn starts(&self, may_start: Vec<OutOfTurnStart>) -> Vec<StallAction> {
        let unread = may_start.iter().any(|it| it.ahead.contains(&Ahead::Unread));
        let waits_for = |seq, other| self.order.waits_for(seq, other);
        let starts = overtaking(may_start, &self.answer.locks, waits_for);
        if starts.is_empty() && unread {
            return vec![StallAction::ReadOn];
        }
        let is_connected = |it: &OutOfTurnStart| self.sessions.of(it.start.session).is_some();
        let action = |it: OutOfTurnStart| match it.ends {
            true => StallAction::EndEarly(it.start),
            false => StallAction::Advance(it.start),
        };
        starts.into_iter().filter(is_connected).map(action).collect()
    }
}
