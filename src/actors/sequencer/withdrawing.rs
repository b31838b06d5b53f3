//! Statements that are withdrawn before the end is run that they wait for, and run again behind it.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::debug;

use super::Sequencer;
use crate::actors::messages::{Turn, Withdrawn};
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::order::withdrawals::{Direction, Withdrawals, began_behind, shows_more};
use crate::replay::stall::{Locks, OutOfTurnStart};
use crate::replay::work::Seq;

/// The statements that are withdrawn.
#[derive(Default)]
pub(super) struct Withdrawing {
    withdrawals: Withdrawals,
    /// When one was begun last.
    since: Option<Instant>,
}

/// A cancellation that has not come to anything by then is not waited for.
const LONGEST: Duration = Duration::from_secs(2);

impl Sequencer {
    /// Withdraws the statements that began behind this end on the source, before it is run ahead of its
    /// turn. Returns whether the end waits for that.
    pub(super) fn withdraw_before(&mut self, early: &OutOfTurnStart, locks: &Locks) -> bool {
        let end = early.start;
        if self.withdrawing.withdrawals.has_end(end.seq) {
            if self.withdrawing.since.is_none_or(|since| since.elapsed() >= LONGEST) {
                let directions = self.withdrawing.withdrawals.give_up(end.seq);
                self.direct(directions);
            }
            return true;
        }
        let waiters = self.began_behind(early, locks);
        if waiters.is_empty() {
            return false;
        }
        self.withdrawing.since = Some(Instant::now());
        let directions = self.withdrawing.withdrawals.begin(end, waiters);
        self.direct(directions);
        true
    }

    /// The statements that wait for the end's locks, directly or behind others, and began behind it on the
    /// source.
    fn began_behind(&self, early: &OutOfTurnStart, locks: &Locks) -> Vec<Start> {
        let Some(ending) = self.sessions.get(&early.start.session) else { return Vec::new() };
        let (end, last) = {
            let state = ending.state();
            let Some(end) = state.head().filter(|work| work.seq == early.start.seq) else {
                return Vec::new();
            };
            (end.clone(), state.used())
        };
        if !shows_more(&end) {
            return Vec::new();
        }
        let waits = |backend: &i32| locks.ahead_of(*backend).contains(&early.blocker);
        let waiters = self.sessions.iter().filter(|(_, it)| waits(&it.backend));
        let waiters = waiters.filter_map(|(session, it)| {
            let work = it.state().running()?.clone();
            // What its session did in between, it did before its end.
            let may = work.seq > last && began_behind(&work, &end);
            may.then_some(Start { session: *session, seq: work.seq })
        });
        waiters.collect()
    }

    pub(super) fn finished_withdrawing(&mut self, seq: Seq) {
        let directions = self.withdrawing.withdrawals.finished(seq);
        self.direct(directions);
    }

    pub(super) fn disconnected_withdrawing(&mut self, session: SessionId) {
        let directions = self.withdrawing.withdrawals.disconnected(session);
        self.direct(directions);
    }

    fn direct(&mut self, directions: Vec<Direction>) {
        for direction in directions {
            let (start, turn) = match direction {
                Direction::Withdraw(start) => (start, Turn::Withdraw(start.seq)),
                Direction::RunAhead(start) => (start, Turn::RunAhead(start.seq)),
                Direction::RunAgain(start) => (start, Turn::RunAgain(start.seq)),
            };
            if let Direction::RunAhead(_) = direction {
                self.overview.stall_broken(StallBreak::EarlyEnd);
            }
            if !self.tell(start.session, turn) {
                self.disconnected_withdrawing(start.session);
            }
        }
    }
}

impl Handler<Withdrawn> for Sequencer {
    type Result = ();

    fn handle(&mut self, Withdrawn { start, is_held }: Withdrawn, _: &mut Self::Context) {
        let directions = if is_held {
            self.overview.stall_broken(StallBreak::RunAgain);
            debug!(session = %start.session, "runs again behind the end that it waited for");
            self.withdrawing.withdrawals.held(start)
        } else {
            self.withdrawing.withdrawals.finished(start.seq)
        };
        self.direct(directions);
    }
}
