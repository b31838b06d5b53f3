//! Commits how far the replay is.

use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use tracing::warn;

use super::Consumer;
use crate::source::{Commit, CommitMode, Committer};

/// The last commit before a stop or a hand-over failed.
const UNCOMMITTED: &str = "the last offsets are not committed: whoever reads on repeats what was \
                           done since the commit before, see docs/operations/offsets.md";
/// How often offsets are committed that have not changed.
const COMMIT_ALL_INTERVAL: Duration = Duration::from_secs(10);

impl Consumer {
    /// The offsets to commit, and where.
    fn news(&mut self) -> Option<(Committer, Vec<Commit>)> {
        self.account();
        let committer = self.committer.clone()?;
        let watermarks = self.intake.checkpoint.watermarks().into_iter();
        let commits: Vec<Commit> = watermarks
            .map(|w| Commit { partition: w.partition, offset: w.offset, metadata: w.metadata })
            .collect();
        (!commits.is_empty()).then_some((committer, commits))
    }

    pub(super) fn commit(&mut self) {
        // A commit that was not waited for may have failed, and nothing new may follow it.
        if self.committed_all.elapsed() >= COMMIT_ALL_INTERVAL {
            self.committed_all = Instant::now();
            self.intake.checkpoint.hand_out_again();
        }
        if let Some((committer, commits)) = self.news()
            && let Err(error) = committer.commit(&commits, CommitMode::Async)
        {
            self.intake.checkpoint.hand_out_again();
            warn!(
                "offsets are not committed, which is tried again each second; until then a restart \
                 repeats more: {error}"
            );
        }
    }

    /// Commits everything, changed or not, since a commit that was not waited for may have failed;
    /// and waits for the broker's answer, aside: librdkafka blocks for it.
    pub(super) fn commit_in_full(&mut self) -> Option<LocalBoxFuture<'static, ()>> {
        self.intake.checkpoint.hand_out_again();
        let (committer, commits) = self.news()?;
        let commit =
            tokio::task::spawn_blocking(move || committer.commit(&commits, CommitMode::Sync));
        Some(Box::pin(async move {
            match commit.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!("{UNCOMMITTED}: {error}"),
                Err(error) => warn!("{UNCOMMITTED}: {error}"),
            }
        }))
    }
}

/// Daemon → consumer: commit what is settled, now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CommitNow;

impl Handler<CommitNow> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CommitNow, _: &mut Self::Context) -> Self::Result {
        self.commit_in_full().unwrap_or_else(|| Box::pin(async {}))
    }
}
