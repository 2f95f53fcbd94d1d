//! The HTTP endpoint, over a socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::http::check(data));
