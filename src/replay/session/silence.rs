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
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn silent(pid: u32, seconds: u64, is_connected: bool, has_memory: bool) -> SilentSession {
        let session = SessionId { start: 1, pid };
        SilentSession { session, silent: Duration::from_secs(seconds), is_connected, has_memory }
    }

    fn pids(sessions: Vec<SilentSession>) -> Vec<u32> {
        let mut forgettable = Forgettable::default();
        sessions.into_iter().for_each(|session| forgettable.note(session));
        let mut pids: Vec<u32> =
            forgettable.forgotten().iter().map(|session| session.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn what_has_set_something_is_kept_for_a_day_and_the_rest_for_an_hour() {
        let sessions = vec![
            silent(1, HOUR - 1, false, false),
            silent(2, HOUR, false, false),
            silent(3, HOUR, false, true),
            silent(4, 24 * HOUR, false, true),
        ];
        assert_eq!(pids(sessions), [2, 4]);
    }

    #[test]
    fn what_is_connected_is_kept_for_ever() {
        let sessions = vec![silent(1, 99 * HOUR, true, true), silent(2, 99 * HOUR, true, false)];
        assert_eq!(pids(sessions), [0; 0]);
    }

    #[test]
    fn of_too_many_those_go_first_that_have_been_silent_for_longest() {
        let all = 0..MOST_KEPT as u32 + 2;
        let sessions = all.map(|pid| silent(pid, 2 * HOUR + u64::from(pid), false, true));
        let last = MOST_KEPT as u32 + 1;
        assert_eq!(pids(sessions.collect()), [last - 1, last]);
    }
}
