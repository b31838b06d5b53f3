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
mod tests {
    use super::*;

    #[test]
    fn numbers_in_sequence_say_nothing() {
        let mut lines = LineSequence::default();
        assert_eq!([1, 2, 3, 0].map(|line| lines.observe(line)), [Line::Next; 4]);
    }

    #[test]
    fn a_session_that_begins_late_was_joined() {
        let mut lines = LineSequence::default();
        assert_eq!(lines.observe(40), Line::Joined);
        assert_eq!(lines.observe(41), Line::Next);
    }

    #[test]
    fn a_record_from_before_the_first_that_was_read_is_no_repeat() {
        let mut lines = LineSequence::default();
        lines.observe(40);
        lines.observe(41);
        assert_eq!(lines.observe(39), Line::Early);
        assert_eq!(lines.observe(40), Line::Repeat);
    }

    #[test]
    fn a_missing_record_that_comes_late_is_no_repeat() {
        let mut lines = LineSequence::default();
        lines.observe(1);
        assert_eq!(lines.observe(4), Line::Gap(2));
        assert_eq!(lines.observe(3), Line::Late);
        assert_eq!(lines.observe(3), Line::Repeat);
        assert_eq!(lines.observe(4), Line::Repeat);
        assert_eq!(lines.observe(5), Line::Next);
    }

    #[test]
    fn each_number_of_a_gap_may_come_once_in_any_order() {
        let mut lines = LineSequence::default();
        assert_eq!([1, 10].map(|line| lines.observe(line)), [Line::Next, Line::Gap(8)]);
        assert_eq!([5, 9, 2, 3, 4, 8, 6, 7].map(|line| lines.observe(line)), [Line::Late; 8]);
        assert_eq!([5, 9, 2, 3, 4, 8, 6, 7].map(|line| lines.observe(line)), [Line::Repeat; 8]);
        assert_eq!(lines.missing, []);
    }

    #[test]
    fn a_gap_takes_as_much_however_many_are_missing_and_many_gaps_are_bounded() {
        let mut lines = LineSequence::default();
        assert_eq!(
            [1, 1_000_000].map(|line| lines.observe(line)),
            [Line::Next, Line::Gap(999_998)]
        );
        assert_eq!(lines.missing.len(), 1);
        for line in (1_000_002..).step_by(2).take(LineSequence::GAPS) {
            lines.observe(line);
        }
        assert_eq!(lines.missing.len(), LineSequence::GAPS);
        assert_eq!(lines.observe(2), Line::Repeat, "it is not known any more");
        assert_eq!(lines.observe(1_000_001), Line::Late);
    }
}
