//! Any records, one a line, as the log of one session: no panic on the way to its statements.

#![no_main]

use kreplay::pglog::session_log::SessionLog;
use kreplay::pglog::{Encodings, Format, RecordReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|log: &[u8]| {
    let mut reader = RecordReader::new(Format::Auto, Encodings::default());
    let mut session = SessionLog::default();
    for line in log.split(|&byte| byte == b'\n') {
        if let Ok(record) = reader.read(line) {
            session.read(&record);
        }
    }
});
