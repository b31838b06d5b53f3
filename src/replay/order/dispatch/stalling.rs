//! What is done about the locks that statements wait for.

use std::time::Duration;

use super::super::conflict::Arrivals;
use super::super::stalls::{LockSnapshot, Locks, OnTarget, StallAction, StallBreak, StallView};
use super::super::view::OrderView;
use super::super::{Order, Start};
use super::{ConnectedSessions, DispatchAction, Dispatcher, Holding, Round};

/// The order and the sessions as they stand.
struct View<'a> {
    order: &'a Order,
    sessions: &'a dyn ConnectedSessions,
    input_ended: bool,
}

impl StallView for View<'_> {
    fn order(&self) -> &impl OrderView {
        self.order
    }

    fn sessions(&self, prepared: &[String]) -> Vec<OnTarget> {
        self.sessions.on_target(prepared)
    }

    fn no_more(&self) -> bool {
        // What waits for a catalog is still to come, as the order sees it.
        self.input_ended && !self.order.arrivals().is_some_and(Arrivals::is_holding)
    }
}

impl Dispatcher {
    /// When [`check_stall`](Self::check_stall) is to be called next; `None`: not before something happens.
    pub fn next_check(&self) -> Option<Duration> {
        self.stalls.next_check()
    }

    /// Asks the target what statements wait for, if it is time. It is so far away.
    pub fn check_stall(&mut self, round_trip: Duration, round: &mut Round<'_>) {
        self.stalls.measured(round_trip);
        let Self { order, stalls, input_ended, .. } = self;
        let view = View { order, sessions: round.sessions, input_ended: *input_ended };
        round.out.extend(stalls.due(round.now, &view).map(DispatchAction::Probe));
    }

    /// Nothing has finished, and nothing more can be read.
    pub fn break_stall(&mut self, round: &mut Round<'_>) {
        let Self { order, stalls, input_ended, .. } = self;
        let view = View { order, sessions: round.sessions, input_ended: *input_ended };
        round.out.extend(stalls.no_progress(round.now, &view).map(DispatchAction::Probe));
    }

    /// Whether a statement runs that wants nobody on the database from which the target is asked.
    pub fn stays_away(&mut self, now: Duration, sessions: &dyn ConnectedSessions) -> bool {
        let Self { order, stalls, input_ended, .. } = self;
        stalls.stays_away(now, &View { order, sessions, input_ended: *input_ended })
    }

    /// The target could not be asked. Returns how often in a row, if that is worth a line in the log.
    pub fn probe_failed(&mut self, now: Duration) -> Option<u64> {
        self.stalls.probe_failed(now)
    }

    /// The target has answered.
    pub fn probed(&mut self, mut answer: LockSnapshot, round: &mut Round<'_>) {
        let Self { order, stalls, input_ended, .. } = self;
        let view = View { order, sessions: round.sessions, input_ended: *input_ended };
        let actions = stalls.probed(&mut answer, round.now, &view);
        for action in actions {
            self.break_by(action, answer.locks(), round);
        }
    }

    fn break_by(&mut self, action: StallAction, locks: &Locks, round: &mut Round<'_>) {
        match action {
            StallAction::EndEarly(start) => {
                self.run_ahead(start, StallBreak::EarlyEnd, locks, round);
            }
            StallAction::Advance(start) => {
                self.run_ahead(start, StallBreak::EarlyAdvance, locks, round);
            }
            StallAction::ReadOn => round.out.push(DispatchAction::ReadOn),
            StallAction::GiveUp(session) => {
                round.out.push(DispatchAction::GiveUp { session, holding: Holding::Locks });
            }
            StallAction::ReportForeign(backend) => {
                round.out.push(DispatchAction::ReportForeign(backend));
            }
        }
    }

    fn run_ahead(&mut self, start: Start, how: StallBreak, locks: &Locks, round: &mut Round<'_>) {
        if !self.withdraw_before(start, locks, round) {
            self.note_they_see_less(start, locks, round);
            round.out.push(DispatchAction::RunAhead(start, how));
        }
    }
}
