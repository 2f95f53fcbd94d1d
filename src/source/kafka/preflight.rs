//! A look at the broker before lanes start: is it there, does it let us in, are the topics there.
//!
//! Owns turning librdkafka's many ways of saying no into one clear line. Called by `pipeline::service` and
//! `cli::topics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientConfig, ClientContext};

use super::begin;
use crate::config::kafka::TokenSource;
use crate::pipeline::definition::Pipeline;
use crate::source::SourceError;
use crate::source::troubles::{TroubleNote, Troubles};

/// One question to the broker.
const ASK: Duration = Duration::from_secs(2);
/// A TLS handshake that fails for so long fails for good.
const TLS_PATIENCE: Duration = Duration::from_secs(4);

/// What a broker means that ends a handshake for the client's certificate.
const CERTIFICATE_REFUSED: &str = "it does not accept the certificate in kafka.tls.certificate_file, which has expired, or is signed by an authority that it does not know";

/// Whether the other side has ended the handshake for our certificate, or for want of one.
fn refuses_certificate(why: &str) -> bool {
    let why = why.to_lowercase();
    (why.contains("tls alert") || why.contains("tlsv1 alert") || why.contains("tlsv13 alert"))
        && (why.contains("certificate") || why.contains("unknown ca"))
}

/// Why the broker is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// Nobody answers.
    #[error("no broker answers at {servers}: {why}")]
    Unreachable {
        /// What is configured.
        servers: String,
        /// librdkafka's last word.
        why: String,
    },
    /// User, password, token or certificate.
    #[error("the broker at {servers} refuses us: {why}")]
    Refused {
        /// What is configured.
        servers: String,
        /// librdkafka's last word.
        why: String,
    },
    /// TLS could not be set up.
    #[error("no TLS connection to {servers}: {why}")]
    Tls {
        /// What is configured.
        servers: String,
        /// librdkafka's last word.
        why: String,
    },
    /// The client could not be created.
    #[error("the Kafka client cannot be created: {0}")]
    Client(String),
}

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    /// It is there, with so many partitions.
    Present(usize),
    /// It is not there.
    Missing,
    /// We may not see it.
    Forbidden,
}

#[derive(Default)]
struct LastError {
    error: Option<(RDKafkaErrorCode, String)>,
    /// A connection that the broker closes is no error to librdkafka, it is only logged.
    log: Option<String>,
}

struct Context {
    last: Mutex<LastError>,
    token: TokenSource,
}

impl Context {
    fn last(&self) -> std::sync::MutexGuard<'_, LastError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
        if facility == "FAIL" {
            // "[thrd:name]: name/bootstrap: what happened"
            let said = message.split_once("]: ").map_or(message, |(_, said)| said);
            self.last().log = Some(said.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // "All brokers down" follows the real reason and says less.
        if code != RDKafkaErrorCode::AllBrokersDown {
            self.last().error = Some((code, reason.to_owned()));
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ConsumerContext for Context {}

/// A connection to ask questions over.
pub struct Preflight {
    consumer: BaseConsumer<Context>,
    servers: String,
}

impl Preflight {
    /// Connects, or says why not after at most `patience`.
    pub fn connect(
        config: &ClientConfig,
        token: TokenSource,
        patience: Duration,
    ) -> Result<Self, PreflightError> {
        let context = Context { last: Mutex::new(LastError::default()), token };
        let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|error| PreflightError::Client(error.to_string()))?;
        let preflight = Self { consumer, servers };
        let began = Instant::now();
        loop {
            // Polling serves the token callback and brings the reasons of failures.
            let _ = preflight.consumer.poll(Duration::from_millis(10));
            let asked = preflight.consumer.fetch_metadata(Some("__noroshi_preflight"), ASK);
            // One poll brings one event, and log lines come before the error they lead to.
            let drained = Instant::now() + Duration::from_millis(50);
            while Instant::now() < drained {
                let _ = preflight.consumer.poll(Duration::from_millis(1));
            }
            let error = match asked {
                Ok(_) => return Ok(preflight),
                Err(error) => error,
            };
            if let Some(found) = preflight.verdict(&error, began.elapsed(), patience) {
                return Err(found);
            }
        }
    }

    fn verdict(&self, error: &KafkaError, waited: Duration, patience: Duration) -> Option<PreflightError> {
        use RDKafkaErrorCode as Code;
        let last = self.consumer.context().last();
        let servers = self.servers.clone();
        let out_of_time = waited >= patience;
        match &last.error {
            Some((
                Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism,
                why,
            )) => Some(PreflightError::Refused { servers, why: why.clone() }),
            // The first handshake can fail for a passing reason; several do not.
            Some((Code::SSL, why)) if waited >= patience.min(TLS_PATIENCE) => {
                Some(PreflightError::Tls { servers, why: why.clone() })
            }
            Some((_, why)) if refuses_certificate(why) && waited >= patience.min(TLS_PATIENCE) => {
                Some(PreflightError::Refused { servers, why: format!("{CERTIFICATE_REFUSED} ({why})") })
            }
            Some((_, why)) if out_of_time => Some(PreflightError::Unreachable { servers, why: why.clone() }),
            None if out_of_time => {
                let why = match &last.log {
                    // What a port with TLS does to a client without, and the other way round.
                    Some(said) if said.contains("Disconnected") => {
                        format!("{said}; does kafka.security_protocol fit this port?")
                    }
                    Some(said) => said.clone(),
                    None => error.to_string(),
                };
                Some(PreflightError::Unreachable { servers, why })
            }
            _ => None,
        }
    }

    /// What the broker says of a topic.
    pub fn topic(&self, name: &str) -> Result<TopicState, PreflightError> {
        let metadata = self.consumer.fetch_metadata(Some(name), ASK * 5).map_err(|error| {
            PreflightError::Unreachable { servers: self.servers.clone(), why: error.to_string() }
        })?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let error = topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
        Ok(match (topic, error) {
            (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => TopicState::Forbidden,
            (Some(topic), None) => TopicState::Present(topic.partitions().len()),
            _ => TopicState::Missing,
        })
    }

    /// All topics that we may see.
    pub fn topics(&self) -> Result<Vec<String>, PreflightError> {
        let metadata = self.consumer.fetch_metadata(None, ASK * 5).map_err(|error| {
            PreflightError::Unreachable { servers: self.servers.clone(), why: error.to_string() }
        })?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// How many partitions a pipeline reads, over all of its topics.
    pub fn partitions(&self, pipeline: &Pipeline) -> Result<u64, PreflightError> {
        let metadata = self.consumer.fetch_metadata(None, ASK * 5).map_err(|error| {
            PreflightError::Unreachable { servers: self.servers.clone(), why: error.to_string() }
        })?;
        let read = metadata.topics().iter().filter(|topic| pipeline.source_of(topic.name()).is_some());
        Ok(read.map(|topic| topic.partitions().len() as u64).sum())
    }

    /// Whether this group would know where to begin on all partitions of these topics, which a pipeline reads.
    pub fn can_begin(&self, group: &str, pipeline: &Pipeline, topics: &[String]) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            let state = self.topic(topic).map_err(|error| SourceError::Kafka {
                what: "asking for a topic's partitions",
                why: error.to_string(),
            })?;
            let TopicState::Present(partitions) = state else { continue };
            for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
                list.add_partition(topic, partition);
            }
        }
        if list.count() > 0 {
            let mut troubles = Troubles::new(Duration::MAX);
            begin::beginnings(&self.consumer, group, pipeline, &list, false, &mut troubles)?
                .into_iter()
                .find_map(|found| {
                    let (topic, partition) = (Arc::from(found.topic.as_str()), Some(found.partition));
                    Some(TroubleNote { topic, partition, trouble: found.trouble? })
                })
                .map_or(Ok(()), |note| {
                    Err(SourceError::Kafka { what: "where to begin", why: note.to_string() })
                })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alerts_of_tls_that_speak_of_a_certificate() {
        for (why, expect) in [
            (
                "Receive failed: error:0A000416:SSL routines::ssl/tls alert certificate unknown: SSL alert number 46",
                true,
            ),
            ("SSL routines::tlsv1 alert unknown ca: SSL alert number 48", true),
            ("SSL routines::ssl/tls alert unknown ca: SSL alert number 48", true),
            ("SSL routines::tls alert certificate required: SSL alert number 116", true),
            ("Connect to ipv4#127.0.0.1:9 failed: Connection refused", false),
            ("ssl/tls alert handshake failure: SSL alert number 40", false),
        ] {
            assert_eq!(refuses_certificate(why), expect, "{why}");
        }
    }
}
