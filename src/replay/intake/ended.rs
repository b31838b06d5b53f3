//! What is remembered of sessions that have ended.
//!
//! A shipper that begins again after a crash repeats records, also those of sessions that have ended
//! meanwhile. Which lines of a session were read takes some tens of bytes, and tells a repeat from a
//! record that comes late.

use foldhash::HashMap;

use crate::pglog::SessionId;
use crate::replay::intake::lines::LineSequence;

/// The lines of ended sessions, for an hour at least, unless so many have ended that there is no room
/// for all: then of those that ended last.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    recent: Generation,
    before: Generation,
}

/// A session that has ended.
#[derive(Debug)]
pub(super) struct EndedSession {
    /// The lines that were read of it.
    pub(super) lines: LineSequence,
    /// The partition of its last record.
    pub(super) partition: i32,
}

/// The sessions that ended in some stretch of time: they are forgotten together.
#[derive(Debug, Default)]
struct Generation {
    sessions: HashMap<SessionId, EndedSession>,
    bytes: usize,
    since_ms: u64,
}

/// How much a generation may take: some 50,000 sessions without gaps.
const BYTES: usize = 3 << 20;
/// How long a generation grows, and how long it is kept afterwards.
const GENERATION_MS: u64 = 3_600_000;

impl EndedSessions {
    /// A session has ended. One whose records have no line numbers leaves nothing to remember.
    pub(super) fn add(&mut self, session: SessionId, mut ended: EndedSession, now_ms: u64) {
        if !ended.lines.have_begun() {
            return;
        }
        ended.lines.shrink();
        self.recent.bytes += ended.size();
        self.recent.sessions.insert(session, ended);
        if self.recent.bytes > BYTES {
            self.begin_generation(now_ms);
        }
    }

    /// Hands out what is remembered of a session, of which another record has come.
    pub(super) fn take(&mut self, session: SessionId) -> Option<EndedSession> {
        let Self { recent, before } = self;
        recent.take(session).or_else(|| before.take(session))
    }

    /// Forgets the sessions of a partition.
    pub(super) fn forget_partition(&mut self, partition: i32) {
        for generation in [&mut self.recent, &mut self.before] {
            generation.sessions.retain(|_, ended| ended.partition != partition);
            generation.bytes = generation.sessions.values().map(EndedSession::size).sum();
        }
    }

    /// Forgets sessions that ended long ago.
    pub(super) fn forget_old(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.recent.since_ms) >= GENERATION_MS {
            self.begin_generation(now_ms);
        }
    }

    fn begin_generation(&mut self, now_ms: u64) {
        let next = Generation { since_ms: now_ms, ..Generation::default() };
        self.before = std::mem::replace(&mut self.recent, next);
    }
}

impl EndedSession {
    fn size(&self) -> usize {
        size_of::<(SessionId, Self)>() + self.lines.size()
    }
}

impl Generation {
    fn take(&mut self, session: SessionId) -> Option<EndedSession> {
        let ended = self.sessions.remove(&session)?;
        self.bytes = self.bytes.saturating_sub(ended.size());
        Some(ended)
    }
}

#[cfg(test)]
mod tests;
