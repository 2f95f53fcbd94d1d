//! Organisations that are parked → log, gauge and `/status`.
//!
//! Owns since when each is, and what is said when that changes; when one is parked is `pipeline::refusals`'s. Called by
//! `pipeline::watch`.

use std::collections::{BTreeMap, BTreeSet};

use super::Observed;
use crate::observe::health::ParkedStatus;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::lane::{Over, ParkNote};
use crate::record::wall_clock;

/// Those that a lane has parked, or tries again.
#[derive(Debug, Default)]
pub(super) struct Parked {
    known: BTreeMap<String, Known>,
    sources: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Milliseconds since 1970.
    since_ms: i64,
    /// It is not tried again right now.
    waits: bool,
}

impl Parked {
    /// Whether the partitions of a topic wait for their organisation.
    pub(super) fn holds(&self, pipeline: &Pipeline, topic: &str) -> bool {
        !self.sources.is_empty()
            && pipeline.source_of(topic).is_some_and(|source| self.sources.contains(&source))
    }

    /// Others are parked now. One that is tried again is read, and so it is not shown as parked.
    pub(super) fn change(
        &mut self,
        lane: u32,
        observed: &Observed,
        pipeline: &Pipeline,
        notes: &[ParkNote],
        over: Over,
    ) {
        let now_ms = wall_clock().div_euclid(1_000);
        let mut before = std::mem::take(&mut self.known);
        let mut shown = Vec::new();
        for ParkNote { organisation, topic, why, retry_ms } in notes {
            let Some(organisation) = pipeline.organisations.get(*organisation) else { continue };
            let id = organisation.id.to_string();
            let known = before.remove(&id);
            let wait_s = retry_ms.unwrap_or_default().div_ceil(1_000);
            match (known.map(|known| known.waits), retry_ms) {
                (None, _) => {
                    observed.health.error("parked", &format!("the organisation {id} is parked: {why}"));
                    tracing::error!(
                        lane,
                        organisation = id,
                        topic = &**topic,
                        "An organisation is parked, the others go on: {why}. It is tried again in {wait_s} s."
                    );
                }
                (Some(false), Some(_)) => tracing::warn!(
                    lane,
                    organisation = id,
                    "An organisation was tried again in vain: {why}. It is tried again in {wait_s} s."
                ),
                (Some(true), None) => {
                    tracing::info!(lane, organisation = id, "A parked organisation is tried again.");
                }
                // Nothing new, or a look at its topic that was in vain.
                (Some(true), Some(_)) | (Some(false), None) => {}
            }
            observed.metrics.parked(&id, lane, retry_ms.is_some());
            let since_ms = known.map_or(now_ms, |known| known.since_ms);
            if let Some(retry_ms) = retry_ms {
                shown.push(ParkedStatus {
                    organisation: id.clone(),
                    topic: topic.to_string(),
                    why: why.clone(),
                    since_ms,
                    retry_at_ms: now_ms.saturating_add_unsigned(*retry_ms),
                });
            }
            self.known.insert(id, Known { since_ms, waits: retry_ms.is_some() });
        }
        for organisation in before.into_keys() {
            match over {
                Over::Published => {
                    tracing::info!(lane, organisation, "A parked organisation is published to again.");
                }
                Over::Changed => tracing::info!(
                    lane,
                    organisation,
                    "An organisation is parked no more: the changed pipeline does not write to its topic."
                ),
            }
            observed.metrics.parked(&organisation, lane, false);
        }
        let waiting = notes.iter().filter(|note| note.retry_ms.is_some());
        let waiting: BTreeSet<usize> = waiting.map(|note| note.organisation).collect();
        let sources = pipeline.sources.iter().enumerate();
        self.sources =
            sources.filter(|(_, source)| waiting.contains(&source.organisation)).map(|(at, _)| at).collect();
        let read: BTreeSet<usize> = pipeline.sources.iter().map(|source| source.organisation).collect();
        observed.health.parked(lane, shown, read.len());
    }
}
