//! The licence of rules that name none themselves: the one that lies beside them.
//!
//! Owns finding the licence's file and recognising it. SigmaHQ's rules do not name theirs, the Detection Rule License, which
//! asks that alerts name author and licence; the clone has it in its first folder. Called by `load`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::SourceFile;

/// Names of the files that are looked for, in this order.
const NAMES: [&str; 4] = ["LICENSE.Detection.Rules.md", "LICENSE", "LICENSE.md", "LICENSE.txt"];
/// Bytes of such a file.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Folders above the rule that are looked into.
const LEVELS_MAX: usize = 16;
/// The Detection Rule License by its versions, as it is written and as it is named by SPDX.
const VERSIONS: [(&str, &str); 2] = [("1.1", "DRL-1.1"), ("1.0", "DRL-1.0")];

/// The licences of folders, each found once.
#[derive(Debug, Default)]
pub(super) struct Licences(HashMap<PathBuf, Option<&'static str>>);

impl Licences {
    /// The licence of the rules in this file: that of the nearest file of a licence, in its folder or above. Only the
    /// Detection Rule License is known; another one in between is what holds, and nothing is said of it.
    pub(super) fn of(&mut self, file: &Path) -> Option<&'static str> {
        let path = std::path::absolute(file).ok()?;
        self.below(path.parent()?, LEVELS_MAX)
    }

    fn below(&mut self, folder: &Path, levels: usize) -> Option<&'static str> {
        if let Some(known) = self.0.get(folder) {
            return *known;
        }
        let licence = match NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => {
                SourceFile::read(&path, FILE_BYTES_MAX).ok().and_then(|file| recognised(&file.text))
            }
            // What lies above a repository is not about what is in it.
            None if levels == 0 || folder.join(".git").exists() => None,
            None => folder.parent().and_then(|above| self.below(above, levels - 1)),
        };
        self.0.insert(folder.to_owned(), licence);
        licence
    }
}

/// The Detection Rule License, when the text is it or says that the rules are under it.
fn recognised(text: &str) -> Option<&'static str> {
    if !text.contains("Detection Rule License") {
        return None;
    }
    let says = |version: &str| {
        ["(DRL) ", "DRL ", "DRL-"].iter().any(|before| text.contains(&format!("{before}{version}")))
    };
    VERSIONS.iter().find(|(version, _)| says(version)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_licence_holds() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("writes");
        };
        let drl = "Rules are under the [Detection Rule License (DRL) 1.1](https://example.org)\n";
        write("LICENSE", drl);
        write("rules/windows/a.yml", "");
        write("ours/LICENSE.md", "Apache License 2.0\n");
        write("ours/deep/b.yml", "");
        write("old/LICENSE.Detection.Rules.md", "# Detection Rule License (DRL) 1.0\n");
        write("old/LICENSE", drl);
        write("old/c.yml", "");
        write("repository/.git/HEAD", "");
        write("repository/d.yml", "");
        write("e.yml", "");
        let mut licences = Licences::default();
        for (path, expect) in [
            ("rules/windows/a.yml", Some("DRL-1.1")),
            ("ours/deep/b.yml", None),
            ("old/c.yml", Some("DRL-1.0")),
            ("repository/d.yml", None),
            ("e.yml", Some("DRL-1.1")),
        ] {
            assert_eq!(licences.of(&root.path().join(path)), expect, "{path}");
        }
    }

    #[test]
    fn only_the_detection_rule_license_is_recognised() {
        for (text, expect) in [
            ("Detection Rule License (DRL) 1.1\n\nPermission is hereby granted", Some("DRL-1.1")),
            ("Detection Rule License, DRL-1.1", Some("DRL-1.1")),
            ("Detection Rule License (DRL) 2.0", None),
            ("Apache License\nVersion 2.0", None),
            ("DRL 1.1", None),
            ("", None),
        ] {
            assert_eq!(recognised(text), expect, "{text}");
        }
    }
}
