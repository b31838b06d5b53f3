//! Text that does to a terminal no more than it seems to.
//!
//! Names, SQL and servers' words may hold anything. A line feed would make a line of its own out of them, which
//! reads as kreplay's; an escape sequence commands the terminal; a mark of the bidirectional algorithm, or a
//! character without width, has it show something else than there is. All of these are shown as Rust
//! writes them (`\n`, `\u{1b}`), in JSON as `\u001b`. A backslash stays one.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Whether a character commands a terminal, ends a line, turns the direction of writing or can't be seen:
/// controls, and Unicode's Bidi_Control and Default_Ignorable_Code_Point.
pub(crate) fn is_deceptive(character: char) -> bool {
    // Most text; C1 follows DEL.
    if character < '\u{7f}' {
        return character < ' ';
    }
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text for one line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_deceptive, rust)
}

/// Text of several lines, which stay lines.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |it| it != '\n' && is_deceptive(it), rust)
}

/// A JSON text, which stays the same to whoever parses it: outside of its strings it has nothing of the
/// kind but line feeds.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |it| it != '\n' && is_deceptive(it),
        |out, it| {
            it.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        },
    )
}

fn rust(out: &mut String, character: char) -> fmt::Result {
    write!(out, "{}", character.escape_default())
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char) -> fmt::Result,
) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for character in text[first..].chars() {
        match is_escaped(character) {
            // Writing to a String cannot fail.
            true => drop(escape(&mut out, character)),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Writes text on, escaped for one line.
pub(crate) struct Line<W>(pub W);

impl<W: Write> Write for Line<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&line(text))
    }
}

#[cfg(test)]
mod tests;
