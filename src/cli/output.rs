//! What reaches a person's terminal, and what a machine's pipe.
//!
//! Owns colour, `NO_COLOR`, and the rendering of problems. Nothing that an event holds reaches a terminal
//! without passing [`printable`] or [`inert`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use super::exit::{CliError, Outcome};
use crate::diagnostic::Diagnostic;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// At a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// The terminal, or what stands in for it.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Colour on standard output.
    pub colour_out: bool,
    /// Colour on standard error.
    pub colour_err: bool,
    /// Standard error is a terminal: progress may be drawn.
    pub live: bool,
    /// Standard output is a terminal.
    pub live_out: bool,
}

impl Terminal {
    /// Looks at the process's streams.
    pub fn new(colour: Colour) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = |terminal: bool| match colour {
            Colour::Auto => terminal && !no_colour && !dumb,
            Colour::Always => true,
            Colour::Never => false,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self { colour_out: wanted(out), colour_err: wanted(err), live: err && !dumb, live_out: out && !dumb }
    }

    /// Columns of standard output.
    pub fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let drawn = || terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        columns.unwrap_or_else(drawn)
    }

    /// Prints why a command ends.
    pub fn fail(&self, error: &CliError) -> Outcome {
        let mut err = io::stderr().lock();
        match error {
            CliError::Diagnostics(found) => {
                for diagnostic in found {
                    let _ = writeln!(err, "{}\n", diagnostic.render(self.colour_err));
                }
                let _ = writeln!(err, "{}", count(found));
                Outcome::Usage
            }
            CliError::Plain { message, outcome } => {
                let _ = writeln!(err, "noroshi: {}", printable(message));
                *outcome
            }
            CliError::BrokenPipe => Outcome::Done,
        }
    }

    /// Prints warnings and notes that do not stop a command.
    pub fn warn(&self, found: &[Diagnostic]) {
        let mut err = io::stderr().lock();
        for diagnostic in found {
            let _ = writeln!(err, "{}\n", diagnostic.render(self.colour_err));
        }
    }
}

/// "3 errors, 1 warning".
pub fn count(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let others = found.len() - errors;
    match (errors, others) {
        (0, 0) => "no problems".into(),
        (errors, 0) => plural(errors, "error"),
        (0, others) => plural(others, "warning"),
        (errors, others) => format!("{}, {}", plural(errors, "error"), plural(others, "warning")),
    }
}

/// "1 rule", "3 rules".
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// JSON that does nothing to a terminal: JSON itself escapes only the control characters below U+0020, and
/// terminals also obey U+0080 to U+009F. The value stays the same.
pub fn inert(json: &str) -> Cow<'_, str> {
    let acts = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
    if !json.contains(acts) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if acts(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Text from outside as one printable line, at most 400 characters and a sign that there is more.
pub fn printable(text: &str) -> String {
    let mut shown: String =
        text.chars().take(400).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 400 {
        shown.push('…');
    }
    shown
}

/// Text from outside as one printable line of at most so many characters; one that was longer ends with `…`.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let mut shown = printable(text);
    if let Some((cut, _)) = shown.char_indices().nth(chars_max) {
        let last = shown[..cut].char_indices().next_back().map_or(0, |(at, _)| at);
        shown.truncate(last);
        shown.push('…');
    }
    shown
}
