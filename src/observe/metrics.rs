//! Metrics: the handles that threads count with, and the scrape.
//!
//! Owns the registry, the handles resolved ahead for what is counted often, and the bound on series. The table of
//! metrics is in `declared`. Written by `pipeline`, `source` and `sink`; read by `api`.

mod declared;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::registry::Registry;

use super::memory;
use crate::record::TimeMicros;
pub use declared::{DECLARED, Declared, page};
use declared::{Labels, Registered};

/// The value of every label of a series that takes what is beyond the bound.
pub const OTHER: &str = "other";
/// Series that are made before anything is counted take at most the bound divided by this.
const FORESEEN_SHARE: u32 = 2;

/// How an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its transaction was committed.
    Committed,
    /// Its transaction was aborted; its records are read again.
    Aborted,
    /// The broker did not say; the committed offsets tell.
    Unknown,
}

/// A change of the partitions that a lane owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// Partitions came.
    Assigned,
    /// Partitions were given up in order.
    Revoked,
    /// Partitions were taken away.
    Lost,
}

/// What came of a look into the files of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// They were sound: they run from the next epoch on.
    Loaded,
    /// They were not: what ran before goes on.
    Refused,
    /// They are those that run.
    Unchanged,
}

impl Reload {
    /// Its name in metrics and `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What was cut to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The evidence of an alert.
    Alert,
    /// The value of a reject.
    Reject,
    /// The original event in an alert.
    Raw,
}

/// The handles: cheap to clone, safe to share. Add per batch, not per event: each call is one or two atomic
/// additions for a source or a table, and a look into a map for what has a rule or a partition as label.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>, Arc<Named>);

struct Inner {
    registry: Registry,
    all: Registered,
    series: Mutex<u32>,
    series_max: u32,
}

/// What the indexes of sources and tables point to.
struct Named {
    sources: Vec<Source>,
    tables: Vec<Counter>,
}

struct Source {
    id: Arc<str>,
    records: Counter,
    bytes: Counter,
    tombstones: Counter,
    events: Counter,
    unmatched: Counter,
    conversion_failures: Counter,
    time_fallbacks: Counter,
}

impl Metrics {
    /// Registers everything. `sources` and `tables` are the names that the indexes of the methods below point to;
    /// `now` is the start of the process.
    pub fn new(sources: &[&str], tables: &[&str], series_max: u32, now: TimeMicros) -> Self {
        let (registry, all) = Registered::register();
        all.start_time.set(now.div_euclid(1_000_000));
        let version = vec![("version", Arc::from(env!("CARGO_PKG_VERSION")))];
        all.build_info.get_or_create_owned(&version).set(1);
        for outcome in [Outcome::Committed, Outcome::Aborted, Outcome::Unknown] {
            all.epochs.get_or_create_owned(&label("outcome", outcome.as_str()));
        }
        for what in [Cut::Alert, Cut::Reject, Cut::Raw] {
            all.cuts.get_or_create_owned(&label("what", what.as_str()));
        }
        for kind in [Rebalance::Assigned, Rebalance::Revoked, Rebalance::Lost] {
            all.rebalances.get_or_create_owned(&label("kind", kind.as_str()));
        }
        for outcome in [Reload::Loaded, Reload::Refused, Reload::Unchanged] {
            all.reloads.get_or_create_owned(&label("outcome", outcome.as_str()));
        }
        let series = Mutex::new(0);
        let metrics = Self(
            Arc::new(Inner { registry, all, series, series_max }),
            Arc::new(Named { sources: Vec::new(), tables: Vec::new() }),
        );
        metrics.name(sources, tables, |family, labels| family.get_or_create_owned(&labels))
    }

    /// The same metrics, with other names behind the indexes: for a lane that runs another rule set. Names that were
    /// not there at the start are bounded like everything else that grows.
    #[must_use]
    pub fn renamed(&self, sources: &[&str], tables: &[&str]) -> Self {
        self.name(sources, tables, |family, labels| self.bounded(family, labels))
    }

    fn name(
        &self,
        sources: &[&str],
        tables: &[&str],
        counter: impl Fn(&Family<Labels, Counter>, Labels) -> Counter,
    ) -> Self {
        let all = &self.0.all;
        let source = |id: &&str| {
            let counter = |family: &Family<Labels, Counter>| counter(family, label("source", id));
            Source {
                id: Arc::from(*id),
                records: counter(&all.records),
                bytes: counter(&all.record),
                tombstones: counter(&all.tombstones),
                events: counter(&all.events),
                unmatched: counter(&all.unmatched_events),
                conversion_failures: counter(&all.conversion_failures),
                time_fallbacks: counter(&all.time_fallbacks),
            }
        };
        let sources = sources.iter().map(source).collect();
        let tables = tables.iter().map(|table| counter(&all.rows, label("table", table))).collect();
        Self(Arc::clone(&self.0), Arc::new(Named { sources, tables }))
    }

    /// Records read from a source, and the bytes of their values.
    pub fn records(&self, source: usize, count: u64, bytes: u64) {
        if let Some(source) = self.source(source) {
            source.records.inc_by(count);
            source.bytes.inc_by(bytes);
        }
    }

    /// Records without a value.
    pub fn tombstones(&self, source: usize, count: u64) {
        self.source(source).map(|source| source.tombstones.inc_by(count));
    }

    /// Events decoded.
    pub fn events(&self, source: usize, count: u64) {
        self.source(source).map(|source| source.events.inc_by(count));
    }

    /// Events that no table takes.
    pub fn unmatched_events(&self, source: usize, count: u64) {
        self.source(source).map(|source| source.unmatched.inc_by(count));
    }

    /// Values that do not fit their column.
    pub fn conversion_failures(&self, source: usize, count: u64) {
        self.source(source).map(|source| source.conversion_failures.inc_by(count));
    }

    /// Events without a readable time.
    pub fn time_fallbacks(&self, source: usize, count: u64) {
        self.source(source).map(|source| source.time_fallbacks.inc_by(count));
    }

    /// Rows of a table.
    pub fn rows(&self, table: usize, count: u64) {
        debug_assert!(table < self.1.tables.len(), "table {table} was not named");
        self.1.tables.get(table).map(|rows| rows.inc_by(count));
    }

    /// What a lane knows of values that rules have looked at, and how often more some of it was forgotten.
    pub fn match_memory(&self, lane: u32, bytes: u64, forgotten: u64) {
        let labels = label("lane", &lane.to_string());
        self.0.all.match_memory.get_or_create(&labels).set(signed(bytes));
        self.0.all.match_memory_forgotten.get_or_create(&labels).inc_by(forgotten);
    }

    /// Makes the series of all sources for these codes, at 0: a rate shows a step from 0 to 1, and none from nothing.
    pub fn foresee_rejects(&self, codes: impl IntoIterator<Item = &'static str> + Clone) {
        for source in &self.1.sources {
            for code in codes.clone() {
                self.foresee(&self.0.all.rejects, reject_labels(source, code));
            }
        }
    }

    /// Makes the series of a rule, at 0, for the sources that feed it, each with its organisation.
    pub fn foresee_rule<'a>(&self, rule: &str, sources: impl IntoIterator<Item = (usize, &'a str)>) {
        self.foresee(&self.0.all.rule_errors, label("rule", rule));
        for (source, organisation) in sources {
            self.foresee(&self.0.all.alerts, self.alert_labels(rule, Some(source), organisation));
        }
    }

    /// Records of a source that were rejected with a code.
    pub fn rejects(&self, source: usize, code: &str, count: u64) {
        if let Some(source) = self.source(source) {
            self.bounded(&self.0.all.rejects, reject_labels(source, code)).inc_by(count);
        }
    }

    /// In how many partitions of a source rejects flood, as a lane sees it.
    pub fn flooded_partitions(&self, source: usize, lane: u32, count: u64) {
        if let Some(source) = self.source(source) {
            let labels = vec![("source", Arc::clone(&source.id)), ("lane", Arc::from(lane.to_string()))];
            self.bounded(&self.0.all.flooded_partitions, labels).set(signed(count));
        }
    }

    /// Whether a lane has parked an organisation.
    pub fn parked(&self, organisation: &str, lane: u32, parked: bool) {
        let labels = vec![("organisation", Arc::from(organisation)), ("lane", Arc::from(lane.to_string()))];
        self.bounded(&self.0.all.parked, labels).set(i64::from(parked));
    }

    /// Alerts of a rule on a source's events. `source` is `None` for a rule over several sources.
    pub fn alerts(&self, rule: &str, source: Option<usize>, organisation: &str, count: u64) {
        let labels = self.alert_labels(rule, source, organisation);
        self.bounded(&self.0.all.alerts, labels).inc_by(count);
    }

    fn alert_labels(&self, rule: &str, source: Option<usize>, organisation: &str) -> Labels {
        let source = source.and_then(|source| self.source(source));
        let source = source.map_or_else(|| Arc::from(""), |source| Arc::clone(&source.id));
        vec![("rule", Arc::from(rule)), ("source", source), ("organisation", Arc::from(organisation))]
    }

    /// Failures of a rule.
    pub fn rule_errors(&self, rule: &str, count: u64) {
        self.bounded(&self.0.all.rule_errors, label("rule", rule)).inc_by(count);
    }

    /// Whether a rule is parked.
    pub fn rule_parked(&self, rule: &str, parked: bool) {
        self.bounded(&self.0.all.rule_parked, label("rule", rule)).set(i64::from(parked));
    }

    /// A rule was parked.
    pub fn rule_parks(&self, rule: &str, reason: &'static str) {
        let labels = vec![("rule", Arc::from(rule)), ("reason", Arc::from(reason))];
        self.bounded(&self.0.all.rule_parks, labels).inc();
    }

    /// Rows that a rule did not judge because it is parked.
    pub fn rule_rows_unjudged(&self, rule: &str, count: u64) {
        self.bounded(&self.0.all.rule_rows_unjudged, label("rule", rule)).inc_by(count);
    }

    /// How many rules of the active set are parked.
    pub fn rules_parked(&self, count: u64) {
        self.0.all.rules.get_or_create(&label("state", "parked")).set(signed(count));
    }

    /// Something was cut to its limit.
    pub fn cut(&self, what: Cut, count: u64) {
        self.0.all.cuts.get_or_create(&label("what", what.as_str())).inc_by(count);
    }

    /// The rule set that is active from now on.
    pub fn rule_set(&self, version: &str, active: u64, parked: u64) {
        let all = &self.0.all;
        all.rules.get_or_create(&label("state", "active")).set(signed(active));
        all.rules.get_or_create(&label("state", "parked")).set(signed(parked));
        all.rule_set_info.clear();
        all.rule_set_info.get_or_create(&label("version", version)).set(1);
    }

    /// Bytes of what its rules are looked up in.
    pub fn rule_index(&self, bytes: u64) {
        self.0.all.rule_index.set(signed(bytes));
    }

    /// When the active rule set was read.
    pub fn rule_set_loaded(&self, at: TimeMicros) {
        self.0.all.rule_set_loaded.set(at.div_euclid(1_000_000));
    }

    /// The files of the pipeline were looked into.
    pub fn reload(&self, outcome: Reload) {
        self.0.all.reloads.get_or_create(&label("outcome", outcome.as_str())).inc();
        self.0.all.reload_refused.set(i64::from(outcome == Reload::Refused));
    }

    /// Records between the committed offset and the end of a partition.
    pub fn lag(&self, topic: &str, partition: i32, records: u64) {
        self.bounded(&self.0.all.lag, partition_labels(topic, partition)).set(signed(records));
    }

    /// Records that open transactions keep from readers.
    pub fn held_back(&self, topic: &str, partition: i32, records: u64) {
        self.bounded(&self.0.all.held_back, partition_labels(topic, partition)).set(signed(records));
    }

    /// A partition went to another lane: its lag is no longer ours to tell.
    pub fn partition_gone(&self, topic: &str, partition: i32) {
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        for gauge in [&self.0.all.lag, &self.0.all.held_back] {
            if gauge.remove(&partition_labels(topic, partition)) {
                *series = series.saturating_sub(1);
            }
        }
    }

    /// Something is wrong with a topic, or one of its partitions, that was not before.
    pub fn trouble(&self, kind: &'static str, topic: &str) {
        let labels = vec![("kind", Arc::from(kind)), ("topic", Arc::from(topic))];
        self.bounded(&self.0.all.troubles, labels).inc();
    }

    /// How many partitions of a lane are not read until somebody sees to them.
    pub fn held_partitions(&self, lane: u32, count: u64) {
        self.0.all.held_partitions.get_or_create(&label("lane", &lane.to_string())).set(signed(count));
    }

    /// Records that were deleted before they were read.
    pub fn lost(&self, topic: &str, partition: i32, records: u64) {
        self.bounded(&self.0.all.lost, partition_labels(topic, partition)).inc_by(records);
    }

    /// Partitions came or went.
    pub fn rebalance(&self, kind: Rebalance) {
        self.0.all.rebalances.get_or_create(&label("kind", kind.as_str())).inc();
    }

    /// How many partitions of a lane are paused now.
    pub fn paused_partitions(&self, lane: u32, count: u64) {
        self.0.all.paused_partitions.get_or_create(&label("lane", &lane.to_string())).set(signed(count));
    }

    /// Partitions of a lane whose next batch cannot be read.
    pub fn blocked_partitions(&self, lane: u32, count: u64) {
        self.0.all.blocked_partitions.get_or_create(&label("lane", &lane.to_string())).set(signed(count));
    }

    /// A batch of a partition cannot be read.
    pub fn unreadable_batch(&self, topic: &str, partition: i32) {
        let labels = vec![("topic", Arc::from(topic)), ("partition", Arc::from(partition.to_string()))];
        self.bounded(&self.0.all.unreadable_batches, labels).inc();
    }

    /// Bytes of the values in a lane's open epoch.
    pub fn open_epoch_bytes(&self, lane: u32, bytes: u64) {
        self.0.all.open_epoch.get_or_create(&label("lane", &lane.to_string())).set(signed(bytes));
    }

    /// An epoch ended, this long after its first record.
    pub fn epoch(&self, outcome: Outcome, took: Duration) {
        self.0.all.epochs.get_or_create(&label("outcome", outcome.as_str())).inc();
        self.0.all.epoch_duration.observe(took.as_secs_f64());
    }

    /// A commit took this long, whatever came of it.
    pub fn commit(&self, took: Duration) {
        self.0.all.commit_duration.observe(took.as_secs_f64());
    }

    /// Requests of a transaction that were sent again.
    pub fn transactions_retried(&self, count: u64) {
        self.0.all.transactions_retried.inc_by(count);
    }

    /// A producer was replaced.
    pub fn producer_replaced(&self) {
        self.0.all.producers_replaced.inc();
    }

    /// Everything, in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        if let Some(bytes) = memory::resident_bytes() {
            self.0.all.resident_memory.set(signed(bytes));
        }
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        text
    }

    fn source(&self, source: usize) -> Option<&Source> {
        debug_assert!(source < self.1.sources.len(), "source {source} was not named");
        self.1.sources.get(source)
    }

    /// Makes a series before anything is counted, while that leaves room for those that nobody foresees.
    fn foresee(&self, family: &Family<Labels, Counter>, labels: Labels) {
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        if *series < self.0.series_max / FORESEEN_SHARE && family.get(&labels).is_none() {
            *series += 1;
            family.get_or_create_owned(&labels);
        }
    }

    /// The series with these labels, or the one for all others once the bound is reached.
    fn bounded<M: Clone, C: MetricConstructor<M>>(&self, family: &Family<Labels, M, C>, labels: Labels) -> M {
        if let Some(metric) = family.get(&labels) {
            return metric.clone();
        }
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have made it since.
        if family.get(&labels).is_none() {
            if *series >= self.0.series_max {
                drop(series);
                self.0.all.series_overflow.inc();
                let other = labels.into_iter().map(|(name, _)| (name, Arc::from(OTHER))).collect();
                return family.get_or_create_owned(&other);
            }
            *series += 1;
        }
        family.get_or_create_owned(&labels)
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }
}

impl Cut {
    fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reject => "reject",
            Self::Raw => "raw",
        }
    }
}

impl Rebalance {
    fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}

fn reject_labels(source: &Source, code: &str) -> Labels {
    vec![("source", Arc::clone(&source.id)), ("code", Arc::from(code))]
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, Arc::from(value))]
}

fn partition_labels(topic: &str, partition: i32) -> Labels {
    vec![("topic", Arc::from(topic)), ("partition", Arc::from(partition.to_string()))]
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
