//! A statement that is taken back while it runs: its snapshot would be older than on the source.
//!
//! It is canceled, its transaction is undone, and it is held until it may run again behind the end of
//! another one.

use super::on_connection::Role;
use super::steps::Step;
use super::{Next, Session};
use crate::pglog::SqlState;
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::Seq;

/// How far it is with taking back the statement that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawing {
    /// It is being canceled.
    Canceling(Seq),
    /// It has been, and its transaction is undone or about to be.
    Undone(Seq),
    /// That has been told: it waits to run again.
    Held(Seq),
}

impl Session {
    /// Takes back this statement, if it runs and a rollback undoes what its transaction did, but for what it
    /// drew from sequences. Returns whether it is to be canceled.
    pub fn withdraw(&mut self, seq: Seq) -> bool {
        let may = self.may_withdraw(seq);
        if may {
            self.connection.withdrawing = Some(Withdrawing::Canceling(seq));
        }
        may
    }

    /// The statement that was taken back, or has failed, may run again.
    pub fn run_again_behind(&mut self, seq: Seq) {
        self.connection.withdrawing.take_if(|it| *it == Withdrawing::Held(seq));
        self.undo_doubtful(seq);
    }

    /// The statement, which runs, has waited for an end that has come now, and goes on with a snapshot
    /// from before it.
    pub fn may_see_less(&mut self, seq: Seq) {
        self.connection.may_have_seen_less |= self.running().is_some_and(|work| work.seq == seq);
    }

    /// Whether a statement waits to be run again behind the end of another session's transaction.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.connection.withdrawing, Some(Withdrawing::Held(_)))
    }

    fn may_withdraw(&self, seq: Seq) -> bool {
        let Some(work) = self.running().filter(|work| work.seq == seq) else { return false };
        let (is_first, before) = match self.connection.sent.front().map(|sent| &sent.role) {
            Some(Role::Whole(first, _)) => (first.seq == seq, self.connection.status),
            Some(Role::Step) => match &self.connection.current {
                Some(current) if current.is_pipelined() => {
                    (current.step == Step::Run, Status::Idle)
                }
                Some(current) => (current.step == Step::Run, self.connection.status),
                None => (false, self.connection.status),
            },
            _ => (false, self.connection.status),
        };
        is_first
            && self.connection.withdrawing.is_none()
            && self.connection.undoing.is_none()
            && !work.end().source.is_transient()
            && self.is_undone_by_rollback(
                work,
                before,
                self.connection.sent.iter().skip(1),
                self.connection.status,
            )
    }

    /// Whether a failure that the target alone has is that of the cancellation. It may have hit the
    /// statement behind.
    pub(super) fn is_withdrawn(&mut self, seq: Seq, code: SqlState) -> bool {
        let Some(Withdrawing::Canceling(withdrawn)) = self.connection.withdrawing else {
            return false;
        };
        let is_canceled = code == SqlState::QUERY_CANCELED;
        if is_canceled {
            self.connection.withdrawing = (withdrawn == seq).then_some(Withdrawing::Undone(seq));
        }
        is_canceled
    }

    /// Nothing is sent that the cancellation could hit.
    pub(super) fn withdrawal_step(&mut self) -> Option<Next> {
        let Some(Withdrawing::Canceling(_)) = self.connection.withdrawing else { return None };
        if !self.connection.sent.is_empty() {
            return Some(Next::Wait);
        }
        if self.connection.current.is_none() {
            // It has ended before it was canceled.
            self.connection.withdrawing = None;
        }
        None
    }

    /// What was taken back is not sent before it may be.
    pub(super) fn hold_step(&mut self) -> Option<Next> {
        match self.connection.withdrawing? {
            Withdrawing::Canceling(_) => None,
            Withdrawing::Undone(seq) => {
                self.connection.withdrawing = Some(Withdrawing::Held(seq));
                Some(Next::ReportHeld(seq))
            }
            Withdrawing::Held(_) => Some(Next::Wait),
        }
    }
}
