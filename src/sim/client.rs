//! A consumer: what the client library does in the background, and the `Source` over it.
//!
//! Owns the member's side of the group and mirrors `source::kafka` call by call: where a partition begins, what it
//! goes back to and what a difference between belief and broker means are the real `source::assignment` and
//! `source::audit`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::broker::InputRecord;
use super::group::{GroupId, Pulse, Tp};
use super::state::{Mutation, State};
use super::world::World;
use super::{LaneId, Millis, millis};
use crate::pipeline::definition::{Pipeline, Start};
use crate::source::assignment::{Begin, Facts, Kin, Positions, begin};
use crate::source::audit::{Audit, Committed, Stamp, audit, compare};
use crate::source::{NoEnvelope, Notice, PartitionStatus, RecordRef, Source, SourceError};

/// How long a call waits for the broker.
const ANSWER_MS: Millis = 5_000;

/// A rebalance that the lane has to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    Assign(BTreeSet<Tp>),
    Revoke(BTreeSet<Tp>),
    Lost(BTreeSet<Tp>),
}

/// The client library's state.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: GroupId,
    owned: BTreeSet<Tp>,
    joining: bool,
    rejoin: bool,
    lost: bool,
    /// A rebalance that was announced, until the lane has carried it out.
    calling: bool,
    /// Comes after a cooperative revoke.
    then: Option<BTreeSet<Tp>>,
    pub(super) inbox: Vec<Pending>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            id: GroupId { member: None, generation: -1 },
            owned: BTreeSet::new(),
            joining: false,
            rejoin: true,
            lost: false,
            calling: false,
            then: None,
            inbox: Vec::new(),
        }
    }
}

/// One look of the client's background at its group. Gives the time until the next.
pub(super) fn beat(state: &mut State, lane: LaneId) -> Millis {
    let (now, cooperative) = (state.now, state.plan.cooperative);
    let steady = state.rng.between(200, 700);
    if !state.is_up() {
        return steady;
    }
    let State { broker, lives, .. } = state;
    let (group, client) = (&mut broker.group, &mut lives[lane].client);
    if client.calling {
        // The lane has to answer first; heartbeats go on.
        if let Some(member) = client.id.member {
            match group.heartbeat(member, client.id.generation, now) {
                Pulse::Ok => {}
                Pulse::Rebalance => client.rejoin = true,
                pulse @ (Pulse::Unknown | Pulse::Illegal) => client.forget(pulse),
            }
        }
        return steady;
    }
    if client.lost {
        client.lost = false;
        client.joining = false;
        client.then = None;
        client.rejoin = true;
        if !client.owned.is_empty() {
            let owned = client.owned.clone();
            state.call(lane, Pending::Lost(owned));
        }
        return 10;
    }
    if let Some(added) = client.then.take() {
        client.rejoin = true;
        if !added.is_empty() {
            state.call(lane, Pending::Assign(added));
        }
        return 10;
    }
    if client.rejoin && !client.joining {
        if !cooperative && !client.owned.is_empty() {
            let owned = client.owned.clone();
            state.call(lane, Pending::Revoke(owned));
            return 10;
        }
        match group.join(client.id.member, client.owned.clone(), now) {
            Ok(member) => {
                client.id.member = Some(member);
                client.joining = true;
                client.rejoin = false;
            }
            Err(pulse) => client.forget(pulse),
        }
        return 20;
    }
    let Some(member) = client.id.member else {
        client.rejoin = true;
        return 10;
    };
    if !client.joining {
        match group.heartbeat(member, client.id.generation, now) {
            Pulse::Ok => return steady,
            Pulse::Rebalance => client.rejoin = true,
            pulse @ (Pulse::Unknown | Pulse::Illegal) => client.forget(pulse),
        }
        return 10;
    }
    match group.assignment(member) {
        Err(pulse) => {
            client.joining = false;
            client.forget(pulse);
            10
        }
        Ok(None) => 50,
        Ok(Some((generation, assigned))) => {
            client.id.generation = generation;
            client.joining = false;
            let added: BTreeSet<Tp> = assigned.difference(&client.owned).cloned().collect();
            let revoked: BTreeSet<Tp> = client.owned.difference(&assigned).cloned().collect();
            if cooperative && !revoked.is_empty() {
                client.then = Some(added);
                state.call(lane, Pending::Revoke(revoked));
            } else {
                state.call(lane, Pending::Assign(added));
            }
            10
        }
    }
}

impl Client {
    /// The group does not know this member any more, or not in this generation.
    fn forget(&mut self, pulse: Pulse) {
        match pulse {
            Pulse::Unknown => self.id.member = None,
            _ => self.id.generation = -1,
        }
        self.lost = true;
    }

    fn answered(&mut self) {
        self.calling = false;
    }
}

impl State {
    fn call(&mut self, lane: LaneId, pending: Pending) {
        self.note(|| format!("lane {lane}: announced {pending:?}"));
        let client = &mut self.lives[lane].client;
        client.calling = true;
        client.inbox.push(pending);
        let soon = self.rng.below(30);
        self.turn_after(lane, soon);
    }
}

/// The consumer of a lane.
pub(super) struct SimSource {
    world: Rc<World>,
    lane: LaneId,
    me: Stamp,
    pipeline: Arc<Pipeline>,
    positions: Positions,
    granted: Option<Pending>,
    fetching: BTreeMap<Tp, i64>,
    paused: bool,
    held: BTreeSet<usize>,
}

impl SimSource {
    pub(super) fn new(world: Rc<World>, lane: LaneId, me: Stamp, pipeline: Arc<Pipeline>) -> Self {
        let (positions, fetching) = (Positions::default(), BTreeMap::new());
        let (granted, paused, held) = (None, false, BTreeSet::new());
        Self { world, lane, me, pipeline, positions, granted, fetching, paused, held }
    }

    fn notices(&mut self) -> Vec<Notice> {
        let mut state = self.world.state.borrow_mut();
        let client = &mut state.lives[self.lane].client;
        if self.granted.is_some() || client.inbox.is_empty() {
            return Vec::new();
        }
        let pending = client.inbox.remove(0);
        let (notice, what) = match &pending {
            Pending::Assign(_) => (Notice::Assigned, "assigned"),
            Pending::Revoke(_) => (Notice::Revoked, "revoked"),
            Pending::Lost(_) => (Notice::Lost, "lost"),
        };
        state.cover(what);
        self.granted = Some(pending);
        vec![notice]
    }

    /// The next records, from all partitions in turn.
    fn fetch(&self, records_max: usize) -> Vec<(Tp, InputRecord)> {
        let mut state = self.world.state.borrow_mut();
        if self.paused || records_max == 0 || !state.is_up_for(self.lane) || self.fetching.is_empty() {
            return Vec::new();
        }
        let most = usize::try_from(state.rng.between(1, 12)).unwrap_or(1).min(records_max);
        let first = state.rng.index(self.fetching.len());
        let mut found = Vec::new();
        for (tp, next) in self.fetching.iter().cycle().skip(first).take(self.fetching.len()) {
            if self.pipeline.source_of(&tp.0).is_some_and(|source| self.held.contains(&source)) {
                continue;
            }
            let Some(log) = state.broker.inputs.get(tp) else { continue };
            let from = log.records.partition_point(|record| record.offset < *next);
            let records = log.records[from..].iter().take(most - found.len());
            found.extend(records.map(|record| (tp.clone(), record.clone())));
        }
        found
    }

    /// The group's committed offsets, once they are stable.
    fn committed_now(&self, list: &[Tp]) -> Result<Vec<(Tp, Option<Committed>)>, SourceError> {
        let until = self.world.now(self.lane) + ANSWER_MS;
        self.world.answer_takes(self.lane);
        let mut unstable = false;
        let answered = self.world.wait(self.lane, until, |state| {
            let up = state.is_up_for(self.lane);
            let stable = state.broker.group.stable(list).is_some();
            unstable |= up && !stable;
            up && stable
        });
        let mut state = self.world.state.borrow_mut();
        if unstable {
            state.cover("unstable offsets waited for");
        }
        if !answered {
            let why = "no answer".to_owned();
            return Err(SourceError::Kafka { what: "reading the group's committed offsets", why });
        }
        let found = state.broker.group.stable(list).unwrap_or_default();
        let found = found.into_iter().map(|(tp, offset)| {
            (tp, offset.map(|(offset, text)| Committed { offset: *offset, stamp: Stamp::parse(text) }))
        });
        Ok(found.collect())
    }

    fn compare(&self, found: &[(Tp, Option<Committed>)], epoch: u64, open: bool) -> Result<(), SourceError> {
        if self.world.mutation.is_some_and(Mutation::no_audit) {
            return Ok(());
        }
        let me = Stamp { epoch, ..self.me.clone() };
        let believed = |topic: &str, partition: i32| self.positions.believed(topic, partition);
        let moved = |((topic, partition), committed): &(Tp, Option<Committed>)| {
            audit(&me, believed(topic, *partition), committed.as_ref(), open) == Audit::Moved
        };
        if found.iter().any(moved) {
            self.world.state.borrow_mut().cover("the audit saw a moved partition");
        }
        let found =
            found.iter().map(|((topic, partition), committed)| (&**topic, *partition, committed.clone()));
        compare(&me, open, found, believed)
    }

    fn owned(&self) -> Vec<Tp> {
        self.positions.owned().into_iter().map(|place| (place.topic, place.partition)).collect()
    }

    fn answered(&self) {
        let mut state = self.world.state.borrow_mut();
        state.lives[self.lane].client.answered();
        state.beat_after(self.lane, 5);
    }

    /// A commit besides any transaction: where the group begins.
    fn pin(&self, offsets: Vec<(Tp, i64)>) -> Result<(), SourceError> {
        let until = self.world.now(self.lane) + ANSWER_MS;
        let refused = |why: String| SourceError::Kafka { what: "committing where the group begins", why };
        if !self.world.wait(self.lane, until, |state| state.is_up_for(self.lane)) {
            return Err(refused("no answer".into()));
        }
        let mut state = self.world.state.borrow_mut();
        let who = state.lives[self.lane].client.id.clone();
        let lost = state.plan.wire.lost;
        if state.faults_on() && state.rng.per_mille(lost) {
            state.cover("beginning not committed");
            return Err(refused("the answer was lost".into()));
        }
        state.pin(who, offsets).map_err(|refusal| refused(format!("{refusal:?}")))
    }
}

impl Drop for SimSource {
    /// Leaves the group, unless its process was killed.
    fn drop(&mut self) {
        let mut state = self.world.state.borrow_mut();
        let (now, up) = (state.now, state.is_up());
        let life = &mut state.lives[self.lane];
        if let Some(member) = life.client.id.member.filter(|_| !life.dead && up) {
            state.broker.group.leave(member, now);
        }
    }
}

impl Source for SimSource {
    type Group = GroupId;

    fn poll(
        &mut self,
        timeout: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice> {
        let mut taken = 0;
        for (tp, InputRecord { offset, value }) in self.fetch(records_max) {
            self.fetching.insert(tp.clone(), offset + 1);
            // A record of a partition that was given back meanwhile is not ours to read.
            let Some(slot) = self.positions.slot(&tp.0, tp.1) else { continue };
            self.positions.read(slot, offset);
            self.world.state.borrow_mut().lives[self.lane].read.insert(tp, offset + 1);
            let Some((topic, partition, source)) = self.positions.place(slot) else { continue };
            let flow = take(&RecordRef {
                source,
                slot,
                topic,
                partition,
                offset,
                timestamp_ms: Some(1_790_000_000_000),
                payload: value.as_deref(),
                envelope: &NoEnvelope,
            });
            taken += 1;
            if flow.is_break() {
                break;
            }
        }
        let notices = self.notices();
        if taken > 0 || !notices.is_empty() {
            self.world.busy(self.lane);
        } else {
            self.world.pass(self.lane, millis(timeout));
        }
        notices
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        let Some(Pending::Assign(list)) = self.granted.clone() else { return Ok(()) };
        let list: Vec<Tp> = list.into_iter().collect();
        let mut fresh = Vec::new();
        let committed = if list.is_empty() { Vec::new() } else { self.committed_now(&list)? };
        let mut beginnings = Vec::new();
        for ((topic, partition), committed) in committed {
            let source = self
                .pipeline
                .source_of(&topic)
                .ok_or_else(|| SourceError::Kafka { what: "a topic of no source", why: topic.to_string() })?;
            let (low, high) = self.world.bounds(&(Arc::clone(&topic), partition));
            let committed = committed.map(|committed| committed.offset);
            let start = self.pipeline.sources[source].start;
            let at = match begin(Facts { committed, low, high, kin: Kin::None, recreated: false }, start) {
                Begin::At(at) => at,
                other => {
                    let why = format!("{other:?}");
                    return Err(SourceError::Kafka { what: "offset out of range", why });
                }
            };
            self.positions.take(&topic, partition, Some(source), at, committed);
            beginnings.push(((Arc::clone(&topic), partition), at));
            if committed.is_none() && start == Start::Latest {
                fresh.push(((topic, partition), at));
            }
        }
        let cooperative = self.world.state.borrow().plan.cooperative;
        if !cooperative {
            self.fetching.clear();
        }
        self.fetching.extend(beginnings);
        if !fresh.is_empty() {
            self.pin(fresh)?;
        }
        self.granted = None;
        self.world.state.borrow_mut().lives[self.lane].client.owned.extend(list);
        self.answered();
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        let Some(Pending::Revoke(list) | Pending::Lost(list)) = self.granted.take() else { return Ok(()) };
        for tp in &list {
            self.positions.give(&tp.0, tp.1);
            self.fetching.remove(tp);
        }
        self.world.state.borrow_mut().lives[self.lane].client.owned.retain(|tp| !list.contains(tp));
        self.answered();
        Ok(())
    }

    fn rewind(&mut self, epoch: u64, unknown: bool) -> Result<(), SourceError> {
        if self.world.mutation.is_some_and(Mutation::no_rewind) {
            return Ok(());
        }
        let list = self.owned();
        if list.is_empty() {
            return Ok(());
        }
        let found = self.committed_now(&list)?;
        self.compare(&found, epoch, unknown)?;
        let back = self.positions.rewind(|topic, partition| {
            let of = found.iter().find(|((t, p), _)| **t == *topic && *p == partition)?;
            of.1.as_ref().map(|committed| committed.offset)
        });
        self.fetching.extend(back.into_iter().map(|(topic, partition, offset)| ((topic, partition), offset)));
        self.world.state.borrow_mut().cover("rewound");
        Ok(())
    }

    fn audit(&mut self, epoch: u64) -> Result<(), SourceError> {
        let list = self.owned();
        if list.is_empty() {
            return Ok(());
        }
        let found = self.committed_now(&list)?;
        self.world.state.borrow_mut().cover("audited");
        self.compare(&found, epoch, false)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        self.world.state.borrow_mut().cover("source paused");
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn hold(&mut self, sources: &BTreeSet<usize>) -> Result<(), SourceError> {
        if self.held.difference(sources).next().is_some() {
            self.world.state.borrow_mut().cover("organisation tried again");
        }
        self.held.clone_from(sources);
        Ok(())
    }

    fn group(&self) -> Option<GroupId> {
        Some(self.world.state.borrow().lives[self.lane].client.id.clone())
    }

    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]) {
        for (topic, partition, offset) in offsets {
            self.positions.commit(topic, *partition, *offset);
        }
    }

    fn status(&self) -> Vec<PartitionStatus> {
        self.positions.owned()
    }
}
