//! Logs on standard error, as lines for people or as JSON.
//!
//! Owns the set-up and [`Quoted`], through which every name from outside goes into a message: logs must not carry
//! control characters that move a terminal's cursor or forge a line. What is logged is the callers' affair; bytes
//! of events never are.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Characters of a quoted name that are shown.
const QUOTED_CHARS_MAX: usize = 120;

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives of `log.level` cannot be read.
    #[error("log.level cannot be read: {0}; write for example `info` or `info,noroshi::source=debug`")]
    Directives(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process has set up logs before.
    #[error("logs are set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets logs up for the whole process; once.
pub fn init(settings: &Log) -> Result<(), LogError> {
    let colour =
        colour(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()));
    subscriber(settings, colour, std::io::stderr)?.try_init()?;
    Ok(())
}

/// Colours are for terminals, and for those who want them (<https://no-color.org>).
fn colour(terminal: bool, no_color: bool) -> bool {
    terminal && !no_color
}

fn subscriber<W>(
    settings: &Log,
    colour: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LogError>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match settings.format {
        LogFormat::Human => Box::new(builder.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_ansi(false).finish()),
    })
}

/// A name from outside (a topic, a file, an error text of a server), for a log or a status message: in quotes,
/// printable, at most 120 characters.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        let mut rest = self.0.chars();
        for c in rest.by_ref().take(QUOTED_CHARS_MAX) {
            f.write_char(printable(c))?;
        }
        let left = rest.count();
        if left > 0 {
            write!(f, "… ({left} more)")?;
        }
        f.write_char('`')
    }
}

/// A text in one printable line of at most `chars_max` characters.
pub fn one_line(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(printable).collect()
}

/// Control characters, and those that turn the direction of writing, are shown as U+FFFD.
fn printable(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    if c.is_control() || turns || breaks { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, colour: bool) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let settings = Log { format, level: level.into() };
        let subscriber = subscriber(&settings, colour, move || writer.clone()).expect("valid");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(topic = %Quoted("a\u{1b}[31m\nb"), "paused");
            tracing::debug!("not shown at info");
        });
        let bytes = sink.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn lines_are_human_or_json_and_never_carry_control_characters() {
        let human = logged(LogFormat::Human, "info", false);
        assert_eq!(human.lines().count(), 1, "{human}");
        assert!(human.contains("paused") && !human.contains('\u{1b}'), "{human}");
        let json: serde_json::Value =
            serde_json::from_str(&logged(LogFormat::Json, "info", true)).expect("JSON");
        assert_eq!(json["message"], "paused");
        assert_eq!(json["topic"], "`a\u{fffd}[31m\u{fffd}b`");
        assert_eq!(json["level"], "INFO");
        assert_eq!(logged(LogFormat::Human, "warn", false), "");
        assert!(logged(LogFormat::Human, "info", true).contains('\u{1b}'));
    }

    #[test]
    fn colours_need_a_terminal_and_consent() {
        for (terminal, no_color, expect) in
            [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
        {
            assert_eq!(colour(terminal, no_color), expect);
        }
    }

    #[test]
    fn bad_directives_are_an_error() {
        let settings = Log { format: LogFormat::Human, level: "info,=,[".into() };
        assert!(matches!(subscriber(&settings, false, std::io::sink), Err(LogError::Directives(_))));
    }

    #[test]
    fn quoted_names_are_bounded_and_printable() {
        for (text, expect) in [
            ("topic", "`topic`".to_owned()),
            ("a\r\nb\u{202e}c\u{0}", "`a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}`".to_owned()),
            (&"狼".repeat(125), format!("`{}… (5 more)`", "狼".repeat(120))),
        ] {
            assert_eq!(Quoted(text).to_string(), expect);
        }
        assert_eq!(one_line("a\nbc", 3), "a\u{fffd}b");
    }
}
