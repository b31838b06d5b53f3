//! Any bytes as a log file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kreplay::any_bytes::splitter(bytes));
