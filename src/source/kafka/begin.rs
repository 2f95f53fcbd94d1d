//! Asking the broker where partitions begin.
//!
//! Owns the questions and what is said when there is no answer; the decision is `source::assignment`'s. Called by the
//! consumer at each assignment, and by the look at the broker before a change is taken over.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{ANSWER_TIMEOUT, kafka, plain};
use crate::pipeline::definition::Pipeline;
use crate::source::SourceError;
use crate::source::assignment::{Begin, Facts, begin};

/// Answers about a partition's ends that may contradict each other.
const ENDS_ASKED_MAX: usize = 10;

/// Where one partition begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    pub topic: String,
    pub partition: i32,
    /// `None` for a topic that no source reads.
    pub source: Option<usize>,
    pub at: i64,
    pub committed: Option<i64>,
}

/// Where these partitions begin for a group.
pub fn beginnings<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    pipeline: &Pipeline,
    list: &TopicPartitionList,
) -> Result<Vec<Beginning>, SourceError> {
    let committed = committed_now(consumer, list.clone())?;
    let mut found = Vec::new();
    for element in committed.elements() {
        let (topic, partition) = (element.topic(), element.partition());
        let (low, high) = ends(consumer, topic, partition, ANSWER_TIMEOUT)
            .map_err(|error| kafka("reading a partition's first and last offset", &error))?;
        let committed = plain(element.offset());
        let source = pipeline.source_of(topic);
        let at = match source.map(|source| &pipeline.sources[source]) {
            // The group gave it before it learned that we read it no longer; it will not be read.
            None => high,
            Some(declared) => match begin(Facts { committed, low, high }, declared.start) {
                Begin::At(at) => at,
                Begin::Undeclared => {
                    return Err(SourceError::NoStart {
                        group: group.to_owned(),
                        topic: topic.to_owned(),
                        partition,
                        source_id: declared.id.to_string(),
                    });
                }
                Begin::OutOfRange { committed } => {
                    let why = format!(
                        "{topic}/{partition} holds offsets {low} to {high}, but the group `{group}` has committed {committed}: records were deleted before they were read, or the topic was made anew; reset the group's offset to go on"
                    );
                    return Err(SourceError::Kafka { what: "offset out of range", why });
                }
            },
        };
        found.push(Beginning { topic: topic.to_owned(), partition, source, at, committed });
    }
    Ok(found)
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

/// These partitions, at where they begin.
pub fn at_beginnings<'b>(
    beginnings: impl Iterator<Item = &'b Beginning>,
) -> Result<TopicPartitionList, SourceError> {
    let mut list = TopicPartitionList::new();
    for Beginning { topic, partition, at, .. } in beginnings {
        list.add_partition_offset(topic, *partition, Offset::Offset(*at))
            .map_err(|error| kafka("preparing the assignment", &error))?;
    }
    Ok(list)
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
