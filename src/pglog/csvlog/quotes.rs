//! Finds quotes and takes doubled ones apart, where they stand close together.

use std::ops::Range;

use wide::u8x16;

/// Where the quotes of a text stand, from the first to the last.
pub(super) struct Quotes<'a> {
    text: &'a [u8],
    /// The block that is looked at begins here.
    at: usize,
    /// A bit for each byte of it that is a quote and has not been given, the lowest for the first.
    found: u64,
}

/// So many bytes are looked at together.
const BLOCK: usize = u64::BITS as usize;

impl<'a> Quotes<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, found: first_quotes(text) }
    }
}

impl Iterator for Quotes<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.at += BLOCK;
            self.found = first_quotes(self.text.get(self.at..)?);
        }
        let byte = self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(self.at + byte)
    }
}

/// The quotes among the first [`BLOCK`] bytes.
#[inline]
fn first_quotes(text: &[u8]) -> u64 {
    if let Some(block) = text.first_chunk() {
        return quotes(block);
    }
    let mut block = [0; BLOCK];
    block[..text.len()].copy_from_slice(text);
    quotes(&block)
}

#[inline]
fn quotes(block: &[u8; BLOCK]) -> u64 {
    let (lanes, _) = block.as_chunks();
    let found = lanes.iter().map(|lane| u8x16::new(*lane).cmp_eq(u8x16::splat(b'"')).move_mask());
    // A mask has a bit for each of its sixteen bytes.
    found.rev().fold(0, |all, mask| all << 16 | u64::from(mask as u16))
}

/// Fields without their doubled quotes. Its buffer is used again.
#[derive(Debug, Default)]
pub(super) struct Unescaped {
    buffer: Vec<u8>,
    filled: usize,
}

/// A piece of no more bytes is copied as this many: that takes two instructions, and no call.
const PIECE: usize = 32;
/// What a longer text took is given back.
const KEPT: usize = 1 << 20;

impl Unescaped {
    /// Forgets what has been pushed. What is pushed now is in all no more than this text.
    pub(super) fn begin(&mut self, text: &[u8]) {
        self.filled = 0;
        let room = (text.len() + PIECE).next_power_of_two();
        if self.buffer.len() < room || self.buffer.len() > room.max(KEPT) {
            self.buffer = vec![0; room];
        }
    }

    /// What has been pushed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Adds a piece of a text.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8], piece: Range<usize>) {
        let to = &mut self.buffer[self.filled..];
        self.filled += piece.len();
        match (text[piece.start..].first_chunk::<PIECE>(), to.first_chunk_mut::<PIECE>()) {
            (Some(from), Some(to)) if piece.len() <= PIECE => *to = *from,
            _ => to[..piece.len()].copy_from_slice(&text[piece]),
        }
    }
}

#[cfg(test)]
mod tests;
