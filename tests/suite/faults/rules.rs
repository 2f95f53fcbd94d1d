//! The rule of a round, which changes while its processes run.
//!
//! Owns the file and the versions that its sound texts have; when it changes is the sibling `refuse`'s to say.

use std::fs;
use std::path::Path;

use sha2::Digest as _;

use crate::delivery::repository;

const RULE: &str = "rules/windows/security_log_cleared.sql";

/// A folder with one rule in it.
pub struct Rules {
    folder: tempfile::TempDir,
    text: String,
    /// The version of each sound text so far, the newest last.
    pub versions: Vec<String>,
}

impl Rules {
    /// The stock rule that the input's records are made for.
    pub fn new() -> Self {
        let text = fs::read_to_string(repository(RULE)).expect("the rule");
        let folder = tempfile::tempdir().expect("a folder");
        let mut rules = Self { folder, text: String::new(), versions: Vec::new() };
        rules.take(text);
        rules
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another text, and so another version, that finds the same.
    pub fn change(&mut self) {
        self.take(format!("{}-- change {}\n", self.text, self.versions.len()));
    }

    /// A text that no process takes.
    pub fn break_it(&self) {
        self.put(&self.text.replace("FROM   windows_security", "FROM   windows_insecurity"));
    }

    /// The last sound text again.
    pub fn mend(&self) {
        self.put(&self.text);
    }

    fn take(&mut self, text: String) {
        let mut version = noroshi::record::hex(&sha2::Sha256::digest(&text));
        version.truncate(16);
        self.versions.push(version);
        self.text = text;
        self.mend();
    }

    /// In one step.
    fn put(&self, text: &str) {
        let new = self.folder().join(".new");
        fs::write(&new, text).expect("writes");
        fs::rename(new, self.folder().join("rule.sql")).expect("renames");
    }
}
