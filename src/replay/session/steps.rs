//! A statement that takes several requests: one of the source's implicit transactions, or one whose
//! parameter types have to be found out.

use std::sync::Arc;

use super::answers::{Ran, is_beyond_log};
use super::replay_mode::ReplayMode;
use super::{Answer, Answered, Content, Next, Role, Sent, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::{Protocol, SourceEnd, SyncEnd};
use crate::replay::parameter_types::{ParamTyping, is_inference_failure};
use crate::replay::request::{Request, Took, TransactionStatus as Status};
use crate::replay::work::{End, Work};

/// A statement that takes several requests.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) work: Arc<Work>,
    mode: ReplayMode,
    typing: ParamTyping,
    pub(super) step: Step,
    /// The answer that will count, once the steps after it are through.
    result: Option<Result<(), SqlState>>,
    /// Whether that was before anything was executed.
    before_execute: bool,
    /// How long the statement itself took, the last time it was tried.
    took: Option<Took>,
}

impl Current {
    /// See [`Session::is_limited`].
    pub(super) fn is_limited(&self) -> bool {
        self.step == Step::Run && Content::of(&self.mode) == Content::DrawOnly
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// BEGIN for the source's implicit transaction.
    Begin,
    /// A savepoint, so that a failed type inference does not abort the transaction.
    Guard,
    /// The statement itself.
    Run,
    /// Back to the savepoint, to try other types.
    Retry,
    /// The savepoint is not needed any more.
    Release,
    /// The end of the implicit transaction.
    Commit,
    /// A rollback of the implicit transaction.
    RollBack,
}

impl Session {
    /// Whether the statement takes more than one request.
    pub(super) fn takes_steps(&self, work: &Work, end: End, mode: &ReplayMode) -> bool {
        self.implicit
            || self.starts_implicit(work, end)
            || (*mode == ReplayMode::Extended && self.types_unknown(work, end))
    }

    /// Whether the source's implicit transaction begins with it, and did not end with it.
    fn starts_implicit(&self, work: &Work, end: End) -> bool {
        self.status == Status::Idle
            && end.sync != SyncEnd::Synced
            && !work.statement.controls_transaction()
    }

    fn types_unknown(&self, work: &Work, end: End) -> bool {
        let Protocol::Extended { parameters, .. } = &work.statement.protocol else { return false };
        !parameters.is_empty()
            && !matches!(end.source, SourceEnd::Failed(_))
            && self.findings.types.get(&work.statement.sql).is_none()
    }

    pub(super) fn begin_steps(&mut self, work: Arc<Work>, end: End, mode: ReplayMode) -> Next {
        let step = if !self.implicit && self.starts_implicit(&work, end) {
            Step::Begin
        } else {
            self.first_step(&work, &mode)
        };
        let typing = self.findings.types.get(&work.statement.sql).unwrap_or_default();
        self.current = Some(Current {
            work,
            mode,
            typing,
            step,
            result: None,
            before_execute: false,
            took: None,
        });
        self.send_step()
    }

    /// The step that a statement begins with once its transaction is open.
    fn first_step(&self, work: &Work, mode: &ReplayMode) -> Step {
        let unknown = *mode == ReplayMode::Extended && self.types_unknown(work, work.end());
        if self.status == Status::InTransaction && unknown { Step::Guard } else { Step::Run }
    }

    pub(super) fn send_step(&mut self) -> Next {
        let Some(current) = &self.current else { return Next::Wait };
        let request = match current.step {
            Step::Begin => Request::Text("BEGIN".into()),
            Step::Guard => Request::Text("SAVEPOINT kreplay".into()),
            Step::Retry => Request::Text("ROLLBACK TO SAVEPOINT kreplay".into()),
            Step::Release => Request::Text("RELEASE SAVEPOINT kreplay".into()),
            Step::Commit => Request::Text("COMMIT".into()),
            Step::RollBack => Request::Text("ROLLBACK".into()),
            Step::Run => {
                let (work, mode, typing) =
                    (current.work.clone(), current.mode.clone(), current.typing);
                self.request(&work, mode, typing)
            }
        };
        self.sent.push_back(Sent { role: Role::Step, alone: true });
        Next::Send(request)
    }

    pub(super) fn step_answered(&mut self, answer: Answer, before: Status) -> Answered {
        let Some(mut current) = self.current.take() else { return Answered::default() };
        let result = answer.error.map_or(Ok(()), |(code, _)| Err(code));
        let next = match current.step {
            Step::Begin if result.is_ok() => {
                self.implicit = true;
                Some(self.first_step(&current.work, &current.mode))
            }
            Step::Guard if result.is_ok() => Some(Step::Run),
            Step::Begin | Step::Guard => {
                current.result = Some(result);
                None
            }
            Step::Run => self.run_answered(&mut current, answer, before),
            Step::Retry => Some(Step::Run),
            Step::Release => self.after_run(&current.work, Ok(())),
            Step::Commit => {
                if result.is_err() {
                    current.result = Some(result);
                }
                (answer.status != Status::Idle).then_some(Step::RollBack)
            }
            Step::RollBack => None,
        };
        if let Some(step) = next {
            current.step = step;
            self.current = Some(current);
            return Answered::default();
        }
        if answer.status == Status::Idle {
            self.implicit = false;
        }
        let guessed = current.typing != ParamTyping::Untyped;
        let result = current.result.unwrap_or(Ok(()));
        let content = Content::of(&current.mode);
        let Current { before_execute, took, .. } = current;
        let ran = Ran { target: result, before_execute, guessed, took };
        self.end(current.work, ran, content, before)
    }

    /// The statement itself was answered: the step that follows, if any.
    fn run_answered(
        &mut self,
        current: &mut Current,
        answer: Answer,
        before: Status,
    ) -> Option<Step> {
        let unknown = current.mode == ReplayMode::Extended
            && self.types_unknown(&current.work, current.work.end());
        let guarded = before == Status::InTransaction && unknown;
        if Content::of(&current.mode) == Content::Itself {
            current.took = Some(answer.took);
        }
        if let Some((code, before_execute)) = answer.error {
            if before_execute {
                self.forget_prepared(&current.work);
            }
            if unknown
                && before_execute
                && is_inference_failure(code)
                && let Some(typing) = current.typing.next(code)
            {
                current.typing = typing;
                match answer.status {
                    Status::Failed if guarded => return Some(Step::Retry),
                    Status::Idle => return Some(Step::Run),
                    _ => {}
                }
            }
            (current.result, current.before_execute) = (Some(Err(code)), before_execute);
            return self.after_run(&current.work, Err(code));
        }
        current.result = Some(Ok(()));
        if unknown {
            self.findings.types.put(&current.work.statement.sql, current.typing);
        }
        if guarded { Some(Step::Release) } else { self.after_run(&current.work, Ok(())) }
    }

    /// What follows a statement of an implicit transaction: its end, if the Sync followed.
    fn after_run(&mut self, work: &Work, result: Result<(), SqlState>) -> Option<Step> {
        if !self.implicit {
            return None;
        }
        let made_explicit = work.statement.controls_transaction() && result.is_ok();
        if self.status == Status::Idle || made_explicit {
            // The source's own COMMIT ended it, or its own BEGIN made it an explicit one.
            self.implicit = false;
            return None;
        }
        match work.end().sync {
            // What follows is refused, as the source's server would have skipped it.
            SyncEnd::Joined => None,
            SyncEnd::Synced if self.status != Status::Failed && !is_beyond_log(work) => {
                Some(Step::Commit)
            }
            SyncEnd::Synced | SyncEnd::Never => Some(Step::RollBack),
        }
    }
}
