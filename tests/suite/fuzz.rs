//! The fuzz targets without a fuzzer: what they assert holds for our own fixtures, for the committed cases
//! (`tests/fuzz/<target>/`), and for some mutations of both.
//!
//! The functions in `tests/suite/fuzz/` are those of the targets in `fuzz/`; docs/fuzzing.md has the commands.
//! `NOROSHI_FUZZ_ROUNDS` is the number of mutations for each target, `NOROSHI_FUZZ_SEED` where chance begins.

mod config;
mod decoders;
mod documents;
mod http;
mod index;
mod letters;
mod mutate;
mod naive;
mod rules;
mod said;
mod sigma;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutate::Mutator;

/// Mutations for each target in the test command.
const ROUNDS: usize = 60;
/// Longer inputs are not mutated: they take long and find little.
const BYTES_MAX: usize = 8 * 1024;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// All files in and below a folder of the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = open.pop() {
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Runs the cases of a target, then mutations of them and of fixtures. A failed one is printed, to be written to a file
/// in `tests/fuzz/<target>/`.
fn run(target: &str, fixtures: &[&str], check: fn(&[u8])) {
    let cases = files(&format!("tests/fuzz/{target}"));
    assert!(!cases.is_empty(), "no case of {target}");
    let mut inputs = Vec::new();
    for path in cases.into_iter().chain(fixtures.iter().flat_map(|folder| files(folder))) {
        let bytes = std::fs::read(&path).expect("reads");
        let ran = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        assert!(ran.is_ok(), "{} fails, see above", path.display());
        inputs.push(bytes);
    }
    inputs.retain(|bytes| bytes.len() <= BYTES_MAX);
    let words = mutate::words(&format!("tests/fuzz/{target}.dict"));
    let mut mutator = Mutator::new(number("NOROSHI_FUZZ_SEED", 1) as u64, words);
    for round in 0..number("NOROSHI_FUZZ_ROUNDS", ROUNDS) {
        let input = mutator.next(&inputs, BYTES_MAX);
        let ran = catch_unwind(AssertUnwindSafe(|| check(&input)));
        assert!(
            ran.is_ok(),
            "round {round} of {target} fails, see above; its input:\n{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn the_index_finds_in_any_events_what_datafusion_finds() {
    run("index", &["tests/formats/windows-json"], index::check);
}

#[test]
fn any_rule_file_runs_or_is_refused_at_its_place() {
    run("rules", &["rules", "pipelines/demo/rules"], rules::check);
}

#[test]
fn any_sigma_file_runs_or_is_left_out_with_a_reason() {
    run("sigma", &[], sigma::check);
}

#[test]
fn any_windows_record_is_what_serde_json_says() {
    run("windows_json", &["tests/formats/windows-json"], decoders::windows_json);
}

#[test]
fn any_suricata_record_is_what_serde_json_says() {
    run("suricata_eve", &["tests/formats/suricata-eve"], decoders::suricata_eve);
}

#[test]
fn any_document_is_read_or_refused_at_its_place() {
    run("documents", &["schemas/tables"], documents::check);
}

#[test]
fn any_configuration_is_read_or_refused_and_tells_no_secret() {
    run("config", &[], config::check);
}

#[test]
fn any_request_has_one_answer_at_most() {
    run("http", &[], http::check);
}

#[test]
fn any_small_text_is_read_and_shown_safely() {
    run("text", &[], text::check);
}
