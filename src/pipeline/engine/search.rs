//! Searching a batch: conditions over the whole batch, alerts as far as there is room for them.
//!
//! Owns the hits that are still to become alerts. A batch in which everything matches has many more alerts than fit
//! into memory or into a transaction; so they are made in the order of their records, and a caller that has had
//! enough seals its epoch behind the last record that is through, and asks again. Called by the parent's callers.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value as Json};

use super::{Compiled, Engine, Finding};
use crate::decode::{Reject, RejectCode};
use crate::detect::alert::{self, AlertInput};
use crate::detect::guard::turn::Guard;
use crate::detect::profile::{Profile, Stopwatch};
use crate::normalise::layout::Layout;
use crate::observe::panics::{Panicked, caught};
use crate::record::{Position, TimeMicros};
use crate::source::{LostEnvelope, RecordRef};

/// Hits whose outputs are made together.
const HITS_TOGETHER: usize = 256;

/// What a search brought.
#[derive(Debug, Default)]
pub struct Searched {
    /// In the order of events, then of rules, whatever the batching (I-3).
    pub findings: Vec<Finding>,
    /// So many more records of the batch are through: all their findings are out.
    pub records: usize,
    /// Bytes of the alerts, or of outputs that they do not show in full.
    pub bytes: usize,
    /// Records among those that turned out to be none to alert on; none of their findings is above.
    pub spoilt: Vec<Spoilt>,
}

/// A record on which a stage panicked after it had been decoded. Its key and headers are gone by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoilt {
    /// Which of the records that were not yet through, from 0.
    pub at: usize,
    /// Index of its source.
    pub source: usize,
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Kafka's timestamp of the record, milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The value.
    pub payload: Vec<u8>,
    /// Why.
    pub reject: Reject,
}

impl Spoilt {
    /// The record as far as it is known.
    pub fn record(&self) -> RecordRef<'_> {
        RecordRef {
            source: self.source,
            slot: 0,
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            payload: Some(&self.payload),
            envelope: &LostEnvelope,
        }
    }
}

/// The hits of a batch, and what their outputs are made from.
pub(super) struct Matched {
    batches: Vec<Option<RecordBatch>>,
    /// By event, then rule.
    pending: Vec<Pending>,
    /// The first that is not yet an alert.
    next: usize,
    /// The record that is being alerted on.
    shown: Shown,
}

/// What alerts show of a record.
#[derive(Default)]
struct Shown {
    /// Index of the record.
    record: Option<usize>,
    /// By index of the event and view.
    rows: HashMap<(u32, u16), Vec<Json>>,
    /// Where the events stand in it, when there are several.
    parts: Vec<Range<usize>>,
    /// Bytes of its alerts so far.
    bytes: usize,
    /// Nothing more is made of it.
    spoilt: bool,
}

/// A hit that is to become an alert.
#[derive(Debug, Clone, Copy)]
struct Pending {
    event: u32,
    rule: u32,
    row: u32,
    table: u16,
    view: u16,
}

impl Engine {
    /// False while hits wait to become alerts: more records would only make them wait longer.
    pub fn is_drained(&self) -> bool {
        self.matched.is_none()
    }

    /// Searches the whole batch and empties it.
    pub fn search_all(&mut self, now: TimeMicros) -> Vec<Finding> {
        self.search(now, usize::MAX).findings
    }

    /// Makes alerts of the batch's hits until they have `bytes_max` bytes; the record that goes beyond is finished.
    /// When the batch is through it is emptied and the engine [drained](Self::is_drained). `now` is the time of the
    /// alerts.
    pub fn search(&mut self, now: TimeMicros, bytes_max: usize) -> Searched {
        let compiled = Arc::clone(&self.compiled);
        self.guard.at(now);
        let mut matched = match self.matched.take() {
            Some(matched) => matched,
            None => self.matched(&compiled),
        };
        let mut searched = Searched::default();
        loop {
            while matched.next < matched.pending.len()
                && (searched.bytes < bytes_max || !self.begins_record(&matched, matched.next))
            {
                self.alerts(&compiled, &mut matched, now, bytes_max, &mut searched);
            }
            // Records that were pushed while the rest waited.
            let more =
                matched.next == matched.pending.len() && self.tables.iter().any(|table| !table.is_empty());
            if !more {
                break;
            }
            matched = self.matched(&compiled);
        }
        for failure in self.guard.take_failures() {
            let entry = self.tally.rule_failures.entry(failure.rule).or_default();
            entry.0 += 1;
            entry.1 = failure.why;
        }
        for (rule, rows) in self.guard.take_unjudged() {
            *self.tally.rows_unjudged.entry(rule).or_default() += rows;
        }
        let through = match matched.pending.get(matched.next) {
            Some(hit) => self.record_of(hit).unwrap_or(self.through),
            None => self.pushed,
        };
        searched.records = through - self.through;
        self.through = through;
        if matched.next < matched.pending.len() {
            self.matched = Some(matched);
        } else {
            self.clear();
        }
        searched
    }

    /// Searches the whole batch and empties it, without making alerts: how many pairs of a rule and an event there are.
    /// For measuring; a rule that could not judge a row is not told of.
    pub fn matches_only(&mut self) -> usize {
        let compiled = Arc::clone(&self.compiled);
        let waiting = self.matched.take().map_or(0, |matched| matched.pending.len() - matched.next);
        let pairs = waiting + self.matched(&compiled).pending.len();
        self.clear();
        pairs
    }

    /// Makes alerts of some hits.
    fn alerts(
        &mut self,
        compiled: &Compiled,
        matched: &mut Matched,
        now: TimeMicros,
        bytes_max: usize,
        searched: &mut Searched,
    ) {
        let end = self.together(compiled, matched);
        let hits = matched.pending.get(matched.next..end).unwrap_or_default().to_vec();
        let profile = self.profile.as_deref_mut();
        let outputs = outputs(compiled, &matched.batches, &hits, &mut self.guard, profile);
        for (hit, output) in hits.into_iter().zip(outputs) {
            // What is over the limit waits, from the beginning of its record on.
            if searched.bytes >= bytes_max && self.begins_record(matched, matched.next) {
                break;
            }
            let record = self.events.get(hit.event as usize).map(|event| event.record);
            let watch = Stopwatch::when(self.profile.is_some());
            if let Some(record) = record.filter(|record| matched.shown.record != Some(*record))
                && let Err(panicked) = caught(|| self.show(compiled, matched, record))
            {
                self.spoil(matched, &panicked, searched);
            }
            if let Some(profile) = &mut self.profile {
                profile.stages.evidence += watch.read();
            }
            matched.next += 1;
            let Some(output) = output.filter(|_| !matched.shown.spoilt) else { continue };
            let watch = Stopwatch::when(self.profile.is_some());
            let made = caught(|| self.finding(compiled, &matched.shown, hit, output, now));
            if let Some(profile) = &mut self.profile {
                let took = watch.read();
                profile.rule(hit.rule as usize).alerts += took;
                profile.stages.alerts += took;
            }
            match made {
                Ok(None) => {}
                Ok(Some(finding)) => {
                    let bytes = weight(&finding);
                    searched.bytes += bytes;
                    matched.shown.bytes += bytes;
                    self.tally.note(&finding);
                    searched.findings.push(finding);
                    if matched.shown.bytes > self.limits.record_alert_bytes_max {
                        self.overflow(matched, searched);
                    }
                }
                Err(panicked) => self.spoil(matched, &panicked, searched),
            }
        }
    }

    /// Behind the last of the hits whose outputs are made together: no more than fit into the memory of an evaluation.
    fn together(&self, compiled: &Compiled, matched: &Matched) -> usize {
        let most = self.limits.guard.bytes_max;
        let mut bytes = 0u64;
        let hits = matched.pending.iter().skip(matched.next).take(HITS_TOGETHER);
        let fitting = hits.take_while(|hit| {
            let (table, rule) = (usize::from(hit.table), hit.rule as usize);
            let Some(Some(batch)) = matched.batches.get(table) else { return true };
            let own = compiled.detector.output_bytes(table, rule, batch, hit.row);
            // What does not fit alone is not made.
            bytes = bytes.saturating_add(if own > most { 0 } else { own });
            bytes <= most
        });
        matched.next + fitting.count()
    }

    /// A record has more alerts than an epoch holds: the first are out, and the record goes to the dead letters, where
    /// the others can be found.
    fn overflow(&mut self, matched: &mut Matched, searched: &mut Searched) {
        let most = self.limits.record_alert_bytes_max;
        let detail = format!("its alerts have more than {most} bytes; those before event {{}} are published");
        let last = searched.findings.last().map_or(0, |finding| finding.position.index);
        let reject =
            Reject { code: RejectCode::TooManyAlerts, detail: detail.replace("{}", &last.to_string()) };
        self.reject(matched, reject, searched);
    }

    /// Takes a record's findings back, and rejects it: after a panic nobody knows what they are worth.
    fn spoil(&mut self, matched: &mut Matched, panicked: &Panicked, searched: &mut Searched) {
        let Some(record) = matched.shown.record.and_then(|record| self.records.get(record)) else { return };
        let of_it = |position: &Position| {
            position.offset == record.offset
                && position.partition == record.partition
                && position.topic == record.topic
        };
        while let Some(finding) = searched.findings.pop_if(|finding| of_it(&finding.position)) {
            searched.bytes -= weight(&finding);
            self.tally.withdraw(&finding);
        }
        if let Some(feed) = self.feeds.get_mut(record.source) {
            // Nobody knows what its decoder was in the middle of.
            feed.evidence = None;
        }
        let reject = Reject { code: RejectCode::Panic, detail: panicked.to_string() };
        self.reject(matched, reject, searched);
    }

    /// Rejects the record that is being alerted on; nothing more is made of it.
    fn reject(&mut self, matched: &mut Matched, reject: Reject, searched: &mut Searched) {
        matched.shown.spoilt = true;
        let Some(record) = matched.shown.record.and_then(|record| self.records.get(record)) else { return };
        if let Some(source) = self.tally.sources.get_mut(record.source) {
            *source.rejects.entry(reject.code).or_default() += 1;
        }
        searched.spoilt.push(Spoilt {
            at: record.number - self.through,
            source: record.source,
            topic: Arc::clone(&record.topic),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.ingest_time.map(|time| time.div_euclid(1_000)),
            payload: self.arena.get(record.bytes.clone()).unwrap_or_default().to_vec(),
            reject,
        });
    }

    /// The conditions, over all tables of the batch.
    fn matched(&mut self, compiled: &Compiled) -> Matched {
        let mut pending = Vec::new();
        let mut batches = Vec::with_capacity(self.tables.len());
        for (table, builder) in self.tables.iter_mut().enumerate() {
            // A builder's columns always have one length and their schema's types.
            let watch = Stopwatch::when(self.profile.is_some());
            let Some(Ok((batch, origins))) = (!builder.is_empty()).then(|| builder.finish()) else {
                batches.push(None);
                continue;
            };
            let mut profile = self.profile.as_deref_mut();
            if let Some(profile) = profile.as_deref_mut() {
                profile.stages.build += watch.read();
            }
            let verdicts = std::mem::take(&mut self.verdicts[table]);
            for hit in compiled.detector.hits(table, &batch, &verdicts, &mut self.guard, profile) {
                let Some(origin) = origins.get(hit.row as usize) else { continue };
                pending.push(Pending {
                    event: origin.event,
                    rule: u32::try_from(hit.rule).unwrap_or(u32::MAX),
                    row: hit.row,
                    table: u16::try_from(table).unwrap_or(u16::MAX),
                    view: origin.view,
                });
            }
            compiled.detector.settle(table, &verdicts, &mut self.memory);
            batches.push(Some(batch));
        }
        self.forget_rows();
        let first = |hit: &Pending| compiled.rules.first(hit.rule as usize);
        pending.sort_unstable_by_key(|hit| (hit.event, first(hit), hit.rule, hit.view, hit.row));
        // An event that is several rows of one table, or of several that one rule reads, is still one event: one alert a
        // rule.
        pending.dedup_by_key(|hit| (hit.event, first(hit)));
        Matched { batches, pending, next: 0, shown: Shown::default() }
    }

    /// Decodes a record once more, with all columns of its tables, for all its hits.
    fn show(&mut self, compiled: &Compiled, matched: &mut Matched, record: usize) -> Option<()> {
        let of_it =
            |hit: &&Pending| self.events.get(hit.event as usize).is_some_and(|event| event.record == record);
        let mut views: HashMap<u32, BTreeSet<u16>> = HashMap::new();
        for hit in matched.pending.iter().skip(matched.next).take_while(of_it) {
            let index = self.events.get(hit.event as usize)?.index;
            views.entry(index).or_default().insert(hit.view);
        }
        matched.shown = Shown { record: Some(record), ..Shown::default() };
        let shown = &mut matched.shown;
        let record = self.records.get(record)?;
        let raw = self.arena.get(record.bytes.clone())?;
        let source = compiled.pipeline.sources.get(record.source)?;
        let limits = self.limits.decode;
        let (decoder, layout) = self.feeds.get_mut(record.source)?.evidence.get_or_insert_with(|| {
            let layout = Layout::new(&compiled.evidence, source.format);
            (source.format.decoder(layout.fields(), limits), layout)
        });
        let mut index = 0;
        let events = decoder.decode(raw, &mut |slots| {
            for view in views.get(&index).into_iter().flatten() {
                shown.rows.insert((index, *view), layout.row(*view, slots, source.zone));
            }
            index += 1;
        });
        if index > 1 {
            let parts = decoder.parts(raw);
            shown.parts = if events.ok() == u32::try_from(parts.len()).ok() { parts } else { Vec::new() };
        }
        Some(())
    }

    fn begins_record(&self, matched: &Matched, at: usize) -> bool {
        let record = |at: usize| matched.pending.get(at).and_then(|hit| self.record_of(hit));
        at == 0 || record(at - 1) != record(at)
    }

    /// The number in the batch of the record that a hit is in.
    fn record_of(&self, hit: &Pending) -> Option<usize> {
        let event = self.events.get(hit.event as usize)?;
        Some(self.records.get(event.record)?.number)
    }

    fn finding(
        &self,
        compiled: &Compiled,
        shown: &Shown,
        hit: Pending,
        output: Map<String, Json>,
        now: TimeMicros,
    ) -> Option<Finding> {
        let rule = hit.rule as usize;
        let event = self.events.get(hit.event as usize)?;
        let record = self.records.get(event.record)?;
        let raw = self.arena.get(record.bytes.clone())?;
        let source = compiled.pipeline.sources.get(record.source)?;
        let part = shown.parts.get(event.index as usize).cloned().unwrap_or(0..raw.len());
        let raw_from = (shown.parts.len() > 1).then_some(part.start);
        let raw = raw.get(part)?;
        let row = shown.rows.get(&(event.index, hit.view)).map(Vec::as_slice).unwrap_or_default();
        let position = Position {
            topic: Arc::clone(&record.topic),
            partition: record.partition,
            offset: record.offset,
            index: event.index,
        };
        let organisation = compiled.pipeline.organisation_of(record.source);
        let declared = compiled.rules.rules().get(rule)?;
        let alert = alert::build(&AlertInput {
            rule: &declared.meta,
            rule_version: &declared.version,
            org_id: &organisation.id,
            org_name: &organisation.name,
            source: &source.id,
            tlp: organisation.tlp,
            table: &declared.table,
            row,
            output: &output,
            position: &position,
            event_time: event.event_time,
            time_is_told: event.time_is_told,
            ingest_time: record.ingest_time,
            now,
            raw,
            raw_from,
            limits: &self.limits.alert,
            headers: &compiled.pipeline.alert_headers,
        });
        Some(Finding { rule, source: record.source, position, event_time: event.event_time, output, alert })
    }
}

/// Bytes of a finding: those of its alert, or of its output where that is longer, as the alert does not show all of it.
fn weight(finding: &Finding) -> usize {
    let texts = finding.output.values().filter_map(Json::as_str);
    finding.alert.value.len().max(texts.map(str::len).sum())
}

/// The outputs of some hits, in their order; those of one rule are made in one go.
fn outputs(
    compiled: &Compiled,
    batches: &[Option<RecordBatch>],
    hits: &[Pending],
    guard: &mut Guard,
    mut profile: Option<&mut Profile>,
) -> Vec<Option<Map<String, Json>>> {
    let mut by_rule: HashMap<(u16, u32), Vec<usize>> = HashMap::new();
    for (at, hit) in hits.iter().enumerate() {
        by_rule.entry((hit.table, hit.rule)).or_default().push(at);
    }
    let mut outputs = vec![None; hits.len()];
    for ((table, rule), places) in by_rule {
        let (table, rule) = (usize::from(table), rule as usize);
        let Some(Some(batch)) = batches.get(table) else { continue };
        let rows: Vec<u32> = places.iter().map(|at| hits[*at].row).collect();
        let watch = Stopwatch::when(profile.is_some());
        let made = compiled.detector.outputs(table, rule, batch, &rows, guard);
        if let Some(profile) = profile.as_deref_mut() {
            let took = watch.read();
            profile.rule(rule).alerts += took;
            profile.stages.outputs += took;
        }
        for (at, output) in places.into_iter().zip(made) {
            outputs[at] = output;
        }
    }
    outputs
}
