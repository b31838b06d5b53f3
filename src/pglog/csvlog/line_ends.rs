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
mod tests;
