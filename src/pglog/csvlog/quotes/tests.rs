use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_quote_is_found_and_nothing_else(text in prop::collection::vec(
        prop_oneof![Just(b'"'), Just(b'"' ^ 1), Just(b'"' | 0x80), Just(b'!'), Just(0), any::<u8>()],
        0..200,
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
        unescaped.begin(b"of another time");
        unescaped.push(b"of another time", 0..15);
        unescaped.begin(&texts.concat());
        let mut expected = Vec::new();
        for text in &texts {
            let piece = cut.min(text.len())..text.len();
            expected.extend_from_slice(&text[piece.clone()]);
            unescaped.push(text, piece);
        }
        prop_assert_eq!(unescaped.bytes(), expected);
    }
}
