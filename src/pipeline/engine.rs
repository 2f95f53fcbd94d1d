//! Records in, findings out: decode, normalise and detect, without Kafka, without a clock of its own.
//!
//! Owns the batch: the tables under construction, the bytes of their records, and the way back from a row to
//! its event. The same engine serves `run`, `scan`, `test` and `demo`. It counts everything that happens to a
//! record in a [`Tally`]; publishing, offsets and metrics are the callers'.

mod feed;
mod search;
mod tally;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use feed::{Feed, Judge};
use search::Matched;
pub use search::{Searched, Spoilt};
use tally::Made;
pub use tally::{Place, SourceTally, Tally, Unlike};

use super::definition::Pipeline;
use crate::config::Limits;
use crate::decode::{DecodeLimits, Reject, RejectCode};
use crate::detect::alert::{Alert, AlertLimits};
use crate::detect::guard::GuardLimits;
use crate::detect::guard::parks::Parks;
use crate::detect::guard::turn::Guard;
use crate::detect::profile::{Profile, Stopwatch};
use crate::detect::run::{Detector, Memory, Verdict};
use crate::normalise::layout::{EventContext, TableBuilder};
use crate::normalise::projection::Projection;
use crate::observe::panics::caught;
use crate::record::{Position, TimeMicros};
use crate::rules::{BindError, RuleSet};
use crate::source::RecordRef;

/// Bytes of records kept as evidence before the batch is searched.
const BATCH_BYTES_MAX: usize = 32 << 20;

/// Bytes of alerts of one record: as much as an epoch holds.
const RECORD_ALERT_BYTES_MAX: usize = 64 << 20;

/// Bounds of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Bounds of a record.
    pub decode: DecodeLimits,
    /// Bounds of an alert.
    pub alert: AlertLimits,
    /// Rows of one table, looked at by rules, after which the batch must be searched.
    pub batch_rows_max: usize,
    /// Bytes of records kept as evidence after which the batch must be searched.
    pub batch_bytes_max: usize,
    /// Bytes of alerts of one record, after which no more are made of it.
    pub record_alert_bytes_max: usize,
    /// Bytes that are remembered of values that rules have looked at.
    pub match_memory_bytes_max: usize,
    /// What a rule may take.
    pub guard: GuardLimits,
}

impl From<&Limits> for EngineLimits {
    fn from(limits: &Limits) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            decode: limits.decode(),
            alert: AlertLimits {
                raw_bytes_max: bytes(limits.raw_bytes_max),
                alert_bytes_max: bytes(limits.alert_bytes_max),
                ..AlertLimits::default()
            },
            batch_rows_max: limits.batch_rows_max as usize,
            batch_bytes_max: BATCH_BYTES_MAX,
            record_alert_bytes_max: RECORD_ALERT_BYTES_MAX,
            match_memory_bytes_max: bytes(limits.match_memory_bytes_max),
            guard: GuardLimits {
                batch_time_max: Duration::from_millis(limits.rule_batch_ms_max),
                bytes_max: limits.rule_evaluation_bytes_max,
                rows_max: Some(limits.rule_rows_max),
                failed_rows_max: limits.rule_failed_rows_max,
                panics_max: limits.rule_panics_max,
                stretch: i64::try_from(limits.rule_window_ms).map_or(i64::MAX, |ms| ms.saturating_mul(1_000)),
            },
        }
    }
}

/// What is compiled once and shared by all lanes: pipeline, rules, what must be built for them.
pub struct Compiled {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The columns that the rules need.
    pub projection: Projection,
    /// All columns of the same tables, for evidence.
    evidence: Projection,
    detector: Detector,
    /// The rules that are parked: one list for all lanes, as a rule that one lane cannot afford no other can.
    pub parks: Arc<Parks>,
}

impl Compiled {
    /// Bytes of what its rules are looked up in, about.
    pub fn index_bytes(&self) -> usize {
        self.detector.index_bytes()
    }

    /// Compiles rules for a pipeline.
    pub fn new(pipeline: Arc<Pipeline>, rules: Arc<RuleSet>) -> Result<Self, BindError> {
        let enabled = rules.rules().iter().filter(|rule| rule.enabled);
        let needs: Vec<(&str, &[String])> =
            enabled.map(|rule| (rule.table.name.as_str(), rule.columns.as_slice())).collect();
        let projection = Projection::new(&pipeline.catalog, needs);
        let all: Vec<(String, Vec<String>)> = projection
            .tables()
            .iter()
            .map(|projected| {
                let names = projected.table.columns.iter().map(|column| column.name.clone()).collect();
                (projected.table.name.clone(), names)
            })
            .collect();
        let full = all.iter().map(|(table, columns)| (table.as_str(), columns.as_slice()));
        let evidence = Projection::new(&pipeline.catalog, full);
        let detector = Detector::new(&rules, &projection)?;
        let parks = Arc::new(Parks::new(rules.rules().len()));
        Ok(Self { pipeline, rules, projection, evidence, detector, parks })
    }

    /// Rules that are parked in a set that went before stay so, unless they have changed: their file, their version or
    /// their table.
    pub fn inherit(&self, former: &Self) {
        let (before, after) = (former.rules.rules(), self.rules.rules());
        self.parks.inherit(&former.parks, |at| {
            let old = before.get(at)?;
            after.iter().position(|new| {
                let same = new.meta.id == old.meta.id && new.version == old.version;
                same && new.table.name == old.table.name && new.file.text == old.file.text
            })
        });
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It became so many events.
    Events(u32),
    /// Its value is null: counted, nothing to decode.
    Tombstone,
    /// It is no event: it goes to the dead-letter topic.
    Rejected(Reject),
}

/// A rule's hit on an event.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Index of the rule.
    pub rule: usize,
    /// Index of the source.
    pub source: usize,
    /// Where the event stands.
    pub position: Position,
    /// When it happened.
    pub event_time: TimeMicros,
    /// What the rule's SELECT returned.
    pub output: Map<String, Json>,
    /// The alert.
    pub alert: Alert,
}

/// When Kafka received a record.
fn ingest_time(record: &RecordRef<'_>) -> Option<TimeMicros> {
    record.timestamp_ms.and_then(|ms| ms.checked_mul(1_000))
}

struct KeptRecord {
    /// Which record of the batch it is, those without rows counted.
    number: usize,
    source: usize,
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    ingest_time: Option<TimeMicros>,
    bytes: Range<usize>,
}

struct KeptEvent {
    record: usize,
    index: u32,
    event_time: TimeMicros,
    time_is_told: bool,
}

/// One lane's engine.
pub struct Engine {
    compiled: Arc<Compiled>,
    limits: EngineLimits,
    feeds: Vec<Feed>,
    /// The rows that some rule may hit,
    tables: Vec<TableBuilder>,
    /// what is known of them,
    verdicts: Vec<Vec<Verdict>>,
    /// and their number before the record that is being pushed.
    lengths: Vec<usize>,
    /// Tables of the rows of that record, as often as it has any.
    seen: Vec<usize>,
    /// Rows of the batch by table, those that no rule can hit counted.
    rows: Vec<usize>,
    rows_most: usize,
    arena: Vec<u8>,
    records: Vec<KeptRecord>,
    events: Vec<KeptEvent>,
    /// Records of the batch, and how many of them are through.
    pushed: usize,
    through: usize,
    matched: Option<Matched>,
    memory: Memory,
    guard: Guard,
    tally: Tally,
    /// Where the time goes, when somebody wants to know.
    profile: Option<Box<Profile>>,
}

impl Engine {
    /// An engine over a compiled pipeline.
    pub fn new(compiled: Arc<Compiled>, limits: EngineLimits) -> Self {
        let feeds = (0..compiled.pipeline.sources.len())
            .map(|source| Feed::new(&compiled, source, limits.decode))
            .collect();
        let tables: Vec<TableBuilder> = compiled.projection.tables().iter().map(TableBuilder::new).collect();
        let memory = compiled.detector.memory(limits.match_memory_bytes_max);
        let guard = Guard::new(limits.guard, Arc::clone(&compiled.parks));
        let mut engine = Self {
            compiled,
            limits,
            feeds,
            verdicts: tables.iter().map(|_| Vec::new()).collect(),
            lengths: Vec::new(),
            seen: Vec::new(),
            rows: vec![0; tables.len()],
            rows_most: 0,
            tables,
            arena: Vec::new(),
            records: Vec::new(),
            events: Vec::new(),
            pushed: 0,
            through: 0,
            matched: None,
            memory,
            guard,
            tally: Tally::default(),
            profile: None,
        };
        engine.take_tally();
        engine
    }

    /// What the engine runs.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// An engine over another compiled pipeline, with the same bounds; for a lane between two epochs.
    pub fn renewed(&self, compiled: Arc<Compiled>) -> Self {
        debug_assert!(
            self.pushed == 0 && self.matched.is_none(),
            "records wait for the rules that read them"
        );
        Self::new(compiled, self.limits.clone())
    }

    /// Decodes a record and adds its rows to the batch. A record on which a stage panics is rejected, and leaves no row
    /// behind.
    pub fn push(&mut self, record: &RecordRef<'_>) -> Pushed {
        self.judge(record, None)
    }

    /// The same for a record that may be `refused` already: then it is rejected, with its own reason if it has one.
    pub fn judge(&mut self, record: &RecordRef<'_>, refused: Option<Reject>) -> Pushed {
        self.pushed += 1;
        let tally = &mut self.tally.sources[record.source];
        tally.records += 1;
        let Some(payload) = record.payload else {
            tally.tombstones += 1;
            return Pushed::Tombstone;
        };
        tally.bytes += payload.len() as u64;
        let mut made = Made::default();
        let events = self.events.len();
        self.seen.clear();
        self.lengths.clear();
        self.lengths.extend(self.tables.iter().map(TableBuilder::len));
        let decoded = match caught(|| self.decode(record, payload, &mut made)) {
            Ok(Ok(count)) => refused.map_or(Ok(count), Err),
            Ok(Err(reject)) => Err(reject),
            Err(panicked) => {
                // Nobody knows what it was in the middle of.
                self.feeds[record.source] = Feed::new(&self.compiled, record.source, self.limits.decode);
                Err(Reject { code: RejectCode::Panic, detail: panicked.to_string() })
            }
        };
        let tally = &mut self.tally.sources[record.source];
        match decoded {
            Ok(count) => {
                made.count(tally, record);
                for table in self.seen.drain(..) {
                    self.tally.rows[table] += 1;
                    self.rows[table] += 1;
                    self.rows_most = self.rows_most.max(self.rows[table]);
                }
                if made.any_rows {
                    let from = self.arena.len();
                    self.arena.extend_from_slice(payload);
                    self.records.push(KeptRecord {
                        number: self.pushed - 1,
                        source: record.source,
                        topic: Arc::clone(record.topic),
                        partition: record.partition,
                        offset: record.offset,
                        ingest_time: ingest_time(record),
                        bytes: from..self.arena.len(),
                    });
                }
                Pushed::Events(count)
            }
            Err(reject) => {
                self.tables.iter_mut().zip(&self.lengths).for_each(|(table, rows)| table.truncate(*rows));
                self.verdicts.iter_mut().zip(&self.lengths).for_each(|(known, rows)| known.truncate(*rows));
                self.events.truncate(events);
                *tally.rejects.entry(reject.code).or_default() += 1;
                Pushed::Rejected(reject)
            }
        }
    }

    /// The events of a record, as rows.
    fn decode(&mut self, record: &RecordRef<'_>, payload: &[u8], made: &mut Made) -> Result<u32, Reject> {
        let pipeline = &self.compiled.pipeline;
        let source = &pipeline.sources[record.source];
        let organisation = pipeline.organisation_of(record.source);
        let ingest_time = ingest_time(record);
        let feed = &mut self.feeds[record.source];
        let (layout, tables, events) = (&mut feed.layout, &mut self.tables, &mut self.events);
        let detector = &self.compiled.detector;
        let (memory, verdicts, seen) = (&mut self.memory, &mut self.verdicts, &mut self.seen);
        let profiled = self.profile.is_some();
        let profile = self.profile.as_deref_mut();
        let mut judge = Judge { detector, memory, verdicts, seen, profile };
        let kept = self.records.len();
        let mut index = 0u32;
        let (whole, mut inside) = (Stopwatch::when(profiled), Duration::ZERO);
        let decoded = feed.decoder.decode(payload, &mut |slots| {
            let watch = Stopwatch::when(profiled);
            let told = layout.event_time(slots, source.zone);
            made.times_missing += u64::from(told.is_none());
            let event_time = told.or(ingest_time).unwrap_or(0);
            let context = EventContext {
                org_id: organisation.id.as_str(),
                source: &source.id,
                event_time,
                ingest_time,
                topic: record.topic,
                partition: record.partition,
                offset: record.offset,
                index,
            };
            let event = u32::try_from(events.len()).unwrap_or(u32::MAX);
            let added = layout.add(slots, &context, event, source.zone, tables, &mut judge);
            made.events += 1;
            made.values_unfit += u64::from(added.unfit);
            if added.rows == 0 {
                made.events_without_table += 1;
                if let Some(hint) = layout.hint(slots) {
                    *made.unlike_format.entry(hint).or_default() += 1;
                }
            }
            if added.kept > 0 {
                made.any_rows = true;
                events.push(KeptEvent { record: kept, index, event_time, time_is_told: told.is_some() });
            }
            index += 1;
            inside += watch.read();
        });
        if let Some(profile) = &mut self.profile {
            profile.stages.decode += whole.read().saturating_sub(inside);
            // Looking up is a part of it, and told by itself.
            profile.stages.normalise += inside;
        }
        decoded
    }

    /// From now on the engine notes where its time goes.
    pub fn begin_profile(&mut self) {
        self.profile.get_or_insert_default();
        self.compiled.detector.begin_profile(&mut self.memory);
    }

    /// Where the time went since the profile was begun or taken; none when it never was begun.
    pub fn take_profile(&mut self) -> Option<Profile> {
        let mut profile = std::mem::take(self.profile.as_deref_mut()?);
        profile.stages.normalise = profile.stages.normalise.saturating_sub(profile.stages.look_up);
        for (table, column, counts) in self.compiled.detector.take_lookups(&mut self.memory) {
            let Some(table) = self.compiled.projection.tables().get(table) else { continue };
            let Some(column) = table.schema.fields().get(column) else { continue };
            let name = (table.table.name.clone(), column.name().clone());
            profile.columns.entry(name).or_default().add(counts);
        }
        Some(profile)
    }

    /// Whether the batch must be searched before more is pushed.
    pub fn is_full(&self) -> bool {
        self.arena.len() >= self.limits.batch_bytes_max || self.rows_most >= self.limits.batch_rows_max
    }

    /// Forgets the batch: its records will be read again.
    pub fn discard(&mut self) {
        for (table, verdicts) in self.tables.iter_mut().zip(&mut self.verdicts) {
            let _ = table.finish();
            verdicts.clear();
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.matched = None;
        self.arena.clear();
        self.records.clear();
        self.events.clear();
        (self.pushed, self.through) = (0, 0);
        self.forget_rows();
    }

    /// The rows counted so far are searched.
    fn forget_rows(&mut self) {
        self.rows.fill(0);
        self.rows_most = 0;
    }

    /// Its bounds.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    /// An alert about a flood of a source's rejects leaves with the epoch.
    pub(super) fn note_flood(&mut self, source: usize) {
        *self.tally.floods.entry(source).or_default() += 1;
    }

    /// An alert about a rule that is parked leaves with the epoch.
    pub(super) fn note_parked(&mut self, source: usize) {
        *self.tally.parked_told.entry(source).or_default() += 1;
    }

    /// What happened since the last call.
    pub fn take_tally(&mut self) -> Tally {
        let empty = Tally {
            sources: vec![SourceTally::default(); self.feeds.len()],
            rows: vec![0; self.tables.len()],
            ..Tally::default()
        };
        let forgotten = self.memory.take_forgotten();
        let bytes = self.memory.bytes();
        let tally = std::mem::replace(&mut self.tally, empty);
        Tally { match_memory_bytes: bytes, match_memory_forgotten: forgotten, ..tally }
    }
}

#[cfg(test)]
mod tests;
