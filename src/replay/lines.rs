//! `session_line_num` counts a session's records: repeats, losses and reordering show for free.

use std::collections::BTreeSet;

/// The line numbers seen of one session.
#[derive(Debug, Default)]
pub struct Lines {
    /// The number of the first record that was read.
    first: u64,
    last: u64,
    /// Numbers that were passed over and may still come.
    missing: BTreeSet<u64>,
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

impl Lines {
    /// How many missing numbers are remembered to tell a late record from a repeat.
    const REMEMBERED: u64 = 1024;

    /// Whether a record with a number was read.
    pub fn have_begun(&self) -> bool {
        self.last > 0
    }

    /// Takes the next record's number, 0 where it has none.
    pub fn see(&mut self, line: u64) -> Line {
        let last = self.last;
        if line == 0 {
            return Line::Next;
        }
        if line < self.first {
            return Line::Early;
        }
        if line <= last {
            return if self.missing.remove(&line) { Line::Late } else { Line::Repeat };
        }
        self.last = line;
        if last == 0 {
            self.first = line;
        }
        match line - last {
            1 => Line::Next,
            _ if last == 0 => Line::Joined,
            distance => {
                self.missing.extend((last + 1..line).rev().take(Self::REMEMBERED as usize));
                while self.missing.len() as u64 > Self::REMEMBERED {
                    self.missing.pop_first();
                }
                Line::Gap(distance - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_sequence_say_nothing() {
        let mut lines = Lines::default();
        assert_eq!([1, 2, 3, 0].map(|line| lines.see(line)), [Line::Next; 4]);
    }

    #[test]
    fn a_session_that_begins_late_was_joined() {
        let mut lines = Lines::default();
        assert_eq!(lines.see(40), Line::Joined);
        assert_eq!(lines.see(41), Line::Next);
    }

    #[test]
    fn a_record_from_before_the_first_that_was_read_is_no_repeat() {
        let mut lines = Lines::default();
        lines.see(40);
        lines.see(41);
        assert_eq!(lines.see(39), Line::Early);
        assert_eq!(lines.see(40), Line::Repeat);
    }

    #[test]
    fn a_missing_record_that_comes_late_is_no_repeat() {
        let mut lines = Lines::default();
        lines.see(1);
        assert_eq!(lines.see(4), Line::Gap(2));
        assert_eq!(lines.see(3), Line::Late);
        assert_eq!(lines.see(3), Line::Repeat);
        assert_eq!(lines.see(4), Line::Repeat);
        assert_eq!(lines.see(5), Line::Next);
    }
}
