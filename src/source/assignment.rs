//! Where a partition begins, and where it goes back to: pure decisions on offsets.
//!
//! Owns the rule "committed, else what the source declares, else stop", what is new to a group, and the book of
//! positions. The Kafka adapter asks the broker for the facts and carries the decision out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit::Birth;
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
    /// What the group's other offsets of the topic tell, when nothing is committed here.
    pub kin: Kin,
    /// The topic is not the one that was read before under its name.
    pub recreated: bool,
}

/// What the offsets that a group has in a topic tell of a partition in which it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// There are none: the group begins on the topic.
    None,
    /// The partition was there when the group began on the others: other members are beginning on them right now.
    Beside,
    /// It was not there when the group began on the others: it was added later.
    Before,
    /// Some do not say. An earlier release or somebody by hand has committed them.
    Unknown,
}

/// What others tell of a partition: for each partition of the topic in which the group has an offset, how many there
/// were when it began there, if the offset's stamp says so.
pub fn kin(partition: i32, others: impl IntoIterator<Item = Option<i32>>) -> Kin {
    let mut kin = Kin::None;
    for partitions in others {
        kin = match (partitions, kin) {
            (Some(partitions), _) if partitions <= partition => return Kin::Before,
            (None, _) | (_, Kin::Unknown) => Kin::Unknown,
            _ => Kin::Beside,
        };
    }
    kin
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
    /// Nowhere: what was read under this name was deleted, and the offsets belong to that.
    Recreated,
}

/// Decides where a partition begins. What was added to a topic that the group reads already begins at its first record,
/// whatever the source says of a first start: nobody has seen its records yet. Where that is not sure, reading too much
/// is chosen with `latest`, and stopping with `error`.
pub fn begin(facts: Facts, start: Start) -> Begin {
    match (facts.committed, start) {
        _ if facts.recreated => Begin::Recreated,
        (Some(committed), _) if committed < facts.low || committed > facts.high => {
            Begin::OutOfRange { committed }
        }
        (Some(committed), _) => Begin::At(committed),
        (None, Start::Earliest) => Begin::At(facts.low),
        (None, Start::Latest) if matches!(facts.kin, Kin::Before | Kin::Unknown) => Begin::At(facts.low),
        (None, Start::Latest) => Begin::At(facts.high),
        (None, Start::Error) if facts.kin == Kin::Before => Begin::At(facts.low),
        (None, Start::Error) => Begin::Undeclared,
    }
}

/// Why an owned partition is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Its topic is not there. When the same one is back, it goes on where it stands; it is moved and compared until then.
    Waiting,
    /// Likewise, and nothing of it was ever read here: where it begins is asked for when its topic is back.
    Unbegun,
    /// Until it is taken anew. Nothing of it is moved or compared.
    Firm,
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
    /// Records beyond the end that an open transaction keeps from readers.
    held_back: u64,
    /// Between `next` and the end is nothing that readers of committed records get: aborted records, and the markers of
    /// transactions. What is committed stays before them.
    drained: bool,
    /// The next statistics may be of before the position was moved.
    moved: bool,
    /// Where what can still be read begins, when that is not `next`.
    unread: Option<i64>,
    /// Why nothing can be read from `next` on.
    blocked: Option<Arc<str>>,
    owned: bool,
    /// Owned and not read, as something is wrong with it.
    hold: Option<Hold>,
    birth: Option<Birth>,
}

impl Place {
    fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic == *topic
    }

    fn is_read(&self) -> bool {
        self.stands() && self.hold.is_none()
    }

    /// Whether it has a position that is read on from, now or once its topic is back.
    fn stands(&self) -> bool {
        self.owned && self.source.is_some() && matches!(self.hold, None | Some(Hold::Waiting))
    }

    /// What could be read and is not committed yet, as far as offsets tell.
    fn lag(&self) -> Option<u64> {
        let end = self.end?;
        // Without anything committed what was read is still to be committed.
        let from = self.unread.or(self.committed).unwrap_or(self.began);
        if self.drained && self.next <= from {
            return Some(0);
        }
        Some(u64::try_from(end.saturating_sub(from)).unwrap_or(0))
    }

    fn status(&self) -> PartitionStatus {
        PartitionStatus {
            lag: self.lag(),
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            next: self.next,
            committed: self.committed,
            end: self.end,
            held_back: self.held_back,
            held: self.hold.is_some(),
            blocked: self.blocked.clone(),
        }
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
            held_back: 0,
            drained: false,
            moved: true,
            unread: None,
            blocked: None,
            owned: true,
            hold: None,
            birth: None,
        };
        match self.index.get(&(Arc::clone(&topic), partition)) {
            Some(slot) => self.places[*slot] = place,
            None => {
                self.index.insert((topic, partition), self.places.len());
                self.places.push(place);
            }
        }
    }

    /// Notes with what a partition began; its offsets are stamped with it.
    pub fn born(&mut self, topic: &str, partition: i32, birth: Option<Birth>) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is(topic, partition)) {
            place.birth = birth;
        }
    }

    /// With what a partition began, when that is known.
    pub fn birth(&self, topic: &str, partition: i32) -> Option<&Birth> {
        self.places.iter().find(|place| place.is(topic, partition))?.birth.as_ref()
    }

    /// A partition is not read any more.
    pub fn hold(&mut self, topic: &str, partition: i32, hold: Hold) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is(topic, partition)) {
            place.hold = Some(hold);
        }
    }

    /// A partition that waited for its topic is read on.
    pub fn read_on(&mut self, topic: &str, partition: i32) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is(topic, partition)) {
            place.hold = place.hold.filter(|hold| *hold != Hold::Waiting);
        }
    }

    /// The partitions that are held so: topic, partition, next offset.
    pub fn held(&self, hold: Hold) -> Vec<(Arc<str>, i32, i64)> {
        self.places_of(|place| place.owned && place.source.is_some() && place.hold == Some(hold))
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

    /// Notes where a partition ends for readers of committed records, and how many are beyond that. `drained` says
    /// that all up to this end was fetched, and all of that handed on.
    pub fn end(&mut self, topic: &str, partition: i32, end: i64, held_back: u64, drained: bool) {
        if let Some(slot) = self.slot(topic, partition) {
            let place = &mut self.places[slot];
            place.end = Some(end);
            place.held_back = held_back;
            let moved = std::mem::take(&mut place.moved);
            place.drained = drained && !moved;
        }
    }

    /// Notes what a partition holds, from its first record on, that is not fetched now. With `anew` nothing of it was read.
    pub fn measure(&mut self, topic: &str, partition: i32, low: i64, end: i64, anew: bool) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is(topic, partition)) {
            place.end = Some(end);
            place.drained = false;
            let held = place.hold == Some(Hold::Firm);
            let from = place.committed.unwrap_or(place.began);
            place.unread = match held {
                true => Some(if anew { low } else { low.max(place.next) }),
                // What was deleted meanwhile is nothing that could be read.
                false => Some(low).filter(|low| *low > from),
            };
        }
    }

    /// What this lane believes is committed of a partition that it has, or had. Of what is held it believes nothing.
    pub fn believed(&self, topic: &str, partition: i32) -> Option<i64> {
        let place = self.places.iter().find(|place| place.partition == partition && *place.topic == *topic);
        place.filter(|place| matches!(place.hold, None | Some(Hold::Waiting)))?.committed
    }

    /// Where each partition that is read goes back to, given what the broker says is committed now. What waits for its topic
    /// goes back as well, and moves when it is read on.
    pub fn rewind(&mut self, committed: impl Fn(&str, i32) -> Option<i64>) -> Vec<(Arc<str>, i32, i64)> {
        for place in self.places.iter_mut().filter(|place| place.stands()) {
            place.committed = committed(&place.topic, place.partition);
            place.next = place.committed.unwrap_or(place.began);
            place.drained = false;
            place.moved = true;
        }
        self.of(|_| true)
    }

    /// Where the partitions of some sources that are read stand: topic, partition, next offset.
    pub fn of(&self, of_it: impl Fn(usize) -> bool) -> Vec<(Arc<str>, i32, i64)> {
        self.places_of(|place| place.is_read() && place.source.is_some_and(&of_it))
    }

    /// The partitions that a lane has a position in, read or waiting.
    pub fn standing(&self) -> Vec<(Arc<str>, i32, i64)> {
        self.places_of(Place::stands)
    }

    fn places_of(&self, of_it: impl Fn(&Place) -> bool) -> Vec<(Arc<str>, i32, i64)> {
        let places = self.places.iter().filter(|place| of_it(place));
        places.map(|place| (Arc::clone(&place.topic), place.partition, place.next)).collect()
    }

    /// The partitions that are owned and read.
    pub fn owned(&self) -> Vec<PartitionStatus> {
        let read = self.places.iter().filter(|place| place.is_read());
        read.map(Place::status).collect()
    }

    /// The partitions that are owned and that a source names: read, or held.
    pub fn status(&self) -> Vec<PartitionStatus> {
        let named = self.places.iter().filter(|place| place.owned && place.source.is_some());
        named.map(Place::status).collect()
    }
}

#[cfg(test)]
#[path = "assignment/tests.rs"]
mod tests;
