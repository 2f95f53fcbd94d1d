//! The group coordinator: members, generations, who gets which partition, committed and pending offsets.
//!
//! Owns the rules that Kafka's coordinator has for the classic protocol, eager and cooperative. It has no time of its
//! own: whoever calls says when. The member's side is `client`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Millis;

/// A partition.
pub(super) type Tp = (Arc<str>, i32);
/// A committed offset with its metadata.
pub(super) type Offset = (i64, String);

/// What a member must know to commit; the client's view of it may be out of date, or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupId {
    /// `None` is the empty member id of a client that has left or was thrown out.
    pub(super) member: Option<u64>,
    pub(super) generation: i32,
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    Ok,
    Rebalance,
    Unknown,
    Illegal,
}

/// Why offsets are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownMember,
    IllegalGeneration,
}

#[derive(Debug, Clone)]
struct Member {
    seen: Millis,
    /// What it says it has, once it has joined the rebalance that is under way.
    joined: Option<BTreeSet<Tp>>,
    assigned: BTreeSet<Tp>,
}

/// The group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) generation: i32,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    /// Since when a rebalance is under way.
    preparing: Option<Millis>,
    partitions: BTreeSet<Tp>,
    cooperative: bool,
    session_ms: Millis,
    pub(super) offsets: BTreeMap<Tp, Offset>,
    /// By producer: what its open transaction would commit.
    pub(super) pending: BTreeMap<u64, BTreeMap<Tp, Offset>>,
}

impl Group {
    pub(super) fn new(
        partitions: impl IntoIterator<Item = Tp>,
        cooperative: bool,
        session_ms: Millis,
    ) -> Self {
        Self {
            generation: 0,
            members: BTreeMap::new(),
            next_member: 1,
            preparing: None,
            partitions: partitions.into_iter().collect(),
            cooperative,
            session_ms,
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Asks to be in the next generation; gives the member's id.
    pub(super) fn join(
        &mut self,
        member: Option<u64>,
        claims: BTreeSet<Tp>,
        now: Millis,
    ) -> Result<u64, Pulse> {
        let id = match member {
            Some(id) if self.members.contains_key(&id) => id,
            Some(_) => return Err(Pulse::Unknown),
            None => {
                self.next_member += 1;
                self.next_member - 1
            }
        };
        let fresh = Member { seen: now, joined: None, assigned: BTreeSet::new() };
        let entry = self.members.entry(id).or_insert(fresh);
        entry.joined = Some(claims);
        entry.seen = now;
        self.preparing.get_or_insert(now);
        Ok(id)
    }

    pub(super) fn leave(&mut self, member: u64, now: Millis) {
        if self.members.remove(&member).is_some() {
            self.preparing.get_or_insert(now);
        }
    }

    pub(super) fn heartbeat(&mut self, member: u64, generation: i32, now: Millis) -> Pulse {
        let Some(entry) = self.members.get_mut(&member) else { return Pulse::Unknown };
        entry.seen = now;
        match (self.preparing, &entry.joined) {
            (Some(_), None) => Pulse::Rebalance,
            _ if generation != self.generation => Pulse::Illegal,
            _ => Pulse::Ok,
        }
    }

    /// What a member that has joined has got, once the generation stands.
    pub(super) fn assignment(&self, member: u64) -> Result<Option<(i32, BTreeSet<Tp>)>, Pulse> {
        let entry = self.members.get(&member).ok_or(Pulse::Unknown)?;
        Ok((self.preparing.is_none() && entry.joined.is_none())
            .then(|| (self.generation, entry.assigned.clone())))
    }

    /// Throws out who was silent for too long, and ends a rebalance that may end. True for a new generation.
    pub(super) fn tick(&mut self, now: Millis) -> bool {
        let session = self.session_ms;
        let before = self.members.len();
        // A member that waits for the end of a rebalance sends no heartbeats.
        self.members.retain(|_, member| member.joined.is_some() || now < member.seen + session);
        if self.members.len() < before {
            self.preparing.get_or_insert(now);
        }
        let Some(since) = self.preparing else { return false };
        let late = now >= since + session;
        if !late && self.members.values().any(|member| member.joined.is_none()) {
            return false;
        }
        self.members.retain(|_, member| member.joined.is_some());
        self.preparing = None;
        self.generation += 1;
        self.distribute(now);
        true
    }

    fn distribute(&mut self, now: Millis) {
        let count = self.members.len().max(1);
        let most = self.partitions.len().div_ceil(count);
        let claims: BTreeMap<u64, BTreeSet<Tp>> = self
            .members
            .iter()
            .map(|(id, member)| (*id, member.joined.clone().unwrap_or_default()))
            .collect();
        let mut target: BTreeMap<u64, BTreeSet<Tp>> = BTreeMap::new();
        let mut free = self.partitions.clone();
        if self.cooperative {
            // Sticky: what a member has it keeps, up to its share.
            for (id, claimed) in &claims {
                let kept: BTreeSet<Tp> =
                    claimed.iter().filter(|tp| free.contains(*tp)).take(most).cloned().collect();
                free.retain(|tp| !kept.contains(tp));
                target.insert(*id, kept);
            }
        }
        for tp in free {
            let least = claims.keys().min_by_key(|id| (target.get(id).map_or(0, BTreeSet::len), **id));
            if let Some(id) = least {
                target.entry(*id).or_default().insert(tp);
            }
        }
        for (id, member) in &mut self.members {
            let mut mine = target.remove(id).unwrap_or_default();
            if self.cooperative {
                // What another still has comes with the next generation, after it was given back.
                mine.retain(|tp| !claims.iter().any(|(other, claimed)| other != id && claimed.contains(tp)));
            }
            *member = Member { seen: now, joined: None, assigned: mine };
        }
    }

    /// Whether this member may commit. As in Kafka, a transactional commit without any identity is not checked.
    pub(super) fn may_commit(&self, who: &GroupId, transactional: bool) -> Result<(), Refusal> {
        match who.member {
            None if transactional && who.generation < 0 => Ok(()),
            None => Err(Refusal::UnknownMember),
            Some(member) if !self.members.contains_key(&member) => Err(Refusal::UnknownMember),
            Some(_) if who.generation != self.generation => Err(Refusal::IllegalGeneration),
            Some(_) => Ok(()),
        }
    }

    /// Committed offsets; `None` while a transaction that is not over would change one of them.
    pub(super) fn stable<'a>(&'a self, of: &[Tp]) -> Option<Vec<(Tp, Option<&'a Offset>)>> {
        let unstable = self.pending.values().any(|pending| of.iter().any(|tp| pending.contains_key(tp)));
        (!unstable).then(|| of.iter().map(|tp| (tp.clone(), self.offsets.get(tp))).collect())
    }
}
