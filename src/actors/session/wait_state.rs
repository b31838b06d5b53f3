//! Where a session stands, for whoever asks why nothing goes on; and a statement that is given up for
//! that.

use actix::prelude::*;

use super::{LogInState, Permit, Phase, SessionActor};
use crate::actors::messages::{AskWaitState, SessionWaitState};
use crate::replay::order::wait_chain::{WaitState, Waiter};
use crate::replay::work::Seq;

impl SessionActor {
    fn wait_state(&self) -> WaitState {
        let state = self.state_now();
        match (self.phase, &self.connection) {
            (Phase::Connected, Some(connection)) => state.wait_state(connection.backend_pid()),
            (Phase::Connecting, _) => WaitState::Connecting,
            (Phase::Disconnected, _) if !state.is_busy() && !state.is_log_in_awaited() => {
                WaitState::Silent
            }
            (Phase::Disconnected, _) if state.not_before().is_some() => WaitState::Schedule,
            (Phase::Disconnected, _) if self.log_in == LogInState::Asked => WaitState::LogIn,
            (Phase::Disconnected, _) if self.permit != Permit::Held => WaitState::Connection,
            _ => WaitState::Ready,
        }
    }

    /// Cancels this statement if it still runs: it waits for what nothing ends.
    pub(super) fn give_up_statement(&mut self, seq: Seq, ctx: &mut Context<Self>) {
        if !self.canceling && self.state().give_up(seq) {
            self.cancel(ctx);
        }
    }
}

impl Handler<AskWaitState> for SessionActor {
    type Result = SessionWaitState;

    fn handle(&mut self, _: AskWaitState, _: &mut Self::Context) -> Self::Result {
        let wait_state = self.wait_state();
        let state = self.state();
        let waiter = Waiter {
            session: self.id,
            statement: state.first_in_flight(),
            wait_state,
            is_connected: state.is_connected(),
            holders: Vec::new(),
            finishes: state.finishes(),
        };
        SessionWaitState(waiter)
    }
}
