//! Organisations that are parked → log, gauge and `/status`.
//!
//! Owns since when each is, and what is said when that changes; when one is parked is `pipeline::refusals`'s. Called by
//! `pipeline::watch`.

use std::collections::{BTreeMap, BTreeSet};

use super::Observed;
use crate::observe::health::ParkedStatus;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::lane::ParkNote;
use crate::record::wall_clock;

/// Those that a lane has parked: organisation → since when, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Parked {
    since: BTreeMap<String, i64>,
    sources: BTreeSet<usize>,
}

impl Parked {
    /// Whether the partitions of a topic wait for their organisation.
    pub(super) fn holds(&self, pipeline: &Pipeline, topic: &str) -> bool {
        !self.sources.is_empty()
            && pipeline.source_of(topic).is_some_and(|source| self.sources.contains(&source))
    }

    /// Others are parked now.
    pub(super) fn change(&mut self, lane: u32, observed: &Observed, pipeline: &Pipeline, notes: &[ParkNote]) {
        let now_ms = wall_clock().div_euclid(1_000);
        let mut since = BTreeMap::new();
        let mut shown = Vec::new();
        for ParkNote { organisation, topic, why, retry_ms } in notes {
            let Some(organisation) = pipeline.organisations.get(*organisation) else { continue };
            let id = organisation.id.to_string();
            let known = self.since.remove(&id);
            match (known, retry_ms) {
                (None, _) => {
                    observed.health.error("parked", &format!("the organisation {id} is parked: {why}"));
                    tracing::error!(
                        lane,
                        organisation = id,
                        topic = &**topic,
                        "An organisation is parked, the others go on: {why}. It is tried again in {} s.",
                        retry_ms.unwrap_or_default().div_ceil(1_000)
                    );
                }
                // Told once.
                (Some(_), Some(_)) => tracing::debug!(lane, organisation = id, "It is parked again."),
                (Some(_), None) => tracing::debug!(lane, organisation = id, "It is tried again."),
            }
            observed.metrics.parked(&id, lane, retry_ms.is_some());
            let since_ms = known.unwrap_or(now_ms);
            shown.push(ParkedStatus {
                organisation: id.clone(),
                topic: topic.to_string(),
                why: why.clone(),
                since_ms,
                retry_at_ms: retry_ms.map(|retry_ms| now_ms.saturating_add_unsigned(retry_ms)),
            });
            since.insert(id, since_ms);
        }
        for organisation in std::mem::replace(&mut self.since, since).into_keys() {
            tracing::info!(lane, organisation, "A parked organisation is published to again.");
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
