//! What came back: the end of a statement, and what it means for its transaction and its session.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::on_connection::{Content, Role, Sent};
use super::preparing::may_change_results;
use super::replay_mode::{has_stale_plan, lifts_read_only};
use super::running_again::may_have_committed;
use super::sending::is_ascii;
use super::steps::Pipeline;
use super::{RunAgain, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, Statement};
use crate::replay::order::draws;
use crate::replay::session::context::Restore;
use crate::replay::session::request::{ResultRow, Took, TransactionStatus as Status};
use crate::replay::work::{Seq, Work};
use crate::sql::{self, Command, Verb, prepared_name};

/// How a statement ended on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// On the source; `Unknown` where the log has not told.
    pub source: SourceEnd,
    /// On the target.
    pub target: Result<(), SqlState>,
    /// Whether parameter types had to be guessed.
    pub guessed: bool,
    /// Whether it may have drawn from sequences on the source what it did not here.
    pub may_have_drawn: bool,
    /// Whether the source's failure may be of what its log does not hold.
    pub beyond_log: bool,
    /// How long it took on the target; `None` where something else was sent in its place, or a plan was
    /// written down meanwhile.
    pub took: Option<Took>,
}

/// What an answer brought about.
#[derive(Debug, Default)]
pub struct Answered {
    /// The statement that ended with it, and how. Only the first time it is run.
    pub ended: Option<(Arc<Work>, Ended)>,
    /// How long that one had waited for its turn.
    pub waited: Duration,
    /// Whether that one was given up: it ended by being canceled for that.
    pub given_up: bool,
    /// The statement whose turn is over.
    pub finished: Option<Seq>,
    /// Why the statement's transaction is run again, where it is.
    pub retried: Option<RunAgain>,
    /// Statements whose effects are final.
    pub settled: SmallVec<[Arc<Work>; 1]>,
    /// How many statements were under way that the server has read in another encoding than theirs.
    pub misread: usize,
    /// Why the target does not let its auto_explain tell plans; the first time for who it logs in as.
    pub explain_refused: Option<SqlState>,
}

/// An answer, as far as the session looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The transaction status after it.
    pub status: Status,
    /// The error, and whether it was raised before anything was executed (by Parse or Bind).
    pub error: Option<(SqlState, bool)>,
    /// How many statements of the request ended well, before the error if there was one.
    pub completed: usize,
    /// The rows of a question to the server.
    pub rows: Vec<ResultRow>,
    /// Whether the server does not take UTF-8 from us any more.
    pub foreign_encoding: bool,
    /// The parameter that the error names, from 1.
    pub parameter: Option<u16>,
    /// How long the server took.
    pub took: Took,
    /// Whether a plan came with it: to write that down was part of what took the server so long.
    pub with_plan: bool,
}

impl Answer {
    /// How long a statement took, where nothing else is in that.
    pub(super) fn measured(&self) -> Option<Took> {
        (!self.with_plan).then_some(self.took)
    }

    /// How the request ended, and whether that was before anything was executed.
    fn result(&self) -> (Result<(), SqlState>, bool) {
        self.error.map_or((Ok(()), false), |(code, before_execute)| (Err(code), before_execute))
    }
}

/// How a statement ran on the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    pub(super) target: Result<(), SqlState>,
    /// Whether it failed before anything was executed.
    pub(super) before_execute: bool,
    /// How many statements of its text ended well.
    pub(super) completed: usize,
    pub(super) guessed: bool,
    pub(super) took: Option<Took>,
    pub(super) within: Within,
}

/// What a statement was part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// A transaction block, or nothing but itself.
    Block,
    /// A pipeline, where a routine may commit.
    Pipeline,
}

impl Session {
    /// Takes the answer to the oldest request without one.
    pub fn answered(&mut self, answer: Answer) -> Answered {
        let Some(sent) = self.connection.sent.pop_front() else { return Answered::default() };
        self.answers += 1;
        match self.put_aside(sent, answer) {
            Some((sent, answer)) => self.take(sent, answer),
            None => Answered::default(),
        }
    }

    pub(super) fn take(&mut self, sent: Sent, mut answer: Answer) -> Answered {
        let before = std::mem::replace(&mut self.connection.status, answer.status);
        if let Role::Durations(step) = sent.role {
            self.durations_answered(step, &answer);
        }
        self.judge_figure(&mut answer);
        let misread = self.note_encoding(answer.foreign_encoding);
        let answered = self.take_answer(sent.role, answer, before);
        Answered { misread, ..answered }
    }

    /// Notes whether the server still takes UTF-8. Returns how many statements are under way that it
    /// has read as something else.
    fn note_encoding(&mut self, foreign: bool) -> usize {
        let begins = foreign && !self.connection.foreign_encoding;
        self.connection.foreign_encoding = foreign;
        self.connection.met_foreign_encoding |= foreign;
        let misread =
            |sent: &&Sent| matches!(&sent.role, Role::Whole(work, _) if !is_ascii(&work.statement));
        if begins { self.connection.sent.iter().filter(misread).count() } else { 0 }
    }

    fn take_answer(&mut self, role: Role, answer: Answer, before: Status) -> Answered {
        match role {
            Role::Restore(restore) => {
                if let Some((code, _)) = answer.error {
                    self.restore_failed(restore, code);
                }
                Answered::default()
            }
            Role::Undo | Role::Durations(_) => Answered::default(),
            Role::AutoExplain => self.auto_explain_answered(answer.error.map(|(code, _)| code)),
            Role::Whole(work, _) if self.connection.undoing.is_some() => self.refused_with_it(work),
            Role::Abort if self.connection.pipeline == Pipeline::Open => self.pipeline_ended(true),
            Role::Sync => self.pipeline_ended(answer.error.is_some()),
            Role::Abort => Answered::default(),
            Role::Encoding => {
                // Where it is refused, it would be again.
                self.connection.foreign_encoding &= answer.error.is_none();
                Answered::default()
            }
            Role::Inspect { limits } => {
                self.inspected(limits, answer.error.map(|(code, _)| code), &answer.rows);
                Answered::default()
            }
            Role::Routines { as_of, limits } => {
                self.routines_told(
                    (as_of, limits),
                    answer.error.map(|(code, _)| code),
                    &answer.rows,
                );
                Answered::default()
            }
            Role::LeaveTransaction => {
                if self.connection.status == Status::Idle {
                    self.transaction_left();
                }
                Answered::default()
            }
            Role::Step => self.step_answered(answer, before),
            Role::Whole(work, content) => {
                if content == Content::Itself && matches!(answer.error, Some((_, true))) {
                    self.forget_prepared(&work);
                }
                if content == Content::Itself {
                    self.miss_figure(&work, &answer);
                }
                let (target, before_execute) = answer.result();
                let took = answer.measured().filter(|_| content == Content::Itself);
                let within = Within::Block;
                let completed = completed(content == Content::Itself, &answer, &work);
                let ran = Ran { target, before_execute, completed, guessed: false, took, within };
                self.end(work, ran, content, before)
            }
        }
    }

    /// A setting may need the role that the session acts as: it is tried again as that one.
    fn restore_failed(&mut self, restore: Restore, code: SqlState) {
        if let Restore::Parse { name, .. } = restore {
            self.connection.prepared.remove(&name);
            return;
        }
        let under_way = self.connection.sent.iter().filter_map(|sent| match &sent.role {
            Role::Restore(restore) => Some(restore),
            _ => None,
        });
        let role_follows = under_way.chain(&self.connection.restoring).any(Restore::sets_role);
        // Of two that change who the session is, neither waits for the other.
        if code == SqlState::INSUFFICIENT_PRIVILEGE && role_follows && !restore.sets_role() {
            self.connection.restoring.push_back(restore);
        }
    }

    fn pipeline_ended(&mut self, failed: bool) -> Answered {
        self.connection.pipeline = Pipeline::Closed;
        if self.connection.status != Status::Idle {
            return Answered::default();
        }
        if failed {
            self.context.roll_back()
        } else {
            self.context.commit()
        }
        let settled = std::mem::take(&mut self.connection.transaction);
        Answered { settled: settled.into(), ..Answered::default() }
    }

    pub(super) fn forget_prepared(&mut self, work: &Work) {
        if let Protocol::Extended { name, .. } = &work.statement.protocol {
            self.connection.prepared.remove(name);
        }
    }

    pub(super) fn end(
        &mut self,
        work: Arc<Work>,
        ran: Ran,
        content: Content,
        before: Status,
    ) -> Answered {
        let Ran { target, before_execute, completed, guessed, took, within } = ran;
        self.used = self.used.max(work.seq);
        let source = work.end().source;
        let begun = if within == Within::Pipeline { Status::Idle } else { before };
        let target = counted_result(content, target, source);
        if let Err(code) = target
            && let Some(why) = self.reason_to_run_again(&work, source, (code, before_execute))
            && self.undo(&work, begun)
        {
            return Answered { retried: Some(why), ..Answered::default() };
        }
        if self.is_in_doubt(&work, target, begun) {
            self.doubt(work, ran, content, before);
            return Answered::default();
        }
        let beyond_log = is_beyond_log(&work);
        if let SourceEnd::Failed(code) = source
            && has_stale_plan(&work.statement, code)
        {
            // Its client prepares it again, which need not be logged.
            self.connection.prepared.retain(|_, prepared| prepared.sql != work.statement.sql);
        }
        if self.newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, &work)) {
            self.newest_succeeded = target.is_ok();
        }
        // What was rolled back instead of committed has set up nothing.
        let completed = if content == Content::RollBack { 0 } else { completed };
        self.note_context(&work, target, completed, before);
        let settled = self.settle(&work, target, within);
        if let (Ok(()), SourceEnd::Failed(code)) = (target, source)
            && self.connection.status != Status::Idle
            && (source.is_transient() || beyond_log)
        {
            // It was to be canceled, and was faster; or it succeeds here alone for what is not known.
            self.connection.abort = Some(code);
        }
        let finished = Some(work.seq);
        let waited = self.turn.take_waited(work.seq);
        let given_up = self.given_up == finished && ran.target == Err(SqlState::QUERY_CANCELED);
        let ended = work.mark_reported().then(|| {
            let replaced = matches!(content, Content::Other | Content::DrawOnly);
            let may_have_drawn = replaced && self.may_have_drawn(&work);
            (work, Ended { source, target, guessed, may_have_drawn, beyond_log, took })
        });
        Answered { ended, waited, given_up, finished, settled, ..Answered::default() }
    }

    /// Returns what a statement that has ended settles; it is part of the open transaction, if there is
    /// one after it.
    fn settle(
        &mut self,
        work: &Arc<Work>,
        target: Result<(), SqlState>,
        within: Within,
    ) -> SmallVec<[Arc<Work>; 1]> {
        let connection = &mut self.connection;
        let mut settled = SmallVec::new();
        if connection.status == Status::Idle {
            connection.abort = None;
            connection.tries = 0;
            connection.may_have_seen_less = false;
            self.refused_types.clear();
            settled.extend(connection.transaction.drain(..));
            settled.push(work.clone());
            return settled;
        }
        if target.is_ok() && work.statement.outline.has(Command::ends_transaction) {
            // It ended one transaction and began the next, which it has to be run for again.
            connection.tries = 0;
            settled.extend(connection.transaction.drain(..));
        }
        if target.is_ok()
            && within == Within::Pipeline
            && may_have_committed(&work.statement, Status::Idle)
        {
            // So has it what was before it, which must not be run twice.
            settled.extend(connection.transaction.drain(..));
            settled.push(work.clone());
        } else {
            connection.transaction.push(work.clone());
        }
        settled
    }

    fn may_have_drawn(&self, work: &Work) -> bool {
        let prepared = |name: &str| self.context.prepared(name).map(Into::into);
        draws::of_failed(&work.statement, work.end(), prepared).is_uncertain()
    }

    /// Whether it would let the session write, which must not.
    pub(super) fn would_write(&self, statement: &Statement) -> bool {
        self.settings.read_only && lifts_read_only(statement)
    }

    fn note_context(
        &mut self,
        work: &Work,
        target: Result<(), SqlState>,
        completed: usize,
        before: Status,
    ) {
        let statement = &work.statement;
        if !self.would_write(statement) {
            self.context.ran(statement, completed, before == Status::Failed);
        }
        if target.is_ok() {
            if let Protocol::Extended { name, .. } = &statement.protocol
                && let Some(prepared) = self.connection.prepared.get_mut(name)
                && !prepared.noted
                && prepared.sql == statement.sql
            {
                prepared.noted = true;
                self.context.note_parse(name, &statement.sql);
            }
            for part in &statement.outline.parts {
                match part.command {
                    Command::Discard => self.connection.prepared.clear(),
                    Command::Deallocate => {
                        match prepared_name(&statement.sql[part.range.clone()]) {
                            Some(name) => drop(self.connection.prepared.remove(name.as_str())),
                            None => self.connection.prepared.clear(),
                        }
                    }
                    _ => {}
                }
            }
        }
        self.changes_schema |= may_change_schema(statement);
        self.own_changes += u64::from(may_change_results(statement));
        if self.connection.status == Status::Idle {
            if target.is_err() {
                self.context.roll_back()
            } else {
                self.context.commit()
            }
            if std::mem::take(&mut self.changes_schema) {
                self.database.schema_changed();
            }
            if self.own_changes > self.own_changes_before {
                self.own_changes_before = self.own_changes;
                self.database.results_changed();
            }
        }
    }
}

/// The result that counts for a statement, where this was sent for it and ended like this.
fn counted_result(
    content: Content,
    target: Result<(), SqlState>,
    source: SourceEnd,
) -> Result<(), SqlState> {
    match (content, target, source) {
        // The rollback stands for the COMMIT's failure.
        (Content::RollBack, Ok(()), SourceEnd::Failed(code)) => Err(code),
        // By whatever it was undone: it had drawn what it could.
        (Content::DrawOnly, Err(own), SourceEnd::Failed(code))
            if own != SqlState::IN_FAILED_TRANSACTION =>
        {
            Err(code)
        }
        _ => target,
    }
}

/// Whether the statement's failure on the source may be of what its log does not hold.
pub(super) fn is_beyond_log(work: &Work) -> bool {
    match work.end().source {
        SourceEnd::Failed(code) => work.statement.fails_beyond_log(code),
        _ => false,
    }
}

/// Whether a statement may make, change or drop a routine, a policy, a default or a view.
fn may_change_schema(statement: &Statement) -> bool {
    statement.outline.parts.iter().any(|part| match part.verb {
        Verb::Ddl => true,
        Verb::CallOrDo => sql::mentions(&statement.sql[part.range.clone()], "create"),
        _ => false,
    })
}

/// How many statements of its text a request has run to their end. Of another text that stands for it,
/// all or none.
fn completed(is_itself: bool, answer: &Answer, work: &Work) -> usize {
    match answer.error {
        None => work.statement.outline.parts.len(),
        Some(_) if is_itself => answer.completed,
        Some(_) => 0,
    }
}
