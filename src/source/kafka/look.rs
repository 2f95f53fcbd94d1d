//! Looking after what a lane reads: are the topics still those that it began with, are its positions still there, does
//! somebody's transaction stand in the way.
//!
//! Owns the questions to the broker about it, and holding partitions; what a trouble is, and when it ends, is
//! `source::troubles`'s. Called by the parent within its polls, assignments and rewinds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::begin::{self, Beginning};
use super::context::End;
use super::describe::Describing;
use super::failure::{Consequence, failure, is_missing, is_out_of_range};
use super::{KafkaSource, kafka, plain};
use crate::config::kafka::STATISTICS_INTERVAL_MS;
use crate::pipeline::definition::Pipeline;
use crate::source::assignment::Hold;
use crate::source::audit::{Birth, Stamp};
use crate::source::troubles::{Found, Means, Trouble};
use crate::source::{Notice, SourceError};

/// How long the broker may take for a look that nobody waits for.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Two looks that something asks for are at least so far apart.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Statistics that come later than this after an error know of it.
const STATISTICS_AGE_MAX: Duration = Duration::from_millis(4 * STATISTICS_INTERVAL_MS as u64);
/// A partition that nobody fetches for so long, for no reason that is found, ends the lane.
const STUCK_MAX: Duration = Duration::from_secs(15);
/// One partition that is not fetched is measured this often, and may take so long.
const MEASURE_PAUSE: Duration = Duration::from_secs(1);
const MEASURE_TIMEOUT: Duration = Duration::from_millis(500);
/// …and less often when there is no answer.
const MEASURE_PAUSE_AFTER_ERROR: Duration = Duration::from_secs(30);
/// How long a broker may take to say whether an output topic is there, while the lane waits for it.
const ABSENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the broker may take to say where a partition begins and ends, while the lane waits for it.
const RANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// When to look, and what is under way.
pub(super) struct Look {
    /// Zero: never, and topic ids are not asked for either.
    every: Duration,
    due: Instant,
    asked: Option<Describing>,
    /// Since when there is an error about an offset out of range whose partition is not found.
    unplaced: Option<Instant>,
    /// Partitions that are read, and that librdkafka does not fetch, by the latest statistics.
    stuck: BTreeSet<(Arc<str>, i32)>,
    retry_at: Instant,
    /// When one of those that are not fetched is measured again, and which was last.
    measure_at: Instant,
    measured: Option<(Arc<str>, i32)>,
    /// Whether a partition of a topic that was made anew may have no offset that says so.
    unpinned: bool,
    /// Whether what is wrong may have changed since it was last told.
    changed: bool,
}

impl Look {
    pub(super) fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self {
            every,
            due: now,
            asked: None,
            unplaced: None,
            stuck: BTreeSet::new(),
            retry_at: now,
            measure_at: now,
            measured: None,
            unpinned: false,
            changed: true,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        !self.every.is_zero()
    }

    /// Something hints at a change: look soon.
    fn soon(&mut self) {
        self.due = self.due.min(Instant::now() + LOOK_PAUSE);
    }
}

impl KafkaSource {
    /// Where partitions end, by the latest statistics.
    pub(super) fn note_ends(&mut self, ends: Vec<End>) {
        let now = Instant::now();
        if !ends.is_empty() {
            self.look.stuck.clear();
        }
        // Of what is not fetched the client tells what it last knew; where that ends is asked for, by `measure`.
        let unread = self.unread();
        for End { topic, partition, stable, high, fetched, drained } in ends {
            let is_unread = unread.iter().any(|(other, number)| *number == partition && **other == *topic);
            if is_unread || self.positions.slot(&topic, partition).is_none() {
                continue;
            }
            if !fetched {
                self.look.stuck.insert((Arc::from(topic.as_str()), partition));
            }
            if stable < 0 {
                continue;
            }
            let held_back = u64::try_from(high.saturating_sub(stable)).unwrap_or(0);
            self.positions.end(&topic, partition, stable, held_back, drained);
            self.troubles.ends(now, &topic, partition, stable, high);
            self.look.changed = true;
        }
    }

    /// Asks now and then what stands behind the topics' names, and tells when what is wrong has changed. Costs nothing
    /// in between.
    pub(super) fn look_around(&mut self, notices: &mut Vec<Notice>) {
        let now = Instant::now();
        if self.look.unplaced.is_some() && now >= self.look.retry_at {
            notices.extend(self.place());
        }
        if let Some(described) =
            self.look.asked.as_mut().and_then(|describing| describing.answer(Duration::ZERO))
        {
            self.look.asked = None;
            match described {
                Ok(described) => {
                    self.take_in(&described);
                    if let Err(error) = self.read_what_is_back(&described) {
                        // It is held until the next look.
                        notices.push(Notice::Trouble(error.to_string()));
                    }
                }
                // Outages are told by others.
                Err(why) => tracing::debug!(why, "The topics could not be looked at."),
            }
        } else if self.look.asked.is_none() && self.look.is_on() && now >= self.look.due {
            self.look.due = now + self.look.every;
            self.look.asked = Describing::ask(self.consumer.client(), &self.names(), LOOK_TIMEOUT);
        }
        if now >= self.look.measure_at {
            self.measure(now);
        }
        if self.look.unpinned && now >= self.look.retry_at {
            // A group that moves refuses it: once more, then.
            self.look.retry_at = now + LOOK_PAUSE;
            match self.pin_recreated() {
                Ok(()) => self.look.unpinned = false,
                Err(error) => notices.push(Notice::Trouble(error.to_string())),
            }
        }
        if std::mem::take(&mut self.look.changed) {
            let notes = self.troubles.notes();
            if notes != self.told {
                self.told.clone_from(&notes);
                notices.push(Notice::Troubles(notes));
            }
        }
    }

    /// The partitions that are not fetched: what is held, and what belongs to a parked organisation.
    fn unread(&self) -> BTreeSet<(Arc<str>, i32)> {
        let parked = self.positions.of(|source| self.held.contains(&source));
        let unread = self.positions.held(Hold::Firm).into_iter().chain(parked);
        unread.map(|(topic, partition, _)| (topic, partition)).collect()
    }

    /// Asks where one of the partitions ends that are not fetched, of which librdkafka says nothing new: their lag grows as
    /// well. One after the other, as the lane waits for the answers.
    fn measure(&mut self, now: Instant) {
        self.look.measure_at = now + MEASURE_PAUSE;
        let missing = |topic: &str| self.troubles.of_topic(topic) == Some(&Trouble::Missing);
        let unread: BTreeSet<_> = self.unread().into_iter().filter(|(topic, _)| !missing(topic)).collect();
        let last = self.look.measured.take();
        let next = unread.iter().find(|place| last.as_ref().is_none_or(|last| *place > last));
        let Some((topic, partition)) = next.or_else(|| unread.first()) else { return };
        match begin::ends(&self.consumer, topic, *partition, MEASURE_TIMEOUT) {
            Ok((low, high)) => {
                let anew = self.troubles.of_topic(topic) == Some(&Trouble::Recreated);
                self.positions.measure(topic, *partition, low, high, anew);
            }
            // Outages are told by others.
            Err(_) => self.look.measure_at = now + MEASURE_PAUSE_AFTER_ERROR,
        }
        self.look.measured = Some((Arc::clone(topic), *partition));
    }

    /// What an error of a poll means for the lane; `None` when it goes on. `why` is what the client says of it.
    pub(super) fn failed(&mut self, error: &KafkaError, why: &str) -> Option<Consequence> {
        if is_out_of_range(error) {
            self.look.unplaced = Some(Instant::now());
            return self.place().map(Consequence::Notice);
        }
        if is_missing(error) {
            self.look.soon();
        }
        let patterns = self.pipeline.sources.iter().any(|source| source.client_pattern.is_some());
        failure(error, why, self.instance.as_deref(), patterns)
    }

    /// Where these partitions begin.
    pub(super) fn beginnings(&mut self, list: &TopicPartitionList) -> Result<Vec<Beginning>, SourceError> {
        self.look.changed = true;
        let ids = self.look.is_on();
        begin::beginnings(&self.consumer, &self.group, &self.pipeline, list, ids, &mut self.troubles)
    }

    /// A partition is not read any more.
    pub(super) fn hold(&mut self, topic: &str, partition: i32, trouble: Trouble) {
        self.look.unpinned |= trouble == Trouble::Recreated;
        self.positions.hold(topic, partition, Hold::Firm);
        self.troubles.hold(topic, partition, trouble);
        self.look.changed = true;
    }

    /// A partition is not read while its topic is missing: what stands under the name next may be another one, with records
    /// at its position that are in the middle of it. Without looks nobody would see it come back.
    pub(super) fn wait(&mut self, topic: &str, partition: i32, hold: Hold) {
        if self.look.is_on() {
            self.positions.hold(topic, partition, hold);
            // Its topic's trouble is all there is to say.
            self.release(topic, partition);
        }
    }

    /// A partition was taken or given back: what was wrong with it is looked at anew.
    pub(super) fn release(&mut self, topic: &str, partition: i32) {
        self.troubles.forget(topic, partition);
        self.look.changed = true;
    }

    /// Topics that no source reads any more are nobody's trouble.
    pub(super) fn keep_named(&mut self, pipeline: &Pipeline) {
        self.troubles.keep_topics(|topic| pipeline.source_of(topic).is_some());
        self.look.changed = true;
    }

    /// Nothing is fetched of what is held.
    pub(super) fn pause_held(&mut self) -> Result<(), SourceError> {
        let held = self.positions.status().into_iter().filter(|place| place.held);
        let list = partitions(held.map(|place| (place.topic, place.partition)));
        match list.count() {
            0 => Ok(()),
            _ => self.consumer.pause(&list).map_err(|error| kafka("pausing what is held", &error)),
        }
    }

    /// Brokers forget a group's offsets with the topic, and the next start would begin on the new one as on any other:
    /// with `latest` behind records that nobody has read. So an offset is committed whose stamp names the old topic. It is
    /// one that the partition has, and outside of any transaction: nothing of the partition is read. The group may be
    /// without the partition for a while, and restarted then; so it need not be this lane's.
    fn pin_recreated(&mut self) -> Result<(), SourceError> {
        let held = self.positions.status().into_iter().filter(|place| place.held);
        let held = held.filter(|place| self.troubles.of_topic(&place.topic) == Some(&Trouble::Recreated));
        let held = held.map(|place| (place.topic, place.partition));
        let all = self.troubles.of_recreated().map(|(topic, partition)| (Arc::clone(topic), partition));
        let list = partitions(held.chain(all).collect::<BTreeSet<_>>().into_iter());
        let committed = match list.count() {
            0 => return Ok(()),
            _ => begin::committed_now(&self.consumer, list)?,
        };
        let mut pins = TopicPartitionList::new();
        for element in committed.elements().iter().filter(|element| plain(element.offset()).is_none()) {
            let (topic, partition) = (element.topic(), element.partition());
            let (low, _) = begin::ends(&self.consumer, topic, partition, RANGE_TIMEOUT)
                .map_err(|error| kafka("finding the first record of a topic that was made anew", &error))?;
            let birth = self.positions.birth(topic, partition);
            let id =
                birth.and_then(|birth| birth.id.as_ref()).or_else(|| self.troubles.first(topic)).cloned();
            let birth = Some(Birth { id, partitions: birth.and_then(|birth| birth.partitions) });
            let mut pin = pins.add_partition(topic, partition);
            pin.set_offset(Offset::Offset(low)).map_err(|error| kafka("preparing an offset", &error))?;
            pin.set_metadata(Stamp { birth, ..self.me.clone() }.to_string());
        }
        match pins.count() {
            0 => Ok(()),
            _ => self
                .consumer
                .commit(&pins, CommitMode::Sync)
                .map_err(|error| kafka("noting that a topic was made anew", &error)),
        }
    }

    /// Where the group has no offset any more although this lane has committed one: brokers forget the offsets of a
    /// topic that is deleted. Its partitions are held; all others are somebody's to compare.
    pub(super) fn hold_forgotten(&mut self, committed: &TopicPartitionList) -> Result<(), SourceError> {
        let elements = committed.elements();
        let forgotten: Vec<(&str, i32)> = elements
            .iter()
            .filter(|element| plain(element.offset()).is_none())
            .map(|element| (element.topic(), element.partition()))
            .filter(|(topic, partition)| self.positions.believed(topic, *partition).is_some())
            .collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        let topics = forgotten.iter().map(|(topic, _)| (*topic).to_owned()).collect();
        let described = begin::look(&self.consumer, &topics, self.look.is_on())?;
        self.take_in(&described);
        for (topic, partition) in forgotten {
            if described.get(topic) == Some(&Found::Missing) {
                self.hold(topic, partition, Trouble::Missing);
            }
        }
        self.pause_held()
    }

    /// Whether a broker says that there is no such topic. The lane waits for the answer.
    pub(super) fn is_absent(&self, topic: &str) -> bool {
        let Ok(metadata) = self.consumer.fetch_metadata(Some(topic), ABSENT_TIMEOUT) else { return false };
        let mut found = metadata.topics().iter().filter(|found| found.name() == topic);
        found.any(|found| {
            found.error().map(RDKafkaErrorCode::from) == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
        })
    }

    /// The topics that are read by name, and those of our partitions.
    fn names(&self) -> BTreeSet<String> {
        let named = self.pipeline.sources.iter().flat_map(|source| source.topics.iter().cloned());
        let owned = self.positions.status().into_iter().map(|place| place.topic.to_string());
        named.chain(owned).collect()
    }

    /// What stands behind names now. Partitions that were begun under another id are held, and those of topics that are
    /// missing wait.
    fn take_in(&mut self, described: &BTreeMap<String, Found>) {
        // One that was asked for may have been taken out of the pipeline since.
        for (topic, found) in described.iter().filter(|(topic, _)| self.pipeline.source_of(topic).is_some()) {
            self.troubles.look(topic, found);
        }
        for (topic, partition, _) in self.positions.standing() {
            match self.means(&topic, partition, described) {
                Means::Hold => self.hold(&topic, partition, Trouble::Recreated),
                Means::Wait => self.wait(&topic, partition, Hold::Waiting),
                Means::Read | Means::Nothing => {}
            }
        }
        if let Err(error) = self.pause_held() {
            // What still comes is passed over.
            tracing::debug!(%error, "What is held could not be paused.");
        }
        // Brokers forget offsets some time after the topic; a pin that was not needed may be by now.
        self.look.unpinned |= self.told.iter().any(|note| note.trouble == Trouble::Recreated);
        self.look.changed = true;
    }

    fn means(&mut self, topic: &str, partition: i32, described: &BTreeMap<String, Found>) -> Means {
        let Some(found) = described.get(topic) else { return Means::Nothing };
        let birth = self.positions.birth(topic, partition);
        self.troubles.means(topic, birth.and_then(|birth| birth.id.as_ref()), found)
    }

    /// A broker that did not know a topic for a moment has not deleted it: what waited is read on from where it stands, or
    /// begins. Not while the group moves, as what is read then is not known.
    fn read_what_is_back(&mut self, described: &BTreeMap<String, Found>) -> Result<(), SourceError> {
        if self.granted.is_some() {
            return Ok(());
        }
        let mut waiting = self.positions.held(Hold::Waiting);
        waiting.retain(|(topic, partition, _)| self.means(topic, *partition, described) == Means::Read);
        if !waiting.is_empty() {
            let mut list = TopicPartitionList::new();
            for (topic, partition, next) in &waiting {
                list.add_partition_offset(topic, *partition, Offset::Offset(*next))
                    .map_err(|error| kafka("preparing what is read on", &error))?;
            }
            // Whatever came of them meanwhile was passed over.
            self.seek(list)?;
            for (topic, partition, _) in &waiting {
                self.positions.read_on(topic, *partition);
            }
            self.look.changed = true;
            self.fetch(waiting.into_iter().map(|(topic, partition, _)| (topic, partition)))?;
        }
        let unbegun = self.positions.held(Hold::Unbegun).into_iter();
        let unbegun =
            unbegun.filter(|(topic, ..)| matches!(described.get(&**topic), Some(Found::Present { .. })));
        let unbegun: Vec<_> = unbegun.map(|(topic, partition, _)| (topic, partition)).collect();
        if unbegun.is_empty() { Ok(()) } else { self.begin_anew(unbegun) }
    }

    /// Fetches again of these partitions what is read, unless something else holds it.
    pub(super) fn fetch(&self, places: impl Iterator<Item = (Arc<str>, i32)>) -> Result<(), SourceError> {
        let is_read = |topic: &str, partition: i32| {
            let source = self.positions.slot(topic, partition).and_then(|slot| self.positions.place(slot));
            source.is_some_and(|(.., source)| !self.held.contains(&source))
        };
        let list = partitions(places.filter(|(topic, partition)| is_read(topic, *partition)));
        if self.queues.paused || list.count() == 0 {
            return Ok(());
        }
        self.consumer.resume(&list).map_err(|error| kafka("resuming", &error))
    }

    /// Finds the partitions that are out of range, and holds them: librdkafka has stopped to fetch them, and does not say
    /// which they are. One that the group has taken since is nobody's. While none is found and one stands still, the
    /// lane must not go on as if all were well.
    fn place(&mut self) -> Option<Notice> {
        self.look.retry_at = Instant::now() + LOOK_PAUSE;
        match self.hold_out_of_range() {
            Err(error) => return Some(Notice::Trouble(error.to_string())),
            Ok(0) => {}
            Ok(_) => {
                self.look.unplaced = None;
                return None;
            }
        }
        let waited = self.look.unplaced?.elapsed();
        if waited >= STATISTICS_AGE_MAX && self.look.stuck.is_empty() {
            self.look.unplaced = None;
        }
        let (topic, partition) = self.look.stuck.first().filter(|_| waited >= STUCK_MAX)?;
        Some(Notice::Failed(format!(
            "{topic}/{partition} is not fetched any more after an offset was out of range, and its position is not"
        )))
    }

    /// How many partitions are held now that were not.
    fn hold_out_of_range(&mut self) -> Result<usize, SourceError> {
        let before = self.positions.owned();
        let topics = before.iter().map(|place| place.topic.to_string()).collect();
        // A topic that was made anew is out of range as well, and that says more.
        let described = begin::look(&self.consumer, &topics, self.look.is_on())?;
        self.take_in(&described);
        for place in self.positions.owned() {
            let (topic, partition, next) = (&*place.topic, place.partition, place.next);
            if described.get(topic) == Some(&Found::Missing) {
                continue;
            }
            let (low, high) = begin::ends(&self.consumer, topic, partition, RANGE_TIMEOUT)
                .map_err(|error| kafka("finding the partition that is out of range", &error))?;
            if next < low || next > high {
                self.hold(topic, partition, Trouble::OutOfRange { next, low, high });
                self.positions.measure(topic, partition, low, high, false);
            }
        }
        self.pause_held()?;
        Ok(before.len().saturating_sub(self.positions.owned().len()))
    }
}

pub(super) fn partitions(places: impl Iterator<Item = (Arc<str>, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(&topic, partition);
    }
    list
}

#[cfg(test)]
mod tests;
