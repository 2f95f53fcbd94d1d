//! Time, as a lane sees it.
//!
//! Owns the one place where a lane's loop meets the machine's clocks, so that a simulation can put its own there.
//! Called by `pipeline::lane`.

use std::time::{Duration, Instant};

use super::cycle::Millis;
use crate::record::{self, TimeMicros};

/// A lane's clocks.
pub trait Clock {
    /// Milliseconds since the lane began; never goes back.
    fn now(&self) -> Millis;
    /// The time of day, for alerts alone: nothing is decided by it.
    fn wall(&self) -> TimeMicros;
    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The machine's.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall(&self) -> TimeMicros {
        record::wall_clock()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
