//! What the brokers' answers to produced records say: was a record refused, its topic, or neither.
//!
//! Owns the table of codes and the words for the operator. What follows from a refusal is `pipeline::refusals`'s. Called
//! by `sink::kafka::produce` and by the producer's callbacks.

use std::sync::Arc;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::sink::Cause;

/// librdkafka's words for a right to a topic that is missing.
const DENIED: &str = "Broker: Topic authorization failed";

/// What a record's delivery report says; `None` for what may pass, or says nothing of the record and its topic.
pub(super) fn cause(code: Code, topic: &str) -> Option<Cause> {
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => Some(Cause::Size(Arc::from(topic))),
        Code::InvalidMessage | Code::InvalidRecord | Code::InvalidTimestamp => {
            Some(Cause::Record(Arc::from(topic)))
        }
        Code::TopicAuthorizationFailed
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition => Some(Cause::Topic(Arc::from(topic))),
        Code::MessageTimedOut => Some(Cause::TooSlow),
        _ => None,
    }
}

/// Whether a report only says that another one's failure took this record along.
pub(super) fn is_aftermath(code: Code) -> bool {
    matches!(code, Code::PurgeQueue | Code::PurgeInflight | Code::InvalidDifferentRecord)
}

/// What happened, and what to do about it. `bytes_max` is what the client may send at most.
pub(super) fn why(code: Code, topic: &str, bytes_max: Option<&str>) -> String {
    let what = format!("publishing to `{topic}`: {code}");
    match code {
        Code::TopicAuthorizationFailed => format!("{what}; the right Write on this topic is missing"),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            format!("{what}; the topic is not there: `noroshi topics --create` makes what is missing")
        }
        Code::MessageSizeTooLarge => format!(
            "{what}; max.message.bytes of the topic, or message.max.bytes of the broker, must not be lower than \
             limits.message_bytes_max ({})",
            bytes_max.unwrap_or("1000000")
        ),
        Code::InvalidTimestamp => format!(
            "{what}; message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic forbids it"
        ),
        _ => what,
    }
}

/// The topic that may not be added to a transaction. The client fails the transaction for it, and then no report and no
/// call names the topic any more: only its log does.
pub(super) fn denied(facility: &str, line: &str) -> Option<String> {
    if facility != "ADDPARTS" {
        return None;
    }
    let (_, rest) = line.split_once("Failed to add partition \"")?;
    let (topic, rest) = rest.split_once('"')?;
    rest.ends_with(DENIED).then(|| topic.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_answer_to_a_produced_record_says() {
        let record = || Some(Cause::Record(Arc::from("t")));
        let size = || Some(Cause::Size(Arc::from("t")));
        let topic = || Some(Cause::Topic(Arc::from("t")));
        for (code, expect, part) in [
            (Code::MessageSizeTooLarge, size(), "limits.message_bytes_max (7)"),
            (Code::InvalidRecord, record(), "Broker"),
            (Code::InvalidMessage, record(), "Broker"),
            (Code::InvalidTimestamp, record(), "message.timestamp.after.max.ms"),
            (Code::TopicAuthorizationFailed, topic(), "the right Write"),
            (Code::UnknownTopicOrPartition, topic(), "topics --create"),
            (Code::UnknownTopic, topic(), "topics --create"),
            (Code::MessageTimedOut, Some(Cause::TooSlow), ""),
            // Neither the record nor the topic is at fault.
            (Code::BrokerTransportFailure, None, ""),
            (Code::NotEnoughReplicas, None, ""),
            (Code::OutOfOrderSequenceNumber, None, ""),
            (Code::ClusterAuthorizationFailed, None, ""),
            (Code::TransactionalIdAuthorizationFailed, None, ""),
            (Code::PurgeQueue, None, ""),
            (Code::InvalidDifferentRecord, None, ""),
        ] {
            assert_eq!(cause(code, "t"), expect, "{code:?}");
            let why = why(code, "t", Some("7"));
            assert!(why.starts_with("publishing to `t`: ") && why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_topic_that_is_denied_to_the_transaction_is_read_from_the_log() {
        let line = |why: &str| {
            format!("[thrd:main]: a:1/1: Failed to add partition \"alerts.rail\" [2] to transaction: {why}")
        };
        assert!(Code::TopicAuthorizationFailed.to_string().contains(DENIED));
        let denial = line(DENIED);
        for (facility, line, expect) in [
            ("ADDPARTS", denial.as_str(), Some("alerts.rail")),
            ("TXNERR", denial.as_str(), None),
            ("ADDPARTS", &line("Broker: Operation not attempted"), None),
            ("ADDPARTS", "Failed to add partition \"", None),
        ] {
            assert_eq!(denied(facility, line).as_deref(), expect, "{facility} {line}");
        }
    }
}
