//! Publishing what an epoch holds.
//!
//! Owns enqueuing all of it and waiting for the delivery reports, and the errors of these. Called by the parent within a
//! transaction.

use std::time::Instant;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::failure::delivery_failure;
use super::{REPORT_WAIT, SinkContext};
use crate::sink::Output;
use crate::sink::carry::Failure;
use crate::sink::transaction::Verdict;

/// Enqueues everything and waits until each record is delivered or has failed.
pub(super) fn publish(
    producer: &BaseProducer<SinkContext>,
    outputs: &[Output],
    until: Instant,
) -> Result<(), Failure> {
    let fail = |verdict: Verdict, why: &str| Failure { verdict, why: why.to_owned() };
    for output in outputs {
        let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
        for (key, value) in &output.headers {
            headers = headers.insert(KafkaHeader { key, value: value.as_deref() });
        }
        let mut record: BaseRecord<'_, [u8], [u8], ()> =
            BaseRecord::with_opaque_to(&output.topic, ()).headers(headers);
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.timestamp = output.timestamp_ms;
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((error, back)) => {
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        return Err(delivery_failure(producer, &error, &output.topic));
                    }
                    if Instant::now() >= until {
                        return Err(fail(Verdict::Abort, "the producer's queue stays full"));
                    }
                    producer.poll(REPORT_WAIT);
                    record = back;
                }
            }
        }
    }
    while producer.in_flight_count() > 0 {
        if Instant::now() >= until {
            return Err(fail(Verdict::Abort, "records were not delivered in time"));
        }
        producer.poll(REPORT_WAIT);
    }
    let failed = producer.context().report().failed.take();
    match failed {
        None => Ok(()),
        Some((code, topic)) => {
            let error = KafkaError::MessageProduction(code);
            Err(delivery_failure(producer, &error, &topic))
        }
    }
}
