//! Tables, pipelines and metadata: TOML and YAML.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| noroshi_fuzz::documents::check(data));
