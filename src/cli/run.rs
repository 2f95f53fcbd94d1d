//! `noroshi run`: the service.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::exit::{CliError, Outcome};
use super::output::{MESSAGE_COLUMNS_MAX, Terminal, plural};
use super::place::Place;
use super::signals::Signals;
use crate::api;
use crate::diagnostic::Diagnostic;
use crate::observe::log;
use crate::pipeline::cycle::Exit;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::Compiled;
use crate::pipeline::lane::Stop;
use crate::pipeline::load::Sound;
use crate::pipeline::reload::{self, Reload};
use crate::pipeline::service::{LaneEnd, Service, ServiceError};
use crate::pipeline::slot::Slot;
use crate::pipeline::watch::{Observed, Watch};
use crate::printable;
use crate::record::wall_clock;
use crate::rules::{Loaded, RuleLimits, RuleSet};

/// File descriptors of a process beside those of its lanes and those that listening for signals has taken, and of a lane. This is for one or two brokers: each one more
/// costs a lane 6.
const DESCRIPTORS_MIN: usize = 34;
const DESCRIPTORS_OF_A_LANE_MIN: usize = 24;
/// The system's numbers of "too many open files": of the process, of the system.
const TOO_MANY_FILES: [i32; 2] = [24, 23];
/// How soon a stop is noticed while the broker is looked at.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// Run a pipeline: telemetry from Kafka, alerts to Kafka.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Settings come from --config (or ./noroshi.toml), then NOROSHI__… variables, then --set; docs/configuration.md lists
them. SIGTERM and Ctrl-C finish the epoch, commit and leave; the second one leaves at once. Changed rules, tables and
pipelines are taken over while it runs: docs/reload.md; SIGHUP looks for them at once.

Examples:
  noroshi topics --pipeline pipelines/demo --create --set kafka.bootstrap_servers=localhost:9092
  noroshi run --pipeline pipelines/demo --set kafka.bootstrap_servers=localhost:9092
  curl -s localhost:9464/status | jq .lanes")]
pub struct RunArgs {
    #[command(flatten)]
    place: Place,
    /// Name of this process among those that run the pipeline; must be the same after a restart. Default: the
    /// variable NOROSHI_INSTANCE, else the host's name.
    #[arg(long)]
    instance: Option<String>,
}

/// Runs until it is stopped. That signals cannot be listened for is told here: too few file descriptors may be why.
pub fn main(
    args: &RunArgs,
    terminal: &Terminal,
    signals: Result<Signals, CliError>,
) -> Result<Outcome, CliError> {
    let config = Arc::new(args.place.config()?);
    log::init(&config.log, terminal.colour_err).map_err(|error| CliError::usage(error.to_string()))?;
    for warning in config.warnings() {
        tracing::warn!(code = warning.code.id, "{warning}");
    }
    descriptors(config.lanes.resolved())?;
    let signals = signals?;
    let instance = instance(args.instance.clone().or_else(|| std::env::var("NOROSHI_INSTANCE").ok()))?;
    // What is wrong with the configuration must not hide what is wrong with the pipeline.
    let started = reload::start(&args.place.pipeline, &RuleLimits::from(&config.limits));
    let (looked, Sound { compiled, warnings, unfed }) = match (started, config.reachable()) {
        (Ok(started), Ok(())) => started,
        (started, reachable) => {
            let found = [reachable.err(), started.err()];
            return Err(found.into_iter().flatten().flatten().collect::<Vec<Diagnostic>>().into());
        }
    };
    terminal.warn(&warnings);
    if !unfed.is_empty() {
        tracing::warn!(
            rules = unfed.len(),
            "Rules read tables that no source feeds; `noroshi check` names them."
        );
    }
    let slot = Slot::new(Arc::new(compiled), looked.content(), wall_clock());
    let service = Arc::new(Service::new(Arc::clone(&config), Arc::clone(&slot), &instance));
    tracing::info!(brokers = config.kafka.bootstrap_servers.join(","), "Noroshi looks at the broker.");
    signals.attend();
    let Signals { stop, wake, .. } = signals;
    if !preflight(&service, &stop)? {
        tracing::info!("Noroshi ends before it has begun.");
        return Ok(Outcome::Done);
    }
    let first = slot.newest();
    let observed = Observed::new(&config, &first, &instance);
    // The look at the topics was an answer.
    observed.health.broker_answers();
    let server = if config.http.enabled {
        let (health, metrics) = (Arc::clone(&observed.health), observed.metrics.clone());
        let server = api::serve(config.http.listen, api::Bounds::default(), health, metrics)
            .map_err(|error| CliError::usage(error.to_string()))?;
        tracing::info!(address = %server.address(), "The HTTP endpoint listens.");
        Some(server)
    } else {
        None
    };
    tracing::info!(
        pipeline = first.compiled.pipeline.name,
        rules = first.compiled.rules.rules().len(),
        rule_set = first.compiled.rules.version(),
        lanes = config.lanes.resolved(),
        instance,
        "Noroshi starts."
    );
    let told: Vec<Diagnostic> = warnings.into_iter().chain(unfed).collect();
    let asks = Arc::clone(&service);
    let admit = Box::new(move |old: &Pipeline, new: &Pipeline| asks.admits(old, new));
    Reload::new(looked, &told, &config, slot, observed.clone(), admit)
        .spawn(wake, stop.clone())
        .map_err(|error| CliError::usage(format!("cannot start a thread: {error}")))?;
    let ends = service
        .run(&stop, move |lane, first| Watch::new(lane, observed.clone(), first))
        .map_err(|error| failed(&error))?;
    if let Some(server) = server {
        server.stop(Duration::from_millis(500));
    }
    let outcome = outcome(&ends);
    tracing::info!(?outcome, "Noroshi ends.");
    Ok(outcome)
}

/// Whether there are file descriptors enough to begin with. What runs short of them later waits until there are some, but
/// what cannot even begin fails in many ways, few of which say why.
pub fn descriptors(lanes: u32) -> Result<(), CliError> {
    let needed = DESCRIPTORS_MIN + DESCRIPTORS_OF_A_LANE_MIN * lanes as usize;
    spare(needed).map_err(|open| {
        CliError::usage(format!(
            "{open} of at least {needed} file descriptors can be opened, which {} take: raise `ulimit -n` \
             (LimitNOFILE= of systemd)",
            plural(lanes as usize, "lane")
        ))
    })
}

/// Whether so many file descriptors can be opened; the error is how many can.
pub fn spare(needed: usize) -> Result<(), usize> {
    let mut open = Vec::new();
    while open.len() < needed {
        match std::fs::File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) if error.raw_os_error().is_some_and(|number| TOO_MANY_FILES.contains(&number)) => {
                return Err(open.len());
            }
            // It is not there; that is nobody's fault here.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Looks at the broker; false when it was asked to stop meanwhile. A broker that is gone makes the look long, and nothing
/// is open yet that the stop would have to wait for.
fn preflight(service: &Arc<Service>, stop: &Stop) -> Result<bool, CliError> {
    let (looked, answer) = channel();
    let look = Arc::clone(service);
    let body = move || {
        // Nobody may be waiting any more.
        let _ = looked.send(look.preflight());
    };
    std::thread::Builder::new()
        .name("preflight".into())
        .spawn(body)
        .map_err(|error| CliError::usage(format!("cannot start a thread: {error}")))?;
    loop {
        if stop.asked() > 0 {
            return Ok(false);
        }
        match answer.recv_timeout(STOP_LOOK) {
            Ok(looked) => return looked.map(|()| true).map_err(|error| failed(&error)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CliError::kafka("the look at the broker ended unexpectedly"));
            }
        }
    }
}

/// Compiles rules that were read; their errors end the command.
pub fn compiled(pipeline: Pipeline, loaded: Loaded) -> Result<Compiled, CliError> {
    if loaded.has_errors() {
        return Err(loaded.diagnostics.into());
    }
    let rules = Arc::new(RuleSet::new(loaded.rules));
    Compiled::new(Arc::new(pipeline), rules)
        .map_err(|error| CliError::usage(format!("the rules cannot be compiled: {error}")))
}

/// The exit code for how lanes ended; says the reason of each that failed.
pub fn outcome(ends: &[LaneEnd]) -> Outcome {
    let mut outcome = Outcome::Done;
    let mut err = std::io::stderr().lock();
    for end in ends {
        let (this, why) = match &end.exit {
            Exit::Stopped => continue,
            Exit::Deadline => {
                (Outcome::Deadline, "the deadline for stopping passed, or a second signal came".to_owned())
            }
            Exit::Fenced(why) => (Outcome::Fenced, why.clone()),
            Exit::Failed(why) => (Outcome::Kafka, why.clone()),
            Exit::Undeclared(why) => (Outcome::Usage, why.clone()),
            Exit::Contradicted(why) => (Outcome::Contradicted, why.clone()),
        };
        let _ = writeln!(err, "noroshi: lane {}: {}", end.lane, printable::line(&why, MESSAGE_COLUMNS_MAX));
        let rank = |outcome: Outcome| match outcome {
            Outcome::Contradicted => 5,
            Outcome::Fenced => 4,
            Outcome::Kafka => 3,
            Outcome::Usage => 2,
            Outcome::Deadline => 1,
            _ => 0,
        };
        if rank(this) > rank(outcome) {
            outcome = this;
        }
    }
    outcome
}

fn failed(error: &ServiceError) -> CliError {
    match error {
        ServiceError::Config(diagnostic) => (**diagnostic).clone().into(),
        other => CliError::kafka(other.to_string()),
    }
}

/// Letters, digits, `.`, `_` and `-`: it becomes part of Kafka's ids.
fn instance(given: Option<String>) -> Result<String, CliError> {
    let name = match given {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "noroshi".into()),
    };
    let name = name.trim();
    let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if name.is_empty() || name.len() > 100 || !valid {
        return Err(CliError::usage(format!(
            "--instance `{}`: use letters, digits, `.`, `_` and `-`, at most 100",
            printable::line(name, MESSAGE_COLUMNS_MAX)
        )));
    }
    Ok(name.to_owned())
}
