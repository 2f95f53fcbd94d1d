//! The decoder `suricata-eve`, and the rows that its events make.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::decoders::suricata_eve(data));
