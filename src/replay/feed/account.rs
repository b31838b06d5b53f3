//! What comes back from the sessions: what became of each statement.

use std::sync::Arc;
use std::time::Duration;

use super::{Feed, FeedAction, Notice, Round, millis};
use crate::label::Label as _;
use crate::replay::account::policy::{self, Outcome, Verdict};
use crate::replay::account::settlement::{SessionProgress, Settlement};
use crate::replay::report::Shapes;
use crate::replay::session::Ended;
use crate::replay::work::{Position, Work};

/// Of how many query shapes it is reported that they may have drawn from sequences.
const DRAWS_REPORTED: usize = 100;

impl Feed {
    /// Accounts for what sessions have reported, and continues with the room that it made. `place` says
    /// where a record stands.
    pub fn account(
        &mut self,
        reports: impl IntoIterator<Item = SessionProgress>,
        shapes: &mut Shapes,
        place: impl Fn(Position) -> String,
        round: &mut Round<'_>,
    ) {
        let had_room = self.in_flight.has_room();
        self.stalls.progressed(round.now, round.out);
        for report in reports {
            self.progress(report, shapes, &place, round);
        }
        self.release(round);
        if !had_room && self.in_flight.has_room() {
            round.out.push(FeedAction::DemandChanged);
        }
    }

    fn progress(
        &mut self,
        mut report: SessionProgress,
        shapes: &mut Shapes,
        place: impl Fn(Position) -> String,
        round: &mut Round<'_>,
    ) {
        for (at, (work, settlement)) in std::mem::take(&mut report.ended).into_iter().enumerate() {
            self.in_flight.leave(work.size());
            self.newest_ended_ms = self.newest_ended_ms.max(work.statement.logged_ms);
            match settlement {
                Settlement::Not(fate) => round.tally.records.settle(fate),
                Settlement::Ran(ended, waited) => {
                    round.tally.records.settle(policy::fate(&work.statement, ended));
                    let outcome = round.tally.ended(ended);
                    shapes.ran(&work, ended, outcome, waited, round.now, || place(work.at));
                    if let Some(context) = report.context(at).filter(|_| ended.target.is_ok()) {
                        shapes.keep_call(&work, context);
                    }
                    self.counts.types_guessed += u64::from(ended.guessed);
                    if outcome != Outcome::Same {
                        self.differs(&work, outcome, ended, round);
                    }
                    if ended.may_have_drawn {
                        self.may_have_drawn(&work, round.out);
                    }
                }
            }
        }
        // Behind the statements that came with them.
        for plan in report.plans {
            shapes.used_plan(plan);
        }
        if let Some((user, code)) = report.explain_refused {
            shapes.explain_refused(&user, code);
        }
        for code in report.retried {
            round.tally.retried(code);
        }
        for together in report.settled.split_inclusive(|settled| settled.is_last) {
            let records = together.iter().map(|settled| (settled.at.partition, settled.at.offset));
            self.intake.checkpoint.settle_together(records);
        }
    }

    /// Only the source knows how often it drew. Reported once for each query shape.
    fn may_have_drawn(&mut self, work: &Arc<Work>, out: &mut Vec<FeedAction>) {
        self.counts.unknown_draws += 1;
        if self.draws_reported.len() < DRAWS_REPORTED
            && self.draws_reported.insert(work.statement.outline.shape)
        {
            out.push(FeedAction::Notice(Notice::UnknownDraws(work.clone())));
        }
    }

    fn differs(&mut self, work: &Arc<Work>, outcome: Outcome, ended: Ended, round: &mut Round<'_>) {
        let elapsed =
            self.first_statement.map_or(Duration::ZERO, |first| round.now.saturating_sub(first));
        let verdict = self.settings.errors.judge(outcome, ended.target, millis(elapsed));
        let is_news = matches!(verdict, Verdict::News | Verdict::Stop);
        let news = if is_news { self.logged.should_log(outcome.label()) } else { None };
        let difference = Notice::Difference { work: work.clone(), ended, outcome, news };
        round.out.push(FeedAction::Notice(difference));
        if verdict == Verdict::Stop {
            round.out.push(FeedAction::StopAt { work: work.clone(), ended });
        }
    }
}
