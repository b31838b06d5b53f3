//! Durations and plans in the server's notices.
//!
//! With `log_duration` on and `client_min_messages` at `log` a server tells its client how long each simple
//! query, Parse, Bind and Execute took: the figure that it writes to its log, as a NoticeResponse. So does
//! its auto_explain with plans.

use std::time::Duration;

use crate::replay::report::plan::logged::LONGEST;

/// The functions of PostgreSQL that tell a duration. A text that a statement raises comes from another.
const ROUTINES: [&[u8]; 4] =
    [b"exec_simple_query", b"exec_parse_message", b"exec_bind_message", b"exec_execute_message"];

/// The function of auto_explain that tells a plan.
const AUTO_EXPLAIN: &[u8] = b"explain_ExecutorEnd";

/// How much of a field is looked at: a duration stands at its beginning, in whatever language.
const LOOKED_AT: usize = 96;

/// What a notice tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// How long the server took for a message.
    Duration(Duration),
    /// The plan that a statement had, as auto_explain writes it behind `plan:`; empty where that is longer
    /// than is read.
    Plan(Box<str>),
}

/// Reads the fields of a NoticeResponse piece by piece and keeps next to nothing of them, but for plans
/// that are wanted: its text may hold a statement of any size.
#[derive(Debug)]
pub(super) struct NoticeReader {
    /// The type of the field at hand; `None` where the next byte tells it.
    field: Option<u8>,
    /// The beginning of its value.
    value: [u8; LOOKED_AT],
    length: usize,
    /// Whether plans are wanted.
    keeps_plans: bool,
    fields: Fields,
}

/// What the fields that have been read say.
#[derive(Debug, Default)]
struct Fields {
    is_log: bool,
    has_context: bool,
    routine: Routine,
    duration: Option<Duration>,
    plan: PlanText,
}

/// Which function of the server tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Routine {
    #[default]
    Other,
    Protocol,
    AutoExplain,
}

/// The text of a plan, as far as it has been read.
#[derive(Debug, Default)]
enum PlanText {
    #[default]
    None,
    Begun(Vec<u8>),
    TooLong,
}

impl Default for NoticeReader {
    fn default() -> Self {
        Self {
            field: None,
            value: [0; LOOKED_AT],
            length: 0,
            keeps_plans: false,
            fields: Fields::default(),
        }
    }
}

impl NoticeReader {
    /// From here on plans are wanted, or not.
    pub(super) fn keep_plans(&mut self, keeps: bool) {
        self.keeps_plans = keeps;
    }

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
            let before = self.length;
            let taken = value.len().min(LOOKED_AT - before);
            self.value[before..before + taken].copy_from_slice(&value[..taken]);
            self.length += taken;
            if self.keeps_plans && self.field == Some(b'M') {
                self.keep_plan(value, before);
            }
            let Some(end) = end else { return };
            self.end_field();
            piece = &piece[end + 1..];
        }
    }

    /// Keeps what this piece of the text has of a plan; `before`: so much of the text that is looked at
    /// came before it.
    fn keep_plan(&mut self, piece: &[u8], before: usize) {
        let piece = match self.fields.plan {
            // The mark is whole with this piece, and was not before it.
            PlanText::None => plan_in(&self.value[..self.length])
                .and_then(|at| piece.get(at.checked_sub(before)?..)),
            PlanText::Begun(_) => Some(piece),
            PlanText::TooLong => None,
        };
        if let Some(piece) = piece {
            self.fields.plan.push(piece);
        }
    }

    fn end_field(&mut self) {
        let (value, fields) = (&self.value[..self.length], &mut self.fields);
        match self.field.take() {
            // Not translated, unlike 'S'.
            Some(b'V') => fields.is_log = value == b"LOG",
            Some(b'M') => fields.duration = duration_in(value),
            Some(b'W') => fields.has_context = true,
            Some(b'R') if ROUTINES.contains(&value) => fields.routine = Routine::Protocol,
            Some(b'R') if value == AUTO_EXPLAIN => fields.routine = Routine::AutoExplain,
            _ => {}
        }
    }

    /// The message has been read: what it tells, if it is of what is looked for. The next one may come.
    pub(super) fn finish(&mut self) -> Option<Notice> {
        self.field = None;
        let Fields { is_log, has_context, routine, duration, plan } =
            std::mem::take(&mut self.fields);
        match routine {
            // What a routine's own statements do stands in their context, and so does what they raise.
            _ if has_context => None,
            Routine::Protocol => duration.filter(|_| is_log).map(Notice::Duration),
            Routine::AutoExplain => plan.finish().map(Notice::Plan),
            Routine::Other => None,
        }
    }
}

impl PlanText {
    fn push(&mut self, piece: &[u8]) {
        let mut text = match std::mem::replace(self, Self::TooLong) {
            Self::None => Vec::new(),
            Self::Begun(text) => text,
            Self::TooLong => return,
        };
        if text.len() + piece.len() <= LONGEST {
            text.extend_from_slice(piece);
            *self = Self::Begun(text);
        }
    }

    fn finish(self) -> Option<Box<str>> {
        match self {
            Self::None => None,
            Self::Begun(text) => Some(String::from_utf8_lossy(&text).into()),
            Self::TooLong => Some("".into()),
        }
    }
}

/// Where a plan begins in a message: behind `duration: 0.012 ms  plan:`, which is never translated.
fn plan_in(message: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b'\n', message)?;
    let line = &message[..end];
    (line.starts_with(b"duration: ") && line.ends_with(b" ms  plan:")).then_some(end + 1)
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
