//! Any text as a message, a detail and a context: no panic, and what is split is part of it.

#![no_main]

use kreplay::pglog::message::{LogEvent, read_message, split_known, split_name};
use kreplay::pglog::parameters::{read_detail, read_error_parameters};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let LogEvent::Parse(rest)
    | LogEvent::Bind(rest)
    | LogEvent::Execute(rest)
    | LogEvent::Fetch(rest) = read_message(text).event
        && let Some(name) = split_name(rest)
    {
        let known = split_known(rest, name.statement.unwrap_or_default(), name.text);
        assert_eq!(known, Some(name), "both ways to split agree on what one of them found");
    }
    let _ = read_detail(text);
    let _ = read_error_parameters(text);
});
