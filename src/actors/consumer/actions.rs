//! Does what the feed asks for.

use actix::prelude::*;
use tracing::info;

use super::{Consumer, notices};
use crate::actors::messages::{
    Arrived, BreakStall, CloseAll, Deliver, Fatal, GiveUpHeads, InputEnded, ProbeStall,
};
use crate::actors::supervisor::Supervisor;
use crate::replay::feed::{FeedAction, InputFault};
use crate::replay::intake::{Delivery, SessionEvent};
use crate::replay::order::stall_watch::ReportedStall;
use crate::replay::order::stalls::StallBreak;
use crate::replay::report::StallReport;
use crate::source::SourceError;
use crate::source::files::FileError;

impl Consumer {
    pub(super) fn act(&mut self, action: FeedAction, ctx: &mut Context<Self>) {
        match action {
            FeedAction::Deliver(deliveries) => self.deliver(deliveries),
            FeedAction::Done => self.all_done(),
            FeedAction::DemandChanged => self.interrupt.notify_one(),
            FeedAction::KeepRejected { at, malformed, reason, payload } => {
                if let Some(dead_letters) = &mut self.dead_letters {
                    let (partition, offset, error) =
                        (at.partition, at.offset, malformed.to_string());
                    dead_letters.put(partition, offset, at.line, reason, &error, &payload);
                }
            }
            FeedAction::KeepPlan { logged_ms, text } => {
                self.shapes.lock().logged_plan(&text, logged_ms);
            }
            FeedAction::Notice(notice) => self.log(notice),
            FeedAction::RefuseInput(fault) => self.failed(self.source_error(fault)),
            FeedAction::StopAt { work, ended } => {
                self.fatal.do_send(Fatal::StatementFailed(self.stopping_at(&work, ended)));
            }
            FeedAction::ReportStall(stall) => self.report_stall(&stall),
            FeedAction::StallOver => {
                info!("the replay continues");
                self.overview.goes_on();
            }
            FeedAction::CloseAll => self.supervise(CloseAll),
            FeedAction::InputEnded => self.supervise(InputEnded),
            FeedAction::ProbeStall { probe, no_more } => {
                let answer = ctx.address().recipient();
                self.supervise(ProbeStall { probe, no_more, answer });
            }
            FeedAction::BreakStall => {
                if let Some(downstream) = &self.downstream {
                    downstream.sequencer.do_send(BreakStall);
                }
            }
        }
    }

    fn supervise<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Supervisor: Handler<M>,
    {
        if let Some(downstream) = &self.downstream {
            downstream.supervisor.do_send(message);
        }
    }

    fn deliver(&mut self, deliveries: Vec<Delivery>) {
        let Some(downstream) = &self.downstream else { return };
        if self.settings.order.takes_turns() {
            // Before a session can ask for its turn, the order knows the statement.
            let arrived = deliveries.iter().filter_map(|delivery| match &delivery.event {
                SessionEvent::Work(work) => Some((work.clone(), delivery.login.clone())),
                _ => None,
            });
            downstream.sequencer.do_send(Arrived(arrived.collect()));
        }
        downstream.supervisor.do_send(Deliver(deliveries));
    }

    fn all_done(&mut self) {
        if let Some(done) = self.done.take() {
            // The daemon may have stopped waiting: it is stopping then.
            let _ = done.send(());
        }
    }

    fn source_error(&self, fault: InputFault) -> SourceError {
        let error = match fault {
            InputFault::Columns { at, malformed } => {
                FileError::Columns { place: self.names.place(at), malformed }
            }
            InputFault::OutOfOrder(found) => FileError::OutOfOrder {
                first: self.names.file(found.first).to_owned(),
                second: self.names.file(found.second).to_owned(),
                why: found.why,
            },
        };
        error.into()
    }

    fn report_stall(&self, stall: &ReportedStall) {
        let report = StallReport::new(stall, |at| self.names.place(at));
        notices::log_stall(stall, &report);
        self.overview.stands_still(report);
        for _ in &stall.remedies {
            self.overview.stall_broken(StallBreak::GivenUp);
        }
        if !stall.remedies.is_empty() {
            self.supervise(GiveUpHeads(stall.remedies.clone()));
        }
    }
}
