//! What happened to records and alerts, counted until somebody takes it.
//!
//! Owns the counts; the parent adds to them, `pipeline::watch` makes metrics of them when the epoch is committed, and
//! `cli` its last lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Finding;
use crate::decode::{Hint, RejectCode};
use crate::source::RecordRef;

/// Topic, partition and offset of a record.
pub type Place = (Arc<str>, i32, i64);

/// Events that do not look like their source's format, in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// How many.
    pub count: u64,
    /// The record that the first of them stood in.
    pub first: Place,
}

/// What happened to records, by source; added up until it is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTally {
    /// Records read.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Events decoded.
    pub events: u64,
    /// Events that are a row of no table that a rule reads.
    pub events_without_table: u64,
    /// Those among them that do not look like the source's format.
    pub unlike: BTreeMap<Hint, Unlike>,
    /// Records with a null value.
    pub tombstones: u64,
    /// Values that did not fit their column.
    pub values_unfit: u64,
    /// Events without a time of their own: they took the record's.
    pub times_missing: u64,
    /// Where the first of those stood.
    pub timeless_at: Option<Place>,
    /// Records rejected, by code.
    pub rejects: BTreeMap<RejectCode, u64>,
}

/// What happened since the tally was last taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By source index.
    pub sources: Vec<SourceTally>,
    /// Rows by table, in the projection's order.
    pub rows: Vec<u64>,
    /// Alerts by (rule, source).
    pub alerts: BTreeMap<(usize, usize), u64>,
    /// Alerts whose original record was cut.
    pub alerts_raw_cut: u64,
    /// Alerts of which anything else was cut.
    pub alerts_cut: u64,
    /// Alerts about floods of rejects, by source.
    pub floods: BTreeMap<usize, u64>,
    /// Rejects whose value was cut; the engine makes none, so whoever does counts them here.
    pub rejects_cut: u64,
    /// Bytes that are known of values that rules have looked at.
    pub match_memory_bytes: usize,
    /// How often some of that was forgotten because it was full.
    pub match_memory_forgotten: u64,
    /// Rows that a rule could not judge, by rule, with the last reason.
    pub rule_failures: BTreeMap<usize, (u64, String)>,
    /// Rows that a rule did not judge, or not alert on, because it is parked, by rule.
    pub rows_unjudged: BTreeMap<usize, u64>,
    /// Alerts about rules that are parked, by source.
    pub parked_told: BTreeMap<usize, u64>,
}

impl Tally {
    /// Counts an alert.
    pub(super) fn note(&mut self, finding: &Finding) {
        *self.alerts.entry((finding.rule, finding.source)).or_default() += 1;
        self.alerts_raw_cut += u64::from(finding.alert.raw_cut);
        self.alerts_cut += u64::from(finding.alert.cut);
    }

    /// An alert that was counted is not published.
    pub(super) fn withdraw(&mut self, finding: &Finding) {
        let key = (finding.rule, finding.source);
        if let Some(count) = self.alerts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.alerts.remove(&key);
            }
        }
        self.alerts_raw_cut -= u64::from(finding.alert.raw_cut);
        self.alerts_cut -= u64::from(finding.alert.cut);
    }
}

/// What one record made, counted once it is known to be whole.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) events: u64,
    pub(super) events_without_table: u64,
    pub(super) unlike_format: BTreeMap<Hint, u64>,
    pub(super) values_unfit: u64,
    pub(super) times_missing: u64,
    pub(super) any_rows: bool,
}

impl Made {
    pub(super) fn count(&self, tally: &mut SourceTally, record: &RecordRef<'_>) {
        let place = || (Arc::clone(record.topic), record.partition, record.offset);
        tally.events += self.events;
        tally.events_without_table += self.events_without_table;
        tally.values_unfit += self.values_unfit;
        tally.times_missing += self.times_missing;
        if self.times_missing > 0 {
            tally.timeless_at.get_or_insert_with(place);
        }
        for (hint, count) in &self.unlike_format {
            tally.unlike.entry(*hint).or_insert_with(|| Unlike { count: 0, first: place() }).count += count;
        }
    }
}
