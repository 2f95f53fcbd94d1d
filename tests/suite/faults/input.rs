//! The input of a round, and what must become of each of its records.
//!
//! Owns the records and the oracle's knowledge of them: the generator knows what each must lead to, whatever the
//! program's engine thinks. It writes plainly, or in transactions of its own of which it aborts some.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use crate::delivery::PARTITIONS;
use crate::kafka::Broker;
use crate::process::WAIT_MAX;
use crate::refusals;

/// `max.message.bytes` of the topics of alerts.
pub const ALERT_BYTES_MAX: usize = 20_000;

/// Topic, partition, offset.
pub type Place = (String, i64, i64);

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Alert,
    Nothing,
    Reject,
    /// It is found, and no topic takes its alert.
    Refuse,
}

/// Writes records and remembers them.
pub struct Input {
    /// What must become of each record that was committed.
    pub expected: BTreeMap<Place, Fate>,
    /// For each partition where a group that has read everything stands: behind the last record.
    pub ends: BTreeMap<(String, i64), i64>,
    /// Records that were written and aborted: nobody may see them.
    pub aborted: usize,
    /// The transactional id, if it writes in transactions.
    id: Option<String>,
    producer: Option<BaseProducer<Places>>,
    sequence: usize,
    /// The next record is one whose alert is too large.
    fat: bool,
}

/// Where records went, by their number in the call.
#[derive(Default)]
struct Places(Mutex<Vec<Result<(usize, Place), String>>>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let place = match result {
            Ok(message) => {
                let place = (message.topic().to_owned(), i64::from(message.partition()), message.offset());
                Ok((number, place))
            }
            Err((error, _)) => Err(error.to_string()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }
}

impl Input {
    /// Without records so far; with a transactional id it writes in transactions.
    pub fn new(id: Option<String>) -> Self {
        Self {
            expected: BTreeMap::new(),
            ends: BTreeMap::new(),
            aborted: 0,
            id,
            producer: None,
            sequence: 0,
            fat: false,
        }
    }

    /// The broker has died: what is written next is written by a new producer.
    pub fn reconnect(&mut self) {
        self.producer = None;
    }

    /// The next record that is written is one whose alert is too large for its topic.
    pub fn fatten(&mut self) {
        self.fat = true;
    }

    /// Writes so many records, at least two, into each partition of these topics; in transactions also some that it
    /// aborts.
    pub fn write(&mut self, broker: &Broker, topics: &[String], each: usize) {
        let producer = self.producer.take().unwrap_or_else(|| self.connect(broker));
        if self.id.is_none() {
            self.part(&producer, topics, each, true);
        } else {
            for (each, kept) in [(each - each / 2, true), (each / 2, false), (each / 2, true)] {
                producer.begin_transaction().expect("the input's transaction begins");
                self.part(&producer, topics, each, kept);
                let done = if kept {
                    producer.commit_transaction(WAIT_MAX)
                } else {
                    producer.abort_transaction(WAIT_MAX)
                };
                done.expect("the input's transaction ends");
            }
        }
        self.producer = Some(producer);
    }

    fn connect(&self, broker: &Broker) -> BaseProducer<Places> {
        let mut config = broker.config();
        config.set("enable.idempotence", "true").set("linger.ms", "2");
        if let Some(id) = &self.id {
            config.set("transactional.id", id);
        }
        let producer: BaseProducer<Places> =
            config.create_with_context(Places::default()).expect("a producer");
        if self.id.is_some() {
            producer.init_transactions(WAIT_MAX).expect("the input's producer is initialised");
        }
        producer
    }

    /// Writes records and waits until the broker has told where each of them is.
    fn part(&mut self, producer: &BaseProducer<Places>, topics: &[String], each: usize, kept: bool) {
        let mut fates = Vec::new();
        for topic in topics {
            for number in 0..each * PARTITIONS {
                let partition = i32::try_from(number % PARTITIONS).expect("few");
                let (fate, value) = self.record();
                let mut record: BaseRecord<'_, (), str, usize> =
                    BaseRecord::with_opaque_to(topic, fates.len()).partition(partition).payload(&value);
                while let Err((error, back)) = producer.send(record) {
                    let full = matches!(&error, KafkaError::MessageProduction(code)
                        if *code == rdkafka::types::RDKafkaErrorCode::QueueFull);
                    assert!(full, "cannot write to {topic}: {error}");
                    producer.poll(Duration::from_millis(1));
                    record = back;
                }
                fates.push(fate);
            }
        }
        let deadline = Instant::now() + WAIT_MAX;
        while producer.in_flight_count() > 0 {
            assert!(Instant::now() < deadline, "the input was not written within {WAIT_MAX:?}");
            producer.poll(Duration::from_millis(1));
        }
        let places =
            std::mem::take(&mut *producer.context().0.lock().unwrap_or_else(PoisonError::into_inner));
        assert_eq!(places.len(), fates.len(), "each record has a place");
        if !kept {
            self.aborted += fates.len();
            return;
        }
        for place in places {
            let (number, place) = place.expect("the broker takes the input");
            let end = self.ends.entry((place.0.clone(), place.1)).or_default();
            *end = (*end).max(place.2 + 1);
            self.expected.insert(place, fates[number]);
        }
    }

    fn record(&mut self) -> (Fate, String) {
        self.sequence += 1;
        let sequence = self.sequence;
        if std::mem::take(&mut self.fat) {
            let value = refusals::event(sequence, 3 * ALERT_BYTES_MAX);
            return (Fate::Refuse, String::from_utf8(value).expect("text"));
        }
        let event = |id: u32| {
            format!(
                r#"{{"Channel":"Security","EventID":{id},"Hostname":"h{sequence}","EventTime":"2026-01-02 03:04:05"}}"#
            )
        };
        match sequence % 10 {
            0 => (Fate::Reject, format!("{{\"broken\": {sequence}")),
            1..=4 => (Fate::Alert, event(1102)),
            _ => (Fate::Nothing, event(4624)),
        }
    }
}
