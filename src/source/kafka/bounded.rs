//! A topic from its beginning to its end as of now, outside of any group.
//!
//! Owns the rdkafka consumer that does it (I-10). It reads what is committed, one partition after the other, and stops at
//! the last stable offset that each had when it was asked for: what comes later is not seen, however long it takes. What
//! the records mean is the callers'. Called by `cli::dlq`.

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};

use super::begin;
use crate::config::kafka::TokenSource;

/// How long the broker may take for one answer, and a reader may get nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// One look.
const POLL: Duration = Duration::from_millis(200);

/// Why a topic cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading `{topic}`: {why}")]
pub struct ReadError {
    topic: String,
    why: String,
    missing: bool,
}

impl ReadError {
    /// Whether there is no such topic, or no right to see it.
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

/// A partition and the offsets that are read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// From the oldest to the last stable offset; control records count, so there may be fewer records.
    pub offsets: Range<i64>,
}

/// A record, valid during the call.
pub struct Seen<'m>(&'m BorrowedMessage<'m>);

impl Seen<'_> {
    /// Offset.
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Timestamp in milliseconds.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// Key.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// Value.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// Headers in order.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let headers = self.0.headers().into_iter().flat_map(|headers| headers.iter());
        headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    }
}

struct Context {
    last: Mutex<Option<String>>,
    token: TokenSource,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error} ({reason})"));
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ConsumerContext for Context {}

/// Reads topics.
pub struct BoundedReader {
    consumer: BaseConsumer<Context>,
}

impl BoundedReader {
    /// A reader with a consumer's settings, which are those of committed reading.
    pub fn new(config: &ClientConfig, token: TokenSource) -> Result<Self, ReadError> {
        let mut config = config.clone();
        config.set("enable.partition.eof", "true");
        // No member of the group: the name is for rights only.
        config.remove("group.instance.id");
        let context = Context { last: Mutex::new(None), token };
        let consumer: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(|error| ReadError { topic: String::new(), why: error.to_string(), missing: false })?;
        // An OAUTHBEARER token is asked for through an event. Later polls would take records.
        let _ = consumer.poll(Duration::ZERO);
        Ok(Self { consumer })
    }

    /// The partitions of a topic. May be asked for while reading.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, ReadError> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|error| self.failed(topic, error.to_string()))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found.filter(|found| found.error().is_none() && !found.partitions().is_empty())
        else {
            let error = self.failed(topic, "there is no such topic, or no right to it".into());
            return Err(ReadError { missing: true, ..error });
        };
        let mut partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// The partitions of a topic, with what is in them now.
    pub fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, ReadError> {
        let mut bounds = Vec::new();
        for partition in self.partitions(topic)? {
            let (low, high) = begin::ends(&self.consumer, topic, partition, PATIENCE)
                .map_err(|error| self.failed(topic, error.to_string()))?;
            bounds.push(Bounds { topic: topic.to_owned(), partition, offsets: low..high });
        }
        Ok(bounds)
    }

    /// Hands on the records of a partition within these bounds, in order, until `take` breaks.
    pub fn read(
        &self,
        bounds: &Bounds,
        take: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let Bounds { topic, partition, offsets } = bounds;
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let assigned = list
            .add_partition_offset(topic, *partition, Offset::Offset(offsets.start))
            .and_then(|()| self.consumer.assign(&list));
        assigned.map_err(|error| self.failed(topic, error.to_string()))?;
        let done = self.read_assigned(bounds, take);
        let _ = self.consumer.unassign();
        done
    }

    fn read_assigned(
        &self,
        bounds: &Bounds,
        take: &mut dyn FnMut(&Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let Bounds { topic, partition, offsets } = bounds;
        let mut until = Instant::now() + PATIENCE;
        loop {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    // What an earlier partition left in the queue.
                    if message.partition() != *partition || message.topic() != topic {
                        continue;
                    }
                    until = Instant::now() + PATIENCE;
                    let offset = message.offset();
                    if offset >= offsets.end || take(&Seen(&message)).is_break() || offset + 1 >= offsets.end
                    {
                        return Ok(());
                    }
                }
                // The last records may be control records, which nobody sees.
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == *partition => return Ok(()),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(for_good) => {
                    return Err(self.failed(topic, error.to_string()));
                }
                Some(Err(_)) | None if Instant::now() >= until => {
                    let last = self.consumer.context().last.lock().unwrap_or_else(PoisonError::into_inner);
                    let why = last.clone().unwrap_or_else(|| "the broker sends nothing".to_owned());
                    return Err(self.failed(topic, why));
                }
                // Outages pass.
                Some(Err(_)) | None => {}
            }
        }
    }

    fn failed(&self, topic: &str, why: String) -> ReadError {
        ReadError { topic: topic.to_owned(), why, missing: false }
    }
}

fn for_good(code: rdkafka::error::RDKafkaErrorCode) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::AutoOffsetReset
            | Code::OffsetOutOfRange
    )
}
