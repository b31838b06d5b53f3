//! A statement with its literals taken out: what is analysed once, however often it comes.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use crate::pglog::sql::lexer::{Lexer, Token};

/// Stand for a string and for a number. No statement holds these bytes.
const STRING: u8 = 1;
const NUMBER: u8 = 2;

/// How much of a shape is kept to be shown, in bytes.
const SHOWN: usize = 200;

/// The shape of one text. Reused from text to text, so that reading one allocates nothing.
#[derive(Debug, Default)]
pub struct Shape {
    text: Vec<u8>,
    literals: Vec<Range<usize>>,
    holds_several: bool,
    depth: usize,
}

impl Shape {
    /// Reads a text.
    ///
    /// Two texts have one shape if they differ in nothing but the literals and in how their tokens
    /// are set apart (blanks, comments). What PostgreSQL's scanner tells apart stays apart: tokens
    /// that touch from tokens that don't, a plain number from any other (`1e5`, `0x1F`).
    pub fn read(&mut self, sql: &str) {
        self.text.clear();
        self.literals.clear();
        self.holds_several = false;
        let mut ended = false;
        let mut end = 0;
        let mut nesting = Nesting::default();
        for (token, range) in Lexer::new(sql) {
            if token == Token::Semicolon {
                ended = true;
                continue;
            }
            self.holds_several |= ended;
            if range.start > end && !self.text.is_empty() {
                // A line feed joins two strings to one.
                let is_broken =
                    token == Token::Text && sql[end..range.start].contains(['\n', '\r']);
                self.text.push(if is_broken { b'\n' } else { b' ' });
            }
            end = range.end;
            let bytes = &sql.as_bytes()[range.clone()];
            nesting.add(token, bytes);
            match token {
                Token::Text if matches!(bytes[0], b'\'' | b'$' | b'e' | b'E') => {
                    self.text.push(STRING);
                    self.literals.push(range);
                }
                Token::Number if is_plain(bytes) => {
                    self.text.push(NUMBER);
                    self.literals.push(range);
                }
                _ => self.text.extend_from_slice(bytes),
            }
        }
        self.depth = nesting.deepest;
    }

    /// A hash of it. Two shapes with one hash are taken for one; among the ten thousand that are
    /// kept, that happens once in 10¹¹ replays.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.text);
        hasher.finish()
    }

    /// Where the literals stand, in order.
    pub fn literals(&self) -> &[Range<usize>] {
        &self.literals
    }

    /// Whether the text goes on behind a semicolon.
    pub fn holds_several(&self) -> bool {
        self.holds_several
    }

    /// No expression in the text is nested deeper than this.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Nothing but blanks and comments.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text without a literal, cut to what can be shown.
    pub fn shown(sql: &str) -> String {
        let mut shown = String::new();
        let mut end = 0;
        for (token, range) in Lexer::new(sql) {
            if range.start > end && !shown.is_empty() {
                shown.push(' ');
            }
            end = range.end;
            match token {
                Token::Text | Token::Number => shown.push('?'),
                _ => shown.push_str(&sql[range]),
            }
            if shown.len() > SHOWN {
                let cut = (0..=SHOWN).rev().find(|&at| shown.is_char_boundary(at));
                shown.truncate(cut.unwrap_or(0));
                shown.push('…');
                break;
            }
        }
        shown
    }
}

/// Digits, with at most one point: a number that no other token hides in.
fn is_plain(number: &[u8]) -> bool {
    let points = number.iter().filter(|&&byte| byte == b'.').count();
    points <= 1 && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// An upper bound of how deep PostgreSQL's parser nests what it makes of a text.
///
/// Each level takes at least one token, and the elements of a list, the operands of AND and OR and
/// the branches of a CASE stand beside each other.
#[derive(Debug, Default)]
struct Nesting {
    /// The tokens before, in each bracket that is open.
    outer: Vec<usize>,
    around: usize,
    here: usize,
    /// Joins and set operations: each nests those before it, over all lists.
    chained: usize,
    deepest: usize,
}

impl Nesting {
    fn add(&mut self, token: Token, bytes: &[u8]) {
        let is = |word: &str| bytes.eq_ignore_ascii_case(word.as_bytes());
        match token {
            Token::Open => self.open(),
            Token::Close => self.close(),
            Token::Other if bytes == b"," => self.here = 0,
            Token::Word => match bytes.len() {
                2 if is("or") => self.here = 0,
                3 if is("and") => self.here = 0,
                3 if is("end") => self.close(),
                4 if is("case") => self.open(),
                4 if is("when") || is("then") || is("else") => self.here = 0,
                4 if is("join") => self.chained += 1,
                5 if is("union") => self.chained += 1,
                6 if is("except") => self.chained += 1,
                9 if is("intersect") => self.chained += 1,
                _ => self.here += 1,
            },
            _ => self.here += 1,
        }
        self.deepest = self.deepest.max(self.around + self.here + self.chained);
    }

    fn open(&mut self) {
        self.outer.push(self.here + 1);
        self.around += self.here + 1;
        self.here = 0;
    }

    fn close(&mut self) {
        if let Some(before) = self.outer.pop() {
            self.around -= before;
            self.here = before;
        }
    }
}
