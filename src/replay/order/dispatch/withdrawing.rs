//! Statements that are withdrawn before the end is run that they wait for, and run again behind it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::Start;
use super::super::conflict::{Awaited, finished_prepared};
use super::super::stalls::{Locks, PREPARED, StallBreak};
use super::super::withdrawals::{
    Direction, Withdrawals, began_behind, may_have_begun_behind, shows_more,
};
use super::{ConnectedSessions, DispatchAction, Dispatcher, Round, SessionWork};
use crate::pglog::SessionId;
use crate::replay::work::{Seq, Work};

/// The statements that are withdrawn.
#[derive(Debug, Default)]
pub(super) struct Withdrawing {
    withdrawals: Withdrawals,
    /// When one was begun last.
    since: Option<Duration>,
    /// Ends before which the target is asked what those that wait for them have drawn.
    asked: HashSet<Seq>,
    /// Statements that have failed, and may be for what is to come.
    failed: Vec<Start>,
}

/// An end that others wait for.
struct AwaitedEnd {
    end: Arc<Work>,
    /// The last statement of its session before it.
    last: Seq,
    /// The statements that wait for its locks, directly or behind others.
    waiters: Vec<(SessionId, Arc<Work>)>,
}

/// A cancellation that has not come to anything by then is not waited for.
const LONGEST: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// Withdraws the statements that began behind this end on the source, before it is run ahead of its
    /// turn. Returns whether the end waits for that.
    pub(super) fn withdraw_before(
        &mut self,
        end: Start,
        locks: &Locks,
        round: &mut Round<'_>,
    ) -> bool {
        let withdrawing = &mut self.withdrawing;
        if withdrawing.asked.contains(&end.seq) {
            return true;
        }
        if withdrawing.withdrawals.has_end(end.seq) {
            let since = withdrawing.since;
            if since.is_none_or(|since| round.now.saturating_sub(since) >= LONGEST) {
                let directions = withdrawing.withdrawals.give_up(end.seq);
                self.direct(directions, round);
            }
            return true;
        }
        let waiters = began_behind_end(end, locks, round.sessions);
        if waiters.is_empty() {
            return false;
        }
        withdrawing.asked.insert(end.seq);
        round.out.push(DispatchAction::AskDrawn { end, waiters });
        true
    }

    /// The target has said which backends have surely drawn from no sequence: withdraws those of these
    /// statements that run there; the others continue when the end has come.
    pub fn drawn(&mut self, end: Start, waiters: Vec<Start>, none: &[i32], round: &mut Round<'_>) {
        self.withdrawing.asked.remove(&end.seq);
        let (undrawn, drawn): (Vec<Start>, Vec<Start>) = waiters.into_iter().partition(|waiter| {
            let session = round.sessions.work_of(waiter.session);
            session.is_some_and(|session| none.contains(&session.backend))
        });
        round.out.extend(drawn.into_iter().map(DispatchAction::SeesLess));
        self.withdrawing.since = Some(round.now);
        let directions = self.withdrawing.withdrawals.begin(end, undrawn);
        self.direct(directions, round);
    }

    /// Tells those that wait for this end, which is run early, that they continue with a snapshot from
    /// before it.
    pub(super) fn note_they_see_less(&self, start: Start, locks: &Locks, round: &mut Round<'_>) {
        let Some(awaited) = awaited_end(start, locks, round.sessions) else { return };
        let waiters = awaited.waiters.iter();
        let starts = waiters.map(|(session, work)| Start { session: *session, seq: work.seq });
        round.out.extend(starts.map(DispatchAction::SeesLess));
    }

    /// A statement that was to be withdrawn is undone and held, or can't be.
    pub fn withdrawn(&mut self, start: Start, is_held: bool, round: &mut Round<'_>) {
        let directions = if is_held {
            let session = start.session;
            round.out.push(DispatchAction::HeldToRunAgain { session, has_failed: false });
            self.withdrawing.withdrawals.held(start)
        } else {
            self.withdrawing.withdrawals.finished(start.seq)
        };
        self.direct(directions, round);
    }

    pub(super) fn finish_withdrawing(&mut self, seq: Seq, round: &mut Round<'_>) {
        let directions = self.withdrawing.withdrawals.finished(seq);
        self.direct(directions, round);
        self.look_for_ends(round);
    }

    pub(super) fn forget_withdrawing(&mut self, session: SessionId, round: &mut Round<'_>) {
        self.withdrawing.failed.retain(|failed| failed.session != session);
        let directions = self.withdrawing.withdrawals.disconnected(session);
        self.direct(directions, round);
    }

    // ---- Statements that have failed on the target alone ----

    /// A statement has failed on the target alone. Is it to be run again behind an end that stands behind
    /// it in the log?
    pub fn ask_early_end(&mut self, failed: Start, round: &mut Round<'_>) {
        self.withdrawing.failed.push(failed);
        self.look_for_ends(round);
    }

    /// Runs ends early that those who have failed may need, or lets their failures count.
    fn look_for_ends(&mut self, round: &mut Round<'_>) {
        for failed in std::mem::take(&mut self.withdrawing.failed) {
            let session = round.sessions.work_of(failed.session);
            let work = session.and_then(|session| session.doubtful);
            match work.and_then(|work| self.end_that_may_free(&work, round.sessions)) {
                None => round.out.push(DispatchAction::AcceptFailure(failed)),
                Some(end) if self.has_to_wait(end, failed.seq) => {
                    self.withdrawing.failed.push(failed);
                }
                Some(end) => {
                    let session = failed.session;
                    round.out.push(DispatchAction::HeldToRunAgain { session, has_failed: true });
                    let directions = self.withdrawing.withdrawals.begin_for_failed(end, failed);
                    self.direct(directions, round);
                }
            }
        }
    }

    /// The first end behind a statement that may have come before it on the source.
    fn end_that_may_free(&self, failed: &Work, sessions: &dyn ConnectedSessions) -> Option<Start> {
        let ends = sessions.works().into_iter().filter(|it| it.is_ready).filter_map(|it| {
            let end = it.head?;
            let ends = it.in_transaction && end.ends_locks()
                || !finished_prepared(&end.statement).is_empty();
            let may = ends && it.used < failed.seq && may_have_begun_behind(failed, &end);
            let is_new = !self.withdrawing.withdrawals.has_end(end.seq);
            (may && is_new).then_some(Start { session: it.session, seq: end.seq })
        });
        ends.min_by_key(|end| end.seq)
    }

    /// Whether the end waits for something that stands before the failed statement.
    fn has_to_wait(&self, end: Start, failed: Seq) -> bool {
        let Some(order) = self.order.conflict_order() else { return false };
        order.awaited_by(end.seq, &|_| false).iter().any(|awaited| match awaited {
            Awaited::Statement(start) => start.seq < failed,
            Awaited::Unread => false,
        })
    }

    // ---- What follows ----

    fn direct(&mut self, directions: Vec<Direction>, round: &mut Round<'_>) {
        for direction in directions {
            let (start, action) = match direction {
                Direction::Withdraw(start) => (start, DispatchAction::Withdraw(start)),
                Direction::RunAgain(start) => (start, DispatchAction::RunAgain(start)),
                Direction::RunAhead(start) => {
                    (start, DispatchAction::RunAhead(start, StallBreak::EarlyEnd))
                }
            };
            round.out.push(action);
            if round.sessions.work_of(start.session).is_none() {
                self.forget_withdrawing(start.session, round);
            }
        }
    }
}

/// The statements that wait for the end's locks, directly or behind others, and began behind it on the
/// source.
fn began_behind_end(end: Start, locks: &Locks, sessions: &dyn ConnectedSessions) -> Vec<Start> {
    let Some(awaited) = awaited_end(end, locks, sessions) else { return Vec::new() };
    let waiters = awaited.waiters.into_iter().filter_map(|(session, work)| {
        // What its session did in between, it did before its end.
        let may = work.seq > awaited.last && began_behind(&work, &awaited.end);
        may.then_some(Start { session, seq: work.seq })
    });
    waiters.collect()
}

/// An end that shows others more, and who waits for it.
fn awaited_end(
    start: Start,
    locks: &Locks,
    sessions: &dyn ConnectedSessions,
) -> Option<AwaitedEnd> {
    let SessionWork { head, used: last, backend, .. } = sessions.work_of(start.session)?;
    let end = head.filter(|work| work.seq == start.seq)?;
    if !shows_more(&end) {
        return None;
    }
    let blocker = frees(&end, backend);
    let waits = |it: &SessionWork| locks.ahead_of(it.backend).contains(&blocker);
    let waiters = sessions.works().into_iter().filter(waits);
    let waiters = waiters.filter_map(|it| Some((it.session, it.running?))).collect();
    Some(AwaitedEnd { end, last, waiters })
}

/// Whose locks an end frees: those of a prepared transaction, or of its session's backend.
fn frees(end: &Work, backend: i32) -> i32 {
    if finished_prepared(&end.statement).is_empty() { backend } else { PREPARED }
}
