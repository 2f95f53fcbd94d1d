//! Which errors of the consumer end a lane; the others pass by themselves and stay visible as the last error.
//!
//! Owns the reasons that operators read. Called by `look` for each error that a poll brings.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::source::Notice;

/// Whether an error says that an offset is outside of what its partition holds; it does not say which partition.
pub fn is_out_of_range(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset))
}

/// Whether an error says that a topic is not there.
pub fn is_missing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::UnknownTopicOrPartition | Code::UnknownTopic))
}

/// The notice that ends the lane; `None` for what passes. `instance` is the id of a static member;
/// `patterns` says that some source names its topics by a pattern.
pub fn failure(error: &KafkaError, instance: Option<&str>, patterns: bool) -> Option<Notice> {
    use RDKafkaErrorCode as Code;
    let (code, fatal) = match error {
        KafkaError::MessageConsumptionFatal(code) => (*code, true),
        other => (other.rdkafka_error_code()?, false),
    };
    let reason = match code {
        Code::FencedInstanceId => {
            let instance = instance.unwrap_or_default();
            return Some(Notice::Fenced(format!(
                "another process is the group's member `{instance}` ({code}); each process needs a \
                 kafka.group_instance_id of its own"
            )));
        }
        // A predecessor that was killed stays a member until its session ends: a later start succeeds.
        Code::UnreleasedInstanceId => {
            let instance = instance.unwrap_or_default();
            format!(
                "the group still has a member `{instance}` ({code}): another process with this \
                 kafka.group_instance_id, or one that was killed and whose session has not ended yet"
            )
        }
        code if fatal => format!("the consumer has failed for good: {code}"),
        // The client says the same of a pattern that matches nothing yet. A topic that was deleted is named by the look
        // at the topics.
        Code::UnknownTopicOrPartition | Code::UnknownTopic if patterns => {
            return Some(Notice::Trouble(format!(
                "no topic matches the topic_pattern of a source yet, or a topic was deleted ({code})"
            )));
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => {
            format!("the broker refuses for want of rights ({code})")
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            format!("the broker refuses the credentials ({code})")
        }
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset => {
            format!("an offset is outside of what the topic holds ({code})")
        }
        _ => return None,
    };
    Some(Notice::Failed(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_lane_and_how() {
        use RDKafkaErrorCode as Code;
        let once = KafkaError::MessageConsumption as fn(Code) -> KafkaError;
        let fatal = KafkaError::MessageConsumptionFatal as fn(Code) -> KafkaError;
        for (error, expect) in [
            (once(Code::AllBrokersDown), None),
            (once(Code::BadCompression), None),
            (once(Code::UnknownTopic), None),
            (once(Code::UnknownTopicOrPartition), None),
            (once(Code::GroupAuthorizationFailed), Some(("failed", "want of rights"))),
            (once(Code::SaslAuthenticationFailed), Some(("failed", "credentials"))),
            (once(Code::AutoOffsetReset), Some(("failed", "outside of what the topic holds"))),
            (fatal(Code::UnknownTopic), Some(("failed", "failed for good"))),
            (fatal(Code::InvalidRequest), Some(("failed", "failed for good"))),
            (once(Code::FencedInstanceId), Some(("fenced", "`harbour-0-1`"))),
            (fatal(Code::FencedInstanceId), Some(("fenced", "`harbour-0-1`"))),
            (fatal(Code::UnreleasedInstanceId), Some(("failed", "`harbour-0-1`"))),
        ] {
            let notice = failure(&error, Some("harbour-0-1"), false);
            match (&notice, expect) {
                (None, None) => {}
                (Some(Notice::Failed(why)), Some(("failed", part))) if why.contains(part) => {}
                (Some(Notice::Fenced(why)), Some(("fenced", part))) if why.contains(part) => {}
                _ => panic!("{error:?}: {notice:?}, not {expect:?}"),
            }
        }
        // A pattern that matches nothing yet ends nothing.
        let notice = failure(&once(Code::UnknownTopicOrPartition), None, true);
        assert!(matches!(notice, Some(Notice::Trouble(_))), "{notice:?}");
    }
}
