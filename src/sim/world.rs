//! The scheduler: events in virtual time, one after the other, in an order that the seed alone decides.
//!
//! Owns time, the queue of events, processes with their lanes, and what faults do to them. A lane runs on the real
//! `pipeline::lane` and is turned by hand; when it waits for the broker, the world goes on around it. Nothing here
//! knows what the right result is: that is `oracle`'s.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::broker::{Answer, Broker, Marker, Request};
use super::client::{Client, SimSource, beat};
use super::group::{Group, GroupId, Refusal, Tp};
use super::oracle::Oracle;
use super::plan::{CHAOS_MS, Fault, Plan, Point, SESSION_MS, TXN_TIMEOUT_MS};
use super::producer::{Producing, SimSink};
use super::rng::Rng;
use super::workload::{COMPILED, ORGANISATIONS};
use super::{LaneId, Millis};
use crate::config::Config;
use crate::pipeline::clock::Clock;
use crate::pipeline::cycle::{CycleLimits, Exit};
use crate::pipeline::engine::{Engine, EngineLimits, Tally};
use crate::pipeline::lane::{FindingNote, Lane, LaneEvents, LaneLimits, Stop};
use crate::record::TimeMicros;
use crate::sink::Ended;
use crate::sink::transaction::{Call, Verdict};
use crate::source::audit::Stamp;

/// What is switched off, so that the simulation must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Tainted producers go on.
    NoTaint,
    /// Offsets are committed behind the transaction, not in it.
    OffsetsOutside,
    /// The same, and nobody compares belief and broker.
    OffsetsOutsideNoAudit,
    /// After an abort the input is not rewound.
    NoRewind,
    /// The same, and nobody compares belief and broker.
    NoRewindNoAudit,
}

impl Mutation {
    pub(super) fn no_audit(self) -> bool {
        matches!(self, Self::OffsetsOutsideNoAudit | Self::NoRewindNoAudit)
    }

    pub(super) fn no_rewind(self) -> bool {
        matches!(self, Self::NoRewind | Self::NoRewindNoAudit)
    }

    pub(super) fn offsets_outside(self) -> bool {
        matches!(self, Self::OffsetsOutside | Self::OffsetsOutsideNoAudit)
    }
}

/// What happens next.
#[derive(Debug)]
pub(super) enum Event {
    /// A lane's loop turns once.
    Turn(LaneId),
    /// A consumer's background looks at its group.
    Beat(LaneId),
    /// A producer makes the call that comes next.
    Call(LaneId),
    /// A request reaches the broker; `token` is the try that waits for its answer.
    Arrive {
        lane: LaneId,
        token: Option<u64>,
        request: Request,
        back: Millis,
    },
    Answer {
        lane: LaneId,
        token: u64,
        answer: Answer,
    },
    Timeout {
        lane: LaneId,
        token: u64,
    },
    Resend {
        lane: LaneId,
        token: u64,
    },
    Marker(Marker),
    /// The broker looks at its clocks.
    Broker,
    /// Records are fed in.
    Feed,
    /// The concurrent reader looks.
    Read,
    Fault(Fault),
    Start(usize),
    Resume(usize),
    /// Whether everything has come to rest.
    Check,
}

/// One life of a lane.
pub(super) struct Life {
    pub(super) process: usize,
    /// Killed, or ended.
    pub(super) dead: bool,
    /// How far its own thread is, when it has waited.
    local: Millis,
    idle: u32,
    turning: bool,
    /// What its consumer has handed out.
    pub(super) read: BTreeMap<Tp, i64>,
    /// Where its next turn, and its client's next look, stand in the queue: there is one of each.
    turn: Option<(Millis, u64)>,
    beat: Option<(Millis, u64)>,
    pub(super) client: Client,
    pub(super) sink: Producing,
}

/// A process: all its lanes live and die together.
pub(super) struct Process {
    name: usize,
    lanes: Vec<LaneId>,
    stop: Stop,
    pub(super) paused_until: Millis,
    crash_at: Option<(Call, Point)>,
    up: bool,
    /// Another process has its name: nobody starts it again.
    doubled: bool,
}

/// Everything but the lanes themselves.
pub(super) struct State {
    pub(super) now: Millis,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) mutation: Option<Mutation>,
    pub(super) broker: Broker,
    pub(super) lives: Vec<Life>,
    pub(super) processes: Vec<Process>,
    pub(super) oracle: Oracle,
    pub(super) covered: BTreeMap<&'static str, u64>,
    pub(super) trace: Option<Vec<String>>,
    pub(super) finished: bool,
    outage_until: Millis,
    queue: BTreeMap<(Millis, u64), Event>,
    queued: u64,
}

/// Unwinds a killed lane off the stack.
struct Killed;

type SimLane = Lane<SimSource, SimSink, SimEvents, SimClock>;

/// The world.
pub(super) struct World {
    pub(super) state: RefCell<State>,
    pub(super) mutation: Option<Mutation>,
    lanes: RefCell<Vec<Option<SimLane>>>,
}

impl State {
    /// Time for this lane.
    fn local(&self, lane: LaneId) -> Millis {
        self.lives[lane].local.max(self.now)
    }

    pub(super) fn after(&mut self, delay: Millis, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + delay, self.queued), event);
    }

    /// The lane's next turn, at the latest after this delay.
    pub(super) fn turn_after(&mut self, lane: LaneId, delay: Millis) {
        let at = self.now + delay;
        if self.lives[lane].turn.is_some_and(|(planned, _)| planned <= at) {
            return;
        }
        self.after(delay, Event::Turn(lane));
        let key = (at, self.queued);
        if let Some(old) = self.lives[lane].turn.replace(key) {
            self.queue.remove(&old);
        }
    }

    /// The client's next look at its group, at the latest after this delay.
    pub(super) fn beat_after(&mut self, lane: LaneId, delay: Millis) {
        let at = self.now + delay;
        if self.lives[lane].beat.is_some_and(|(planned, _)| planned <= at) {
            return;
        }
        self.after(delay, Event::Beat(lane));
        let key = (at, self.queued);
        if let Some(old) = self.lives[lane].beat.replace(key) {
            self.queue.remove(&old);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.now >= self.outage_until
    }

    pub(super) fn is_up_for(&self, lane: LaneId) -> bool {
        self.local(lane) >= self.outage_until
    }

    /// Whether faults still happen.
    pub(super) fn faults_on(&self) -> bool {
        self.now < CHAOS_MS
    }

    pub(super) fn cover(&mut self, what: &'static str) {
        *self.covered.entry(what).or_default() += 1;
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now, what()));
        }
    }

    /// A commit besides any transaction: where `latest` begins.
    pub(super) fn pin(&mut self, who: GroupId, offsets: Vec<(Tp, i64)>) -> Result<(), Refusal> {
        let request = Request::Offsets { who, offsets: offsets.clone(), stamp: String::new() };
        self.note(|| format!("broker: {request:?}"));
        match self.broker.take(&request, self.now) {
            Answer::Refused(refusal) => Err(refusal),
            _ => {
                self.cover("beginning committed");
                self.oracle.begins(offsets);
                Ok(())
            }
        }
    }

    /// Whether a process was to be killed at this call, and now is.
    pub(super) fn crashes_at(&mut self, lane: LaneId, call: Call, at: Point) -> bool {
        let process = self.lives[lane].process;
        if self.processes[process].crash_at != Some((call, at)) {
            return false;
        }
        self.cover(match at {
            Point::Before => "killed before a call",
            Point::Between => "killed between request and answer",
            Point::After => "killed after a call",
        });
        self.kill(process);
        true
    }

    /// SIGKILL, and a restart after a while.
    fn kill(&mut self, process: usize) {
        self.note(|| format!("process {process}: killed"));
        let lanes = std::mem::take(&mut self.processes[process].lanes);
        for lane in lanes {
            self.lives[lane].dead = true;
            self.turn_after(lane, 0);
        }
        self.down(process);
    }

    fn down(&mut self, process: usize) {
        let entry = &mut self.processes[process];
        entry.up = false;
        entry.crash_at = None;
        if !entry.doubled {
            let pause = self.rng.pick(&[50, 500, 2_000, 6_000]);
            self.after(pause, Event::Start(process));
        }
    }

    /// The first producer of a lane stands, or cannot be had.
    pub(super) fn initialised(&mut self, lane: LaneId, verdict: Verdict) {
        let process = self.lives[lane].process;
        if verdict == Verdict::Ok {
            self.turn_after(lane, 0);
            self.beat_after(lane, 1);
        } else {
            // What a process does that cannot start: it ends, and is started again.
            self.kill(process);
        }
    }

    /// A lane has left its loop: the others of its process follow, and then it is started again.
    fn left(&mut self, lane: LaneId, exit: &Exit) {
        self.ended(lane, exit);
        self.lives[lane].dead = true;
        let process = self.lives[lane].process;
        let entry = &mut self.processes[process];
        entry.lanes.retain(|other| *other != lane);
        if entry.lanes.is_empty() {
            self.down(process);
        } else if entry.stop.asked() == 0 {
            entry.stop.ask();
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.note(|| format!("fault: {fault:?}"));
        match fault {
            Fault::Crash { process } if self.processes[process].up => {
                self.cover("killed");
                self.kill(process);
            }
            Fault::CrashAt { process, call, at } => self.processes[process].crash_at = Some((call, at)),
            Fault::Pause { process, for_ms } if self.processes[process].up => {
                self.cover("stood still");
                self.pause(process, for_ms);
            }
            Fault::Double { process, for_ms } if self.processes[process].up => {
                self.cover("doubled");
                self.pause(process, for_ms);
                self.processes[process].doubled = true;
                let name = self.processes[process].name;
                self.processes.push(Process::new(name));
                self.after(300, Event::Start(self.processes.len() - 1));
            }
            Fault::Stop { process } if self.processes[process].up => {
                self.cover("asked to stop");
                self.processes[process].stop.ask();
            }
            Fault::StopNow { process } if self.processes[process].up => {
                self.cover("told to stop");
                self.processes[process].stop.ask();
                self.processes[process].stop.ask();
            }
            Fault::Outage { for_ms } => {
                self.cover("outage");
                self.outage_until = self.now + for_ms;
            }
            _ => {}
        }
    }

    fn pause(&mut self, process: usize, for_ms: Millis) {
        self.processes[process].paused_until = self.now + for_ms;
        self.after(for_ms, Event::Resume(process));
    }

    /// When the lane of an event may go on, if it stands still.
    fn stands_still(&self, event: &Event) -> Option<Millis> {
        let (Event::Turn(lane)
        | Event::Beat(lane)
        | Event::Call(lane)
        | Event::Answer { lane, .. }
        | Event::Timeout { lane, .. }
        | Event::Resend { lane, .. }) = event
        else {
            return None;
        };
        let life = &self.lives[*lane];
        let until = self.processes[life.process].paused_until;
        (!life.dead && until > self.now).then_some(until)
    }
}

impl Process {
    fn new(name: usize) -> Self {
        Self {
            name,
            lanes: Vec::new(),
            stop: Stop::default(),
            paused_until: 0,
            crash_at: None,
            up: false,
            doubled: false,
        }
    }
}

impl World {
    /// The world of a seed.
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, traced: bool) -> Rc<Self> {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let partitions: Vec<Tp> = ORGANISATIONS
            .iter()
            .flat_map(|organisation| {
                let topic: Arc<str> = Arc::from(format!("in.{organisation}"));
                (0..plan.partitions).map(move |partition| (Arc::clone(&topic), partition))
            })
            .collect();
        let group = Group::new(partitions.clone(), plan.cooperative, SESSION_MS);
        let broker = Broker::new(group, partitions, TXN_TIMEOUT_MS);
        let mut state = State {
            now: 0,
            rng,
            mutation,
            broker,
            lives: Vec::new(),
            processes: (0..plan.processes).map(Process::new).collect(),
            oracle: Oracle::default(),
            covered: BTreeMap::new(),
            trace: traced.then(Vec::new),
            finished: false,
            outage_until: 0,
            queue: BTreeMap::new(),
            queued: 0,
            plan,
        };
        state.note(|| String::from("the plan follows"));
        let plan = state.plan.clone();
        state.note(|| format!("{plan:?}"));
        for (process, at) in plan.starts.iter().enumerate() {
            state.after(*at, Event::Start(process));
        }
        for (at, fault) in plan.faults {
            state.after(at, Event::Fault(fault));
        }
        state.after(100, Event::Broker);
        state.after(1, Event::Feed);
        state.after(50, Event::Read);
        state.after(CHAOS_MS, Event::Check);
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
            let sink = Producing::new(format!("sim-{name}-{index}"));
            state.lives.push(Life {
                process,
                dead: false,
                local: 0,
                idle: 0,
                turning: false,
                read: BTreeMap::new(),
                turn: None,
                beat: None,
                client: Client::default(),
                sink,
            });
            state.processes[process].lanes.push(lane);
            self.lanes.borrow_mut().push(None);
            state.initialise(lane);
        }
    }

    /// The lane after its producer stands.
    fn lane(self: &Rc<Self>, lane: LaneId) -> SimLane {
        let state = self.state.borrow();
        let (plan, life) = (&state.plan, &state.lives[lane]);
        let me = Stamp { writer: life.sink.id.clone(), life: lane as u64 + 1, epoch: 0 };
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

    fn ended(&mut self, ended: &Ended, _: &Tally, _: &[FindingNote], _: Duration) {
        let mut state = self.world.state.borrow_mut();
        if ended.doubtful {
            state.cover("doubtful epoch");
        }
    }
}
