//! The watchdog of last resort: what everybody waits for is told when nothing ends any more.

use actix::prelude::*;
use tracing::{info, warn};

use super::{Consumer, Phase};
use crate::actors::messages::{GiveUpHeads, ProbeStall, StallProbed};
use crate::metrics::StallBreak;
use crate::replay::report::StallReport;

impl Consumer {
    /// Has everybody asked what they wait for, where nothing has ended for long.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        if self.window.in_flight() == 0 || self.phase == Phase::Stopped {
            return self.moves();
        }
        let now = self.began.elapsed();
        if let Some(watch) = &mut self.stall_watch
            && let Some(look) = watch.due(now)
            && let Some(downstream) = &self.downstream
        {
            let no_more = self.phase == Phase::Ended && self.end_told;
            let answer = ctx.address().recipient();
            downstream.supervisor.do_send(ProbeStall { look, no_more, answer });
        }
    }

    /// Something has ended, or there is nothing that could.
    pub(super) fn moves(&mut self) {
        let now = self.began.elapsed();
        if let Some(watch) = &mut self.stall_watch
            && watch.moves(now)
        {
            info!("the replay goes on");
            self.overview.goes_on();
        }
    }
}

impl Handler<StallProbed> for Consumer {
    type Result = ();

    fn handle(&mut self, StallProbed { look, stalls }: StallProbed, _: &mut Self::Context) {
        let now = self.began.elapsed();
        let told = self.stall_watch.as_mut().and_then(|watch| watch.seen(look, stalls, now));
        let Some(told) = told else { return };
        let report = StallReport::new(&told, |at| self.names.place(at));
        let given_up = if report.given_up.is_empty() {
            "waiting on".to_owned()
        } else {
            report.given_up.join("; ")
        };
        warn!(
            still_for = ?told.still_for,
            chains = told.chains,
            "the replay stands still (--stall-timeout): {}. What is done: {given_up}",
            report.in_words()
        );
        self.overview.stands_still(report);
        for _ in &told.remedies {
            self.overview.stall_broken(StallBreak::GivenUp);
        }
        if let Some(downstream) = self.downstream.as_ref().filter(|_| !told.remedies.is_empty()) {
            downstream.supervisor.do_send(GiveUpHeads(told.remedies));
        }
    }
}
