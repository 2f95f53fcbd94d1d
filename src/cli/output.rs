//! What reaches a person's terminal, and what a machine's pipe.
//!
//! Owns colour, `NO_COLOR`, and the rendering of problems. Nothing that an event holds reaches a terminal
//! without passing [`printable`].

use std::io::{self, IsTerminal, Write};

use super::exit::{CliError, Outcome};
use crate::diagnostic::{Diagnostic, Severity};
use crate::printable;

/// Columns of one message on standard error; what else it says is cut.
pub const MESSAGE_COLUMNS_MAX: usize = 400;

/// Warnings that a command shows whose business is another one.
const WARNINGS_SHOWN_MAX: usize = 20;

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
                self.show(&mut err, found);
                let _ = writeln!(err, "{}", count(found));
                Outcome::Usage
            }
            CliError::Plain { message, outcome } => {
                let _ = writeln!(err, "noroshi: {}", printable::line(message, MESSAGE_COLUMNS_MAX));
                *outcome
            }
            CliError::BrokenPipe => Outcome::Done,
        }
    }

    /// Prints warnings and notes that do not stop a command.
    pub fn warn(&self, found: &[Diagnostic]) {
        self.show(&mut io::stderr().lock(), found);
    }

    /// The same, the graver ones first and not all of many.
    pub fn warn_some(&self, found: &[Diagnostic]) {
        let mut graver: Vec<&Diagnostic> = found.iter().collect();
        graver.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
        let (shown, more) = graver.split_at(graver.len().min(WARNINGS_SHOWN_MAX));
        let mut err = io::stderr().lock();
        self.show(&mut err, shown.iter().copied());
        if !more.is_empty() {
            let _ = writeln!(err, "… and {} more; `noroshi check` names them\n", more.len());
        }
    }

    fn show<'a>(&self, err: &mut impl Write, found: impl IntoIterator<Item = &'a Diagnostic>) {
        for diagnostic in found {
            let _ = writeln!(err, "{}\n", diagnostic.render(self.colour_err));
        }
    }
}

/// "3 errors, 1 warning, 2 notes".
pub fn count(found: &[Diagnostic]) -> String {
    let of = |severity| found.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts = counts.map(|(severity, what)| (of(severity), what));
    let told = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| plural(count, what));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "no problems".into() } else { told.join(", ") }
}

/// "1 rule", "3 rules".
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
