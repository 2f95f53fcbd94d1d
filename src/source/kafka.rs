//! The Kafka consumer of a lane.
//!
//! Owns the rdkafka consumer from its creation to its drop, on the lane's own thread (I-10). It decides
//! nothing: group events become notices, and `assign`, `unassign`, `rewind`, `pause` and `resume` carry out
//! what the cycle has decided. Where a partition begins is `assignment`'s.

mod begin;
pub mod bounded;
mod context;
mod describe;
mod failure;
mod look;
pub mod preflight;
mod queues;
mod reading;
mod stuck;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::begin::at_beginnings;
use self::context::{Inbox, LaneContext, Pending};
use self::look::{Look, partitions};
use self::queues::{Bell, Queues};
use super::assignment::Positions;
use super::audit::{Birth, Committed, Stamp, compare};
use super::troubles::{TroubleNote, Troubles};
use super::{Notice, PartitionStatus, RecordRef, Source, SourceError};
use crate::config::kafka::TokenSource;
use crate::pipeline::definition::Pipeline;

/// How long the broker may take for an answer that a rebalance or a rewind waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A group that moved partitions this recently may still be moving.
const RESTLESS: Duration = Duration::from_secs(10);
/// One look at the group while it comes to rest.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// How a lane watches what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// How often the broker is asked what stands behind the names of topics; zero: never.
    pub look_every: Duration,
    /// A transaction that holds back records for longer is a trouble.
    pub held_back_after: Duration,
}

/// The consumer of a lane.
pub struct KafkaSource {
    /// Before the consumer, which must outlive what it is asked.
    look: Look,
    troubles: Troubles,
    /// What was last told of them.
    told: Vec<TroubleNote>,
    /// Before the consumer, which leaves the group when the last that holds it is dropped.
    queues: Queues,
    consumer: Arc<BaseConsumer<LaneContext>>,
    pipeline: Arc<Pipeline>,
    group: String,
    /// What this lane's commits are stamped with; the epoch is the caller's to say.
    me: Stamp,
    /// The id of a static member.
    instance: Option<String>,
    positions: Positions,
    /// Sources whose records are not read for now.
    held: BTreeSet<usize>,
    granted: Option<Pending>,
    /// When the group last moved partitions, or this member began to join.
    moved_at: Option<Instant>,
    answering: bool,
}

impl KafkaSource {
    /// Creates the consumer and subscribes to the pipeline's topics.
    pub fn new(
        config: &ClientConfig,
        token: TokenSource,
        group: &str,
        me: Stamp,
        pipeline: Arc<Pipeline>,
        watching: Watching,
    ) -> Result<Self, SourceError> {
        let context =
            LaneContext { inbox: Mutex::new(Inbox::default()), closing: AtomicBool::new(false), token };
        let mut consumer: BaseConsumer<LaneContext> =
            config.create_with_context(context).map_err(|error| kafka("creating the consumer", &error))?;
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || rung.ring(None));
        let topics = subscription(&pipeline);
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| kafka("subscribing", &error))?;
        Ok(Self {
            look: Look::new(watching.look_every),
            troubles: Troubles::new(watching.held_back_after),
            told: Vec::new(),
            queues: Queues::new(bell),
            consumer: Arc::new(consumer),
            pipeline,
            group: group.to_owned(),
            me,
            instance: config.get("group.instance.id").map(str::to_owned),
            positions: Positions::default(),
            held: BTreeSet::new(),
            granted: None,
            moved_at: Some(Instant::now()),
            answering: true,
        })
    }

    fn notices(&mut self) -> Vec<Notice> {
        let mut inbox = self.consumer.context().inbox();
        let ends = std::mem::take(&mut inbox.ends);
        let troubles = std::mem::take(&mut inbox.troubles);
        let answering = inbox.answering.take();
        let stuck = inbox.stuck.take();
        // One rebalance at a time: the next one is announced once this one is carried out.
        let next = if self.granted.is_none() && !inbox.pending.is_empty() {
            Some(inbox.pending.remove(0))
        } else {
            None
        };
        drop(inbox);
        self.note_ends(ends);
        if let Some(stuck) = stuck {
            self.note_stuck(&stuck);
        }
        let mut notices: Vec<Notice> = troubles.into_iter().map(Notice::Trouble).collect();
        self.look_around(&mut notices);
        if let Some(answering) = answering.filter(|answering| *answering != self.answering) {
            self.answering = answering;
            notices.push(Notice::Answering(answering));
        }
        if let Some(pending) = next {
            notices.push(match &pending {
                Pending::Assign(_) | Pending::Begin(_) => Notice::Assigned,
                Pending::Revoke(_) => Notice::Revoked,
                Pending::Lost(_) => Notice::Lost,
            });
            self.granted = Some(pending);
            self.moved_at = Some(Instant::now());
        }
        notices
    }

    fn regroup(&mut self) {
        let (positions, pipeline) = (&self.positions, &self.pipeline);
        self.queues
            .regroup(|slot| organisation(pipeline, positions.place(slot).map(|(_, _, source)| source)));
    }

    /// Compares what the broker says of some partitions with what this lane believes.
    fn compare(&self, found: &TopicPartitionList, epoch: u64, open: bool) -> Result<(), SourceError> {
        let me = Stamp { epoch, ..self.me.clone() };
        let elements = found.elements();
        let found = elements.iter().map(|element| {
            let stamp = Stamp::parse(element.metadata());
            let committed = plain(element.offset()).map(|offset| Committed { offset, stamp });
            (element.topic(), element.partition(), committed)
        });
        compare(&me, open, found, |topic, partition| self.positions.believed(topic, partition))
    }

    fn seek(&self, list: TopicPartitionList) -> Result<(), SourceError> {
        // The client takes a list of nothing for a mistake.
        if list.count() == 0 {
            return Ok(());
        }
        let moved = self
            .consumer
            .seek_partitions(list, ANSWER_TIMEOUT)
            .map_err(|error| kafka("rewinding", &error))?;
        match moved.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(kafka("rewinding", &error)),
            None => Ok(()),
        }
    }

    fn owned_list(&self) -> TopicPartitionList {
        partitions(self.positions.standing().into_iter().map(|(topic, partition, _)| (topic, partition)))
    }

    fn list_of(&self, of_it: impl Fn(usize) -> bool) -> Result<TopicPartitionList, SourceError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in self.positions.of(of_it) {
            list.add_partition_offset(&topic, partition, Offset::Offset(next))
                .map_err(|error| kafka("preparing a list of partitions", &error))?;
        }
        Ok(list)
    }

    fn pause_list(&self, list: &TopicPartitionList) -> Result<(), SourceError> {
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.pause(list).map_err(|error| kafka("pausing", &error))
    }

    fn cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), rdkafka::consumer::RebalanceProtocol::Cooperative)
    }
}

impl Drop for KafkaSource {
    /// Leaves the group in order. A rebalance that was announced and not yet carried out must be answered first:
    /// librdkafka waits for the answer, and the group would wait for this member until its session ends.
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Release);
        let mut waiting: Vec<Pending> = self.granted.take().into_iter().collect();
        waiting.append(&mut self.consumer.context().inbox().pending);
        for pending in waiting {
            let _ = match &pending {
                // Taken only to be given back by the close that follows.
                Pending::Assign(list) if self.cooperative() => self.consumer.incremental_assign(list),
                Pending::Assign(list) => self.consumer.assign(list),
                Pending::Revoke(list) | Pending::Lost(list) if self.cooperative() => {
                    self.consumer.incremental_unassign(list)
                }
                Pending::Revoke(_) | Pending::Lost(_) => self.consumer.unassign(),
                Pending::Begin(_) => Ok(()),
            };
        }
    }
}

impl Source for KafkaSource {
    type Group = ConsumerGroupMetadata;

    fn poll(
        &mut self,
        timeout: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice> {
        self.read(timeout, records_max, take)
    }

    fn moving(&self) -> Vec<(Arc<str>, i32)> {
        let Some(Pending::Assign(list) | Pending::Revoke(list) | Pending::Lost(list)) = &self.granted else {
            return Vec::new();
        };
        list.elements().iter().map(|element| (Arc::from(element.topic()), element.partition())).collect()
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        if let Some(Pending::Assign(list)) = self.granted.clone() {
            let found = match list.count() {
                0 => Vec::new(),
                _ => self.beginnings(&list)?,
            };
            let assigned = if found.is_empty() { list } else { at_beginnings(found.iter())? };
            self.take(&found);
            for begin::Beginning { topic, partition, source, .. } in &found {
                let Some(slot) = self.positions.known(topic, *partition) else { continue };
                let organisation = organisation(&self.pipeline, *source);
                self.queues.open(&self.consumer, slot, (topic, *partition), organisation)?;
            }
            let done = if self.cooperative() {
                self.consumer.incremental_assign(&assigned)
            } else {
                self.consumer.assign(&assigned)
            };
            done.map_err(|error| kafka("taking partitions", &error))?;
            self.pause_held()?;
            self.granted = Some(Pending::Begin(found));
            self.pause_list(&self.list_of(|source| self.held.contains(&source))?)?;
        }
        // A group that moves on meanwhile refuses the commit; when it is tried again, the partitions are taken already.
        if let Some(Pending::Begin(found)) = &self.granted {
            self.commit_beginnings(found)?;
            self.granted = None;
        }
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        let Some(Pending::Revoke(list) | Pending::Lost(list)) = self.granted.take() else { return Ok(()) };
        for element in list.elements() {
            self.positions.give(element.topic(), element.partition());
            self.release(element.topic(), element.partition());
        }
        let done = if self.cooperative() {
            self.consumer.incremental_unassign(&list)
        } else {
            self.consumer.unassign()
        };
        for element in list.elements() {
            if let Some(slot) = self.positions.known(element.topic(), element.partition()) {
                self.queues.close(slot);
            }
        }
        done.map_err(|error| kafka("giving partitions back", &error))
    }

    fn audit(&mut self, epoch: u64) -> Result<(), SourceError> {
        let list = self.owned_list();
        if list.count() == 0 {
            return Ok(());
        }
        let committed = begin::committed_now(&self.consumer, list)?;
        self.hold_forgotten(&committed)?;
        self.compare(&committed, epoch, false)
    }

    fn rewind(&mut self, epoch: u64, unknown: bool) -> Result<(), SourceError> {
        let list = self.owned_list();
        if list.count() == 0 {
            return Ok(());
        }
        let committed = begin::committed_now(&self.consumer, list)?;
        self.hold_forgotten(&committed)?;
        self.compare(&committed, epoch, unknown)?;
        let back = self.positions.rewind(|topic, partition| {
            committed.find_partition(topic, partition).and_then(|element| plain(element.offset()))
        });
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in back {
            list.add_partition_offset(&topic, partition, Offset::Offset(offset))
                .map_err(|error| kafka("preparing the rewind", &error))?;
        }
        self.seek(list)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.queues.paused = true;
        self.consumer.pause(&self.owned_list()).map_err(|error| kafka("pausing", &error))
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        let list = self.list_of(|source| !self.held.contains(&source))?;
        self.consumer.resume(&list).map_err(|error| kafka("resuming", &error))?;
        self.queues.paused = false;
        Ok(())
    }

    fn hold(&mut self, sources: &BTreeSet<usize>) -> Result<(), SourceError> {
        self.pause_list(&self.list_of(|source| sources.contains(&source))?)?;
        let freed = self.list_of(|source| self.held.contains(&source) && !sources.contains(&source))?;
        if freed.count() > 0 {
            // Whatever came of them meanwhile was passed over.
            self.seek(freed.clone())?;
            if !self.queues.paused {
                self.consumer.resume(&freed).map_err(|error| kafka("resuming", &error))?;
            }
        }
        self.held.clone_from(sources);
        Ok(())
    }

    fn lacks(&mut self, topic: &str) -> bool {
        self.is_absent(topic)
    }

    fn declare(&mut self, pipeline: &Arc<Pipeline>) -> Result<(), SourceError> {
        let topics = subscription(pipeline);
        if topics != subscription(&self.pipeline) {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            self.consumer.subscribe(&names).map_err(|error| kafka("subscribing", &error))?;
            self.moved_at = Some(Instant::now());
        }
        self.pipeline = Arc::clone(pipeline);
        self.keep_named(pipeline);
        let again = self.positions.declare(|topic| pipeline.source_of(topic));
        if again.is_empty() {
            self.regroup();
            return Ok(());
        }
        self.begin_anew(again)
    }

    fn settle(&mut self, patience: Duration) {
        if self.moved_at.is_none_or(|at| at.elapsed() > RESTLESS) {
            return;
        }
        // What is fetched from here on is not ours to read.
        let _ = self.pause();
        let until = Instant::now() + patience;
        self.consumer.context().inbox().at_rest = None;
        while Instant::now() < until {
            for notice in self.poll(SETTLE_POLL, usize::MAX, &mut |_| ControlFlow::Continue(())) {
                let done = match notice {
                    Notice::Assigned => self.assign(),
                    Notice::Revoked | Notice::Lost => self.unassign(),
                    _ => Ok(()),
                };
                if done.is_err() {
                    return;
                }
            }
            // librdkafka 2.12 sends no LeaveGroup for a member without partitions, so one that is about to get some
            // waits for them.
            if self.consumer.context().inbox().at_rest == Some(true) && !self.positions.status().is_empty() {
                return;
            }
        }
    }

    fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    fn birth(&self, topic: &str, partition: i32) -> Option<Birth> {
        self.positions.birth(topic, partition).cloned()
    }

    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]) {
        for (topic, partition, offset) in offsets {
            self.positions.commit(topic, *partition, *offset);
        }
    }

    fn status(&self) -> Vec<PartitionStatus> {
        self.positions.status()
    }
}

/// The subscription: names, and patterns in librdkafka's form (a leading `^`), in order.
fn subscription(pipeline: &Pipeline) -> BTreeSet<String> {
    let sources = pipeline.sources.iter();
    sources.flat_map(|source| source.topics.iter().chain(&source.client_pattern).cloned()).collect()
}

/// Whose records a source's are; those that nobody reads are of nobody.
fn organisation(pipeline: &Pipeline, source: Option<usize>) -> &str {
    source.map_or("", |source| pipeline.organisation_of(source).id.as_str())
}

fn plain(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

fn kafka(what: &'static str, error: &KafkaError) -> SourceError {
    SourceError::Kafka { what, why: error.to_string() }
}
