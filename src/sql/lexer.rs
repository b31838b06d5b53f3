//! PostgreSQL's lexical rules, as far as cutting and recognizing statements needs them.

use std::ops::Range;

/// A lexical unit, as far as cutting and recognizing statements needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword or an unquoted identifier.
    Word,
    /// `"identifier"`.
    Quoted,
    /// A string constant of any kind, dollar quotes included.
    Text,
    /// A number.
    Number,
    Semicolon,
    Open,
    Close,
    /// Operators, parameters, dots, commas…
    Other,
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

    /// Moves behind the closing `quote`, which stands doubled where it is meant. An unclosed
    /// constant reaches to the end.
    fn close(&mut self, quote: u8, backslash_escapes: bool) {
        let bytes = self.bytes();
        let stops = |byte: u8| byte == quote || (byte == b'\\' && backslash_escapes);
        // Most constants are short: a plain loop beats a call of memchr.
        while let Some(found) = bytes[self.at..].iter().position(|&byte| stops(byte)) {
            self.at += found + 1;
            if bytes[self.at - 1] == quote && self.peek(0) != quote {
                return;
            }
            self.at = (self.at + 1).min(bytes.len());
        }
        self.at = bytes.len();
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
                b'\'' => {
                    self.at += 1;
                    self.close(b'\'', false);
                    Token::Text
                }
                b'"' => {
                    self.at += 1;
                    self.close(b'"', false);
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
                        ([b'e' | b'E'], b'\'') => {
                            self.at += 1;
                            self.close(b'\'', true);
                            Token::Text
                        }
                        ([b'b' | b'B' | b'x' | b'X' | b'n' | b'N'], b'\'') => {
                            self.at += 1;
                            self.close(b'\'', false);
                            Token::Text
                        }
                        ([b'u' | b'U'], b'&') if matches!(self.peek(1), b'\'' | b'"') => {
                            let quote = self.peek(1);
                            self.at += 2;
                            self.close(quote, false);
                            if quote == b'"' { Token::Quoted } else { Token::Text }
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
