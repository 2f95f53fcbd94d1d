//! Where a partition begins, and where it goes back to: pure decisions on offsets.
//!
//! Owns the rule "committed, else what the source declares, else stop" and the book of positions. The Kafka
//! adapter asks the broker for the facts and carries the decision out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PartitionSlot, PartitionStatus};
use crate::pipeline::definition::Start;

/// What the broker says of a partition when it is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Committed offset of the group.
    pub committed: Option<i64>,
    /// Oldest offset.
    pub low: i64,
    /// End offset that read-committed readers see.
    pub high: i64,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this offset.
    At(i64),
    /// Nowhere: nothing is committed and the source does not say.
    Undeclared,
    /// The committed offset is outside of what the topic holds: records were deleted, or the topic re-created.
    OutOfRange {
        /// The committed offset.
        committed: i64,
    },
}

/// Decides where a partition begins.
pub fn begin(facts: Facts, start: Start) -> Begin {
    match (facts.committed, start) {
        (Some(committed), _) if committed < facts.low || committed > facts.high => {
            Begin::OutOfRange { committed }
        }
        (Some(committed), _) => Begin::At(committed),
        (None, Start::Earliest) => Begin::At(facts.low),
        (None, Start::Latest) => Begin::At(facts.high),
        (None, Start::Error) => Begin::Undeclared,
    }
}

#[derive(Debug, Clone)]
struct Place {
    topic: Arc<str>,
    partition: i32,
    /// `None` while the group still gives us a partition that no source reads any more.
    source: Option<usize>,
    /// Where this lane began: the way back as long as nothing is committed.
    began: i64,
    next: i64,
    committed: Option<i64>,
    end: Option<i64>,
    /// Why nothing can be read from `next` on.
    blocked: Option<Arc<str>>,
    owned: bool,
}

impl Place {
    fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic == *topic
    }

    fn is_read(&self) -> bool {
        self.owned && self.source.is_some()
    }
}

/// The positions of a lane's partitions. Slots are never reused for another partition.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    places: Vec<Place>,
    index: BTreeMap<(Arc<str>, i32), PartitionSlot>,
}

impl Positions {
    /// Takes a partition, beginning at an offset; without a source it is held and not read.
    pub fn take(
        &mut self,
        topic: &str,
        partition: i32,
        source: Option<usize>,
        at: i64,
        committed: Option<i64>,
    ) {
        let topic: Arc<str> = Arc::from(topic);
        let place = Place {
            topic: Arc::clone(&topic),
            partition,
            source,
            began: at,
            next: at,
            committed,
            end: None,
            blocked: None,
            owned: true,
        };
        match self.index.get(&(Arc::clone(&topic), partition)) {
            Some(slot) => self.places[*slot] = place,
            None => {
                self.index.insert((topic, partition), self.places.len());
                self.places.push(place);
            }
        }
    }

    /// Gives a partition back.
    pub fn give(&mut self, topic: &str, partition: i32) {
        for place in self.places.iter_mut().filter(|place| place.is(topic, partition)) {
            place.owned = false;
        }
    }

    /// The slot of a partition that is owned and read.
    pub fn slot(&self, topic: &str, partition: i32) -> Option<PartitionSlot> {
        // A topic name is short; the allocation would cost more than the scan of a lane's few partitions.
        self.places.iter().position(|place| place.is(topic, partition) && place.is_read())
    }

    /// What comes next in a partition can be read after all.
    pub fn unblock(&mut self, slot: PartitionSlot) {
        if let Some(place) = self.places.get_mut(slot) {
            place.blocked = None;
        }
    }

    /// Whether a slot's partition is owned and read.
    pub fn is_read(&self, slot: PartitionSlot) -> bool {
        self.places.get(slot).is_some_and(Place::is_read)
    }

    /// The slot of a partition that this lane has or had, read or not.
    pub fn known(&self, topic: &str, partition: i32) -> Option<PartitionSlot> {
        self.places.iter().position(|place| place.is(topic, partition))
    }

    /// From here on topics belong to these sources. Partitions that no source reads any more are held, and not read,
    /// until the group takes them. The answer is those that were held and are to be read again: their positions are
    /// not known until they are taken anew.
    pub fn declare(&mut self, source_of: impl Fn(&str) -> Option<usize>) -> Vec<(Arc<str>, i32)> {
        let mut again = Vec::new();
        for place in self.places.iter_mut().filter(|place| place.owned) {
            match (place.source, source_of(&place.topic)) {
                (None, Some(_)) => again.push((Arc::clone(&place.topic), place.partition)),
                (_, source) => place.source = source,
            }
        }
        again
    }

    /// Topic and source of a slot.
    pub fn place(&self, slot: PartitionSlot) -> Option<(&Arc<str>, i32, usize)> {
        self.places.get(slot).and_then(|place| Some((&place.topic, place.partition, place.source?)))
    }

    /// Notes that a record was read.
    pub fn read(&mut self, slot: PartitionSlot, offset: i64) {
        if let Some(place) = self.places.get_mut(slot) {
            place.next = offset + 1;
            place.blocked = None;
        }
    }

    /// Notes that what comes next in a partition cannot be read.
    pub fn block(&mut self, slot: PartitionSlot, why: &str) {
        if let Some(place) = self.places.get_mut(slot) {
            place.blocked = Some(Arc::from(why));
        }
    }

    /// Notes a committed offset.
    pub fn commit(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(place) =
            self.places.iter_mut().find(|place| place.partition == partition && *place.topic == *topic)
        {
            place.committed = Some(offset);
        }
    }

    /// Notes where a partition ends.
    pub fn end(&mut self, topic: &str, partition: i32, end: i64) {
        if let Some(slot) = self.slot(topic, partition) {
            self.places[slot].end = Some(end);
        }
    }

    /// What this lane believes is committed of a partition that it has, or had.
    pub fn believed(&self, topic: &str, partition: i32) -> Option<i64> {
        let place = self.places.iter().find(|place| place.partition == partition && *place.topic == *topic);
        place?.committed
    }

    /// Where each owned partition goes back to, given what the broker says is committed now.
    pub fn rewind(&mut self, committed: impl Fn(&str, i32) -> Option<i64>) -> Vec<(Arc<str>, i32, i64)> {
        let read = self.places.iter_mut().filter(|place| place.is_read());
        read.map(|place| {
            place.committed = committed(&place.topic, place.partition);
            place.next = place.committed.unwrap_or(place.began);
            (Arc::clone(&place.topic), place.partition, place.next)
        })
        .collect()
    }

    /// The partitions that are owned and read.
    pub fn owned(&self) -> Vec<PartitionStatus> {
        let read = self.places.iter().filter(|place| place.is_read());
        read.map(|place| PartitionStatus {
            topic: Arc::clone(&place.topic),
            partition: place.partition,
            next: place.next,
            committed: place.committed,
            end: place.end,
            blocked: place.blocked.clone(),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_partition_begins() {
        let facts = |committed| Facts { committed, low: 10, high: 50 };
        for (committed, start, expect) in [
            (Some(20), Start::Error, Begin::At(20)),
            (Some(20), Start::Latest, Begin::At(20)),
            (Some(10), Start::Error, Begin::At(10)),
            (Some(50), Start::Error, Begin::At(50)),
            (Some(9), Start::Earliest, Begin::OutOfRange { committed: 9 }),
            (Some(51), Start::Latest, Begin::OutOfRange { committed: 51 }),
            (None, Start::Earliest, Begin::At(10)),
            (None, Start::Latest, Begin::At(50)),
            (None, Start::Error, Begin::Undeclared),
        ] {
            assert_eq!(begin(facts(committed), start), expect, "{committed:?} {start:?}");
        }
    }

    #[test]
    fn positions_go_back_to_what_is_committed_or_to_the_beginning() {
        let mut positions = Positions::default();
        positions.take("a", 0, Some(0), 5, Some(5));
        positions.take("a", 1, Some(0), 7, None);
        let (zero, one) = (positions.slot("a", 0).expect("owned"), positions.slot("a", 1).expect("owned"));
        positions.read(zero, 8);
        positions.read(one, 9);
        let back = positions.rewind(|_, partition| (partition == 0).then_some(6));
        let back: Vec<(i32, i64)> =
            back.into_iter().map(|(_, partition, offset)| (partition, offset)).collect();
        assert_eq!(back, [(0, 6), (1, 7)]);
        positions.give("a", 0);
        assert_eq!(positions.slot("a", 0), None);
        assert_eq!(positions.owned().len(), 1);
        positions.take("a", 0, Some(0), 20, Some(20));
        assert_eq!(positions.slot("a", 0), Some(zero), "a partition keeps its slot");
    }

    #[test]
    fn partitions_follow_their_sources_and_without_one_are_held_unread() {
        let mut positions = Positions::default();
        for topic in ["a", "b", "c"] {
            positions.take(topic, 0, Some(0), 5, Some(5));
        }
        let source = |positions: &Positions, topic: &str| Some(positions.place(positions.slot(topic, 0)?)?.2);
        let sources = |positions: &Positions| ["a", "b", "c"].map(|topic| source(positions, topic));
        let read = |positions: &Positions| positions.owned().len();
        // `b` goes, `c` has another source.
        let only = |kept: [Option<usize>; 3]| {
            move |topic: &str| kept[["a", "b", "c"].iter().position(|known| *known == topic).expect("known")]
        };
        assert!(positions.declare(only([Some(0), None, Some(1)])).is_empty());
        assert_eq!((sources(&positions), read(&positions)), ([Some(0), None, Some(1)], 2));
        assert_eq!(positions.rewind(|_, _| Some(4)).len(), 2, "what is held is not moved");
        // It comes again before the group has taken it: asked for until it is taken anew.
        for _ in 0..2 {
            let again = positions.declare(only([Some(0), Some(2), Some(1)]));
            assert_eq!(again, [(Arc::from("b"), 0)]);
            assert_eq!(sources(&positions), [Some(0), None, Some(1)]);
        }
        positions.take("b", 0, Some(2), 9, Some(9));
        assert_eq!((sources(&positions), read(&positions)), ([Some(0), Some(2), Some(1)], 3));
        // What the group has taken stays away, also when it was held.
        positions.declare(only([None, None, Some(1)]));
        positions.give("a", 0);
        assert_eq!(positions.declare(only([Some(0), Some(0), Some(0)])), [(Arc::from("b"), 0)]);
        assert_eq!((sources(&positions), read(&positions)), ([None, None, Some(0)], 1));
    }
}
