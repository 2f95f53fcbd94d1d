//! What exactly-once costs: the same lanes with transactions and without, in one run.
//!
//! Owns the sink without transactions: an idempotent producer that waits for its records, then an ordinary offset commit.
//! A process that dies between the two repeats alerts, so no product has this sink. All else is the product's own: source,
//! engine, lane, settings.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use noroshi::config::Config;
use noroshi::config::kafka::{self, TokenSource};
use noroshi::pipeline::clock::SystemClock;
use noroshi::pipeline::cycle::Exit;
use noroshi::pipeline::definition::Pipeline;
use noroshi::pipeline::engine::{Compiled, Engine, EngineLimits, Tally};
use noroshi::pipeline::lane::{FindingNote, Lane, LaneEvents, Stop};
use noroshi::pipeline::service::lane_limits;
use noroshi::rules::{self, RuleLimits, RuleSet};
use noroshi::sink::kafka::{KafkaSink, ProducerSettings};
use noroshi::sink::{Ended, Epoch, EpochEnd, Output, Sink};
use noroshi::source::audit::{Birth, Stamp};
use noroshi::source::kafka::{KafkaSource, Watching};
use noroshi::source::{Notice, PartitionStatus, RecordRef, Source, SourceError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{LANES, PARTITIONS, RECORDS, ROUNDS, STEADY, telemetry};

/// Runs both in turn; the topics are full, and each round reads all of them. There is a pipeline, with a topic and a group
/// of its own, for each lane: where lanes share a group, it has to settle first, and each round would differ.
pub fn compared(servers: &str, pipelines: &[PathBuf], name: &str) {
    let compiled: Vec<_> = pipelines.iter().map(|pipeline| compile(pipeline)).collect();
    let kinds = [Kind::Transactions, Kind::Plain];
    let mut figures: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (kind, figures) in kinds.into_iter().zip(&mut figures) {
            let id = format!("{name}-{round}-{kind:?}");
            figures.push(run(kind, &id, servers, &compiled));
        }
    }
    println!(
        "{:<20} {:>10} {:>14} {:>8} {:>14} {:>14}",
        "", "records/s", "CPU µs/record", "epochs", "end ms", "worst ms"
    );
    let mut medians = Vec::new();
    for (kind, figures) in kinds.into_iter().zip(&figures) {
        let of = |what: fn(&Figures) -> f64| telemetry::median(figures.iter().map(what).collect());
        let (rate, cpu) = (of(|figures| figures.rate), of(|figures| figures.cpu_us));
        println!(
            "{:<20} {rate:>10.0} {cpu:>14.1} {:>8.0} {:>14.1} {:>14.1}",
            kind.name(),
            of(|figures| figures.epochs),
            of(|figures| figures.end_ms),
            of(|figures| figures.worst_ms),
        );
        medians.push((rate, cpu));
    }
    if let [(with, with_cpu), (without, without_cpu)] = medians[..] {
        println!(
            "\nwith transactions: {:.1} % of the rate without, {:.1} % of the CPU a record",
            with / without * 100.0,
            with_cpu / without_cpu * 100.0
        );
    }
}

fn compile(pipeline: &Path) -> Arc<Compiled> {
    let pipeline = Arc::new(Pipeline::load(pipeline).expect("a pipeline"));
    let loaded = rules::load(&pipeline.rules, &pipeline.catalog, &RuleLimits::default());
    Arc::new(Compiled::new(pipeline, Arc::new(RuleSet::new(loaded.rules))).expect("compiles"))
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Transactions,
    Plain,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Plain => "without",
        }
    }
}

/// Of one round. An epoch's end is the time from its sealing until its outcome is known; the next is filled meanwhile.
struct Figures {
    rate: f64,
    cpu_us: f64,
    epochs: f64,
    end_ms: f64,
    worst_ms: f64,
}

fn run(kind: Kind, id: &str, servers: &str, compiled: &[Arc<Compiled>]) -> Figures {
    let mut config = Config::default();
    config.kafka.bootstrap_servers = vec![servers.to_owned()];
    let config = Arc::new(config);
    let (stop, counted) = (Stop::default(), Arc::new(Counted::default()));
    let cpu = cpu_s();
    let took = std::thread::scope(|scope| {
        for (lane, compiled) in compiled.iter().enumerate() {
            let (config, stop, counted) = (&config, &stop, &counted);
            scope.spawn(move || {
                let exit = one_lane(kind, &format!("{id}-{lane}"), config, compiled, stop, counted);
                assert_eq!(exit, Exit::Stopped);
            });
        }
        let reached = |records: usize| {
            while counted.records.load(Ordering::Acquire) < records as u64 {
                assert_eq!(stop.asked(), 0, "a lane has ended");
                std::thread::sleep(Duration::from_millis(2));
            }
            (Instant::now(), counted.records.load(Ordering::Acquire))
        };
        let ((began, first), (ended, last)) = (reached(STEADY.start), reached(STEADY.end));
        reached(RECORDS);
        stop.ask();
        (last - first) as f64 / (ended - began).as_secs_f64()
    });
    let ends = std::mem::take(&mut *counted.ends_ms.lock().expect("no panic"));
    Figures {
        rate: took,
        cpu_us: (cpu_s() - cpu) / RECORDS as f64 * 1e6,
        epochs: ends.len() as f64,
        worst_ms: ends.iter().copied().fold(0.0, f64::max),
        end_ms: telemetry::median(ends),
    }
}

fn one_lane(
    kind: Kind,
    id: &str,
    config: &Arc<Config>,
    compiled: &Arc<Compiled>,
    stop: &Stop,
    counted: &Arc<Counted>,
) -> Exit {
    let me = Stamp { writer: id.to_owned(), life: 1, epoch: 0, birth: None };
    let token = TokenSource::new(config);
    let partitions = u64::try_from(PARTITIONS).expect("few") / LANES as u64;
    let consumer = kafka::consumer(config, id, 0, partitions).expect("settings");
    let watching = Watching { look_every: Duration::ZERO, held_back_after: Duration::ZERO };
    let pipeline = Arc::clone(&compiled.pipeline);
    let sink = match kind {
        Kind::Transactions => Either::Transactions(transactions(config, id)),
        Kind::Plain => Either::Plain(PlainSink::start(config, &format!("{id}-offsets"))),
    };
    let source = KafkaSource::new(&consumer, token, id, me.clone(), pipeline, watching).expect("a source");
    let source = Unaudited { source, audits: matches!(kind, Kind::Transactions) };
    let engine = Engine::new(Arc::clone(compiled), EngineLimits::from(&config.limits));
    let events = Events(Arc::clone(counted));
    let lane = Lane::new((source, sink), engine, events, lane_limits(config), me, SystemClock::default());
    let (exit, source, sink) = lane.run(stop);
    drop(source);
    if let Either::Transactions(sink) = sink {
        sink.close(Duration::from_secs(5));
    }
    exit
}

fn transactions(config: &Config, writer: &str) -> KafkaSink {
    let timeout = Duration::from_millis(config.transaction.timeout_ms);
    let settings = ProducerSettings {
        config: kafka::producer(config, writer).expect("settings"),
        instance: "bench".into(),
        token: TokenSource::new(config),
        try_for: timeout.mul_f64(0.8),
        replace_for: timeout,
    };
    KafkaSink::start(settings, "sink").expect("a sink")
}

#[derive(Default)]
struct Counted {
    records: AtomicU64,
    ends_ms: Mutex<Vec<f64>>,
}

struct Events(Arc<Counted>);

impl LaneEvents for Events {
    fn ended(&mut self, ended: &Ended, tally: &Tally, _findings: &[FindingNote], _age: Duration) {
        assert_eq!(ended.end, EpochEnd::Committed);
        let records = tally.sources.iter().map(|source| source.records).sum();
        self.0.records.fetch_add(records, Ordering::AcqRel);
        self.0.ends_ms.lock().expect("no panic").push(ended.took.as_secs_f64() * 1e3);
    }
}

enum Either {
    Transactions(KafkaSink),
    Plain(PlainSink),
}

impl Sink<ConsumerGroupMetadata> for Either {
    fn submit(&mut self, epoch: Epoch<ConsumerGroupMetadata>) {
        match self {
            Self::Transactions(sink) => sink.submit(epoch),
            Self::Plain(sink) => sink.epochs.send(epoch).expect("its thread lives"),
        }
    }

    fn ended(&mut self, timeout: Duration) -> Option<Ended> {
        match self {
            Self::Transactions(sink) => sink.ended(timeout),
            Self::Plain(sink) => match sink.ends.recv_timeout(timeout) {
                Err(RecvTimeoutError::Disconnected) => panic!("its thread has ended"),
                found => found.ok(),
            },
        }
    }
}

/// The thread that publishes without transactions.
struct PlainSink {
    epochs: SyncSender<Epoch<ConsumerGroupMetadata>>,
    ends: Receiver<Ended>,
}

impl PlainSink {
    /// Only a member may commit for a group, and the member is the source's. For the brokers it is the same work to commit
    /// for another group.
    fn start(config: &Config, group: &str) -> Self {
        let producer: BaseProducer =
            kafka::plain_producer(config).expect("settings").create().expect("a producer");
        let committer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", config.kafka.bootstrap_servers.join(","))
            .set("group.id", group)
            .create()
            .expect("a committer");
        let (epochs, inbox) = sync_channel::<Epoch<ConsumerGroupMetadata>>(1);
        let (outbox, ends) = sync_channel(2);
        std::thread::spawn(move || {
            for epoch in inbox {
                let began = Instant::now();
                for output in &epoch.outputs {
                    publish(&producer, output);
                }
                while producer.in_flight_count() > 0 {
                    producer.poll(Duration::from_micros(500));
                }
                let mut list = TopicPartitionList::new();
                for ((topic, partition, offset), stamp) in epoch.offsets.iter().zip(&epoch.stamps) {
                    let mut element = list.add_partition(topic, *partition);
                    element.set_offset(Offset::Offset(*offset)).expect("an offset");
                    element.set_metadata(stamp);
                }
                committer.commit(&list, CommitMode::Sync).expect("commits");
                let ended = Ended {
                    number: epoch.number,
                    end: EpochEnd::Committed,
                    offsets: epoch.offsets,
                    took: began.elapsed(),
                    retries: 0,
                    replaced: false,
                    doubtful: false,
                };
                if outbox.send(ended).is_err() {
                    break;
                }
            }
        });
        Self { epochs, ends }
    }
}

fn publish(producer: &BaseProducer, output: &Output) {
    let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
    for (key, value) in &output.headers {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&output.topic).headers(headers);
    record.key = output.key.as_deref();
    record.payload = output.value.as_deref();
    record.timestamp = output.timestamp_ms;
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull));
        producer.poll(Duration::from_micros(500));
        record = back;
    }
}

/// The source, without its look at what the group has committed where that is committed for another group.
struct Unaudited {
    source: KafkaSource,
    audits: bool,
}

impl Source for Unaudited {
    type Group = ConsumerGroupMetadata;

    fn poll(
        &mut self,
        timeout: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice> {
        self.source.poll(timeout, records_max, take)
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        self.source.assign()
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        self.source.unassign()
    }

    fn rewind(&mut self, epoch: u64, unknown: bool) -> Result<(), SourceError> {
        self.source.rewind(epoch, unknown)
    }

    fn audit(&mut self, epoch: u64) -> Result<(), SourceError> {
        if self.audits { self.source.audit(epoch) } else { Ok(()) }
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.source.pause()
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.source.resume()
    }

    fn hold(&mut self, sources: &std::collections::BTreeSet<usize>) -> Result<(), SourceError> {
        self.source.hold(sources)
    }

    fn settle(&mut self, patience: Duration) {
        self.source.settle(patience);
    }

    fn group(&self) -> Option<Self::Group> {
        self.source.group()
    }

    fn birth(&self, topic: &str, partition: i32) -> Option<Birth> {
        self.source.birth(topic, partition)
    }

    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]) {
        self.source.committed(offsets);
    }

    fn status(&self) -> Vec<PartitionStatus> {
        self.source.status()
    }
}

fn cpu_s() -> f64 {
    super::process_cpu_s("self")
}
