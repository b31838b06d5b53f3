//! Gives partitions away: their sessions end behind their last transactions, then what is settled is
//! committed, and only then the source learns that the partitions may go.

use actix::prelude::*;
use tracing::{info, warn};

use super::Consumer;
use crate::actors::messages::{Abort, RevokePartitions};
use crate::metrics;

impl Consumer {
    pub(super) fn revoke(&mut self, partitions: Vec<i32>, ctx: &mut Context<Self>) {
        self.decide(ctx, |feed, round| feed.revoke(&partitions, round));
        partitions.iter().for_each(|partition| metrics::partition_revoked(*partition));
        info!(?partitions, "handing over to another process");
        let downstream = self.downstream.clone();
        let patience = self.settings.shutdown_timeout;
        let consumer = ctx.address();
        self.commit_first = Some(Box::pin(async move {
            if let Some(downstream) = downstream {
                let ended = downstream.supervisor.send(RevokePartitions(partitions.clone()));
                if tokio::time::timeout(patience, ended).await.is_err() {
                    warn!(
                        ?partitions,
                        "statements still run after {patience:?} (--shutdown-timeout): they are \
                         canceled, and the next owner of the partitions runs their transactions; \
                         what ends in spite of that comes twice"
                    );
                    downstream.supervisor.do_send(Abort(partitions.clone()));
                }
            }
            // Behind all that the sessions have reported.
            let _ = consumer.send(GiveUp(partitions)).await;
        }));
    }
}

/// Consumer → itself: commit what is settled of these partitions, and forget them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct GiveUp(Vec<i32>);

impl Handler<GiveUp> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, GiveUp(partitions): GiveUp, ctx: &mut Self::Context) -> Self::Result {
        self.account(ctx);
        let watermarks = self.feed.give_up(&partitions);
        self.commit_in_full(watermarks)
    }
}
