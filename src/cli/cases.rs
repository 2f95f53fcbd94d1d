//! Case folders of a pipeline: which there are, and what may lie in one.
//!
//! Owns the layout of `cases/<name>/`. What comes of a case is `cli::test`'s. Called by it and by `cli::check`.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, codes, suggest};
use crate::pipeline::definition::Pipeline;

/// What a case expects.
pub const EXPECT: &str = "expect.json";

/// The case folders, in the order of their names.
pub fn folders(pipeline: &Pipeline) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(&pipeline.cases) else { return Vec::new() };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The input of a source in a case.
pub fn input(folder: &Path, source: &str) -> PathBuf {
    folder.join(format!("{source}.ndjson"))
}

/// What is wrong with a case folder: nothing in it to read, or a file that nothing reads. Notes for people (`.md`)
/// and hidden files may lie there.
pub fn faults(pipeline: &Pipeline, folder: &Path) -> Vec<Diagnostic> {
    let inputs: Vec<String> = pipeline.sources.iter().map(|source| format!("{}.ndjson", source.id)).collect();
    let mut names: Vec<String> = match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", folder.display());
            return vec![Diagnostic::new(codes::D001, message)];
        }
    };
    names.sort();
    let mut found: Vec<Diagnostic> = names
        .iter()
        .filter(|name| *name != EXPECT && !name.starts_with('.') && !name.ends_with(".md"))
        .filter(|name| !inputs.contains(name))
        .map(|name| {
            let message = format!("{}: no source has the input `{name}`", folder.display());
            let help = suggest(name, inputs.iter().map(String::as_str));
            Diagnostic::new(codes::T004, message).help(help)
        })
        .collect();
    if !names.iter().any(|name| inputs.contains(name)) {
        let message = format!("{}: the case has no input", folder.display());
        let help = format!("a case holds some of: {}", inputs.join(", "));
        found.push(Diagnostic::new(codes::T004, message).help(help));
    }
    found
}
