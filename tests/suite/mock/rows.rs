//! What a transaction comes to, for each answer to each of its requests.
//!
//! Owns the table alone; the parent plays it.

use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaErrorCode as Code};

use super::End::{Committed, Failed, Fenced, Refused, Rewound, Unknown};
use super::{End, New};

/// (answers, how the epoch ends, whether the producer is replaced)
pub type Row = (&'static [(Api, &'static [Code])], End, New);

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // Publishing. The client sends again what passes; only a lost connection leaves a doubt.
    (&[(Api::Produce, &[Code::NotLeaderForPartition, Code::NotLeaderForPartition])], Committed, New::No),
    (&[(Api::Produce, &[Code::LeaderNotAvailable])], Committed, New::No),
    (&[(Api::Produce, &[Code::UnknownTopicOrPartition])], Committed, New::No),
    (&[(Api::Produce, &[Code::NotEnoughReplicas, Code::NotEnoughReplicas])], Committed, New::No),
    (&[(Api::Produce, &[Code::NotEnoughReplicasAfterAppend])], Committed, New::No),
    (&[(Api::Produce, &[Code::RequestTimedOut])], Committed, New::No),
    (&[(Api::Produce, &[Code::KafkaStorageError])], Committed, New::No),
    (&[(Api::Produce, &[Code::InvalidMessage])], Committed, New::No),
    (&[(Api::Produce, &[Code::BrokerTransportFailure])], Committed, New::Next),
    // What is wrong with the records, or with their numbers: abort and rewind. Of records that were not taken the numbers
    // are missing, so the next ones need a new producer.
    (&[(Api::Produce, &[Code::OutOfOrderSequenceNumber])], Rewound(Code::OutOfOrderSequenceNumber), New::Now),
    (&[(Api::Produce, &[Code::UnknownProducerId])], Rewound(Code::UnknownProducerId), New::Next),
    (&[(Api::Produce, &[Code::InvalidRecord])], Refused(Code::InvalidRecord), New::Now),
    (&[(Api::Produce, &[Code::PolicyViolation])], Rewound(Code::PolicyViolation), New::Next),
    (&[(Api::Produce, &[Code::InvalidTransactionalState])], Rewound(Code::InvalidTransactionalState), New::Next),
    (&[(Api::Produce, &[Code::Unknown])], Rewound(Code::Unknown), New::Next),
    (&[(Api::Produce, &[Code::InvalidProducerEpoch])], Fenced, New::Never),
    (&[(Api::Produce, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::Produce, &[Code::TopicAuthorizationFailed])], Refused(Code::TopicAuthorizationFailed), New::Now),
    (&[(Api::Produce, &[Code::ClusterAuthorizationFailed])], Failed(Code::ClusterAuthorizationFailed), New::Never),
    (&[(Api::Produce, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),

    // Adding partitions to the transaction.
    (&[(Api::AddPartitionsToTxn, &[Code::NotCoordinator])], Committed, New::Perhaps),
    (&[(Api::AddPartitionsToTxn, &[Code::CoordinatorNotAvailable])], Committed, New::Perhaps),
    (&[(Api::AddPartitionsToTxn, &[Code::CoordinatorLoadInProgress])], Committed, New::No),
    (&[(Api::AddPartitionsToTxn, &[Code::ConcurrentTransactions; 5])], Committed, New::No),
    (&[(Api::AddPartitionsToTxn, &[Code::UnknownTopicOrPartition])], Committed, New::No),
    (&[(Api::AddPartitionsToTxn, &[Code::BrokerTransportFailure])], Committed, New::Next),
    (&[(Api::AddPartitionsToTxn, &[Code::UnknownProducerId])], Rewound(Code::UnknownProducerId), New::Next),
    (&[(Api::AddPartitionsToTxn, &[Code::InvalidProducerIdMapping])], Rewound(Code::InvalidProducerIdMapping), New::Next),
    (&[(Api::AddPartitionsToTxn, &[Code::OperationNotAttempted])], Rewound(Code::OperationNotAttempted), New::Next),
    (&[(Api::AddPartitionsToTxn, &[Code::Unknown])], Rewound(Code::Unknown), New::Next),
    (&[(Api::AddPartitionsToTxn, &[Code::InvalidTransactionalState])], Rewound(Code::InvalidTransactionalState), New::Now),
    (&[(Api::AddPartitionsToTxn, &[Code::InvalidProducerEpoch])], Fenced, New::Never),
    (&[(Api::AddPartitionsToTxn, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::AddPartitionsToTxn, &[Code::TopicAuthorizationFailed])], Refused(Code::TopicAuthorizationFailed), New::Now),
    (&[(Api::AddPartitionsToTxn, &[Code::ClusterAuthorizationFailed])], Failed(Code::ClusterAuthorizationFailed), New::Never),
    (&[(Api::AddPartitionsToTxn, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),

    // Adding offsets: first at the transaction's coordinator. What the client sends again leaves a doubt.
    (&[(Api::AddOffsetsToTxn, &[Code::NotCoordinator, Code::NotCoordinator])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::CoordinatorNotAvailable])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::CoordinatorLoadInProgress])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::ConcurrentTransactions, Code::ConcurrentTransactions])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::RequestTimedOut])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::BrokerTransportFailure])], Committed, New::Next),
    (&[(Api::AddOffsetsToTxn, &[Code::UnknownProducerId])], Rewound(Code::UnknownProducerId), New::No),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidProducerIdMapping])], Rewound(Code::InvalidProducerIdMapping), New::No),
    (&[(Api::AddOffsetsToTxn, &[Code::Unknown])], Rewound(Code::Unknown), New::No),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidTransactionalState])], Rewound(Code::InvalidTransactionalState), New::Now),
    (&[(Api::AddOffsetsToTxn, &[Code::UnsupportedForMessageFormat])], Rewound(Code::UnsupportedForMessageFormat), New::Now),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidProducerEpoch])], Fenced, New::Never),
    (&[(Api::AddOffsetsToTxn, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::AddOffsetsToTxn, &[Code::GroupAuthorizationFailed])], Failed(Code::GroupAuthorizationFailed), New::Never),
    (&[(Api::AddOffsetsToTxn, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),
    (&[(Api::AddOffsetsToTxn, &[Code::ClusterAuthorizationFailed])], Failed(Code::ClusterAuthorizationFailed), New::Never),

    // Then at the group's.
    (&[(Api::TxnOffsetCommit, &[Code::NotCoordinator])], Committed, New::No),
    (&[(Api::TxnOffsetCommit, &[Code::CoordinatorNotAvailable])], Committed, New::No),
    (&[(Api::TxnOffsetCommit, &[Code::CoordinatorLoadInProgress])], Committed, New::No),
    (&[(Api::TxnOffsetCommit, &[Code::RequestTimedOut])], Committed, New::No),
    (&[(Api::TxnOffsetCommit, &[Code::UnknownTopicOrPartition])], Committed, New::No),
    (&[(Api::TxnOffsetCommit, &[Code::BrokerTransportFailure])], Committed, New::Next),
    (&[(Api::TxnOffsetCommit, &[Code::IllegalGeneration])], Rewound(Code::IllegalGeneration), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::UnknownMemberId])], Rewound(Code::UnknownMemberId), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::FencedInstanceId])], Rewound(Code::FencedInstanceId), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::StaleMemberEpoch])], Rewound(Code::StaleMemberEpoch), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::UnstableOffsetCommit])], Rewound(Code::UnstableOffsetCommit), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::OffsetMetadataTooLarge])], Rewound(Code::OffsetMetadataTooLarge), New::No),
    (&[(Api::TxnOffsetCommit, &[Code::InvalidTransactionalState])], Rewound(Code::InvalidTransactionalState), New::Now),
    (&[(Api::TxnOffsetCommit, &[Code::InvalidProducerIdMapping])], Rewound(Code::InvalidProducerIdMapping), New::Now),
    (&[(Api::TxnOffsetCommit, &[Code::InvalidProducerEpoch])], Fenced, New::Never),
    (&[(Api::TxnOffsetCommit, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::TxnOffsetCommit, &[Code::GroupAuthorizationFailed])], Failed(Code::GroupAuthorizationFailed), New::Never),
    (&[(Api::TxnOffsetCommit, &[Code::TopicAuthorizationFailed])], Failed(Code::TopicAuthorizationFailed), New::Never),
    (&[(Api::TxnOffsetCommit, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),

    // The commit.
    (&[(Api::EndTxn, &[Code::NotCoordinator, Code::NotCoordinator])], Committed, New::Next),
    (&[(Api::EndTxn, &[Code::CoordinatorNotAvailable])], Committed, New::Next),
    (&[(Api::EndTxn, &[Code::CoordinatorLoadInProgress])], Committed, New::Next),
    (&[(Api::EndTxn, &[Code::ConcurrentTransactions, Code::ConcurrentTransactions])], Committed, New::Next),
    (&[(Api::EndTxn, &[Code::BrokerTransportFailure])], Committed, New::Next),
    (&[(Api::EndTxn, &[Code::UnknownProducerId])], Rewound(Code::UnknownProducerId), New::No),
    (&[(Api::EndTxn, &[Code::InvalidProducerIdMapping])], Rewound(Code::InvalidProducerIdMapping), New::No),
    (&[(Api::EndTxn, &[Code::Unknown])], Rewound(Code::Unknown), New::No),
    // Fatal, and the commit was sent: whether it took effect the group's offsets tell.
    (&[(Api::EndTxn, &[Code::InvalidTransactionalState])], Unknown(Code::InvalidTransactionalState), New::Now),
    (&[(Api::EndTxn, &[Code::InvalidProducerEpoch])], Fenced, New::Never),
    (&[(Api::EndTxn, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::EndTxn, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),
    (&[(Api::EndTxn, &[Code::ClusterAuthorizationFailed])], Failed(Code::ClusterAuthorizationFailed), New::Never),

    // The abort, after records that were refused.
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::NotCoordinator])], Rewound(Code::PolicyViolation), New::Next),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::BrokerTransportFailure])], Rewound(Code::PolicyViolation), New::Next),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::InvalidProducerIdMapping])], Rewound(Code::PolicyViolation), New::Next),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::Unknown])], Rewound(Code::Unknown), New::Now),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::InvalidTransactionalState])], Rewound(Code::InvalidTransactionalState), New::Now),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::Produce, &[Code::PolicyViolation]), (Api::EndTxn, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),
    // The abort raises the epoch, where the broker has lost the producer.
    (&[(Api::Produce, &[Code::UnknownProducerId]), (Api::InitProducerId, &[Code::ConcurrentTransactions])], Rewound(Code::UnknownProducerId), New::Next),
    (&[(Api::Produce, &[Code::UnknownProducerId]), (Api::InitProducerId, &[Code::InvalidProducerEpoch])], Fenced, New::Never),

    // The new producer, after a fatal error.
    (&[(Api::EndTxn, &[Code::InvalidTransactionalState]), (Api::InitProducerId, &[Code::ConcurrentTransactions, Code::NotCoordinator])], Unknown(Code::InvalidTransactionalState), New::Now),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidTransactionalState]), (Api::InitProducerId, &[Code::BrokerTransportFailure])], Rewound(Code::InvalidTransactionalState), New::Now),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidTransactionalState]), (Api::InitProducerId, &[Code::ProducerFenced])], Fenced, New::Never),
    (&[(Api::AddOffsetsToTxn, &[Code::InvalidTransactionalState]), (Api::InitProducerId, &[Code::TransactionalIdAuthorizationFailed])], Failed(Code::TransactionalIdAuthorizationFailed), New::Never),
];
