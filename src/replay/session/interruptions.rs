//! What comes between: records that tell late how a statement ended, and connections that end.

use std::sync::Arc;

use super::log_ins::LogInProgress;
use super::on_connection::{OnConnection, Role, Sent};
use super::steps::Pipeline;
use super::{Closing, Session};
use crate::pglog::statement::{Amendment, SourceEnd};
use crate::replay::session::context::Context;
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::{Seq, Work};

/// How often a statement may be under way when its connection is lost: a statement that crashes its
/// server would be sent for ever.
const ATTEMPTS: u8 = 5;

/// What a late record asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// Nothing to do: the statement has not started, or ended as the source's did.
    Nothing,
    /// The statement still runs and would not end like the source's: cancel it.
    Cancel(Seq),
    /// The session has something to do for it: ask for its next step.
    Wake,
    /// The statement has succeeded where the source's did not, in a transaction that is still open.
    /// The session aborts it: ask for its next step.
    Abort,
    /// The statement has succeeded where the source's did not, and is settled.
    TooLate,
}

/// What a lost connection leaves open.
#[derive(Debug, Default)]
pub struct Interrupted {
    /// How many statements were under way that may or may not have been committed.
    pub in_doubt: usize,
    /// The statement that will not be run again.
    pub poison_statement: Option<Arc<Work>>,
    /// The statements that are left to the next owner of the session's partition.
    pub left: Vec<Arc<Work>>,
    /// Whether the session had what can't be made again, or of which only the server knew.
    pub state_lost: bool,
    /// Whether it was about to give its connection up.
    pub was_leaving: bool,
}

impl Session {
    /// A record tells more of the session's newest statement.
    pub fn amend(&mut self, amendment: Amendment) -> Amended {
        let Some(work) = self.newest.clone() else { return Amended::Nothing };
        work.amend(amendment);
        let suspended_transaction =
            self.suspended_transaction.last().is_some_and(|last| Arc::ptr_eq(last, &work));
        if self.is_to_run(&work) || suspended_transaction {
            return Amended::Nothing;
        }
        let under_way =
            |sent: &Sent| matches!(&sent.role, Role::Whole(w, _) if Arc::ptr_eq(w, &work));
        let running = self.running().is_some_and(|running| Arc::ptr_eq(running, &work))
            || self.connection.sent.iter().any(under_way);
        let source = work.end().source;
        match (amendment, source) {
            (Amendment::Synced, _) if !running && self.connection.pipeline != Pipeline::Closed => {
                self.connection.syncs = true;
                Amended::Wake
            }
            (_, SourceEnd::Failed(_) | SourceEnd::Terminated) if running => {
                if source.is_transient() { Amended::Cancel(work.seq) } else { Amended::Nothing }
            }
            (_, SourceEnd::Failed(code)) if self.newest_succeeded => {
                if self.connection.status != Status::InTransaction {
                    return Amended::TooLate;
                }
                self.connection.abort = Some(code);
                Amended::Abort
            }
            (_, SourceEnd::Terminated) if self.newest_succeeded => Amended::TooLate,
            _ => Amended::Nothing,
        }
    }

    /// The connection is gone, or was never there: everything that was not settled is in the queue
    /// again, but for a statement that has taken its connection with it too often.
    pub fn lost(&mut self) -> Interrupted {
        let poison_statement =
            self.running().filter(|work| work.loses_connection() >= ATTEMPTS).cloned();
        let state_lost = self.context.is_bound() || self.context.is_unknown();
        let was_leaving = self.is_leaving();
        let (mut again, in_doubt) = self.disconnected().into_unsettled();
        again.retain(|work| {
            poison_statement
                .as_ref()
                .is_none_or(|poison_statement| !Arc::ptr_eq(work, poison_statement))
        });
        let mut left = Vec::new();
        match self.closing {
            // Whoever stops leaves it to the next start.
            Some(Closing::Drain) => {}
            Some(Closing::Revoked) => left = again,
            Some(Closing::Source(_) | Closing::ServerEnded | Closing::Expired) | None => {
                self.put_back(again);
            }
        }
        Interrupted { in_doubt, poison_statement, left, state_lost, was_leaving }
    }

    /// The session's partition has another owner, who runs again what has not been settled, and what
    /// is under way is not waited for any longer. Hands it back, up to this statement: those behind
    /// it came after the partition had come back.
    pub fn cut_off(&mut self, last: Seq) -> Vec<Arc<Work>> {
        let (under_way, _) = self.disconnected().into_unsettled();
        let (left, again): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|w| w.seq <= last);
        self.put_back(again);
        left
    }

    /// The connection was closed on purpose, and the open transaction rolled back with it as on the
    /// source. Returns what is settled by that.
    pub fn closed(&mut self) -> Vec<Arc<Work>> {
        self.closing = None;
        let mut settled = std::mem::take(&mut self.suspended_transaction);
        settled.append(&mut self.disconnected().transaction);
        self.context = Context::default();
        settled
    }

    /// The connection is gone. Returns what was under way on it.
    pub(super) fn disconnected(&mut self) -> OnConnection {
        self.turn.disconnected();
        self.change.asked = Seq(0);
        if self.log_in_progress == LogInProgress::Made {
            self.log_in_progress = LogInProgress::Due;
        }
        self.context.disconnected();
        std::mem::take(&mut self.connection)
    }
}
