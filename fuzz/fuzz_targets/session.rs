//! Any records, one a line, as the log of one session.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kreplay::any_bytes::session(bytes));
