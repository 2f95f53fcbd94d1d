//! When a rule is parked: what it may take of time, memory and rows, and how often it may fail (I-5).
//!
//! Owns the decision, as a pure function of what was known of a rule and what was observed of it: no clock, no batch, no
//! thread. Measuring and obeying is [`turn`]'s, who knows of parked rules is [`parks`]'s. Called by `detect::run` by way of
//! these.

pub mod parks;
pub mod turn;

use std::time::Duration;

use crate::record::TimeMicros;

/// A single measurement counts at most this part of the time that a rule has for a batch: a thread that did not run for a
/// while has measured that, and not the rule.
const ONE_MEASUREMENT_PART: u32 = 3;

/// What a rule may take. Where something is at its bound it is still right; beyond, the rule is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Time for one batch.
    pub batch_time_max: Duration,
    /// Memory of one evaluation, in bytes.
    pub bytes_max: u64,
    /// Rows that it may find in a stretch of time; `None` where nobody is flooded by them.
    pub rows_max: Option<u64>,
    /// Rows that it may fail on in a stretch of time.
    pub failed_rows_max: u64,
    /// Rows that it may panic on in a stretch of time.
    pub panics_max: u64,
    /// How long the stretch is, in microseconds.
    pub stretch: TimeMicros,
}

/// What was observed of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It begins with another batch.
    Batch,
    /// It was evaluated on some rows, this long.
    Ran(Duration),
    /// A row made its evaluation fail.
    Failed,
    /// A row made its evaluation panic.
    Panicked,
    /// A row would have taken more memory than it may.
    TooLarge,
    /// It has found so many rows.
    Found(u64),
}

/// Why a rule is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It fails.
    Errors,
    /// It panics.
    Panics,
    /// It takes too long.
    Time,
    /// It takes too much memory.
    Memory,
    /// It finds too many rows.
    Rows,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Errors, Self::Panics, Self::Time, Self::Memory, Self::Rows];

    /// Its name in metrics, alerts and `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Panics => "panics",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Rows => "rows",
        }
    }
}

/// What is known of a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Time taken for the batch.
    spent: Duration,
    /// When the stretch began; there is none before anything was counted.
    since: Option<TimeMicros>,
    failed: u64,
    panicked: u64,
    too_large: u64,
    found: u64,
}

/// What becomes of a rule of which this is known when this is seen: a reason to park it, if it is one.
pub fn judge(limits: &GuardLimits, mut state: State, seen: Seen, now: TimeMicros) -> (State, Option<Reason>) {
    // A clock that was set back begins a new stretch as well.
    let goes_on = state.since.is_some_and(|since| (0..limits.stretch).contains(&now.saturating_sub(since)));
    if !goes_on {
        state = State { spent: state.spent, since: Some(now), ..State::default() };
    }
    let reason = match seen {
        Seen::Batch => {
            state.spent = Duration::ZERO;
            None
        }
        Seen::Ran(took) => {
            let counted = took.min(limits.batch_time_max / ONE_MEASUREMENT_PART + Duration::from_nanos(1));
            state.spent = state.spent.saturating_add(counted);
            (state.spent > limits.batch_time_max).then_some(Reason::Time)
        }
        Seen::Failed => {
            state.failed += 1;
            (state.failures() > limits.failed_rows_max).then_some(Reason::Errors)
        }
        Seen::Panicked => {
            state.panicked += 1;
            let too_many = state.panicked > limits.panics_max || state.failures() > limits.failed_rows_max;
            too_many.then_some(Reason::Panics)
        }
        Seen::TooLarge => {
            state.too_large += 1;
            (state.failures() > limits.failed_rows_max).then_some(Reason::Memory)
        }
        Seen::Found(rows) => {
            state.found = state.found.saturating_add(rows);
            limits.rows_max.is_some_and(|most| state.found > most).then_some(Reason::Rows)
        }
    };
    (state, reason)
}

impl State {
    /// Rows that the rule could not judge, for whatever reason.
    fn failures(&self) -> u64 {
        self.failed + self.panicked + self.too_large
    }

    /// What the reason means in numbers, for people.
    pub fn tell(&self, reason: Reason, limits: &GuardLimits) -> String {
        let seconds = limits.stretch / 1_000_000;
        let failing = |count: u64, what: &str| {
            let most = limits.failed_rows_max;
            format!(
                "{what} {count} of {} rows that it could not judge within {seconds} s; {most} is the most",
                self.failures()
            )
        };
        match reason {
            Reason::Errors => failing(self.failed, "its evaluation failed on"),
            Reason::Memory => {
                let most = limits.bytes_max;
                failing(self.too_large, &format!("it would have taken more than {most} bytes of memory for"))
            }
            Reason::Panics => {
                let most = limits.panics_max;
                format!(
                    "its evaluation panicked on {} rows within {seconds} s; {most} is the most",
                    self.panicked
                )
            }
            Reason::Time => {
                let most = limits.batch_time_max.as_millis();
                format!("its evaluation took more than {most} ms for one batch")
            }
            Reason::Rows => {
                let most = limits.rows_max.unwrap_or(u64::MAX);
                format!("it found {} rows within {seconds} s; {most} is the most", self.found)
            }
        }
    }
}

#[cfg(test)]
mod tests;
