//! The transactional producer of a lane, on a thread of its own.
//!
//! Owns the rdkafka producer from its creation to its drop (I-10) and makes the calls that `transaction` says
//! come next; it decides nothing itself. While it commits one epoch, the lane fills the next.

mod context;
mod crash;
pub mod create;
mod failure;
mod lookout;
mod produce;
mod refusal;
pub mod replay;
mod wire;

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::context::{Report, SinkContext};
use self::failure::{facts, is_missing};
use self::lookout::Lookout;
use self::wire::Wire;
use super::carry::{Calls, Carry, CarryLimits, Failure, Left, Millis, Step};
use super::transaction::{Call, Facts, Verdict, verdict};
use super::{Ended, Epoch, EpochEnd, Sink};
use crate::config::kafka::TokenSource;

/// One slice of waiting for delivery reports: small, because a commit waits for it.
const REPORT_WAIT: Duration = Duration::from_micros(500);
/// How long the thread waits for an epoch before it serves the producer's events.
const IDLE_POLL: Duration = Duration::from_millis(200);
/// A request that moves a transaction is slow from here on.
const SLOW_MS: Millis = 1_000;
/// librdkafka asks for so long when a coordinator does not know the topic of an offset: it may not have heard of it yet, or it
/// was deleted, and then the lane must not stand still for the whole time of a transaction.
const OFFSETS_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before initialisation is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(20);

/// What a producer of this lane is made from.
#[derive(Clone)]
pub struct ProducerSettings {
    /// librdkafka's settings, with the transactional id.
    pub config: ClientConfig,
    /// The name of this process among those of the pipeline, for people.
    pub instance: String,
    /// Where OAUTHBEARER tokens come from.
    pub token: TokenSource,
    /// How long a transaction may be tried before the producer is replaced.
    pub try_for: Duration,
    /// How long a new producer may take.
    pub replace_for: Duration,
}

impl ProducerSettings {
    /// librdkafka sends a request again when `socket.timeout.ms` has passed without an answer; far less is slow enough.
    fn slow_ms(&self) -> Millis {
        let timeout = self.config.get("socket.timeout.ms").and_then(|text| text.parse().ok());
        timeout.unwrap_or(SLOW_MS).min(SLOW_MS)
    }
}

/// What a batch may hold, in bytes before compression, when it is halved so often.
fn batch_bytes(config: &ClientConfig, halved: u32) -> u64 {
    let number =
        |key: &str, default: u64| config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    // librdkafka takes the smaller one, and these defaults.
    let most = number("batch.size", 1_000_000).min(number("message.max.bytes", 1_000_000));
    most.checked_shr(halved).unwrap_or_default().max(1)
}

/// Why the first producer could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SinkError {
    what: &'static str,
    why: String,
    /// True when another process holds the identity.
    pub fenced: bool,
    /// True when the rights are missing.
    refused: bool,
}

/// The lane's end of the sink thread.
pub struct KafkaSink {
    settings: ProducerSettings,
    name: String,
    thread: SinkThread,
    /// The epoch under way, for the case that its thread does not come back.
    flight: Option<Flight>,
}

struct SinkThread {
    epochs: Option<SyncSender<Epoch<ConsumerGroupMetadata>>>,
    ends: Receiver<Ended>,
    started: Receiver<Result<(), SinkError>>,
    handle: JoinHandle<()>,
    lookout: Lookout,
}

struct Flight {
    number: u64,
    offsets: Vec<(Arc<str>, i32, i64)>,
    since: Instant,
}

impl SinkThread {
    fn spawn(settings: ProducerSettings, name: &str) -> Result<Self, SinkError> {
        let (epochs, inbox) = sync_channel(1);
        let (outbox, ends) = sync_channel(2);
        let (ready, started) = sync_channel(1);
        let shared = Lookout::default();
        let lookout = shared.clone();
        let body = move || {
            let producer = match create(&settings, 0, Instant::now() + settings.replace_for) {
                Ok(producer) => producer,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            let (left, began, seen) = (Left::default(), Instant::now(), BTreeSet::new());
            let (producer, batches_halved) = (Some(producer), 0);
            let mut worker = Worker { settings, producer, batches_halved, left, seen, began, lookout };
            loop {
                match inbox.recv_timeout(IDLE_POLL) {
                    Ok(epoch) => {
                        if outbox.send(worker.run(epoch)).is_err() {
                            break;
                        }
                    }
                    // An idle producer still has tokens to refresh and errors to report.
                    Err(RecvTimeoutError::Timeout) => worker.idle(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let handle = spawned.map_err(|error| no_thread(&error))?;
        Ok(Self { epochs: Some(epochs), ends, started, handle, lookout: shared })
    }
}

fn no_thread(error: &dyn std::error::Error) -> SinkError {
    SinkError { what: "starting the sink thread", why: error.to_string(), fenced: false, refused: false }
}

impl KafkaSink {
    /// Starts the thread and initialises the producer: this fences and cleans up what an earlier life of the
    /// lane left open, so it comes before the first offset is read.
    pub fn start(settings: ProducerSettings, name: &str) -> Result<Self, SinkError> {
        let thread = SinkThread::spawn(settings.clone(), name)?;
        match thread.started.recv() {
            Ok(Ok(())) => Ok(Self { settings, name: name.to_owned(), thread, flight: None }),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(no_thread(&error)),
        }
    }

    /// Leaves a thread behind that is stuck in a call. A new one, whose producer fences whatever the old one may still
    /// do, says how the epoch ended: not known, as the call that is stuck may be the commit.
    fn start_over(&mut self) -> Option<Ended> {
        tracing::error!(
            "A call into the Kafka client does not return: its producer is left behind, and a new one takes its place."
        );
        let Flight { number, offsets, since } = self.flight.take()?;
        let why = "a call into the Kafka client did not return";
        let started = SinkThread::spawn(self.settings.clone(), &self.name).and_then(|thread| {
            self.thread = thread;
            self.thread.started.recv().unwrap_or_else(|error| Err(no_thread(&error)))
        });
        let end = match started {
            Ok(()) => EpochEnd::Unknown(why.into()),
            Err(error) if error.fenced => EpochEnd::Fenced(error.to_string()),
            Err(error) => EpochEnd::Failed(format!("{why}, and there is no new producer: {error}")),
        };
        let took = since.elapsed();
        Some(Ended { number, end, offsets, took, retries: 0, replaced: true, doubtful: true })
    }

    /// Lets the thread end by itself; waits for it at most this long, then leaves it behind: a broker that is
    /// gone must not hold up the exit.
    pub fn close(mut self, patience: Duration) {
        self.thread.epochs = None;
        let SinkThread { handle, ends, .. } = self.thread;
        let until = Instant::now() + patience;
        while !handle.is_finished() && Instant::now() < until {
            if let Err(RecvTimeoutError::Disconnected) = ends.recv_timeout(Duration::from_millis(20)) {
                break;
            }
        }
        if handle.is_finished() {
            let _ = handle.join();
        }
    }
}

impl Sink<ConsumerGroupMetadata> for KafkaSink {
    fn submit(&mut self, epoch: Epoch<ConsumerGroupMetadata>) {
        let (number, offsets) = (epoch.number, epoch.offsets.clone());
        self.flight = Some(Flight { number, offsets, since: Instant::now() });
        if let Some(epochs) = &self.thread.epochs {
            // The cycle never has two epochs in flight, so there is always room.
            let _ = epochs.send(epoch);
        }
    }

    fn ended(&mut self, timeout: Duration) -> Option<Ended> {
        match self.thread.ends.recv_timeout(timeout) {
            Ok(ended) => {
                self.flight = None;
                Some(ended)
            }
            Err(RecvTimeoutError::Timeout) if self.thread.lookout.leaves_behind(Instant::now()) => {
                self.start_over()
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Ended {
                number: 0,
                end: EpochEnd::Failed("the sink thread has ended".into()),
                offsets: Vec::new(),
                took: Duration::ZERO,
                retries: 0,
                replaced: false,
                doubtful: false,
            }),
        }
    }
}

struct Worker {
    settings: ProducerSettings,
    producer: Option<BaseProducer<SinkContext>>,
    /// How often the batches of each new producer are halved.
    batches_halved: u32,
    left: Left,
    /// The topics that were there when they were first written to, and that have not been refused since.
    seen: BTreeSet<Arc<str>>,
    began: Instant,
    lookout: Lookout,
}

impl Worker {
    fn idle(&self) {
        if let Some(producer) = &self.producer {
            producer.poll(Duration::ZERO);
        }
    }

    /// Carries one epoch to its end.
    fn run(&mut self, epoch: Epoch<ConsumerGroupMetadata>) -> Ended {
        let limits = CarryLimits {
            try_for_ms: millis(self.settings.try_for),
            replace_for_ms: millis(self.settings.replace_for),
            slow_ms: self.settings.slow_ms(),
            replace_tainted: true,
        };
        let (mut left, began) = (std::mem::take(&mut self.left), self.began);
        if epoch.batches_halved != self.batches_halved {
            self.batches_halved = epoch.batches_halved;
            left.taint.get_or_insert_with(|| {
                let most = batch_bytes(&self.settings.config, epoch.batches_halved);
                format!("batches of at most {most} bytes from now on")
            });
        }
        let now = || millis(began.elapsed());
        // Statistics that came in the meantime are looked at before the transaction begins.
        self.idle();
        let mut carry = Carry::new(epoch, left, self, now(), limits);
        loop {
            match carry.step(self, now) {
                Step::Again(Duration::ZERO) => {}
                Step::Again(pause) => std::thread::sleep(pause),
                Step::Ended(ended) => {
                    self.left = carry.left();
                    return ended;
                }
            }
        }
    }
}

impl Calls<ConsumerGroupMetadata> for Worker {
    fn call(
        &mut self,
        call: Call,
        epoch: &Epoch<ConsumerGroupMetadata>,
        until: Millis,
    ) -> Result<(), Failure> {
        crash::point(false, call, epoch.number);
        let until = self.began + Duration::from_millis(until);
        if !self.lookout.enter(until) {
            return Err(left_behind());
        }
        let made = self.make(call, epoch, until);
        self.lookout.leave();
        crash::point(true, call, epoch.number);
        made
    }

    fn taint(&mut self) -> Option<String> {
        self.producer.as_ref()?.context().wire.taint()
    }

    fn fenced(&self, why: &str) -> String {
        fenced(&self.settings, why)
    }
}

impl Worker {
    fn make(
        &mut self,
        call: Call,
        epoch: &Epoch<ConsumerGroupMetadata>,
        until: Instant,
    ) -> Result<(), Failure> {
        let fail = |verdict: Verdict, why: String| Failure { verdict, why, cause: None };
        if call == Call::Replace {
            // The old producer must be gone before the new one is born, or they fence each other.
            self.producer = None;
            // The drop may have been what was stuck: by now there can be another producer, not to be fenced.
            if !self.lookout.enter(until) {
                return Err(left_behind());
            }
            let made = create(&self.settings, self.batches_halved, until);
            let producer = made.map_err(|error| {
                let facts =
                    Facts { fatal: true, fenced: error.fenced, refused: error.refused, ..Facts::default() };
                fail(verdict(facts), error.to_string())
            })?;
            self.producer = Some(producer);
            return Ok(());
        }
        let Some(producer) = &self.producer else {
            return Err(fail(Verdict::Fatal, "there is no producer".into()));
        };
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let result = match call {
            Call::Begin => {
                *producer.context().report() = Report::default();
                producer.begin_transaction()
            }
            Call::Produce => {
                return produce::produce(producer, epoch, &mut self.seen, until)
                    .map_err(|failure| Failure { why: named(&self.settings, failure.why), ..failure });
            }
            Call::SendOffsets => {
                let Some(group) = &epoch.group else {
                    return Err(fail(Verdict::Abort, "the consumer has left its group".into()));
                };
                let mut list = TopicPartitionList::new();
                for ((topic, partition, offset), stamp) in epoch.offsets.iter().zip(&epoch.stamps) {
                    let mut element = list.add_partition(topic, *partition);
                    element
                        .set_offset(Offset::Offset(*offset))
                        .map_err(|error| fail(Verdict::Abort, error.to_string()))?;
                    element.set_metadata(stamp);
                }
                producer.send_offsets_to_transaction(&list, group, left.min(OFFSETS_PATIENCE))
            }
            Call::Commit => producer.commit_transaction(left),
            Call::Abort => produce::abort(producer, until),
            Call::Replace => Ok(()),
        };
        result.map_err(|error| {
            let mut facts = facts(&error);
            // The topic of an offset was deleted. Nothing can be committed for it; the rewind after the abort sees to it.
            facts.refused &= call != Call::SendOffsets || !is_missing(&error);
            fail(verdict(facts), named(&self.settings, error.to_string()))
        })
    }
}

/// What a thread that was left behind is told: nobody hears it any more.
fn left_behind() -> Failure {
    Failure { verdict: Verdict::Fenced, why: "the thread was left behind".into(), cause: None }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A reason, with the transactional id where librdkafka speaks of it without saying which.
fn named(settings: &ProducerSettings, why: String) -> String {
    let id = settings.config.get("transactional.id").unwrap_or_default();
    if why.contains("Transactional Id authorization failed") {
        return format!("{why}; transactional id `{id}`");
    }
    why
}

/// Why a producer was fenced, for the operator. The broker's answer is the same in both cases.
fn fenced(settings: &ProducerSettings, reason: &str) -> String {
    let id = settings.config.get("transactional.id").unwrap_or_default();
    format!(
        "another process uses the instance name `{}` (transactional id `{id}`), or this one stood still for longer \
         than transaction.timeout_ms: {reason}",
        settings.instance
    )
}

fn create(
    settings: &ProducerSettings,
    batches_halved: u32,
    until: Instant,
) -> Result<BaseProducer<SinkContext>, SinkError> {
    let failed = |what: &'static str, error: &KafkaError| {
        let Facts { fenced: is_fenced, refused, .. } = facts(error);
        let why = named(settings, error.to_string());
        SinkError {
            what,
            why: if is_fenced { fenced(settings, &why) } else { why },
            fenced: is_fenced,
            refused,
        }
    };
    let context = SinkContext {
        report: Mutex::new(Report::default()),
        told: Mutex::default(),
        wire: Wire::default(),
        token: settings.token.clone(),
        message_bytes_max: settings.config.get("message.max.bytes").map(str::to_owned),
    };
    let mut config = settings.config.clone();
    if batches_halved > 0 {
        config.set("batch.size", batch_bytes(&config, batches_halved).to_string());
    }
    let producer: BaseProducer<SinkContext> =
        config.create_with_context(context).map_err(|error| failed("creating the producer", &error))?;
    // An OAUTHBEARER token is asked for through an event, so poll once before the first connection.
    producer.poll(Duration::ZERO);
    loop {
        let slice = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(5));
        match producer.init_transactions(slice.max(Duration::from_millis(100))) {
            Ok(()) => return Ok(producer),
            Err(error) => {
                let facts = facts(&error);
                if facts.fatal || facts.refused || Instant::now() >= until {
                    return Err(failed("initialising transactions", &error));
                }
                producer.poll(RETRY_WAIT);
            }
        }
    }
}
