//! `noroshi demo`: the whole path of `run` on synthetic telemetry, with the broker inside the process.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::exit::{CliError, Outcome};
use super::output::Terminal;
use super::run;
use super::signals::Signals;
use crate::config::Config;
use crate::config::broker::GroupProtocol;
use crate::demo::broker::{BrokerError, MockBroker, Shipper};
use crate::demo::telemetry::{SOURCES, Telemetry};
use crate::demo::view::{AlertLine, Progress, Summary, View};
use crate::demo::{PIPELINE, RULES};
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Observable;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::{Compiled, Tally};
use crate::pipeline::lane::{FindingNote, LaneEvents, Stop};
use crate::pipeline::service::{LaneEnd, Service, ServiceError};
use crate::pipeline::slot::Slot;
use crate::record::wall_clock;
use crate::rules::{self, Rule, RuleLimits};
use crate::sink::{Ended, EpochEnd};

/// Records in the broker that are not yet read: the mock forgets the oldest when a partition holds some MB.
const BACKLOG_RECORDS_MAX: u64 = 4_000;
/// Silence after which the demo gives up.
const STALLED: Duration = Duration::from_secs(60);

/// Show alerts on synthetic telemetry, with a Kafka inside the process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Three made-up organisations, five sources, an attack that visits all three; the rules in rules/ and
pipelines/demo/rules/ find it. The same code runs as in `noroshi run`; only the broker is a stand-in.

Examples:
  noroshi demo
  noroshi demo --seed 7 --records 200000 --rate 0")]
pub struct DemoArgs {
    /// Another seed gives other telemetry around the same attack.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Records to generate.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(500..=100_000_000))]
    records: u64,
    /// Records a second at most; 0 is as fast as it goes.
    #[arg(long, default_value_t = 2_500)]
    rate: u64,
}

/// What lanes and the shipper tell the view.
enum Note {
    Sent(u64),
    Ended { tally: Tally, findings: Vec<FindingNote>, took: Duration },
    Failed(String),
    Left(Result<Vec<LaneEnd>, ServiceError>),
}

struct DemoWatch(Sender<Note>);

impl LaneEvents for DemoWatch {
    fn ended(&mut self, ended: &Ended, tally: &Tally, findings: &[FindingNote], _age: Duration) {
        if ended.end == EpochEnd::Committed {
            let (tally, findings) = (tally.clone(), findings.to_vec());
            let _ = self.0.send(Note::Ended { tally, findings, took: ended.took });
        }
    }

    fn trouble(&mut self, what: &str) {
        tracing::warn!(what, "A lane has trouble.");
    }
}

/// Runs the demo; ends by itself.
pub fn main(args: &DemoArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    // The broker inside takes as many as a lane.
    run::descriptors(2)?;
    let broken = |error: BrokerError| CliError::kafka(format!("the demo's broker: {error}"));
    let file = SourceFile::new("pipelines/demo/pipeline.toml", PIPELINE);
    let pipeline = Pipeline::from_text(&file)?;
    let topics: Vec<String> = pipeline
        .sources
        .iter()
        .flat_map(|source| source.topics.iter().cloned())
        .chain(pipeline.output_topics())
        .collect();
    let files: Vec<Arc<SourceFile>> =
        RULES.iter().map(|(path, text)| SourceFile::new(Path::new(path), *text)).collect();
    let mut config = Config::default();
    let loaded = rules::load_files(&files, &pipeline.catalog, &RuleLimits::from(&config.limits));
    let compiled = Arc::new(run::compiled(pipeline, loaded)?);
    let broker = MockBroker::start(&topics).map_err(broken)?;
    let servers = broker.bootstrap_servers();
    config.kafka.bootstrap_servers = vec![servers.clone()];
    // The mock assigns at once with this protocol, and after 3 s with the other.
    config.kafka.group_protocol = GroupProtocol::Consumer;
    // The mock keeps no committed offsets, so a partition that moved to a second lane would be read again.
    config.lanes.count = 1;
    // This broker names no controller, which librdkafka wants to know before it asks for the ids of topics.
    config.input.look_interval_ms = 0;
    let slot = Slot::new(Arc::clone(&compiled), "", wall_clock());
    let service = Service::new(Arc::new(config), slot, "demo");
    let stop = Signals::of_command()?.stop;

    let (notes, inbox) = channel();
    let (pace, paced) = channel();
    let shipping = (notes.clone(), args.clone_figures(), servers, Arc::clone(&compiled), stop.clone());
    spawn("shipper", move || {
        let (notes, (seed, records, rate), servers, compiled, stop) = shipping;
        if let Err(error) = ship(seed, records, rate, &servers, &compiled, &notes, &paced, &stop) {
            let _ = notes.send(Note::Failed(format!("the demo's shipper: {error}")));
        }
    })?;
    let (watch, lanes) = (notes.clone(), stop.clone());
    spawn("service", move || {
        let ends = service.run(&lanes, |_, _| DemoWatch(watch.clone()));
        let _ = watch.send(Note::Left(ends));
    })?;
    drop(notes);

    let title = format!(
        "Noroshi demo: {} rules on synthetic telemetry of three organisations, seed {}",
        compiled.rules.rules().len(),
        args.seed
    );
    let view = View::start(&title, terminal.colour_err, terminal.live);
    let mut show = Show {
        view,
        summary: Summary::default(),
        progress: Progress::default(),
        compiled,
        began: Instant::now(),
    };
    show.progress.records_total = Some(args.records);
    let ends = show.follow(&inbox, &pace, &stop)?;
    show.view.finish();
    show.summary.note_figures(&show.progress);
    let page = show.summary.render(terminal.colour_out, terminal.width());
    write!(std::io::stdout().lock(), "{page}")?;
    drop(broker);
    Ok(run::outcome(&ends))
}

impl DemoArgs {
    fn clone_figures(&self) -> (u64, u64, u64) {
        (self.seed, self.records, self.rate)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map(drop).map_err(|error| CliError::usage(format!("cannot start a thread: {error}")))
}

/// Sends the telemetry, never far ahead of what has been committed.
#[expect(clippy::too_many_arguments, reason = "one caller; the arguments have nothing in common")]
fn ship(
    seed: u64,
    records: u64,
    rate: u64,
    servers: &str,
    compiled: &Compiled,
    notes: &Sender<Note>,
    paced: &Receiver<u64>,
    stop: &Stop,
) -> Result<(), BrokerError> {
    let topic_of = |id: &str| {
        let source = compiled.pipeline.sources.iter().find(|source| &*source.id == id);
        source.and_then(|source| source.topics.first().cloned()).unwrap_or_default()
    };
    let topics: Vec<(&str, String)> = SOURCES.iter().map(|(id, _, _)| (*id, topic_of(id))).collect();
    let mut shipper = Shipper::new(servers)?;
    // The stream covers an hour of events that ends about now.
    let start = wall_clock() - 3_600_000_000;
    let began = Instant::now();
    let (mut sent, mut done) = (0u64, 0u64);
    for generated in Telemetry::new(seed, start, records) {
        if stop.asked() > 0 {
            return Ok(());
        }
        if let Some((_, topic)) = topics.iter().find(|(id, _)| *id == generated.source) {
            shipper.send(topic, &generated.value)?;
        }
        sent += 1;
        if sent.is_multiple_of(200) {
            let _ = notes.send(Note::Sent(sent));
            done = paced.try_iter().last().unwrap_or(done);
            while sent.saturating_sub(done) > BACKLOG_RECORDS_MAX && stop.asked() == 0 {
                done = paced.recv_timeout(Duration::from_millis(100)).unwrap_or(done);
            }
            if rate > 0 {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
    }
    shipper.flush()?;
    let _ = notes.send(Note::Sent(sent));
    Ok(())
}

struct Show {
    view: View,
    summary: Summary,
    progress: Progress,
    compiled: Arc<Compiled>,
    began: Instant,
}

impl Show {
    /// Draws what happens until all records are committed and the lanes have left.
    fn follow(
        &mut self,
        inbox: &Receiver<Note>,
        pace: &Sender<u64>,
        stop: &Stop,
    ) -> Result<Vec<LaneEnd>, CliError> {
        let total = self.progress.records_total.unwrap_or(0);
        let (mut sent, mut last) = (0, Instant::now());
        loop {
            match inbox.recv_timeout(Duration::from_millis(100)) {
                Ok(Note::Sent(count)) => sent = count,
                Ok(Note::Ended { tally, findings, took }) => {
                    last = Instant::now();
                    self.take(&tally, &findings, took);
                    let _ = pace.send(self.progress.records);
                    if self.progress.records >= total {
                        stop.ask();
                    }
                }
                Ok(Note::Failed(why)) => {
                    stop.ask();
                    return Err(CliError::kafka(why));
                }
                Ok(Note::Left(ends)) => {
                    return ends.map_err(|error| CliError::kafka(error.to_string()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CliError::kafka("the demo ended unexpectedly"));
                }
            }
            if last.elapsed() > STALLED {
                return Err(CliError::kafka(format!(
                    "nothing was committed for {} s; {} of {sent} records had been read",
                    STALLED.as_secs(),
                    self.progress.records
                )));
            }
            self.progress.lag = Some(sent.saturating_sub(self.progress.records));
            self.progress.elapsed = self.began.elapsed();
            self.view.progress(&self.progress);
        }
    }

    fn take(&mut self, tally: &Tally, findings: &[FindingNote], took: Duration) {
        for source in &tally.sources {
            self.progress.records += source.records;
            self.progress.events += source.events;
            self.progress.rejects += source.rejects.values().sum::<u64>();
        }
        self.progress.epochs += 1;
        self.progress.last_commit = Some(took);
        for finding in findings {
            self.progress.alerts += 1;
            let rule = &self.compiled.rules.rules()[finding.rule];
            let org_id = self.compiled.pipeline.organisation_of(finding.source).id.to_string();
            for value in indicators(rule, finding) {
                self.summary.note_indicator(&value, &org_id);
            }
            let alert = AlertLine {
                time_ms: finding.event_time / 1_000,
                level: rule.meta.level,
                org_id,
                title: rule.meta.title.clone(),
                entity: entity(rule, finding),
            };
            self.view.alert(&alert);
            self.summary.note_alert(&alert);
        }
    }
}

fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn entity(rule: &Rule, finding: &FindingNote) -> String {
    let values = rule.meta.entity.iter().filter_map(|name| {
        let found = finding.output.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| text(value))
    });
    values.collect::<Vec<_>>().join(" · ")
}

/// Addresses, names asked for, links and hashes that the rule returned. The host itself is no indicator.
fn indicators(rule: &Rule, finding: &FindingNote) -> Vec<String> {
    let kept = |name: &str| {
        let column = rule.table.column(name).and_then(|at| rule.table.columns[at].observable);
        match column {
            Some(Observable::IpAddress | Observable::Url | Observable::Hash) => true,
            Some(Observable::Hostname) => name != "Computer",
            _ => false,
        }
    };
    let values = finding.output.iter().filter(|(name, _)| kept(name));
    values.filter_map(|(_, value)| text(value)).collect()
}
