//! Logs on standard error, as lines for people or as JSON.
//!
//! Owns the set-up. What is logged is the callers' affair; bytes of events never are. Texts from outside (names of
//! topics, what a server says) are logged as fields: those are quoted and escaped, so that they neither move a
//! terminal's cursor nor forge a line.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

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

/// Sets logs up for the whole process; once. `colour` is the caller's decision.
pub fn init(settings: &Log, colour: bool) -> Result<(), LogError> {
    subscriber(settings, colour, std::io::stderr)?.try_init()?;
    Ok(())
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
    // A line that cannot be written (a full disk) is lost. To say so on the same stream would end the thread.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    Ok(match settings.format {
        LogFormat::Human => Box::new(builder.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_ansi(false).finish()),
    })
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
            tracing::info!(topic = "a\u{1b}[31m\nb\u{202e}", "paused");
            tracing::debug!("not shown at info");
        });
        let bytes = sink.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn lines_are_human_or_json_and_never_carry_control_characters() {
        let human = logged(LogFormat::Human, "info", false);
        assert_eq!(human.lines().count(), 1, "{human}");
        assert!(human.contains("paused") && !human.contains(['\u{1b}', '\u{202e}']), "{human}");
        let json: serde_json::Value =
            serde_json::from_str(&logged(LogFormat::Json, "info", true)).expect("JSON");
        assert_eq!(json["message"], "paused");
        assert_eq!(json["topic"], "a\u{1b}[31m\nb\u{202e}");
        assert_eq!(json["level"], "INFO");
        assert_eq!(logged(LogFormat::Human, "warn", false), "");
        assert!(logged(LogFormat::Human, "info", true).contains('\u{1b}'));
    }

    #[test]
    fn bad_directives_are_an_error() {
        let settings = Log { format: LogFormat::Human, level: "info,=,[".into() };
        assert!(matches!(subscriber(&settings, false, std::io::sink), Err(LogError::Directives(_))));
    }
}
