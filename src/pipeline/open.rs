//! The open epoch of a lane: what was read, what came of it, and how much of it may leave.
//!
//! Owns the rule that makes an epoch whole: offsets go out with all that came of the records before them, and not
//! before (I-1). An epoch that has grown too large is sealed behind the last record that is through; the others wait
//! in the next one. Called by `pipeline::lane`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::cycle::Millis;
use super::engine::{Finding, Searched};
use super::flood::{Began, FloodLimits, Flooded, Floods};
use super::lane::{FindingNote, FloodNote};
use crate::detect::alert::Alert;
use crate::detect::guard::parks::Tickets;
use crate::record::Position;
use crate::sink::Output;
use crate::sink::dead_letter::DeadLetter;
use crate::source::{PartitionStatus, RecordRef};

/// A record whose findings may not all be out.
struct Waiting {
    slot: usize,
    topic: Arc<str>,
    partition: i32,
    next: i64,
    source: usize,
    bytes: u64,
    timestamp_ms: Option<i64>,
    reject: Option<Output>,
}

/// A flood that begins in the open epoch: what its alert is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noticed {
    pub(super) source: usize,
    pub(super) position: Position,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) began: Began,
}

/// The open epoch.
#[derive(Default)]
pub(super) struct Open {
    waiting: VecDeque<Waiting>,
    outputs: Vec<Output>,
    notes: Vec<FindingNote>,
    offsets: BTreeMap<usize, (Arc<str>, i32, i64)>,
    rejects_cut: u64,
    /// Records that are through, and their bytes, by source.
    read: BTreeMap<usize, (u64, u64)>,
    /// Bytes of outputs, those of waiting rejects included.
    output_bytes: u64,
    /// Of these, not yet reported to the cycle.
    unreported_bytes: u64,
    since: Option<Millis>,
    floods: Floods,
    /// Which partition a slot is.
    places: BTreeMap<usize, (Arc<str>, i32)>,
    /// By source: the first record that the last search brought through; where somebody asked for it.
    firsts: Option<BTreeMap<usize, First>>,
    /// What is told of rules that are parked.
    tickets: Tickets,
}

/// A record that is through, and Kafka's timestamp of it in milliseconds.
pub(super) type First = (Position, Option<i64>);

/// What leaves.
pub(super) struct Leaving {
    pub(super) outputs: Vec<Output>,
    /// By topic and partition: the next offset to read.
    pub(super) offsets: Vec<(Arc<str>, i32, i64)>,
    pub(super) notes: Vec<FindingNote>,
    pub(super) rejects_cut: u64,
    /// Records and their bytes, by source.
    pub(super) read: BTreeMap<usize, (u64, u64)>,
    pub(super) since: Option<Millis>,
}

impl Open {
    /// Nothing read yet.
    pub(super) fn new(floods: FloodLimits) -> Self {
        Self { floods: Floods::new(floods), ..Self::default() }
    }

    /// A record was read, and perhaps rejected.
    pub(super) fn take(&mut self, record: &RecordRef<'_>, reject: Option<DeadLetter>, now: Millis) {
        self.since.get_or_insert(now);
        let reject = reject.map(|DeadLetter { output, cut }| {
            self.rejects_cut += u64::from(cut);
            self.grow(output.value.as_ref().map_or(0, Vec::len));
            output
        });
        self.waiting.push_back(Waiting {
            slot: record.slot,
            topic: Arc::clone(record.topic),
            partition: record.partition,
            next: record.offset + 1,
            source: record.source,
            bytes: record.payload.map_or(0, |payload| payload.len() as u64),
            timestamp_ms: record.timestamp_ms,
            reject,
        });
    }

    /// One of the records that are not through, from 0, is rejected after all.
    pub(super) fn spoil(&mut self, at: usize, DeadLetter { output, cut }: DeadLetter) {
        let Some(waiting) = self.waiting.get_mut(at) else { return };
        let bytes = output.value.as_ref().map_or(0, Vec::len);
        waiting.reject = Some(output);
        self.rejects_cut += u64::from(cut);
        self.grow(bytes);
    }

    /// The engine searched: findings, and records that are through. Returns the floods of rejects that begin with one
    /// of these; whoever makes their alerts hands them to [`Self::publish`]. `now` is the lane's clock.
    pub(super) fn add(
        &mut self,
        searched: Searched,
        topics: &[Arc<str>],
        notes_max: usize,
        now: Millis,
    ) -> Vec<Noticed> {
        for finding in searched.findings {
            let Some(topic) = topics.get(finding.source) else { continue };
            let Finding { rule, source, event_time, output, alert, .. } = finding;
            self.publish(topic, alert);
            if self.notes.len() < notes_max {
                self.notes.push(FindingNote { rule, source, event_time, output });
            }
        }
        let through = searched.records.min(self.waiting.len());
        let mut noticed = Vec::new();
        for waiting in self.waiting.drain(..through) {
            let Waiting { slot, topic, partition, next, source, bytes, timestamp_ms, reject } = waiting;
            let read = self.read.entry(source).or_default();
            *read = (read.0 + 1, read.1 + bytes);
            self.places.entry(slot).or_insert_with(|| (Arc::clone(&topic), partition));
            let position = || Position { topic: Arc::clone(&topic), partition, offset: next - 1, index: 0 };
            if let Some(firsts) = &mut self.firsts {
                firsts.entry(source).or_insert_with(|| (position(), timestamp_ms));
            }
            if let Some(began) = self.floods.count(slot, source, timestamp_ms, reject.is_some(), now) {
                noticed.push(Noticed { source, position: position(), timestamp_ms, began });
            }
            self.outputs.extend(reject);
            self.offsets.insert(slot, (topic, partition, next));
        }
        noticed
    }

    /// An alert leaves with this epoch.
    pub(super) fn publish(&mut self, topic: &Arc<str>, alert: Alert) {
        self.grow(alert.value.len());
        let headers = alert.headers.into_iter();
        self.outputs.push(Output {
            topic: Arc::clone(topic),
            key: Some(alert.key),
            value: Some(alert.value),
            headers: headers.map(|(name, value)| (name.into_owned(), Some(value.into_bytes()))).collect(),
            timestamp_ms: None,
        });
    }

    /// The next search keeps of each source the first record that it brings through.
    pub(super) fn want_firsts(&mut self) {
        self.firsts = Some(BTreeMap::new());
    }

    /// Those records.
    pub(super) fn take_firsts(&mut self) -> BTreeMap<usize, First> {
        self.firsts.take().unwrap_or_default()
    }

    /// What this lane tells of rules that are parked.
    pub(super) fn tickets(&mut self) -> &mut Tickets {
        &mut self.tickets
    }

    /// The epoch in flight is committed.
    pub(super) fn committed(&mut self) {
        self.floods.committed();
        self.tickets.committed();
    }

    /// All that is not committed is thrown away.
    pub(super) fn rewind(&mut self) {
        self.floods.rewind();
        self.tickets.rewind();
    }

    /// Throws everything away that was read and has not left.
    pub(super) fn discard(&mut self) {
        let (mut floods, places) = (std::mem::take(&mut self.floods), std::mem::take(&mut self.places));
        let mut tickets = std::mem::take(&mut self.tickets);
        floods.discard();
        tickets.discard();
        *self = Self { floods, places, tickets, ..Self::default() };
    }

    /// Partitions were given back: others count their rejects from now on.
    pub(super) fn keep(&mut self, kept: &[PartitionStatus]) {
        self.places.retain(|_, (topic, partition)| {
            kept.iter().any(|kept| kept.topic == *topic && kept.partition == *partition)
        });
        let places = &self.places;
        self.floods.keep(|slot| places.contains_key(&slot));
    }

    /// The partitions in which rejects flood.
    pub(super) fn flooded(&self, now: Millis) -> Vec<FloodNote> {
        let note = |flooded: Flooded| {
            let (topic, partition) = self.places.get(&flooded.slot)?;
            Some(FloodNote { source: flooded.source, topic: Arc::clone(topic), partition: *partition })
        };
        self.floods.flooded(now).into_iter().filter_map(note).collect()
    }

    fn grow(&mut self, bytes: usize) {
        self.output_bytes += bytes as u64;
        self.unreported_bytes += bytes as u64;
    }

    /// Bytes of alerts for which there is room. An epoch without any record through has room for one, however large.
    pub(super) fn room(&self, bytes_max: u64) -> usize {
        let room = usize::try_from(bytes_max.saturating_sub(self.output_bytes)).unwrap_or(usize::MAX);
        if self.offsets.is_empty() { room.max(1) } else { room }
    }

    /// Bytes of outputs.
    pub(super) fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    /// Bytes of outputs since the last call.
    pub(super) fn take_unreported(&mut self) -> u64 {
        std::mem::take(&mut self.unreported_bytes)
    }

    /// Records that are not through.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Takes out what is whole; what waits stays, and is as old as it was.
    pub(super) fn leave(&mut self) -> Leaving {
        let rejects = self.waiting.iter().filter_map(|waiting| waiting.reject.as_ref());
        self.output_bytes = rejects.filter_map(|output| output.value.as_ref()).map(|v| v.len() as u64).sum();
        self.unreported_bytes = 0;
        self.floods.seal();
        self.tickets.seal();
        let since = self.since;
        if self.waiting.is_empty() {
            self.since = None;
        }
        Leaving {
            outputs: std::mem::take(&mut self.outputs),
            offsets: std::mem::take(&mut self.offsets).into_values().collect(),
            notes: std::mem::take(&mut self.notes),
            rejects_cut: std::mem::take(&mut self.rejects_cut),
            read: std::mem::take(&mut self.read),
            since,
        }
    }
}

#[cfg(test)]
#[path = "open/tests.rs"]
mod tests;
