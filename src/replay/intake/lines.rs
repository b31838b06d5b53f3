//! `session_line_num` counts a session's records: repeats, losses and reordering show for free.

use std::ops::Range;

/// The line numbers seen of one session.
#[derive(Debug, Default)]
pub struct LineSequence {
    /// The number of the first record that was read.
    first: u64,
    last: u64,
    /// Numbers that were passed over and may still come, in their order.
    missing: Vec<Range<u64>>,
}

/// What a record's line number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The next one, or the record has no number.
    Next,
    /// The session was joined after its first record.
    Joined,
    /// So many records before it are missing.
    Gap(u64),
    /// One that was missing, out of order.
    Late,
    /// One that was seen already.
    Repeat,
    /// One from before the first that was read: it was not seen, and what comes after it was.
    Early,
}

impl LineSequence {
    /// How many gaps are remembered to tell a late record from a repeat.
    const GAPS: usize = 1024;

    /// Whether a record with a number was read.
    pub fn have_begun(&self) -> bool {
        self.last > 0
    }

    /// Takes the next record's number, 0 where it has none.
    pub fn observe(&mut self, line: u64) -> Line {
        let last = self.last;
        if line == 0 {
            return Line::Next;
        }
        if line < self.first {
            return Line::Early;
        }
        if line <= last {
            return if self.fill(line) { Line::Late } else { Line::Repeat };
        }
        self.last = line;
        if last == 0 {
            self.first = line;
        }
        match line - last {
            1 => Line::Next,
            _ if last == 0 => Line::Joined,
            distance => {
                if self.missing.len() >= Self::GAPS {
                    self.missing.remove(0);
                }
                self.missing.push(last + 1..line);
                Line::Gap(distance - 1)
            }
        }
    }

    /// Takes a number out of those that are missing. Returns whether it was.
    fn fill(&mut self, line: u64) -> bool {
        let at = self.missing.partition_point(|gap| gap.end <= line);
        let Some(gap) = self.missing.get(at).filter(|gap| gap.contains(&line)) else {
            return false;
        };
        let (before, behind) = (gap.start..line, line + 1..gap.end);
        let left = [before, behind].into_iter().filter(|gap| !gap.is_empty());
        self.missing.splice(at..=at, left);
        true
    }

    /// What its gaps take, in bytes.
    pub fn size(&self) -> usize {
        self.missing.capacity() * size_of::<Range<u64>>()
    }

    /// Gives back the room for more gaps.
    pub fn shrink(&mut self) {
        self.missing.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
