//! Any bytes as a record's payload.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kreplay::any_bytes::payload(bytes));
