//! Finds the ends of records in a log file. Pure.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::pglog::BYTE_ORDER_MARK;

/// Cuts the bytes of one file into records, however the bytes were read.
///
/// - **csvlog**: a record ends at a newline with balanced quotes. A doubled quote counts twice, so
///   only the parity of all quotes matters, and whole lines can be counted at memory speed.
/// - **JSON lines**: each line is one record.
///
/// The two are told apart by the first byte that is not white space. Blank lines between records
/// are passed over.
///
/// # Torn records
///
/// A server or shipper that dies in the middle of a record leaves a quote open that would swallow
/// the rest of the file. So a line that would continue a quoted field is held against the start of
/// a csvlog record up to its message (see [`begins_like_record`]). A well-formed field *can't*
/// contain such a line, not even one that quotes a log: every quote in it is doubled, while a
/// record's start has single ones. Where one is found, what came before it was torn: it is handed
/// on as a record of its own (which the parser rejects), and the new record begins at that line.
#[derive(Debug, Default)]
pub struct Splitter {
    format: Option<Format>,
    /// Bytes of the current record, from its start, that were already looked at; always whole lines.
    scanned: usize,
    /// Bytes after `scanned` known not to contain a newline.
    unbroken: usize,
    /// Lines among `scanned`.
    lines: u64,
    inside_quotes: bool,
    /// Whether the last record ended in CR LF.
    ends_in_cr_lf: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// A stretch of the file: a record, or blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The record without its line feed (with it where that is CR LF), relative to the bytes given;
    /// empty for blank lines.
    pub payload: Range<usize>,
    /// How many bytes to go on from the start of the bytes given.
    pub length: usize,
    /// How many newlines are among them.
    pub lines: u64,
}

impl Splitter {
    /// The longest record. PostgreSQL takes no statement longer than 1 GB; whatever is longer is no
    /// log, and is cut here so that memory has a bound.
    pub const LONGEST: usize = 1 << 30;

    /// The next piece of `bytes`, or `None` if it takes more bytes to tell.
    ///
    /// `bytes` begins where the last piece ended; after `None`, at the same place again, with more
    /// of them. `last` says that no more will come: then whatever is left is a record, complete or
    /// torn, and `None` means that nothing is left.
    pub fn next(&mut self, bytes: &[u8], last: bool) -> Option<Piece> {
        let format = match self.format {
            Some(format) => format,
            None => match text_of(bytes) {
                [] => return self.blank(bytes, last),
                [b'{', ..] => *self.format.insert(Format::Json),
                // What a pipe gives first may be less than the mark.
                part if !last && is_part_of_mark(part) => return None,
                _ => *self.format.insert(Format::Csv),
            },
        };
        loop {
            let rest = &bytes[self.scanned..];
            let line = match memchr(b'\n', &rest[self.unbroken..]) {
                Some(newline) => self.unbroken + newline + 1,
                None if last || bytes.len() >= Self::LONGEST => return self.remainder(bytes),
                None => {
                    self.unbroken = rest.len();
                    return None;
                }
            };
            self.unbroken = 0;
            if self.inside_quotes && begins_like_record(&rest[..line]) {
                return self.cut(bytes, self.scanned);
            }
            self.scanned += line;
            self.lines += 1;
            if format == Format::Csv {
                self.inside_quotes ^= memchr_iter(b'"', &rest[..line]).count() % 2 == 1;
            }
            if !self.inside_quotes || self.scanned >= Self::LONGEST {
                return self.cut(bytes, self.scanned);
            }
        }
    }

    /// Whether the last record that was handed on ended in CR LF.
    pub fn ends_in_cr_lf(&self) -> bool {
        self.ends_in_cr_lf
    }

    /// The bytes up to `length` as a piece.
    fn cut(&mut self, bytes: &[u8], length: usize) -> Option<Piece> {
        let lines = self.lines;
        let Self { format, ends_in_cr_lf, .. } = *self;
        *self = Self { format, ends_in_cr_lf, ..Self::default() };
        let piece = &bytes[..length];
        if text_of(piece).is_empty() {
            return Some(Piece { payload: 0..0, length, lines });
        }
        // A CR before the line feed tells how this record's line feeds were written, which is for
        // its reader to know.
        let end = match piece {
            [.., b'\r', b'\n'] => {
                self.ends_in_cr_lf = true;
                length
            }
            [.., b'\n'] => {
                self.ends_in_cr_lf = false;
                length - 1
            }
            _ => length,
        };
        Some(Piece { payload: 0..end, length, lines })
    }

    /// What is left where no newline follows: the end of the file, or a line beyond all bounds.
    fn remainder(&mut self, bytes: &[u8]) -> Option<Piece> {
        if bytes.is_empty() {
            return None;
        }
        if self.inside_quotes && begins_like_record(&bytes[self.scanned..]) {
            return self.cut(bytes, self.scanned);
        }
        self.cut(bytes, bytes.len())
    }

    /// White space before the first record.
    fn blank(&mut self, bytes: &[u8], last: bool) -> Option<Piece> {
        let length = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if last && !bytes.is_empty() => bytes.len(),
            None => return None,
        };
        let lines = memchr_iter(b'\n', &bytes[..length]).count() as u64;
        Some(Piece { payload: 0..0, length, lines })
    }
}

/// What follows white space and byte order marks.
fn text_of(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = bytes.trim_ascii_start();
        match bytes.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => bytes = rest,
            None => return bytes,
        }
    }
}

fn is_part_of_mark(bytes: &[u8]) -> bool {
    bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes)
}

/// Whether a line begins like a csvlog record: `log_time`, ten more columns with the session id in
/// column 6, and then severity, SQLSTATE and the opening *single* quote of the message.
///
/// Up to column 11 any of PostgreSQL 12 to 18's columns may be empty (background processes have no
/// user, database, client or transaction), so it is the quotes that tell a record from a statement
/// which quotes a log: inside a quoted field `"` never stands alone.
pub fn begins_like_record(line: &[u8]) -> bool {
    fn plain<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let comma = memchr(b',', rest)?;
        let (column, after) = rest.split_at(comma);
        *rest = &after[1..];
        (!column.contains(&b'"')).then_some(column)
    }
    fn quoted_or_empty(rest: &mut &[u8]) -> Option<()> {
        if rest.first() != Some(&b'"') {
            return plain(rest)?.is_empty().then_some(());
        }
        let mut from = 1;
        loop {
            let quote = from + memchr(b'"', rest.get(from..)?)?;
            match rest.get(quote + 1)? {
                b'"' => from = quote + 2,
                b',' => {
                    *rest = &rest[quote + 2..];
                    return Some(());
                }
                _ => return None,
            }
        }
    }
    fn digits(column: &[u8]) -> bool {
        !column.is_empty() && column.iter().all(u8::is_ascii_digit)
    }
    fn session_id(column: &[u8]) -> Option<()> {
        let dot = memchr(b'.', column)?;
        let hex = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_hexdigit);
        (hex(&column[..dot]) && hex(&column[dot + 1..])).then_some(())
    }
    let start = || -> Option<()> {
        let rest = &mut { line };
        timestamp(plain(rest)?)?;
        quoted_or_empty(rest)?; // user_name
        quoted_or_empty(rest)?; // database_name
        digits(plain(rest)?).then_some(())?; // process_id
        quoted_or_empty(rest)?; // connection_from
        session_id(plain(rest)?)?;
        digits(plain(rest)?).then_some(())?; // session_line_num
        quoted_or_empty(rest)?; // command_tag
        plain(rest)?; // session_start_time
        plain(rest)?; // virtual_transaction_id
        plain(rest)?; // transaction_id
        let severity = plain(rest)?;
        (!severity.is_empty() && severity.iter().all(u8::is_ascii_alphanumeric)).then_some(())?;
        let sqlstate = plain(rest)?;
        (sqlstate.len() == 5 && sqlstate.iter().all(u8::is_ascii_alphanumeric)).then_some(())?;
        // The quote may still be the one that *closes* a field whose text ends like a record's
        // first columns; then a comma or the line's end follows it.
        match rest {
            [b'"', b'"' | b',' | b'\r' | b'\n', ..] => None,
            [b'"', _, ..] => Some(()),
            _ => None,
        }
    };
    line.first().is_some_and(u8::is_ascii_digit) && start().is_some()
}

/// `2026-11-22 15:32:20.435 UTC`, the zone also as `+03` or `-0330`.
fn timestamp(column: &[u8]) -> Option<()> {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00.000 ";
    let (time, zone) = column.split_at_checked(SHAPE.len())?;
    let fits = time.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == shape,
    });
    let zoned = !zone.is_empty()
        && zone.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    (fits && zoned).then_some(())
}

#[cfg(test)]
mod tests;
