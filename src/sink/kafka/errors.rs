//! What librdkafka's errors say, for the decisions of `sink::transaction`.
//!
//! Owns which codes mean what. Called by the parent and by `replay`.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::sink::transaction::Facts;

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
            | Code::MessageSizeTooLarge
    )
}
