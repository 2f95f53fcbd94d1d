//! The epoch cycle of a lane, as a pure state machine.
//!
//! Owns *when*: when an epoch is sealed, when the lane must wait for the sink, when it discards and rewinds,
//! when it may give partitions back, when it may exit. It knows neither Kafka nor bytes nor a clock: events
//! come with the time, actions go out as data, `pipeline::lane` carries them out. The next epoch is filled
//! while the last one commits, so at most two are alive: one open, one in flight (I-1, I-7).

use crate::sink::EpochEnd;

/// Milliseconds on any monotonic clock.
pub type Millis = u64;

/// When an epoch is sealed, and how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleLimits {
    /// An epoch with something in it is sealed at this age.
    pub interval_ms: Millis,
    /// …or at this many records,
    pub records_max: u64,
    /// …or at this many bytes of records.
    pub bytes_max: u64,
    /// A full epoch waits this long for the sink before the source is paused.
    pub pause_after_ms: Millis,
    /// On revoke the open work must be committed within this time, else it is discarded.
    pub revoke_deadline_ms: Millis,
    /// On stop likewise.
    pub stop_deadline_ms: Millis,
    /// Aborts in a row before the lane gives up.
    pub aborts_max: u32,
}

/// What happens to a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Records were added to the open epoch.
    Added {
        /// How many.
        records: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Time passed.
    Tick,
    /// The sink ended the epoch in flight.
    Ended(EpochEnd),
    /// The group gives partitions to this lane.
    Assigned,
    /// The group wants partitions back, in order.
    Revoked,
    /// The group has already given partitions to somebody else.
    Lost,
    /// A newer rule set is there to be run.
    Offered,
    /// Finish and leave.
    Stop,
    /// Leave at once.
    StopNow,
    /// The source cannot go on.
    SourceFailed(String),
    /// Another process has the source's place in the group.
    SourceFenced(String),
}

/// What the lane must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Detect on what is open and hand alerts, rejects and offsets to the sink as this epoch.
    Seal(u64),
    /// Forget what is open; these records will be read again.
    Discard(u64),
    /// Move every partition back to what the group has committed.
    Rewind,
    /// Take the partitions that were assigned.
    Assign,
    /// Give back the partitions that were revoked or lost.
    Unassign,
    /// Stop fetching; go on polling for group events.
    Pause,
    /// Fetch again.
    Resume,
    /// Run the newest rule set from here on: nothing is open, nothing is in flight (I-8).
    Adopt,
    /// Leave the loop.
    Exit(Exit),
}

/// Why a lane leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Asked to, all work committed.
    Stopped,
    /// Asked to, but the deadline passed first: the uncommitted rest will be read again.
    Deadline,
    /// Fenced by another process.
    Fenced(String),
    /// Cannot go on.
    Failed(String),
    /// Cannot begin: the configuration leaves open where.
    Undeclared(String),
    /// What it believes is committed is not what the broker has.
    Contradicted(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Giving {
    /// Commit what is open, then unassign, at the latest at this time.
    Revoked { deadline: Millis },
    /// Unassign as soon as nothing is in flight.
    Lost { deadline: Millis },
}

/// The state of a lane's cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    limits: CycleLimits,
    /// Number of the open epoch.
    number: u64,
    records: u64,
    bytes: u64,
    opened_at: Option<Millis>,
    in_flight: bool,
    full_since: Option<Millis>,
    paused: bool,
    giving: Option<Giving>,
    /// A newer rule set waits for the end of what is open.
    offered: bool,
    stopping: Option<Millis>,
    /// Open work was discarded: partitions that stay must be read again from what is committed, and that is known
    /// only when nothing is in flight.
    owes_rewind: bool,
    aborts: u32,
    /// Records of an epoch at most, when that is less than the limits say.
    narrowed: Option<u64>,
    left: bool,
}

impl Cycle {
    /// A lane that begins with this epoch.
    pub fn new(limits: CycleLimits, first: u64) -> Self {
        Self {
            limits,
            number: first,
            records: 0,
            bytes: 0,
            opened_at: None,
            in_flight: false,
            full_since: None,
            paused: false,
            giving: None,
            offered: false,
            stopping: None,
            owes_rewind: false,
            aborts: 0,
            narrowed: None,
            left: false,
        }
    }

    /// Whether the lane may take more records now.
    pub fn wants_records(&self) -> bool {
        !self.left && !self.is_full() && !self.must_empty() && !self.paused && !self.owes_rewind
    }

    /// From here on an epoch holds at most so many records; `None` is what the limits say.
    pub fn narrow(&mut self, records_max: Option<u64>) {
        self.narrowed = records_max;
    }

    /// Records that may still be added before the open epoch is full.
    pub fn room(&self) -> u64 {
        self.records_max().saturating_sub(self.records)
    }

    fn records_max(&self) -> u64 {
        self.narrowed.unwrap_or(u64::MAX).min(self.limits.records_max)
    }

    /// Records of the open epoch.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether the source is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether an epoch is with the sink.
    pub fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// How long the lane may sleep before something is due.
    pub fn sleep_ms(&self, now: Millis) -> Millis {
        let due = |at: Millis| at.saturating_sub(now);
        let mut sleep = 100;
        if let Some(opened) = self.opened_at
            && !self.in_flight
        {
            sleep = sleep.min(due(opened + self.limits.interval_ms));
        }
        if let Some(Giving::Revoked { deadline } | Giving::Lost { deadline }) = self.giving {
            sleep = sleep.min(due(deadline));
        }
        if let Some(deadline) = self.stopping {
            sleep = sleep.min(due(deadline));
        }
        sleep
    }

    /// One transition.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.left {
            return actions;
        }
        match event {
            Event::Added { records, bytes } => {
                self.records += records;
                self.bytes += bytes;
                if records > 0 {
                    self.opened_at.get_or_insert(now);
                }
            }
            Event::Tick => {}
            Event::Ended(end) => self.ended(end, &mut actions),
            Event::Assigned => actions.push(Action::Assign),
            Event::Revoked => {
                let deadline = now + self.limits.revoke_deadline_ms;
                self.giving.get_or_insert(Giving::Revoked { deadline });
            }
            Event::Lost => {
                self.discard(&mut actions);
                let deadline = now + self.limits.revoke_deadline_ms;
                self.giving = Some(Giving::Lost { deadline });
            }
            Event::Offered => self.offered = true,
            Event::Stop => {
                self.stopping.get_or_insert(now + self.limits.stop_deadline_ms);
            }
            Event::StopNow => self.exit(Exit::Deadline, &mut actions),
            Event::SourceFailed(reason) => self.exit(Exit::Failed(reason), &mut actions),
            Event::SourceFenced(reason) => self.exit(Exit::Fenced(reason), &mut actions),
        }
        if !self.left {
            self.settle(now, &mut actions);
        }
        actions
    }

    fn ended(&mut self, end: EpochEnd, actions: &mut Vec<Action>) {
        self.in_flight = false;
        match end {
            EpochEnd::Committed => self.aborts = 0,
            // It is not the same again that is tried, so it is not counted.
            EpochEnd::Refused(_) => self.rewind(actions),
            EpochEnd::Rewound(reason) | EpochEnd::Unknown(reason) => {
                self.aborts += 1;
                if self.aborts > self.limits.aborts_max {
                    let why = format!("{} transactions in a row were aborted; last: {reason}", self.aborts);
                    self.discard(actions);
                    self.exit(Exit::Failed(why), actions);
                } else {
                    self.rewind(actions);
                }
            }
            EpochEnd::Fenced(reason) => self.exit(Exit::Fenced(reason), actions),
            EpochEnd::Failed(reason) => self.exit(Exit::Failed(reason), actions),
        }
    }

    /// What is open was read after what was lost: order in a partition demands both again.
    fn rewind(&mut self, actions: &mut Vec<Action>) {
        self.discard(actions);
        self.owes_rewind = false;
        actions.push(Action::Rewind);
    }

    /// What follows from the state, whatever the event was.
    fn settle(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.owes_rewind && !self.in_flight {
            // What slipped in since is behind a gap.
            self.discard(actions);
        }
        if self.records > 0 && !self.in_flight && (self.must_empty() || self.is_due(now)) {
            actions.push(Action::Seal(self.number));
            self.number += 1;
            self.in_flight = true;
            self.clear_open();
            // What did not fit comes back as added; whether anything is left to give back is known after that.
            return self.press_back(now, actions);
        }
        let idle = self.records == 0 && !self.in_flight;
        match self.giving {
            Some(Giving::Revoked { deadline }) if idle || now >= deadline => {
                self.discard(actions);
                self.giving = None;
                actions.push(Action::Unassign);
            }
            Some(Giving::Lost { deadline }) if !self.in_flight || now >= deadline => {
                self.giving = None;
                actions.push(Action::Unassign);
            }
            _ => {}
        }
        let may_rewind = !self.in_flight && self.giving.is_none();
        if self.owes_rewind && may_rewind && self.stopping.is_none() {
            self.owes_rewind = false;
            actions.push(Action::Rewind);
        }
        match self.stopping {
            Some(_) if idle => return self.exit(Exit::Stopped, actions),
            Some(deadline) if now >= deadline => return self.exit(Exit::Deadline, actions),
            _ => {}
        }
        if self.offered && idle {
            self.offered = false;
            actions.push(Action::Adopt);
        }
        self.press_back(now, actions);
    }

    /// What is open must go before anything is added to it.
    fn must_empty(&self) -> bool {
        self.giving.is_some() || self.stopping.is_some() || self.offered
    }

    /// Pauses the source when a full epoch, or a newer rule set, waits too long; resumes when there is room again.
    fn press_back(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if (self.is_full() || self.offered) && self.in_flight {
            let since = *self.full_since.get_or_insert(now);
            if !self.paused && now >= since + self.limits.pause_after_ms {
                self.paused = true;
                actions.push(Action::Pause);
            }
        } else {
            self.full_since = None;
            if self.paused {
                self.paused = false;
                actions.push(Action::Resume);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.records >= self.records_max() || self.bytes >= self.limits.bytes_max
    }

    fn is_due(&self, now: Millis) -> bool {
        self.is_full() || self.opened_at.is_some_and(|at| now >= at + self.limits.interval_ms)
    }

    fn discard(&mut self, actions: &mut Vec<Action>) {
        if self.records > 0 {
            actions.push(Action::Discard(self.records));
            self.owes_rewind = true;
        }
        self.clear_open();
    }

    fn clear_open(&mut self) {
        self.records = 0;
        self.bytes = 0;
        self.opened_at = None;
    }

    fn exit(&mut self, exit: Exit, actions: &mut Vec<Action>) {
        self.left = true;
        actions.push(Action::Exit(exit));
    }
}

#[cfg(test)]
#[path = "cycle/tests.rs"]
mod tests;
