//! What a lane does → metrics, health and the log.
//!
//! Owns the translation of [`LaneEvents`] into counters, states and lines; decides nothing. One for each lane,
//! made by `cli::run`.

mod blocked;
mod oddities;
mod outage;
mod parked;
mod rules;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::blocked::Blocked;
use self::oddities::Oddities;
use self::outage::{AGAIN_AFTER, Outage, is_connection};
use self::parked::Parked;
use self::rules::ParkedRules;
use super::cycle::Exit;
use super::engine::{Compiled, Tally};
use super::lane::{FindingNote, FloodNote, LaneEvents, Over, ParkNote};
use super::slot::Generation;
use crate::config::Config;
use crate::decode::RejectCode;
use crate::detect::{flood, parked as rule_parked};
use crate::observe::health::{
    Clock, Health, HealthSettings, LaneState, LaneStatus, PartitionStatus as Shown, RuleSetStatus,
};
use crate::observe::metrics::{Cut, Metrics, Outcome, Rebalance};
use crate::record::wall_clock;
use crate::sink::{Ended, EpochEnd, Refusal};
use crate::source::PartitionStatus;
use crate::source::troubles::TroubleNote;

/// How often positions are copied out for `/status`.
const STATUS_EVERY: Duration = Duration::from_millis(250);
/// Partitions that a line of the log names.
const LISTED_MAX: usize = 8;
/// A lane blocks longest in a rewind or an assignment that the broker does not answer: tries times 30 s.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(180);

/// The process's metrics and health, shared by its lanes and the HTTP endpoint.
#[derive(Clone)]
pub struct Observed {
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Ready, live, status.
    pub health: Arc<Health>,
}

impl Observed {
    /// Registers everything for what runs first and this process's name among those that run it.
    pub fn new(config: &Config, first: &Generation, instance: &str) -> Self {
        let pipeline = &first.compiled.pipeline;
        let (sources, tables) = names(&first.compiled);
        let clock: Clock = Arc::new(wall_clock);
        let metrics = Metrics::new(&sources, &tables, config.limits.metric_series_max, clock());
        let settings = HealthSettings {
            pipeline: pipeline.name.clone(),
            instance: instance.to_owned(),
            lanes: config.lanes.resolved(),
            heartbeat_age_max: HEARTBEAT_AGE_MAX,
            errors_max: config.limits.status_errors_max,
        };
        let health = Health::new(settings, clock);
        let observed = Self { metrics, health };
        observed.runs(first);
        foresee(&observed.metrics, &first.compiled);
        observed
    }

    /// A rule set will be offered: makes its series, so that no lane has to when it takes it.
    pub(super) fn foresees(&self, compiled: &Compiled) {
        let (sources, tables) = names(compiled);
        foresee(&self.metrics.renamed(&sources, &tables), compiled);
    }

    /// A rule set is active from now on.
    fn runs(&self, generation: &Generation) {
        let rules = &generation.compiled.rules;
        let active = rules.rules().iter().filter(|rule| rule.enabled).count() as u64;
        let version = rules.version().to_owned();
        let newer = self.health.rule_set(RuleSetStatus {
            generation: generation.number,
            version: version.clone(),
            content: generation.content.to_string(),
            loaded_ms: generation.loaded.div_euclid(1_000),
            rules: active,
            parked: Vec::new(),
        });
        if newer {
            self.metrics.rule_set(&version, active, 0);
            self.metrics.rule_set_loaded(generation.loaded);
            self.metrics.rule_index(generation.compiled.index_bytes() as u64);
        }
    }
}

/// The names of sources and tables, in the order of their indexes.
fn names(compiled: &Compiled) -> (Vec<&str>, Vec<&str>) {
    let tables = compiled.projection.tables().iter();
    (
        compiled.pipeline.sources.iter().map(|source| &*source.id).collect(),
        tables.map(|projected| projected.table.name.as_str()).collect(),
    )
}

/// Counts under the names of this generation.
fn renamed(observed: Observed, generation: &Generation) -> Observed {
    let (sources, tables) = names(&generation.compiled);
    Observed { metrics: observed.metrics.renamed(&sources, &tables), ..observed }
}

/// Partitions for people, not more than a line has room for.
fn listed(partitions: &[(Arc<str>, i32)]) -> String {
    let named = partitions.iter().take(LISTED_MAX).map(|(topic, partition)| format!("{topic}/{partition}"));
    let mut listed = named.collect::<Vec<_>>().join(", ");
    if partitions.len() > LISTED_MAX {
        let _ = write!(listed, " and {} more", partitions.len() - LISTED_MAX);
    }
    listed
}

/// Makes the series that rates are taken of, at 0: rejects, alerts and errors of rules.
fn foresee(metrics: &Metrics, compiled: &Compiled) {
    metrics.foresee_rejects(RejectCode::ALL.iter().map(|code| code.as_str()));
    let pipeline = &compiled.pipeline;
    for rule in compiled.rules.rules().iter().filter(|rule| rule.enabled) {
        let sources = pipeline.sources.iter().enumerate();
        let feeding = sources.filter(|(_, source)| rule.table.is_fed_by(source.format.name()));
        let feeding = feeding.map(|(at, _)| (at, pipeline.organisation_of(at).id.as_str()));
        metrics.foresee_rule(&rule.meta.id, feeding);
    }
}

/// Watches one lane.
pub struct Watch {
    lane: u32,
    observed: Observed,
    compiled: Arc<Compiled>,
    generation: u64,
    state: LaneState,
    epochs: u64,
    paused: bool,
    shown_at: Option<Instant>,
    /// Partitions whose lag is exported.
    owned: BTreeSet<(String, i32)>,
    /// Of these, those that had records held back when they were last shown.
    held_back: BTreeSet<(String, i32)>,
    /// What is wrong with topics and partitions.
    troubles: Vec<TroubleNote>,
    /// What has been told of events that are read otherwise than meant.
    oddities: Oddities,
    /// Sources that were told to be in flood.
    flooded: BTreeSet<usize>,
    /// Organisations that are parked.
    parked: Parked,
    /// Rules that are parked.
    parked_rules: ParkedRules,
    /// The last trouble that was told, and when.
    trouble: Option<(String, Instant)>,
    /// Whether and since when no broker answers.
    outage: Outage,
    /// Partitions whose next batch cannot be read.
    blocked: Blocked,
}

impl Watch {
    /// A watcher for a lane that begins with this generation.
    pub fn new(lane: u32, observed: Observed, first: &Generation) -> Self {
        Self {
            lane,
            observed: renamed(observed, first),
            compiled: Arc::clone(&first.compiled),
            generation: first.number,
            state: LaneState::Joining,
            epochs: 0,
            paused: false,
            shown_at: None,
            owned: BTreeSet::new(),
            held_back: BTreeSet::new(),
            troubles: Vec::new(),
            oddities: Oddities::default(),
            flooded: BTreeSet::new(),
            parked: Parked::default(),
            parked_rules: ParkedRules::default(),
            trouble: None,
            outage: Outage::default(),
            blocked: Blocked::default(),
        }
    }

    /// A broker has answered; says so when there was trouble before.
    fn answered(&mut self) {
        self.observed.health.broker_answers();
        if let Some(took) = self.outage.answered(Instant::now()) {
            tracing::info!(lane = self.lane, "Kafka answers again after {} s.", took.as_secs());
        }
    }

    fn count(&self, tally: &Tally) {
        let metrics = &self.observed.metrics;
        let pipeline = &self.compiled.pipeline;
        for (at, source) in tally.sources.iter().enumerate() {
            if source.records == 0 {
                continue;
            }
            metrics.records(at, source.records, source.bytes);
            metrics.events(at, source.events);
            metrics.tombstones(at, source.tombstones);
            metrics.unmatched_events(at, source.events_without_table);
            metrics.conversion_failures(at, source.values_unfit);
            metrics.time_fallbacks(at, source.times_missing);
            for (code, count) in &source.rejects {
                metrics.rejects(at, code.as_str(), *count);
            }
        }
        for (at, rows) in tally.rows.iter().enumerate() {
            metrics.rows(at, *rows);
        }
        metrics.match_memory(self.lane, tally.match_memory_bytes as u64, tally.match_memory_forgotten);
        let rules = self.compiled.rules.rules();
        for ((rule, source), count) in &tally.alerts {
            let organisation = pipeline.organisation_of(*source).id.as_str();
            metrics.alerts(&rules[*rule].meta.id, Some(*source), organisation, *count);
        }
        for (source, count) in &tally.floods {
            let organisation = pipeline.organisation_of(*source).id.as_str();
            metrics.alerts(flood::RULE_ID, Some(*source), organisation, *count);
        }
        for (source, count) in &tally.parked_told {
            let organisation = pipeline.organisation_of(*source).id.as_str();
            metrics.alerts(rule_parked::RULE_ID, Some(*source), organisation, *count);
        }
        for (rule, count) in &tally.rows_unjudged {
            metrics.rule_rows_unjudged(&rules[*rule].meta.id, *count);
        }
        metrics.cut(Cut::Alert, tally.alerts_cut);
        metrics.cut(Cut::Raw, tally.alerts_raw_cut);
        metrics.cut(Cut::Reject, tally.rejects_cut);
        for (rule, (count, why)) in &tally.rule_failures {
            let id = &rules[*rule].meta.id;
            metrics.rule_errors(id, *count);
            self.observed
                .health
                .error("rule_failed", &format!("the rule {id} could not judge {count} rows: {why}"));
        }
    }

    fn show(&mut self, partitions: Vec<PartitionStatus>, open_bytes: u64) {
        self.blocked.tell(self.lane, &self.observed, &partitions);
        self.parked_rules.tell(self.lane, &self.observed, &self.compiled, self.generation);
        let metrics = &self.observed.metrics;
        let held = partitions.iter().filter(|partition| partition.held).count() as u64;
        let shown: Vec<Shown> = partitions
            .into_iter()
            .map(|partition| Shown {
                trouble: troubles::of(&self.troubles, &partition),
                topic: partition.topic.to_string(),
                partition: partition.partition,
                next_offset: partition.next,
                committed_offset: partition.committed,
                last_stable_offset: partition.end,
                high_watermark: partition.end.map(|end| end.saturating_add_unsigned(partition.held_back)),
                held_back: partition.held_back,
                lag: partition.lag,
                paused: self.paused
                    || partition.held
                    || self.parked.holds(&self.compiled.pipeline, &partition.topic),
                blocked: partition.blocked.map(|why| why.to_string()),
            })
            .collect();
        let owned: BTreeSet<(String, i32)> =
            shown.iter().map(|partition| (partition.topic.clone(), partition.partition)).collect();
        for (topic, partition) in self.owned.difference(&owned) {
            metrics.partition_gone(topic, *partition);
        }
        for partition in &shown {
            if let Some(lag) = partition.lag {
                metrics.lag(&partition.topic, partition.partition, lag);
            }
        }
        for partition in &shown {
            let key = (partition.topic.clone(), partition.partition);
            // Most partitions never hold anything back, and have no series for it.
            if partition.held_back > 0 || self.held_back.contains(&key) {
                metrics.held_back(&partition.topic, partition.partition, partition.held_back);
                self.held_back.insert(key);
            }
        }
        self.held_back.retain(|key| owned.contains(key));
        self.owned = owned;
        metrics.held_partitions(self.lane, held);
        metrics.open_epoch_bytes(self.lane, open_bytes);
        let paused = shown.iter().filter(|partition| partition.paused).count();
        metrics.paused_partitions(self.lane, paused as u64);
        let status = LaneStatus {
            state: self.state,
            epochs: self.epochs,
            generation: self.generation,
            partitions: shown,
        };
        self.observed.health.update_lane(self.lane, status);
    }

    fn turn_to(&mut self, state: LaneState) {
        self.state = state;
        self.shown_at = None;
        self.observed.health.lane_state(self.lane, state);
    }
}

impl LaneEvents for Watch {
    fn beat(&mut self, partitions: &dyn Fn() -> Vec<PartitionStatus>, open_bytes: u64) {
        self.observed.health.heartbeat(self.lane);
        if self.shown_at.is_none_or(|at| at.elapsed() >= STATUS_EVERY) {
            self.shown_at = Some(Instant::now());
            self.show(partitions(), open_bytes);
        }
    }

    fn ended(&mut self, ended: &Ended, tally: &Tally, _findings: &[FindingNote], age: Duration) {
        let metrics = &self.observed.metrics;
        metrics.commit(ended.took);
        metrics.transactions_retried(u64::from(ended.retries));
        if ended.replaced {
            metrics.producer_replaced();
        }
        match &ended.end {
            EpochEnd::Committed => {
                metrics.epoch(Outcome::Committed, age);
                self.epochs += 1;
                self.count(tally);
                self.oddities.tell(self.lane, &self.observed, &self.compiled.pipeline, tally);
                self.answered();
            }
            EpochEnd::Rewound(why)
            | EpochEnd::Unknown(why)
            | EpochEnd::Fenced(why)
            | EpochEnd::Failed(why)
            | EpochEnd::Refused(Refusal { why, .. }) => {
                let unknown = matches!(ended.end, EpochEnd::Unknown(_));
                let outcome = if unknown { Outcome::Unknown } else { Outcome::Aborted };
                metrics.epoch(outcome, age);
                self.observed.health.error("epoch_aborted", why);
                tracing::warn!(
                    lane = self.lane,
                    epoch = ended.number,
                    why,
                    "An epoch was not committed; its records are read again."
                );
            }
        }
    }

    fn discarded(&mut self, records: u64) {
        tracing::info!(lane = self.lane, records, "Open work is discarded; its records are read again.");
    }

    fn rebalanced(&mut self, kind: &'static str, moved: &[(Arc<str>, i32)]) {
        let counted = match kind {
            "assigned" => Rebalance::Assigned,
            "revoked" => Rebalance::Revoked,
            _ => Rebalance::Lost,
        };
        self.observed.metrics.rebalance(counted);
        tracing::info!(
            lane = self.lane,
            kind,
            count = moved.len(),
            partitions = listed(moved),
            "The group moved partitions."
        );
        if self.state == LaneState::Joining {
            self.answered();
            self.turn_to(LaneState::Running);
        }
    }

    fn paused(&mut self, paused: bool) {
        self.paused = paused;
        self.shown_at = None;
        tracing::info!(lane = self.lane, paused, "Back-pressure: the source waits for the sink.");
    }

    fn answering(&mut self, answering: bool) {
        if answering {
            self.answered();
        } else {
            self.observed.health.broker_silent("no broker answers");
            if self.outage.silent(Instant::now()) {
                self.observed.health.error("kafka", "no broker answers");
                tracing::warn!(lane = self.lane, "No broker answers.");
            }
        }
    }

    fn trouble(&mut self, what: &str) {
        let told = if is_connection(what) {
            self.outage.reported(Instant::now())
        } else {
            let known = self.trouble.as_ref();
            let again = known.is_some_and(|(known, at)| known == what && at.elapsed() < AGAIN_AFTER);
            if !again {
                self.trouble = Some((what.to_owned(), Instant::now()));
            }
            !again
        };
        if told {
            self.observed.health.error("kafka", what);
            tracing::warn!(lane = self.lane, what, "Kafka reports trouble.");
        }
    }

    fn flooded(&mut self, flooded: &[FloodNote]) {
        let mut by_source: BTreeMap<usize, Vec<String>> =
            self.flooded.iter().map(|source| (*source, Vec::new())).collect();
        for note in flooded {
            by_source.entry(note.source).or_default().push(format!("{}/{}", note.topic, note.partition));
        }
        let mut reasons = Vec::new();
        for (source, partitions) in &by_source {
            self.observed.metrics.flooded_partitions(*source, self.lane, partitions.len() as u64);
            let id = &self.compiled.pipeline.sources[*source].id;
            let (lane, partitions) = (self.lane, partitions.join(", "));
            if partitions.is_empty() {
                tracing::info!(lane, source = &**id, "The flood of rejects is over.");
            } else {
                reasons.push(format!("most records of the source {id} are rejected, in {partitions}"));
                tracing::warn!(lane, source = &**id, partitions, "Most records of a source are rejected.");
            }
        }
        self.observed.health.floods(self.lane, &reasons);
        self.flooded = flooded.iter().map(|note| note.source).collect();
    }

    fn parked(&mut self, parked: &[ParkNote], over: Over) {
        self.parked.change(self.lane, &self.observed, &self.compiled.pipeline, parked, over);
        self.shown_at = None;
    }

    fn troubled(&mut self, troubles: &[TroubleNote]) {
        troubles::tell(&self.observed, self.lane, &self.troubles, troubles);
        self.troubles = troubles.to_vec();
        self.shown_at = None;
    }

    fn adopted(&mut self, generation: &Generation) {
        self.observed = renamed(self.observed.clone(), generation);
        self.observed.runs(generation);
        self.compiled = Arc::clone(&generation.compiled);
        self.generation = generation.number;
        self.oddities.clear();
        self.shown_at = None;
        tracing::debug!(lane = self.lane, generation = generation.number, "The lane runs a newer rule set.");
    }

    fn stopping(&mut self) {
        self.turn_to(LaneState::Draining);
    }

    fn left(&mut self, exit: &Exit) {
        match exit {
            Exit::Stopped | Exit::Deadline => self.turn_to(LaneState::Stopped),
            Exit::Fenced(why) | Exit::Failed(why) | Exit::Undeclared(why) | Exit::Contradicted(why) => {
                self.observed.health.error("lane_failed", why);
                tracing::error!(lane = self.lane, why, "A lane cannot go on.");
                self.turn_to(LaneState::Failed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
