//! Holds statements back until the log has told how they ended.
//!
//! A record may be only the first that a log says of a statement: an error follows one that was
//! logged at its start, a Sync may end several, a client may vanish before its Sync. The next record
//! of the same session settles it. Statements leave in the order they came; one whose session stays
//! silent leaves when it has waited long enough or enough has been read behind it.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::pglog::SessionId;

/// How long a statement is held back at the most.
#[derive(Debug, Clone, Copy)]
pub struct LookaheadLimits {
    /// While more entries than this are held, the oldest is not waited for.
    pub entries: usize,
    /// Nor while these take more bytes than this.
    pub bytes: usize,
    /// Milliseconds.
    pub wait_ms: u64,
}

/// Entries in order of arrival, each open until its session says more.
#[derive(Debug)]
pub struct Lookahead<T> {
    entries: VecDeque<Entry<T>>,
    /// How many entries have left: the index of the first one held.
    left: u64,
    /// The index of each session's open entry.
    open: HashMap<SessionId, u64>,
    /// What the entries take.
    bytes: usize,
    patience: LookaheadLimits,
}

#[derive(Debug)]
struct Entry<T> {
    session: SessionId,
    item: T,
    bytes: usize,
    open: bool,
    arrived_ms: u64,
}

impl<T> Lookahead<T> {
    /// An empty one.
    pub fn new(patience: LookaheadLimits) -> Self {
        Self { entries: VecDeque::new(), left: 0, open: HashMap::default(), bytes: 0, patience }
    }

    /// Takes an entry of about so many bytes; an open one waits for its session's next record. The
    /// session's entry before must have been ended.
    pub fn push(&mut self, session: SessionId, item: T, bytes: usize, open: bool, now_ms: u64) {
        if open {
            self.open.insert(session, self.left + self.entries.len() as u64);
        }
        self.bytes += bytes;
        self.entries.push_back(Entry { session, item, bytes, open, arrived_ms: now_ms });
    }

    /// Ends the session's open entry: `amend` gets it if it is still held. Returns whether it was.
    pub fn end(&mut self, session: SessionId, amend: impl FnOnce(&mut T)) -> bool {
        let held = self.amend(session, amend);
        if let Some(index) = self.open.remove(&session)
            && let Some(entry) = self.entry(index)
        {
            entry.open = false;
        }
        held
    }

    /// Hands the session's open entry to `amend` if it is still held, and leaves it open. Returns
    /// whether it was.
    pub fn amend(&mut self, session: SessionId, amend: impl FnOnce(&mut T)) -> bool {
        let index = self.open.get(&session).copied();
        let entry = index.and_then(|index| self.entry(index));
        entry.map(|entry| amend(&mut entry.item)).is_some()
    }

    fn entry(&mut self, index: u64) -> Option<&mut Entry<T>> {
        let held = usize::try_from(index.checked_sub(self.left)?).ok()?;
        self.entries.get_mut(held)
    }

    /// Nothing more will be said of any entry.
    pub fn end_all(&mut self) {
        self.open.clear();
        for entry in &mut self.entries {
            entry.open = false;
        }
    }

    /// Takes the oldest entry if it need not wait any longer.
    pub fn pop(&mut self, now_ms: u64) -> Option<(SessionId, T)> {
        let entry = self.entries.front()?;
        let waited = now_ms.saturating_sub(entry.arrived_ms);
        if entry.open && !self.is_full() && waited < self.patience.wait_ms {
            return None;
        }
        self.take()
    }

    /// Takes the oldest entry, whether or not more may be said of it.
    pub fn take(&mut self) -> Option<(SessionId, T)> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes;
        if entry.open {
            self.open.remove(&entry.session);
        }
        self.left += 1;
        Some((entry.session, entry.item))
    }

    /// Drops everything of some sessions, and gives it back.
    pub fn drop_sessions(&mut self, gone: impl Fn(SessionId) -> bool) -> Vec<T> {
        let (dropped, kept): (Vec<_>, _) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| gone(entry.session));
        self.entries = VecDeque::from(kept as Vec<_>);
        self.left = 0;
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
        let open = (0..).zip(&self.entries).filter(|(_, entry)| entry.open);
        self.open = open.map(|(index, entry)| (entry.session, index)).collect();
        dropped.into_iter().map(|entry| entry.item).collect()
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether so many are held that nothing more need be read to let the oldest go.
    pub fn is_full(&self) -> bool {
        self.entries.len() > self.patience.entries || self.bytes > self.patience.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId { start: 1, pid: 1 };
    const B: SessionId = SessionId { start: 1, pid: 2 };

    fn lookahead() -> Lookahead<String> {
        Lookahead::new(LookaheadLimits { entries: 3, bytes: 1000, wait_ms: 100 })
    }

    #[test]
    fn a_statement_waits_for_the_next_record_of_its_session_and_holds_those_behind_it() {
        let mut held = lookahead();
        held.push(A, "a".into(), 1, true, 0);
        held.push(B, "b".into(), 1, false, 0);
        assert_eq!(held.pop(50), None);
        assert!(held.end(A, |item| item.push('!')));
        assert_eq!(held.pop(50), Some((A, "a!".into())));
        assert_eq!(held.pop(50), Some((B, "b".into())));
        assert!(held.is_empty());
    }

    #[test]
    fn a_silent_session_is_not_waited_for_for_ever() {
        let mut held = lookahead();
        held.push(A, "a".into(), 1, true, 0);
        assert_eq!(held.pop(99), None);
        assert_eq!(held.pop(100), Some((A, "a".into())));
        assert!(!held.end(A, |_| panic!("it has left")));
    }

    #[test]
    fn much_read_behind_it_lets_a_statement_go_and_a_large_one_is_held_alone() {
        let mut held = lookahead();
        held.push(A, "large".into(), 2000, true, 0);
        assert!(held.is_full());
        assert_eq!(held.pop(0), Some((A, "large".into())));
        assert!(!held.is_full());
        held.push(A, "a".into(), 600, true, 0);
        assert_eq!(held.pop(0), None);
        held.push(B, "b".into(), 600, true, 0);
        assert_eq!(held.pop(0), Some((A, "a".into())));
        assert_eq!(held.pop(0), None);
    }

    #[test]
    fn what_is_dropped_of_some_sessions_does_not_touch_the_others() {
        let mut held = lookahead();
        held.push(A, "a".into(), 1, false, 0);
        held.push(B, "b".into(), 1, true, 0);
        held.push(A, "a".into(), 1, true, 0);
        assert_eq!(held.pop(0), Some((A, "a".into())));
        assert_eq!(held.drop_sessions(|session| session == A), ["a"]);
        assert!(!held.end(A, |_| panic!("it is gone")));
        assert!(held.end(B, |item| item.push('!')));
        assert_eq!(held.pop(0), Some((B, "b!".into())));
        assert!(held.is_empty());
    }

    #[test]
    fn enough_read_behind_it_lets_a_statement_go() {
        let mut held = lookahead();
        for name in ["a", "b", "c", "d"] {
            held.push(
                SessionId { start: 1, pid: name.as_bytes()[0].into() },
                name.into(),
                1,
                true,
                0,
            );
        }
        assert!(held.is_full());
        assert_eq!(held.pop(0).map(|(_, item)| item).as_deref(), Some("a"));
        assert_eq!(held.pop(0), None);
    }
}
