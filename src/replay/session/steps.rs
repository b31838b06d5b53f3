//! A statement that takes several requests, or is part of several: one of a pipeline, or one whose
//! parameter types have to be found out.
//!
//! What shared a Sync on the source is a *pipeline*, an implicit transaction of the extended protocol.
//! It is sent as drivers send it, each statement behind the other with one Sync at the end, so that the
//! server applies its own rules to it: what a routine commits, which commands may only be the first,
//! what an error undoes. One statement is sent at a time, with a Flush to have it answered.

use std::sync::Arc;

use super::answers::{Ran, Within, is_beyond_log};
use super::on_connection::{Content, Role};
use super::replay_mode::{ReplayMode, is_limited, raise};
use super::running_again::may_have_committed;
use super::{Answer, Answered, Next, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, Statement, SyncEnd};
use crate::replay::session::parameter_types::{
    Refusal, TypeSearch, all_fit, has_untold, is_inference_failure,
};
use crate::replay::session::request::{Request, Took, TransactionStatus as Status};
use crate::replay::work::{End, Work};
use crate::sql::{self, Command};

/// An implicit transaction of the extended protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pipeline {
    /// None is open.
    #[default]
    Closed,
    /// Its Sync is still to come.
    Open,
    /// It failed before its last statement on the target alone, and has been synced. The server would
    /// have skipped what follows: it is refused.
    Failed,
}

/// A statement that takes several requests.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) work: Arc<Work>,
    mode: ReplayMode,
    /// The types of its parameters, as OIDs.
    types: Vec<u32>,
    /// The search for them, where they are not known.
    search: Option<TypeSearch>,
    pub(super) step: Step,
    place: Place,
    /// Whether a savepoint stands before it.
    guarded: bool,
    /// The answer that will count, once the steps after it are through.
    result: Option<Result<(), SqlState>>,
    /// Whether that was before anything was executed.
    before_execute: bool,
    /// Whether its pipeline is run again once it is synced, with other types.
    runs_again: bool,
    /// How long the statement itself took, the last time it was tried.
    took: Option<Took>,
}

/// Where a statement stands in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is part of none.
    Outside,
    /// A Flush follows it.
    Flushed,
    /// The Sync follows it.
    Synced,
}

impl Current {
    /// See [`Session::is_limited`].
    pub(super) fn is_limited(&self) -> bool {
        self.step == Step::Run && is_limited(&self.work, Content::of(&self.mode))
    }

    /// Whether it is part of a pipeline, whose beginning is undone with it.
    pub(super) fn is_pipelined(&self) -> bool {
        self.place != Place::Outside
    }

    /// Whether something may be committed by the request that is under way.
    pub(super) fn may_commit(&self, in_block: bool) -> bool {
        let statement = &self.work.statement;
        match (self.step, self.place) {
            (Step::Run, Place::Outside) => {
                !in_block || statement.outline.has(Command::ends_transaction)
            }
            (Step::Run, Place::Flushed) => {
                may_have_committed(statement, Status::Idle)
                    || statement.outline.has(Command::ends_transaction)
            }
            (Step::Run, Place::Synced) => true,
            (Step::Sync, _) => self.result != Some(Err(SqlState::IN_FAILED_TRANSACTION)),
            (Step::Guard | Step::Retry | Step::Release | Step::Undo, _) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A savepoint, so that a failed type inference does not abort the transaction.
    Guard,
    /// The statement itself.
    Run,
    /// Back to the savepoint, to try other types.
    Retry,
    /// The savepoint is not needed any more.
    Release,
    /// The Sync that ends its pipeline.
    Sync,
    /// A failure that undoes its pipeline, which never got a Sync on the source, and the Sync.
    Undo,
}

impl Session {
    /// Whether the statement takes more than one request.
    pub(super) fn takes_steps(&self, work: &Work, end: End, mode: &ReplayMode) -> bool {
        self.connection.pipeline != Pipeline::Closed
            || self.opens_pipeline(work, end)
            || (*mode == ReplayMode::Extended && self.types_unknown(work, end))
    }

    /// Whether a pipeline begins with it, and did not end with it.
    fn opens_pipeline(&self, work: &Work, end: End) -> bool {
        self.connection.status == Status::Idle
            && end.sync != SyncEnd::Synced
            && !work.statement.controls_transaction()
    }

    /// Whether the statement's types have to be found out: nobody knows them, or they don't fit its
    /// values.
    fn types_unknown(&self, work: &Work, end: End) -> bool {
        let Protocol::Extended { parameters, .. } = &work.statement.protocol else { return false };
        !parameters.is_empty()
            && !matches!(end.source, SourceEnd::Failed(_))
            && (self.refused_types.contains(&work.seq)
                || self.prepared_as(work).is_some_and(|it| !all_fit(&it.types, parameters))
                || !self
                    .findings
                    .types
                    .get(&work.statement.sql)
                    .is_some_and(|typing| typing.fits(parameters)))
    }

    /// The types of a statement's parameters, as far as they are known.
    pub(super) fn known_param_types(&self, work: &Work) -> Vec<u32> {
        let Statement { sql, protocol, .. } = &work.statement;
        let Protocol::Extended { parameters, .. } = protocol else { return Vec::new() };
        let typing = self.findings.types.get(sql);
        typing.map(|typing| typing.types(parameters, sql)).unwrap_or_default()
    }

    /// Where the search for a statement's types begins.
    fn search(&self, work: &Work) -> TypeSearch {
        let Statement { sql, protocol, .. } = &work.statement;
        let Protocol::Extended { parameters, .. } = protocol else { return TypeSearch::new(0) };
        match (self.prepared_as(work), self.findings.types.get(sql)) {
            _ if self.refused_types.contains(&work.seq) => TypeSearch::new(parameters.len()),
            (Some(prepared), Some(typing)) if has_untold(&prepared.types) => {
                typing.widening(parameters, sql)
            }
            (Some(prepared), _) => TypeSearch::widening(&prepared.types, parameters),
            (None, Some(typing)) => typing.widening(parameters, sql),
            (None, None) => TypeSearch::new(parameters.len()),
        }
    }

    pub(super) fn begin_steps(&mut self, work: Arc<Work>, end: End, mode: ReplayMode) -> Next {
        if self.connection.pipeline == Pipeline::Closed && self.opens_pipeline(&work, end) {
            self.connection.pipeline = Pipeline::Open;
        }
        let place = match (self.connection.pipeline, end.sync) {
            (Pipeline::Closed | Pipeline::Failed, _) => Place::Outside,
            // What must not be committed, although it may succeed here, is undone before the Sync.
            (Pipeline::Open, SyncEnd::Synced) if !is_beyond_log(&work) => Place::Synced,
            (Pipeline::Open, _) => Place::Flushed,
        };
        let unknown = mode == ReplayMode::Extended && self.types_unknown(&work, end);
        let guarded = place == Place::Outside
            && self.connection.status == Status::InTransaction
            && unknown
            && !ends_with_savepoint(&work.statement);
        let step = if guarded { Step::Guard } else { Step::Run };
        let begun = self.searches.remove(&work.seq);
        let search = unknown.then(|| begun.unwrap_or_else(|| self.search(&work)));
        let types = match &search {
            Some(search) => search.types(),
            None => self.known_param_types(&work),
        };
        self.connection.current = Some(Current {
            work,
            mode,
            types,
            search,
            step,
            place,
            guarded,
            result: None,
            before_execute: false,
            runs_again: false,
            took: None,
        });
        self.send_step()
    }

    pub(super) fn send_step(&mut self) -> Next {
        let Some(current) = &self.connection.current else { return Next::Wait };
        let request = match current.step {
            Step::Guard => Request::Text("SAVEPOINT kreplay".into()),
            Step::Retry => Request::Text("ROLLBACK TO SAVEPOINT kreplay".into()),
            Step::Release => Request::Text("RELEASE SAVEPOINT kreplay".into()),
            Step::Sync => Request::Sync,
            Step::Undo => Request::Pipelined {
                request: Box::new(Request::Text(raise(SqlState::QUERY_CANCELED).into())),
                syncs: true,
            },
            Step::Run => {
                let (work, mode, types, place) = (
                    current.work.clone(),
                    current.mode.clone(),
                    current.types.clone(),
                    current.place,
                );
                let request = self.request(&work, mode, types);
                match place {
                    Place::Outside => request,
                    Place::Flushed | Place::Synced => Request::Pipelined {
                        request: Box::new(request),
                        syncs: place == Place::Synced,
                    },
                }
            }
        };
        self.connection.sends(Role::Step, true);
        Next::Send(request)
    }

    pub(super) fn step_answered(&mut self, answer: Answer, before: Status) -> Answered {
        let Some(mut current) = self.connection.current.take() else { return Answered::default() };
        let result = answer.error.map_or(Ok(()), |(code, _)| Err(code));
        let next = match current.step {
            Step::Guard if result.is_ok() => Some(Step::Run),
            Step::Guard => {
                current.result = Some(result);
                None
            }
            Step::Run => self.run_answered(&mut current, &answer),
            Step::Retry if current.guarded => Some(Step::Run),
            Step::Retry => Some(Step::Release),
            Step::Release if !current.guarded => Some(Step::Run),
            Step::Release | Step::Undo => None,
            Step::Sync => {
                // What was deferred to the end failed.
                if result.is_err() && current.result.is_none_or(|result| result.is_ok()) {
                    current.result = Some(result);
                }
                None
            }
        };
        if let Some(step) = next {
            current.step = step;
            self.connection.current = Some(current);
            return Answered::default();
        }
        self.leave_place(&current);
        if current.runs_again {
            self.run_again(&current.work);
            return Answered::default();
        }
        let guessed = current.search.as_ref().is_some_and(TypeSearch::guesses);
        let result = current.result.unwrap_or(Ok(()));
        let content = Content::of(&current.mode);
        let within = if current.place == Place::Outside { Within::Block } else { Within::Pipeline };
        let Current { before_execute, took, .. } = current;
        let completed = if result.is_ok() { current.work.statement.outline.parts.len() } else { 0 };
        let ran = Ran { target: result, before_execute, completed, guessed, took, within };
        self.end(current.work, ran, content, before)
    }

    /// The statement is through: what that means for its pipeline.
    fn leave_place(&mut self, current: &Current) {
        let synced =
            current.place == Place::Synced || matches!(current.step, Step::Sync | Step::Undo);
        let goes_on = current.work.end().sync == SyncEnd::Joined && !current.runs_again;
        let failed = current.result.is_some_and(|result| result.is_err());
        self.connection.pipeline = match self.connection.pipeline {
            Pipeline::Open if !synced => Pipeline::Open,
            Pipeline::Open if failed && goes_on => Pipeline::Failed,
            Pipeline::Failed if goes_on => Pipeline::Failed,
            _ => Pipeline::Closed,
        };
    }

    /// The statement itself was answered: the step that follows, if any.
    fn run_answered(&mut self, current: &mut Current, answer: &Answer) -> Option<Step> {
        let pipelined = current.is_pipelined();
        if Content::of(&current.mode) == Content::Itself {
            current.took = answer.measured();
        }
        if current.place == Place::Flushed {
            // What the server would tell of a transaction block.
            let failed = answer.error.is_some();
            self.connection.status = if failed { Status::Failed } else { Status::InTransaction };
        }
        if let Some((code, before_execute)) = answer.error {
            (current.result, current.before_execute) = (Some(Err(code)), before_execute);
            if before_execute {
                self.forget_prepared(&current.work);
            } else {
                self.types_accepted(current);
                if current.guarded && code == SqlState::ACTIVE_SQL_TRANSACTION {
                    // Some things can't be done behind a savepoint, as to export a snapshot.
                    current.guarded = false;
                    return Some(Step::Retry);
                }
            }
            let refusal = Refusal { code, parameter: answer.parameter };
            if before_execute && is_inference_failure(code) && self.types_refused(current, refusal)
            {
                if pipelined {
                    // What was before it is undone with it.
                    let search = current.search.take();
                    self.searches.extend(search.map(|search| (current.work.seq, search)));
                    current.runs_again = true;
                } else {
                    match answer.status {
                        Status::Failed if current.guarded => return Some(Step::Retry),
                        Status::Idle => return Some(Step::Run),
                        _ => {}
                    }
                }
            }
        } else {
            current.result = Some(Ok(()));
            self.types_accepted(current);
        }
        let failed = answer.error.is_some();
        match current.place {
            Place::Outside => (current.guarded && !failed).then_some(Step::Release),
            Place::Synced => None,
            Place::Flushed if failed => Some(Step::Sync),
            // More may have become known while it ran.
            Place::Flushed => match current.work.end().sync {
                SyncEnd::Joined => None,
                SyncEnd::Synced if !is_beyond_log(&current.work) => Some(Step::Sync),
                SyncEnd::Synced | SyncEnd::Never => Some(Step::Undo),
            },
        }
    }

    /// The server has taken the statement's types, whatever came of it.
    fn types_accepted(&self, current: &Current) {
        if let Some(search) = &current.search {
            self.findings.types.put(&current.work.statement.sql, search.typing());
        }
    }

    /// Goes on to other types; `false`: there are none to try.
    fn types_refused(&self, current: &mut Current, refusal: Refusal) -> bool {
        let Statement { sql, protocol, .. } = &current.work.statement;
        let (Some(search), Protocol::Extended { parameters, .. }) = (&mut current.search, protocol)
        else {
            return false;
        };
        if search.refused(refusal, parameters, sql) {
            current.types = search.types();
            return true;
        }
        self.findings.types.refused(sql);
        // That is what it is refused for, and not for a guess of ours.
        current.result = search.first_refusal().map(Err).or(current.result);
        false
    }
}

/// Whether it may set what the end of a savepoint sets back, even one that is released.
fn ends_with_savepoint(statement: &Statement) -> bool {
    let names = |text: &str| sql::mentions(text, "transaction_read_only");
    statement.outline.names_settings
        && (names(&statement.sql)
            || statement.parameters().iter().flatten().any(|value| names(value)))
}
