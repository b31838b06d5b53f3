//! Where a session stands, for whoever asks why nothing goes on; and a statement that is given up for
//! that.

use actix::prelude::*;

use super::{LogInState, Permit, Phase, SessionActor};
use crate::actors::messages::{AskStanding, SessionStanding};
use crate::pglog::SqlState;
use crate::replay::order::wait_chain::{Standing, Waiter};
use crate::replay::work::Seq;

impl SessionActor {
    fn standing(&self) -> Standing {
        let state = self.state_now();
        match (self.phase, &self.connection) {
            (Phase::Connected, Some(connection)) => state.standing(connection.backend_pid()),
            (Phase::Connecting, _) => Standing::Connecting,
            (Phase::Disconnected, _) if !state.is_busy() && !state.is_log_in_awaited() => {
                Standing::Silent
            }
            (Phase::Disconnected, _) if state.not_before().is_some() => Standing::Schedule,
            (Phase::Disconnected, _) if self.log_in == LogInState::Asked => Standing::LogIn,
            (Phase::Disconnected, _) if self.permit != Permit::Held => Standing::Connection,
            _ => Standing::Ready,
        }
    }

    /// Cancels this statement if it still runs: it waits for what nothing ends.
    pub(super) fn give_up_statement(&mut self, seq: Seq, ctx: &mut Context<Self>) {
        let runs = self.state().running().is_some_and(|work| work.seq == seq);
        if runs && !self.canceling {
            self.given_up = Some(seq);
            self.cancel(ctx);
        }
    }

    /// Whether the statement that has finished was given up. It may have gone on just before.
    pub(super) fn ends_given_up(
        &mut self,
        finished: Option<Seq>,
        error: Option<(SqlState, bool)>,
    ) -> bool {
        let is_canceled = error.is_some_and(|(code, _)| code == SqlState::QUERY_CANCELED);
        self.given_up
            .take_if(|seq| finished >= Some(*seq))
            .is_some_and(|seq| is_canceled && finished == Some(seq))
    }
}

impl Handler<AskStanding> for SessionActor {
    type Result = SessionStanding;

    fn handle(&mut self, _: AskStanding, _: &mut Self::Context) -> Self::Result {
        let standing = self.standing();
        let state = self.state();
        let waiter = Waiter {
            session: self.id,
            statement: state.first_in_flight(),
            standing,
            is_connected: state.is_connected(),
            holders: Vec::new(),
        };
        SessionStanding { waiter, finishes: state.finishes() }
    }
}
