//! The Kafka consumer of a lane.
//!
//! Owns the rdkafka consumer from its creation to its drop, on the lane's own thread (I-10). It decides
//! nothing: group events become notices, and `assign`, `unassign`, `rewind`, `pause` and `resume` carry out
//! what the cycle has decided. Where a partition begins is `assignment`'s.

mod envelope;
mod failure;
pub mod preflight;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as RespErr;
use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext, Statistics};

use self::envelope::Borrowed;
use self::failure::failure;
use super::assignment::{Begin, Facts, Positions, begin};
use super::audit::{Committed, Stamp, compare};
use super::{Notice, PartitionStatus, RecordRef, Source, SourceError};
use crate::config::kafka::TokenSource;
use crate::pipeline::definition::{Pipeline, Start};

/// How long the broker may take for an answer that a rebalance or a rewind waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A group that moved partitions this recently may still be moving.
const RESTLESS: Duration = Duration::from_secs(10);
/// One look at the group while it comes to rest.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// A rebalance that librdkafka has announced; it goes on once the lane has carried it out.
#[derive(Debug, Clone)]
enum Pending {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
    Lost(TopicPartitionList),
}

/// What callbacks leave for the lane.
#[derive(Default)]
struct Inbox {
    pending: Vec<Pending>,
    troubles: Vec<String>,
    /// Whether a broker is connected, by the latest statistics.
    answering: Option<bool>,
    /// Whether the group is at rest, by the latest statistics; `None` when they are older than the last look.
    at_rest: Option<bool>,
    ends: Vec<(String, i32, i64)>,
}

/// Error reports kept between two polls; more say nothing new.
const TROUBLES_MAX: usize = 8;

/// The consumer's context: callbacks only note things down, they run inside `poll`.
pub struct LaneContext {
    inbox: Mutex<Inbox>,
    closing: AtomicBool,
    token: TokenSource,
}

impl LaneContext {
    fn inbox(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for LaneContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        let mut inbox = self.inbox();
        if inbox.troubles.len() < TROUBLES_MAX {
            inbox.troubles.push(format!("{error} ({reason})"));
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut inbox = self.inbox();
        let known = statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        inbox.answering =
            Some(known.clone().count() == 0 || known.clone().any(|broker| broker.state == "UP"));
        inbox.at_rest = statistics.cgrp.as_ref().map(|group| group.join_state == "steady");
        inbox.ends.clear();
        for (name, topic) in &statistics.topics {
            for (id, partition) in &topic.partitions {
                if *id >= 0 && partition.ls_offset >= 0 {
                    inbox.ends.push((name.clone(), *id, partition.ls_offset));
                }
            }
        }
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ConsumerContext for LaneContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            // The consumer is being dropped: nothing is open any more, let it go.
            let _ = match consumer.rebalance_protocol() {
                rdkafka::consumer::RebalanceProtocol::Cooperative => {
                    consumer.incremental_unassign(partitions)
                }
                _ => consumer.unassign(),
            };
            return;
        }
        let list = partitions.clone();
        let pending = match err {
            RespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Pending::Assign(list),
            _ if consumer.assignment_lost() => Pending::Lost(list),
            _ => Pending::Revoke(list),
        };
        self.inbox().pending.push(pending);
    }
}

/// The consumer of a lane.
pub struct KafkaSource {
    consumer: BaseConsumer<LaneContext>,
    pipeline: Arc<Pipeline>,
    group: String,
    /// What this lane's commits are stamped with; the epoch is the caller's to say.
    me: Stamp,
    /// The id of a static member.
    instance: Option<String>,
    positions: Positions,
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
    ) -> Result<Self, SourceError> {
        let context =
            LaneContext { inbox: Mutex::new(Inbox::default()), closing: AtomicBool::new(false), token };
        let consumer: BaseConsumer<LaneContext> =
            config.create_with_context(context).map_err(|error| kafka("creating the consumer", &error))?;
        let topics = pipeline.subscription();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| kafka("subscribing", &error))?;
        Ok(Self {
            consumer,
            pipeline,
            group: group.to_owned(),
            me,
            instance: config.get("group.instance.id").map(str::to_owned),
            positions: Positions::default(),
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
        // One rebalance at a time: the next one is announced once this one is carried out.
        let next = if self.granted.is_none() && !inbox.pending.is_empty() {
            Some(inbox.pending.remove(0))
        } else {
            None
        };
        drop(inbox);
        for (topic, partition, end) in ends {
            self.positions.end(&topic, partition, end);
        }
        let mut notices: Vec<Notice> = troubles.into_iter().map(Notice::Trouble).collect();
        if let Some(answering) = answering.filter(|answering| *answering != self.answering) {
            self.answering = answering;
            notices.push(Notice::Answering(answering));
        }
        if let Some(pending) = next {
            notices.push(match &pending {
                Pending::Assign(_) => Notice::Assigned,
                Pending::Revoke(_) => Notice::Revoked,
                Pending::Lost(_) => Notice::Lost,
            });
            self.granted = Some(pending);
            self.moved_at = Some(Instant::now());
        }
        notices
    }

    fn committed_now(&self, list: TopicPartitionList) -> Result<TopicPartitionList, SourceError> {
        let failed = |error: &KafkaError| kafka("reading the group's committed offsets", error);
        let found = self.consumer.committed_offsets(list, ANSWER_TIMEOUT).map_err(|error| failed(&error))?;
        // A partition with an error of its own has no offset in the answer, which must not pass for none committed.
        match found.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(failed(&error)),
            None => Ok(found),
        }
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

    /// The offsets at which the partitions of an assignment begin, and those of them that must be committed first.
    fn beginnings(
        &mut self,
        list: &TopicPartitionList,
    ) -> Result<(TopicPartitionList, TopicPartitionList), SourceError> {
        let committed = self.committed_now(list.clone())?;
        let (mut assigned, mut fresh) = (TopicPartitionList::new(), TopicPartitionList::new());
        for element in committed.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let source =
                self.pipeline.source_of(topic).ok_or_else(|| SourceError::Unknown(topic.to_owned()))?;
            let (low, high) = self
                .consumer
                .fetch_watermarks(topic, partition, ANSWER_TIMEOUT)
                .map_err(|error| kafka("reading a partition's first and last offset", &error))?;
            let committed = plain(element.offset());
            let declared = &self.pipeline.sources[source];
            let at = match begin(Facts { committed, low, high }, declared.start) {
                Begin::At(at) => at,
                Begin::Undeclared => {
                    return Err(SourceError::NoStart {
                        group: self.group.clone(),
                        topic: topic.to_owned(),
                        partition,
                        source_id: declared.id.to_string(),
                    });
                }
                Begin::OutOfRange { committed } => {
                    let why = format!(
                        "{topic}/{partition} holds offsets {low} to {high}, but the group `{}` has committed {committed}: records were deleted before they were read, or the topic was made anew; reset the group's offset to go on",
                        self.group
                    );
                    return Err(SourceError::Kafka { what: "offset out of range", why });
                }
            };
            self.positions.take(topic, partition, source, at, committed);
            // The oldest record is the oldest at the next start as well; the newest is another one then.
            let pinned = committed.is_none() && declared.start == Start::Latest;
            let lists = [Some(&mut assigned), Some(&mut fresh).filter(|_| pinned)];
            for list in lists.into_iter().flatten() {
                list.add_partition_offset(topic, partition, Offset::Offset(at))
                    .map_err(|error| kafka("preparing the assignment", &error))?;
            }
        }
        Ok((assigned, fresh))
    }

    fn owned_list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in self.positions.owned() {
            list.add_partition(&place.topic, place.partition);
        }
        list
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
        let until = Instant::now() + timeout;
        let mut taken = 0;
        while taken < records_max {
            let wait =
                if taken > 0 { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    // A record of a partition that was given back meanwhile is not ours to read.
                    let Some(slot) = self.positions.slot(message.topic(), partition) else { continue };
                    self.positions.read(slot, offset);
                    let Some((topic, _, source)) = self.positions.place(slot) else { continue };
                    let flow = take(&RecordRef {
                        source,
                        slot,
                        topic,
                        partition,
                        offset,
                        timestamp_ms: message.timestamp().to_millis(),
                        payload: message.payload(),
                        envelope: &Borrowed(&message),
                    });
                    taken += 1;
                    if flow.is_break() {
                        break;
                    }
                }
                Some(Err(error)) => {
                    let notices = self.notices();
                    if let Some(notice) = failure(&error, self.instance.as_deref()) {
                        return vec![notice];
                    }
                    if !notices.is_empty() {
                        return notices;
                    }
                }
                None => {
                    let notices = self.notices();
                    if !notices.is_empty() || taken > 0 || Instant::now() >= until {
                        return notices;
                    }
                }
            }
        }
        self.notices()
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        let Some(Pending::Assign(list)) = self.granted.clone() else { return Ok(()) };
        let (assigned, fresh) =
            if list.count() == 0 { (list, TopicPartitionList::new()) } else { self.beginnings(&list)? };
        let done = if self.cooperative() {
            self.consumer.incremental_assign(&assigned)
        } else {
            self.consumer.assign(&assigned)
        };
        done.map_err(|error| kafka("taking partitions", &error))?;
        if fresh.count() > 0 {
            // Where a group begins is decided once: a restart before the first epoch does not skip what came in
            // between. This is the only commit outside of a transaction; a copy of it that the network holds back
            // beyond the first epoch would take the group back to its beginning, so there are no more than needed.
            self.consumer
                .commit(&fresh, CommitMode::Sync)
                .map_err(|error| kafka("committing where the group begins", &error))?;
        }
        self.granted = None;
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        let Some(Pending::Revoke(list) | Pending::Lost(list)) = self.granted.take() else { return Ok(()) };
        for element in list.elements() {
            self.positions.give(element.topic(), element.partition());
        }
        let done = if self.cooperative() {
            self.consumer.incremental_unassign(&list)
        } else {
            self.consumer.unassign()
        };
        done.map_err(|error| kafka("giving partitions back", &error))
    }

    fn audit(&mut self, epoch: u64) -> Result<(), SourceError> {
        let list = self.owned_list();
        if list.count() == 0 {
            return Ok(());
        }
        let committed = self.committed_now(list)?;
        self.compare(&committed, epoch, false)
    }

    fn rewind(&mut self, epoch: u64, unknown: bool) -> Result<(), SourceError> {
        let list = self.owned_list();
        if list.count() == 0 {
            return Ok(());
        }
        let committed = self.committed_now(list)?;
        self.compare(&committed, epoch, unknown)?;
        let back = self.positions.rewind(|topic, partition| {
            committed.find_partition(topic, partition).and_then(|element| plain(element.offset()))
        });
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in back {
            list.add_partition_offset(&topic, partition, Offset::Offset(offset))
                .map_err(|error| kafka("preparing the rewind", &error))?;
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

    fn pause(&mut self) -> Result<(), SourceError> {
        self.consumer.pause(&self.owned_list()).map_err(|error| kafka("pausing", &error))
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.consumer.resume(&self.owned_list()).map_err(|error| kafka("resuming", &error))
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
            if self.consumer.context().inbox().at_rest == Some(true) && !self.positions.owned().is_empty() {
                return;
            }
        }
    }

    fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]) {
        for (topic, partition, offset) in offsets {
            self.positions.commit(topic, *partition, *offset);
        }
    }

    fn status(&self) -> Vec<PartitionStatus> {
        self.positions.owned()
    }
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
