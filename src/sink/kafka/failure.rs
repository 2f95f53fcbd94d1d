//! What the producer's errors mean.
//!
//! Owns which of librdkafka's codes stand for a fence or for missing rights, and finding the cause where the client
//! reports a consequence. What follows from it is `sink::transaction`'s. Called by the parent.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::SinkContext;
use crate::sink::carry::Failure;
use crate::sink::transaction::{Facts, verdict};

/// Why a record was not delivered. Records that were purged say nothing of the cause: what the transaction has failed
/// of does.
pub(super) fn delivery_failure(
    producer: &BaseProducer<SinkContext>,
    error: &KafkaError,
    topic: &str,
) -> Failure {
    let of = |code, facts: Facts, why: String| {
        let facts = Facts { fenced: is_fenced(code), refused: is_refused(code), ..facts };
        Failure { verdict: verdict(facts), why }
    };
    if let Some((code, reason)) = producer.client().fatal_error() {
        return of(code, Facts { fatal: true, ..Facts::default() }, format!("{code}: {reason}"));
    }
    let mut code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    let mut topic = topic.to_owned();
    if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
        // A transaction is open, so this begins none; of one that has failed it tells the cause.
        if let Err(KafkaError::Transaction(cause)) = producer.begin_transaction()
            && cause.txn_requires_abort()
        {
            code = cause.code();
        }
        topic = producer.context().report().denied.take().unwrap_or(topic);
    }
    let facts = Facts { requires_abort: true, ..Facts::default() };
    of(code, facts, format!("publishing to `{topic}`: {code}"))
}

/// The topic of which librdkafka says in its log, and nowhere else, that it may not be added to the transaction.
pub(super) fn denied(facility: &str, message: &str) -> Option<String> {
    if facility != "ADDPARTS" || !message.contains("Topic authorization failed") {
        return None;
    }
    let (_, after) = message.split_once('"')?;
    after.split_once('"').map(|(topic, _)| topic.to_owned())
}

pub(super) fn facts(error: &KafkaError) -> Facts {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    let (fatal, requires_abort, retriable) = match error {
        KafkaError::Transaction(error) => {
            (error.is_fatal(), error.txn_requires_abort(), error.is_retriable())
        }
        _ => (false, false, false),
    };
    Facts { fatal, requires_abort, retriable, fenced: is_fenced(code), refused: is_refused(code) }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

pub(super) fn is_connection(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve)
}

fn is_refused(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::MessageSizeTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_topic_that_may_not_be_written_to() {
        let line = |what: &str, why: &str| {
            format!(
                "[thrd:main]: broker:9092/1: Failed to add partition \"{what}\" [0] to transaction: Broker: {why}"
            )
        };
        for (facility, message, expect) in [
            ("ADDPARTS", line("alerts.rail", "Topic authorization failed"), Some("alerts.rail")),
            ("ADDPARTS", line("alerts.rail", "Operation not attempted"), None),
            ("TXNERR", line("alerts.rail", "Topic authorization failed"), None),
            ("ADDPARTS", "Topic authorization failed".to_owned(), None),
        ] {
            assert_eq!(denied(facility, &message).as_deref(), expect, "{facility} {message}");
        }
    }
}
