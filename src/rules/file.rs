//! Rule files: which there are, and the metadata at their head.
//!
//! Owns finding files in folders, and the front matter of SQL. What the metadata says is checked by `rules::metadata`,
//! the SQL behind it by `rules::sql`; what is in Sigma's files is `rules::sigma`'s. Called by `rules::load`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::RuleLimits;
use super::meta::RuleMeta;
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};
use crate::document::{self, Document};

/// Opens the metadata: a block comment, so that any SQL editor reads the file.
const OPEN: &str = "/*---";
/// Closes it.
const CLOSE: &str = "---*/";

/// A rule file, read as far as its metadata.
#[derive(Debug)]
pub(super) struct RuleFile {
    pub(super) file: Arc<SourceFile>,
    /// The metadata as far as it can be read.
    pub(super) document: Option<Document<RuleMeta>>,
    /// `version` of the metadata, or the hash of the file.
    pub(super) version: String,
    /// Where the SQL stands.
    pub(super) sql: Range<usize>,
}

/// Names of the files that rules are in end so.
const EXTENSIONS: [&str; 3] = ["sql", "yml", "yaml"];

/// True for the name of a file with Sigma documents.
pub(super) fn is_sigma(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml")
    })
}

/// The rule files among and below `paths`, each once, in the order of their names.
pub(super) fn find(paths: &[PathBuf], limits: &RuleLimits, found: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut empty = Vec::new();
    for path in paths {
        let before = (files.len(), found.len());
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                folder(path, 0, limits, &mut files, found);
                if before == (files.len(), found.len()) {
                    empty.push(path);
                }
            }
            Ok(_) => files.push(path.clone()),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                found.push(Diagnostic::new(codes::D001, message).about(path));
            }
        }
    }
    for path in empty {
        let message = format!("no rule is in {} or below", path.display());
        let problem = Diagnostic::new(codes::R008, message)
            .help("rules are files whose names end in .sql, and Sigma's in .yml");
        // Beside others, an empty folder may be meant for later.
        found.push(if files.is_empty() { problem } else { problem.warning() });
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    if files.len() > limits.files_max {
        let message = format!("{} rule files, more than limits.rules_max, {}", files.len(), limits.files_max);
        let help = "raise limits.rules_max, or split them over several pipelines";
        found.push(Diagnostic::new(codes::D001, message).help(help));
        files.truncate(limits.files_max);
    }
    files
}

fn folder(
    path: &Path,
    depth: usize,
    limits: &RuleLimits,
    files: &mut Vec<PathBuf>,
    found: &mut Vec<Diagnostic>,
) {
    // A loop of symbolic links ends here as well, as each turn goes one deeper.
    if depth > limits.folder_depth_max {
        let message = format!("{} lies deeper than {} folders", path.display(), limits.folder_depth_max);
        let told = Diagnostic::new(codes::D001, message).about(path);
        found.push(told.help("is there a loop of symbolic links?"));
        return;
    }
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            found.push(Diagnostic::new(codes::D001, message).about(path));
            return;
        }
    };
    entries.sort();
    for entry in entries {
        if files.len() > limits.files_max {
            return;
        }
        // Hidden: an editor's, or the copies behind the links of a mounted ConfigMap, of which there are two for a moment.
        if entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        // Links are followed: a mounted ConfigMap is made of them, folders included.
        if entry.is_dir() {
            folder(&entry, depth + 1, limits, files, found);
        } else if entry
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
        {
            if entry.is_file() {
                files.push(entry);
                continue;
            }
            // A rule must not vanish without a word; but one of Sigma's refuses nothing.
            let message = format!("{} is no file, or a link to nothing", entry.display());
            let told =
                Diagnostic::new(codes::D001, message).about(&entry).help("mend the link, or take it away");
            found.push(if is_sigma(&entry) { told.warning() } else { told });
        }
    }
}

/// Reads the metadata of a file.
pub(super) fn read(file: &Arc<SourceFile>, found: &mut Vec<Diagnostic>) -> Option<RuleFile> {
    let text = &file.text;
    let start = text.len() - text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).len();
    let place = |span: Range<usize>| Location::new(file, span);
    if !text[start..].starts_with(OPEN) {
        let problem = Diagnostic::new(codes::R001, "the rule does not begin with its metadata")
            .at(place(start..start))
            .help("begin the file with /*--- , then YAML with at least `id` and `title`, then ---*/");
        found.push(problem);
        let file = Arc::clone(file);
        return Some(RuleFile { file, document: None, version: hash(text), sql: start..text.len() });
    }
    let yaml = start + OPEN.len();
    let Some(length) = text[yaml..].find(CLOSE) else {
        let problem = Diagnostic::new(codes::R001, "the metadata is not closed")
            .at(place(start..yaml))
            .help("close it with ---*/ on a line of its own");
        found.push(problem);
        return None;
    };
    let end = yaml + length;
    let before = found.len();
    let document = document::look_at_yaml::<RuleMeta>(file, yaml..end, found);
    for diagnostic in &mut found[before..] {
        // What has no place of its own is about the metadata as a whole.
        if diagnostic.location.as_ref().is_none_or(|location| location.span == (0..0)) {
            diagnostic.location = Some(place(start..yaml));
        }
    }
    let given = document.as_ref().and_then(|document| document.value.version.clone());
    let version = given.unwrap_or_else(|| hash(text));
    Some(RuleFile { file: Arc::clone(file), document, version, sql: end + CLOSE.len()..text.len() })
}

/// The first 64 bits of a digest, in hexadecimal: the form of every version that is not given.
pub(super) fn short(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The first 64 bits of the SHA-256 of a text, in hexadecimal.
fn hash(text: &str) -> String {
    short(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_metadata_s_or_the_hash_of_the_file() {
        // `printf '/*---\nid: a\ntitle: b\n---*/\n' | sha256sum`
        for (text, expect) in [
            ("/*---\nid: a\ntitle: b\nversion: '7'\n---*/\n", "7"),
            ("/*---\nid: a\ntitle: b\n---*/\n", "6c5626a98631668b"),
        ] {
            let rule = read(&SourceFile::new("a.sql", text), &mut Vec::new()).expect("reads");
            assert_eq!(rule.version, expect);
        }
    }
}
