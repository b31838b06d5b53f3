//! Commits how far the replay is.

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use tracing::warn;

use super::Consumer;
use crate::replay::account::checkpoint::Watermark;
use crate::source::{Commit, CommitMode};

/// The last commit before a stop or a hand-over failed.
const UNCOMMITTED: &str = "the last offsets are not committed: whoever reads on repeats what was \
                           done since the commit before, see docs/operations/offsets.md";

fn commits(watermarks: Vec<Watermark>) -> Vec<Commit> {
    let commit =
        |w: Watermark| Commit { partition: w.partition, offset: w.offset, metadata: w.metadata };
    watermarks.into_iter().map(commit).collect()
}

impl Consumer {
    /// Commits what has changed, without waiting for the answer.
    pub(super) fn commit(&mut self, ctx: &mut Context<Self>) {
        self.account(ctx);
        let now = self.now();
        let Some(committer) = &self.committer else { return };
        let commits = commits(self.feed.due_watermarks(now));
        if !commits.is_empty()
            && let Err(error) = committer.commit(&commits, CommitMode::Async)
        {
            self.feed.commit_failed();
            warn!(
                "offsets are not committed, which is tried again each second; until then a restart \
                 repeats more: {error}"
            );
        }
    }

    /// Commits this, and waits for the broker's answer, aside: librdkafka blocks for it.
    pub(super) fn commit_in_full(&self, watermarks: Vec<Watermark>) -> LocalBoxFuture<'static, ()> {
        let commits = commits(watermarks);
        let Some(committer) = self.committer.clone().filter(|_| !commits.is_empty()) else {
            return Box::pin(async {});
        };
        let commit =
            tokio::task::spawn_blocking(move || committer.commit(&commits, CommitMode::Sync));
        Box::pin(async move {
            match commit.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!("{UNCOMMITTED}: {error}"),
                Err(error) => warn!("{UNCOMMITTED}: {error}"),
            }
        })
    }
}

/// Daemon → consumer: commit what is settled, now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct CommitNow;

impl Handler<CommitNow> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CommitNow, ctx: &mut Self::Context) -> Self::Result {
        self.account(ctx);
        let watermarks = self.feed.all_watermarks();
        self.commit_in_full(watermarks)
    }
}
