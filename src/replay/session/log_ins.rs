//! A session's log-in, and its statements that change what log-ins find.

use super::{Closing, Next, Session};
use crate::pglog::statement::SourceEnd;
use crate::replay::session::logins::{Blocker, Change, LogIn};
use crate::replay::work::{Seq, Work};
use crate::sql::{self, AlteredLogins};

/// How far its log-in is, as far as changes wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LogInProgress {
    /// It is to be made when its moment comes, or is under way.
    #[default]
    Due,
    /// A change waits for it that leaves it other settings, if there is a connection to spare.
    Awaited,
    /// A change waits for it that it may be impossible after.
    Needed,
    /// The target has refused it.
    Refused,
    /// There was no connection to spare.
    PutOff,
    /// It was made, and its connection is there.
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

/// A database to which nobody may be connected while a statement runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Vacated {
    /// Its name.
    pub database: String,
    /// Whether the statement is known to have succeeded on the source: nobody was connected to it there.
    pub succeeded: bool,
}

impl Vacated {
    /// The database that this statement needs to itself, if it does and can be expected to succeed.
    pub fn by(work: &Work) -> Option<Self> {
        let source = work.end().source;
        if !work.statement.outline.alters_logins || matches!(source, SourceEnd::Failed(_)) {
            return None;
        }
        let database = sql::vacated_database(&work.statement.sql)?;
        Some(Self { database, succeeded: source == SourceEnd::Succeeded })
    }
}

impl Session {
    // ---- Its log-in ----

    /// Its log-in stands in the log before the statement with this place.
    pub fn logs_in_before(&mut self, place: Seq) {
        self.log_in.get_or_insert(place);
    }

    /// Where its log-in stands in the log. A session that has run something logs in again for its next
    /// statement; `None` where none has come.
    pub fn log_in(&self) -> Option<LogIn> {
        let first = self.first_unfinished();
        if self.used == Seq(0) {
            let before = self.log_in.or(first).unwrap_or(Seq(u64::MAX));
            return Some(LogIn { before, first });
        }
        // Who has to be there before a change has no time to wait for others.
        let before = |first| if self.is_log_in_awaited() { Seq(0) } else { first };
        first.map(|first| LogIn { before: before(first), first: Some(first) })
    }

    /// Whether it has run something, on a connection that it has had.
    pub fn logs_in_again(&self) -> bool {
        self.used > Seq(0)
    }

    /// A change with this place waits for its log-in, if that stands before it and no connection of it
    /// is there: then it is made as soon as it may be. `prevents`: it may be impossible after. Returns
    /// whether it waits.
    pub fn await_log_in(&mut self, change: Seq, prevents: bool) -> bool {
        let is_before = self.log_in.is_some_and(|place| place <= change);
        let is_over = self.closing.is_some() && !self.is_busy();
        let is_open = matches!(self.log_in_progress, LogInProgress::Due | LogInProgress::PutOff);
        let is_awaited = is_before && is_open && !is_over;
        if is_awaited {
            self.log_in_progress =
                if prevents { LogInProgress::Needed } else { LogInProgress::Awaited };
        }
        is_awaited
    }

    /// Whether a change had to do without its log-in, for want of a connection.
    pub fn is_log_in_put_off(&self) -> bool {
        self.log_in_progress == LogInProgress::PutOff
    }

    /// Its connection can't be made again: somebody changes who may log in.
    pub fn keep_log_in(&mut self) {
        self.connection.log_in_kept = self.connection.connected;
    }

    /// Whether a change waits for its log-in.
    pub fn is_log_in_awaited(&self) -> bool {
        matches!(self.log_in_progress, LogInProgress::Awaited | LogInProgress::Needed)
            && (self.closing.is_none() || self.is_busy())
            && !matches!(self.closing, Some(Closing::Drain | Closing::Revoked))
    }

    /// Whether that may be impossible after the change.
    pub fn is_log_in_needed(&self) -> bool {
        self.log_in_progress == LogInProgress::Needed
    }

    /// Before which statement it needs a connection.
    pub fn needs_connection_by(&self) -> Seq {
        // A transaction that is run again without anything new behind it can wait.
        if self.is_log_in_needed() { Seq(0) } else { self.next().unwrap_or(Seq(u64::MAX)) }
    }

    /// It has logged in.
    pub(super) fn logged_in(&mut self) {
        self.connection.log_in_kept = self.is_log_in_needed();
        self.log_in_progress = LogInProgress::Made;
    }

    /// The target has refused its log-in: nothing waits for it.
    pub fn log_in_refused(&mut self) {
        self.log_in_progress = LogInProgress::Refused;
    }

    /// There was no connection to spare for its log-in: nothing waits for it.
    pub fn log_in_put_off(&mut self) {
        if self.log_in_progress == LogInProgress::Awaited {
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
        let in_transaction =
            again || self.in_transaction() || !self.connection.transaction.is_empty();
        Blocker { first_unfinished: self.first_unfinished(), in_transaction }
    }

    /// Whether a change of log-ins has to wait for this session.
    pub fn holds_up(&self, change: &Change) -> bool {
        self.is_log_in_awaited()
            || change.behind_statements && self.login_blocker().is_before(change.seq)
    }

    // ---- Its changes of others' ----

    /// Whose log-ins the statement with this place changes, if it is next.
    pub fn altered_logins(&self, seq: Seq) -> Option<AlteredLogins> {
        let head = self.head().filter(|head| head.seq == seq)?;
        Some(sql::altered_logins(&head.statement.sql))
    }

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

#[cfg(test)]
mod tests;
