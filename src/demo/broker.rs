//! A Kafka inside the process: librdkafka's mock cluster, for the demo only.
//!
//! Owns the cluster and the producer of synthetic telemetry. The mock keeps no committed offsets and does not
//! hide aborted records, so it proves nothing about delivery; the tests that do use a real broker.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

/// The mock keeps about 5 MB a partition; several partitions keep the demo's input inside of that.
pub const PARTITIONS: i32 = 4;

/// What the mock or its clients say.
pub type BrokerError = KafkaError;

/// A broker that lives as long as this value.
pub struct MockBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl MockBroker {
    /// Starts it, with these topics.
    pub fn start(topics: &[String]) -> Result<Self, KafkaError> {
        let cluster = MockCluster::new(1)?;
        for topic in topics {
            cluster.create_topic(topic, PARTITIONS, 1)?;
        }
        Ok(Self { cluster })
    }

    /// Where it listens.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// Sends telemetry as a shipper would.
pub struct Shipper {
    producer: BaseProducer,
    sent: u64,
}

impl Shipper {
    /// A producer for that broker.
    pub fn new(servers: &str) -> Result<Self, KafkaError> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("linger.ms", "5")
            .set("queue.buffering.max.kbytes", "16384")
            .create()?;
        Ok(Self { producer, sent: 0 })
    }

    /// Sends a record; waits while the queue is full.
    pub fn send(&mut self, topic: &str, value: &[u8]) -> Result<(), KafkaError> {
        let partition = i32::try_from(self.sent % u64::from(PARTITIONS.unsigned_abs())).unwrap_or(0);
        self.sent += 1;
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).partition(partition).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, back)) => {
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        return Err(error);
                    }
                    self.producer.poll(Duration::from_millis(5));
                    record = back;
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until all is delivered.
    pub fn flush(&self) -> Result<(), KafkaError> {
        self.producer.flush(Duration::from_secs(10))
    }
}
