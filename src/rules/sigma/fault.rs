//! Faults: why a Sigma document is not armed.
//!
//! Owns how they become diagnostics: warnings, as the other documents run. Called by all that read or lower rules.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Location, Severity, SourceFile};

/// Faults of one document that are told: nobody reads more.
const FAULTS_MAX: usize = 50;

/// What is wrong with a part of a document, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    /// As in [`Diagnostic::message`].
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }
}

/// Collects what is wrong with one document.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    file: &'a Arc<SourceFile>,
    found: &'a mut Vec<Diagnostic>,
    count: usize,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a Arc<SourceFile>, found: &'a mut Vec<Diagnostic>) -> Self {
        Self { file, found, count: 0 }
    }

    /// The file that is read.
    pub(super) fn file(&self) -> &'a Arc<SourceFile> {
        self.file
    }

    /// True when the document cannot be armed.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    /// The document is not armed for this reason.
    pub(super) fn add(&mut self, fault: Fault, span: Range<usize>) {
        let fault = Fault { message: format!("not armed: {}", fault.message), ..fault };
        self.count += 1;
        self.tell(fault, Severity::Warning, span);
    }

    /// The same, in one breath.
    pub(super) fn refuse(&mut self, code: Code, message: impl Into<String>, span: Range<usize>, help: &str) {
        self.add(Fault::new(code, message, help), span);
    }

    /// Something is not as it should be; the document is armed all the same.
    pub(super) fn warn(&mut self, code: Code, message: impl Into<String>, span: Range<usize>, help: &str) {
        self.tell(Fault::new(code, message, help), Severity::Warning, span);
    }

    /// Something to know.
    pub(super) fn note(&mut self, code: Code, message: impl Into<String>, span: Range<usize>, help: &str) {
        self.tell(Fault::new(code, message, help), Severity::Note, span);
    }

    fn tell(&mut self, fault: Fault, severity: Severity, span: Range<usize>) {
        if self.count <= FAULTS_MAX {
            let place = Location::new(self.file, span);
            let diagnostic = Diagnostic::new(fault.code, fault.message).at(place).help(fault.help);
            self.found.push(Diagnostic { severity, ..diagnostic });
        }
    }
}

/// Where a name stands by itself in a part of a file; the whole part when it is not written so.
pub(super) fn place_of(file: &SourceFile, span: &Range<usize>, name: &str) -> Range<usize> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '*');
    let text = file.text.get(span.clone()).unwrap_or_default();
    let found = text.match_indices(name).find(|(at, _)| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + name.len()..).and_then(|behind| behind.chars().next());
        !before.is_some_and(is_word) && !behind.is_some_and(is_word)
    });
    found
        .filter(|_| !name.is_empty())
        .map_or_else(|| span.clone(), |(at, _)| span.start + at..span.start + at + name.len())
}
