//! What a session has under way on its connection: it is gone with the connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::auto_explain::AutoExplain;
use super::doubts::Doubt;
use super::durations::{DurationStep, Durations};
use super::leaving::Leaving;
use super::preparing::Prepared;
use super::replay_mode::{self, ReplayMode};
use super::running_again::Undoing;
use super::steps::{Current, Pipeline};
use super::withdrawing::Withdrawing;
use crate::pglog::SqlState;
use crate::replay::session::context::{Limits, Restore};
use crate::replay::session::request::TransactionStatus as Status;
use crate::replay::work::{Seq, Work};
use crate::sql::Command;

/// All that lives as long as one connection. Of a session without one, nothing.
#[derive(Debug, Default)]
pub(super) struct OnConnection {
    /// Whether it is there.
    pub(super) connected: bool,
    /// Requests without an answer yet, in the order they were sent.
    pub(super) sent: VecDeque<Sent>,
    /// The statement that takes several requests, while it does.
    pub(super) current: Option<Current>,
    /// Answered statements of the open transaction. They are settled when it ends, and run again if
    /// the connection is lost before.
    pub(super) transaction: Vec<Arc<Work>>,
    /// The failed transaction that is undone, to be run again.
    pub(super) undoing: Option<Undoing>,
    /// How often the open transaction has been run again.
    pub(super) tries: u8,
    /// The statement that is taken back, to be run again behind the end of another session's transaction.
    pub(super) withdrawing: Option<Withdrawing>,
    /// The statement whose failure may be for what is to come.
    pub(super) doubt: Option<Doubt>,
    /// Whether a statement of the open transaction has waited here until another one had ended, and
    /// continued with a snapshot from before: it may have seen less than on the source.
    pub(super) may_have_seen_less: bool,
    /// The implicit transaction of the extended protocol that is open.
    pub(super) pipeline: Pipeline,
    /// The transaction status that the last answer told. Within a pipeline none does: it counts as a
    /// transaction.
    pub(super) status: Status,
    /// Statements prepared by Parse messages, by name.
    pub(super) prepared: HashMap<Box<str>, Prepared>,
    /// The error that the open transaction has to be aborted with: on the source it was, as a record
    /// told after the statement had succeeded here.
    pub(super) abort: Option<SqlState>,
    /// Whether the pipeline ends here: the statement before its Sync is not replayed.
    pub(super) syncs: bool,
    /// What is still to be restored of what the session had set up before.
    pub(super) restoring: VecDeque<Restore>,
    /// How far the session is with giving it up, if it does.
    pub(super) leaving: Option<Leaving>,
    /// Something has set `client_encoding`: UTF-8 is set again before anything else is sent.
    pub(super) foreign_encoding: bool,
    /// That has happened, and may happen again unforeseen.
    pub(super) met_foreign_encoding: bool,
    /// Whether the log-in that it was made by may not be possible any more.
    pub(super) log_in_kept: bool,
    /// Whether the server tells durations on it.
    pub(super) durations: Durations,
    /// Whether its auto_explain tells plans.
    pub(super) auto_explain: AutoExplain,
    /// Whether a question to the server has ended by limits that the session has set, though no
    /// statement of the log tells.
    pub(super) limited: bool,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) role: Role,
    /// Nothing may be sent behind it before it is answered.
    pub(super) alone: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Role {
    /// Part of the restored context.
    Restore(Restore),
    /// A question to the server about what the session has.
    Inspect { limits: Limits },
    /// A question about the routines of its database, as of so many changes of the schema.
    Routines { as_of: u64, limits: Limits },
    /// What sets whether the server tells durations.
    Durations(DurationStep),
    /// What has auto_explain tell plans.
    AutoExplain,
    /// Back to UTF-8.
    Encoding,
    /// The rollback of a transaction whose connection is given up.
    LeaveTransaction,
    /// A failure that is not this session's, to abort its transaction.
    Abort,
    /// The end of a pipeline whose last statement is not replayed.
    Sync,
    /// Part of undoing a failed transaction.
    Undo,
    /// A step of `current`.
    Step,
    /// A statement in one request, and what that holds.
    Whole(Arc<Work>, Content),
}

/// What is sent for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The statement.
    Itself,
    /// Another text in its place.
    Other,
    /// A rollback in its place.
    RollBack,
    /// The statement within limits, and a failure that undoes it.
    DrawOnly,
}

impl Content {
    pub(super) fn of(mode: &ReplayMode) -> Self {
        match mode {
            ReplayMode::Simple | ReplayMode::Extended => Self::Itself,
            ReplayMode::Text(_) | ReplayMode::ParseOnly | ReplayMode::BindOnly => Self::Other,
            ReplayMode::RollBack => Self::RollBack,
            ReplayMode::DrawOnly { .. } => Self::DrawOnly,
        }
    }
}

impl OnConnection {
    /// A request goes out. `alone`: nothing may be sent behind it before it is answered.
    pub(super) fn sends(&mut self, role: Role, alone: bool) {
        self.sent.push_back(Sent { role, alone });
    }

    /// Whether a request is without an answer, or a statement takes more requests.
    pub(super) fn is_running(&self) -> bool {
        !self.sent.is_empty()
            || self.current.is_some()
            || self.undoing.is_some()
            || self.doubt.is_some()
    }

    /// Whether the open transaction or pipeline has to be brought to where the source's was.
    pub(super) fn is_to_correct(&self) -> bool {
        self.abort.is_some() || self.syncs
    }

    /// The statement that a request is under way for, if any.
    pub(super) fn running(&self) -> Option<&Arc<Work>> {
        let whole = self.sent.iter().find_map(|sent| match &sent.role {
            Role::Whole(work, _) => Some(work),
            _ => None,
        });
        whole.or(self.current.as_ref().map(|current| &current.work))
    }

    /// Its first statement that has not finished.
    pub(super) fn first_unfinished(&self) -> Option<Seq> {
        let doubtful = self.doubt.as_ref().map(|doubt| doubt.work.seq);
        let whole = self.sent.iter().find_map(|sent| match &sent.role {
            Role::Whole(work, _) if !work.is_reported() => Some(work.seq),
            _ => None,
        });
        let current = self.current.as_ref().map(|current| &current.work);
        let current = current.filter(|work| !work.is_reported()).map(|work| work.seq);
        doubtful.or(whole).or(current)
    }

    /// Whether what the server works on ends by itself, even if it waits for a lock.
    pub(super) fn is_limited(&self) -> bool {
        self.sent.front().is_some_and(|sent| match &sent.role {
            Role::Whole(work, content) => replay_mode::is_limited(work, *content),
            Role::Step => self.current.as_ref().is_some_and(Current::is_limited),
            _ => false,
        })
    }

    /// Everything on it that was not settled; and how much of that may have been committed.
    pub(super) fn into_unsettled(self) -> (Vec<Arc<Work>>, usize) {
        let mut unsettled = self.transaction;
        unsettled.extend(self.undoing.into_iter().flat_map(|undoing| undoing.works));
        unsettled.extend(self.doubt.into_iter().flat_map(Doubt::into_works));
        let mut in_doubt = 0;
        let mut in_block = self.status != Status::Idle;
        for sent in self.sent {
            match sent.role {
                Role::Whole(work, _) => {
                    // What an open transaction did is gone, unless its end was under way as well.
                    let ends = work.statement.outline.has(Command::ends_transaction);
                    let begins = work.statement.outline.has(|c| c == Command::Begin);
                    in_doubt += usize::from(if in_block { ends } else { ends || !begins });
                    in_block = if ends { false } else { in_block || begins };
                    unsettled.push(work);
                }
                Role::Sync => in_doubt += 1,
                Role::Step
                | Role::Restore(_)
                | Role::Abort
                | Role::Undo
                | Role::Inspect { .. }
                | Role::Routines { .. }
                | Role::Encoding
                | Role::Durations(_)
                | Role::AutoExplain
                | Role::LeaveTransaction => {}
            }
        }
        if let Some(current) = self.current {
            in_doubt += usize::from(current.may_commit(in_block));
            unsettled.push(current.work);
        }
        (unsettled, in_doubt)
    }
}
