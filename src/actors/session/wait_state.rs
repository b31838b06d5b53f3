//! Where a session stands, for whoever asks why nothing goes on; and a statement that is given up for
//! that.

use actix::prelude::*;

use super::SessionActor;
use crate::actors::messages::{AskWaitState, SessionWaitState};
use crate::replay::order::wait_chain::{WaitState, Waiter};
use crate::replay::work::Seq;

impl SessionActor {
    fn wait_state(&self) -> WaitState {
        let backend = self.connection.as_ref().map(|connection| connection.backend_pid());
        self.setup.wait_state(&self.session_now(), backend)
    }

    /// Cancels this statement if it still runs: it waits for what nothing ends.
    pub(super) fn give_up_statement(&mut self, seq: Seq, ctx: &mut Context<Self>) {
        if !self.canceling && self.session().give_up(seq) {
            self.cancel(ctx);
        }
    }
}

impl Handler<AskWaitState> for SessionActor {
    type Result = SessionWaitState;

    fn handle(&mut self, _: AskWaitState, _: &mut Self::Context) -> Self::Result {
        let wait_state = self.wait_state();
        let state = self.session();
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
