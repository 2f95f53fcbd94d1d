//! What librdkafka tells a producer: delivery reports, errors, statistics, its log.
//!
//! Owns noting it down: callbacks run within polls and decide nothing. Read by the parent and by `produce`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Statistics};

use super::failure::is_connection;
use super::refusal;
use super::wire::Wire;
use crate::config::kafka::TokenSource;

/// The same error of the client is logged again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Report {
    /// The first failure that names a cause, or else the first.
    pub(super) failed: Option<(RDKafkaErrorCode, String)>,
    /// The topic that may not be added to the transaction.
    pub(super) denied: Option<String>,
}

impl Report {
    /// A record, or its topic, was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.failed.as_ref().is_some_and(|(code, topic)| refusal::cause(*code, topic).is_some())
    }

    /// Something has failed, and it is not known why.
    pub(super) fn is_unexplained(&self) -> bool {
        let aftermath = self.failed.as_ref().is_some_and(|(code, _)| refusal::is_aftermath(*code));
        aftermath && self.denied.is_none()
    }
}

pub(super) struct SinkContext {
    pub(super) report: Mutex<Report>,
    /// The errors that were logged, and when each was last.
    pub(super) told: Mutex<Vec<(Option<RDKafkaErrorCode>, Instant)>>,
    pub(super) wire: Wire,
    pub(super) token: TokenSource,
    /// What the client may send at most.
    pub(super) message_bytes_max: Option<String>,
}

impl SinkContext {
    pub(super) fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for SinkContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        self.wire.error(code);
        // Of a lost connection the lane's consumer tells, and of its return.
        if code.is_some_and(is_connection) {
            tracing::debug!(error = %error, reason, "The Kafka producer reports an error.");
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, at)| at.elapsed() < TELL_AGAIN);
        if !told.iter().any(|(known, _)| *known == code) {
            told.push((code, Instant::now()));
            tracing::warn!(error = %error, reason, "The Kafka producer reports an error.");
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.wire.statistics(&statistics);
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
        if let Some(topic) = refusal::denied(facility, message) {
            self.report().denied.get_or_insert(topic);
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ProducerContext for SinkContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = result else { return };
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut report = self.report();
        // The first failure names the cause; the purge that it leads to says nothing, and may come before it.
        let known = report.failed.as_ref().is_some_and(|(known, _)| !refusal::is_aftermath(*known));
        if !known && (report.failed.is_none() || !refusal::is_aftermath(code)) {
            report.failed = Some((code, message.topic().to_owned()));
        }
    }
}
