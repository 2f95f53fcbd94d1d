//! A producer: what the client library does with each call, and the `Sink` over it.
//!
//! Owns the requests behind a call, their fate on the wire, and the client's own tries, whose only trace is the taint.
//! Which call is made and what follows from it is the real `sink::carry`.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::broker::{Answer, Holder, Request};
use super::group::{GroupId, Tp};
use super::plan::Point;
use super::state::{Event, Mutation, State};
use super::world::World;
use super::{LaneId, Millis, millis};
use crate::sink::carry::{Calls, Carry, CarryLimits, Failure, Left, Step};
use crate::sink::transaction::{Call, Verdict};
use crate::sink::{Cause, Ended, Epoch, EpochEnd, Output, Sink};

mod batches;
mod refused;

use batches::batches;

/// A transaction is tried for so long, and a new producer may take so long.
pub(super) const LIMITS: CarryLimits =
    CarryLimits { try_for_ms: 4_500, replace_for_ms: 6_000, slow_ms: 1_000, replace_tainted: true };

/// What a batch of outputs holds at most, in bytes, when it is not halved.
const BATCH_BYTES: usize = 64_000;

/// A call under way.
#[derive(Debug)]
struct Calling {
    call: Call,
    until: Millis,
    requests: VecDeque<Request>,
}

/// The client library's state and the carrier of the epoch.
#[derive(Debug, Default)]
pub(super) struct Producing {
    pub(super) id: String,
    holder: Option<Holder>,
    /// By topic: the next sequence number.
    next: BTreeMap<Arc<str>, u64>,
    /// Whether the coordinator was asked for anything in this transaction.
    asked: bool,
    /// Whether records may have arrived, or not.
    in_doubt: bool,
    /// How often its batches are halved.
    batches_halved: u32,
    /// What the broker refused in the call under way.
    cause: Option<Cause>,
    /// Whether it has refused something in this call: then nothing more is enqueued.
    refused: bool,
    /// Why it is tainted, and since when the client's counters show it.
    taint: Option<(&'static str, Millis)>,
    carry: Option<Carry<GroupId>>,
    left: Left,
    ended: Option<Ended>,
    calling: Option<Calling>,
    /// Which try an answer must belong to.
    token: u64,
    /// Offsets that the mutation keeps for later.
    aside: Option<Request>,
}

/// What the calls behind `Carry` answer: the verdict that the wire has already given.
struct Known {
    verdict: Verdict,
    why: &'static str,
    cause: Option<Cause>,
    taint: Option<&'static str>,
}

impl Calls<GroupId> for Known {
    fn call(&mut self, _: Call, _: &Epoch<GroupId>, _: Millis) -> Result<(), Failure> {
        if self.verdict == Verdict::Ok {
            return Ok(());
        }
        Err(Failure { verdict: self.verdict, why: self.why.to_owned(), cause: self.cause.take() })
    }

    fn taint(&mut self) -> Option<String> {
        self.taint.map(str::to_owned)
    }

    fn fenced(&self, why: &str) -> String {
        why.to_owned()
    }
}

impl Producing {
    pub(super) fn new(id: String) -> Self {
        Self { id, ..Self::default() }
    }

    fn seen_taint(&self, now: Millis) -> Option<&'static str> {
        self.taint.filter(|(_, shown)| *shown <= now).map(|(why, _)| why)
    }
}

impl State {
    /// The first producer of a lane: before anything else is done.
    pub(super) fn initialise(&mut self, lane: LaneId) {
        let id = self.lives[lane].sink.id.clone();
        let until = self.now + LIMITS.replace_for_ms;
        let requests = VecDeque::from([Request::Init { id, holder: None }]);
        self.lives[lane].sink.calling = Some(Calling { call: Call::Replace, until, requests });
        self.send(lane);
    }

    /// Begins the call that comes next.
    pub(super) fn call_next(&mut self, lane: LaneId) {
        let sink = &mut self.lives[lane].sink;
        let Some((call, epoch, until)) = sink.carry.as_ref().and_then(Carry::due) else { return };
        let (id, holder) = (sink.id.clone(), sink.holder);
        let mut requests = VecDeque::new();
        let mut verdict = None;
        match (call, holder) {
            (Call::Replace, _) => {
                sink.holder = None;
                requests.push_back(Request::Init { id, holder: None });
            }
            (_, None) => verdict = Some((Verdict::Fatal, "there is no producer")),
            (Call::Begin, _) => {
                sink.asked = false;
                verdict = Some((Verdict::Ok, ""));
            }
            (Call::Produce, Some(holder)) => {
                let mut topics: BTreeMap<Arc<str>, Vec<Rc<Output>>> = BTreeMap::new();
                for output in &epoch.outputs {
                    topics.entry(Arc::clone(&output.topic)).or_default().push(Rc::new(output.clone()));
                }
                for (topic, outputs) in topics {
                    requests.push_back(Request::AddTopic {
                        id: id.clone(),
                        holder,
                        topic: Arc::clone(&topic),
                    });
                    let most = if epoch.apart { 0 } else { BATCH_BYTES >> sink.batches_halved };
                    for outputs in batches(outputs, most) {
                        let next = sink.next.entry(Arc::clone(&topic)).or_default();
                        let from = *next;
                        *next += outputs.len() as u64;
                        requests.push_back(Request::Produce {
                            id: id.clone(),
                            holder,
                            topic: Arc::clone(&topic),
                            from,
                            outputs: Rc::new(outputs),
                        });
                    }
                }
                if requests.is_empty() {
                    verdict = Some((Verdict::Ok, ""));
                }
            }
            (Call::SendOffsets, Some(holder)) => match &epoch.group {
                None => verdict = Some((Verdict::Abort, "the consumer has left its group")),
                Some(who) => {
                    let offsets: Vec<(Tp, i64)> = epoch
                        .offsets
                        .iter()
                        .map(|(topic, at, offset)| ((Arc::clone(topic), *at), *offset))
                        .collect();
                    let stamp = epoch.stamps.first().cloned().unwrap_or_default();
                    if self.mutation.is_some_and(Mutation::offsets_outside) {
                        sink.aside = Some(Request::Offsets { who: who.clone(), offsets, stamp });
                        verdict = Some((Verdict::Ok, ""));
                    } else {
                        let who = who.clone();
                        requests.push_back(Request::AddOffsets { id: id.clone(), holder });
                        requests.push_back(Request::TxnOffsets { id, holder, who, offsets, stamp });
                    }
                }
            },
            (Call::Commit, Some(holder)) if sink.asked => {
                requests.push_back(Request::End { id, holder, commit: true });
                requests.extend(sink.aside.take());
            }
            (Call::Commit, Some(_)) => match sink.aside.take() {
                Some(request) => requests.push_back(request),
                None => verdict = Some((Verdict::Ok, "")),
            },
            // Records in doubt: only a new epoch makes their sequence whole, and it aborts as well.
            (Call::Abort, Some(holder)) if sink.in_doubt => {
                requests.push_back(Request::Init { id, holder: Some(holder) });
            }
            (Call::Abort, Some(holder)) if sink.asked => {
                requests.push_back(Request::End { id, holder, commit: false });
            }
            (Call::Abort, Some(_)) => verdict = Some((Verdict::Ok, "")),
        }
        if !requests.is_empty() {
            sink.asked |= !matches!(call, Call::Replace);
        }
        sink.calling = Some(Calling { call, until, requests });
        if self.crashes_at(lane, call, Point::Before) {
            return;
        }
        match verdict {
            Some((verdict, why)) => self.called(lane, verdict, why),
            None => self.send(lane),
        }
    }

    /// Sends the first request of the call; the wire decides what becomes of it.
    pub(super) fn send(&mut self, lane: LaneId) {
        let now = self.now;
        let Some(calling) = &self.lives[lane].sink.calling else { return };
        let (Some(request), call, until) = (calling.requests.front().cloned(), calling.call, calling.until)
        else {
            return;
        };
        if now >= until {
            return self.give_up(lane);
        }
        self.lives[lane].sink.token += 1;
        let token = self.lives[lane].sink.token;
        if !self.is_up() {
            self.taint(lane, "a connection was lost", false);
            let pause = self.rng.between(50, 300);
            return self.after(pause, Event::Timeout { lane, token });
        }
        let wire = if self.faults_on() { self.plan.wire } else { super::plan::Wire::default() };
        let (way, back) = (self.rng.between(1, 8), self.rng.between(1, 8));
        let answer_ms = self.plan.answer_ms;
        let arrive = |state: &mut Self, way: Millis, token: Option<u64>| {
            state.after(way, Event::Arrive { lane, token, request: request.clone(), back });
        };
        if self.rng.per_mille(wire.lost) {
            self.cover("request lost");
            self.note(|| format!("lane {lane}: {call:?} {request:?} is lost"));
        } else if self.rng.per_mille(wire.delayed) {
            self.cover("request delayed");
            let late = answer_ms + self.rng.between(1, 400);
            self.note(|| format!("lane {lane}: {call:?} {request:?} is delayed by {late} ms"));
            arrive(self, late, None);
        } else if self.rng.per_mille(wire.answer_lost) {
            self.cover("answer lost");
            self.note(|| format!("lane {lane}: the answer to {call:?} {request:?} is lost"));
            arrive(self, way, None);
        } else if self.rng.per_mille(wire.doubled) {
            // A connection breaks behind a request that is under way, and the client sends it again at once.
            self.cover("request doubled");
            let late = way + self.rng.between(1, 400);
            self.note(|| format!("lane {lane}: {call:?} {request:?} is doubled, the second {late} ms late"));
            self.taint(lane, "a request was sent again", false);
            arrive(self, way, Some(token));
            arrive(self, late, None);
        } else {
            arrive(self, way, Some(token));
        }
        self.after(answer_ms, Event::Timeout { lane, token });
    }

    /// Sends the same request again, unless the call is over.
    pub(super) fn resend(&mut self, lane: LaneId, token: u64) {
        if self.lives[lane].sink.token == token {
            self.send(lane);
        }
    }

    /// A request reaches the broker.
    pub(super) fn arrive(&mut self, lane: LaneId, token: Option<u64>, request: &Request, back: Millis) {
        if !self.is_up() {
            return;
        }
        let answer = self.broker.take(request, self.now);
        if token.is_none() && matches!(request, Request::End { .. }) {
            self.cover("an unasked end arrived");
        }
        self.note(|| format!("broker: {request:?} → {answer:?}"));
        for marker in self.broker.markers() {
            let delay = self.rng.below(25);
            self.after(delay, Event::Marker(marker));
        }
        let Some(token) = token else { return };
        let call = self.lives[lane].sink.calling.as_ref().map(|calling| calling.call);
        if let Some(call) = call
            && self.crashes_at(lane, call, Point::Between)
        {
            return;
        }
        self.after(back, Event::Answer { lane, token, answer });
    }

    /// Nobody has answered: the client tries again by itself, or says so.
    pub(super) fn timed_out(&mut self, lane: LaneId, token: u64) {
        if self.lives[lane].sink.token != token || self.lives[lane].sink.calling.is_none() {
            return;
        }
        self.taint(lane, "a request had no answer in time", true);
        let told = self.plan.wire.told;
        let call = self.lives[lane].sink.calling.as_ref().map(|calling| calling.call);
        if self.faults_on() && call != Some(Call::Replace) && self.rng.per_mille(told) {
            return self.give_up(lane);
        }
        self.cover("hidden retry");
        self.send(lane);
    }

    /// A lost connection is reported at once, what only counters tell when they are next given out.
    fn taint(&mut self, lane: LaneId, why: &'static str, counted_only: bool) {
        let delay = if counted_only { self.rng.below(self.plan.counters_ms) } else { 0 };
        let shown = (why, self.now + delay);
        let known = self.lives[lane].sink.taint.get_or_insert(shown);
        known.1 = known.1.min(shown.1);
    }

    /// The call's time is over, or the client asks its caller to decide.
    fn give_up(&mut self, lane: LaneId) {
        let Some(calling) = &self.lives[lane].sink.calling else { return };
        let verdict = match calling.call {
            Call::Replace => Verdict::Fatal,
            Call::Produce => {
                self.lives[lane].sink.in_doubt = true;
                self.lives[lane].sink.cause = Some(Cause::TooSlow);
                Verdict::Abort
            }
            _ => Verdict::Retry,
        };
        self.cover("doubt handed on");
        self.called(lane, verdict, "timed out");
    }

    /// An answer arrives.
    pub(super) fn answered(&mut self, lane: LaneId, token: u64, answer: Answer) {
        let sink = &mut self.lives[lane].sink;
        let Some(calling) = sink.calling.as_mut().filter(|_| sink.token == token) else { return };
        match answer {
            Answer::Concurrent => {
                sink.token += 1;
                let (token, pause) = (sink.token, self.rng.between(5, 50));
                self.cover("concurrent transactions");
                self.after(pause, Event::Resend { lane, token });
            }
            Answer::Fenced => {
                self.cover("fenced");
                self.called(lane, Verdict::Fenced, "fenced");
            }
            Answer::Refused(refusal) => {
                self.cover("stale member fenced");
                self.note(|| format!("lane {lane}: {refusal:?}"));
                self.called(lane, Verdict::Abort, "the group has gone on");
            }
            Answer::Denied(topic) => self.refused(lane, Cause::Topic(topic)),
            Answer::TooLarge(topic) => self.refused(lane, Cause::Size(topic)),
            // What follows a refused batch goes down with it.
            Answer::OutOfOrder if sink.refused => self.done(lane),
            Answer::InvalidState | Answer::OutOfOrder if calling.call == Call::Produce => {
                sink.in_doubt = true;
                self.called(lane, Verdict::Abort, "not in a transaction");
            }
            Answer::InvalidState | Answer::OutOfOrder => {
                self.cover("invalid transaction state");
                self.called(lane, Verdict::Fatal, "invalid transaction state");
            }
            Answer::Holder(holder) => {
                sink.holder = Some(holder);
                sink.next.clear();
                sink.in_doubt = false;
                if calling.call == Call::Replace {
                    sink.taint = None;
                }
                self.done(lane);
            }
            Answer::Done => self.done(lane),
        }
    }

    /// One request of the call is through.
    fn done(&mut self, lane: LaneId) {
        let Some(calling) = &mut self.lives[lane].sink.calling else { return };
        calling.requests.pop_front();
        if !calling.requests.is_empty() {
            self.send(lane);
        } else if self.lives[lane].sink.refused {
            self.called(lane, Verdict::Fatal, "refused");
        } else {
            self.called(lane, Verdict::Ok, "");
        }
    }

    /// The call has returned.
    fn called(&mut self, lane: LaneId, verdict: Verdict, why: &'static str) {
        let now = self.now;
        let Some(Calling { call, .. }) = self.lives[lane].sink.calling.take() else { return };
        self.lives[lane].sink.token += 1;
        self.lives[lane].sink.refused = false;
        self.note(|| format!("lane {lane}: {call:?} → {verdict:?} {why}"));
        if self.crashes_at(lane, call, Point::After) {
            return;
        }
        let sink = &mut self.lives[lane].sink;
        let Some(mut carry) = sink.carry.take() else {
            return self.initialised(lane, verdict);
        };
        let mut known = Known { verdict, why, cause: sink.cause.take(), taint: sink.seen_taint(now) };
        match carry.step(&mut known, || now) {
            Step::Again(pause) => {
                sink.carry = Some(carry);
                self.after(millis(pause), Event::Call(lane));
            }
            Step::Ended(ended) => {
                sink.left = carry.left();
                sink.asked = false;
                sink.aside = None;
                self.cover(match &ended.end {
                    EpochEnd::Committed => "committed",
                    EpochEnd::Rewound(_) => "aborted",
                    EpochEnd::Unknown(_) => "unknown outcome",
                    EpochEnd::Fenced(_) => "epoch fenced",
                    EpochEnd::Failed(_) => "epoch failed",
                    EpochEnd::Refused(refusal) => match &refusal.cause {
                        Cause::Record(_) | Cause::Size(_) => "refused for a record",
                        Cause::Topic(_) => "refused for a topic",
                        Cause::TooSlow => "refused for its time",
                    },
                });
                self.note(|| format!("lane {lane}: epoch {} {:?}", ended.number, ended.end));
                self.lives[lane].sink.ended = Some(ended);
                let soon = self.rng.below(20);
                self.turn_after(lane, soon);
            }
        }
    }
}

/// The lane's end of its producer.
pub(super) struct SimSink {
    pub(super) world: Rc<World>,
    pub(super) lane: LaneId,
}

impl Sink<GroupId> for SimSink {
    fn submit(&mut self, epoch: Epoch<GroupId>) {
        self.world.busy(self.lane);
        let mut state = self.world.state.borrow_mut();
        state.note(|| {
            format!(
                "lane {}: epoch {} submitted: {} outputs, {:?}",
                self.lane,
                epoch.number,
                epoch.outputs.len(),
                epoch.offsets
            )
        });
        let now = state.now;
        let read = &state.lives[self.lane].read;
        let behind = |(topic, partition, next): &(Arc<str>, i32, i64)| {
            read.get(&(Arc::clone(topic), *partition)).is_some_and(|read| next < read)
        };
        if epoch.offsets.iter().any(behind) {
            state.cover("partial seal");
        }
        let replace_tainted = state.mutation != Some(Mutation::NoTaint);
        let limits = CarryLimits { replace_tainted, slow_ms: state.plan.answer_ms, ..LIMITS };
        let sink = &mut state.lives[self.lane].sink;
        let mut left = std::mem::take(&mut sink.left);
        let halved = epoch.batches_halved;
        let others = std::mem::replace(&mut sink.batches_halved, halved) != halved;
        if others {
            left.taint.get_or_insert_with(|| "other batches".to_owned());
        }
        let seen = sink.seen_taint(now);
        let tainted = left.taint.is_some() || seen.is_some();
        let mut known = Known { verdict: Verdict::Ok, why: "", cause: None, taint: seen };
        sink.carry = Some(Carry::new(epoch, left, &mut known, now, limits));
        if tainted && replace_tainted {
            state.cover("tainted producer replaced");
        }
        if others {
            state.cover(if halved == 0 { "batches as large as before" } else { "batches halved" });
        }
        let soon = state.rng.below(3);
        state.after(soon, Event::Call(self.lane));
    }

    fn ended(&mut self, timeout: Duration) -> Option<Ended> {
        let ended = self.world.state.borrow_mut().lives[self.lane].sink.ended.take();
        match ended {
            Some(_) => self.world.busy(self.lane),
            None => self.world.pass(self.lane, millis(timeout)),
        }
        ended
    }
}
