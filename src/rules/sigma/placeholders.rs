//! The values of placeholders: what `%name%` stands for in rules with `expand`.
//!
//! Owns reading them from a folder. Called by `rules::load`; `lower` puts them into rules.

use std::collections::BTreeMap;
use std::path::Path;

use super::ask::is_name;
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};

/// Files in the folder.
const FILES_MAX: usize = 1_000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Values of one placeholder.
const VALUES_MAX: usize = 10_000;
/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 4_096;

/// What placeholders stand for: values by name, in the order of their file. `*` and `?` in them are wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders(pub BTreeMap<String, Vec<String>>);

impl Placeholders {
    /// Reads the files `NAME.txt` of a folder: a value on each line, without blanks around it; empty lines and those that
    /// begin with `#` are left out. What cannot be read is told, and is as if it were not there.
    pub fn load(folder: &Path, found: &mut Vec<Diagnostic>) -> Self {
        let mut values = BTreeMap::new();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("cannot read the folder of values {}: {error}", folder.display());
                let help = "make it, with a file NAME.txt for each placeholder %NAME%";
                found.push(Diagnostic::new(codes::G016, message).help(help).warning());
                return Self(values);
            }
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        if paths.len() > FILES_MAX {
            let message = format!("{} has more than {FILES_MAX} files of values", folder.display());
            found.push(Diagnostic::new(codes::G016, message).help("leave some out").warning());
            paths.truncate(FILES_MAX);
        }
        for path in paths {
            let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_name(name));
            let Some(name) = name else {
                let message = format!("{} is not named as a placeholder can be", path.display());
                let help = "use letters, digits, `_`, `-` and `.`";
                found.push(Diagnostic::new(codes::G016, message).help(help).warning());
                continue;
            };
            match SourceFile::read(&path, FILE_BYTES_MAX) {
                Ok(file) => {
                    values.insert(name.to_owned(), read(&file, found));
                }
                Err(diagnostic) => found.push(Diagnostic { code: codes::G016, ..diagnostic }.warning()),
            }
        }
        Self(values)
    }
}

fn read(file: &std::sync::Arc<SourceFile>, found: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut values = Vec::new();
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        let value = line.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
        let fault = if value.is_empty() || value.starts_with('#') {
            None
        } else if value.len() > VALUE_BYTES_MAX {
            Some(format!("the value has more than {VALUE_BYTES_MAX} bytes"))
        } else if values.len() >= VALUES_MAX {
            Some(format!(
                "the placeholder has more than {VALUES_MAX} values; this one and those behind it are left out"
            ))
        } else {
            values.push(value.to_owned());
            None
        };
        if let Some(message) = fault {
            let place = Location::new(file, at..at + line.trim_end().len());
            found.push(Diagnostic::new(codes::G016, message).at(place).help("leave it out").warning());
            if values.len() >= VALUES_MAX {
                break;
            }
        }
        at += line.len();
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_file_for_each_placeholder() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for (name, text) in [
            ("Servers.txt", "\u{feff}# ours\nsrv*\r\n\n  dc01  \n"),
            ("empty.txt", "# none yet\n"),
            ("long.txt", &format!("a\n{long}\nb\n")),
            ("no name.txt", "x\n"),
            ("notes.md", "x\n"),
        ] {
            std::fs::write(folder.path().join(name), text).expect("writes");
        }
        let mut found = Vec::new();
        let values = Placeholders::load(folder.path(), &mut found).0;
        let expect = [("Servers", vec!["srv*", "dc01"]), ("empty", vec![]), ("long", vec!["a", "b"])];
        let expect =
            expect.map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()));
        assert_eq!(values, BTreeMap::from(expect));
        let told: Vec<String> = found.iter().map(|diagnostic| diagnostic.message.clone()).collect();
        assert_eq!(found.len(), 2, "{told:?}");
        assert!(found.iter().any(|diagnostic| diagnostic.place().ends_with("long.txt:2:1")), "{told:?}");

        let nothing = Placeholders::load(&folder.path().join("missing"), &mut found);
        assert_eq!(nothing, Placeholders::default());
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|diagnostic| !diagnostic.is_error()));
    }
}
