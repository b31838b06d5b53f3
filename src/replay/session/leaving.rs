//! A connection that is given up by choice, though the source's session goes on: for its silence, or
//! for another session's sake. The server is asked first what the session has.

use std::sync::Arc;

use super::on_connection::Role;
use super::steps::Pipeline;
use super::{Next, Session};
use crate::pglog::SqlState;
use crate::replay::order::permits::ConnectionState;
use crate::replay::session::context::{Limits, Routines};
use crate::replay::session::request::{Request, ResultRow, TransactionStatus as Status};

/// Why a connection is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The session has been silent for long.
    Idle,
    /// Another session needs the connection.
    Evicted {
        /// Whether an open transaction is rolled back for it, to be run again.
        roll_back: bool,
    },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Why the connection was to be given up.
    pub why: Leave,
    /// Whether the session keeps its connection, because it has what can't be made again.
    pub kept: bool,
    /// How many statements of its open transaction were rolled back, to be run again.
    pub rolled_back: usize,
    /// Whether the connection has what can't be made again on another one.
    pub bound: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct Leaving {
    left: Left,
    /// Whether the session's state is known, as far as it has to be.
    asked: bool,
}

impl Session {
    /// Begins to give the connection up; what follows is the session's next step. `false` where it
    /// can't: something is under way, or an open transaction is not to be rolled back.
    pub fn leave(&mut self, why: Leave) -> bool {
        let ConnectionState { connected, running, in_transaction, bound, .. } =
            self.connection_state();
        let may = match why {
            Leave::Idle => !self.is_busy(),
            Leave::Evicted { roll_back } => !running && (roll_back || !in_transaction),
        };
        let begins = may && connected && self.connection.leaving.is_none();
        if begins {
            let left = Left { why, kept: false, rolled_back: 0, bound };
            self.connection.leaving = Some(Leaving { left, asked: false });
        }
        begins
    }

    /// Whether the connection is about to be given up.
    pub fn is_leaving(&self) -> bool {
        self.connection.leaving.is_some()
    }

    /// What the session does next while it gives up its connection.
    pub(super) fn leave_step(&mut self) -> Option<Next> {
        let leaving = self.connection.leaving.take()?;
        Some(self.go_on_leaving(leaving))
    }

    fn go_on_leaving(&mut self, leaving: Leaving) -> Next {
        if !self.connection.sent.is_empty() {
            self.connection.leaving = Some(leaving);
            return Next::Wait;
        }
        if self.connection.pipeline == Pipeline::Open {
            // Nothing can be asked before its Sync, which would commit it: the connection's end
            // rolls it back.
            self.connection.leaving = Some(leaving);
            self.transaction_left();
            return self.leave_unasked();
        }
        if self.connection.status != Status::Idle {
            self.connection.leaving = Some(leaving);
            self.connection.sends(Role::LeaveTransaction, true);
            return Next::Send(Request::Text("ROLLBACK".into()));
        }
        if !leaving.asked {
            let Some(routines) = self.routines() else {
                self.connection.leaving = Some(leaving);
                return self.ask_about_routines();
            };
            if self.context.is_to_be_asked_for(&routines) {
                self.connection.leaving = Some(Leaving { asked: true, ..leaving });
                return self.ask_about_session(&routines);
            }
        }
        let mut left = leaving.left;
        let was_bound = std::mem::replace(&mut left.bound, self.is_bound());
        left.kept = match left.why {
            Leave::Idle => left.bound || !self.queue.is_empty(),
            // Another one goes first, where there is one without.
            Leave::Evicted { .. } => left.bound && !was_bound,
        };
        if !left.kept {
            debug_assert!(self.connection.transaction.is_empty(), "none is open");
            drop(self.disconnected());
        }
        Next::Leave(left)
    }

    /// Gives the connection up without a question to the server.
    fn leave_unasked(&mut self) -> Next {
        let Some(Leaving { left, .. }) = self.connection.leaving.take() else { return Next::Idle };
        drop(self.disconnected());
        Next::Leave(left)
    }

    /// Asks the server what the session has.
    pub(super) fn inspect(&mut self) -> Next {
        match self.routines() {
            Some(routines) => self.ask_about_session(&routines),
            None => self.ask_about_routines(),
        }
    }

    fn routines(&mut self) -> Option<Arc<Routines>> {
        let told = self.routines.take();
        self.database.routines().or(told)
    }

    fn ask_about_routines(&mut self) -> Next {
        let as_of = self.database.schema_changes();
        let limits = self.limits();
        self.ask(Role::Routines { as_of, limits }, Routines::question(limits))
    }

    fn ask_about_session(&mut self, routines: &Routines) -> Next {
        let limits = self.limits();
        let mut kreplays = self.connection.durations.kreplays().to_vec();
        kreplays.extend(self.settings_of_auto_explain());
        self.ask(Role::Inspect { limits }, self.context.inspection(routines, limits, &kreplays))
    }

    fn limits(&self) -> Limits {
        if self.connection.limited { Limits::Lifted } else { self.context.limits() }
    }

    fn ask(&mut self, role: Role, sql: String) -> Next {
        self.connection.sends(role, true);
        Next::Send(Request::Inspect(sql.into()))
    }

    /// The server has said what the database's routines may do to a session.
    pub(super) fn routines_told(
        &mut self,
        (as_of, limits): (u64, Limits),
        error: Option<SqlState>,
        rows: &[ResultRow],
    ) {
        if error.is_some_and(|error| self.is_to_ask_again(error, limits)) {
            return;
        }
        let routines = if error.is_none() { Routines::read(rows) } else { Routines::unknown() };
        let routines = Arc::new(routines);
        self.routines = Some(routines.clone());
        self.database.note_routines(as_of, routines);
    }

    /// The server has said what the session has. Where it refused to, what the log tells counts, and
    /// the connection is kept as long as that can be.
    pub(super) fn inspected(
        &mut self,
        limits: Limits,
        error: Option<SqlState>,
        rows: &[ResultRow],
    ) {
        match error {
            None => self.context.adopt(rows),
            Some(error) if self.is_to_ask_again(error, limits) => {
                if let Some(leaving) = &mut self.connection.leaving {
                    leaving.asked = false;
                }
            }
            Some(_) => self.context.stay_unknown(),
        }
    }

    /// Whether a question may have met limits of the session that it has not lifted.
    fn is_to_ask_again(&mut self, error: SqlState, limits: Limits) -> bool {
        let may_be = limits == Limits::Kept
            && matches!(error, SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE);
        self.connection.limited |= may_be;
        may_be
    }

    /// The open transaction was rolled back before its end has come: it will be run again, at the
    /// latest when the session goes on.
    pub(super) fn transaction_left(&mut self) {
        self.context.roll_back();
        let transaction = std::mem::take(&mut self.connection.transaction);
        if let Some(leaving) = &mut self.connection.leaving {
            leaving.left.rolled_back += transaction.len();
        }
        if self.queue.is_empty() {
            self.suspended_transaction.extend(transaction);
        } else {
            self.put_back(transaction);
        }
    }
}
