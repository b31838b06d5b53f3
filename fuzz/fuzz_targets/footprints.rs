//! Any statements, one a line.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kreplay::any_bytes::footprints(bytes));
