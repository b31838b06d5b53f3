//! A hash of a text without its literals.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::{FixedState, FoldHasher};

use crate::sql::lexer::Token;

/// Hashes the tokens of a text, literals by their kind alone. Always the same for the same tokens.
#[derive(Clone)]
pub(crate) struct ShapeHasher(FoldHasher<'static>);

const STRING: u8 = 1;
const NUMBER: u8 = 2;
const OTHER: u8 = 3;
const BLANK: u8 = 4;

impl Default for ShapeHasher {
    fn default() -> Self {
        Self(FixedState::default().build_hasher())
    }
}

impl ShapeHasher {
    /// A token that stands for itself.
    #[inline]
    pub(crate) fn token(&mut self, text: &[u8]) {
        self.0.write_u8(OTHER);
        self.0.write(text);
    }

    /// A string, or else a number, whatever its value.
    #[inline]
    pub(crate) fn literal(&mut self, token: Token) {
        self.0.write_u8(if token == Token::Text { STRING } else { NUMBER });
    }

    /// The tokens before and behind do not touch.
    #[inline]
    pub(crate) fn blank(&mut self) {
        self.0.write_u8(BLANK);
    }

    /// The hash.
    #[inline]
    pub(crate) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl std::fmt::Debug for ShapeHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.finish())
    }
}
