//! Whose turn it is to be read: a pure schedule, fair between organisations, then between an organisation's partitions.
//!
//! Owns the order in which partitions with waiting records are read: rounds with credit in bytes (surplus round robin).
//! One organisation's backlog, however large and over however many partitions, takes no more of a lane than another
//! organisation with something to read gets. The Kafka adapter asks whose turn it is, reads, and says what it cost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::PartitionSlot;

/// What an organisation, and a partition, may read before the next one's turn, in bytes of cost.
pub const QUANTUM_BYTES: i64 = 64 * 1_024;
/// What a record costs beside its bytes: small ones are work as well.
pub const RECORD_COST_BYTES: u64 = 512;

/// The schedule of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fair {
    /// All partitions, each with its organisation.
    known: BTreeMap<PartitionSlot, Arc<str>>,
    /// The organisations that may have something to read; the first one's turn it is.
    round: VecDeque<Organisation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Organisation {
    id: Arc<str>,
    credit: i64,
    /// Never empty; the first one's turn it is.
    partitions: VecDeque<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Partition {
    slot: PartitionSlot,
    credit: i64,
}

impl Fair {
    /// A partition is read from now on; it may have something to read.
    pub fn admit(&mut self, slot: PartitionSlot, organisation: &str) {
        self.dismiss(slot);
        self.known.insert(slot, Arc::from(organisation));
        self.wake(slot);
    }

    /// A partition is not read any more.
    pub fn dismiss(&mut self, slot: PartitionSlot) {
        self.known.remove(&slot);
        for organisation in &mut self.round {
            organisation.partitions.retain(|partition| partition.slot != slot);
        }
        self.round.retain(|organisation| !organisation.partitions.is_empty());
    }

    /// A partition may have something to read. It comes last in its round, and brings no credit of times when it had
    /// nothing.
    pub fn wake(&mut self, slot: PartitionSlot) {
        let Some(id) = self.known.get(&slot) else { return };
        let partition = Partition { slot, credit: QUANTUM_BYTES };
        match self.round.iter_mut().find(|organisation| organisation.id == *id) {
            Some(organisation) => {
                if !organisation.partitions.iter().any(|known| known.slot == slot) {
                    organisation.partitions.push_back(partition);
                }
            }
            None => self.round.push_back(Organisation {
                id: Arc::clone(id),
                credit: QUANTUM_BYTES,
                partitions: VecDeque::from([partition]),
            }),
        }
    }

    /// Any partition may have something to read.
    pub fn wake_all(&mut self) {
        let slots: Vec<PartitionSlot> = self.known.keys().copied().collect();
        for slot in slots {
            self.wake(slot);
        }
    }

    /// The partition to read next; `None` while none has anything.
    pub fn turn(&self) -> Option<PartitionSlot> {
        Some(self.round.front()?.partitions.front()?.slot)
    }

    /// The partition whose turn it is has given a record of so many bytes.
    pub fn charge(&mut self, bytes: u64) {
        let cost = i64::try_from(bytes.saturating_add(RECORD_COST_BYTES)).unwrap_or(i64::MAX);
        let Some(organisation) = self.round.front_mut() else { return };
        if let Some(partition) = organisation.partitions.front_mut() {
            partition.credit = partition.credit.saturating_sub(cost);
        }
        organisation.credit = organisation.credit.saturating_sub(cost);
        turn_over(&mut organisation.partitions, |partition| &mut partition.credit);
        turn_over(&mut self.round, |organisation| &mut organisation.credit);
    }

    /// The partition whose turn it is has nothing to read; it is left out until it is woken.
    pub fn sleep(&mut self) {
        let Some(organisation) = self.round.front_mut() else { return };
        organisation.partitions.pop_front();
        if organisation.partitions.is_empty() {
            self.round.pop_front();
        }
    }
}

/// Passes the turn on until it is with somebody who has credit. Whoever it passes gets a quantum more for the next
/// time, so that a debt is paid over several rounds; alone there is nobody to owe anything.
fn turn_over<T>(round: &mut VecDeque<T>, credit: impl Fn(&mut T) -> &mut i64) {
    let alone = round.len() == 1;
    while let Some(first) = round.front_mut() {
        let credit = credit(first);
        if *credit > 0 {
            return;
        }
        *credit = if alone { QUANTUM_BYTES } else { credit.saturating_add(QUANTUM_BYTES) };
        round.rotate_left(1);
    }
}

#[cfg(test)]
#[path = "fair/tests.rs"]
mod tests;
