//! The index of rules, over events in the format `windows-json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::index::check(data));
