//! When a session is forgotten whose end the log does not tell.

use std::time::Duration;

use crate::pglog::SessionId;

/// A session that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilentSession {
    /// Which.
    pub session: SessionId,
    /// For how long nothing has come for it.
    pub silent: Duration,
    /// Whether it has a connection to the target: then it is never forgotten.
    pub is_connected: bool,
    /// Whether it has set something that would be lost.
    pub has_memory: bool,
}

/// How long a session is kept that has set nothing.
const WITHOUT_MEMORY: Duration = Duration::from_secs(3600);
/// How long one is kept that has: a pool's connection may rest overnight.
const WITH_MEMORY: Duration = Duration::from_secs(24 * 3600);
/// How many of these are kept beyond [`WITHOUT_MEMORY`]: some kB each.
const MOST_KEPT: usize = 20_000;

/// The sessions that may be forgotten by now.
#[derive(Debug, Default)]
pub struct Forgettable(Vec<SilentSession>);

impl Forgettable {
    /// Takes a session that has nothing to do.
    pub fn note(&mut self, silent: SilentSession) {
        if !silent.is_connected && silent.silent >= WITHOUT_MEMORY {
            self.0.push(silent);
        }
    }

    /// Which of them are forgotten.
    pub fn forgotten(self) -> Vec<SessionId> {
        let Self(mut silent) = self;
        // The longest silent first, behind those that have nothing to lose.
        silent.sort_unstable_by_key(|it| (it.has_memory, std::cmp::Reverse(it.silent)));
        let too_many = silent.len().saturating_sub(MOST_KEPT);
        let forgotten = silent
            .iter()
            .enumerate()
            .filter(|(at, it)| !it.has_memory || it.silent >= WITH_MEMORY || *at < too_many);
        forgotten.map(|(_, it)| it.session).collect()
    }
}

#[cfg(test)]
mod tests;
