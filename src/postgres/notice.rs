//! Durations in the server's notices.
//!
//! With `log_duration` on and `client_min_messages` at `log` a server tells its client how long each simple
//! query, Parse, Bind and Execute took: the figure that it writes to its log, as a NoticeResponse.

use std::time::Duration;

/// The functions of PostgreSQL that tell a duration. A text that a statement raises comes from another.
const ROUTINES: [&[u8]; 4] =
    [b"exec_simple_query", b"exec_parse_message", b"exec_bind_message", b"exec_execute_message"];

/// How much of a field is looked at: a duration stands at its beginning, in whatever language.
const LOOKED_AT: usize = 96;

/// Reads the fields of a NoticeResponse piece by piece and keeps next to nothing of them: its text may
/// hold a statement of any size.
#[derive(Debug)]
pub(super) struct NoticeReader {
    /// The type of the field at hand; `None` where the next byte tells it.
    field: Option<u8>,
    /// The beginning of its value.
    value: [u8; LOOKED_AT],
    length: usize,
    is_log: bool,
    has_context: bool,
    is_of_protocol: bool,
    duration: Option<Duration>,
}

impl Default for NoticeReader {
    fn default() -> Self {
        Self {
            field: None,
            value: [0; LOOKED_AT],
            length: 0,
            is_log: false,
            has_context: false,
            is_of_protocol: false,
            duration: None,
        }
    }
}

impl NoticeReader {
    /// Takes the next piece of the message's body.
    pub(super) fn read(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.field.is_none() {
                (self.field, self.length) = (Some(piece[0]), 0);
                piece = &piece[1..];
                continue;
            }
            let end = memchr::memchr(0, piece);
            let value = &piece[..end.unwrap_or(piece.len())];
            let taken = value.len().min(LOOKED_AT - self.length);
            self.value[self.length..self.length + taken].copy_from_slice(&value[..taken]);
            self.length += taken;
            let Some(end) = end else { return };
            self.end_field();
            piece = &piece[end + 1..];
        }
    }

    fn end_field(&mut self) {
        let value = &self.value[..self.length];
        match self.field.take() {
            // Not translated, unlike 'S'.
            Some(b'V') => self.is_log = value == b"LOG",
            Some(b'M') => self.duration = duration_in(value),
            Some(b'W') => self.has_context = true,
            Some(b'R') => self.is_of_protocol = ROUTINES.contains(&value),
            _ => {}
        }
    }

    /// The message has been read: the duration that it tells, if it does. The next one may come.
    pub(super) fn finish(&mut self) -> Option<Duration> {
        let Self { is_log, has_context, is_of_protocol, duration, .. } = std::mem::take(self);
        duration.filter(|_| is_log && is_of_protocol && !has_context)
    }
}

/// The duration that a message begins with: `duration: 0.209 ms`, in whatever language, alone or
/// with two blanks and the statement behind it.
fn duration_in(message: &[u8]) -> Option<Duration> {
    let at = message.iter().position(u8::is_ascii_digit)?;
    let (name, figure) = message.split_at(at);
    if !name.ends_with(b": ") || name.iter().filter(|byte| **byte == b':').count() != 1 {
        return None;
    }
    let end = figure.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let (figure, unit) = figure.split_at(end);
    let unit = unit.strip_prefix(b" ")?;
    let behind = unit.iter().position(|byte| *byte == b' ').map_or(&b""[..], |end| &unit[end..]);
    if unit.is_empty() || !(behind.is_empty() || behind.starts_with(b"  ")) {
        return None;
    }
    let (ms, fraction) = figure.split_at_checked(figure.len().checked_sub(4)?)?;
    let fraction = fraction.strip_prefix(b".")?;
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let us = number(ms)?.checked_mul(1000)?.checked_add(number(fraction)?)?;
    Some(Duration::from_micros(us))
}

#[cfg(test)]
mod tests;
