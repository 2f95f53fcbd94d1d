//! `/status`: the state as one JSON document.
//!
//! Owns its shape; the state and its judgement are the parent's.

use serde::Serialize;

use super::{
    ErrorStatus, Health, LaneState, LaneStatus, ParkedStatus, PartitionStatus, ReloadStatus, RuleSetStatus,
    TroubleStatus, between,
};

impl Health {
    /// Everything, for people.
    pub fn status(&self) -> serde_json::Value {
        let (ready, live) = (self.ready(), self.live());
        let now = (self.clock)();
        let state = self.state();
        let lanes: Vec<LaneView<'_>> = state
            .lanes
            .iter()
            .enumerate()
            .map(|(lane, status)| LaneView {
                lane,
                state: status.state,
                epochs: status.epochs,
                generation: status.generation,
                heartbeat_age_ms: u64::try_from(self.heartbeat_age(lane, now).as_millis())
                    .unwrap_or(u64::MAX),
                lag: lag(status),
                partitions: &status.partitions,
            })
            .collect();
        let view = StatusView {
            pipeline: &self.settings.pipeline,
            instance: &self.settings.instance,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: between(self.started, now).as_secs(),
            ready: ready.is_ok(),
            live: live.is_ok(),
            reasons: live.err().into_iter().chain(ready.err()).flatten().collect(),
            rule_set: state.rule_set.as_ref(),
            reload: state.reload.as_ref(),
            parked: state
                .parked
                .iter()
                .flat_map(|(lane, parked)| parked.iter().map(|status| ParkedView { lane: *lane, status }))
                .collect(),
            lanes,
            troubles: state.troubles(),
            errors_total: state.errors_total,
            errors: state.errors.iter().rev().collect(),
        };
        serde_json::to_value(view).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct StatusView<'s> {
    pipeline: &'s str,
    instance: &'s str,
    version: &'static str,
    uptime_s: u64,
    ready: bool,
    live: bool,
    reasons: Vec<String>,
    rule_set: Option<&'s RuleSetStatus>,
    reload: Option<&'s ReloadStatus>,
    parked: Vec<ParkedView<'s>>,
    lanes: Vec<LaneView<'s>>,
    troubles: Vec<&'s TroubleStatus>,
    errors_total: u64,
    /// The newest first.
    errors: Vec<&'s ErrorStatus>,
}

#[derive(Serialize)]
struct LaneView<'s> {
    lane: usize,
    state: LaneState,
    epochs: u64,
    generation: u64,
    heartbeat_age_ms: u64,
    lag: Option<u64>,
    partitions: &'s [PartitionStatus],
}

#[derive(Serialize)]
struct ParkedView<'s> {
    lane: u32,
    #[serde(flatten)]
    status: &'s ParkedStatus,
}

/// What is known of a lane's lag. Unknown is not 0: an alarm on lag must not be calmed by a lane that has not looked yet.
fn lag(lane: &LaneStatus) -> Option<u64> {
    let known = || lane.partitions.iter().filter_map(|partition| partition.lag);
    let looked = lane.partitions.is_empty() || known().next().is_some();
    let in_group = !matches!(lane.state, LaneState::Starting | LaneState::Joining);
    (in_group && looked).then(|| known().sum())
}
