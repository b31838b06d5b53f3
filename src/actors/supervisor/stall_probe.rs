//! Where all sessions stand when nothing ends any more, and what is done then.

use actix::prelude::*;
use futures_util::future::join_all;

use super::{Entry, Supervisor};
use crate::actors::messages::{
    AskWaitState, GiveUpHeads, ProbeStall, SessionWaitState, Turn, WaitStates,
};
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::order::wait_chain::{Holder, Remedy, WaitState, Waiter};

impl Supervisor {
    /// Who holds up a log-in, or a change of log-ins.
    fn holder(&self, session: SessionId, wait_state: WaitState) -> Option<Holder> {
        let sessions = &self.sessions;
        let entry = |session: SessionId| sessions.get(&session);
        let held_up_by = match wait_state {
            WaitState::LogIn => self.log_ins.blocker_of_log_in(session, |other| {
                entry(other).map_or_else(Default::default, Entry::blocker)
            }),
            WaitState::Change(_) => self.log_ins.blocker_of_change(session, |other, change| {
                entry(other).is_some_and(|entry| entry.holds_up(change))
            }),
            _ => None,
        };
        held_up_by.map(Holder::Session)
    }

    fn give_up(&self, session: SessionId, turn: Turn) {
        if let Some(entry) = self.sessions.get(&session) {
            entry.address.do_send(turn);
        }
    }
}

impl Handler<ProbeStall> for Supervisor {
    type Result = ();

    fn handle(&mut self, probe: ProbeStall, ctx: &mut Self::Context) {
        let deps = &self.deps;
        if self.draining || deps.reachability.last_failure().is_some() {
            // That the target is away is told elsewhere.
            return;
        }
        let sequencer = deps.sequencer.clone();
        let matters = |entry: &&Entry| {
            let state = entry.cell.inbox();
            state.is_busy() || state.is_connected() || state.is_log_in_awaited()
        };
        let asked = self.sessions.values().filter(matters).map(|it| it.address.send(AskWaitState));
        let asked = join_all(asked.collect::<Vec<_>>());
        ctx.spawn(asked.into_actor(self).map(move |answers, actor, _| {
            // One that has ended meanwhile waits for nothing.
            let known = answers.into_iter().flatten();
            let mut sessions: Vec<Waiter> = known.map(|SessionWaitState(waiter)| waiter).collect();
            for waiter in &mut sessions {
                waiter.holders.extend(actor.holder(waiter.session, waiter.wait_state));
            }
            sequencer.do_send(WaitStates { probe, sessions });
        }));
    }
}

impl Handler<GiveUpHeads> for Supervisor {
    type Result = ();

    fn handle(&mut self, GiveUpHeads(remedies): GiveUpHeads, _: &mut Self::Context) {
        for remedy in &remedies {
            match *remedy {
                Remedy::GiveUpStatement(Start { session, seq }) => {
                    self.give_up(session, Turn::GiveUpStatement(seq));
                }
                // Also what can't be made again on another connection may be what others wait for.
                Remedy::CloseSession(session) => {
                    self.give_up(session, Turn::Evict { roll_back: true });
                }
                Remedy::Start(Start { session, seq }) => {
                    self.give_up(session, Turn::RunAhead(seq));
                }
                Remedy::LogIn(session) => self.give_up(session, Turn::LogIn { is_final: true }),
                Remedy::Change(Start { session, seq }) => {
                    self.give_up(session, Turn::Change(seq));
                }
                Remedy::None | Remedy::GoWithoutCatalog(_) => {}
            }
        }
        self.deps.sequencer.do_send(GiveUpHeads(remedies));
    }
}
