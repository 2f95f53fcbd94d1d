//! All lanes of a process: started together, watched, stopped together.
//!
//! Owns the look at the broker before the start, one thread a lane, and what the process's end is when lanes
//! end. What a lane does is `lane`'s. Called by `cli::run` and `cli::demo`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::clock::SystemClock;
use super::cycle::{CycleLimits, Exit};
use super::definition::Pipeline;
use super::engine::{Engine, EngineLimits};
use super::flood::FloodLimits;
use super::lane::{Lane, LaneEvents, LaneLimits, Stop};
use super::refusals::ParkLimits;
use super::refusals::park::{Owners, Ruling, missing, rule};
use super::slot::{Generation, Slot};
use crate::config::Config;
use crate::config::kafka::{self, ClientSettings, TokenSource};
use crate::diagnostic::Diagnostic;
use crate::record::wall_clock;
use crate::sink::kafka::{KafkaSink, ProducerSettings};
use crate::source::SourceError;
use crate::source::audit::Stamp;
use crate::source::kafka::preflight::{Preflight, PreflightError, TopicState};
use crate::source::kafka::{KafkaSource, Watching};

/// How long the first contact with the broker may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// Records taken from a consumer in one go.
const POLL_RECORDS_MAX: usize = 1_024;
/// Findings an epoch that watchers are told of.
const NOTES_MAX: usize = 1_000;
/// Aborts in a row before a lane gives up.
const ABORTS_MAX: u32 = 20;
/// A full epoch waits this long for the sink before the source is paused.
const PAUSE_AFTER_MS: u64 = 1_000;

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration does not make a client.
    #[error("{0}")]
    Config(Box<Diagnostic>),
    /// The broker is of no use.
    #[error(transparent)]
    Broker(#[from] PreflightError),
    /// Topics are not there.
    #[error("topics are missing: {}; `noroshi topics --create` makes them", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// Topics that we may not use.
    #[error("no rights to the topics: {}", .0.join(", "))]
    ForbiddenTopics(Vec<String>),
    /// Where to begin on a topic is not known.
    #[error(transparent)]
    Begin(#[from] SourceError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl From<Diagnostic> for ServiceError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Config(Box::new(diagnostic))
    }
}

/// What a service is started from.
pub struct Service {
    config: Arc<Config>,
    slot: Arc<Slot>,
    /// The pipeline's name, which never changes while it runs.
    name: String,
    instance: String,
    /// Organisations whose own output topics were of no use when the service looked.
    parked: OnceLock<Vec<Lacking>>,
    /// Partitions that the pipeline reads, by the last look at the broker; 0 before it.
    partitions: AtomicU64,
}

/// An organisation that starts parked: its index, its topic, and why.
type Lacking = (usize, Arc<str>, String);

/// How a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneEnd {
    /// Which lane.
    pub lane: u32,
    /// Why.
    pub exit: Exit,
}

impl Service {
    /// A service that runs what is in the slot; `instance` names this process among those of the pipeline.
    pub fn new(config: Arc<Config>, slot: Arc<Slot>, instance: &str) -> Self {
        let name = slot.newest().compiled.pipeline.name.clone();
        Self {
            config,
            slot,
            name,
            instance: instance.to_owned(),
            parked: OnceLock::new(),
            partitions: AtomicU64::new(0),
        }
    }

    /// Looks at the broker: reachable, lets us in, the topics are there. An organisation whose own output topic is not
    /// starts parked, if another is left.
    pub fn preflight(&self) -> Result<(), ServiceError> {
        let preflight = self.connect()?;
        let pipeline = &self.slot.newest().compiled.pipeline;
        let inputs = pipeline.sources.iter().flat_map(|source| source.topics.iter().cloned());
        let mut absent = look(&preflight, inputs.chain(pipeline.output_topics()))?;
        let (missing, forbidden) = (absent.missing.clone(), absent.forbidden.clone());
        let parked = absent.park(&Owners::new(pipeline));
        self.partitions.store(preflight.partitions(pipeline)?, Ordering::Relaxed);
        if absent.is_empty() {
            let _ = self.parked.set(parked);
            return Ok(());
        }
        Absent { missing, forbidden }.verdict()
    }

    /// Looks whether the broker has what `new` needs and `old` did not: its topics, and a place to begin on those that
    /// are read in addition. Asks nothing when there is nothing new.
    pub fn admits(&self, old: &Pipeline, new: &Pipeline) -> Result<(), ServiceError> {
        let known = old.output_topics();
        let outputs = new.output_topics().into_iter().filter(|topic| !known.contains(topic));
        let inputs = new.sources.iter().flat_map(|source| source.topics.iter().cloned());
        let topics: Vec<String> =
            inputs.filter(|topic| old.source_of(topic).is_none()).chain(outputs).collect();
        let known: Vec<_> = old.sources.iter().filter_map(|source| source.client_pattern.as_ref()).collect();
        let patterns = new.sources.iter().filter_map(|source| source.client_pattern.as_ref());
        if topics.is_empty() && patterns.into_iter().all(|pattern| known.contains(&pattern)) {
            return Ok(());
        }
        let preflight = self.connect()?;
        look(&preflight, topics)?.verdict()?;
        let mut added = preflight.topics()?;
        added.retain(|topic| new.source_of(topic).is_some() && old.source_of(topic).is_none());
        Ok(preflight.can_begin(&self.group(), new, &added)?)
    }

    fn connect(&self) -> Result<Preflight, ServiceError> {
        let mut client = kafka::admin(&self.config)?;
        // To ask for its offsets; it does not become a member.
        client.set("group.id", self.group());
        Ok(Preflight::connect(&client, TokenSource::new(&self.config), CONNECT_PATIENCE)?)
    }

    fn group(&self) -> String {
        self.config.kafka.group_id(&self.name)
    }

    /// Runs all lanes until they are asked to stop or one cannot go on; then all stop. Returns at the latest a
    /// little after the deadline for stopping, also when the broker is gone.
    pub fn run<E: LaneEvents + Send + 'static>(
        &self,
        stop: &Stop,
        watch: impl Fn(u32, &Generation) -> E,
    ) -> Result<Vec<LaneEnd>, ServiceError> {
        let lanes = self.config.lanes.resolved();
        let first = self.slot.newest();
        let (ends, inbox) = channel();
        for lane in 0..lanes {
            let (settings, consumer) = self.clients(lane)?;
            let body = LaneBody {
                lane,
                settings,
                consumer,
                group: self.group(),
                writer: self.config.kafka.transactional_id(&self.name, &self.instance, lane),
                token: TokenSource::new(&self.config),
                first: first.clone(),
                slot: Arc::clone(&self.slot),
                config: Arc::clone(&self.config),
                events: watch(lane, &first),
                parked: self.parked.get().cloned().unwrap_or_default(),
                stop: stop.clone(),
            };
            let ends = ends.clone();
            std::thread::Builder::new()
                .name(format!("lane-{lane}"))
                .spawn(move || {
                    let guard = EndGuard { lane, ends };
                    let exit = body.run();
                    guard.end(exit);
                })
                .map_err(ServiceError::Thread)?;
        }
        drop(ends);
        Ok(self.supervise(stop, lanes, &inbox))
    }

    /// Waits for the lanes; the first that cannot go on stops the others.
    fn supervise(&self, stop: &Stop, lanes: u32, inbox: &Receiver<LaneEnd>) -> Vec<LaneEnd> {
        let mut ended: Vec<LaneEnd> = Vec::new();
        let mut asked_at: Option<Instant> = None;
        // A lane keeps its own deadline; this one is for a lane that is stuck in a call.
        let patience = Duration::from_millis(self.config.shutdown.deadline_ms);
        while ended.len() < lanes as usize {
            match inbox.recv_timeout(Duration::from_millis(50)) {
                Ok(end) => {
                    if stop.asked() == 0 {
                        stop.ask();
                    }
                    ended.push(end);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if stop.asked() > 0 {
                let at = *asked_at.get_or_insert_with(Instant::now);
                let patience = if stop.asked() > 1 { Duration::from_millis(500) } else { patience };
                if at.elapsed() > patience {
                    break;
                }
            }
        }
        for lane in 0..lanes {
            if !ended.iter().any(|end| end.lane == lane) {
                ended.push(LaneEnd { lane, exit: Exit::Deadline });
            }
        }
        ended
    }

    fn clients(&self, lane: u32) -> Result<(ProducerSettings, ClientSettings), ServiceError> {
        let id = self.config.kafka.transactional_id(&self.name, &self.instance, lane);
        let timeout = Duration::from_millis(self.config.transaction.timeout_ms);
        let settings = ProducerSettings {
            config: kafka::producer(&self.config, &id)?,
            instance: self.instance.clone(),
            token: TokenSource::new(&self.config),
            // Well inside the broker's own timeout, so that the broker never aborts what is still being tried.
            try_for: timeout.mul_f64(0.8),
            replace_for: timeout,
        };
        // The lanes of a process share its memory and its fate: together they have all partitions at most.
        let lanes = u64::from(self.config.lanes.resolved().max(1));
        let partitions = self.partitions.load(Ordering::Relaxed).div_ceil(lanes);
        Ok((settings, kafka::consumer(&self.config, &self.group(), lane, partitions)?))
    }
}

/// Topics of no use.
#[derive(Debug, Default, PartialEq, Eq)]
struct Absent {
    missing: Vec<String>,
    forbidden: Vec<String>,
}

/// Which of these topics are of no use.
fn look(preflight: &Preflight, topics: impl IntoIterator<Item = String>) -> Result<Absent, ServiceError> {
    let mut absent = Absent::default();
    for topic in topics {
        match preflight.topic(&topic)? {
            TopicState::Present(_) => {}
            TopicState::Missing => absent.missing.push(topic),
            TopicState::Forbidden => absent.forbidden.push(topic),
        }
    }
    Ok(absent)
}

impl Absent {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.forbidden.is_empty()
    }

    fn verdict(self) -> Result<(), ServiceError> {
        match self {
            Self { forbidden, .. } if !forbidden.is_empty() => Err(ServiceError::ForbiddenTopics(forbidden)),
            Self { missing, .. } if !missing.is_empty() => Err(ServiceError::MissingTopics(missing)),
            Self { .. } => Ok(()),
        }
    }

    /// Takes out what only parks its organisation.
    fn park(&mut self, owners: &Owners) -> Vec<Lacking> {
        let mut parked: Vec<Lacking> = Vec::new();
        let forbidden =
            |topic: &str| format!("no rights to the topic `{topic}`: Write on it is missing, or the topic");
        for (topics, why) in
            [(&mut self.missing, &missing as &dyn Fn(&str) -> String), (&mut self.forbidden, &forbidden)]
        {
            topics.retain(|topic| {
                let known: BTreeSet<usize> = parked.iter().map(|(organisation, ..)| *organisation).collect();
                match rule(topic, owners, &known) {
                    Ruling::Park(organisation) => {
                        parked.push((organisation, Arc::from(topic.as_str()), why(topic)));
                        false
                    }
                    Ruling::Known => false,
                    Ruling::Stop => true,
                }
            });
        }
        parked
    }
}

struct LaneBody<E> {
    lane: u32,
    settings: ProducerSettings,
    consumer: ClientSettings,
    /// The transactional id.
    writer: String,
    group: String,
    token: TokenSource,
    first: Generation,
    slot: Arc<Slot>,
    config: Arc<Config>,
    events: E,
    parked: Vec<Lacking>,
    stop: Stop,
}

impl<E: LaneEvents> LaneBody<E> {
    fn run(self) -> Exit {
        // The producer comes first: it fences an earlier life of this lane before its offsets are read.
        let sink = match KafkaSink::start(self.settings, &format!("sink-{}", self.lane)) {
            Ok(sink) => sink,
            Err(error) if error.fenced => return Exit::Fenced(error.to_string()),
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let pipeline = Arc::clone(&self.first.compiled.pipeline);
        let life = u64::try_from(wall_clock() / 1_000).unwrap_or(0);
        let me = Stamp { writer: self.writer, life, epoch: 0, birth: None };
        let input = &self.config.input;
        let watching = Watching {
            look_every: Duration::from_millis(input.look_interval_ms),
            held_back_after: Duration::from_millis(input.held_back_ms),
        };
        let (consumer, group) = (&self.consumer, &self.group);
        let source = match KafkaSource::new(consumer, self.token, group, me.clone(), pipeline, watching) {
            Ok(source) => source,
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let engine = Engine::new(self.first.compiled, EngineLimits::from(&self.config.limits));
        let limits = lane_limits(&self.config);
        let lane = Lane::new((source, sink), engine, self.events, limits, me, SystemClock::default())
            .following(self.slot, self.first.number)
            .parking(&self.parked);
        let lane = match lane {
            Ok(lane) => lane,
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let (exit, source, sink) = lane.run(&self.stop);
        // The consumer leaves the group first, so that others take over while the producer winds up.
        drop(source);
        sink.close(Duration::from_millis(500));
        exit
    }
}

/// Reports a lane that panics as failed.
struct EndGuard {
    lane: u32,
    ends: std::sync::mpsc::Sender<LaneEnd>,
}

impl EndGuard {
    fn end(self, exit: Exit) {
        let _ = self.ends.send(LaneEnd { lane: self.lane, exit });
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let exit = Exit::Failed("the lane's thread panicked".into());
            let _ = self.ends.send(LaneEnd { lane: self.lane, exit });
        }
    }
}

/// What of the deadline for stopping is left for leaving the group and dropping the clients, in milliseconds.
fn leaving_ms(deadline_ms: u64) -> u64 {
    (deadline_ms / 4).min(2_000)
}

/// The bounds of a lane with this configuration.
pub fn lane_limits(config: &Config) -> LaneLimits {
    LaneLimits {
        cycle: CycleLimits {
            interval_ms: config.epoch.interval_ms,
            records_max: config.epoch.records_max,
            bytes_max: config.epoch.bytes_max,
            pause_after_ms: PAUSE_AFTER_MS,
            // A group gives a member `session.timeout.ms` (45 s in librdkafka) to answer; half of it is ours.
            revoke_deadline_ms: 20_000,
            stop_deadline_ms: config.shutdown.deadline_ms - leaving_ms(config.shutdown.deadline_ms),
            aborts_max: ABORTS_MAX,
        },
        poll_records_max: POLL_RECORDS_MAX,
        reject_bytes_max: usize::try_from(config.limits.reject_bytes_max).unwrap_or(usize::MAX),
        notes_max: NOTES_MAX,
        flood: FloodLimits::from(&config.rejects),
        park: ParkLimits::from(&config.parking),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;

    #[test]
    fn topics_of_no_use_at_the_start() {
        let of = |org: &str| {
            format!(
                "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}\"\norganisation = \
                 \"{org}\"\ntopics = [\"in.{org}\"]\nformat = \"windows-json\"\n"
            )
        };
        let outputs = "[alerts]\ntopic = \"a.{org_id}\"\n[rejects]\ntopic = \"dead\"\n";
        let text = format!("name = \"p\"\nrules = []\n{}{}{outputs}", of("power"), of("rail"));
        let pipeline = Pipeline::from_text(&SourceFile::new("pipeline.toml", text)).expect("a pipeline");
        for (what, missing, forbidden, parked, verdict) in [
            ("all are there", vec![], vec![], vec![], Ok(())),
            ("one of its own", vec!["a.rail"], vec![], vec![1], Ok(())),
            ("one that is forbidden", vec![], vec!["a.power"], vec![0], Ok(())),
            (
                "nobody would be left",
                vec!["a.power"],
                vec!["a.rail"],
                vec![0],
                Err("no rights to the topics: a.rail"),
            ),
            ("an input", vec!["in.rail"], vec![], vec![], Err("topics are missing: in.rail;")),
            ("a shared one", vec!["a.rail", "dead"], vec![], vec![1], Err("topics are missing: dead;")),
        ] {
            let named = |topics: Vec<&str>| topics.into_iter().map(str::to_owned).collect();
            let mut absent = Absent { missing: named(missing), forbidden: named(forbidden) };
            let found = absent.park(&Owners::new(&pipeline));
            assert!(found.iter().all(|(_, topic, why)| why.contains(&**topic)), "{what}: {found:?}");
            assert_eq!(found.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), parked, "{what}");
            match (absent.verdict(), verdict) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(said)) => assert!(error.to_string().starts_with(said), "{what}: {error}"),
                (found, _) => panic!("{what}: {found:?}"),
            }
        }
    }
}
