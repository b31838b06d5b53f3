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
mod tests {
    use super::*;
    use crate::replay::intake::lines::Line;

    fn session(start: u64) -> SessionId {
        SessionId { start, pid: 1 }
    }

    fn ended(lines: &[u64], partition: i32) -> EndedSession {
        let mut seen = LineSequence::default();
        lines.iter().for_each(|line| {
            seen.observe(*line);
        });
        EndedSession { lines: seen, partition }
    }

    fn take(sessions: &mut EndedSessions, start: u64) -> Option<EndedSession> {
        sessions.take(session(start))
    }

    #[test]
    fn the_lines_of_an_ended_session_are_known_until_it_is_handed_out() {
        let mut sessions = EndedSessions::default();
        sessions.add(session(1), ended(&[1, 4], 0), 0);
        let mut again = take(&mut sessions, 1).expect("it has just ended");
        assert_eq!(
            [4, 2, 5].map(|line| again.lines.observe(line)),
            [Line::Repeat, Line::Late, Line::Next]
        );
        assert!(take(&mut sessions, 1).is_none());
        assert_eq!(sessions.recent.bytes, 0);
    }

    #[test]
    fn however_many_sessions_end_what_is_remembered_stays_as_large() {
        let mut sessions = EndedSessions::default();
        for start in 0..200_000 {
            sessions.add(session(start), ended(&[1, 2, 1000], 0), 0);
        }
        let kept = [&sessions.recent, &sessions.before].map(|generation| generation.sessions.len());
        assert!(kept.iter().sum::<usize>() <= 100_000, "{kept:?}");
        assert!(take(&mut sessions, 0).is_none());
        assert!(take(&mut sessions, 199_999 - 30_000).is_some());
    }

    #[test]
    fn an_ended_session_is_remembered_for_an_hour_and_not_for_three() {
        let mut sessions = EndedSessions::default();
        sessions.add(session(1), ended(&[1], 0), GENERATION_MS - 1);
        sessions.forget_old(GENERATION_MS);
        sessions.add(session(2), ended(&[1], 0), GENERATION_MS);
        sessions.forget_old(2 * GENERATION_MS - 1);
        assert!(take(&mut sessions, 1).is_some());
        sessions.add(session(1), ended(&[1], 0), 2 * GENERATION_MS - 1);
        sessions.forget_old(2 * GENERATION_MS);
        sessions.forget_old(3 * GENERATION_MS);
        assert!(take(&mut sessions, 1).is_none() && take(&mut sessions, 2).is_none());
    }

    #[test]
    fn sessions_of_a_partition_that_is_handed_over_are_not_known_any_more() {
        let mut sessions = EndedSessions::default();
        sessions.add(session(1), ended(&[1], 0), 0);
        sessions.add(session(2), ended(&[1], 1), 0);
        sessions.forget_partition(0);
        assert!(take(&mut sessions, 1).is_none() && take(&mut sessions, 2).is_some());
    }

    #[test]
    fn a_session_without_line_numbers_leaves_nothing() {
        let mut sessions = EndedSessions::default();
        sessions.add(session(1), ended(&[0], 0), 0);
        assert!(take(&mut sessions, 1).is_none());
    }
}
