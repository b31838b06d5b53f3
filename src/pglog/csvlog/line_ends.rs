//! The line ends of a log that a server on Windows has written.
//!
//! There PostgreSQL writes its log in text mode: each line feed, be it within a statement, becomes
//! CR LF, and what a client sent as CR LF becomes CR CR LF. A record of such a log is told by its own
//! end. Where records end in a line feed alone, a CR LF within one is the client's.

use memchr::memchr_iter;

/// The payload as the server meant it, in `buffer` where that is not how it came.
pub(super) fn untranslated<'a>(payload: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    let Some(record) = payload.strip_suffix(b"\r\n") else { return payload };
    let mut from = 0;
    for feed in memchr_iter(b'\n', record) {
        if record[..feed].ends_with(b"\r") {
            buffer.extend_from_slice(&record[from..feed - 1]);
            from = feed;
        }
    }
    if from == 0 {
        return record;
    }
    buffer.extend_from_slice(&record[from..]);
    buffer
}

#[cfg(test)]
mod tests {
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
}
