//! Small readers: stamps, dead letters, times, what may be shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::text::check(data));
