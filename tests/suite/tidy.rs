//! What reviewers would otherwise have to look for: sizes, layers, forbidden words, dead links.
//!
//! Owns reading the tree as text. Each test lists all that is wrong, with file and line.

use std::fs;
use std::path::{Path, PathBuf};

use noroshi::normalise::schema::Catalog;

/// Lines of a file without its tests.
const LINES_MAX: usize = 500;
/// Files that are longer, with their length: they may only shrink.
const TOO_LONG: &[(&str, usize)] = &[];

/// Who may import what of ours, in the order of the data's way. `a::b` allows that part only. A module that is
/// not here may import everything: the commands, which put the others together.
const LAYERS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("printable", &[]),
    ("diagnostic", &["printable"]),
    ("document", &["diagnostic"]),
    ("decode", &[]),
    ("config", &["decode::DecodeLimits", "diagnostic", "document", "record::wall_clock"]),
    ("normalise", &["decode", "diagnostic", "document", "record"]),
    ("rules", &["config::Limits", "diagnostic", "document", "normalise", "printable"]),
    ("detect", &["decode", "diagnostic", "normalise", "observe::panics", "record", "rules"]),
    // The consumer subscribes to what the pipeline declares.
    ("source", &["config::kafka", "pipeline::definition"]),
    ("sink", &["config::kafka", "decode::Reject", "record", "source::RecordRef"]),
    ("observe", &["config", "printable", "record"]),
    ("api", &["observe"]),
    (
        "pipeline",
        &[
            "config",
            "decode",
            "detect",
            "diagnostic",
            "document",
            "normalise",
            "observe",
            "record",
            "rules",
            "sink",
            "source",
        ],
    ),
    ("demo", &["printable", "record", "rules::meta"]),
];

/// Crates that only some files may name (I-10).
const CRATES: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/source/kafka", "src/sink/kafka", "src/config/kafka", "src/demo/broker.rs"]),
    ("datafusion", &["src/rules", "src/detect"]),
    ("sqlparser", &["src/rules", "src/normalise/condition.rs"]),
    ("simd_json", &["src/decode"]),
    ("axum", &["src/api"]),
    ("clap", &["src/cli", "src/source/files.rs"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder whose name ends so, by path from the root.
fn files(folder: &str, end: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                walk(&path, end, found);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), end, &mut paths);
    paths.sort();
    let named = |path: PathBuf| {
        let text = fs::read(&path).expect("reads");
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        (name, String::from_utf8_lossy(&text).into_owned())
    };
    paths.into_iter().map(named).collect()
}

/// The program's own code, file by file: without the tests at the end, and nothing of files that are tests.
fn code() -> Vec<(String, String)> {
    let mut files = files("src", ".rs");
    files.retain(|(name, _)| {
        let simulation = name == "src/sim.rs" || name.starts_with("src/sim/");
        !name.ends_with("/tests.rs") && !name.contains("/tests/") && !simulation && name != "src/committed.rs"
    });
    for (_, text) in &mut files {
        if let Some(at) = text.find("#[cfg(test)]\nmod tests") {
            text.truncate(at);
        }
    }
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

/// The lines with code in them, with their numbers.
fn statements(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//"))
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `word` stands in the line as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}

#[test]
fn each_file_says_first_what_it_owns() {
    let wrong = files("src", ".rs").into_iter().chain(files("tests/suite", ".rs"));
    let wrong = wrong.filter(|(_, text)| !text.starts_with("//! "));
    none(&wrong.map(|(name, _)| format!("{name} does not begin with //!")).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for (name, text) in code() {
        let lines = text.lines().count();
        match TOO_LONG.iter().find(|(listed, _)| *listed == name) {
            Some((_, listed)) if lines > *listed => {
                wrong.push(format!("{name} has grown from {listed} to {lines} lines: split it"));
            }
            Some((_, listed)) if lines < *listed => {
                wrong.push(format!("{name} has only {lines} lines now: write that instead of {listed}"));
            }
            Some(_) => {}
            None if lines > LINES_MAX => {
                wrong.push(format!("{name} has {lines} lines, more than {LINES_MAX}"))
            }
            None => {}
        }
    }
    none(&wrong);
}

#[test]
fn layers_import_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (name, text) in code() {
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == module) else { continue };
        for (line, statement) in statements(&text) {
            for (at, _) in statement.match_indices("crate::") {
                let path: String = statement[at + "crate::".len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
                    .collect();
                let own = path == module || path.starts_with(&format!("{module}::"));
                let below = allowed
                    .iter()
                    .any(|allowed| path == *allowed || path.starts_with(&format!("{allowed}::")));
                if !own && !below {
                    wrong.push(format!("{name}:{line}: {module} must not import `{path}`"));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn crates_are_named_only_where_they_belong() {
    let mut wrong = Vec::new();
    for (name, text) in code() {
        for (krate, places) in CRATES {
            if places.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            let found = statements(&text).filter(|(_, line)| {
                [format!("{krate}::"), format!("use {krate}")].iter().any(|way| {
                    line.match_indices(way.as_str())
                        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                })
            });
            wrong.extend(found.map(|(line, _)| format!("{name}:{line} names {krate}")));
        }
    }
    none(&wrong);
}

#[test]
fn nothing_panics_on_purpose_and_no_lint_is_silenced() {
    let forbidden = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err()",
        ".expect_err(",
        "todo!",
        "unimplemented!",
        "panic!",
        "dbg!",
    ];
    let silenced = ["#[allow(", "#![allow("];
    let mut wrong = Vec::new();
    for (name, text) in code() {
        for (line, statement) in statements(&text) {
            for what in forbidden.iter().chain(&silenced) {
                if statement.contains(what) {
                    wrong.push(format!("{name}:{line}: {what}"));
                }
            }
        }
    }
    for (name, text) in files("tests/suite", ".rs").into_iter().chain(files("src", "tests.rs")) {
        let tidy = name.ends_with("tidy.rs");
        let found =
            statements(&text).filter(|(_, line)| !tidy && silenced.iter().any(|what| line.starts_with(what)));
        wrong.extend(found.map(|(line, _)| format!("{name}:{line}: a silenced lint")));
    }
    none(&wrong);
}

#[test]
fn words_for_unfinished_work_do_not_occur() {
    // In two parts, or this file would hold them.
    let words = [["TO", "DO"], ["FIX", "ME"], ["HA", "CK"]].map(|parts| parts.concat());
    let places =
        ["src", "tests/suite", "tests/formats", "docs", "rules", "pipelines", "schemas", "scripts", ".ci"];
    let mut all: Vec<(String, String)> = places.iter().flat_map(|folder| files(folder, "")).collect();
    all.extend(pages());
    let mut wrong = Vec::new();
    for (name, text) in all {
        for (at, line) in text.lines().enumerate() {
            let found = words.iter().find(|word| names(line, word));
            wrong.extend(found.map(|word| format!("{name}:{}: {word}", at + 1)));
        }
    }
    none(&wrong);
}

/// The Markdown pages at the root and below `docs` and `rules`.
fn pages() -> Vec<(String, String)> {
    let mut pages = files("docs", ".md");
    pages.extend(files("rules", ".md"));
    for entry in fs::read_dir(root()).expect("the root") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            pages.push((name, fs::read_to_string(&path).expect("reads")));
        }
    }
    pages
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        let folder = root().join(&name).parent().map(Path::to_owned).unwrap_or_default();
        for (at, line) in text.lines().enumerate() {
            for (from, _) in line.match_indices("](") {
                let target: String = line[from + 2..].chars().take_while(|c| *c != ')').collect();
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
                let path = if file.is_empty() { root().join(&name) } else { folder.join(file) };
                let there =
                    path.exists() && (heading.is_empty() || headings(&path).iter().any(|h| h == heading));
                if !there {
                    wrong.push(format!("{name}:{}: {target}", at + 1));
                }
            }
        }
    }
    none(&wrong);
}

/// The anchors of a page's headings, as the usual renderers make them.
fn headings(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let titles = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(anchor).collect()
}

#[test]
fn the_stock_tables_are_the_files_in_the_folder() {
    let mut declared: Vec<String> =
        Catalog::stock().expect("stock").tables().iter().map(|table| table.name.clone()).collect();
    declared.sort();
    let stem = |(name, _): (String, String)| {
        Path::new(&name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let there: Vec<String> = files("schemas/tables", ".toml").into_iter().map(stem).collect();
    assert_eq!(declared, there, "schemas/tables and STOCK in src/normalise/schema.rs");
}

#[test]
fn the_page_of_rejects_names_each_code() {
    let Ok(page) = fs::read_to_string(root().join("docs/rejects.md")) else {
        panic!("docs/rejects.md is missing");
    };
    let codes = noroshi::decode::RejectCode::ALL.iter().map(|code| code.as_str());
    let missing: Vec<String> =
        codes.filter(|code| !page.contains(&format!("`{code}`"))).map(str::to_owned).collect();
    none(&missing);
}
