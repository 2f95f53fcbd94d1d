//! A queue for each partition of a lane, and the bell that says that one has something.
//!
//! Owns the split of librdkafka's one consumer queue by partition; in what order the queues are read is
//! `source::fair`'s. What was fetched before a rewind, a pause or a revocation never comes out of a queue: librdkafka
//! marks records with the version of their partition's position, and drops the outdated ones as they are polled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;

use super::context::LaneContext;
use crate::source::fair::Fair;
use crate::source::{PartitionSlot, SourceError};

/// All queues are looked into at least this often, whether their bell has rung or not: a bell that was missed must not
/// silence a partition.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rung by librdkafka's threads, heard by the lane.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    slots: Mutex<BTreeSet<PartitionSlot>>,
    heard: Condvar,
}

impl Bell {
    /// A queue has become non-empty: a partition's, or with `None` that of the group's events. Called while librdkafka
    /// holds the queue's lock, so it only notes it down.
    pub(super) fn ring(&self, slot: Option<PartitionSlot>) {
        let mut slots = self.slots();
        slots.extend(slot);
        self.rung.store(true, Ordering::Release);
        drop(slots);
        self.heard.notify_one();
    }

    /// Waits for it; false when the time is up.
    pub(super) fn wait(&self, until: Instant) -> bool {
        let mut slots = self.slots();
        while !self.rung.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            slots = self.heard.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn slots(&self) -> MutexGuard<'_, BTreeSet<PartitionSlot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queues of the partitions that a lane has.
pub(super) struct Queues {
    pub(super) of: BTreeMap<PartitionSlot, PartitionQueue<LaneContext>>,
    pub(super) fair: Fair,
    pub(super) bell: Arc<Bell>,
    /// None of them is fetched at the moment.
    pub(super) paused: bool,
    /// Those behind an answer that the client does not get done with.
    pub(super) stuck: BTreeSet<PartitionSlot>,
    looked_at: Instant,
}

impl Queues {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self {
            of: BTreeMap::new(),
            fair: Fair::default(),
            bell,
            paused: false,
            stuck: BTreeSet::new(),
            looked_at: Instant::now(),
        }
    }

    /// Gives a partition a queue of its own. To be called before the partition is taken, so that nothing of it comes
    /// anywhere else.
    pub(super) fn open(
        &mut self,
        consumer: &Arc<BaseConsumer<LaneContext>>,
        slot: PartitionSlot,
        (topic, partition): (&str, i32),
        organisation: &str,
    ) -> Result<(), SourceError> {
        // An earlier one goes first: when it is dropped, it takes the bell off the queue that both share.
        self.of.remove(&slot);
        let Some(mut queue) = consumer.split_partition_queue(topic, partition) else {
            let why = format!("{topic}/{partition} is not known to the client");
            return Err(SourceError::Kafka { what: "opening a partition's queue", why });
        };
        let bell = Arc::clone(&self.bell);
        queue.set_nonempty_callback(move || bell.ring(Some(slot)));
        self.of.insert(slot, queue);
        self.fair.admit(slot, organisation);
        Ok(())
    }

    /// Forgets a partition that was given back, with what was fetched of it.
    pub(super) fn close(&mut self, slot: PartitionSlot) {
        self.fair.dismiss(slot);
        self.stuck.remove(&slot);
        let Some(queue) = self.of.remove(&slot) else { return };
        while queue.poll(Duration::ZERO).is_some() {}
    }

    /// Organisations may be others now.
    pub(super) fn regroup<'o>(&mut self, organisation: impl Fn(PartitionSlot) -> &'o str) {
        self.fair = Fair::default();
        for slot in self.of.keys() {
            self.fair.admit(*slot, organisation(*slot));
        }
    }

    /// Hears which queues have something.
    pub(super) fn listen(&mut self) {
        if self.bell.rung.load(Ordering::Acquire) {
            let mut slots = self.bell.slots();
            self.bell.rung.store(false, Ordering::Release);
            for slot in std::mem::take(&mut *slots) {
                self.fair.wake(slot);
            }
        }
    }

    /// Looks into all queues when it is time to.
    pub(super) fn look(&mut self, now: Instant) {
        if now.duration_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            self.fair.wake_all();
        }
    }
}
