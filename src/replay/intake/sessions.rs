//! Which sessions are followed, and until when.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::HashSet;

use super::ended::EndedSession;
use super::{Held, Intake};
use crate::pglog::SessionId;
use crate::pglog::session_log::{PriorUpdate, SessionLog};
use crate::pglog::statement::Amendment;
use crate::replay::intake::lines::LineSequence;
use crate::replay::settings::Login;

/// One session of the source, as its log shows it.
#[derive(Debug, Default)]
pub(super) struct SourceSession {
    pub(super) log: SessionLog,
    pub(super) lines: LineSequence,
    pub(super) login: Option<Arc<Login>>,
    /// Whether anything was delivered for it.
    pub(super) delivered: bool,
    /// Whether its last statement was delivered: what is told of one that was left out must not
    /// amend the one before.
    pub(super) amends: bool,
    /// Whether its last delivered statement shares its Sync with what follows.
    pub(super) joins: bool,
    /// Whether the log has told its end, and nothing of it since.
    pub(super) ended: bool,
    /// How much of it waits to leave.
    pub(super) held: usize,
    pub(super) seen_ms: u64,
    /// The partition of its last record.
    pub(super) partition: i32,
}

/// How long the state of a silent session's log is kept.
pub(super) const SESSION_LOG_KEPT_MS: u64 = 3_600_000;

impl Intake {
    /// A backend crashed: its session has no record of its end.
    pub(super) fn backend_died(&mut self, pid: Option<u32>, now_ms: u64) {
        let dead = self.sessions.keys().filter(|session| Some(session.pid) == pid);
        for session in dead.copied().collect::<Vec<_>>() {
            self.previous(session, PriorUpdate::AmendedFinal(Amendment::Terminated));
            self.hold(session, Held::Close { code: None }, now_ms);
            if let Some(known) = self.sessions.get_mut(&session) {
                known.ended = true;
            }
        }
    }

    /// Forgets a session that has ended, but for its lines, as soon as nothing of it is held.
    pub(super) fn forget_ended(&mut self, session: SessionId, now_ms: u64) {
        if let Entry::Occupied(known) = self.sessions.entry(session)
            && known.get().ended
            && known.get().held == 0
        {
            self.ended_sessions.add(session, known.remove().into_ended(), now_ms);
        }
    }

    /// The server has ended all its sessions, and all that was held of them is released: what comes
    /// now is of new ones.
    pub fn forget_sessions(&mut self, now_ms: u64) {
        for (session, known) in self.sessions.drain() {
            self.ended_sessions.add(session, known.into_ended(), now_ms);
        }
    }

    /// A partition goes to another process: its sessions are forgotten, and what is held of them is
    /// dropped. It stays pending, so that it is the next owner's to replay. Returns how many
    /// statements that were.
    pub fn hand_over(&mut self, partition: i32) -> usize {
        let sessions = &self.sessions;
        let gone = |session| sessions.get(&session).is_some_and(|s| s.partition == partition);
        let dropped = self.lookahead.drop_sessions(gone);
        self.at_once.retain(|delivery| delivery.partition != partition);
        self.sessions.retain(|_, known| known.partition != partition);
        self.ended_sessions.forget_partition(partition);
        dropped.iter().filter(|held| matches!(held, Held::Statement { .. })).count()
    }

    /// How many sessions go on, as far as the log tells.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets sessions that have been silent for long: one that goes on after all counts as joined
    /// in the middle. One of which something is held is not silent: the target may have been away for
    /// as long as that. Nor is one that is `connected` to the target: its connection may hold a transaction.
    pub fn forget_silent(&mut self, now_ms: u64, connected: impl FnOnce() -> HashSet<SessionId>) {
        self.ended_sessions.forget_old(now_ms);
        let is_silent = |known: &SourceSession| {
            now_ms.saturating_sub(known.seen_ms) >= SESSION_LOG_KEPT_MS && known.held == 0
        };
        if !self.sessions.values().any(is_silent) {
            return;
        }
        let connected = connected();
        self.sessions.retain(|session, known| {
            if connected.contains(session) {
                known.seen_ms = now_ms;
            }
            !is_silent(known)
        });
    }
}

impl SourceSession {
    /// A session that had ended, of which another record has come.
    pub(super) fn known_again(EndedSession { lines, partition }: EndedSession) -> Self {
        Self { lines, partition, ended: true, ..Self::default() }
    }

    fn into_ended(self) -> EndedSession {
        EndedSession { lines: self.lines, partition: self.partition }
    }
}
