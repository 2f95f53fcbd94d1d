//! An epoch's outputs on their way to the brokers, and what became of each.
//!
//! Owns enqueuing, waiting for the delivery reports, and telling which failure names the cause. What follows from it is
//! `sink::transaction`'s and `pipeline::refusals`'s. Called by the parent for each transaction, and by `replay` for each batch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use super::failure::{is_fenced, is_refused, of_transaction};
use super::{REPORT_WAIT, SinkContext, refusal};
use crate::sink::carry::Failure;
use crate::sink::transaction::Verdict;
use crate::sink::{self, Cause, Epoch};

/// A look at a topic before it is first written to.
const LOOK_WAIT: Duration = Duration::from_secs(5);
/// Records that are not delivered after so long may go to a topic that was deleted: the client waits for it to come back,
/// to the end of the transaction.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// A topic is gone when so many looks in a row do not find it, …
const GONE_LOOKS: u32 = 2;
/// … so far apart.
const GONE_LOOK_PAUSE: Duration = Duration::from_secs(2);
/// Where a transaction has little time, the looks come within it all the same: after a third of it, and a sixth apart.
const GONE_PARTS: (u32, u32) = (3, 6);
/// An abort is tried for so long before what it waits for is looked after.
const ABORT_SLICE: Duration = Duration::from_secs(1);
/// How long the cause of a failure is waited for when all reports are there.
const CAUSE_WAIT: Duration = Duration::from_millis(500);

/// Enqueues everything and waits until each record is delivered or has failed. `seen` are the topics that were there when
/// they were first written to, and that have not been refused since.
pub(super) fn produce(
    producer: &BaseProducer<SinkContext>,
    epoch: &Epoch<ConsumerGroupMetadata>,
    seen: &mut BTreeSet<Arc<str>>,
    until: Instant,
) -> Result<(), Failure> {
    // Nothing is sent yet: the producer stays as good as before.
    let looked =
        look(producer, topics(epoch), seen).map_err(|failure| Failure { verdict: Verdict::Abort, ..failure });
    let made = looked.and_then(|()| send(producer, epoch, until));
    if let Err(Failure { cause: Some(Cause::Topic(topic)), .. }) = &made {
        seen.remove(topic);
    }
    made
}

/// For a topic that is not there librdkafka waits half a minute, in case it is just being made; the whole lane would wait
/// with it.
fn look<'t>(
    producer: &BaseProducer<SinkContext>,
    topics: impl Iterator<Item = &'t str>,
    seen: &mut BTreeSet<Arc<str>>,
) -> Result<(), Failure> {
    for topic in topics {
        if seen.contains(topic) {
            continue;
        }
        // Without an answer the records themselves find out.
        let Ok(found) = producer.client().fetch_metadata(Some(topic), LOOK_WAIT) else { return Ok(()) };
        let found = found.topics().iter().find(|found| found.name() == topic);
        let code = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
        if let Some(code) = code.filter(|code| refusal::cause(*code, topic).is_some()) {
            return Err(failed(producer, code, topic));
        }
        seen.insert(Arc::from(topic));
    }
    Ok(())
}

fn topics(epoch: &Epoch<ConsumerGroupMetadata>) -> impl Iterator<Item = &str> + Clone {
    epoch.outputs.iter().map(|output| &*output.topic)
}

fn send(
    producer: &BaseProducer<SinkContext>,
    epoch: &Epoch<ConsumerGroupMetadata>,
    until: Instant,
) -> Result<(), Failure> {
    for output in &epoch.outputs {
        let mut record: BaseRecord<'_, [u8], [u8], ()> =
            BaseRecord::with_opaque_to(&output.topic, ()).headers(owned(&output.headers));
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.timestamp = output.timestamp_ms;
        enqueue(producer, record, topics(epoch), until)?;
        if epoch.apart {
            deliver(producer, topics(epoch), until)?;
        }
    }
    deliver(producer, topics(epoch), until)
}

/// Hands a record to the client, which may have to send others first. `topics` are those of the whole transaction.
pub(super) fn enqueue<'t>(
    producer: &BaseProducer<SinkContext>,
    mut record: BaseRecord<'_, [u8], [u8], ()>,
    topics: impl Iterator<Item = &'t str> + Clone,
    until: Instant,
) -> Result<(), Failure> {
    loop {
        let Err((error, back)) = producer.send(record) else { return Ok(()) };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        // The transaction has failed for what was sent before: the reports tell of what.
        if code == RDKafkaErrorCode::State {
            producer.purge(PurgeConfig::default().queue());
            deliver(producer, topics, until)?;
            return Err(failed(producer, of_transaction(producer).unwrap_or(code), back.topic));
        }
        if code != RDKafkaErrorCode::QueueFull {
            return Err(failed(producer, code, back.topic));
        }
        if Instant::now() >= until {
            return Err(too_slow("the producer's queue stays full"));
        }
        producer.poll(REPORT_WAIT);
        record = back;
    }
}

/// Headers as the client takes them.
pub(super) fn owned(headers: &[sink::Header]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
        all.insert(Header { key, value: value.as_deref() })
    })
}

/// Waits for the reports of all that was enqueued.
pub(super) fn deliver<'t>(
    producer: &BaseProducer<SinkContext>,
    topics: impl Iterator<Item = &'t str> + Clone,
    until: Instant,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let (after, pause) = look_times(until.saturating_duration_since(begun));
    let (mut look_at, mut looks) = (begun + after, 0);
    let mut given_up = false;
    while producer.in_flight_count() > 0 {
        let now = Instant::now();
        if now >= until {
            return Err(too_slow("records were not delivered in time"));
        }
        if !given_up && producer.context().report().is_refused() {
            // What follows it in its partition may wait for it for ever, and nothing of the transaction will be visible.
            given_up = true;
            producer.purge(PurgeConfig::default().queue().inflight());
        }
        if now >= look_at {
            let gone = look(producer, topics.clone(), &mut BTreeSet::new()).err();
            looks = if gone.is_some() { looks + 1 } else { 0 };
            if let Some(failure) = gone.filter(|_| looks >= GONE_LOOKS) {
                return Err(failure);
            }
            look_at = Instant::now() + pause;
        }
        producer.poll(REPORT_WAIT);
    }
    // Each poll brings one event, and the line of the log that names the cause may stand behind the reports.
    let patience = Instant::now() + CAUSE_WAIT;
    while producer.context().report().is_unexplained() && Instant::now() < patience {
        producer.poll(REPORT_WAIT);
    }
    outcome(producer, topics)
}

/// When a topic is first looked for, and how long after a look the next one comes, when there is so much time for delivery.
fn look_times(left: Duration) -> (Duration, Duration) {
    (GONE_AFTER.min(left / GONE_PARTS.0), GONE_LOOK_PAUSE.min(left / GONE_PARTS.1))
}

/// Aborts. The client waits for the reports of what it throws away, and only a poll takes them off its hands.
pub(super) fn abort(producer: &BaseProducer<SinkContext>, until: Instant) -> KafkaResult<()> {
    loop {
        let slice = Instant::now() + ABORT_SLICE;
        while producer.in_flight_count() > 0 && Instant::now() < slice {
            producer.poll(REPORT_WAIT);
        }
        match producer.abort_transaction(ABORT_SLICE) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {}
            done => return done,
        }
    }
}

/// What the reports that have come say of records to these topics.
fn outcome<'t>(
    producer: &BaseProducer<SinkContext>,
    topics: impl Iterator<Item = &'t str>,
) -> Result<(), Failure> {
    let report = std::mem::take(&mut *producer.context().report());
    match (report.failed, report.denied) {
        (None, _) => Ok(()),
        (Some((code, _)), Some(topic)) if refusal::is_aftermath(code) => {
            Err(failed(producer, RDKafkaErrorCode::TopicAuthorizationFailed, &topic))
        }
        (Some((code, topic)), _) if refusal::is_aftermath(code) => {
            let code = of_transaction(producer).unwrap_or(code);
            if refusal::cause(code, &topic).is_none() {
                return Err(failed(producer, code, &topic));
            }
            // The transaction says what, and not which topic; that of a record that went with it is anybody's.
            look(producer, topics, &mut BTreeSet::new())?;
            Err(Failure { cause: None, ..failed(producer, code, "one of the topics") })
        }
        (Some((code, topic)), _) => Err(failed(producer, code, &topic)),
    }
}

fn too_slow(why: &str) -> Failure {
    Failure { verdict: Verdict::Abort, why: why.to_owned(), cause: Some(Cause::TooSlow) }
}

fn failed(producer: &BaseProducer<SinkContext>, code: RDKafkaErrorCode, topic: &str) -> Failure {
    if let Some((code, reason)) = producer.client().fatal_error() {
        let verdict = match code {
            code if is_fenced(code) => Verdict::Fenced,
            // A new producer would have no more rights.
            code if is_refused(code) => Verdict::Refused,
            _ => Verdict::Fatal,
        };
        return Failure { verdict, why: format!("{code}: {reason}"), cause: None };
    }
    let bytes_max = producer.context().message_bytes_max.as_deref();
    let why = refusal::why(code, topic, bytes_max);
    let cause = refusal::cause(code, topic);
    let verdict = match code {
        code if is_fenced(code) => Verdict::Fenced,
        code if cause.is_none() && is_refused(code) => Verdict::Refused,
        // A refused batch leaves a gap in the producer's sequence that an abort does not close (librdkafka 2.12): sooner or
        // later a batch of a later transaction waits until its time is over. And of a transaction that no topic was added
        // to, the broker refuses the end. A new producer has no past.
        _ if cause.is_some() => Verdict::Fatal,
        _ => Verdict::Abort,
    };
    Failure { verdict, why, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_topic_is_noticed_before_the_time_is_over() {
        for (left, after, pause) in [(48_000, 5_000, 2_000), (6_000, 2_000, 1_000), (0, 0, 0)] {
            let times = look_times(Duration::from_millis(left));
            assert_eq!(times, (Duration::from_millis(after), Duration::from_millis(pause)), "{left} ms");
        }
        for left in (1..60_000).step_by(7).map(Duration::from_millis) {
            let (after, pause) = look_times(left);
            assert!(after + pause * (GONE_LOOKS - 1) < left, "{left:?}");
        }
    }
}
