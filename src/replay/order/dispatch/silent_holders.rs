//! Sessions that others wait for and that have nothing to do.

use std::collections::HashMap;
use std::time::Duration;

use crate::pglog::SessionId;

/// Sessions that others wait for and that have nothing to do, and since when.
#[derive(Debug, Default)]
pub(super) struct SilentHolders(HashMap<SessionId, Duration>);

impl SilentHolders {
    /// The session has come to an end.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// Those of these that have been silent for so long.
    pub(super) fn silent_for(
        &mut self,
        holders: impl Iterator<Item = SessionId>,
        patience: Duration,
        now: Duration,
    ) -> Vec<SessionId> {
        let before = std::mem::take(&mut self.0);
        let mut due = Vec::new();
        for session in holders {
            let since = before.get(&session).copied().unwrap_or(now);
            if now.saturating_sub(since) >= patience {
                due.push(session);
            }
            self.0.insert(session, since);
        }
        due
    }
}

#[cfg(test)]
mod tests;
