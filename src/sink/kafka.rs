//! The transactional producer of a lane, on a thread of its own.
//!
//! Owns the rdkafka producer from its creation to its drop (I-10) and makes the calls that `transaction` says
//! come next; it decides nothing itself. While it commits one epoch, the lane fills the next.

mod crash;
pub mod create;
mod errors;
pub mod replay;
mod wire;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext, Statistics};

use self::errors::{facts, is_connection, is_fenced, is_missing, is_refused};
use self::wire::Wire;
use super::carry::{Calls, Carry, CarryLimits, Failure, Left, Millis, Step};
use super::transaction::{Call, Verdict, verdict};
use super::{Ended, Epoch, EpochEnd, Output, Sink};
use crate::config::kafka::TokenSource;

/// One slice of waiting for delivery reports: small, because a commit waits for it.
const REPORT_WAIT: Duration = Duration::from_micros(500);
/// How long the thread waits for an epoch before it serves the producer's events.
const IDLE_POLL: Duration = Duration::from_millis(200);
/// The same error of the client is logged again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(30);
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

/// Why the first producer could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SinkError {
    what: &'static str,
    why: String,
    /// True when another process holds the identity.
    pub fenced: bool,
}

#[derive(Default)]
struct Report {
    failed: Option<(RDKafkaErrorCode, String)>,
    fatal: Option<RDKafkaErrorCode>,
}

struct SinkContext {
    report: Mutex<Report>,
    /// The errors that were logged, and when each was last.
    told: Mutex<Vec<(Option<RDKafkaErrorCode>, Instant)>>,
    wire: Wire,
    token: TokenSource,
}

impl SinkContext {
    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for SinkContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        self.wire.error(code);
        // Of a lost connection the lane's consumer tells, and of its return.
        if code.is_some_and(is_connection) {
            tracing::debug!(error = %error, reason, "The Kafka producer reports an error.");
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, at)| at.elapsed() < TELL_AGAIN);
        if !told.iter().any(|(known, _)| *known == code) {
            told.push((code, Instant::now()));
            tracing::warn!(error = %error, reason, "The Kafka producer reports an error.");
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.wire.statistics(&statistics);
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ProducerContext for SinkContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = result else { return };
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut report = self.report();
        // The first failure names the cause; the purge that follows an abort says nothing.
        if report.failed.is_none() {
            report.failed = Some((code, message.topic().to_owned()));
        }
    }
}

/// The lane's end of the sink thread.
pub struct KafkaSink {
    epochs: Option<SyncSender<Epoch<ConsumerGroupMetadata>>>,
    ends: Receiver<Ended>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaSink {
    /// Starts the thread and initialises the producer: this fences and cleans up what an earlier life of the
    /// lane left open, so it comes before the first offset is read.
    pub fn start(settings: ProducerSettings, name: &str) -> Result<Self, SinkError> {
        let (epochs, inbox) = sync_channel(1);
        let (outbox, ends) = sync_channel(2);
        let (ready, started) = sync_channel(1);
        let body = move || {
            let producer = match create(&settings, Instant::now() + settings.replace_for) {
                Ok(producer) => {
                    let _ = ready.send(Ok(()));
                    producer
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let began = Instant::now();
            let mut worker = Worker { settings, producer: Some(producer), left: Left::default(), began };
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
        let failed = |why: String| SinkError { what: "starting the sink thread", why, fenced: false };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|error| failed(error.to_string()))?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self { epochs: Some(epochs), ends, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Lets the thread end by itself; waits for it at most this long, then leaves it behind: a broker that is
    /// gone must not hold up the exit.
    pub fn close(mut self, patience: Duration) {
        self.epochs = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < until {
            if let Err(RecvTimeoutError::Disconnected) = self.ends.recv_timeout(Duration::from_millis(20)) {
                break;
            }
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Sink<ConsumerGroupMetadata> for KafkaSink {
    fn submit(&mut self, epoch: Epoch<ConsumerGroupMetadata>) {
        if let Some(epochs) = &self.epochs {
            // The cycle never has two epochs in flight, so there is always room.
            let _ = epochs.send(epoch);
        }
    }

    fn ended(&mut self, timeout: Duration) -> Option<Ended> {
        match self.ends.recv_timeout(timeout) {
            Ok(ended) => Some(ended),
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
    left: Left,
    began: Instant,
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
        let (left, began) = (std::mem::take(&mut self.left), self.began);
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
        let made = self.make(call, epoch, until);
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
        until: Millis,
    ) -> Result<(), Failure> {
        let fail = |verdict: Verdict, why: String| Failure { verdict, why };
        let until = self.began + Duration::from_millis(until);
        if call == Call::Replace {
            // The old producer must be gone before the new one is born, or they fence each other.
            self.producer = None;
            let made = create(&self.settings, until);
            let producer = made.map_err(|error| {
                fail(if error.fenced { Verdict::Fenced } else { Verdict::Fatal }, error.to_string())
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
            Call::Produce => return produce(producer, &epoch.outputs, until),
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
            Call::Abort => producer.abort_transaction(left),
            Call::Replace => Ok(()),
        };
        result.map_err(|error| {
            let mut facts = facts(&error);
            // The topic of an offset was deleted. Nothing can be committed for it; the rewind after the abort sees to it.
            facts.refused &= call != Call::SendOffsets || !is_missing(&error);
            fail(verdict(facts), error.to_string())
        })
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

/// Enqueues everything and waits until each record is delivered or has failed.
fn produce(producer: &BaseProducer<SinkContext>, outputs: &[Output], until: Instant) -> Result<(), Failure> {
    let fail = |verdict: Verdict, why: &str| Failure { verdict, why: why.to_owned() };
    for output in outputs {
        let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
        for (key, value) in &output.headers {
            headers = headers.insert(KafkaHeader { key, value: value.as_deref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8], ()> =
            BaseRecord::with_opaque_to(&output.topic, ()).headers(headers);
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.timestamp = output.timestamp_ms;
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((error, back)) => {
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        return Err(delivery_failure(producer, &error, &output.topic));
                    }
                    if Instant::now() >= until {
                        return Err(fail(Verdict::Abort, "the producer's queue stays full"));
                    }
                    producer.poll(REPORT_WAIT);
                    record = back;
                }
            }
        }
    }
    while producer.in_flight_count() > 0 {
        if Instant::now() >= until {
            return Err(fail(Verdict::Abort, "records were not delivered in time"));
        }
        producer.poll(REPORT_WAIT);
    }
    let failed = producer.context().report().failed.take();
    match failed {
        None => Ok(()),
        Some((code, topic)) => {
            let error = KafkaError::MessageProduction(code);
            Err(delivery_failure(producer, &error, &topic))
        }
    }
}

fn delivery_failure(producer: &BaseProducer<SinkContext>, error: &KafkaError, topic: &str) -> Failure {
    if let Some((code, reason)) = producer.client().fatal_error() {
        producer.context().report().fatal = Some(code);
        let found = if is_fenced(code) { Verdict::Fenced } else { Verdict::Fatal };
        return Failure { verdict: found, why: format!("{code}: {reason}") };
    }
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    let why = format!("publishing to `{topic}`: {code}");
    let verdict = if is_fenced(code) {
        Verdict::Fenced
    } else if is_refused(code) {
        Verdict::Refused
    } else {
        Verdict::Abort
    };
    Failure { verdict, why }
}

fn create(settings: &ProducerSettings, until: Instant) -> Result<BaseProducer<SinkContext>, SinkError> {
    let failed = |what: &'static str, error: &KafkaError| {
        let is_fenced = error.rdkafka_error_code().is_some_and(is_fenced);
        let why = error.to_string();
        SinkError { what, why: if is_fenced { fenced(settings, &why) } else { why }, fenced: is_fenced }
    };
    let context = SinkContext {
        report: Mutex::new(Report::default()),
        told: Mutex::default(),
        wire: Wire::default(),
        token: settings.token.clone(),
    };
    let producer: BaseProducer<SinkContext> = settings
        .config
        .create_with_context(context)
        .map_err(|error| failed("creating the producer", &error))?;
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
