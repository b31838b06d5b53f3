//! Outlines of texts that differ from one that was read in nothing but their literals.
//!
//! A log holds the same few texts again and again. Between its literals such a text has the bytes of
//! the one that was read, so that comparing them tells all that lexing it word by word would: the lexer
//! is asked for the literals alone.

use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::fast::FixedState;

use super::lexer::{Lexer, Token};
use super::outline::Outline;

/// Texts that were read. A memo: what it gives is what reading gives.
#[derive(Debug)]
pub(super) struct Known {
    buckets: Vec<Bucket>,
}

impl Outline {
    /// Reads a string of statements.
    pub fn of(sql: &str) -> Self {
        thread_local! {
            /// A thread's own: what it saves is less than a lock costs.
            static KNOWN: RefCell<Known> = RefCell::default();
        }
        KNOWN.with_borrow_mut(|known| known.outline(sql))
    }
}

/// Texts with one beginning.
#[derive(Debug, Clone, Default)]
struct Bucket {
    /// The one that was met last comes first.
    texts: Vec<Text>,
    /// The shapes of the last texts that were not known. One is remembered when it comes again: many
    /// come only once.
    missed: [u64; 4],
    misses: usize,
}

#[derive(Debug, Clone)]
struct Text {
    sql: Box<str>,
    literals: Box<[(Token, Range<usize>)]>,
    outline: Outline,
}

const BUCKETS: usize = 256;
const TEXTS_IN_BUCKET: usize = 8;
/// Longer texts are not remembered, in bytes.
const LONGEST: usize = 4096;
/// So much of a text tells its bucket, in bytes.
const BEGINNING: usize = 32;

impl Default for Known {
    fn default() -> Self {
        Self { buckets: vec![Bucket::default(); BUCKETS] }
    }
}

impl Known {
    /// The outline of a text.
    pub(super) fn outline(&mut self, sql: &str) -> Outline {
        if sql.len() > LONGEST {
            return Outline::read(sql, |_, _| {}).0;
        }
        let bucket = &mut self.buckets[beginning(sql.as_bytes()) % BUCKETS];
        for at in 0..bucket.texts.len() {
            if let Some(outline) = bucket.texts[at].outline_of(sql) {
                // It moves ahead by one, so that what comes often is found soon.
                bucket.texts.swap(at, at.saturating_sub(1));
                return outline;
            }
        }
        let mut literals = Vec::new();
        let (outline, by_tokens) = Outline::read(sql, |token, range| {
            if matches!(token, Token::Text | Token::Number) {
                literals.push((token, range));
            }
        });
        if by_tokens && outline.parts.len() == 1 && bucket.comes_again(outline.shape) {
            let text =
                Text { sql: sql.into(), literals: literals.into(), outline: outline.clone() };
            bucket.texts.truncate(TEXTS_IN_BUCKET - 1);
            bucket.texts.push(text);
        }
        outline
    }
}

impl Bucket {
    fn comes_again(&mut self, shape: u64) -> bool {
        let again = self.missed.contains(&shape);
        if !again {
            self.missed[self.misses % self.missed.len()] = shape;
            self.misses += 1;
        }
        again
    }
}

impl Text {
    /// The outline of another text, if it differs in literals alone.
    fn outline_of(&self, sql: &str) -> Option<Outline> {
        let (own, other) = (self.sql.as_bytes(), sql.as_bytes());
        let (mut own_at, mut at) = (0, 0);
        for (token, range) in &self.literals {
            let between = &own[own_at..range.start];
            if !other[at..].starts_with(between) {
                return None;
            }
            at += between.len();
            // With another first byte it could belong to the word before it: `a'…'`, `a$$…$$`.
            if *token == Token::Text && other.get(at) != own.get(range.start) {
                return None;
            }
            let (found, literal) = Lexer::from(sql, at).next()?;
            if found != *token || literal.start != at {
                return None;
            }
            (own_at, at) = (range.end, literal.end);
        }
        if own[own_at..] != other[at..] {
            return None;
        }
        let mut outline = self.outline.clone();
        for part in &mut outline.parts {
            // It begins before the first literal, or with it, and ends behind the last.
            part.range.end = sql.len() - (own.len() - part.range.end);
        }
        Some(outline)
    }
}

/// A hash of how a text begins, up to where its first literal may.
fn beginning(sql: &[u8]) -> usize {
    let beginning = &sql[..sql.len().min(BEGINNING)];
    let literal = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'\'' | b'$');
    let end = beginning.iter().position(literal).unwrap_or(beginning.len());
    FixedState::default().hash_one(&beginning[..end]) as usize
}

#[cfg(test)]
mod tests;
