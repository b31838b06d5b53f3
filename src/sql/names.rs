//! Names and constants as PostgreSQL's scanner reads them.

use super::lexer::{Token, joined_parts};

/// The name that a token is, or the text of a constant; `None` where it is neither, or has escapes that
/// mean something else than one character.
pub(super) fn name(token: Token, text: &str) -> Option<String> {
    match token {
        Token::Word => return Some(text.to_lowercase()),
        Token::Quoted | Token::Text => {}
        _ => return None,
    }
    let (quote, text) = match token {
        Token::Quoted => ('"', text.into()),
        _ => ('\'', joined_parts(text)),
    };
    let (prefix, inner) = text.strip_suffix(quote)?.split_once(quote)?;
    let inner =
        inner.replace(if quote == '"' { "\"\"" } else { "''" }, quote.encode_utf8(&mut [0; 4]));
    match prefix {
        "" => Some(inner),
        "u&" | "U&" => unescaped(&inner, |rest| match rest.strip_prefix('+') {
            Some(digits) => code_point(digits, 6).map(|(c, length)| (c, length + 1)),
            None => code_point(rest, 4),
        }),
        "e" | "E" => unescaped(&inner, |rest| match rest.as_bytes().first()? {
            b'u' => code_point(&rest[1..], 4).map(|(c, length)| (c, length + 1)),
            b'U' => code_point(&rest[1..], 8).map(|(c, length)| (c, length + 1)),
            // Bytes by their numbers, and control characters: no name has any.
            b'x' | b'0'..=b'7' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' => None,
            _ => rest.chars().next().map(|c| (c, c.len_utf8())),
        }),
        _ => None,
    }
}

/// A text with its escapes replaced. `escape` reads one behind its backslash, and says how long it is.
fn unescaped(text: &str, escape: impl Fn(&str) -> Option<(char, usize)>) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        plain.push_str(before);
        let (c, length) = match behind.strip_prefix('\\') {
            Some(_) => ('\\', 1),
            None => escape(behind)?,
        };
        plain.push(c);
        rest = &behind[length..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// The character whose number so many hexadecimal digits are.
fn code_point(text: &str, digits: usize) -> Option<(char, usize)> {
    let number = u32::from_str_radix(text.get(..digits)?, 16).ok()?;
    Some((char::from_u32(number)?, digits))
}

#[cfg(test)]
mod tests;
