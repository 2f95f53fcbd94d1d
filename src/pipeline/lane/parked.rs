//! Organisations that wait for a topic, as the lane carries it out.
//!
//! Owns not reading them, and trying them again; who waits, and until when, is `refusals`'s. Called by the parent.

use std::sync::Arc;

use super::{Lane, LaneEvents, Over};
use crate::pipeline::clock::Clock;
use crate::sink::Sink;
use crate::source::{Source, SourceError};

impl<S: Source, K: Sink<S::Group>, E: LaneEvents, C: Clock> Lane<S, K, E, C> {
    /// Begins with organisations parked, each for a topic and a reason, of the pipeline that the engine runs.
    pub fn parking(mut self, parked: &[(usize, Arc<str>, String)]) -> Result<Self, SourceError> {
        let now = self.now();
        for (organisation, topic, why) in parked {
            self.refusals.park(*organisation, topic, why, now);
        }
        if !parked.is_empty() {
            self.hold(Over::Published)?;
        }
        Ok(self)
    }

    /// Those whose time is over, or all when somebody asks for it, are read again, unless their topic is still not there.
    pub(super) fn try_again(&mut self) -> Result<(), SourceError> {
        let now = self.now();
        let asked = self.slot.as_ref().map_or(0, |slot| slot.retries());
        if asked > self.retries {
            self.retries = asked;
            self.refusals.hurry(now);
        }
        let source = &mut self.source;
        if self.refusals.release(now, |topic| source.lacks(topic)) {
            self.hold(Over::Published)?;
        }
        Ok(())
    }

    /// Those who are parked are not read, the others are.
    pub(super) fn hold(&mut self, over: Over) -> Result<(), SourceError> {
        let held = self.refusals.held();
        self.with_patience(|source| source.hold(&held))?;
        self.events.parked(&self.refusals.notes(self.now()), over);
        Ok(())
    }
}
