//! What `noroshi scan` makes of a chunk: the lines of its alerts, and what happened to its records.
//!
//! Owns the engine of one worker, and how an alert is written. Who works on which chunk, and the order, is `workers`'.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use super::chunk::Chunk;
use super::workers::{Unheard, Work};
use super::{Output, parked, records, unlike};
use crate::cli::output::{MESSAGE_COLUMNS_MAX, Terminal};
use crate::decode::{Hint, Reject};
use crate::detect::profile::Profile;
use crate::pipeline::engine::{Compiled, Engine, EngineLimits, Finding, Pushed, SourceTally, Tally};
use crate::printable;
use crate::record::wall_clock;
use crate::source::{NoEnvelope, RecordRef};

/// Bytes of alerts that are made before they are shown.
const ALERTS_TOGETHER_BYTES: usize = 8 << 20;
/// Columns for a rule's title in a table.
const TITLE_COLUMNS: usize = 48;
/// Columns for one value in a table.
const VALUE_COLUMNS_MAX: usize = 80;
/// Rejects that are shown in the end; the others are counted.
const REJECTS_SHOWN_MAX: usize = 5;

/// Searches chunks.
pub struct Search {
    engine: Engine,
    source: usize,
    output: Output,
    /// Stands in for the time of events that have none.
    began_ms: i64,
}

impl Search {
    /// For the records of a pipeline's source.
    pub fn new(
        compiled: &Arc<Compiled>,
        limits: &EngineLimits,
        source: usize,
        output: Output,
        began_ms: i64,
    ) -> Self {
        Self { engine: Engine::new(Arc::clone(compiled), limits.clone()), source, output, began_ms }
    }

    /// The same; notes where its time goes when that is wanted.
    pub fn profiled(mut self, wanted: bool) -> Self {
        if wanted {
            self.engine.begin_profile();
        }
        self
    }

    fn search(
        &mut self,
        found: &mut Found,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<(), Unheard> {
        loop {
            let searched = self.engine.search(wall_clock(), ALERTS_TOGETHER_BYTES);
            for spoilt in &searched.spoilt {
                found.reject(&spoilt.topic, spoilt.offset, &spoilt.reject);
            }
            if !searched.findings.is_empty() {
                found.alerts += searched.findings.len() as u64;
                say(self.lines(&searched.findings))?;
            }
            if self.engine.is_drained() {
                return Ok(());
            }
        }
    }

    fn lines(&self, findings: &[Finding]) -> String {
        let mut lines = String::new();
        for finding in findings {
            let line = match self.output {
                // An alert's value is JSON that we have made.
                Output::Ocsf => printable::json(&String::from_utf8_lossy(&finding.alert.value)).to_string(),
                Output::Matches => printable::json(&matched(&self.engine, finding).to_string()).to_string(),
                Output::Table | Output::Rows => row(&self.engine, finding),
            };
            let _ = writeln!(lines, "{line}");
        }
        lines
    }
}

impl Work for Search {
    type Told = Found;

    fn work(
        &mut self,
        chunk: &Chunk,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<Found, Unheard> {
        let mut found = Found::default();
        for (file, offset, payload) in chunk.records() {
            let record = RecordRef {
                source: self.source,
                slot: 0,
                topic: file,
                partition: 0,
                offset,
                timestamp_ms: Some(self.began_ms),
                payload: Some(payload),
                envelope: &NoEnvelope,
            };
            match self.engine.push(&record) {
                Pushed::Rejected(reject) => found.reject(file, offset, &reject),
                Pushed::Events(0) => found.without_event += 1,
                Pushed::Events(_) | Pushed::Tombstone => {}
            }
            if self.engine.is_full() {
                self.search(&mut found, say)?;
            }
        }
        self.search(&mut found, say)?;
        found.take(self.engine.take_tally());
        found.profile = self.engine.take_profile().unwrap_or_default();
        Ok(found)
    }
}

/// What was found, of a chunk or of all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    records: u64,
    /// Records that are an empty list.
    without_event: u64,
    events: u64,
    events_without_table: u64,
    times_missing: u64,
    unlike: BTreeMap<Hint, u64>,
    alerts: u64,
    /// The first, as they are shown.
    rejects: Vec<String>,
    rejected: u64,
    /// Rows that a rule could not judge, by rule, with the last reason.
    failures: BTreeMap<usize, (u64, String)>,
    /// Rows that were not shown to a rule because it is parked.
    unjudged: BTreeMap<usize, u64>,
    /// Where the engines' time went, when somebody wants to know.
    profile: Profile,
}

impl Found {
    fn reject(&mut self, file: &str, offset: i64, reject: &Reject) {
        self.rejected += 1;
        if self.rejects.len() < REJECTS_SHOWN_MAX {
            self.rejects.push(format!("{file}: record {offset}: {reject}"));
        }
    }

    fn take(&mut self, tally: Tally) {
        let sum = |pick: fn(&SourceTally) -> u64| tally.sources.iter().map(pick).sum::<u64>();
        self.records = sum(|source| source.records);
        self.events = sum(|source| source.events);
        self.events_without_table = sum(|source| source.events_without_table);
        self.times_missing = sum(|source| source.times_missing);
        for (hint, unlike) in tally.sources.iter().flat_map(|source| &source.unlike) {
            *self.unlike.entry(*hint).or_default() += unlike.count;
        }
        self.failures = tally.rule_failures;
        self.unjudged = tally.rows_unjudged;
    }

    /// Adds what was found in the chunk that follows.
    pub fn add(&mut self, next: Self) {
        self.records += next.records;
        self.without_event += next.without_event;
        self.events += next.events;
        self.events_without_table += next.events_without_table;
        self.times_missing += next.times_missing;
        for (hint, count) in next.unlike {
            *self.unlike.entry(hint).or_default() += count;
        }
        self.alerts += next.alerts;
        let room = REJECTS_SHOWN_MAX.saturating_sub(self.rejects.len());
        self.rejects.extend(next.rejects.into_iter().take(room));
        self.rejected += next.rejected;
        self.profile.add(&next.profile);
        for (rule, (rows, why)) in next.failures {
            let failures = self.failures.entry(rule).or_default();
            failures.0 += rows;
            failures.1 = why;
        }
        for (rule, rows) in next.unjudged {
            *self.unjudged.entry(rule).or_default() += rows;
        }
    }

    /// Says how much there was, and what else somebody should know.
    pub fn report(&self, terminal: &Terminal, compiled: &Compiled, began: Instant) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{}, {:.1} s", self.counts(), began.elapsed().as_secs_f64());
        for line in self.remarks(compiled) {
            let _ = writeln!(err, "{line}");
        }
        let unfed = crate::pipeline::load::unfed(&compiled.pipeline, compiled.rules.rules());
        if !unfed.is_empty() && terminal.live {
            let _ = writeln!(err, "{} rules read tables that this source does not feed", unfed.len());
        }
    }

    /// Where the engines' time went.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How much there was.
    pub fn counts(&self) -> String {
        format!(
            "{}, {} events ({} in no table that a rule reads), {} rejected, {} alerts",
            records(self.records, self.without_event),
            self.events,
            self.events_without_table,
            self.rejected,
            self.alerts
        )
    }

    fn remarks(&self, compiled: &Compiled) -> Vec<String> {
        let mut lines = Vec::new();
        if self.times_missing > 0 {
            let missing = self.times_missing;
            lines.push(format!("{missing} events without a readable time: they have the time of this scan"));
        }
        lines.extend(self.unlike.iter().map(|(hint, count)| unlike(*count, hint)));
        let reject = |reject: &String| format!("rejected: {}", printable::line(reject, MESSAGE_COLUMNS_MAX));
        lines.extend(self.rejects.iter().map(reject));
        if self.rejected > self.rejects.len() as u64 {
            lines.push(format!("… and {} more", self.rejected - self.rejects.len() as u64));
        }
        for (rule, (rows, why)) in &self.failures {
            let Some(rule) = compiled.rules.rules().get(*rule) else { continue };
            let why = printable::line(why, MESSAGE_COLUMNS_MAX);
            lines.push(format!("the rule {} could not judge {rows} rows: {why}", rule.meta.id));
        }
        let parked = parked(compiled, &self.unjudged);
        lines.extend(parked.iter().map(|told| printable::line(told, MESSAGE_COLUMNS_MAX)));
        lines
    }
}

/// One JSON object for an alert.
fn matched(engine: &Engine, finding: &Finding) -> serde_json::Value {
    let compiled = engine.compiled();
    let rule = &compiled.rules.rules()[finding.rule];
    serde_json::json!({
        "rule_id": rule.meta.id,
        "rule_version": rule.version,
        "level": rule.meta.level.as_str(),
        "org_id": compiled.pipeline.organisation_of(finding.source).id.as_str(),
        "source": &*compiled.pipeline.sources[finding.source].id,
        "file": &*finding.position.topic,
        "record": finding.position.offset,
        "index": finding.position.index,
        "alert_id": finding.alert.id.to_string(),
        "output": finding.output,
    })
}

fn row(engine: &Engine, finding: &Finding) -> String {
    let rule = &engine.compiled().rules.rules()[finding.rule];
    let shown: Vec<String> = finding
        .output
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!(
                "{}={}",
                printable::line(name, VALUE_COLUMNS_MAX),
                printable::line(&text, VALUE_COLUMNS_MAX)
            )
        })
        .collect();
    format!(
        "{:<13} {:>8}  {} {}",
        rule.meta.level.as_str(),
        finding.position.offset,
        printable::fit(&rule.meta.title, TITLE_COLUMNS),
        shown.join(" ")
    )
}

#[cfg(test)]
#[path = "search/tests.rs"]
mod tests;
