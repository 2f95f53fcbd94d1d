//! A lane: one source, one engine, one sink, one thread, and the loop that owns the epoch.
//!
//! Owns carrying out what the [`Cycle`] decides, in order, and the open epoch's outputs and offsets. It
//! decides nothing hard itself: *when* is `cycle`'s, *what* is `engine`'s, Kafka is behind the `Source` and
//! `Sink` ports. Called by `pipeline::service` on a thread of its own (I-10).

mod ending;
mod events;
mod parked;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::cycle::{Action, Cycle, CycleLimits, Event, Exit, Millis};
use super::engine::{Engine, Tally};
use super::flood::FloodLimits;
use super::open::{Leaving, Open};
use super::outlets::Outlets;
use super::refusals::{Left, ParkLimits, Refusals};
use super::slot::Slot;
use crate::sink::{Cause, Epoch, EpochEnd, Refusal, Sink};
use crate::source::audit::Stamp;
use crate::source::{Notice, Source, SourceError};
use ending::exit_of;

pub use events::{FindingNote, FloodNote, LaneEvents, Over, ParkNote};

/// How long a poll may wait while an epoch commits: its outcome must not wait for the next record.
const POLL_IN_FLIGHT: Duration = Duration::from_millis(2);
/// How long a lane that stops waits for its group to come to rest: a rebalance takes two heartbeats of 3 s.
const SETTLE_PATIENCE: Duration = Duration::from_secs(7);
/// Tries for a rewind or an assignment that the broker does not answer.
const BROKER_TRIES: u32 = 5;
/// Pause between them: an answer may also be a quick no.
const BROKER_PAUSE: Duration = Duration::from_millis(500);

/// What the lane believes is committed is compared with the broker after each so many epochs, and after any doubt.
const AUDIT_EVERY_EPOCHS: u64 = 64;
/// How often floods are looked for.
const FLOODS_EVERY_MS: Millis = 250;

/// Asks lanes to stop: once to finish, twice to leave at once.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Asks; the second time insists.
    pub fn ask(&self) {
        let _ =
            self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |asked| Some(asked.saturating_add(1)));
    }

    /// How often was asked.
    pub fn asked(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

/// Bounds of a lane beyond those of its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneLimits {
    /// When epochs are sealed.
    pub cycle: CycleLimits,
    /// Records taken from the source in one go.
    pub poll_records_max: usize,
    /// Larger rejects are cut.
    pub reject_bytes_max: usize,
    /// Keep notes of findings for watchers, at most this many an epoch.
    pub notes_max: usize,
    /// When rejects are a flood.
    pub flood: FloodLimits,
    /// How often an organisation that is parked is tried again.
    pub park: ParkLimits,
}

/// A lane.
pub struct Lane<S: Source, K: Sink<S::Group>, E: LaneEvents, C: Clock> {
    source: S,
    sink: K,
    engine: Engine,
    events: E,
    limits: LaneLimits,
    cycle: Cycle,
    open: Open,
    flight: Option<Flight>,
    outlets: Outlets,
    refusals: Refusals,
    flooded: Vec<FloodNote>,
    looked_at: Option<Millis>,
    /// Where newer rule sets come from.
    slot: Option<Arc<Slot>>,
    /// Number of the newest that the cycle knows of.
    offered: u64,
    /// How often it was asked to try those who are parked.
    retries: u64,
    clock: C,
    /// Who commits; with the epoch's number it is the stamp beside the offsets.
    me: Stamp,
    /// The epoch that the sink had last, and whether its outcome is unknown.
    last: u64,
    unknown: bool,
    asked: u8,
    asked_at: Millis,
}

struct Flight {
    tally: Tally,
    notes: Vec<FindingNote>,
    since: Option<Millis>,
    left: Left,
}

impl<S: Source, K: Sink<S::Group>, E: LaneEvents, C: Clock> Lane<S, K, E, C> {
    /// Puts a lane together; `me` is what its commits are stamped with.
    pub fn new(parts: (S, K), engine: Engine, events: E, limits: LaneLimits, me: Stamp, clock: C) -> Self {
        let (source, sink) = parts;
        Self {
            cycle: Cycle::new(limits.cycle, 1),
            outlets: Outlets::new(engine.compiled(), &limits),
            refusals: Refusals::new(&engine.compiled().pipeline, limits.cycle.records_max, limits.park),
            slot: None,
            offered: 0,
            retries: 0,
            source,
            sink,
            engine,
            events,
            open: Open::new(limits.flood),
            limits,
            flooded: Vec::new(),
            looked_at: None,
            flight: None,
            clock,
            me,
            last: 0,
            unknown: false,
            asked: 0,
            asked_at: 0,
        }
    }

    /// Takes newer rule sets from the slot; the engine runs that with this number.
    #[must_use]
    pub fn following(self, slot: Arc<Slot>, number: u64) -> Self {
        slot.follow(self.engine.limits());
        Self { retries: slot.retries(), slot: Some(slot), offered: number, ..self }
    }

    /// Runs until it is asked to stop or cannot go on; gives the parts back to be dropped in order.
    pub fn run(mut self, stop: &Stop) -> (Exit, S, K) {
        let exit = self.turn(stop);
        if exit == Exit::Stopped {
            let until = self.asked_at + self.limits.cycle.stop_deadline_ms;
            let left = Duration::from_millis(until.saturating_sub(self.now()));
            self.source.settle(left.min(SETTLE_PATIENCE));
        }
        self.events.left(&exit);
        (exit, self.source, self.sink)
    }

    fn turn(&mut self, stop: &Stop) -> Exit {
        loop {
            if let Some(exit) = self.turn_once(stop) {
                return exit;
            }
        }
    }

    /// One turn of the loop; a simulation turns it by hand.
    pub fn turn_once(&mut self, stop: &Stop) -> Option<Exit> {
        let asked = stop.asked();
        if asked > self.asked {
            self.asked = asked;
            self.asked_at = self.now();
            self.events.stopping();
            let event = if asked > 1 { Event::StopNow } else { Event::Stop };
            if let Some(exit) = self.step(event) {
                return Some(exit);
            }
        }
        if let Some(exit) = self.look_for_rules() {
            return Some(exit);
        }
        let (source, open_bytes) = (&self.source, self.open.output_bytes());
        self.events.beat(&|| source.status(), open_bytes);
        self.tell_floods();
        if let Some(exit) = self.collect(Duration::ZERO) {
            return Some(exit);
        }
        if let Err(error) = self.try_again() {
            return Some(Exit::Failed(error.to_string()));
        }
        let wants = self.cycle.wants_records() && self.engine.is_drained();
        let exit = if wants { self.read() } else { self.wait() };
        if exit.is_some() {
            return exit;
        }
        self.step(Event::Tick)
    }

    /// Tells the cycle of a newer rule set, once.
    fn look_for_rules(&mut self) -> Option<Exit> {
        let newest = self.slot.as_ref().map_or(0, |slot| slot.number());
        if newest <= self.offered {
            return None;
        }
        self.offered = newest;
        self.step(Event::Offered)
    }

    /// Takes what the source has.
    fn read(&mut self) -> Option<Exit> {
        let sleep = Duration::from_millis(self.cycle.sleep_ms(self.now()));
        let timeout = if self.cycle.in_flight() { POLL_IN_FLIGHT.min(sleep) } else { sleep };
        let room = usize::try_from(self.cycle.room()).unwrap_or(usize::MAX);
        let (notices, records, bytes) = self.poll(timeout, self.limits.poll_records_max.min(room));
        if records > 0
            && let Some(exit) = self.step(Event::Added { records, bytes })
        {
            return Some(exit);
        }
        self.notify(notices)
    }

    /// Nothing may be read: wait for the sink, and keep up with the group.
    fn wait(&mut self) -> Option<Exit> {
        let sleep = Duration::from_millis(self.cycle.sleep_ms(self.now()).clamp(1, 20));
        if self.flight.is_some() {
            if let Some(exit) = self.collect(sleep) {
                return Some(exit);
            }
        } else if self.asked > 0 || self.cycle.records() == 0 {
            self.clock.sleep(Duration::from_millis(1));
        }
        let (notices, records, bytes) = if self.cycle.is_paused() {
            // Paused partitions hand on nothing; if one record slips through, it is taken, not lost.
            self.poll(Duration::from_millis(1), 1)
        } else {
            self.poll(Duration::ZERO, 0)
        };
        if records > 0
            && let Some(exit) = self.step(Event::Added { records, bytes })
        {
            return Some(exit);
        }
        self.notify(notices)
    }

    fn poll(&mut self, timeout: Duration, records_max: usize) -> (Vec<Notice>, u64, u64) {
        let (mut records, mut bytes) = (0u64, 0u64);
        let (engine, open, outlets, clock) = (&mut self.engine, &mut self.open, &self.outlets, &self.clock);
        let refusals = &self.refusals;
        let notices = self.source.poll(timeout, records_max, &mut |record| {
            records += 1;
            bytes += record.payload.map_or(0, |payload| payload.len() as u64);
            outlets.take(engine, open, record, refusals, clock);
            if engine.is_drained() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        bytes += self.open.take_unreported();
        (notices, records, bytes)
    }

    fn notify(&mut self, notices: Vec<Notice>) -> Option<Exit> {
        for notice in notices {
            let event = match notice {
                Notice::Assigned => {
                    self.events.rebalanced("assigned", &self.source.moving());
                    Event::Assigned
                }
                Notice::Revoked => {
                    self.events.rebalanced("revoked", &self.source.moving());
                    Event::Revoked
                }
                Notice::Lost => {
                    self.events.rebalanced("lost", &self.source.moving());
                    Event::Lost
                }
                Notice::Failed(reason) => Event::SourceFailed(reason),
                Notice::Fenced(reason) => Event::SourceFenced(reason),
                Notice::Trouble(what) => {
                    self.events.trouble(&what);
                    continue;
                }
                Notice::Answering(answering) => {
                    self.events.answering(answering);
                    continue;
                }
                Notice::Troubles(troubles) => {
                    self.events.troubled(&troubles);
                    continue;
                }
            };
            if let Some(exit) = self.step(event) {
                return Some(exit);
            }
        }
        None
    }

    /// Takes the outcome of the epoch in flight, if there is one within `timeout`.
    fn collect(&mut self, timeout: Duration) -> Option<Exit> {
        self.flight.as_ref()?;
        let ended = self.sink.ended(timeout)?;
        let flight = self.flight.take()?;
        if ended.end == EpochEnd::Committed {
            self.source.committed(&ended.offsets);
            self.open.floods().committed();
        }
        self.unknown = matches!(ended.end, EpochEnd::Unknown(_));
        let age = flight.since.map(|since| Duration::from_millis(self.now().saturating_sub(since)));
        self.events.ended(&ended, &flight.tally, &flight.notes, age.unwrap_or_default());
        let due = ended.doubtful || ended.number.is_multiple_of(AUDIT_EVERY_EPOCHS);
        if ended.end == EpochEnd::Committed
            && due
            && let Err(error) = self.with_patience(|source| source.audit(ended.number))
        {
            return Some(exit_of(&error));
        }
        let end = self.refusals.judge(&ended, &flight.left, self.now());
        self.cycle.narrow(self.refusals.limit());
        match &end {
            EpochEnd::Refused(Refusal { cause: Cause::Topic(_), .. }) => {
                if let Err(error) = self.hold(Over::Published) {
                    return Some(Exit::Failed(error.to_string()));
                }
            }
            EpochEnd::Refused(Refusal { why, .. }) => self.events.trouble(why),
            EpochEnd::Committed if !flight.left.tries.is_empty() => {
                self.events.parked(&self.refusals.notes(self.now()), Over::Published);
            }
            _ => {}
        }
        self.step(Event::Ended(end))
    }

    /// One transition of the cycle, carried out.
    fn step(&mut self, event: Event) -> Option<Exit> {
        let now = self.now();
        for action in self.cycle.step(now, event) {
            let done = match action {
                Action::Seal(number) => match self.seal(number) {
                    Some(exit) => return Some(exit),
                    None => Ok(()),
                },
                Action::Discard(records) => {
                    self.discard(records);
                    Ok(())
                }
                Action::Rewind => {
                    self.open.floods().rewind();
                    let (last, unknown) = (self.last, self.unknown);
                    let done = self.with_patience(|source| source.rewind(last, unknown));
                    self.refusals.through(&self.source.status());
                    done
                }
                Action::Assign => self.with_patience(S::assign),
                Action::Unassign => self.unassign(),
                Action::Pause => {
                    self.events.paused(true);
                    self.source.pause()
                }
                Action::Resume => {
                    self.events.paused(false);
                    self.source.resume()
                }
                Action::Adopt => self.adopt(),
                Action::Exit(exit) => return Some(exit),
            };
            match done {
                Ok(()) => {}
                Err(error) => return Some(exit_of(&error)),
            }
        }
        None
    }

    /// A broker that does not answer at once is asked again: this is where an outage shows.
    fn with_patience(&mut self, call: impl Fn(&mut S) -> Result<(), SourceError>) -> Result<(), SourceError> {
        let mut tries = 1;
        loop {
            match call(&mut self.source) {
                Err(error @ SourceError::Kafka { .. }) if tries < BROKER_TRIES && self.asked == 0 => {
                    self.events.trouble(&error.to_string());
                    tries += 1;
                    self.clock.sleep(BROKER_PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Hands what is whole to the sink; what waits opens the next epoch.
    fn seal(&mut self, number: u64) -> Option<Exit> {
        self.outlets.search(&mut self.engine, &mut self.open, &self.refusals, &self.clock);
        let Leaving { outputs, offsets, notes, rejects_cut, read, since } = self.open.leave();
        let group = self.source.group();
        let mut tally = Tally { rejects_cut, ..self.engine.take_tally() };
        // What waits was read as well, and is counted when it leaves.
        for (at, source) in tally.sources.iter_mut().enumerate() {
            (source.records, source.bytes) = read.get(&at).copied().unwrap_or_default();
        }
        let left = self.refusals.leaves(read.values().map(|(records, _)| records).sum(), &outputs);
        let Left { apart, batches_halved, .. } = left;
        self.flight = Some(Flight { tally, notes, since, left });
        self.last = number;
        let stamp = |birth| Stamp { epoch: number, birth, ..self.me.clone() }.to_string();
        let births = offsets.iter().map(|(topic, partition, _)| self.source.birth(topic, *partition));
        let stamps = births.map(stamp).collect();
        self.sink.submit(Epoch { number, outputs, offsets, stamps, group, apart, batches_halved });
        match self.open.waiting() {
            0 => None,
            // It is full from the beginning: nothing is read before these are through.
            records => self.step(Event::Added { records, bytes: self.limits.cycle.bytes_max }),
        }
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        let done = self.source.unassign();
        let kept = self.source.status();
        self.open.keep(&kept);
        self.refusals.keep(&kept);
        done
    }

    /// Tells of floods when they begin and end, seldom enough to cost nothing.
    fn tell_floods(&mut self) {
        let now = self.now();
        if self.looked_at.is_some_and(|at| now < at + FLOODS_EVERY_MS) {
            return;
        }
        self.looked_at = Some(now);
        let flooded = self.open.flooded(now);
        if flooded != self.flooded {
            self.events.flooded(&flooded);
            self.flooded = flooded;
        }
    }

    /// Exchanges all that belongs to a rule set. Nothing is open and nothing in flight, so no epoch has two (I-8).
    fn adopt(&mut self) -> Result<(), SourceError> {
        let limits = self.engine.limits();
        let Some((newest, ready)) = self.slot.as_ref().map(|slot| slot.take(limits)) else { return Ok(()) };
        self.offered = newest.number;
        let pipeline = Arc::clone(&newest.compiled.pipeline);
        self.with_patience(|source| source.hold(&BTreeSet::new()))?;
        self.with_patience(|source| source.declare(&pipeline))?;
        let engine = ready.unwrap_or_else(|| self.engine.renewed(Arc::clone(&newest.compiled)));
        let old = std::mem::replace(&mut self.engine, engine);
        self.outlets = Outlets::new(&newest.compiled, &self.limits);
        self.refusals = self.refusals.renewed(&pipeline);
        self.cycle.narrow(None);
        // Nothing is open; which source a partition is may be another now, so floods are counted anew.
        self.open = Open::new(self.limits.flood);
        self.flooded.clear();
        self.events.flooded(&[]);
        self.events.adopted(&newest);
        // Nobody else here has the old rules any more.
        Slot::retire(old);
        self.hold(Over::Changed)
    }

    fn discard(&mut self, discarded: u64) {
        self.events.discarded(discarded);
        self.engine.discard();
        let _ = self.engine.take_tally();
        self.open.discard();
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}

#[cfg(test)]
#[path = "lane/tests.rs"]
mod tests;
