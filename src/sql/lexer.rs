//! PostgreSQL's lexical rules, as far as cutting and recognizing statements needs them.

use std::borrow::Cow;
use std::ops::Range;

/// A lexical unit, as far as cutting and recognizing statements needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword or an unquoted identifier.
    Word,
    /// `"identifier"`.
    Quoted,
    /// A string constant of any kind, dollar quotes included; with all its parts, where it goes on in
    /// another line.
    Text,
    /// A number.
    Number,
    Semicolon,
    Open,
    Close,
    /// Operators, parameters, dots, commas…
    Other,
}

/// How a quote within a constant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuoteWithin {
    /// Doubled.
    Doubled,
    /// Doubled, or behind a backslash, which may stand before anything: `E'\''`.
    Escaped,
    /// It has none, being of digits: `B'01'`.
    Never,
}

impl QuoteWithin {
    /// In a string constant that begins like this.
    fn of(constant: &[u8]) -> Self {
        match constant.first() {
            Some(b'e' | b'E') => Self::Escaped,
            Some(b'b' | b'B' | b'x' | b'X') => Self::Never,
            _ => Self::Doubled,
        }
    }
}

/// The tokens of a text, blanks and comments left out.
pub(crate) struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(sql: &'a str) -> Self {
        Self { sql, at: 0 }
    }

    /// The tokens from `at` on, which is where one begins.
    pub(crate) fn from(sql: &'a str, at: usize) -> Self {
        Self { sql, at }
    }

    fn bytes(&self) -> &'a [u8] {
        self.sql.as_bytes()
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Moves behind the closing `quote`. An unclosed constant reaches to the end.
    fn close(&mut self, quote: u8, within: QuoteWithin) {
        let bytes = self.bytes();
        let (escapes, doubles) = (within == QuoteWithin::Escaped, within != QuoteWithin::Never);
        let stops = |byte: u8| byte == quote || (byte == b'\\' && escapes);
        // Most constants are short: a plain loop beats a call of memchr.
        while let Some(found) = bytes[self.at..].iter().position(|&byte| stops(byte)) {
            self.at += found + 1;
            if bytes[self.at - 1] == quote && !(doubles && self.peek(0) == quote) {
                return;
            }
            self.at = (self.at + 1).min(bytes.len());
        }
        self.at = bytes.len();
    }

    /// At the first quote of a string constant: moves behind its last.
    fn constant(&mut self, within: QuoteWithin) -> Token {
        while let Some((_, next)) = self.part(within) {
            self.at = next;
        }
        Token::Text
    }

    /// At the first quote of a part of a string constant: moves behind its last. Returns what stands
    /// between the two and where the next part begins, if there is one.
    fn part(&mut self, within: QuoteWithin) -> Option<(&'a str, usize)> {
        self.at += 1;
        let start = self.at;
        self.close(b'\'', within);
        let next = self.next_part()?;
        Some((&self.sql[start..self.at - 1], next))
    }

    /// Where a string constant goes on that has come to a quote: at another one behind a line feed, if
    /// nothing but blanks and `--` comments stand between them (`quotecontinue` in `scan.l`).
    fn next_part(&self) -> Option<usize> {
        let bytes = self.bytes();
        let (mut at, mut breaks_line) = (self.at, false);
        loop {
            match *bytes.get(at)? {
                b'\'' if breaks_line => return Some(at),
                b'\n' | b'\r' => breaks_line = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' if bytes.get(at + 1) == Some(&b'-') => {
                    at += memchr::memchr2(b'\n', b'\r', &bytes[at..])?;
                    breaks_line = true;
                }
                _ => return None,
            }
            at += 1;
        }
    }

    fn block_comment(&mut self) {
        let bytes = self.bytes();
        let mut depth = 0usize;
        while let Some(found) = memchr::memchr2(b'*', b'/', &bytes[self.at..]) {
            self.at += found;
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = bytes.len();
    }

    /// Moves behind what is left of a word.
    fn word(&mut self) {
        let rest = &self.bytes()[self.at..];
        self.at += rest.iter().take_while(|&&byte| is_word(byte)).count();
    }

    /// At a `$`: a dollar-quoted constant, a parameter, or an operator character.
    fn dollar(&mut self) -> Token {
        let rest = &self.bytes()[self.at + 1..];
        let tag = rest.iter().take_while(|&&b| is_word(b) && b != b'$').count();
        let starts_like_tag = rest.first().is_some_and(|b| !b.is_ascii_digit());
        if starts_like_tag && rest.get(tag) == Some(&b'$') {
            let delimiter = &self.sql[self.at..self.at + tag + 2];
            let body = self.at + delimiter.len();
            self.at = match self.sql[body..].find(delimiter) {
                Some(found) => body + found + delimiter.len(),
                None => self.sql.len(),
            };
            return Token::Text;
        }
        self.at += 1 + rest.iter().take_while(|b| b.is_ascii_digit()).count();
        Token::Other
    }
}

/// A string constant in one part: `'a'` and `'b'` in two lines are `'ab'`.
pub fn joined_parts(constant: &str) -> Cow<'_, str> {
    // Most have but one.
    let breaks_line = memchr::memchr2(b'\n', b'\r', constant.as_bytes()).is_some();
    let first = constant.find('\'').filter(|_| breaks_line && !constant.starts_with('$'));
    let Some(first) = first else { return constant.into() };
    let within = QuoteWithin::of(constant.as_bytes());
    let mut lexer = Lexer::from(constant, first);
    let mut joined = String::new();
    let mut last = first;
    while let Some((part, next)) = lexer.part(within) {
        joined.push_str(part);
        (lexer.at, last) = (next, next);
    }
    if last == first {
        return constant.into();
    }
    format!("{}{joined}{}", &constant[..=first], &constant[last + 1..]).into()
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    /// Looked up: every byte of every statement is asked for.
    const WORD: [bool; 256] = {
        let mut word = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            word[byte] = is_word_start(b) || b.is_ascii_digit() || b == b'$';
            byte += 1;
        }
        word
    };
    WORD[usize::from(byte)]
}

impl Iterator for Lexer<'_> {
    type Item = (Token, Range<usize>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at;
            let byte = *self.bytes().get(start)?;
            let token = match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                    self.at += 1;
                    continue;
                }
                b'-' if self.peek(1) == b'-' => {
                    let line = memchr::memchr2(b'\n', b'\r', &self.bytes()[start..]);
                    self.at = line.map_or(self.sql.len(), |end| start + end + 1);
                    continue;
                }
                b'/' if self.peek(1) == b'*' => {
                    self.block_comment();
                    continue;
                }
                b'\'' => self.constant(QuoteWithin::Doubled),
                b'"' => {
                    self.at += 1;
                    self.close(b'"', QuoteWithin::Doubled);
                    Token::Quoted
                }
                b'$' => self.dollar(),
                b';' => {
                    self.at += 1;
                    Token::Semicolon
                }
                b'(' | b'[' => {
                    self.at += 1;
                    Token::Open
                }
                b')' | b']' => {
                    self.at += 1;
                    Token::Close
                }
                b'0'..=b'9' => {
                    while is_word(self.peek(0)) || self.peek(0) == b'.' {
                        self.at += 1;
                    }
                    Token::Number
                }
                _ if is_word_start(byte) => {
                    self.word();
                    let word = &self.bytes()[start..self.at];
                    match (word, self.peek(0)) {
                        ([b'e' | b'E' | b'b' | b'B' | b'x' | b'X' | b'n' | b'N'], b'\'') => {
                            self.constant(QuoteWithin::of(word))
                        }
                        ([b'u' | b'U'], b'&') if self.peek(1) == b'\'' => {
                            self.at += 1;
                            self.constant(QuoteWithin::Doubled)
                        }
                        ([b'u' | b'U'], b'&') if self.peek(1) == b'"' => {
                            self.at += 2;
                            self.close(b'"', QuoteWithin::Doubled);
                            Token::Quoted
                        }
                        _ => Token::Word,
                    }
                }
                _ => {
                    self.at += 1;
                    Token::Other
                }
            };
            self.at = self.at.min(self.sql.len());
            return Some((token, start..self.at));
        }
    }
}
