use super::name;
use crate::sql::lexer::Lexer;

#[test]
fn a_name_is_read_in_every_spelling() {
    for (text, read) in [
        ("Shop", Some("shop")),
        ("\"Shop\"", Some("Shop")),
        ("\"a\"\"b\"", Some("a\"b")),
        ("U&\"d\\0061t\\+000061\"", Some("data")),
        ("u&\"a\\\\b\"", Some("a\\b")),
        ("U&\"\\00\"", None),
        ("'it''s'", Some("it's")),
        ("'it'\n'''s'", Some("it's")),
        ("E'a\\'b'-- c\n'\\'c'", Some("a'b'c")),
        ("U&'LAT' \r 'IN\\0031'", Some("LATIN1")),
        ("E'LATIN1'", Some("LATIN1")),
        ("e'a\\'b\\u00e9'", Some("a'bé")),
        ("E'\\x41'", None),
        ("U&'LATIN\\0031'", Some("LATIN1")),
        ("1", None),
        ("(", None),
    ] {
        let (token, range) = Lexer::new(text).next().expect(text);
        assert_eq!(name(token, &text[range]).as_deref(), read, "{text}");
    }
}
