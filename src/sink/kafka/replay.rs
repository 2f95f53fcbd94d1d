//! The transactions that send rejects in again.
//!
//! Owns the producer of `noroshi dlq replay` and its calls, one transaction a batch. It tries nothing twice beyond what
//! librdkafka does by itself: whatever goes wrong ends the command, because the next run knows from the marks in the
//! dead-letter topic what has been sent. So there is no case to decide that a crash would not decide as well.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::failure::facts;
use super::produce::{abort, deliver, enqueue, owned};
use super::{ProducerSettings, RETRY_WAIT, Report, SinkContext, SinkError, create};
use crate::sink::carry::Failure;
use crate::sink::replay::Placed;
use crate::sink::transaction::Verdict;

/// Why a batch was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// None of it is visible.
    #[error("{0}; nothing of this batch was sent: run the command again")]
    NotSent(String),
    /// Nobody answered in time.
    #[error(
        "{0}; whether this batch was sent is not known here, but the next run will know: run the command again"
    )]
    Unknown(String),
    /// Another replay of the same pipeline has begun.
    #[error("another replay of this pipeline has taken over: {0}")]
    Fenced(String),
}

/// Sends batches.
pub struct Replayer {
    producer: BaseProducer<SinkContext>,
    try_for: Duration,
}

impl Replayer {
    /// Initialises the producer. From its return on, no earlier run can add a mark any more: what it had open is aborted,
    /// what it had committed can be read.
    pub fn start(settings: &ProducerSettings) -> Result<Self, SinkError> {
        let producer = create(settings, 0, Instant::now() + settings.replace_for)?;
        Ok(Self { producer, try_for: settings.try_for })
    }

    /// Sends all of it or nothing.
    pub fn send(&self, batch: &[Placed]) -> Result<(), ReplayError> {
        let until = Instant::now() + self.try_for;
        *self.producer.context().report() = Report::default();
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| self.failed(ReplayError::NotSent, &error, "beginning a transaction"))?;
        if let Err(Failure { verdict, why, .. }) = self.produce(batch, until) {
            let _ = abort(&self.producer, Instant::now() + self.try_for);
            return Err(if verdict == Verdict::Fenced {
                ReplayError::Fenced(why)
            } else {
                ReplayError::NotSent(why)
            });
        }
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(RETRY_WAIT);
            let Err(error) = self.producer.commit_transaction(left) else { return Ok(()) };
            let facts = facts(&error);
            if facts.requires_abort && !facts.fenced {
                let _ = abort(&self.producer, Instant::now() + self.try_for);
                return Err(self.failed(ReplayError::NotSent, &error, "committing"));
            }
            if !facts.retriable || Instant::now() >= until {
                return Err(self.failed(ReplayError::Unknown, &error, "committing"));
            }
        }
    }

    fn produce(&self, batch: &[Placed], until: Instant) -> Result<(), Failure> {
        let topics = batch.iter().map(|placed| placed.topic.as_str());
        for placed in batch {
            let mut record: BaseRecord<'_, [u8], [u8], ()> =
                BaseRecord::with_opaque_to(&placed.topic, ()).headers(owned(&placed.headers));
            record.partition = placed.partition;
            record.key = placed.key.as_deref();
            record.payload = placed.value.as_deref();
            enqueue(&self.producer, record, topics.clone(), until)?;
        }
        deliver(&self.producer, topics, until)
    }

    fn failed(&self, kind: fn(String) -> ReplayError, error: &KafkaError, what: &str) -> ReplayError {
        let why = format!("{what}: {error}");
        if facts(error).fenced { ReplayError::Fenced(why) } else { kind(why) }
    }
}
