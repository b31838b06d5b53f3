//! A session's log-in, and its statements that change what log-ins find.

use super::{Closing, Next, Session};
use crate::pglog::statement::SourceEnd;
use crate::replay::logins::{Blocker, LogIn, Standing};
use crate::replay::work::{Seq, Work};

/// How far its log-in is, as far as changes wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LogInProgress {
    /// It is to be made when its moment comes, or is under way.
    #[default]
    Due,
    /// A change waits for it.
    Awaited,
    /// The target has refused it.
    Refused,
    /// There was no connection to spare.
    PutOff,
    /// It was made.
    Made,
}

/// Its last statement that changes log-ins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChangeOfLogIns {
    /// The one that has asked whether the log-ins before it have been made.
    pub(super) asked: Seq,
    /// The one that may start.
    granted: Seq,
}

impl Session {
    // ---- Its log-in ----

    /// Its log-in stands in the log before the statement with this place.
    pub fn logs_in_before(&mut self, place: Seq) {
        self.log_in.get_or_insert(place);
    }

    /// Where its log-in stands in the log; `None` where it has run something: its log-in is over.
    pub fn log_in(&self) -> Option<LogIn> {
        let first = self.first_unfinished();
        let before = self.log_in.or(first).unwrap_or(Seq(u64::MAX));
        (self.used == Seq(0)).then_some(LogIn { before, first })
    }

    /// How its log-in stands, as seen from a change with this place.
    pub fn log_in_standing(&self, change: Seq) -> Standing {
        let is_before = self.log_in.is_some_and(|place| place <= change);
        let is_over = self.closing.is_some() && !self.is_busy();
        match self.log_in_progress {
            _ if !is_before || is_over => Standing::Irrelevant,
            LogInProgress::Due | LogInProgress::Awaited => Standing::Outstanding,
            LogInProgress::PutOff => Standing::WithoutConnection,
            LogInProgress::Refused | LogInProgress::Made => Standing::Irrelevant,
        }
    }

    /// A change with this place waits for its log-in, if that stands before it and has not been made:
    /// then it is made as soon as it may be. Returns whether it is so.
    pub fn await_log_in(&mut self, change: Seq) -> bool {
        let is_awaited = self.log_in_standing(change) != Standing::Irrelevant;
        if is_awaited {
            self.log_in_progress = LogInProgress::Awaited;
        }
        is_awaited
    }

    /// Whether a change waits for its log-in.
    pub fn is_log_in_awaited(&self) -> bool {
        self.log_in_progress == LogInProgress::Awaited
            && (self.closing.is_none() || self.is_busy())
            && !matches!(self.closing, Some(Closing::Drain | Closing::Revoked))
    }

    /// The target has refused its log-in: nothing waits for it.
    pub fn log_in_refused(&mut self) {
        self.log_in_progress = LogInProgress::Refused;
    }

    /// There was no connection to spare for its log-in: nothing waits for it.
    pub fn log_in_put_off(&mut self) {
        if matches!(self.log_in_progress, LogInProgress::Due | LogInProgress::Awaited) {
            self.log_in_progress = LogInProgress::PutOff;
        }
    }

    /// Its log-in was refused, and is tried again.
    pub fn log_in_tried_again(&mut self) {
        if self.log_in_progress == LogInProgress::Refused {
            self.log_in_progress = LogInProgress::Awaited;
        }
    }

    /// How it stands, as far as the log-ins of others wait for it.
    pub fn login_blocker(&self) -> Blocker {
        let again = self.queue.front().is_some_and(|queued| queued.again);
        let in_transaction = again || self.in_transaction() || !self.transaction.is_empty();
        Blocker { first_unfinished: self.first_unfinished(), in_transaction }
    }

    // ---- Its changes of others' ----

    /// Whether a statement may not start before log-ins that stand before it.
    pub(super) fn waits_for_log_ins(&self, work: &Work) -> bool {
        work.statement.outline.alters_logins
            && self.change.granted < work.seq
            && !matches!(work.end().source, SourceEnd::Failed(_))
    }

    pub(super) fn ask_change(&mut self, seq: Seq) -> Next {
        let is_asked = std::mem::replace(&mut self.change.asked, seq) == seq;
        if is_asked { Next::Wait } else { Next::AskChange(seq) }
    }

    /// The log-ins before this statement have been made, or are not waited for any longer.
    pub fn grant_change(&mut self, seq: Seq) {
        self.change.granted = self.change.granted.max(seq);
    }
}
