//! Any bytes as a payload, in every format: no panic, and nothing torn inside quotes is accepted.

#![no_main]

use clap::ValueEnum;
use kreplay::pglog::{Encoding, Encodings, Format, Malformed, RecordReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    for &format in Format::value_variants() {
        for encoding in ["UTF8", "LATIN1", "LATIN5", "EUC_JP"] {
            let encoding = Encoding::from_postgres_name(encoding).expect("a known encoding");
            let mut reader = RecordReader::new(format, Encodings::all(encoding));
            match reader.read(payload) {
                Ok(_) if format == Format::Csvlog => {
                    let quotes = payload.iter().filter(|&&byte| byte == b'"').count();
                    assert_eq!(quotes % 2, 0, "a record's quotes pair");
                }
                Ok(_) => {}
                Err(malformed) => {
                    assert!(Malformed::REASONS.contains(&malformed.reason()));
                    assert!(malformed.to_string().len() < 1000);
                    let _ = malformed.remedy();
                }
            }
        }
    }
});
