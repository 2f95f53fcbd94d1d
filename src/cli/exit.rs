//! Exit codes, and the errors that commands end with.

use std::process::ExitCode;

use crate::diagnostic::Diagnostic;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Problems were found.
    Problems,
    /// Wrong arguments or files.
    Usage,
    /// Kafka cannot be reached, refuses, or failed.
    Kafka,
    /// Fenced by another process.
    Fenced,
    /// Stopped at the deadline.
    Deadline,
    /// What the command has to say could not be written.
    Output,
    /// The group's offsets are not what this process has committed.
    Contradicted,
}

impl Outcome {
    /// The process's exit code.
    pub fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The same as a number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Problems => 1,
            Self::Usage => 2,
            Self::Kafka => 3,
            Self::Fenced => 4,
            Self::Deadline => 5,
            Self::Output => 6,
            Self::Contradicted => 7,
        }
    }
}

/// Why a command cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Problems in files the user wrote.
    #[error("{} problem(s)", .0.len())]
    Diagnostics(Vec<Diagnostic>),
    /// One line for the user; the files are fine.
    #[error("{message}")]
    Plain {
        /// The line.
        message: String,
        /// The exit code.
        outcome: Outcome,
    },
    /// Nobody reads standard output any more.
    #[error("broken pipe")]
    BrokenPipe,
}

impl CliError {
    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Plain { message: message.into(), outcome: Outcome::Usage }
    }

    /// A Kafka error.
    pub fn kafka(message: impl Into<String>) -> Self {
        Self::Plain { message: message.into(), outcome: Outcome::Kafka }
    }

    /// Whether output found no reader or no room: what was done until then is more than anybody has seen.
    pub fn unheard(&self) -> bool {
        matches!(self, Self::BrokenPipe | Self::Plain { outcome: Outcome::Output, .. })
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Plain { message: format!("cannot write: {error}"), outcome: Outcome::Output }
        }
    }
}

impl From<Vec<Diagnostic>> for CliError {
    fn from(found: Vec<Diagnostic>) -> Self {
        Self::Diagnostics(found)
    }
}

impl From<Diagnostic> for CliError {
    fn from(found: Diagnostic) -> Self {
        Self::Diagnostics(vec![found])
    }
}
