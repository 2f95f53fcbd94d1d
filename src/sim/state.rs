//! The state of a run: the queue of events, the broker, lanes' lives, processes, and what faults do to them.
//!
//! Owns everything but the lanes themselves, so that whatever happens to a lane from outside is a plain change of
//! state. `world` takes the events out of the queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::{Answer, Broker, Marker, Request};
use super::client::Client;
use super::group::{Group, GroupId, Refusal, Tp};
use super::oracle::Oracle;
use super::plan::{CHAOS_MS, Fault, Plan, Point, SESSION_MS, TXN_TIMEOUT_MS};
use super::producer::Producing;
use super::rng::Rng;
use super::workload::ORGANISATIONS;
use super::{LaneId, Millis};
use crate::pipeline::cycle::Exit;
use crate::pipeline::lane::Stop;
use crate::sink::transaction::{Call, Verdict};

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
    pub(super) local: Millis,
    pub(super) idle: u32,
    pub(super) turning: bool,
    /// What its consumer has handed out.
    pub(super) read: BTreeMap<Tp, i64>,
    /// Where its next turn, and its client's next look, stand in the queue: there is one of each.
    pub(super) turn: Option<(Millis, u64)>,
    pub(super) beat: Option<(Millis, u64)>,
    pub(super) client: Client,
    pub(super) sink: Producing,
}

/// A process: all its lanes live and die together.
pub(super) struct Process {
    pub(super) name: usize,
    pub(super) lanes: Vec<LaneId>,
    pub(super) stop: Stop,
    pub(super) paused_until: Millis,
    pub(super) crash_at: Option<(Call, Point)>,
    pub(super) up: bool,
    /// Another process has its name: nobody starts it again.
    pub(super) doubled: bool,
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
    pub(super) outage_until: Millis,
    pub(super) queue: BTreeMap<(Millis, u64), Event>,
    pub(super) queued: u64,
}

impl State {
    /// The beginning of a seed's run.
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, traced: bool) -> Self {
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
        let mut broker = Broker::new(group, partitions, TXN_TIMEOUT_MS);
        broker.refused = plan.refused;
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
        state
    }

    /// Time for this lane.
    pub(super) fn local(&self, lane: LaneId) -> Millis {
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
    pub(super) fn left(&mut self, lane: LaneId, exit: &Exit) {
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

    pub(super) fn fault(&mut self, fault: Fault) {
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
    pub(super) fn stands_still(&self, event: &Event) -> Option<Millis> {
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

impl Life {
    pub(super) fn new(process: usize, id: String) -> Self {
        Self {
            process,
            dead: false,
            local: 0,
            idle: 0,
            turning: false,
            read: BTreeMap::new(),
            turn: None,
            beat: None,
            client: Client::default(),
            sink: Producing::new(id),
        }
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
