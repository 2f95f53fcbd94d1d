//! Faults: why a Sigma document is not armed.
//!
//! Owns how they become diagnostics: warnings, as the other documents run. Called by all that read or lower rules.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{self, Code, Diagnostic, Location, Severity, SourceFile};

/// Faults of one document that are told: nobody reads more.
const FAULTS_MAX: usize = 50;
/// Characters of a message: names in it may be as long as the file.
const MESSAGE_CHARS_MAX: usize = 400;
/// Bytes of a name that others are looked for that are like it, and of those: it takes the product of both.
const NAME_BYTES_MAX: usize = 64;
/// Names that are looked at.
const NAMES_MAX: usize = 500;

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
    told: usize,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a Arc<SourceFile>, found: &'a mut Vec<Diagnostic>) -> Self {
        Self { file, found, count: 0, told: 0 }
    }

    /// The file that is read.
    pub(super) fn file(&self) -> &'a Arc<SourceFile> {
        self.file
    }

    /// True when the document cannot be armed.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    /// True when no more will be told.
    pub(super) fn is_full(&self) -> bool {
        self.told >= FAULTS_MAX
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
        // Why it is not armed is told in any case.
        let first = self.count == 1 && severity == Severity::Warning;
        if self.is_full() && !first {
            return;
        }
        self.told += 1;
        let place = Location::new(self.file, span);
        let diagnostic =
            Diagnostic::new(fault.code, clipped(fault.message)).at(place).help(clipped(fault.help));
        self.found.push(Diagnostic { severity, ..diagnostic });
    }
}

pub(super) fn clipped(text: impl Into<String>) -> String {
    let text = text.into();
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// As [`diagnostic::suggest`], of what is short enough.
pub(super) fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let short = |name: &&str| name.len() <= NAME_BYTES_MAX;
    let candidates: Vec<&str> = candidates.into_iter().take(NAMES_MAX).filter(short).collect();
    if !short(&name) || candidates.is_empty() {
        return "write one that is known here".to_owned();
    }
    diagnostic::suggest(name, candidates)
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
