//! Any text as the metadata of a commit.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kreplay::any_bytes::metadata(bytes));
