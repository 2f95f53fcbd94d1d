//! The scheduler: events in virtual time, one after the other, in an order that the seed alone decides.
//!
//! Owns the lanes: each is the real `pipeline::lane`, turned by hand, and when it waits for the broker the world goes
//! on around it. Nothing here knows what the right result is: that is `oracle`'s.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::client::{SimSource, beat};
use super::group::Tp;
use super::producer::SimSink;
use super::state::{Event, Life, Mutation, State};
use super::workload::COMPILED;
use super::{LaneId, Millis};
use crate::config::Config;
use crate::pipeline::clock::Clock;
use crate::pipeline::cycle::CycleLimits;
use crate::pipeline::engine::{Engine, EngineLimits, Tally};
use crate::pipeline::lane::{FindingNote, Lane, LaneEvents, LaneLimits, Over, ParkNote, Stop};
use crate::pipeline::refusals::ParkLimits;
use crate::record::TimeMicros;
use crate::sink::Ended;
use crate::source::audit::Stamp;

/// Unwinds a killed lane off the stack.
struct Killed;

type SimLane = Lane<SimSource, SimSink, SimEvents, SimClock>;

/// The world.
pub(super) struct World {
    pub(super) state: RefCell<State>,
    pub(super) mutation: Option<Mutation>,
    lanes: RefCell<Vec<Option<SimLane>>>,
}

impl World {
    /// The world of a seed.
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, traced: bool) -> Rc<Self> {
        let state = State::new(seed, mutation, traced);
        Rc::new(Self { state: RefCell::new(state), mutation, lanes: RefCell::new(Vec::new()) })
    }

    /// Runs until everything has come to rest, or the oracle has seen enough.
    pub(super) fn run(self: &Rc<Self>) {
        while !self.state.borrow().finished && self.next() {}
        let lanes = std::mem::take(&mut *self.lanes.borrow_mut());
        drop(lanes);
    }

    /// The next event. False when there is none.
    fn next(self: &Rc<Self>) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(((at, _), event)) = state.queue.pop_first() else { return false };
        state.now = state.now.max(at);
        match event {
            Event::Turn(lane) => state.lives[lane].turn = None,
            Event::Beat(lane) => state.lives[lane].beat = None,
            _ => {}
        }
        if let Some(until) = state.stands_still(&event) {
            let delay = until - state.now + state.rng.below(5);
            match event {
                Event::Turn(lane) => state.turn_after(lane, delay),
                Event::Beat(lane) => state.beat_after(lane, delay),
                event => state.after(delay, event),
            }
            return true;
        }
        match event {
            Event::Turn(lane) => {
                drop(state);
                self.turn(lane);
            }
            Event::Beat(lane) if !state.lives[lane].dead => {
                let next = beat(&mut state, lane);
                state.beat_after(lane, next);
            }
            Event::Call(lane) if !state.lives[lane].dead => state.call_next(lane),
            Event::Answer { lane, token, answer } if !state.lives[lane].dead => {
                state.answered(lane, token, answer)
            }
            Event::Timeout { lane, token } if !state.lives[lane].dead => state.timed_out(lane, token),
            Event::Resend { lane, token } if !state.lives[lane].dead => state.resend(lane, token),
            Event::Beat(_)
            | Event::Call(_)
            | Event::Answer { .. }
            | Event::Timeout { .. }
            | Event::Resend { .. } => {}
            Event::Arrive { lane, token, request, back } => state.arrive(lane, token, &request, back),
            Event::Marker(marker) => state.broker.mark(&marker),
            Event::Broker => state.broker_clocks(),
            Event::Feed => state.feed(),
            Event::Read => state.read(),
            Event::Fault(fault) => state.fault(fault),
            Event::Start(process) => {
                drop(state);
                self.start(process);
            }
            Event::Resume(process) => state.note(|| format!("process {process}: goes on")),
            Event::Check => state.check(),
        }
        true
    }

    fn start(self: &Rc<Self>, process: usize) {
        let mut state = self.state.borrow_mut();
        if state.processes[process].up || state.processes[process].doubled {
            return;
        }
        state.note(|| format!("process {process}: starts"));
        let name = state.processes[process].name;
        state.processes[process].up = true;
        state.processes[process].stop = Stop::default();
        for index in 0..state.plan.lanes {
            let lane = state.lives.len();
            state.lives.push(Life::new(process, format!("sim-{name}-{index}")));
            state.processes[process].lanes.push(lane);
            self.lanes.borrow_mut().push(None);
            state.initialise(lane);
        }
    }

    /// The lane after its producer stands.
    fn lane(self: &Rc<Self>, lane: LaneId) -> SimLane {
        let state = self.state.borrow();
        let (plan, life) = (&state.plan, &state.lives[lane]);
        let me = Stamp { writer: life.sink.id.clone(), life: lane as u64 + 1, epoch: 0, birth: None };
        let limits = LaneLimits {
            cycle: CycleLimits {
                interval_ms: plan.interval_ms,
                records_max: plan.records_max,
                bytes_max: plan.bytes_max,
                pause_after_ms: 300,
                revoke_deadline_ms: plan.revoke_deadline_ms,
                stop_deadline_ms: 2_500,
                aborts_max: 20,
            },
            poll_records_max: 8,
            reject_bytes_max: 1_000,
            notes_max: 0,
            flood: Default::default(),
            park: ParkLimits { retry_ms: plan.retry_ms, retry_max_ms: 4 * plan.retry_ms },
        };
        let pipeline = Arc::clone(&COMPILED.pipeline);
        let source = SimSource::new(Rc::clone(self), lane, me.clone(), pipeline);
        let sink = SimSink { world: Rc::clone(self), lane };
        let engine = Engine::new(Arc::clone(&COMPILED), EngineLimits::from(&Config::default().limits));
        let clock = SimClock { world: Rc::clone(self), lane };
        Lane::new((source, sink), engine, SimEvents { world: Rc::clone(self) }, limits, me, clock)
    }

    fn turn(self: &Rc<Self>, lane: LaneId) {
        let stop = {
            let mut state = self.state.borrow_mut();
            if state.lives[lane].dead {
                drop(state);
                let buried = self.lanes.borrow_mut()[lane].take();
                drop(buried);
                return;
            }
            // Woken before its time, or waiting further down the stack: it turns once it is there.
            if state.lives[lane].turning {
                return;
            }
            state.lives[lane].turning = true;
            state.lives[lane].idle += 1;
            state.processes[state.lives[lane].process].stop.clone()
        };
        let kept = self.lanes.borrow_mut()[lane].take();
        let mut turned = kept.unwrap_or_else(|| self.lane(lane));
        let result = catch_unwind(AssertUnwindSafe(|| turned.turn_once(&stop)));
        self.state.borrow_mut().lives[lane].turning = false;
        match result {
            Ok(None) => {
                self.lanes.borrow_mut()[lane] = Some(turned);
                let mut state = self.state.borrow_mut();
                let (ahead, idle) = (state.local(lane) - state.now, state.lives[lane].idle.min(5));
                let stall = if state.rng.per_mille(3) { state.rng.below(1_500) } else { 0 };
                let pause = 1 + state.rng.below(4 << idle) + stall;
                state.turn_after(lane, ahead + pause);
            }
            Ok(Some(exit)) => {
                drop(turned);
                self.state.borrow_mut().left(lane, &exit);
            }
            Err(payload) if payload.is::<Killed>() => drop(turned),
            Err(payload) => resume_unwind(payload),
        }
    }

    pub(super) fn now(&self, lane: LaneId) -> Millis {
        self.state.borrow().local(lane)
    }

    /// The lane's thread did something.
    pub(super) fn busy(&self, lane: LaneId) {
        self.state.borrow_mut().lives[lane].idle = 0;
    }

    /// The lane's thread has waited so long, and saw nothing.
    pub(super) fn pass(&self, lane: LaneId, time: Millis) {
        let mut state = self.state.borrow_mut();
        state.lives[lane].local = state.local(lane) + time;
    }

    /// The broker takes a while for an answer.
    pub(super) fn answer_takes(&self, lane: LaneId) {
        let time = self.state.borrow_mut().rng.between(1, 6);
        self.pass(lane, time);
    }

    /// First offset and read-committed end of an input partition.
    pub(super) fn bounds(&self, tp: &Tp) -> (i64, i64) {
        (0, self.state.borrow().broker.inputs.get(tp).map_or(0, |log| log.end))
    }

    /// The lane's thread waits while the world goes on, at most until then. True once the condition holds.
    pub(super) fn wait(
        self: &Rc<Self>,
        lane: LaneId,
        until: Millis,
        mut holds: impl FnMut(&State) -> bool,
    ) -> bool {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if state.lives[lane].dead || state.finished {
                    drop(state);
                    resume_unwind(Box::new(Killed));
                }
                let paused_until = state.processes[state.lives[lane].process].paused_until;
                let paused = state.now < paused_until;
                if !paused && holds(&state) {
                    return true;
                }
                let until = until.max(paused_until);
                let next = state.queue.first_key_value().map(|((at, _), _)| *at);
                if next.is_none_or(|at| at > until) {
                    let late = state.local(lane).max(until);
                    state.lives[lane].local = late;
                    return holds(&state);
                }
            }
            self.next();
        }
    }
}

/// A lane's clock.
pub(super) struct SimClock {
    world: Rc<World>,
    lane: LaneId,
}

impl Clock for SimClock {
    fn now(&self) -> Millis {
        self.world.now(self.lane)
    }

    fn wall(&self) -> TimeMicros {
        1_790_000_000_000_000
    }

    fn sleep(&self, duration: Duration) {
        let time = super::millis(duration);
        if time <= 20 {
            return self.world.pass(self.lane, time);
        }
        let until = self.world.now(self.lane) + time;
        self.world.wait(self.lane, until, |_| false);
    }
}

/// What a lane tells its watchers.
pub(super) struct SimEvents {
    world: Rc<World>,
}

impl LaneEvents for SimEvents {
    fn discarded(&mut self, _records: u64) {
        self.world.state.borrow_mut().cover("open work discarded");
    }

    fn trouble(&mut self, what: &str) {
        let mut state = self.world.state.borrow_mut();
        state.cover("broker asked again");
        state.note(|| format!("trouble: {what}"));
    }

    fn parked(&mut self, parked: &[ParkNote], _over: Over) {
        if parked.iter().any(|note| note.retry_ms.is_some()) {
            self.world.state.borrow_mut().cover("organisation parked");
        }
    }

    fn ended(&mut self, ended: &Ended, _: &Tally, _: &[FindingNote], _: Duration) {
        let mut state = self.world.state.borrow_mut();
        if ended.doubtful {
            state.cover("doubtful epoch");
        }
    }
}
