//! Rule files: which there are, and the metadata at their head.
//!
//! Owns finding files in folders, the front matter, and the checks that metadata alone can fail. The SQL
//! behind it is `rules::sql`'s. Called by `rules::load`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::RuleLimits;
use super::meta::{Expect, Given, RuleMeta, RuleScope, RuleTest};
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};
use crate::document::{self, Document, Spans};

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

/// The `.sql` files among and below `paths`, each once, in the order of their names.
pub(super) fn find(paths: &[PathBuf], limits: &RuleLimits, found: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => folder(path, 0, limits, &mut files, found),
            Ok(_) => files.push(path.clone()),
            Err(error) => {
                found.push(Diagnostic::new(codes::D001, format!("cannot read {}: {error}", path.display())));
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    if files.len() > limits.files_max {
        let message = format!("more than {} rule files", limits.files_max);
        found.push(Diagnostic::new(codes::D001, message).help("split them over several pipelines"));
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
        found.push(Diagnostic::new(codes::D001, message).help("is there a loop of symbolic links?"));
        return;
    }
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            found.push(Diagnostic::new(codes::D001, format!("cannot read {}: {error}", path.display())));
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
        // A link to a folder is not followed: a rule set is what lies in its folder.
        let Ok(kind) = std::fs::symlink_metadata(&entry).map(|meta| meta.file_type()) else { continue };
        if kind.is_dir() {
            folder(&entry, depth + 1, limits, files, found);
        } else if entry.extension().is_some_and(|extension| extension == "sql") && entry.is_file() {
            files.push(entry);
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

/// What the metadata alone can have wrong. `outputs` are the query's columns, when the query is sound.
pub(super) fn check(rule: &RuleFile, outputs: Option<&[String]>, found: &mut Vec<Diagnostic>) {
    let Some(document) = &rule.document else { return };
    let (meta, spans) = (&document.value, &document.spans);
    if meta.scope == RuleScope::CrossOrg {
        let message = "`scope: cross_org` is not available in this version";
        found.push(
            Diagnostic::new(codes::R005, message)
                .at(spans.value("/scope"))
                .help("leave `scope` out: the rule sees one organisation at a time"),
        );
    }
    if meta.suppress.is_some() {
        let message = "`suppress` is not available in this version";
        found.push(Diagnostic::new(codes::R005, message).at(spans.value("/suppress")).help(
            "leave it out; alerts carry the same key for the same entity, so that the SIEM can group them",
        ));
    }
    for (at, tag) in meta.tags.iter().enumerate() {
        if tag.starts_with("attack.") && !is_attack_tag(tag) {
            found.push(
                Diagnostic::new(codes::R006, format!("`{tag}` is not a known form of an ATT&CK tag"))
                    .at(spans.value(&format!("/tags/{at}")))
                    .help("write a technique (attack.t1059.001), a tactic (attack.credential-access), a group (attack.g0016) or a software (attack.s0002)")
                    .warning(),
            );
        }
    }
    let Some(outputs) = outputs else { return };
    for (at, entity) in meta.entity.iter().enumerate() {
        if !outputs.contains(entity) {
            found.push(
                Diagnostic::new(codes::R004, format!("the query returns no column `{entity}`"))
                    .at(spans.value(&format!("/entity/{at}")))
                    .help(crate::diagnostic::suggest(entity, outputs.iter().map(String::as_str))),
            );
        }
    }
    for (at, test) in meta.tests.iter().enumerate().filter(|(at, _)| !spans.is_lost(&format!("/tests/{at}")))
    {
        check_test(rule, spans, at, test, outputs, found);
    }
}

/// What of a test can never pass: a file that is not there, an output that the query does not return.
fn check_test(
    rule: &RuleFile,
    spans: &Spans,
    at: usize,
    test: &RuleTest,
    outputs: &[String],
    found: &mut Vec<Diagnostic>,
) {
    if let Given::File(file) = &test.given {
        let path = rule.file.path.parent().unwrap_or(Path::new("")).join(file);
        if !path.is_file() {
            found.push(
                Diagnostic::new(codes::T001, format!("the test's input {} is not there", path.display()))
                    .at(spans.value(&format!("/tests/{at}/given")))
                    .help("the path is relative to the rule"),
            );
        }
    }
    let Expect::Alerts(alerts) = &test.expect else { return };
    for (nth, alert) in alerts.iter().enumerate() {
        for name in
            alert.keys().filter(|name| !outputs.iter().any(|output| output.eq_ignore_ascii_case(name)))
        {
            let pointer = format!("/tests/{at}/expect/{nth}/{}", document::pointer_segment(name));
            found.push(
                Diagnostic::new(codes::T002, format!("the query returns no column `{name}`"))
                    .at(spans.key(&pointer))
                    .help(crate::diagnostic::suggest(name, outputs.iter().map(String::as_str))),
            );
        }
    }
}

/// `attack.` and a technique, a group, a software, a mitigation, a data source or a tactic's name.
fn is_attack_tag(tag: &str) -> bool {
    let Some(name) = tag.strip_prefix("attack.") else { return false };
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let numbered = |name: &str| {
        let (Some(kind), Some(rest)) = (name.get(..1), name.get(1..)) else { return false };
        match (kind, rest.split_once('.')) {
            ("t", Some((technique, sub))) => digits(technique, 4) && digits(sub, 3),
            ("t" | "g" | "s" | "m" | "c", None) => digits(rest, 4),
            _ => false,
        }
    };
    let lower = name.to_ascii_lowercase();
    let tactic = name.len() >= 4
        && !name.bytes().any(|byte| byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_');
    numbered(&lower) || tactic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_tags_have_known_forms() {
        for (tag, expect) in [
            ("attack.t1059", true),
            ("attack.t1059.001", true),
            ("attack.T1059.001", true),
            ("attack.credential-access", true),
            ("attack.defense_evasion", true),
            ("attack.g0016", true),
            ("attack.s0002", true),
            ("attack.t59", false),
            ("attack.t1059.1", false),
            ("attack.", false),
            ("attack.x1", false),
            ("attack.Credential Access", false),
        ] {
            assert_eq!(is_attack_tag(tag), expect, "{tag}");
        }
    }

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
