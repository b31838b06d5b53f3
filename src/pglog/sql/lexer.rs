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

    fn bytes(&self) -> &'a [u8] {
        self.sql.as_bytes()
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Moves behind the closing `quote`, which stands doubled where it is meant. An unclosed
    /// constant reaches to the end.
    fn close(&mut self, quote: u8, backslash_escapes: bool) {
        while let Some(&byte) = self.bytes().get(self.at) {
            self.at += 1;
            if byte == b'\\' && backslash_escapes {
                self.at += 1;
            } else if byte == quote {
                if self.peek(0) != quote {
                    return;
                }
                self.at += 1;
            }
        }
        self.at = self.bytes().len();
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.bytes().len() {
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
        self.at = self.bytes().len();
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

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

impl Iterator for Lexer<'_> {
    type Item = (Token, Range<usize>);

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
                    while is_word(self.peek(0)) {
                        self.at += 1;
                    }
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
