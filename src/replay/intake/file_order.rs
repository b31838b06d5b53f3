//! The order of several files that hold one log, and what shows that they do not.

use std::fmt;

use foldhash::HashMap;

use crate::pglog::{LogRecord, LogTime, SessionId};
use crate::replay::intake::lines::Line;

/// By how much log times may run backwards from a record to the next: they are taken before the
/// records are written.
const JITTER_MS: i64 = 1_000;
/// The same where a zone is an abbreviation: between two of them lies an hour where clocks change.
const ZONE_JITTER_MS: i64 = 3_600_000 + JITTER_MS;

/// How many records of a file may repeat those before it: a shipper that began again after a crash.
const MOST_REPEATS: u32 = 1;

/// Which record it is, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    time: LogTime,
    session: SessionId,
    line: u64,
}

/// What a stretch of a file holds: its first and last record, and of each session the lowest and the
/// highest line number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    first: Option<Stamp>,
    last: Option<Stamp>,
    lines: HashMap<SessionId, (u64, u64)>,
}

impl Stretch {
    /// Takes the next record.
    pub fn add(&mut self, record: &LogRecord<'_>) {
        let stamp = Stamp { time: record.log_time, session: record.session, line: record.line };
        self.first.get_or_insert(stamp);
        self.last = Some(stamp);
        if record.line > 0 {
            let lines = self.lines.entry(record.session).or_insert((record.line, record.line));
            *lines = (lines.0.min(record.line), lines.1.max(record.line));
        }
    }

    /// Whether there is a record in it.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn holds(&self, stamp: Stamp) -> bool {
        let lines = self.lines.get(&stamp.session);
        lines.is_some_and(|&(low, high)| (low..=high).contains(&stamp.line))
    }

    /// A session of which all lines in here come before those in `other`.
    fn session_before(&self, other: &Self) -> Option<SessionId> {
        let before = |(session, (_, high)): (&SessionId, &(u64, u64))| {
            let later = other.lines.get(session).is_some_and(|(low, _)| high < low);
            later.then_some(*session)
        };
        self.lines.iter().find_map(before)
    }
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileFacts {
    /// Its beginning.
    pub head: Stretch,
    /// Its end; `None` where that can't be looked at before the rest has been read.
    pub tail: Option<Stretch>,
    /// Whether it can be read only once, so that nothing is known of it.
    pub stream: bool,
}

/// Two files (by index, as they were given) that are not one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfOrder {
    /// The one that is read first.
    pub first: usize,
    /// The one that is read later.
    pub second: usize,
    /// What shows it.
    pub why: Why,
}

/// What shows that files are not one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The one holds the other's records.
    SameRecords,
    /// The one's records begin before the other's have ended.
    Overlap,
    /// A session goes on in the one at a line before those that it has in the other.
    Backwards(SessionId),
    /// They are given in the wrong order, and a stream among them keeps them from being put right.
    Stream,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameRecords => f.write_str("hold the same records: give one of them"),
            Self::Overlap => f.write_str(
                "overlap: the second begins with records from before the end of the first. Give each \
                 part of one server's log once; if they are right, join them \
                 (cat … | kreplay --input -)",
            ),
            Self::Backwards(session) => write!(
                f,
                "are not in the order in which they were written: the lines of session {session} \
                 run backwards from the first to the second (session_line_num)",
            ),
            Self::Stream => f.write_str(
                "are not in the order in which they were written, as the second begins earlier: \
                 give them in order, since a stream is among the files and can't be moved",
            ),
        }
    }
}

/// The order in which files are read: that of their first records. What has no record keeps its place
/// behind the file before it; where a stream is among them, all do.
///
/// # Errors
///
/// [`OutOfOrder`] where two files can't be consecutive parts of one log.
pub fn arrange(files: &[FileFacts]) -> Result<Vec<usize>, OutOfOrder> {
    let streamed = files.iter().any(|file| file.stream);
    let mut order: Vec<usize> = Vec::with_capacity(files.len());
    let mut empty = Vec::new();
    for (index, file) in files.iter().enumerate() {
        if streamed || file.head.is_empty() {
            empty.push(index);
            continue;
        }
        // Not `sort_by`: with lines and times, being earlier is no total order.
        let at = order.iter().rposition(|&other| !is_earlier(file, &files[other]));
        order.insert(at.map_or(0, |at| at + 1), index);
    }
    if streamed {
        order = empty;
    } else {
        order.extend(empty);
    }
    let known: Vec<usize> =
        order.iter().copied().filter(|&index| !files[index].head.is_empty()).collect();
    for pair in known.windows(2) {
        let (first, second) = (pair[0], pair[1]);
        let (before, after) = (&files[first], &files[second]);
        let why = if streamed && is_earlier(after, before) {
            Some(Why::Stream)
        } else {
            not_consecutive(before, after)
        };
        if let Some(why) = why {
            return Err(OutOfOrder { first, second, why });
        }
    }
    Ok(order)
}

/// Whether a file begins before another one. Within the jitter of log times, a session that is in both
/// tells.
fn is_earlier(file: &FileFacts, than: &FileFacts) -> bool {
    let (Some(first), Some(other)) = (file.head.first, than.head.first) else { return false };
    let (ms, other_ms) = (first.time.unix_ms, other.time.unix_ms);
    if (ms - other_ms).abs() <= jitter_ms(first.time, other.time) {
        if file.head.session_before(&than.head).is_some() {
            return true;
        }
        if than.head.session_before(&file.head).is_some() {
            return false;
        }
    }
    ms < other_ms
}

fn jitter_ms(one: LogTime, other: LogTime) -> i64 {
    if one.zone_known && other.zone_known { JITTER_MS } else { ZONE_JITTER_MS }
}

/// What shows that `second` is not what follows `first`.
fn not_consecutive(first: &FileFacts, second: &FileFacts) -> Option<Why> {
    let (begin, next) = (first.head.first?, second.head.first?);
    if begin == next {
        return Some(Why::SameRecords);
    }
    let tail = first.tail.as_ref();
    if let Some((tail, last)) = tail.and_then(|tail| Some((tail, tail.last?))) {
        // A shipper that began again after a crash repeats its last record, and then goes on.
        let repeats = next == last;
        let end = second.tail.as_ref().and_then(|tail| tail.last);
        let is_within = |end: Stamp| {
            tail.holds(end) || end.time.unix_ms + jitter_ms(end.time, last.time) < last.time.unix_ms
        };
        if tail.holds(next) && end.is_some_and(is_within) {
            return Some(Why::SameRecords);
        }
        let jitter = jitter_ms(next.time, last.time);
        let is_older = next.time.unix_ms + jitter < last.time.unix_ms;
        if !repeats && (is_older || tail.holds(next)) {
            return Some(Why::Overlap);
        }
    }
    let backwards = second.head.session_before(&first.head);
    let backwards = backwards.or_else(|| second.head.session_before(tail?));
    backwards.map(Why::Backwards)
}

/// Watches that records come in one order while files are read, for what could not be known before:
/// of compressed files and of streams.
#[derive(Debug, Default)]
pub struct FileWatch {
    file: usize,
    /// The newest record of the files before, and the one that holds it.
    before: Option<(LogTime, usize)>,
    newest: Option<LogTime>,
    /// Whether a record of this file was read that the ones before do not hold.
    begun: bool,
    /// How many records of this file the ones before hold too.
    repeats: u32,
}

impl FileWatch {
    /// Takes a record of a file, with what its line number tells; `read_in` is the file with the
    /// record of its session before this one.
    pub fn observe(
        &mut self,
        file: usize,
        record: &LogRecord<'_>,
        line: Line,
        read_in: Option<usize>,
    ) -> Option<OutOfOrder> {
        if file != self.file {
            let newest = self.newest.take().map(|newest| (newest, self.file));
            let older = |(time, _): &(LogTime, usize)| {
                self.before.is_some_and(|(before, _)| before.unix_ms > time.unix_ms)
            };
            self.before = newest.filter(|newest| !older(newest)).or(self.before);
            (self.file, self.begun, self.repeats) = (file, false, 0);
        }
        let time = record.log_time;
        if self.newest.is_none_or(|newest| newest.unix_ms < time.unix_ms) {
            self.newest = Some(time);
        }
        if line == Line::Early {
            let first = read_in.unwrap_or(file);
            let why = Why::Backwards(record.session);
            return Some(OutOfOrder { first, second: file, why });
        }
        let (before, first) = self.before?;
        let overlaps = if line == Line::Repeat {
            self.repeats += u32::from(time.unix_ms <= before.unix_ms);
            self.repeats > MOST_REPEATS
        } else {
            let begins = !std::mem::replace(&mut self.begun, true);
            begins && time.unix_ms + jitter_ms(time, before) < before.unix_ms
        };
        overlaps.then_some(OutOfOrder { first, second: file, why: Why::Overlap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u32 = 1;
    const B: u32 = 2;

    /// A record of a session (by its process id) at a second.
    fn record(pid: u32, line: u64, second: i64) -> LogRecord<'static> {
        LogRecord {
            log_time: LogTime { unix_ms: second * 1000, zone_known: true },
            session: SessionId { start: 1, pid },
            line,
            ..LogRecord::default()
        }
    }

    fn stretch(records: &[(u32, u64, i64)]) -> Stretch {
        let mut stretch = Stretch::default();
        records.iter().for_each(|&(pid, line, second)| stretch.add(&record(pid, line, second)));
        stretch
    }

    /// A file that is small enough to be known whole.
    fn file(records: &[(u32, u64, i64)]) -> FileFacts {
        let head = stretch(records);
        FileFacts { tail: Some(head.clone()), head, stream: false }
    }

    /// A file whose end is not known.
    fn compressed(records: &[(u32, u64, i64)]) -> FileFacts {
        FileFacts { tail: None, ..file(records) }
    }

    #[track_caller]
    fn refused(files: &[FileFacts], first: usize, second: usize, why: Why) {
        assert_eq!(arrange(files), Err(OutOfOrder { first, second, why }));
    }

    #[test]
    fn files_are_read_in_the_order_of_their_first_records() {
        let (fri, thu) = (file(&[(A, 5, 90), (B, 1, 95)]), file(&[(A, 1, 10), (A, 4, 80)]));
        let sat = compressed(&[(A, 9, 200)]);
        let files = [fri.clone(), sat, thu.clone()];
        assert_eq!(arrange(&files), Ok(vec![2, 0, 1]));
        assert_eq!(arrange(&[thu, fri]), Ok(vec![0, 1]));
    }

    #[test]
    fn files_of_one_moment_are_put_in_order_by_the_lines_of_a_session() {
        let (second, first) = (file(&[(A, 5, 10), (B, 1, 10)]), file(&[(A, 1, 10), (A, 4, 10)]));
        assert_eq!(arrange(&[second, first]), Ok(vec![1, 0]));
        // A record may be written a little before one with an earlier time.
        let (second, first) = (file(&[(A, 5, 10)]), file(&[(B, 1, 11), (A, 4, 11)]));
        assert_eq!(arrange(&[second, first]), Ok(vec![1, 0]));
    }

    #[test]
    fn a_file_without_a_record_is_no_obstacle() {
        let (second, first) = (file(&[(A, 5, 90)]), file(&[(A, 1, 10)]));
        let empty = FileFacts::default();
        assert_eq!(arrange(&[empty.clone(), second, empty, first]), Ok(vec![3, 1, 0, 2]));
        assert_eq!(arrange(&[]), Ok(vec![]));
    }

    #[test]
    fn a_stream_among_files_keeps_all_of_them_in_place() {
        let stream = FileFacts { stream: true, ..FileFacts::default() };
        let (first, second) = (file(&[(A, 1, 10)]), file(&[(A, 5, 90)]));
        let in_order = [first.clone(), stream.clone(), second.clone()];
        assert_eq!(arrange(&in_order), Ok(vec![0, 1, 2]));
        refused(&[second, stream, first], 0, 2, Why::Stream);
    }

    #[test]
    fn the_same_log_twice_is_refused_in_whatever_form() {
        let log = file(&[(A, 1, 10), (B, 1, 20), (A, 2, 30)]);
        refused(&[log.clone(), log.clone()], 0, 1, Why::SameRecords);
        let packed = compressed(&[(A, 1, 10), (B, 1, 20), (A, 2, 30)]);
        refused(&[packed, log.clone()], 0, 1, Why::SameRecords);
        // A part of it.
        refused(&[log, file(&[(B, 1, 20)])], 0, 1, Why::SameRecords);
    }

    #[test]
    fn files_that_overlap_in_time_are_refused() {
        let (one, other) = (file(&[(A, 1, 10), (A, 2, 90)]), file(&[(B, 1, 50), (B, 2, 99)]));
        refused(&[other, one], 1, 0, Why::Overlap);
    }

    #[test]
    fn log_times_may_jitter_and_abbreviated_zones_hide_an_hour() {
        let (one, other) = (file(&[(A, 1, 10), (A, 2, 90)]), file(&[(B, 1, 90), (B, 2, 99)]));
        assert_eq!(arrange(&[one, other]), Ok(vec![0, 1]));
        let (mut summer, mut winter) = (file(&[(A, 1, 0), (A, 2, 7200)]), file(&[(B, 1, 3600)]));
        for stretch in [&mut summer.head, &mut winter.head] {
            stretch.first.as_mut().expect("a record").time.zone_known = false;
        }
        assert_eq!(arrange(&[summer, winter]), Ok(vec![0, 1]));
    }

    #[test]
    fn a_last_record_that_a_shipper_repeats_after_a_crash_is_a_repeat_and_more_are_an_overlap() {
        let before = file(&[(A, 1, 10), (A, 2, 40), (A, 3, 40)]);
        let after = file(&[(A, 3, 40), (A, 4, 90)]);
        assert_eq!(arrange(&[after, before.clone()]), Ok(vec![1, 0]));
        let after = file(&[(A, 2, 40), (A, 3, 40), (A, 4, 90)]);
        refused(&[after, before], 1, 0, Why::Overlap);
    }

    #[test]
    fn a_session_whose_lines_run_backwards_is_an_error() {
        let (one, other) = (file(&[(A, 5, 10), (A, 9, 20)]), file(&[(A, 1, 90), (A, 4, 95)]));
        let session = SessionId { start: 1, pid: A };
        refused(&[one, other], 0, 1, Why::Backwards(session));
    }

    #[test]
    fn what_could_not_be_known_before_is_seen_while_reading() {
        let mut watch = FileWatch::default();
        let mut see = |file, (pid, line, second), told, read_in| {
            watch.observe(file, &record(pid, line, second), told, read_in)
        };
        assert_eq!(see(0, (A, 5, 10), Line::Joined, None), None);
        assert_eq!(see(0, (B, 1, 60), Line::Next, None), None);
        // One repeat says nothing; another does, and so does the first record that is none.
        assert_eq!(see(1, (B, 1, 60), Line::Repeat, Some(0)), None);
        let overlap = OutOfOrder { first: 0, second: 1, why: Why::Overlap };
        assert_eq!(see(1, (A, 5, 10), Line::Repeat, Some(0)), Some(overlap));
        assert_eq!(see(1, (3, 1, 50), Line::Next, None), Some(overlap));
        assert_eq!(see(1, (3, 2, 51), Line::Next, Some(1)), None);
        let why = Why::Backwards(SessionId { start: 1, pid: A });
        let backwards = OutOfOrder { first: 0, second: 1, why };
        assert_eq!(see(1, (A, 2, 70), Line::Early, Some(0)), Some(backwards));
        // An earlier file stays in mind across one with older records alone.
        let overlap = OutOfOrder { first: 1, second: 3, why: Why::Overlap };
        assert_eq!(see(3, (4, 1, 55), Line::Joined, None), Some(overlap));
    }
}
