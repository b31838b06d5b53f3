//! Finds quotes and takes doubled ones apart, where they stand close together.

use std::ops::Range;

/// Where the quotes of a text stand, from the first to the last.
///
/// Eight bytes are looked at together: a `"` is a byte that is zero when all have been exclusive-ored
/// with it, and of such bytes this leaves the highest bit (Warren, Hacker's Delight, 6-1).
pub(super) struct Quotes<'a> {
    text: &'a [u8],
    /// The bytes that are looked at begin here.
    at: usize,
    /// The highest bit of each of these that is a quote and has not been given.
    found: u64,
}

const WORD: usize = size_of::<u64>();
const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const QUOTES: u64 = u64::from_ne_bytes([b'"'; WORD]);

impl<'a> Quotes<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, found: quotes(word(text)) }
    }
}

impl Iterator for Quotes<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.at += WORD;
            self.found = quotes(word(self.text.get(self.at..)?));
        }
        let byte = self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(self.at + byte)
    }
}

/// The first bytes, the first of them the lowest; what is missing at the end is zero.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[inline]
fn quotes(word: u64) -> u64 {
    let differ = word ^ QUOTES;
    !(((differ & LOW_BITS) + LOW_BITS) | differ | LOW_BITS)
}

/// Fields without their doubled quotes. Its buffer is used again.
#[derive(Debug, Default)]
pub(super) struct Unescaped {
    buffer: Vec<u8>,
    filled: usize,
}

/// A piece of no more bytes is copied as this many: that takes one instruction, and no call.
const PIECE: usize = 16;

impl Unescaped {
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// What has been pushed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Adds a piece of a text.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8], piece: Range<usize>) {
        let filled = self.filled + piece.len();
        if self.buffer.len() < filled + PIECE {
            self.buffer.resize((filled + PIECE).next_power_of_two(), 0);
        }
        let to = &mut self.buffer[self.filled..];
        match (text[piece.start..].first_chunk::<PIECE>(), to.first_chunk_mut::<PIECE>()) {
            (Some(from), Some(to)) if piece.len() <= PIECE => *to = *from,
            _ => to[..piece.len()].copy_from_slice(&text[piece]),
        }
        self.filled = filled;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_quote_is_found_and_nothing_else(text in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b'"' ^ 1), Just(b'"' | 0x80), Just(b'!'), Just(0), any::<u8>()],
            0..70,
        )) {
            let found: Vec<usize> = Quotes::of(&text).collect();
            let quotes = text.iter().enumerate().filter(|(_, byte)| **byte == b'"');
            prop_assert_eq!(found, quotes.map(|(at, _)| at).collect::<Vec<_>>());
        }

        #[test]
        fn pieces_are_put_together_as_they_come(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..9),
            cut in 0usize..70,
        ) {
            let mut unescaped = Unescaped::default();
            unescaped.push(b"of another time", 0..15);
            unescaped.clear();
            let mut expected = Vec::new();
            for text in &texts {
                let piece = cut.min(text.len())..text.len();
                expected.extend_from_slice(&text[piece.clone()]);
                unescaped.push(text, piece);
            }
            prop_assert_eq!(unescaped.bytes(), expected);
        }
    }
}
