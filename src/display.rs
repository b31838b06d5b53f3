//! Numbers and moments as people read them.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanCount;
use jiff::Timestamp;

use crate::escape::is_deceptive;

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A size in the unit that suits it, as ls and df -H show it.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// A rate in as many digits as it has a meaning in.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        grouped(per_second.round() as u64)
    }
}

/// A moment in RFC 3339, to the millisecond.
pub(crate) fn moment(unix_ms: i64) -> String {
    let moment = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    format!("{moment:.3}")
}

/// A time in its two largest units.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

/// Text in one line of a terminal, of at most so many characters. What a log holds may have lines of its
/// own, turn the direction of writing, or command the terminal.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let plain = |it: char| if is_deceptive(it) { ' ' } else { it };
    let mut characters = text.chars();
    let mut line: String = characters.by_ref().take(width).map(plain).collect();
    if characters.next().is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
