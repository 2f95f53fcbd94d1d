//! What a lane does about epochs that the brokers refuse, beyond reading them again.
//!
//! Owns telling the three causes apart: a record, which is found and rejected (`narrow`); one organisation's topic, whose
//! organisation waits (`park`); anything else, for which the lane stops. Decisions only: the lane reads, holds and
//! publishes. Called by `pipeline::lane`.

mod narrow;
pub(super) mod park;

use std::collections::BTreeSet;
use std::sync::Arc;

use narrow::{Flown, Found, Narrow};
use park::{Owners, Parked, Parks, Ruling, rule};

pub use park::ParkLimits;

pub(super) use narrow::Sentence;

use super::cycle::Millis;
use super::definition::Pipeline;
use super::lane::ParkNote;
use crate::sink::{Cause, Ended, EpochEnd, Output, Refusal};
use crate::source::PartitionStatus;

/// An epoch as it left.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    /// Its records.
    pub(super) records: u64,
    /// Its outputs are sent one by one.
    pub(super) apart: bool,
    /// How often the batches that they are sent in are halved.
    pub(super) batches_halved: u32,
    /// Topics of organisations that are tried again, if it has outputs for them.
    pub(super) tries: Vec<Arc<str>>,
}

/// What was refused, and what is done about it.
pub(super) struct Refusals {
    pipeline: Arc<Pipeline>,
    owners: Owners,
    /// The topics of dead letters that take no alerts.
    letters: BTreeSet<String>,
    /// What the configuration says.
    records_max: u64,
    narrow: Narrow,
    parks: Parks,
    limits: ParkLimits,
}

impl Refusals {
    /// Nothing was refused yet.
    pub(super) fn new(pipeline: &Arc<Pipeline>, records_max: u64, limits: ParkLimits) -> Self {
        let ids = || pipeline.organisations.iter().map(|organisation| &organisation.id);
        let mut letters: BTreeSet<String> = ids().map(|id| pipeline.rejects.topic(id)).collect();
        ids().for_each(|id| {
            letters.remove(&pipeline.alerts.topic(id));
        });
        Self {
            pipeline: Arc::clone(pipeline),
            owners: Owners::new(pipeline),
            letters,
            records_max,
            narrow: Narrow::default(),
            parks: Parks::new(limits),
            limits,
        }
    }

    /// The same for a changed pipeline: which records are refused is found out anew, and who waits for a topic that is
    /// still its own goes on waiting.
    pub(super) fn renewed(&self, pipeline: &Arc<Pipeline>) -> Self {
        let mut renewed = Self::new(pipeline, self.records_max, self.limits);
        let mut waiting = BTreeSet::new();
        renewed.parks = self.parks.carried(|at, Parked { topic, until, .. }| {
            let id = &self.pipeline.organisations.get(at)?.id;
            let at = pipeline.organisations.iter().position(|organisation| organisation.id == *id)?;
            if rule(topic, &renewed.owners, &waiting) != Ruling::Park(at) {
                return None;
            }
            if until.is_some() {
                waiting.insert(at);
            }
            Some(at)
        });
        renewed
    }

    /// Records of an epoch at most; `None` is what the configuration says.
    pub(super) fn limit(&self) -> Option<u64> {
        self.narrow.limit()
    }

    /// What is to become of a record that was refused before.
    pub(super) fn sentence(&self, topic: &Arc<str>, partition: i32, offset: i64) -> Option<&Sentence> {
        self.narrow.sentence(topic, partition, offset)
    }

    /// An epoch of so many records, with these outputs, leaves.
    pub(super) fn leaves(&self, records: u64, outputs: &[Output]) -> Left {
        let tried = self.parks.tried().filter(|topic| outputs.iter().any(|output| output.topic == **topic));
        Left {
            records,
            apart: self.narrow.apart(records),
            batches_halved: self.narrow.batches_halved(),
            tries: tried.cloned().collect(),
        }
    }

    /// An epoch has ended: what that is for the cycle.
    pub(super) fn judge(&mut self, ended: &Ended, left: &Left, now: Millis) -> EpochEnd {
        match &ended.end {
            EpochEnd::Committed => {
                let offsets = ended.offsets.iter().map(|(topic, partition, next)| (topic, *partition, *next));
                self.narrow.committed(offsets, self.records_max);
                left.tries.iter().for_each(|topic| self.parks.reached(topic));
                EpochEnd::Committed
            }
            EpochEnd::Refused(refusal) => self.refused(refusal, ended, left, now),
            other => other.clone(),
        }
    }

    fn refused(&mut self, refusal: &Refusal, ended: &Ended, left: &Left, now: Millis) -> EpochEnd {
        let Refusal { cause, why } = refusal;
        let found = match cause {
            Cause::Record(topic) | Cause::Size(topic) => {
                let size = matches!(cause, Cause::Size(_));
                let flown = Flown { records: left.records, apart: left.apart, size, offsets: &ended.offsets };
                self.narrow.refused(flown, self.letters.contains(&**topic), why)
            }
            Cause::TooSlow => self.narrow.too_slow(left.records),
            Cause::Topic(topic) => return self.denied(topic, refusal, now),
        };
        match found {
            Found::Smaller | Found::Sentenced => EpochEnd::Refused(refusal.clone()),
            Found::Nothing => EpochEnd::Rewound(why.clone()),
            Found::Hopeless(record) => EpochEnd::Failed(format!(
                "of the record {record} not even a dead letter without its bytes is taken: {why}"
            )),
        }
    }

    fn denied(&mut self, topic: &Arc<str>, refusal: &Refusal, now: Millis) -> EpochEnd {
        let parked = self.parks.waiting().collect();
        match rule(topic, &self.owners, &parked) {
            Ruling::Park(organisation) => {
                self.park(organisation, topic, &refusal.why, now);
                EpochEnd::Refused(refusal.clone())
            }
            Ruling::Known => EpochEnd::Rewound(refusal.why.clone()),
            Ruling::Stop => EpochEnd::Failed(refusal.why.clone()),
        }
    }

    /// Parks an organisation for its topic.
    pub(super) fn park(&mut self, organisation: usize, topic: &Arc<str>, why: &str, now: Millis) {
        self.parks.park(organisation, topic, why, now);
        // They would not get through, and keep all epochs small.
        let held = self.held();
        let pipeline = Arc::clone(&self.pipeline);
        let read = |topic: &str| pipeline.source_of(topic).is_some_and(|source| !held.contains(&source));
        self.narrow.keep(|topic, _| read(topic));
    }

    /// Whether the time of somebody who waits is over; they are tried again from now on, unless their topic is `absent`.
    pub(super) fn release(&mut self, now: Millis, absent: impl FnMut(&str) -> bool) -> bool {
        self.parks.release(now, absent)
    }

    /// Nobody waits any longer than until now.
    pub(super) fn hurry(&mut self, now: Millis) {
        self.parks.hurry(now);
    }

    /// The sources of those who wait.
    pub(super) fn held(&self) -> BTreeSet<usize> {
        let parked: BTreeSet<usize> = self.parks.waiting().collect();
        let sources = self.pipeline.sources.iter().enumerate();
        sources.filter(|(_, source)| parked.contains(&source.organisation)).map(|(at, _)| at).collect()
    }

    /// Those who wait or are tried again, for the watchers.
    pub(super) fn notes(&self, now: Millis) -> Vec<ParkNote> {
        let note = |(organisation, parked): (usize, &Parked)| ParkNote {
            organisation,
            topic: Arc::clone(&parked.topic),
            why: parked.why.clone(),
            retry_ms: parked.until.map(|until| until.saturating_sub(now)),
        };
        self.parks.all().map(note).collect()
    }

    /// What the brokers say is committed.
    pub(super) fn through(&mut self, partitions: &[PartitionStatus]) {
        let known = partitions.iter();
        self.narrow
            .through(known.filter_map(|known| Some((&known.topic, known.partition, known.committed?))));
    }

    /// Partitions were given back: whatever is wrong with them is for others to find.
    pub(super) fn keep(&mut self, kept: &[PartitionStatus]) {
        self.narrow.keep(|topic, partition| {
            kept.iter().any(|kept| *kept.topic == *topic && kept.partition == partition)
        });
    }
}

#[cfg(test)]
#[path = "refusals/tests.rs"]
mod tests;
