//! Events that are read otherwise than meant → health and the log: in no table as they are of another format, or without a
//! time of their own.
//!
//! Owns saying each once of a source, with the first record that it was seen in. Called by `pipeline::watch`.

use std::collections::BTreeSet;

use super::Observed;
use crate::decode::Hint;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::{Place, Tally};

/// What is odd about an event; `None` is that it has no time.
type Oddity = Option<Hint>;

/// What has been told: by source index.
#[derive(Default)]
pub(super) struct Oddities(BTreeSet<(usize, Oddity)>);

impl Oddities {
    /// Tells what is new in a tally.
    pub(super) fn tell(&mut self, lane: u32, observed: &Observed, pipeline: &Pipeline, tally: &Tally) {
        for (at, (source, counted)) in pipeline.sources.iter().zip(&tally.sources).enumerate() {
            let unlike = counted.unlike.iter().map(|(hint, unlike)| (Some(*hint), &unlike.first));
            let timeless = counted.timeless_at.iter().map(|first| (None, first));
            for (oddity, first) in unlike.chain(timeless) {
                if self.0.insert((at, oddity)) {
                    tell(lane, observed, &source.id, oddity, first);
                }
            }
        }
    }

    /// Which source an index means, and its format, may be others now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn tell(lane: u32, observed: &Observed, source: &str, oddity: Oddity, (topic, partition, offset): &Place) {
    let what = match oddity {
        Some(hint) => {
            let what = format!(
                "an event of the source {source} is in no table: {topic}/{partition}/{offset} {hint}"
            );
            observed.health.error("unlike_format", &what);
            format!("An event is in no table: it {hint}.")
        }
        None => "An event has no time that can be read: it gets its record's. `noroshi scan --output rows` shows why."
            .to_owned(),
    };
    let topic = &**topic;
    tracing::warn!(lane, source, topic, partition, offset, "{what}");
}
