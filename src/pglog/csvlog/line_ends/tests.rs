use super::*;

#[track_caller]
fn check(payload: &str, expected: &str) {
    // What an earlier record left behind does not matter.
    let mut buffer = b"before".to_vec();
    let text = untranslated(payload.as_bytes(), &mut buffer);
    assert_eq!(std::str::from_utf8(text), Ok(expected));
}

#[test]
fn a_record_that_ends_in_cr_lf_loses_one_cr_before_each_line_feed() {
    check("a\r\nb\r\n", "a\nb");
    check("a\r\n\r\nb\r\n", "a\n\nb");
    check("\r\na\r\n", "\na");
    check("a\rb\r\n", "a\rb");
    check("ab\r\n", "ab");
    check("\r\n", "");
}

#[test]
fn what_a_client_sent_as_cr_lf_stays_one() {
    check("a\r\r\nb\r\n", "a\r\nb");
    check("a\r\nb\n", "a\r\nb\n");
    check("a\r\nb", "a\r\nb");
}

#[test]
fn a_line_feed_without_a_cr_in_a_record_that_ends_in_cr_lf_stays_as_it_is() {
    check("a\nb\r\nc\r\n", "a\nb\nc");
}
