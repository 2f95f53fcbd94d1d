//! The process's configuration: file, environment and `--set`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::config::check(data));
