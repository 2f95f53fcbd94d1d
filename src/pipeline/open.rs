//! The open epoch of a lane: what was read, what came of it, and how much of it may leave.
//!
//! Owns the rule that makes an epoch whole: offsets go out with all that came of the records before them, and not
//! before (I-1). An epoch that has grown too large is sealed behind the last record that is through; the others wait
//! in the next one. Called by `pipeline::lane`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::cycle::Millis;
use super::engine::{Finding, Searched};
use super::lane::FindingNote;
use crate::sink::Output;
use crate::sink::dead_letter::DeadLetter;
use crate::source::RecordRef;

/// A record whose findings may not all be out.
struct Waiting {
    slot: usize,
    topic: Arc<str>,
    partition: i32,
    next: i64,
    reject: Option<Output>,
}

/// The open epoch.
#[derive(Default)]
pub(super) struct Open {
    waiting: VecDeque<Waiting>,
    outputs: Vec<Output>,
    notes: Vec<FindingNote>,
    offsets: BTreeMap<usize, (Arc<str>, i32, i64)>,
    rejects_cut: u64,
    /// Bytes of outputs, those of waiting rejects included.
    output_bytes: u64,
    /// Of these, not yet reported to the cycle.
    unreported_bytes: u64,
    since: Option<Millis>,
}

/// What leaves.
pub(super) struct Leaving {
    pub(super) outputs: Vec<Output>,
    /// By topic and partition: the next offset to read.
    pub(super) offsets: Vec<(Arc<str>, i32, i64)>,
    pub(super) notes: Vec<FindingNote>,
    pub(super) rejects_cut: u64,
    pub(super) since: Option<Millis>,
}

impl Open {
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
            reject,
        });
    }

    /// The engine searched: findings, and records that are through.
    pub(super) fn add(&mut self, searched: Searched, topics: &[Arc<str>], notes_max: usize) {
        for finding in searched.findings {
            let Some(topic) = topics.get(finding.source).map(Arc::clone) else { continue };
            self.grow(finding.alert.value.len());
            let Finding { rule, source, event_time, output, alert, .. } = finding;
            let headers = alert.headers.into_iter();
            self.outputs.push(Output {
                topic,
                key: Some(alert.key),
                value: Some(alert.value),
                headers: headers.map(|(name, value)| (name.to_owned(), Some(value.into_bytes()))).collect(),
                timestamp_ms: None,
            });
            if self.notes.len() < notes_max {
                self.notes.push(FindingNote { rule, source, event_time, output });
            }
        }
        let through = searched.records.min(self.waiting.len());
        for Waiting { slot, topic, partition, next, reject } in self.waiting.drain(..through) {
            self.outputs.extend(reject);
            self.offsets.insert(slot, (topic, partition, next));
        }
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
        let since = self.since;
        if self.waiting.is_empty() {
            self.since = None;
        }
        Leaving {
            outputs: std::mem::take(&mut self.outputs),
            offsets: std::mem::take(&mut self.offsets).into_values().collect(),
            notes: std::mem::take(&mut self.notes),
            rejects_cut: std::mem::take(&mut self.rejects_cut),
            since,
        }
    }
}

#[cfg(test)]
#[path = "open/tests.rs"]
mod tests;
