//! What comes back from the sessions: what became of each statement.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{debug, warn};

use super::Consumer;
use crate::actors::messages::{Fatal, Progress, Settlement};
use crate::metrics;
use crate::pglog::statement::SourceEnd;
use crate::replay::account::policy::{self, Outcome, Verdict};
use crate::replay::session::Ended;
use crate::replay::work::Work;
use crate::sql::shape::Shape;

/// Of how many query shapes it is told that they may have drawn from sequences.
const DRAWS_TOLD: usize = 100;

/// How much of a query shape is shown, in bytes.
const SHAPE_SHOWN: usize = 200;

/// How much that sessions told is put off at the most.
const UNACCOUNTED: usize = 64;

impl Consumer {
    /// Accounts for what sessions have told, and goes on with the room that it made.
    pub(super) fn account(&mut self) {
        if self.unaccounted.is_empty() {
            return;
        }
        let had_room = self.window.has_room();
        self.last_progress = Instant::now();
        self.moves();
        for progress in std::mem::take(&mut self.unaccounted) {
            self.progress(progress);
        }
        self.release();
        if !had_room && self.window.has_room() {
            self.interrupt.notify_one();
        }
    }

    fn progress(&mut self, progress: Progress) {
        let tally = self.tally.clone();
        let mut tally = tally.lock();
        let shapes = self.shapes.clone();
        let mut shapes = shapes.lock();
        for (work, settlement) in progress.ended {
            self.window.leave(work.size());
            self.newest_ended_ms = self.newest_ended_ms.max(work.statement.logged_ms);
            match settlement {
                Settlement::Not(fate) => tally.records.settle(fate),
                Settlement::Ran(ended, waited) => {
                    tally.records.settle(policy::fate(&work.statement, ended));
                    let outcome = tally.ended(ended);
                    shapes.ran(&work, ended, outcome, waited, || self.names.place(work.at));
                    if outcome != Outcome::Same {
                        self.differs(&work, outcome, ended);
                    }
                    if ended.guessed {
                        metrics::types_guessed();
                    }
                    if ended.may_have_drawn {
                        self.may_have_drawn(&work);
                    }
                }
            }
        }
        for code in progress.retried {
            tally.retried(code);
            metrics::target_conflict_retried(code);
        }
        drop((tally, shapes));
        for together in progress.settled.split_inclusive(|settled| settled.is_last) {
            let records = together.iter().map(|settled| (settled.at.partition, settled.at.offset));
            self.intake.checkpoint.settle_together(records);
        }
    }

    /// Only the source knows how often it drew. Told once for its kind.
    fn may_have_drawn(&mut self, work: &Work) {
        metrics::unknown_draws();
        if self.draws_told.len() < DRAWS_TOLD
            && self.draws_told.insert(work.statement.outline.shape)
        {
            warn!(
                session = %work.session,
                shape = Shape::shown(&work.statement.sql, SHAPE_SHOWN),
                "a statement that failed on the source may have drawn from sequences there ({}): how \
                 often is not in the log, and numbers drawn later may differ; set the sequences right \
                 by setval where that matters",
                self.names.place(work.at)
            );
        }
    }

    fn differs(&mut self, work: &Work, outcome: Outcome, ended: Ended) {
        let place = self.names.place(work.at);
        let target = ended.target.err().map_or("success".to_owned(), |code| code.to_string());
        let source = match ended.source {
            SourceEnd::Failed(code) => code.to_string(),
            _ => "success".to_owned(),
        };
        let session = work.session;
        let sql = &*work.statement.sql;
        debug!(
            %session,
            outcome = outcome.label(),
            source_sqlstate = source,
            target_sqlstate = target,
            place,
            sql,
            "differs"
        );
        let elapsed = self.first_statement.map_or(Duration::ZERO, |first| first.elapsed());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let verdict = self.settings.errors.judge(outcome, ended.target, elapsed_ms);
        if !matches!(verdict, Verdict::News | Verdict::Stop) {
            return;
        }
        if let Some(count) = self.should_log(outcome.label()) {
            warn!(
                %session,
                outcome = outcome.label(),
                count,
                source_sqlstate = source,
                target_sqlstate = target,
                "a statement ended otherwise than on the source ({place}); --log kreplay=debug \
                 tells the SQL"
            );
        }
        if verdict == Verdict::Stop {
            self.fatal.do_send(Fatal::StatementFailed(format!(
                "session {session} ({place}): SQLSTATE {target} on the target, {source} on the \
                 source (--on-error stop)"
            )));
        }
    }
}

impl Handler<Progress> for Consumer {
    type Result = ();

    fn handle(&mut self, progress: Progress, ctx: &mut Self::Context) {
        self.unaccounted.push(progress);
        match self.unaccounted.len() {
            // In serial order the next statement is on its way before the account is kept: the other
            // actors' turns come first.
            1 => {
                let others = tokio::task::yield_now().into_actor(self);
                ctx.spawn(others.map(|(), actor, _| actor.account()));
            }
            UNACCOUNTED => self.account(),
            _ => {}
        }
    }
}
