//! Statements that are withdrawn before the end is run that they wait for, and run again behind it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::debug;

use super::{Connection, Sequencer, observer};
use crate::actors::messages::{AskEarlyEnd, Turn, Withdrawn};
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::postgres::Login;
use crate::replay::order::Start;
use crate::replay::order::conflict::{Awaited, finished_prepared};
use crate::replay::order::stalls::{Locks, PREPARED};
use crate::replay::order::withdrawals::{
    Direction, Withdrawals, began_behind, may_have_begun_behind, shows_more,
};
use crate::replay::work::{Seq, Work};

/// The statements that are withdrawn.
#[derive(Default)]
pub(super) struct Withdrawing {
    withdrawals: Withdrawals,
    /// When one was begun last.
    since: Option<Instant>,
    /// Ends before which the target is asked what those that wait for them have drawn.
    asked: HashSet<Seq>,
    /// Statements that have failed, and may be for what is to come.
    failed: Vec<Start>,
}

/// A statement under way, and whose it is.
type Waiter = (SessionId, Arc<Work>);

/// A cancellation that has not come to anything by then is not waited for.
const LONGEST: Duration = Duration::from_secs(2);

impl Sequencer {
    /// Withdraws the statements that began behind this end on the source, before it is run ahead of its
    /// turn. Returns whether the end waits for that.
    pub(super) fn withdraw_before(
        &mut self,
        end: Start,
        locks: &Locks,
        ctx: &mut Context<Self>,
    ) -> bool {
        if self.withdrawing.asked.contains(&end.seq) {
            return true;
        }
        if self.withdrawing.withdrawals.has_end(end.seq) {
            if self.withdrawing.since.is_none_or(|since| since.elapsed() >= LONGEST) {
                let directions = self.withdrawing.withdrawals.give_up(end.seq);
                self.direct(directions);
            }
            return true;
        }
        let waiters = self.began_behind(end, locks);
        if waiters.is_empty() {
            return false;
        }
        self.withdrawing.asked.insert(end.seq);
        let asking = self.drawn_nothing(&waiters);
        ctx.spawn(asking.into_actor(self).map(move |drawn_nothing, actor, _| {
            let drawn_nothing = drawn_nothing.unwrap_or_else(|error| {
                debug!("can't ask what a waiting statement has drawn from sequences: {error}");
                Vec::new()
            });
            actor.withdraw_undrawn(end, waiters, &drawn_nothing);
        }));
        true
    }

    /// Asks in their database which of these have surely drawn from no sequence.
    fn drawn_nothing(
        &self,
        waiters: &[Start],
    ) -> impl Future<Output = Result<Vec<i32>, String>> + use<> {
        let waiters: Vec<&Connection> =
            waiters.iter().filter_map(|waiter| self.sessions.get(&waiter.session)).collect();
        let backends: Vec<i32> = waiters.iter().map(|waiter| waiter.backend).collect();
        let login = self
            .settings
            .observer
            .clone()
            .zip(waiters.first())
            .map(|(login, first)| Login { database: first.login.database.clone(), ..login });
        let target = self.settings.target.clone();
        async move {
            let observer = observer::open(&target, login).await?;
            observer.drawn_nothing(&backends).await.map_err(|error| error.to_string())
        }
    }

    /// Withdraws those that have drawn nothing; the others go on when the end has come.
    fn withdraw_undrawn(&mut self, end: Start, waiters: Vec<Start>, drawn_nothing: &[i32]) {
        self.withdrawing.asked.remove(&end.seq);
        let (undrawn, drawn): (Vec<Start>, Vec<Start>) = waiters.into_iter().partition(|waiter| {
            let session = self.sessions.get(&waiter.session);
            session.is_some_and(|session| drawn_nothing.contains(&session.backend))
        });
        for Start { session, seq } in drawn {
            self.tell(session, Turn::SeesLess(seq));
        }
        self.withdrawing.since = Some(Instant::now());
        let directions = self.withdrawing.withdrawals.begin(end, undrawn);
        self.direct(directions);
    }

    /// The statements that wait for the end's locks, directly or behind others, and began behind it on the
    /// source.
    fn began_behind(&self, start: Start, locks: &Locks) -> Vec<Start> {
        let Some((end, last, waiters)) = self.waiters_of(start, locks) else { return Vec::new() };
        let waiters = waiters.into_iter().filter_map(|(session, work)| {
            // What its session did in between, it did before its end.
            let may = work.seq > last && began_behind(&work, &end);
            may.then_some(Start { session, seq: work.seq })
        });
        waiters.collect()
    }

    /// An end that shows others more, the last statement of its session before it, and the statements that
    /// wait for its locks, directly or behind others.
    fn waiters_of(&self, start: Start, locks: &Locks) -> Option<(Arc<Work>, Seq, Vec<Waiter>)> {
        let ending = self.sessions.get(&start.session)?;
        let (end, last) = {
            let state = ending.view();
            (state.head().filter(|work| work.seq == start.seq)?.clone(), state.used())
        };
        if !shows_more(&end) {
            return None;
        }
        let blocker = frees(&end, ending.backend);
        let waits = |backend: &i32| locks.ahead_of(*backend).contains(&blocker);
        let waiters = self.sessions.iter().filter(|(_, it)| waits(&it.backend));
        let running = |(session, it): (&SessionId, &Connection)| {
            Some((*session, it.view().running()?.clone()))
        };
        Some((end, last, waiters.filter_map(running).collect()))
    }

    /// Tells those that wait for this end, which is run early, that they go on with a snapshot from before it.
    pub(super) fn note_they_see_less(&self, start: Start, locks: &Locks) {
        let Some((_, _, waiters)) = self.waiters_of(start, locks) else { return };
        for (session, work) in waiters {
            self.tell(session, Turn::SeesLess(work.seq));
        }
    }

    pub(super) fn finished_withdrawing(&mut self, seq: Seq) {
        let directions = self.withdrawing.withdrawals.finished(seq);
        self.direct(directions);
        self.look_for_ends();
    }

    /// Runs ends early that those who have failed may need, or lets their failures count.
    fn look_for_ends(&mut self) {
        for failed in std::mem::take(&mut self.withdrawing.failed) {
            let session = self.sessions.get(&failed.session);
            let work = session.and_then(|session| session.view().doubtful().cloned());
            match work.and_then(|work| self.end_that_may_free(&work)) {
                None => drop(self.tell(failed.session, Turn::AcceptFailure(failed.seq))),
                Some(end) if self.has_to_wait(end, failed.seq) => {
                    self.withdrawing.failed.push(failed)
                }
                Some(end) => {
                    self.overview.stall_broken(StallBreak::RunAgain);
                    debug!(session = %failed.session, "has failed on the target alone, and is run again \
                        behind an end that stands behind it");
                    let directions = self.withdrawing.withdrawals.begin_for_failed(end, failed);
                    self.direct(directions);
                }
            }
        }
    }

    /// The first end behind a statement that may have come before it on the source.
    fn end_that_may_free(&self, failed: &Work) -> Option<Start> {
        let ends = self.sessions.iter().filter_map(|(session, it)| {
            let state = it.view();
            let end =
                state.head().filter(|_| !state.is_running() && state.not_before().is_none())?;
            let ends = state.in_transaction() && end.ends_locks()
                || !finished_prepared(&end.statement).is_empty();
            let may = ends && state.used() < failed.seq && may_have_begun_behind(failed, end);
            let is_new = !self.withdrawing.withdrawals.has_end(end.seq);
            (may && is_new).then_some(Start { session: *session, seq: end.seq })
        });
        ends.min_by_key(|end| end.seq)
    }

    /// Whether the end waits for something that stands before the failed statement.
    fn has_to_wait(&self, end: Start, failed: Seq) -> bool {
        let Some(order) = self.order.conflict_order() else { return false };
        order.awaited_by(end.seq).iter().any(|awaited| match awaited {
            Awaited::Statement(start) => start.seq < failed,
            Awaited::Unread => false,
        })
    }

    pub(super) fn disconnected_withdrawing(&mut self, session: SessionId) {
        self.withdrawing.failed.retain(|failed| failed.session != session);
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

/// Whose locks an end frees: those of a prepared transaction, or of its session's backend.
fn frees(end: &Work, backend: i32) -> i32 {
    if finished_prepared(&end.statement).is_empty() { backend } else { PREPARED }
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

impl Handler<AskEarlyEnd> for Sequencer {
    type Result = ();

    fn handle(&mut self, AskEarlyEnd(failed): AskEarlyEnd, _: &mut Self::Context) {
        self.withdrawing.failed.push(failed);
        self.look_for_ends();
    }
}
