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
mod tests;
