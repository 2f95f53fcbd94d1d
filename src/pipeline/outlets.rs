//! From the engine into the open epoch: each record's alerts, rejects, and what is noticed of its source.
//!
//! Owns which topic what goes to, and the alerts that Noroshi raises by itself. When the epoch ends is `cycle`'s; what is
//! whole is `open`'s. Called by `pipeline::lane`.

use std::sync::Arc;

use super::clock::Clock;
use super::engine::{Compiled, Engine, Pushed};
use super::flood::FloodLimits;
use super::lane::LaneLimits;
use super::open::{Noticed, Open};
use crate::decode::Reject;
use crate::detect::alert::Alert;
use crate::detect::flood::{FloodInput, reject_flood};
use crate::record::TimeMicros;
use crate::sink::dead_letter::{self, DeadLetter};
use crate::sink::route::TopicTemplate;
use crate::source::RecordRef;

/// Where things go, by source.
pub(super) struct Outlets {
    alerts: Vec<Arc<str>>,
    rejects: Vec<Arc<str>>,
    reject_bytes_max: usize,
    epoch_bytes_max: u64,
    notes_max: usize,
    flood: FloodLimits,
}

impl Outlets {
    /// Those of a pipeline.
    pub(super) fn new(compiled: &Compiled, limits: &LaneLimits) -> Self {
        let pipeline = &compiled.pipeline;
        let of = |template: &TopicTemplate| {
            (0..pipeline.sources.len())
                .map(|source| Arc::from(template.topic(&pipeline.organisation_of(source).id)))
                .collect()
        };
        Self {
            alerts: of(&pipeline.alerts),
            rejects: of(&pipeline.rejects),
            reject_bytes_max: limits.reject_bytes_max,
            epoch_bytes_max: limits.cycle.bytes_max,
            notes_max: limits.notes_max,
            flood: limits.flood,
        }
    }

    /// Takes a record into the epoch; searches when the batch is full.
    pub(super) fn take(
        &self,
        engine: &mut Engine,
        open: &mut Open,
        record: &RecordRef<'_>,
        clock: &impl Clock,
    ) {
        let rejected = match engine.push(record) {
            Pushed::Rejected(reject) => Some(self.dead_letter(engine.compiled(), record, &reject)),
            Pushed::Events(_) | Pushed::Tombstone => None,
        };
        open.take(record, rejected, clock.now());
        if engine.is_full() {
            self.search(engine, open, clock);
        }
    }

    /// Searches as far as there is room in the epoch.
    pub(super) fn search(&self, engine: &mut Engine, open: &mut Open, clock: &impl Clock) {
        let mut searched = engine.search(clock.wall(), open.room(self.epoch_bytes_max));
        let compiled = engine.compiled();
        for spoilt in std::mem::take(&mut searched.spoilt) {
            open.spoil(spoilt.at, self.dead_letter(compiled, &spoilt.record(), &spoilt.reject));
        }
        for noticed in open.add(searched, &self.alerts, self.notes_max, clock.now()) {
            let alert = self.flood(engine, &noticed, clock.wall());
            if let Some(topic) = self.alerts.get(noticed.source) {
                open.publish(topic, alert);
            }
            engine.note_flood(noticed.source);
        }
    }

    fn dead_letter(&self, compiled: &Compiled, record: &RecordRef<'_>, reject: &Reject) -> DeadLetter {
        let source = &compiled.pipeline.sources[record.source];
        let org_id = &compiled.pipeline.organisation_of(record.source).id;
        let topic = &self.rejects[record.source];
        dead_letter::output(topic, record, reject, org_id, &source.id, self.reject_bytes_max)
    }

    fn flood(&self, engine: &Engine, noticed: &Noticed, now: TimeMicros) -> Alert {
        let pipeline = &engine.compiled().pipeline;
        let organisation = pipeline.organisation_of(noticed.source);
        reject_flood(&FloodInput {
            org_id: &organisation.id,
            org_name: &organisation.name,
            source: &pipeline.sources[noticed.source].id,
            tlp: organisation.tlp,
            position: &noticed.position,
            ingest_time: noticed.timestamp_ms.and_then(|ms| ms.checked_mul(1_000)),
            now,
            window_start_ms: noticed.began.window_start_ms,
            window_ms: self.flood.window_ms,
            records: noticed.began.counts.records,
            rejects: noticed.began.counts.rejects,
            limits: &engine.limits().alert,
            headers: &pipeline.alert_headers,
        })
    }
}
