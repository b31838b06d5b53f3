//! What a session actor does with the answers to its requests.

use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use actix::prelude::*;
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::SessionActor;
use crate::actors::messages::Finished;
use crate::label::Label as _;
use crate::pglog::SqlState;
use crate::pglog::statement::SourceEnd;
use crate::postgres::{self, Reply};
use crate::replay::account::policy::Outcome;
use crate::replay::account::settlement::Settlement;
use crate::replay::report::plans::UsedPlan;
use crate::replay::session::request::Took;
use crate::replay::session::{Answer, Answered, Ended, RunAgain};
use crate::replay::work::Work;

impl SessionActor {
    pub(super) fn answered(&mut self, reply: Reply, now: Instant) {
        let error = reply.error.as_ref().map(|error| (error.sqlstate, error.before_execute));
        let took = reply.took;
        let parameter = reply.error.as_ref().and_then(|error| error.parameter);
        match error {
            Some((code, _)) => self.note_failure(code),
            None if !reply.result.is_empty() => self.note_exports(&reply.result),
            None => {}
        }
        let answer = Answer {
            status: reply.status,
            error,
            parameter,
            completed: reply.completed as usize,
            rows: reply.result,
            foreign_encoding: reply.foreign_encoding,
            took,
            with_plan: reply.plan.is_some(),
        };
        let mut session = self.session_at(now);
        let answered = session.answered(answer);
        let context = answered.ended.is_some().then(|| session.call_context(&self.login));
        drop(session);
        if let Some(context) = context {
            self.progress.note_context(context);
        }
        if let Some(code) = answered.explain_refused {
            self.explain_refused(code, reply.error.as_ref());
        }
        self.take_answered(answered, reply.error.as_ref(), took);
        if let Some(text) = reply.plan {
            let seen_ms = Timestamp::now().as_millisecond();
            self.progress.plans.push(UsedPlan::read(&text, seen_ms));
        }
    }

    fn explain_refused(&mut self, code: SqlState, error: Option<&postgres::ServerError>) {
        let user = &self.login.user;
        warn!(
            user,
            database = self.login.database,
            reason = error.map(tracing::field::display),
            "the target does not let this user use auto_explain (--explain): its statements are \
            replayed all the same, and which plans they use is not known; kreplay check --explain says \
            what it needs"
        );
        self.progress.explain_refused = Some((user.as_str().into(), code));
    }

    /// Tells what came of an answer; `error`, if it is that of the statement that ended by it.
    pub(super) fn take_answered(
        &mut self,
        answered: Answered,
        error: Option<&postgres::ServerError>,
        took: Took,
    ) {
        if answered.misread > 0 {
            warn!(session = %self.id, statements = answered.misread,
                "client_encoding was set by what does not say so (a function), while statements \
                with other than ASCII characters were on their way behind it: the target has read \
                these in that encoding, and text of theirs may be wrong there. With --pipeline 1 \
                nothing is sent behind");
        }
        let withheld = self.withheld.take_if(|(work, _)| answered.finished == Some(work.seq));
        if let Some((work, end)) = answered.ended {
            self.setup.progressed();
            if work.statement.outline.imports_snapshot {
                self.deps.snapshots.import_ended();
            }
            let withheld = withheld.map(|(_, why)| why);
            let settlement = Settlement::of(end, answered.waited, withheld, answered.given_up);
            match settlement {
                Settlement::Ran(..) => self.note_ran(&work, &end, error, took),
                Settlement::Not(_) => {
                    if let Some(why) = withheld {
                        info!(session = %self.id, reason = why.label(),
                            "skipped: it names what no replayed session has");
                    }
                }
            }
            self.progress.ended.push((work, settlement));
        }
        if let Some(why) = answered.retried {
            debug!(session = %self.id, ?why, "its transaction failed on the target alone, and is run again");
            self.deps.snapshots.forget(self.id);
            if let RunAgain::Conflict(code) = why {
                self.progress.retried.push(code);
            }
        }
        if let Some(seq) = answered.finished
            && self.deps.takes_turns
        {
            self.deps.sequencer.do_send(Finished(seq));
        }
        self.end_exports(&answered.settled);
        self.progress.settle(&answered.settled);
    }

    /// Measures a statement that was run.
    fn note_ran(
        &self,
        work: &Work,
        end: &Ended,
        error: Option<&postgres::ServerError>,
        took: Took,
    ) {
        if let (Some(error), SourceEnd::Succeeded | SourceEnd::Unknown) = (error, end.source) {
            debug!(session = %self.id, sqlstate = %error.sqlstate, error = %error.message,
                sql = %work.statement.sql, "failed on the target alone");
        }
        let on_source = work.source_duration_ms().map(|ms| ms / 1e3);
        // What was sent in its place is no figure of its own.
        let on_target = end.took.unwrap_or(Took { on_server: None, ..took });
        debug!(session = %self.id, seq = work.seq.0, took = ?on_target.share(),
            on_server = ?on_target.on_server, "ran");
        let verb = work.statement.outline.verb();
        self.deps.statements.ran(verb, on_source, on_target, Outcome::of(*end));
    }

    /// Tells the consumer of all the answers that came together.
    pub(super) fn tell_progress(&mut self) {
        if !self.progress.is_empty() {
            self.deps.progress.do_send(std::mem::take(&mut self.progress));
            self.deps.tell_log_ins();
        }
    }
}

/// Takes the answers in the order of their requests.
///
/// One future for all: an actor's context does not keep the order of the futures that are spawned
/// on it.
pub(super) struct Answers;

impl ActorFuture<SessionActor> for Answers {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut SessionActor,
        ctx: &mut Context<SessionActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        // What came together is told together, and makes room for as many statements at once.
        let mut loss = None;
        let mut answered = None;
        while let Some(connection) = &actor.connection
            && let Poll::Ready(answer) = connection.poll_answer(task)
        {
            match answer {
                Ok(reply) => {
                    let now = *answered.get_or_insert_with(Instant::now);
                    actor.answered(reply, now);
                }
                Err(lost) => {
                    loss = Some(lost);
                    break;
                }
            }
        }
        if let Some(lost) = loss {
            actor.tell_progress();
            actor.lost(&lost, ctx);
        } else if let Some(now) = answered {
            // What is next goes out before the account is kept.
            actor.pump_at(now, ctx);
            actor.tell_progress();
            actor.tell_if_idle(false);
        } else if actor.stays {
            // Woken by whoever has seen its snapshot.
            actor.pump(ctx);
        }
        if actor.listener.as_ref().is_none_or(|listener| !listener.will_wake(task.waker())) {
            actor.listener = Some(task.waker().clone());
        }
        Poll::Pending
    }
}
