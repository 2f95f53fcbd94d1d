//! Asking the broker where partitions begin, and beginning there.
//!
//! Owns the questions, what is said when there is no answer, and the first commit; the decision is `source::assignment`'s. Called by the
//! consumer at each assignment, and by the look at the broker before a change is taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::describe::describe;
use super::look::partitions;
use super::{ANSWER_TIMEOUT, KafkaSource, kafka, plain};
use crate::pipeline::definition::{Pipeline, Start};
use crate::source::SourceError;
use crate::source::assignment::{Begin, Facts, Hold, Kin, begin, kin};
use crate::source::audit::{Birth, Stamp};
use crate::source::troubles::{Found, Trouble, Troubles};

/// Answers about a partition's ends that may contradict each other.
const ENDS_ASKED_MAX: usize = 10;
/// Partitions that one line names.
const NAMED_MAX: usize = 8;

/// Where one partition begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    pub topic: String,
    pub partition: i32,
    /// `None` for a topic that no source reads.
    pub source: Option<usize>,
    pub at: i64,
    pub committed: Option<i64>,
    /// With what the group began to read it; goes into the stamps of its offsets.
    pub birth: Option<Birth>,
    /// Its first offset, and the one behind its last; absent when its topic is not there.
    pub span: Option<(i64, i64)>,
    /// Why it is not to be read.
    pub trouble: Option<Trouble>,
}

/// Offsets that Noroshi has not committed: somebody has reset them, or has taken over the group. A start cannot know whether
/// that was meant, so it says where it goes on.
fn tell_foreign(partitions: &[String]) {
    if partitions.is_empty() {
        return;
    }
    let shown = partitions.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    tracing::warn!(
        count = partitions.len(),
        partitions = shown,
        "Offsets of the group were committed by somebody else than Noroshi; reading goes on from there."
    );
}

/// Where these partitions begin for a group. What the broker says of their topics is noted in `troubles`; `ids` as for
/// [`look`].
pub fn beginnings<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    pipeline: &Pipeline,
    list: &TopicPartitionList,
    ids: bool,
    troubles: &mut Troubles,
) -> Result<Vec<Beginning>, SourceError> {
    let committed = committed_now(consumer, list.clone())?;
    let elements = committed.elements();
    let topics: BTreeSet<String> = elements.iter().map(|element| element.topic().to_owned()).collect();
    let described = look(consumer, &topics, ids)?;
    for (topic, described) in &described {
        troubles.look(topic, described);
    }
    let mut others: BTreeMap<String, Vec<Option<i32>>> = BTreeMap::new();
    let (mut found, mut foreign) = (Vec::new(), Vec::new());
    for element in elements {
        let (topic, partition) = (element.topic(), element.partition());
        let described = described.get(topic).unwrap_or(&Found::Unknown);
        let committed = plain(element.offset());
        let stamp = Stamp::parse(element.metadata());
        if let Some(offset) = committed.filter(|_| stamp.is_none()) {
            foreign.push(format!("{topic}/{partition} at {offset}"));
        }
        let born = stamp.and_then(|stamp| stamp.birth);
        let source = pipeline.source_of(topic);
        let mut beginning = Beginning {
            topic: topic.to_owned(),
            partition,
            source,
            at: committed.unwrap_or(0),
            committed,
            birth: birth(committed, born.as_ref(), described, partition),
            span: None,
            trouble: None,
        };
        if *described == Found::Missing {
            // Deleted since the group gave it to us.
            beginning.trouble = Some(Trouble::Missing);
            found.push(beginning);
            continue;
        }
        let (low, high) = ends(consumer, topic, partition, ANSWER_TIMEOUT)
            .map_err(|error| kafka("reading a partition's first and last offset", &error))?;
        // Without a source it will not be read: the group gave it before it learned that we read it no longer.
        beginning.at = high;
        beginning.span = Some((low, high));
        if let Some(declared) = source.map(|source| &pipeline.sources[source]) {
            let kin = match (committed, declared.start) {
                (Some(_), _) | (None, Start::Earliest) => Kin::None,
                (None, Start::Latest | Start::Error) => {
                    if !others.contains_key(topic) {
                        others.insert(topic.to_owned(), births(consumer, topic, described)?);
                    }
                    kin(partition, others.get(topic).into_iter().flatten().copied())
                }
            };
            let began = born.as_ref().and_then(|born| born.id.as_ref());
            let recreated = troubles.recreated(topic, began, described);
            match begin(Facts { committed, low, high, kin, recreated }, declared.start) {
                Begin::At(at) => beginning.at = at,
                Begin::Undeclared => {
                    return Err(SourceError::NoStart {
                        group: group.to_owned(),
                        topic: topic.to_owned(),
                        partition,
                        source_id: declared.id.to_string(),
                    });
                }
                Begin::OutOfRange { committed } => {
                    beginning.trouble = Some(Trouble::OutOfRange { next: committed, low, high });
                }
                Begin::Recreated => {
                    beginning.trouble = Some(Trouble::Recreated);
                    // What is committed from now on, if anything, belongs to the topic of before.
                    if born.is_none() {
                        let id = troubles.first(topic).cloned();
                        beginning.birth = Some(Birth { id, partitions: None });
                    }
                }
            }
        }
        if beginning.trouble.is_some() {
            // It is not moved.
            beginning.at = committed.unwrap_or(high);
        }
        found.push(beginning);
    }
    tell_foreign(&foreign);
    Ok(found)
}

/// What stands behind these names: with the ids of the topics, or only how many partitions they have.
pub fn look<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &BTreeSet<String>,
    ids: bool,
) -> Result<BTreeMap<String, Found>, SourceError> {
    let what = "asking what the topics are";
    if ids {
        return describe(consumer.client(), topics, ANSWER_TIMEOUT)
            .map_err(|why| SourceError::Kafka { what, why });
    }
    let mut described = BTreeMap::new();
    for topic in topics {
        let metadata =
            consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT).map_err(|error| kafka(what, &error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let found =
            match found.map(|found| (found.error().map(RDKafkaErrorCode::from), found.partitions().len())) {
                Some((None, partitions)) => {
                    Found::Present { id: None, partitions: i32::try_from(partitions).unwrap_or(i32::MAX) }
                }
                Some((Some(RDKafkaErrorCode::UnknownTopicOrPartition), _)) => Found::Missing,
                _ => Found::Unknown,
            };
        described.insert(topic.clone(), found);
    }
    Ok(described)
}

/// With what the group began on a partition: what its offset's stamp says, else what there is now. How many partitions
/// there were is not known when somebody else has committed the offset.
fn birth(committed: Option<i64>, born: Option<&Birth>, found: &Found, partition: i32) -> Option<Birth> {
    let Found::Present { id, partitions } = found else { return born.cloned() };
    // The broker that was asked may know less of the topic than the one that assigned the partition.
    let now = (*partitions).max(partition.saturating_add(1));
    Some(Birth {
        id: born.and_then(|born| born.id.clone()).or_else(|| id.clone()),
        partitions: born.map_or_else(|| committed.is_none().then_some(now), |born| born.partitions),
    })
}

/// For each partition of a topic in which the group has an offset: how many there were when it began on that one.
fn births<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    described: &Found,
) -> Result<Vec<Option<i32>>, SourceError> {
    let Found::Present { partitions, .. } = described else { return Ok(Vec::new()) };
    let mut list = TopicPartitionList::new();
    for partition in 0..*partitions {
        list.add_partition(topic, partition);
    }
    let committed = committed_now(consumer, list)?;
    let elements = committed.elements();
    let theirs = elements.iter().filter(|element| plain(element.offset()).is_some());
    Ok(theirs.map(|element| Stamp::parse(element.metadata())?.birth?.partitions).collect())
}

/// The first offset of a partition, and the one behind its last.
///
/// librdkafka (2.12) asks for each with a request of its own. When the first fails and the second succeeds at the same
/// moment, as can happen while a leader moves, it forgets the failure and takes the end for the beginning: the records
/// between them would be skipped in silence. So a partition that seems to be empty is asked about again, until two
/// answers agree.
pub fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<(i64, i64), KafkaError> {
    agreed(|| consumer.fetch_watermarks(topic, partition, timeout))
}

fn agreed(mut ask: impl FnMut() -> Result<(i64, i64), KafkaError>) -> Result<(i64, i64), KafkaError> {
    let mut found = ask()?;
    for _ in 0..ENDS_ASKED_MAX {
        let (low, high) = found;
        // Of a partition that has never held anything the end is the beginning.
        if low < high || high == 0 {
            return Ok(found);
        }
        let again = ask()?;
        if again == found {
            return Ok(found);
        }
        found = again;
    }
    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Conflict))
}

/// What the group has committed.
pub fn committed_now<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
) -> Result<TopicPartitionList, SourceError> {
    let failed = |error: &KafkaError| kafka("reading the group's committed offsets", error);
    let found = consumer.committed_offsets(list, ANSWER_TIMEOUT).map_err(|error| failed(&error))?;
    // A partition with an error of its own has no offset in the answer, which must not pass for none committed.
    match found.elements().iter().find_map(|element| element.error().err()) {
        Some(error) => Err(failed(&error)),
        None => Ok(found),
    }
}

/// These partitions, at where they begin. What is not to be read waits at its end, where nothing comes.
pub fn at_beginnings<'b>(
    beginnings: impl Iterator<Item = &'b Beginning>,
) -> Result<TopicPartitionList, SourceError> {
    let mut list = TopicPartitionList::new();
    for Beginning { topic, partition, at, trouble, .. } in beginnings {
        let offset = if trouble.is_some() { Offset::End } else { Offset::Offset(*at) };
        list.add_partition_offset(topic, *partition, offset)
            .map_err(|error| kafka("preparing the assignment", &error))?;
    }
    Ok(list)
}

impl KafkaSource {
    /// Partitions are ours from where they begin.
    pub(super) fn take(&mut self, beginnings: &[Beginning]) {
        for Beginning { topic, partition, source, at, committed, birth, span, trouble } in beginnings {
            self.positions.take(topic, *partition, *source, *at, *committed);
            self.positions.born(topic, *partition, birth.clone());
            self.release(topic, *partition);
            match trouble {
                None => {}
                Some(Trouble::Missing) if self.look.is_on() => {
                    self.wait(topic, *partition, Hold::Unbegun);
                }
                Some(trouble) => self.hold(topic, *partition, trouble.clone()),
            }
            if let Some((low, high)) = span {
                let anew = *trouble == Some(Trouble::Recreated);
                self.positions.measure(topic, *partition, *low, *high, anew);
            }
        }
    }

    /// Partitions that the group has given to this lane already, and that it has not read, begin.
    pub(super) fn begin_anew(&mut self, places: Vec<(Arc<str>, i32)>) -> Result<(), SourceError> {
        let found = self.beginnings(&partitions(places.iter().cloned()))?;
        self.seek(at_beginnings(found.iter().filter(|found| found.trouble.is_none()))?)?;
        self.commit_beginnings(&found)?;
        self.take(&found);
        self.regroup();
        self.pause_held()?;
        self.fetch(places.into_iter())
    }

    /// Where a group begins is decided once: a restart before the first epoch does not skip what came in between. The
    /// oldest record is the oldest at the next start as well; the newest is another one then. This is the only commit
    /// outside of a transaction; a copy of it that the network holds back beyond the first epoch would take the group
    /// back to its beginning, so there are no more than needed.
    pub(super) fn commit_beginnings(&self, beginnings: &[Beginning]) -> Result<(), SourceError> {
        let latest = |source: usize| {
            self.pipeline.sources.get(source).is_some_and(|source| source.start == Start::Latest)
        };
        let fresh: Vec<&Beginning> = beginnings
            .iter()
            .filter(|found| found.committed.is_none() && found.trouble.is_none())
            .filter(|found| found.source.is_some_and(latest))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let list = at_beginnings(fresh.iter().copied())?;
        for (mut element, found) in list.elements().into_iter().zip(fresh) {
            element.set_metadata(Stamp { birth: found.birth.clone(), ..self.me.clone() }.to_string());
        }
        self.consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|error| kafka("committing where the group begins", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_partition_must_be_said_twice() {
        for (answers, expect) in [
            (&[(0, 0)][..], Some((0, 0))),
            (&[(3, 50)], Some((3, 50))),
            (&[(50, 50), (50, 50)], Some((50, 50))),
            // The first answer has lost the beginning.
            (&[(50, 50), (0, 50)], Some((0, 50))),
            (&[(50, 50), (51, 51), (51, 51)], Some((51, 51))),
            (&[(50, 50), (51, 51), (0, 52)], Some((0, 52))),
            (&[(50, 50)], None),
        ] {
            let mut given = answers.iter();
            let fail = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
            let found = agreed(|| given.next().copied().ok_or_else(|| fail.clone()));
            assert_eq!(found.ok(), expect, "{answers:?}");
            assert_eq!(given.next(), None, "{answers:?}");
        }
        let mut end = 50;
        let found = agreed(|| {
            end += 1;
            Ok((end, end))
        });
        assert!(found.is_err(), "it never agrees");
    }
}
