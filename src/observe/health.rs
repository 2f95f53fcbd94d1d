//! The state of the process as the outside may see it: ready, live, status.
//!
//! Owns the state and its judgement; it never blocks a lane for longer than a copy takes. Lanes and the process
//! write it, `api` serves it. Nothing here comes from the configuration's secrets or from events.

mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::printable;
use crate::record::TimeMicros;

/// Columns of an error's message that are kept.
const MESSAGE_COLUMNS_MAX: usize = 500;
/// No heartbeat was seen yet.
const NEVER: i64 = i64::MIN;

/// Tells the time, in microseconds since 1970.
pub type Clock = Arc<dyn Fn() -> TimeMicros + Send + Sync>;

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// The pipeline's name.
    pub pipeline: String,
    /// Name of this process among those that run the pipeline.
    pub instance: String,
    /// How many lanes there are.
    pub lanes: u32,
    /// A lane whose last heartbeat is older is not live. Longer than the longest blocking call of a lane.
    pub heartbeat_age_max: Duration,
    /// Errors that are remembered.
    pub errors_max: u32,
}

/// Where a lane is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LaneState {
    /// Its thread begins.
    #[default]
    Starting,
    /// It waits for the group to give it partitions.
    Joining,
    /// It is a member of the group, with or without partitions.
    Running,
    /// It finishes its epoch before it leaves.
    Draining,
    /// It has left in order.
    Stopped,
    /// It cannot go on; the process must be restarted.
    Failed,
}

/// One partition of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset that is read next.
    pub next_offset: i64,
    /// The offset from which another lane would go on; absent before the first commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_offset: Option<i64>,
    /// The end of the partition, as far as a reader of committed records sees it; absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stable_offset: Option<i64>,
    /// The end of the partition for all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_watermark: Option<i64>,
    /// Records between the two, kept from readers by a transaction that is open.
    pub held_back: u64,
    /// Records between what is committed (or read, before the first commit) and the last stable offset; absent until that
    /// is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Whether it is not read at the moment.
    pub paused: bool,
    /// What is wrong with it, or with its topic: the kind, as in `troubles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<&'static str>,
    /// Why what comes next cannot be read; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// What a lane tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// Where it is in its life.
    pub state: LaneState,
    /// Epochs committed since the start.
    pub epochs: u64,
    /// The generation of the rule set that it runs.
    pub generation: u64,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
}

/// The active rule set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSetStatus {
    /// Counted from 1 in each process; a reload makes the next one.
    pub generation: u64,
    /// Its version: of the ids and versions of its rules.
    pub version: String,
    /// The fingerprint of all files that it was read from, tables and pipeline among them.
    pub content: String,
    /// When it was read, in milliseconds since 1970.
    pub loaded_ms: i64,
    /// Rules in it.
    pub rules: u64,
    /// Those of them that are parked.
    pub parked: Vec<ParkedRuleStatus>,
}

/// A rule that is parked: it is not evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedRuleStatus {
    /// Its id.
    pub rule: String,
    /// Its version.
    pub version: String,
    /// The table that it reads.
    pub table: String,
    /// `errors`, `panics`, `time`, `memory` or `rows`.
    pub reason: &'static str,
    /// The same in numbers: one printable line.
    pub why: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The last time that changed files were looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadStatus {
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
    /// `loaded`, `refused`, or `unchanged`: the files are those that run.
    pub outcome: &'static str,
    /// The fingerprint of the files.
    pub content: String,
    /// How many problems they have.
    pub problems_total: u64,
    /// The first of them, as `noroshi check --format json` shows them.
    pub problems: Vec<serde_json::Value>,
}

/// An organisation that is parked by a lane: its sources are not read. One that is tried again is not parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedStatus {
    /// Its id.
    pub organisation: String,
    /// The topic that may not be written to.
    pub topic: String,
    /// Why, and what to do: one printable line.
    pub why: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it is tried again, in milliseconds since 1970.
    pub retry_at_ms: i64,
}

/// Something that is wrong with a topic or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TroubleStatus {
    /// A stable name of what it is.
    pub kind: &'static str,
    /// Topic.
    pub topic: String,
    /// Partition; absent for the whole topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// What is wrong: one printable line.
    pub message: String,
}

impl TroubleStatus {
    /// The same trouble, whatever its numbers are by now.
    fn is(&self, other: &Self) -> bool {
        (self.kind, &self.topic, self.partition) == (other.kind, &other.topic, other.partition)
    }
}

/// An error that was remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorStatus {
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
    /// A stable code.
    pub code: String,
    /// What happened: one printable line.
    pub message: String,
}

/// The state; shared by `Arc`.
pub struct Health {
    settings: HealthSettings,
    clock: Clock,
    started: TimeMicros,
    heartbeats: Vec<AtomicI64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: Vec<LaneStatus>,
    rule_set: Option<RuleSetStatus>,
    reload: Option<ReloadStatus>,
    /// Why the broker does not answer; `None` once it does.
    broker: Option<String>,
    errors: VecDeque<ErrorStatus>,
    errors_total: u64,
    /// By lane: why sources are in flood.
    floods: BTreeMap<u32, Vec<String>>,
    /// By lane: the organisations that are parked.
    parked: BTreeMap<u32, Vec<ParkedStatus>>,
    /// How many organisations are read when none is parked.
    organisations: usize,
    /// By lane.
    troubles: BTreeMap<u32, Vec<TroubleStatus>>,
}

impl State {
    /// Each trouble once: all lanes see what is wrong with a whole topic.
    fn troubles(&self) -> Vec<&TroubleStatus> {
        let mut all: Vec<&TroubleStatus> = Vec::new();
        for trouble in self.troubles.values().flatten() {
            if !all.iter().any(|known| known.is(trouble)) {
                all.push(trouble);
            }
        }
        all
    }
}

impl Health {
    /// The state of a process that has just begun: alive, and not ready.
    pub fn new(settings: HealthSettings, clock: Clock) -> Arc<Self> {
        let started = clock();
        let lanes = settings.lanes as usize;
        let state = State {
            lanes: vec![LaneStatus::default(); lanes],
            broker: Some("no broker has answered yet".into()),
            ..State::default()
        };
        let heartbeats = (0..lanes).map(|_| AtomicI64::new(NEVER)).collect();
        Arc::new(Self { settings, clock, started, heartbeats, state: Mutex::new(state) })
    }

    /// A lane's thread is still turning. One atomic store: call it in each turn of the loop.
    pub fn heartbeat(&self, lane: u32) {
        if let Some(heartbeat) = self.heartbeats.get(lane as usize) {
            heartbeat.store((self.clock)(), Ordering::Relaxed);
        }
    }

    /// Replaces what is known of a lane; also a heartbeat.
    pub fn update_lane(&self, lane: u32, status: LaneStatus) {
        self.heartbeat(lane);
        if let Some(known) = self.state().lanes.get_mut(lane as usize) {
            *known = status;
        }
    }

    /// Changes only where a lane is in its life; also a heartbeat.
    pub fn lane_state(&self, lane: u32, state: LaneState) {
        self.heartbeat(lane);
        if let Some(known) = self.state().lanes.get_mut(lane as usize) {
            known.state = state;
        }
    }

    /// The broker answers.
    pub fn broker_answers(&self) {
        self.state().broker = None;
    }

    /// The broker does not answer (any more).
    pub fn broker_silent(&self, reason: &str) {
        self.state().broker = Some(printable::line(reason, MESSAGE_COLUMNS_MAX));
    }

    /// The rule set that is active from now on. False when a newer one is already: lanes change one after the other.
    pub fn rule_set(&self, status: RuleSetStatus) -> bool {
        let mut state = self.state();
        let newer = state.rule_set.as_ref().is_none_or(|known| known.generation < status.generation);
        if newer {
            state.rule_set = Some(status);
        }
        newer
    }

    /// The rules of a generation that are parked; it replaces what was said before, unless a newer one is active.
    pub fn rules_parked(&self, generation: u64, mut parked: Vec<ParkedRuleStatus>) {
        for status in &mut parked {
            status.why = printable::line(&status.why, MESSAGE_COLUMNS_MAX);
        }
        if let Some(known) = self.state().rule_set.as_mut().filter(|known| known.generation == generation) {
            known.parked = parked;
        }
    }

    /// What came of the last look into changed files.
    pub fn reload(&self, mut status: ReloadStatus) {
        for text in status.problems.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            for value in text.values_mut().filter(|value| value.is_string()) {
                *value = printable::line(value.as_str().unwrap_or_default(), MESSAGE_COLUMNS_MAX).into();
            }
        }
        self.state().reload = Some(status);
    }

    /// The sources of a lane in which rejects flood, each with where; it replaces what was said before.
    pub fn floods(&self, lane: u32, floods: &[String]) {
        let floods = floods.iter().map(|what| printable::line(what, MESSAGE_COLUMNS_MAX)).collect();
        self.state().floods.insert(lane, floods);
    }

    /// The organisations that a lane has parked, of so many that are read; it replaces what was said before.
    pub fn parked(&self, lane: u32, mut parked: Vec<ParkedStatus>, organisations: usize) {
        for status in &mut parked {
            status.why = printable::line(&status.why, MESSAGE_COLUMNS_MAX);
        }
        let mut state = self.state();
        state.parked.insert(lane, parked);
        state.organisations = organisations;
    }

    /// What is wrong with topics and partitions, as a lane sees it; it replaces what the lane said before. The answer is
    /// what no lane had said, and what none says any more.
    pub fn troubles(
        &self,
        lane: u32,
        mut troubles: Vec<TroubleStatus>,
    ) -> (Vec<TroubleStatus>, Vec<TroubleStatus>) {
        for trouble in &mut troubles {
            trouble.message = printable::line(&trouble.message, MESSAGE_COLUMNS_MAX);
        }
        let mut state = self.state();
        let before: Vec<TroubleStatus> = state.troubles().into_iter().cloned().collect();
        state.troubles.insert(lane, troubles);
        let now: Vec<TroubleStatus> = state.troubles().into_iter().cloned().collect();
        let without = |these: &[TroubleStatus], those: &[TroubleStatus]| {
            these.iter().filter(|this| !those.iter().any(|that| that.is(this))).cloned().collect()
        };
        (without(&now, &before), without(&before, &now))
    }

    /// Remembers an error; the oldest one makes room.
    pub fn error(&self, code: &str, message: &str) {
        let error = ErrorStatus {
            time_ms: (self.clock)().div_euclid(1_000),
            code: printable::line(code, MESSAGE_COLUMNS_MAX),
            message: printable::line(message, MESSAGE_COLUMNS_MAX),
        };
        let mut state = self.state();
        state.errors_total = state.errors_total.saturating_add(1);
        while state.errors.len() >= self.settings.errors_max.max(1) as usize {
            state.errors.pop_front();
        }
        state.errors.push_back(error);
    }

    /// Whether every lane has joined its group, the broker answers, no source sends mostly what cannot be read, nothing is
    /// wrong with the topics, and some organisation is not parked; otherwise all reasons why not.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.state();
        let mut reasons: Vec<String> = state.broker.iter().cloned().collect();
        if state.rule_set.is_none() {
            reasons.push("no rule set is active yet".into());
        }
        for (lane, status) in state.lanes.iter().enumerate() {
            let what = match status.state {
                LaneState::Running => continue,
                LaneState::Starting => "is starting",
                LaneState::Joining => {
                    "has not joined its group yet; a group first waits for members that were killed, up to 45 s"
                }
                LaneState::Draining => "is draining",
                LaneState::Stopped => "has stopped",
                LaneState::Failed => "has failed",
            };
            reasons.push(format!("lane {lane} {what}"));
        }
        reasons.extend(state.floods.values().flatten().cloned());
        let parked: BTreeSet<&str> =
            state.parked.values().flatten().map(|status| status.organisation.as_str()).collect();
        if !parked.is_empty() && parked.len() >= state.organisations {
            reasons.push("every organisation is parked: /status says why".into());
        }
        reasons.extend(state.troubles().into_iter().map(|trouble| trouble.message.clone()));
        verdict(reasons)
    }

    /// Whether every lane's thread still turns; otherwise which do not. A restart is then the cure.
    pub fn live(&self) -> Result<(), Vec<String>> {
        let now = (self.clock)();
        let max = self.settings.heartbeat_age_max;
        let state = self.state();
        let mut reasons = Vec::new();
        for (lane, status) in state.lanes.iter().enumerate() {
            match status.state {
                LaneState::Stopped => {}
                LaneState::Failed => reasons.push(format!("lane {lane} has failed")),
                _ => {
                    let age = self.heartbeat_age(lane, now);
                    if age > max {
                        let (age, max) = (age.as_secs(), max.as_secs());
                        reasons.push(format!(
                            "lane {lane} has given no sign for {age} s (the limit is {max} s)"
                        ));
                    }
                }
            }
        }
        verdict(reasons)
    }

    /// A lane that never gave a sign is as old as the process.
    fn heartbeat_age(&self, lane: usize, now: TimeMicros) -> Duration {
        let last = self.heartbeats.get(lane).map_or(NEVER, |heartbeat| heartbeat.load(Ordering::Relaxed));
        between(if last == NEVER { self.started } else { last }, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that died while it wrote leaves a state that is old at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never negative: the machine's clock may be set back.
fn between(earlier: TimeMicros, later: TimeMicros) -> Duration {
    Duration::from_micros(u64::try_from(later.saturating_sub(earlier)).unwrap_or(0))
}

fn verdict(reasons: Vec<String>) -> Result<(), Vec<String>> {
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

#[cfg(test)]
mod tests;
