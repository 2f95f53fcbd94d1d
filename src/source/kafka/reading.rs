//! Reading: from the queues of partitions, in a fair order, and the events of the group beside them.
//!
//! Owns one poll of the source. A record that has left its queue is handed on, always: whoever does not want it has no
//! other way to it than a rewind. Called by the parent on the lane's thread.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::KafkaSource;
use super::failure::Consequence;
use super::stuck::WHY;
use crate::source::{Envelope, Notice, PartitionSlot, RecordRef};

/// Events that are served in one go; one poll serves one at most, and does not say whether it did.
const EVENTS_MAX: usize = 4;

struct Borrowed<'a, 'm>(&'a BorrowedMessage<'m>);

impl Envelope for Borrowed<'_, '_> {
    fn key(&self) -> Option<Vec<u8>> {
        self.0.key().map(<[u8]>::to_vec)
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let Some(headers) = self.0.headers() else { return Vec::new() };
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    }
}

impl KafkaSource {
    /// Waits for the first record, then hands on what is there; see [`Source::poll`](crate::source::Source::poll).
    pub(super) fn read(
        &mut self,
        timeout: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice> {
        let now = Instant::now();
        let until = now + timeout;
        self.queues.look(now);
        let mut told: Vec<Notice> = self.serve_events().into_iter().collect();
        let mut taken = 0;
        while taken < records_max && told.is_empty() {
            self.queues.listen();
            let Some(slot) = self.queues.fair.turn() else {
                if taken > 0 {
                    break;
                }
                told.append(&mut self.notices());
                if !told.is_empty() || !self.queues.bell.wait(until) {
                    break;
                }
                told.extend(self.serve_events());
                continue;
            };
            match self.queues.of.get(&slot).and_then(|queue| queue.poll(Duration::ZERO)) {
                None => self.queues.fair.sleep(),
                Some(Err(error)) => told.extend(self.tell(&error, Some(slot))),
                Some(Ok(message)) => {
                    taken += 1;
                    let (partition, offset) = (message.partition(), message.offset());
                    let mut flow = ControlFlow::Continue(());
                    // A record of a partition that is not read is nobody's, and moves nothing.
                    let is_held =
                        self.positions.place(slot).is_some_and(|(.., source)| self.held.contains(&source));
                    let is_read = !is_held && self.positions.is_read(slot);
                    if is_read {
                        self.positions.read(slot, offset);
                    }
                    if let Some((topic, _, source)) = self.positions.place(slot).filter(|_| is_read) {
                        flow = take(&RecordRef {
                            source,
                            slot,
                            topic,
                            partition,
                            offset,
                            timestamp_ms: message.timestamp().to_millis(),
                            payload: message.payload(),
                            envelope: &Borrowed(&message),
                        });
                    }
                    self.queues.fair.charge(message.payload().map_or(0, <[u8]>::len) as u64);
                    if flow.is_break() {
                        break;
                    }
                }
            }
        }
        told.append(&mut self.notices());
        told
    }

    /// Serves what is not of a partition: the group, statistics, errors of the client. Nothing to do with records:
    /// each partition has a queue of its own, from before it was taken.
    fn serve_events(&mut self) -> Option<Notice> {
        for _ in 0..EVENTS_MAX {
            let told = match self.consumer.poll(Duration::ZERO) {
                None => continue,
                Some(Err(error)) => self.tell(&error, None),
                Some(Ok(message)) => {
                    let (topic, partition) = (message.topic(), message.partition());
                    // Not ours to read, or else one that would be lost.
                    self.positions.slot(topic, partition).map(|_| {
                        Notice::Failed(format!(
                            "{topic}/{partition}: a record is not in its partition's queue"
                        ))
                    })
                }
            };
            if told.is_some() {
                return told;
            }
        }
        None
    }

    /// Partitions stand still behind an answer that the client does not get done with, or do no longer.
    pub(super) fn note_stuck(&mut self, stuck: &[(String, i32)]) {
        let read = stuck.iter().filter_map(|(topic, partition)| self.positions.slot(topic, *partition));
        // Those that are held are not fetched either, and are not stuck.
        let held = |slot: &PartitionSlot| {
            self.positions.place(*slot).is_some_and(|(.., source)| self.held.contains(&source))
        };
        let read = read.filter(|slot| !held(slot));
        let now: BTreeSet<PartitionSlot> = if self.queues.paused { BTreeSet::new() } else { read.collect() };
        for slot in self.queues.stuck.difference(&now) {
            self.positions.unblock(*slot);
        }
        for slot in &now {
            self.positions.block(*slot, WHY);
        }
        self.queues.stuck = now;
    }

    /// What follows from an error of the client, or of a partition.
    fn tell(&mut self, error: &KafkaError, slot: Option<PartitionSlot>) -> Option<Notice> {
        let why = self.consumer.context().inbox().last.take().unwrap_or_else(|| error.to_string());
        match self.failed(error, &why)? {
            Consequence::Notice(notice) => Some(notice),
            Consequence::Blocked => {
                self.positions.block(slot?, &why);
                None
            }
        }
    }
}
