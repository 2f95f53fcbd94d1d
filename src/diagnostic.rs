//! What we say about a user's file: a stable code, the place, what is wrong, what to do.
//!
//! Owns [`Diagnostic`], the source text it points into, and the two renderings (for people and as
//! JSON). Which problems exist is listed in [`codes`]; finding them is left to the modules that read
//! rules, schemas, pipelines and configuration. Called by all of them and printed by `cli`.

pub mod codes;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::printable;

pub use codes::Code;

/// A file a user wrote, kept while diagnostics may point into it.
#[derive(Debug)]
pub struct SourceFile {
    /// The path as the user gave it: messages must be clickable in the user's terminal.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// Wraps a text that was read from `path`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self { path: path.into(), text, line_starts })
    }

    /// Reads a file; a file that cannot be read (or is no UTF-8, or exceeds `bytes_max`) is a diagnostic.
    pub fn read(path: &Path, bytes_max: u64) -> Result<Arc<Self>, Diagnostic> {
        let failed = |what: String| Diagnostic::new(codes::D001, what).about(path);
        let cannot = |error: std::io::Error| failed(format!("cannot read {}: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(cannot)?;
        let too_large = |length: String| {
            failed(format!("{} has {length} bytes, more than the {bytes_max} that are read", path.display()))
        };
        let length = file.metadata().map_err(cannot)?.len();
        if length > bytes_max {
            return Err(too_large(length.to_string()));
        }
        // A device or a pipe says nothing of its length, and a file may grow.
        let mut bytes = Vec::new();
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > bytes_max {
            return Err(too_large(format!("at least {}", bytes.len())));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            failed(format!("{} is not UTF-8 (first bad byte at {at})", path.display()))
        })?;
        Ok(Self::new(path, text))
    }

    /// Line and column, both from 1; columns count characters, as editors do.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset) - 1;
        let start = self.line_starts[line];
        let column = self.text.get(start..offset).map_or(0, |part| part.chars().count());
        (line + 1, column + 1)
    }

    /// Byte offset of a line and column (both from 1); past the end of a line is that line's end.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.line_starts.get(line.saturating_sub(1)) else {
            return self.text.len();
        };
        let rest = &self.text[*start..];
        let rest = rest.split('\n').next().unwrap_or(rest);
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }
}

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte range in its text; empty for a point.
    pub span: Range<usize>,
}

impl Location {
    /// The place `span` of `file`.
    pub fn new(file: &Arc<SourceFile>, span: Range<usize>) -> Self {
        Self { file: Arc::clone(file), span }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Note,
    /// Works, but probably not as meant.
    Warning,
    /// Refused.
    Error,
}

/// One problem in one file.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable code, documented in `docs/diagnostics.md`.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: one lower-case sentence without a full stop.
    pub message: String,
    /// Where, when it has a place.
    pub location: Option<Location>,
    /// The file or folder that it is about, when it has no place because that cannot be read; the message names it.
    pub path: Option<Box<PathBuf>>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            location: None,
            path: None,
            help: None,
        }
    }

    /// Points into a file.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Is about a file or folder without a place in it.
    #[must_use]
    pub fn about(mut self, path: &Path) -> Self {
        self.path = Some(Box::new(path.to_owned()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Makes it a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// True for what must stop a start.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `file:line:column`, or an empty string without a place.
    pub fn place(&self) -> String {
        self.location.as_ref().map_or_else(String::new, |location| {
            let (line, column) = location.file.line_column(location.span.start);
            format!("{}:{line}:{column}", location.file.path.display())
        })
    }

    /// The rendering for people: the compiler-style snippet.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(printable::lines(&self.message)).id(self.code.id);
        let path = |location: &Location| printable::line(&location.file.path.to_string_lossy(), usize::MAX);
        let path = self.location.as_ref().map(path);
        let shown = self.location.as_ref().map(shown);
        let mut group = match (shown, &path) {
            (Some((text, span)), Some(path)) => Group::with_title(title).element(
                Snippet::source(text).path(path.as_str()).annotation(AnnotationKind::Primary.span(span)),
            ),
            _ => Group::with_title(title),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(printable::lines(help)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// The rendering for machines: one flat object.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "code": self.code.id,
            "severity": self.severity,
            "message": self.message,
            "help": self.help,
        });
        if let Some(location) = &self.location {
            let (line, column) = location.file.line_column(location.span.start);
            let (end_line, end_column) = location.file.line_column(location.span.end);
            object["file"] = location.file.path.display().to_string().into();
            object["line"] = line.into();
            object["column"] = column.into();
            object["end_line"] = end_line.into();
            object["end_column"] = end_column.into();
        } else if let Some(path) = &self.path {
            object["file"] = path.display().to_string().into();
        }
        object
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code.id)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// Orders by file, then place, so that a reader walks each file once.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key =
            |d: &Diagnostic| d.location.as_ref().map(|l| (l.file.path.clone(), l.span.start, l.span.end));
        key(a).cmp(&key(b)).then_with(|| a.code.id.cmp(b.code.id))
    });
}

/// The candidates nearest to `name`, best first, at most three; for "did you mean".
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let others = lower.chars().count();
            let (short, long) = (length.min(others), length.max(others));
            let mut distance = strsim::damerau_levenshtein(&wanted, &lower);
            // A name that is a good part of another; one or two letters are a part of anything.
            if short >= 3 && short * 3 >= long && (lower.contains(&wanted) || wanted.contains(&lower)) {
                distance = distance.min(2);
            } else if distance > (long / 3).max(1) || (distance >= short && distance > 0) {
                // What changes most of a name is another name.
                return None;
            }
            Some((distance, candidate))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// "did you mean `a` or `b`?", or the whole list when nothing is near.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = nearest(name, candidates.clone());
    if near.is_empty() {
        let mut all: Vec<&str> = candidates.into_iter().collect();
        all.sort_unstable();
        let more = all.len().saturating_sub(40);
        all.truncate(40);
        let tail = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("known here: {}{tail}", all.join(", "))
    } else {
        did_you_mean(&near)
    }
}

/// A file's text as it may be shown, and the place in it. annotate-snippets replaces some of the characters that steer
/// a terminal, not all.
fn shown(location: &Location) -> (String, Range<usize>) {
    let text = location.file.text.as_str();
    let span = clamp(text, &location.span);
    let part = |range: Range<usize>| printable::lines(text.get(range).unwrap_or_default());
    let (before, inside, after) = (part(0..span.start), part(span.clone()), part(span.end..text.len()));
    let span = before.len()..before.len() + inside.len();
    (before + &inside + &after, span)
}

fn did_you_mean(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("did you mean {}?", quoted.join(" or "))
}

/// [`suggest`] for dotted paths: those that end with the same name come first, wherever they are.
pub fn suggest_path<'a>(
    path: &str,
    separator: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let last = |path: &str| path.rsplit(separator).next().map(str::to_lowercase);
    let same = candidates.clone().into_iter().filter(|candidate| last(candidate) == last(path));
    let mut same: Vec<&str> = same.collect();
    if same.is_empty() {
        return suggest(path, candidates);
    }
    same.sort_by_key(|candidate| strsim::levenshtein(path, candidate));
    same.truncate(3);
    did_you_mean(&same)
}

fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let fit = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = fit(span.start);
    start..fit(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let file = SourceFile::new("a.sql", "ab\n狼煙x\n");
        for (offset, expect) in [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (9, (2, 3)), (99, (3, 1))] {
            assert_eq!(file.line_column(offset), expect, "offset {offset}");
        }
        assert_eq!(file.offset(2, 3), 9);
        assert_eq!(file.offset(1, 40), 2);
        assert_eq!(file.offset(40, 1), file.text.len());
    }

    #[test]
    fn a_file_without_a_length_is_not_read_for_ever() {
        let endless = Path::new("/dev/zero");
        if endless.exists() {
            let refused = SourceFile::read(endless, 1_000).expect_err("too large");
            assert!(refused.message.contains("at least 1001 bytes"), "{refused}");
        }
    }

    #[test]
    fn nearest_names_come_first() {
        let names = ["CommandLine", "Image", "ParentImage", "OriginalFileName"];
        assert_eq!(nearest("comandline", names), ["CommandLine"]);
        assert_eq!(nearest("image", names), ["Image", "ParentImage"]);
        assert!(nearest("zzzzzz", names).is_empty());
        let modifiers =
            ["all", "cidr", "contains", "endswith", "gt", "gte", "i", "lt", "m", "re", "s", "startswith"];
        for (name, expect) in [
            ("startwith", &["startswith"][..]),
            ("ends_with", &["endswith"]),
            ("contain", &["contains"]),
            ("equals", &[]),
            ("abc", &[]),
            ("x", &[]),
            ("ge", &["gt", "gte", "re"]),
            ("regex", &[]),
            ("cird", &["cidr"]),
        ] {
            assert_eq!(nearest(name, modifiers), expect, "{name}");
        }
        assert!(suggest("zzzzzz", names).contains("OriginalFileName"));
    }

    #[test]
    fn a_rendering_never_carries_characters_that_steer() {
        let bad = "\u{1b}[31m\u{9b}2J\u{202e}\u{7}";
        let file = SourceFile::new(format!("a{bad}.sql"), format!("SELECT {bad} FROM x\n"));
        let from = file.text.find("FROM").expect("the word");
        let shown = Diagnostic::new(codes::D001, format!("bad {bad} name"))
            .at(Location::new(&file, from..from + 4))
            .help(format!("not {bad}"))
            .render(false);
        let steering: Vec<char> =
            shown.chars().filter(|c| c.is_control() && *c != '\n' || *c == '\u{202e}').collect();
        assert!(steering.is_empty(), "{steering:?} in {shown:?}");
        for part in ["bad ", "a\u{fffd}[31m", "SELECT ", "not "] {
            assert!(shown.contains(part), "{part:?} is not in {shown:?}");
        }
        let lines: Vec<&str> = shown.lines().collect();
        let source = lines.iter().position(|line| line.contains("FROM")).expect("the line");
        let column = |line: &str, what: &str| line.find(what).map(|at| printable::width(&line[..at]));
        assert_eq!(column(lines[source], "FROM"), column(lines[source + 1], "^^^^"), "{shown}");
    }
}
