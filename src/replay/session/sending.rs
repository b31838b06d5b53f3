//! What is sent next, and what has to be answered before it.

use std::sync::Arc;

use super::on_connection::{Content, Role};
use super::preparing::Prepared;
use super::replay_mode::{ReplayMode, draw_only, has_stale_plan, raise};
use super::running_again::may_revive_transaction;
use super::steps::Pipeline;
use super::turn::TurnStep;
use super::{Closing, Left, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use crate::replay::pace::Moment;
use crate::replay::session::context::Restore;
use crate::replay::session::request::{Request, TransactionStatus as Status};
use crate::replay::work::{End, Seq, Work};
use crate::sql::{self, CLIENT_ENCODING, Command};

/// What the session does next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Send this.
    Send(Request),
    /// Ask for the turn of this statement.
    Ask(Seq),
    /// Ask whether the log-ins before this statement have been made, which it changes.
    AskChange(Seq),
    /// Wait for an answer or a turn.
    Wait,
    /// Wait until then: the next statement is not due.
    WaitUntil(Moment),
    /// Nothing is left to do.
    Idle,
    /// Close the connection.
    Close(Closing),
    /// Give up the connection, unless it is kept.
    Leave(Left),
    /// Tell that the statement was taken back, and waits to be let run again.
    ReportHeld(Seq),
    /// Ask whether this statement, which has failed, is to be run again behind the end of another
    /// session's transaction.
    AskEarlyEnd(Seq),
}

impl Session {
    /// What to do next. To be asked again until it says otherwise than [`Next::Send`].
    pub fn next_step(&mut self) -> Next {
        let sent = &self.connection.sent;
        if sent.len() >= self.settings.depth.max(1) || sent.back().is_some_and(|sent| sent.alone) {
            return Next::Wait;
        }
        self.doubt_step()
            .or_else(|| self.undo_step())
            .or_else(|| self.withdrawal_step())
            .or_else(|| self.measure_step())
            .or_else(|| self.auto_explain_step())
            .or_else(|| self.restore_step())
            .or_else(|| self.leave_step())
            .or_else(|| self.current_step())
            .or_else(|| self.correction_step())
            .or_else(|| self.look_after_connection())
            .unwrap_or_else(|| self.queue_step())
    }

    /// Makes the next of what the session had set up before, on its new connection.
    fn restore_step(&mut self) -> Option<Next> {
        let restore = self.connection.restoring.pop_front()?;
        self.connection.durations.changed(restore.sets_durations());
        if let Restore::Parse { name, sql } = &restore {
            let (sql, types, as_of) = (sql.clone(), Vec::new(), self.result_changes());
            let prepared = Prepared { sql, types, noted: true, as_of };
            self.connection.prepared.insert(name.clone(), prepared);
        }
        self.connection.sends(Role::Restore(restore.clone()), false);
        Some(Next::Send(Request::Restore(restore)))
    }

    /// The statement that takes several requests goes before all others.
    fn current_step(&mut self) -> Option<Next> {
        self.connection.current.as_ref()?;
        Some(if self.connection.sent.is_empty() { self.send_step() } else { Next::Wait })
    }

    fn correction_step(&mut self) -> Option<Next> {
        if !self.connection.is_to_correct() {
            return None;
        }
        if !self.connection.sent.is_empty() {
            return Some(Next::Wait);
        }
        self.correction().map(Next::Send)
    }

    /// Takes the next statement of the queue as far as it may go.
    fn queue_step(&mut self) -> Next {
        if !self.queue.is_empty()
            && let Some(next) = self.hold_step()
        {
            return next;
        }
        if let Some(due) = self.not_before() {
            return Next::WaitUntil(due);
        }
        let Some(front) = self.queue.front() else {
            return match self.closing {
                _ if !self.connection.sent.is_empty() => Next::Wait,
                Some(why) => Next::Close(why),
                None => Next::Idle,
            };
        };
        let (work, again) = (front.work.clone(), front.again);
        let end = work.end();
        let status = self.connection.status;
        let mode = match self.connection.pipeline {
            Pipeline::Failed => ReplayMode::Text(raise(SqlState::IN_FAILED_TRANSACTION).into()),
            _ => ReplayMode::of(&work, end, status, &self.settings, &self.context),
        };
        let steps = self.takes_steps(&work, end, &mode);
        let alone = steps || self.must_run_alone(&work, end, &mode);
        if (alone || may_revive_transaction(&work.statement)) && !self.connection.sent.is_empty() {
            return Next::Wait;
        }
        if let Some(next) = self.durations_step(&work).or_else(|| self.auto_explain_again_step()) {
            return next;
        }
        if let Some(next) = self.start_step(&work, again) {
            return next;
        }
        self.queue.pop_front();
        self.note_durations_of(&work);
        self.note_auto_explain_of(&work);
        if steps { self.begin_steps(work, end, mode) } else { self.send_whole(work, mode, alone) }
    }

    /// What has to come before a statement may start, whose request could be sent now.
    fn start_step(&mut self, work: &Work, again: bool) -> Option<Next> {
        if !again {
            match self.turn.step(work.seq, self.now) {
                TurnStep::Start => {}
                TurnStep::Ask => return Some(Next::Ask(work.seq)),
                TurnStep::Wait => return Some(Next::Wait),
            }
        }
        if self.must_see_the_end() {
            return Some(Next::Wait);
        }
        if again {
            return None;
        }
        if self.waits_for_log_ins(work) {
            return Some(self.ask_change(work.seq));
        }
        self.turn.started(work.seq);
        self.delay = work.due.map(|due| self.now.since(due));
        None
    }

    /// Sends a statement in one request.
    fn send_whole(&mut self, work: Arc<Work>, mode: ReplayMode, alone: bool) -> Next {
        let content = Content::of(&mode);
        let types = match mode {
            ReplayMode::Extended | ReplayMode::DrawOnly { .. } => self.known_param_types(&work),
            _ => Vec::new(),
        };
        let request = self.request(&work, mode, types);
        self.connection.sends(Role::Whole(work, content), alone);
        Next::Send(request)
    }

    /// What the connection itself needs before anything else is sent: UTF-8, and to be asked for what
    /// only the server knows of the session.
    fn look_after_connection(&mut self) -> Option<Next> {
        let encoding = self.connection.foreign_encoding && self.connection.status != Status::Failed;
        let inspect = self.context.is_unknown() && self.connection.status == Status::Idle;
        if self.connection.pipeline == Pipeline::Open || (!encoding && !inspect) {
            return None;
        }
        if !self.connection.sent.is_empty() {
            // What follows an unknown setting may well go with it; text in UTF-8 may not.
            return encoding.then_some(Next::Wait);
        }
        if inspect && !encoding {
            return Some(self.inspect());
        }
        self.connection.sends(Role::Encoding, true);
        Some(Next::Send(Request::Text("SET client_encoding TO 'UTF8'".into())))
    }

    /// What brings the open transaction to where the source's was, as records told that came late.
    fn correction(&mut self) -> Option<Request> {
        if let Some(code) = self.connection.abort.take()
            && self.connection.status == Status::InTransaction
        {
            self.connection.sends(Role::Abort, true);
            let request = Request::Text(raise(code).into());
            if self.connection.pipeline != Pipeline::Open {
                return Some(request);
            }
            self.connection.syncs = false;
            return Some(Request::Pipelined { request: Box::new(request), syncs: true });
        }
        if std::mem::take(&mut self.connection.syncs)
            && std::mem::take(&mut self.connection.pipeline) == Pipeline::Open
        {
            self.connection.sends(Role::Sync, true);
            return Some(Request::Sync);
        }
        None
    }

    /// Whether nothing may be under way before it or sent behind it.
    fn must_run_alone(&self, work: &Work, end: End, mode: &ReplayMode) -> bool {
        self.connection.pipeline != Pipeline::Closed
            // It may have been its doing, or that something was sent behind it: the server ends a
            // session that sends anything else than data while it asks for that of a COPY.
            || work.has_lost_connection()
            // Where a pipeline begins is known once the status is.
            || end.sync != SyncEnd::Synced
            || *mode != ReplayMode::Simple && self.parses_by_name(work)
            // It is to be canceled, and must not take what follows with it.
            || end.source.is_transient() && matches!(mode, ReplayMode::Simple | ReplayMode::Extended)
            // Nobody's lock is freed for it: its wait is not to be taken for that of one before it.
            || matches!(mode, ReplayMode::DrawOnly { .. })
            // What it means for those behind it is known when it has ended.
            || matches!(end.source, SourceEnd::Failed(code)
                if work.statement.fails_beyond_log(code) || has_stale_plan(&work.statement, code))
            || sets_encoding(&work.statement)
            || (self.connection.met_foreign_encoding && !is_ascii(&work.statement))
            || work.statement.outline.has(|command| {
                matches!(
                    command,
                    Command::Chain
                        | Command::CopyFromStdin
                        | Command::Deallocate
                        | Command::Discard
                        | Command::Prepare
                )
            })
    }

    pub(super) fn request(
        &mut self,
        work: &Arc<Work>,
        mode: ReplayMode,
        types: Vec<u32>,
    ) -> Request {
        match mode {
            ReplayMode::Simple => Request::Simple(work.clone()),
            ReplayMode::Text(text) => Request::Text(text),
            ReplayMode::RollBack => Request::Text("ROLLBACK".into()),
            ReplayMode::ParseOnly => Request::ParseOnly(work.clone()),
            ReplayMode::BindOnly => Request::BindOnly(work.clone()),
            ReplayMode::Extended => self.extended_request(work, types),
            ReplayMode::DrawOnly { limits, code } => match &work.statement.protocol {
                Protocol::Extended { .. } => Request::DrawOnly {
                    work: work.clone(),
                    types,
                    limits: limits.into(),
                    failure: raise(code).into(),
                },
                _ => Request::Text(draw_only(&work.statement, work.end(), &limits, code).into()),
            },
        }
    }
}

/// Whether a statement may set `client_encoding`: nothing may be sent behind it before it has.
fn sets_encoding(statement: &Statement) -> bool {
    let outline = &statement.outline;
    if !outline.names_settings && !outline.has(|c| matches!(c, Command::Set | Command::SetLocal)) {
        return false;
    }
    let names = |text: &str| sql::mentions(text, CLIENT_ENCODING) || sql::mentions(text, "names");
    names(&statement.sql) || statement.parameters().iter().flatten().any(|value| names(value))
}

pub(super) fn is_ascii(statement: &Statement) -> bool {
    statement.sql.is_ascii() && statement.parameters().iter().flatten().all(|v| v.is_ascii())
}
