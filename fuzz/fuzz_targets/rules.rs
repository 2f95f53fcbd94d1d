//! Rule files: front matter and SQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::rules::check(data));
