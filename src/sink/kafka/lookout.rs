//! Noticing a call into the Kafka client that does not return.
//!
//! Owns when a call is overdue, and that a thread which was left behind makes no further ones. librdkafka keeps its
//! time-outs in nearly all calls; 2.12 does not where offsets are added to a transaction while the connection to the
//! group's coordinator breaks, and a client's drop can hang. Such a thread cannot be freed. Asked by the parent: the
//! sink's thread around each call, the lane's end while it waits for an outcome.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A call that takes so much longer than it was given does not return. Initialising a producer may take 5 s longer.
const OVERDUE: Duration = Duration::from_secs(10);

/// Shared by both ends of a sink.
#[derive(Clone, Default)]
pub(super) struct Lookout(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Until when the call under way was given.
    until: Option<Instant>,
    left_behind: bool,
}

impl Lookout {
    /// A call begins, and is given until then. False: the thread was left behind, and must not make it.
    pub(super) fn enter(&self, until: Instant) -> bool {
        let mut seen = self.seen();
        seen.until = Some(until);
        !seen.left_behind
    }

    /// The call has returned.
    pub(super) fn leave(&self) {
        self.seen().until = None;
    }

    /// Leaves the thread behind when its call is overdue; true when it does so now.
    pub(super) fn leaves_behind(&self, now: Instant) -> bool {
        let mut seen = self.seen();
        let overdue = seen.until.is_some_and(|until| now > until + OVERDUE);
        let leaves = overdue && !seen.left_behind;
        seen.left_behind |= overdue;
        leaves
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_is_overdue_is_left_behind_and_no_other_follows() {
        let (lookout, now) = (Lookout::default(), Instant::now());
        let late = now + OVERDUE + Duration::from_millis(1);
        assert!(!lookout.leaves_behind(late), "nothing is under way");
        assert!(lookout.enter(now));
        assert!(!lookout.leaves_behind(now + OVERDUE));
        lookout.leave();
        assert!(!lookout.leaves_behind(late), "it has returned");
        assert!(lookout.enter(now));
        assert!(lookout.leaves_behind(late));
        assert!(!lookout.leaves_behind(late), "once");
        lookout.leave();
        assert!(!lookout.enter(late), "what returns at last makes no further call");
    }
}
