//! What signals ask of the service.
//!
//! Owns listening for SIGTERM, SIGINT and SIGHUP; what follows is `pipeline::lane`'s and `pipeline::reload`'s. Called by
//! `cli`, for `run` before anything else: from then on none of them ends the process by itself.

use std::ffi::OsString;
use std::future::pending;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{CliError, Outcome};
use super::run;
use crate::pipeline::lane::Stop;
use crate::pipeline::reload::Wake;

/// File descriptors that listening takes at most.
const DESCRIPTORS: usize = 10;

/// What the signals of a process have asked for.
#[derive(Clone, Default)]
pub struct Signals {
    /// SIGTERM and SIGINT; the second one leaves at once, even when a lane is stuck.
    pub stop: Stop,
    /// SIGHUP.
    pub wake: Wake,
    attended: Arc<AtomicBool>,
}

impl Signals {
    /// Listens for all of them.
    pub fn of_service() -> Result<Self, CliError> {
        listen(true)
    }

    /// Listens for those that end a command; SIGHUP stays what it is.
    pub fn of_command() -> Result<Self, CliError> {
        let signals = listen(false)?;
        signals.attend();
        Ok(signals)
    }

    /// From here on somebody looks at `stop`. Before that, files are read, which may lie where reading takes for ever: a
    /// second signal ends the process then, and nothing is open that it could spoil.
    pub fn attend(&self) {
        self.attended.store(true, Ordering::Release);
    }

    fn asked_to_stop(&self) {
        self.stop.ask();
        match self.stop.asked() {
            1 => tracing::info!("Stopping: the open epoch is finished first. A second signal stops at once."),
            _ if !self.attended.load(Ordering::Acquire) => {
                process::exit(i32::from(Outcome::Deadline.number()))
            }
            _ => {}
        }
    }
}

fn listen(hangups: bool) -> Result<Signals, CliError> {
    let failed = |error: std::io::Error| CliError::usage(format!("cannot listen for signals: {error}"));
    // Where there are less, the runtime ends the process instead of saying so.
    if run::spare(DESCRIPTORS).is_err() {
        return Err(CliError::usage("cannot listen for signals: too few file descriptors"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = if hangups { Some(signal(SignalKind::hangup()).map_err(failed)?) } else { None };
    drop(guard);
    let signals = Signals::default();
    let asked = signals.clone();
    let body = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => asked.asked_to_stop(),
                    _ = interrupt.recv() => asked.asked_to_stop(),
                    () = next(&mut hangup) => asked.wake.ask(),
                }
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(body).map_err(failed)?;
    Ok(signals)
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}

/// Whether these arguments, without the program's name, are those of `run`: known before they are looked at in full, which
/// takes a while.
pub fn is_service(args: impl IntoIterator<Item = OsString>) -> bool {
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            // The options that may stand before the command; all others end the program.
            Some("--colour") => {
                args.next();
            }
            Some(option) if option.starts_with("--colour=") => {}
            command => return command == Some("run"),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_known_by_its_command() {
        for (args, expect) in [
            (&["run"][..], true),
            (&["run", "--pipeline", "scan"], true),
            (&["--colour", "never", "run"], true),
            (&["--colour=never", "run", "--help"], true),
            (&[], false),
            (&["scan", "run"], false),
            (&["--colour", "run"], false),
            (&["--colour", "run", "scan"], false),
            (&["--version", "run"], false),
        ] {
            assert_eq!(is_service(args.iter().map(OsString::from)), expect, "{args:?}");
        }
    }
}
