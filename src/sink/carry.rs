//! Carries one epoch through its transaction, call by call.
//!
//! Owns the loop around `transaction`'s decisions: what was begun, what was sent, how long it is tried, whether the
//! producer is tainted. Time is a number that the caller gives and calls are a port, so the same loop runs over
//! librdkafka (`sink::kafka`) and over the simulated broker of the tests.

use std::time::Duration;

use super::transaction::{Call, Next, Progress, Verdict, first, moves, next, taints};
use super::{Ended, Epoch, EpochEnd};

/// Milliseconds on any monotonic clock.
pub type Millis = u64;

/// Pause before a call is made again.
const RETRY_WAIT: Duration = Duration::from_millis(20);
/// Pause before a producer is created again.
const REPLACE_WAIT: Duration = Duration::from_millis(500);

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What may follow.
    pub verdict: Verdict,
    /// For the operator.
    pub why: String,
}

/// The producer behind the calls.
pub trait Calls<G> {
    /// Makes a call; it may take until `until`.
    fn call(&mut self, call: Call, epoch: &Epoch<G>, until: Millis) -> Result<(), Failure>;
    /// Why the producer is tainted by what is not seen in the outcome of a call: retries inside the client, a lost
    /// connection. Asked before each transaction; a [`Call::Replace`] that works wipes it away.
    fn taint(&mut self) -> Option<String>;
    /// Why a fence was met, for the operator.
    fn fenced(&self, why: &str) -> String;
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarryLimits {
    /// A transaction is tried for so long before the producer is replaced.
    pub try_for_ms: Millis,
    /// A new producer may take so long.
    pub replace_for_ms: Millis,
    /// A request that moves the transaction and takes so long may have been sent twice: the client's own tries show in
    /// its counters, but those come later than the next transaction.
    pub slow_ms: Millis,
    /// Whether tainted producers are replaced. Only the test of the tests turns it off.
    pub replace_tainted: bool,
}

/// What a step brought.
#[derive(Debug)]
pub enum Step {
    /// Go on after this pause.
    Again(Duration),
    /// The epoch has ended.
    Ended(Ended),
}

/// An epoch under way.
#[derive(Debug)]
pub struct Carry<G> {
    epoch: Option<Epoch<G>>,
    progress: Progress,
    limits: CarryLimits,
    began: Millis,
    /// Since when the next call is due.
    since: Millis,
    until: Millis,
    retries: u32,
    /// A call without a definite answer: the next transaction begins with a new producer.
    taint: Option<String>,
    reason: String,
}

/// What one transaction leaves to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Why the producer must be replaced before it begins again.
    pub taint: Option<String>,
}

impl<G> Carry<G> {
    /// Takes an epoch; `left` is what the one before left.
    pub fn new(
        epoch: Epoch<G>,
        left: Left,
        calls: &mut dyn Calls<G>,
        now: Millis,
        limits: CarryLimits,
    ) -> Self {
        let taint = left.taint.or_else(|| calls.taint()).filter(|_| limits.replace_tainted);
        if let Some(why) = &taint {
            tracing::info!(epoch = epoch.number, why, "The producer is tainted: a new one takes its place.");
        }
        let call = first(taint.is_some());
        let replacing = call == Call::Replace;
        let progress =
            Progress { call, begun: false, replaced: replacing, commit_sent: false, out_of_time: false };
        let until = now + if replacing { limits.replace_for_ms } else { limits.try_for_ms };
        Self {
            epoch: Some(epoch),
            progress,
            limits,
            began: now,
            since: now,
            until,
            retries: 0,
            taint: None,
            reason: String::new(),
        }
    }

    /// The call that the next step makes, for which epoch, and until when it may take. After [`Step::Ended`] there is
    /// none.
    pub fn due(&self) -> Option<(Call, &Epoch<G>, Millis)> {
        self.epoch.as_ref().map(|epoch| (self.progress.call, epoch, self.until))
    }

    /// Makes the next call. After [`Step::Ended`] there is none.
    pub fn step(&mut self, calls: &mut dyn Calls<G>, now: impl Fn() -> Millis) -> Step {
        let Some(epoch) = &self.epoch else { return Step::Again(RETRY_WAIT) };
        let call = self.progress.call;
        let verdict = match calls.call(call, epoch, self.until) {
            Ok(()) => Verdict::Ok,
            Err(Failure { verdict, why }) => {
                tracing::warn!(epoch = epoch.number, ?call, ?verdict, why, "A transaction call failed.");
                if taints(call, verdict) {
                    self.taint = Some(format!("{call:?} failed, or had no definite answer: {why}"));
                }
                self.reason = why;
                verdict
            }
        };
        let now = now();
        let took = now.saturating_sub(self.since);
        if moves(call) && took >= self.limits.slow_ms {
            self.taint
                .get_or_insert_with(|| format!("{call:?} took {took} ms, and may have been sent twice"));
        }
        self.since = now;
        self.progress.out_of_time = now >= self.until;
        let end = match next(self.progress, verdict) {
            Next::Call(next) => return self.go_on(next, now),
            Next::Committed => EpochEnd::Committed,
            Next::Aborted => EpochEnd::Rewound(self.reason.clone()),
            Next::Indefinite => EpochEnd::Unknown(self.reason.clone()),
            Next::Fenced => EpochEnd::Fenced(calls.fenced(&self.reason)),
            Next::Refused => EpochEnd::Failed(self.reason.clone()),
        };
        self.end(end, now)
    }

    fn go_on(&mut self, call: Call, now: Millis) -> Step {
        let progress = &mut self.progress;
        let again = call == progress.call;
        match call {
            Call::Replace if !again => {
                progress.replaced = true;
                self.until = now + self.limits.replace_for_ms;
            }
            Call::Begin if progress.call == Call::Replace => self.until = now + self.limits.try_for_ms,
            Call::Produce => progress.begun = true,
            Call::Commit => progress.commit_sent = true,
            _ => {}
        }
        if progress.call == Call::Replace && !again {
            self.taint = None;
        }
        progress.call = call;
        self.retries += u32::from(again);
        Step::Again(match (again, call) {
            (true, Call::Replace) => REPLACE_WAIT,
            (true, _) => RETRY_WAIT,
            (false, _) => Duration::ZERO,
        })
    }

    fn end(&mut self, end: EpochEnd, now: Millis) -> Step {
        let (number, offsets) = match self.epoch.take() {
            Some(epoch) => (epoch.number, epoch.offsets),
            None => (0, Vec::new()),
        };
        // An outcome after which the new producer stands: nothing of the old one is left.
        if self.progress.call == Call::Replace {
            self.taint = None;
        }
        Step::Ended(Ended {
            number,
            end,
            offsets,
            took: Duration::from_millis(now.saturating_sub(self.began)),
            retries: self.retries,
            replaced: self.progress.replaced,
            doubtful: self.progress.replaced || self.taint.is_some(),
        })
    }

    /// What the next transaction must know.
    pub fn left(&mut self) -> Left {
        Left { taint: self.taint.take() }
    }
}

#[cfg(test)]
#[path = "carry/tests.rs"]
mod tests;
