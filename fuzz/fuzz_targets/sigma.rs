//! Sigma documents: rules, filters and correlations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::sigma::check(data));
