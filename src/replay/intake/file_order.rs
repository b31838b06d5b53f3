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
mod tests;
