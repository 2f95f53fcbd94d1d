//! What the producer's errors mean.
//!
//! Owns which of librdkafka's codes stand for a fence or for missing rights, and finding the cause where the client
//! reports a consequence. What follows from it is `sink::transaction`'s. Called by the parent.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::SinkContext;
use crate::sink::transaction::Facts;

/// What a transaction has failed of. Records that were purged say nothing of it.
pub(super) fn of_transaction(producer: &BaseProducer<SinkContext>) -> Option<RDKafkaErrorCode> {
    // A transaction is open, so this begins none; of one that has failed it tells the cause.
    match producer.begin_transaction() {
        Err(KafkaError::Transaction(cause)) if cause.txn_requires_abort() => Some(cause.code()),
        _ => None,
    }
}

/// What an error says, as `transaction` wants to know it.
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

pub(super) fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

pub(super) fn is_connection(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve)
}

/// Whether a topic is not there.
pub(super) fn is_missing(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
}

pub(super) fn is_refused(code: RDKafkaErrorCode) -> bool {
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
    )
}
