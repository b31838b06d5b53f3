//! Asks the target what statements wait for, and does what [`LockStalls`] decides.

use std::time::{Duration, Instant};

use actix::prelude::*;
use foldhash::HashMap;
use tracing::{debug, info, warn};

use super::observer::{ObserverState, lock_snapshot};
use super::{Connection, Sequencer};
use crate::actors::messages::Turn;
use crate::metrics::StallBreak;
use crate::pglog::SessionId;
use crate::postgres::Observer;
use crate::replay::order::stalls::{
    LockSnapshot, LockStalls, Locks, OnTarget, Probe, StallAction, StallView,
};
use crate::replay::order::view::OrderView;
use crate::replay::order::{Order, Start};
use crate::replay::work::Seq;

/// The connection that looks at the target from outside the sessions, and what it is asked.
pub(super) struct Stalls {
    locks: LockStalls,
    observer: ObserverState,
    began: Instant,
    /// When the next check is, and the timer for it.
    timer: Option<(Duration, SpawnHandle)>,
}

/// The order and the sessions as they stand.
pub(super) struct View<'a> {
    order: &'a Order,
    connections: &'a HashMap<SessionId, Connection>,
    input_ended: bool,
}

impl StallView for View<'_> {
    fn order(&self) -> &impl OrderView {
        self.order
    }

    fn sessions(&self, prepared: &[String]) -> Vec<OnTarget> {
        let on_target = |(session, it): (&SessionId, &Connection)| {
            it.view().on_target(*session, it.backend, prepared)
        };
        self.connections.iter().map(on_target).collect()
    }

    fn no_more(&self) -> bool {
        self.input_ended
    }
}

impl Stalls {
    pub(super) fn new(stall_check: Duration, patience: Duration) -> Self {
        Self {
            locks: LockStalls::new(stall_check, patience),
            observer: ObserverState::default(),
            began: Instant::now(),
            timer: None,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// In serial order: it is this statement's turn, if any's; `started`: it starts now.
    pub(super) fn note_turn(&mut self, turn: Option<Seq>, started: bool) {
        if let Some(turn) = turn {
            self.locks.note_turn(turn, started, self.now());
        }
    }

    /// A statement has finished.
    pub(super) fn note_finished(&mut self) {
        self.locks.note_finished();
    }

    /// Nobody may be connected to the observer's database while this session runs its statement.
    pub(super) fn vacate(&mut self, session: SessionId) {
        self.locks.vacate(session, self.now());
        self.observer.leave();
    }

    /// Whether nobody may be connected to the observer's database now.
    pub(super) fn stay_away(&mut self, view: &View<'_>) -> bool {
        self.locks.stays_away(self.now(), view)
    }
}

impl Sequencer {
    /// What decides about stalls, and what it goes by.
    pub(super) fn stalls(&mut self) -> (&mut Stalls, View<'_>) {
        let Self { order, sessions: connections, input_ended, .. } = self;
        (&mut self.stalls, View { order, connections, input_ended: *input_ended })
    }

    /// Sees to it that a stall is looked for while statements may wait for others.
    pub(super) fn watch_stalls(&mut self, ctx: &mut Context<Self>) {
        self.stalls.locks.watch(self.stalls.now());
        self.set_timer(ctx);
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let Some(check) = self.stalls.locks.next_check() else { return };
        if let Some((at, timer)) = self.stalls.timer {
            if at <= check {
                return;
            }
            ctx.cancel_future(timer);
        }
        let after = check.saturating_sub(self.stalls.now());
        self.stalls.timer = Some((check, ctx.run_later(after, Self::check_stall)));
    }

    fn check_stall(&mut self, ctx: &mut Context<Self>) {
        self.stalls.timer = None;
        self.stalls.locks.measured(self.settings.outage.round_trip());
        let (stalls, view) = self.stalls();
        let probe = stalls.locks.due(stalls.now(), &view);
        self.probe(probe, ctx);
    }

    /// Nothing has finished, and nothing more can be read.
    pub(super) fn break_standstill(&mut self, ctx: &mut Context<Self>) {
        let (stalls, view) = self.stalls();
        let probe = stalls.locks.standstill(stalls.now(), &view);
        self.probe(probe, ctx);
    }

    /// Asks the target this, if anything.
    fn probe(&mut self, probe: Option<Probe>, ctx: &mut Context<Self>) {
        self.set_timer(ctx);
        let Some(probe) = probe else { return };
        let observer = self.stalls.observer.take();
        let (target, login) = (self.settings.target.clone(), self.settings.observer.clone());
        let asking = async move { lock_snapshot(&target, login, observer, probe).await };
        ctx.spawn(asking.into_actor(self).map(|answer, actor, ctx| actor.on_probe(answer, ctx)));
    }

    fn on_probe(
        &mut self,
        answer: Result<(Observer, LockSnapshot), String>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok((observer, snapshot)) => {
                self.stalls.observer.keep(observer);
                let (stalls, view) = self.stalls();
                for action in stalls.locks.probed(&snapshot, stalls.now(), &view) {
                    self.act(action, snapshot.locks(), ctx);
                }
            }
            Err(error) => {
                self.stalls.observer.lost();
                if let Some(times) = self.stalls.locks.probe_failed(self.stalls.now()) {
                    warn!(
                        times,
                        "can't ask the target what statements wait for, and ask again: until then \
                        one that waits for a lock that a later record frees holds up the others \
                        (asked as the user of --db-user, else postgres): {error}"
                    );
                }
            }
        }
        self.set_timer(ctx);
    }

    fn act(&mut self, action: StallAction, locks: &Locks, ctx: &mut Context<Self>) {
        match action {
            StallAction::EndEarly(start) => self.run_ahead(start, StallBreak::EarlyEnd, locks, ctx),
            StallAction::Advance(start) => {
                self.run_ahead(start, StallBreak::EarlyAdvance, locks, ctx)
            }
            StallAction::ReadOn => self.ask_for_more(),
            StallAction::GiveUp(session) => {
                self.overview.stall_broken(StallBreak::BlockerClosed);
                info!(%session, "closed its connection: others wait for its locks, and no record of it is \
                    left that would free them; what its open transaction did is rolled back");
                self.tell(session, Turn::GiveUp);
            }
            StallAction::ReportForeign(backend) => warn!(
                backend,
                "statements wait for the locks of a connection to the target that is not kreplay's: \
                end its transaction there (pg_terminate_backend), or wait; until then the replay may \
                stand still"
            ),
        }
    }

    fn run_ahead(
        &mut self,
        start: Start,
        reason: StallBreak,
        locks: &Locks,
        ctx: &mut Context<Self>,
    ) {
        if self.withdraw_before(start, locks, ctx) {
            return;
        }
        self.note_they_see_less(start, locks);
        let Start { session, seq } = start;
        self.overview.stall_broken(reason);
        debug!(%session, "goes on ahead of its turn: others wait for its locks");
        self.tell(session, Turn::RunAhead(seq));
    }
}
