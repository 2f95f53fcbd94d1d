//! What happens on a producer's connections without showing in the outcome of any call.
//!
//! Owns the evidence that a request may have been sent twice: librdkafka retries the end of a transaction by itself
//! when an answer is late or a connection breaks, and reports a plain success. Its statistics count it. Called by
//! the parent's callbacks, and before each transaction.

use std::sync::{Mutex, PoisonError};

use rdkafka::Statistics;
use rdkafka::error::RDKafkaErrorCode;

/// The counters of a producer's connections, added up over the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counters {
    retries: u64,
    timeouts: u64,
    disconnects: u64,
}

/// What is known of one producer's connections. A new producer starts with a new one.
#[derive(Debug, Default)]
pub(super) struct Wire(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    counters: Counters,
    lost: bool,
}

impl Wire {
    /// Takes the counters of the latest statistics; they only grow while the producer lives.
    pub(super) fn statistics(&self, statistics: &Statistics) {
        let mut counters = Counters::default();
        for broker in statistics.brokers.values() {
            counters.retries += broker.txretries;
            counters.timeouts += broker.req_timeouts;
            counters.disconnects +=
                broker.disconnects.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        }
        self.known().counters = counters;
    }

    /// Takes an error that the client reports besides the calls.
    pub(super) fn error(&self, code: Option<RDKafkaErrorCode>) {
        use RDKafkaErrorCode as Code;
        if matches!(
            code,
            Some(
                Code::BrokerTransportFailure
                    | Code::AllBrokersDown
                    | Code::OperationTimedOut
                    | Code::RequestTimedOut
            )
        ) {
            self.known().lost = true;
        }
    }

    /// Why the producer is tainted, if it is.
    pub(super) fn taint(&self) -> Option<String> {
        let known = self.known();
        let Counters { retries, timeouts, disconnects } = known.counters;
        if known.counters == Counters::default() && !known.lost {
            return None;
        }
        Some(format!(
            "{retries} requests were sent again, {timeouts} had no answer in time, {disconnects} connections were lost"
        ))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::Broker;

    #[test]
    fn what_taints_a_producer() {
        use RDKafkaErrorCode as Code;
        let broker = Broker::default;
        for (what, brokers, error, tainted) in [
            ("nothing", vec![broker(), broker()], None, false),
            ("requests alone", vec![Broker { tx: 9, ..broker() }], None, false),
            ("a retry", vec![broker(), Broker { txretries: 1, ..broker() }], None, true),
            ("a timeout", vec![Broker { req_timeouts: 1, ..broker() }], None, true),
            ("a lost connection", vec![Broker { disconnects: Some(1), ..broker() }], None, true),
            ("a reported loss", vec![broker()], Some(Code::BrokerTransportFailure), true),
            ("another error", vec![broker()], Some(Code::TopicAuthorizationFailed), false),
        ] {
            let wire = Wire::default();
            wire.error(error);
            let brokers =
                brokers.into_iter().enumerate().map(|(at, broker)| (at.to_string(), broker)).collect();
            wire.statistics(&Statistics { brokers, ..Statistics::default() });
            assert_eq!(wire.taint().is_some(), tainted, "{what}");
        }
    }
}
