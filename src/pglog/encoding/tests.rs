use super::*;

fn named(name: &str) -> Encoding {
    Encoding::from_postgres_name(name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn names_are_read_whatever_their_case_and_hyphens() {
    for name in ["UTF8", "utf-8", "Utf_8", "unicode"] {
        assert_eq!(named(name), Encoding::UTF8, "{name}");
    }
    assert_eq!(named("iso-8859-1").postgres_name(), "LATIN1");
    assert_eq!(named("euc_jp").to_string(), "EUC_JP");
    assert_eq!(named("windows-1250").to_string(), "WIN1250");
    assert_eq!(Encoding::from_postgres_name("EUC_TW"), None);
    assert_eq!(Encoding::from_postgres_name("no such"), None);
}

#[test]
fn numbers_are_those_of_postgresql() {
    for (number, name) in [(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1"), (34, "KOI8U")] {
        let encoding = Encoding::from_postgres_number(number);
        assert_eq!(encoding.map(|encoding| encoding.postgres_name()), Some(name));
    }
    assert_eq!(Encoding::from_postgres_number(4), None, "EUC_TW");
    assert_eq!(Encoding::from_postgres_number(35), None, "no database is in SJIS");
}

#[test]
fn latin1_is_iso_8859_1_and_not_windows_1252() {
    let all: Vec<u8> = (0..=255).collect();
    let text = named("LATIN1").decode(&all).unwrap();
    assert!(text.chars().eq((0..=255).map(char::from)));
    assert_eq!(named("WIN1252").decode(b"\x80").unwrap(), "€");
}

#[test]
fn latin5_keeps_its_control_characters() {
    assert_eq!(named("LATIN5").decode(b"\xfd\x80\x9f\xfe").unwrap(), "ı\u{80}\u{9f}ş");
    assert_eq!(named("LATIN5").decode(b"\xfd\xfe").unwrap(), "ış");
    assert_eq!(named("WIN1254").decode(b"\x80").unwrap(), "€");
}

#[test]
fn multi_byte_encodings_are_read_and_checked() {
    assert_eq!(named("EUC_JP").decode(b"\xc6\xfc\xcb\xdc").unwrap(), "日本");
    assert_eq!(named("SJIS").decode(b"\x93\xfa\x96\x7b").unwrap(), "日本");
    assert_eq!(named("BIG5").decode(b"\xa4\xa4\xa4\xe5").unwrap(), "中文");
    assert_eq!(named("GBK").decode(b"\xd6\xd0").unwrap(), "中");
    assert_eq!(named("EUC_KR").decode(b"\xc7\xd1").unwrap(), "한");
    assert_eq!(named("KOI8R").decode(b"\xc4\xc1").unwrap(), "да");
    assert_eq!(named("EUC_JP").decode(b"\xc6"), None);
    assert_eq!(named("EUC_JP").decode_lossy(b"a\xc6"), "a\u{fffd}");
    assert_eq!(named("UTF8").decode(b"\xe9"), None);
    assert_eq!(named("SQL_ASCII").decode_lossy(b"\xe9"), "\u{fffd}");
}

#[test]
fn a_database_that_is_not_named_has_the_default() {
    let mut encodings = Encodings::default();
    assert!(encodings.are_utf8());
    encodings.insert("old", named("LATIN1"));
    assert!(!encodings.are_utf8());
    assert_eq!(encodings.of("old"), named("LATIN1"));
    assert_eq!(encodings.of("app"), Encoding::UTF8);
    assert_eq!(Encodings::all(named("LATIN9")).of("app"), named("LATIN9"));
}
