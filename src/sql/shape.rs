//! A statement with its literals taken out: what is analysed once, however often it comes.

pub(crate) mod hasher;

use std::ops::Range;

use self::hasher::ShapeHasher;
use crate::sql::lexer::{Lexer, Token};

/// The shape of one text. Reused from text to text, so that reading one allocates nothing.
#[derive(Debug, Default)]
pub struct Shape {
    hash: u64,
    literals: Vec<Range<usize>>,
    is_empty: bool,
    holds_several: bool,
}

impl Shape {
    /// Reads a text.
    ///
    /// Two texts have one shape if they differ in nothing but the literals and in how their tokens
    /// are set apart (blanks, comments). What PostgreSQL's scanner tells apart stays apart: tokens
    /// that touch from tokens that don't, a plain number from any other (`1e5`, `0x1F`).
    pub fn read(&mut self, sql: &str) {
        self.literals.clear();
        self.is_empty = true;
        self.holds_several = false;
        let mut hasher = ShapeHasher::default();
        let mut ended = false;
        let mut end = 0;
        for (token, range) in Lexer::new(sql) {
            if token == Token::Semicolon {
                ended = true;
                continue;
            }
            self.holds_several |= ended;
            if range.start > end && !self.is_empty {
                hasher.blank();
            }
            self.is_empty = false;
            end = range.end;
            let bytes = &sql.as_bytes()[range.clone()];
            match token {
                Token::Text if matches!(bytes[0], b'\'' | b'$' | b'e' | b'E') => {
                    hasher.literal(token);
                    self.literals.push(range);
                }
                Token::Number if is_plain(bytes) => {
                    hasher.literal(token);
                    self.literals.push(range);
                }
                _ => hasher.token(bytes),
            }
        }
        self.hash = hasher.finish();
    }

    /// A hash of it. Two shapes with one hash are taken for one; among the ten thousand that are
    /// kept, that happens once in 10¹¹ replays.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Where the literals stand, in order.
    pub fn literals(&self) -> &[Range<usize>] {
        &self.literals
    }

    /// Whether the text goes on behind a semicolon.
    pub fn holds_several(&self) -> bool {
        self.holds_several
    }

    /// Nothing but blanks and comments.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The text in one line with `?` for every literal and without comments, cut to `longest` bytes.
    ///
    /// What a SET or an ALTER SYSTEM sets is a literal too, quoted or not, and a list of more than two
    /// literals is cut. Where PostgreSQL may read a backslash before a quote otherwise
    /// (`standard_conforming_strings = off`), the rest of the text could be a literal and is left out.
    pub fn shown(sql: &str, longest: usize) -> String {
        let mut shown = String::new();
        let mut end = 0;
        let mut setting = Setting::default();
        for (token, range) in Lexer::new(sql) {
            let text = &sql[range.clone()];
            let was_value = setting == Setting::Value;
            setting = setting.after(token, text);
            let is_value = setting == Setting::Value;
            if was_value && is_value {
                end = range.end;
                continue;
            }
            if range.start > end && !shown.is_empty() {
                shown.push(' ');
            }
            end = range.end;
            match token {
                Token::Text if is_ambiguous(text) => {
                    shown.push_str("?…");
                    break;
                }
                Token::Text | Token::Number => push_literal(&mut shown),
                // A name in quotes may hold anything.
                _ => shown.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c })),
            }
            if is_value {
                shown.push_str(" ?");
            }
            if shown.len() > longest {
                let cut = (0..=longest).rev().find(|&at| shown.is_char_boundary(at));
                shown.truncate(cut.unwrap_or(0));
                shown.push('…');
                break;
            }
        }
        shown
    }
}

/// Adds a literal; the third of a list and all behind it are one `…`.
fn push_literal(shown: &mut String) {
    let list = shown.trim_end_matches([' ', ',']);
    let in_list = list.len() < shown.len() && shown[list.len()..].contains(',');
    if in_list && (list.ends_with("?, ?") || list.ends_with("?,?")) {
        let kept = list.len();
        shown.truncate(kept);
        shown.push_str(", …");
    } else if in_list && list.ends_with('…') {
        let kept = list.len();
        shown.truncate(kept);
    } else {
        shown.push('?');
    }
}

/// Where in `SET name = value` a token is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Setting {
    #[default]
    Unread,
    /// In another statement.
    Elsewhere,
    /// Behind ALTER.
    Alter,
    /// Behind ALTER ROLE and its like.
    AlterOwner,
    /// Behind SET.
    Name,
    /// At the `=` or TO, or behind it.
    Value,
}

impl Setting {
    fn after(self, token: Token, text: &str) -> Self {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        match self {
            _ if token == Token::Semicolon => Self::Unread,
            Self::Unread if is("set") => Self::Name,
            Self::Unread if is("alter") => Self::Alter,
            Self::Alter if ["system", "role", "user", "database"].iter().any(|word| is(word)) => {
                Self::AlterOwner
            }
            Self::AlterOwner if is("set") => Self::Name,
            Self::Name if is("=") || is("to") => Self::Value,
            Self::Unread | Self::Alter => Self::Elsewhere,
            other => other,
        }
    }
}

/// Whether the string ends elsewhere where a backslash escapes a quote.
fn is_ambiguous(literal: &str) -> bool {
    if literal.starts_with(['e', 'E', '$']) {
        return false;
    }
    let mut backslashes = 0usize;
    for byte in literal.bytes() {
        match byte {
            b'\\' => backslashes += 1,
            b'\'' if backslashes % 2 == 1 => return true,
            _ => backslashes = 0,
        }
    }
    false
}

/// Digits, with at most one point: a number that no other token hides in.
fn is_plain(number: &[u8]) -> bool {
    let points = number.iter().filter(|&&byte| byte == b'.').count();
    points <= 1 && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}
