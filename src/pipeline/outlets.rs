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
use super::refusals::{Refusals, Sentence};
use crate::decode::{Reject, RejectCode};
use crate::detect::alert::Alert;
use crate::detect::flood::{Flood, reject_flood};
use crate::detect::own::Told;
use crate::detect::parked::rule_parked;
use crate::record::{Position, TimeMicros};
use crate::sink::dead_letter::{self, DeadLetter, Room};
use crate::sink::route::TopicTemplate;
use crate::source::RecordRef;

/// Where things go, by source.
pub(super) struct Outlets {
    alerts: Vec<Arc<str>>,
    rejects: Vec<Arc<str>>,
    reject_room: Room,
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
            reject_room: Room::of(limits.reject_bytes_max),
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
        refusals: &Refusals,
        clock: &impl Clock,
    ) {
        let sentence = refusals.sentence(record.topic, record.partition, record.offset);
        let refused = sentence
            .map(|sentence| Reject { code: RejectCode::SinkRefused, detail: sentence.detail.clone() });
        let room = match sentence {
            Some(Sentence { bare: true, .. }) => Room::NONE,
            _ => self.reject_room,
        };
        let rejected = match engine.judge(record, refused) {
            Pushed::Rejected(reject) => Some(self.dead_letter(engine.compiled(), record, &reject, room)),
            Pushed::Events(_) | Pushed::Tombstone => None,
        };
        open.take(record, rejected, clock.now());
        if engine.is_full() {
            self.search(engine, open, refusals, clock);
        }
    }

    /// Searches as far as there is room in the epoch.
    pub(super) fn search(
        &self,
        engine: &mut Engine,
        open: &mut Open,
        refusals: &Refusals,
        clock: &impl Clock,
    ) {
        let mut searched = engine.search(clock.wall(), open.room(self.epoch_bytes_max));
        let compiled = engine.compiled();
        for spoilt in std::mem::take(&mut searched.spoilt) {
            let letter = self.dead_letter(compiled, &spoilt.record(), &spoilt.reject, self.reject_room);
            open.spoil(spoilt.at, letter);
        }
        let parked = compiled.parks.count() > 0;
        if parked {
            open.want_firsts();
        }
        for noticed in open.add(searched, &self.alerts, self.notes_max, clock.now()) {
            // Of a record that was refused nothing goes out but its dead letter.
            let Position { topic, partition, offset, .. } = &noticed.position;
            if refusals.sentence(topic, *partition, *offset).is_some() {
                continue;
            }
            let alert = self.flood(engine, &noticed, clock.wall());
            if let Some(topic) = self.alerts.get(noticed.source) {
                open.publish(topic, alert);
            }
            engine.note_flood(noticed.source);
        }
        if parked {
            self.tell_parked(engine, open, refusals, clock.wall());
        }
    }

    /// Tells each organisation of the rules that are parked, once, with a record of its own.
    fn tell_parked(&self, engine: &mut Engine, open: &mut Open, refusals: &Refusals, now: TimeMicros) {
        let compiled = Arc::clone(engine.compiled());
        let all = compiled.parks.all();
        for (at, (position, timestamp_ms)) in open.take_firsts() {
            let (Some(source), Some(topic)) = (compiled.pipeline.sources.get(at), self.alerts.get(at)) else {
                continue;
            };
            if refusals.sentence(&position.topic, position.partition, position.offset).is_some() {
                continue;
            }
            let organisation = compiled.pipeline.organisation_of(at);
            for parked in &all {
                let Some(rule) = compiled.rules.rules().get(parked.rule) else { continue };
                // What there is no room for is told with the next epoch.
                if !rule.table.is_fed_by(source.format.name())
                    || open.room(self.epoch_bytes_max) == 0
                    || !open.tickets().take(&compiled.parks, parked.rule, &organisation.id)
                {
                    continue;
                }
                let told = Told {
                    org_id: &organisation.id,
                    org_name: &organisation.name,
                    source: &source.id,
                    tlp: organisation.tlp,
                    position: &position,
                    ingest_time: timestamp_ms.and_then(|ms| ms.checked_mul(1_000)),
                    now,
                    limits: &engine.limits().alert,
                    headers: &compiled.pipeline.alert_headers,
                };
                open.publish(topic, rule_parked(&told, rule, parked));
                engine.note_parked(at);
            }
        }
    }

    fn dead_letter(
        &self,
        compiled: &Compiled,
        record: &RecordRef<'_>,
        reject: &Reject,
        room: Room,
    ) -> DeadLetter {
        let source = &compiled.pipeline.sources[record.source];
        let org_id = &compiled.pipeline.organisation_of(record.source).id;
        let topic = &self.rejects[record.source];
        dead_letter::output(topic, record, reject, org_id, &source.id, room)
    }

    fn flood(&self, engine: &Engine, noticed: &Noticed, now: TimeMicros) -> Alert {
        let pipeline = &engine.compiled().pipeline;
        let organisation = pipeline.organisation_of(noticed.source);
        let told = Told {
            org_id: &organisation.id,
            org_name: &organisation.name,
            source: &pipeline.sources[noticed.source].id,
            tlp: organisation.tlp,
            position: &noticed.position,
            ingest_time: noticed.timestamp_ms.and_then(|ms| ms.checked_mul(1_000)),
            now,
            limits: &engine.limits().alert,
            headers: &pipeline.alert_headers,
        };
        let flood = Flood {
            window_start_ms: noticed.began.window_start_ms,
            window_ms: self.flood.window_ms,
            records: noticed.began.counts.records,
            rejects: noticed.began.counts.rejects,
        };
        reject_flood(&told, &flood)
    }
}
