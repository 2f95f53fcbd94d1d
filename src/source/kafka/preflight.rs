//! A look at the broker before lanes start: is it there, does it let us in, are the topics there.
//!
//! Owns turning librdkafka's many ways of saying no into one clear line. Called by `pipeline::service` and
//! `cli::topics`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

use crate::config::kafka::TokenSource;

/// One question to the broker.
const ASK: Duration = Duration::from_secs(2);

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
struct LastError(Option<(RDKafkaErrorCode, String)>);

struct Context {
    last: Mutex<LastError>,
    token: TokenSource,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers down" follows the real reason and says less.
        if code != RDKafkaErrorCode::AllBrokersDown || last.0.is_none() {
            last.0 = Some((code, reason.to_owned()));
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
        let until = Instant::now() + patience;
        loop {
            // Polling serves the token callback and brings the reasons of failures.
            let _ = preflight.consumer.poll(Duration::from_millis(10));
            let asked = preflight.consumer.fetch_metadata(Some("__noroshi_preflight"), ASK);
            let _ = preflight.consumer.poll(Duration::from_millis(10));
            let error = match asked {
                Ok(_) => return Ok(preflight),
                Err(error) => error,
            };
            if let Some(found) = preflight.verdict(&error, Instant::now() >= until) {
                return Err(found);
            }
        }
    }

    fn verdict(&self, error: &KafkaError, out_of_time: bool) -> Option<PreflightError> {
        let last = self.consumer.context().last.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = self.servers.clone();
        let Some((code, why)) = last.0.clone() else {
            return out_of_time.then(|| PreflightError::Unreachable { servers, why: error.to_string() });
        };
        use RDKafkaErrorCode as Code;
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Some(PreflightError::Refused { servers, why })
            }
            // The first handshake can fail for a passing reason; only the patience's end makes it final.
            Code::SSL if out_of_time => Some(PreflightError::Tls { servers, why }),
            _ if out_of_time => Some(PreflightError::Unreachable { servers, why }),
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
}
