//! The configuration → librdkafka's properties, for each kind of client.
//!
//! Owns which properties are set and to what; with `source::kafka` and `sink::kafka` the only place that names
//! rdkafka (I-10). Creating clients and everything they do is left to those two. The values are measured, not
//! guessed; each says why it is what it is.

use std::path::Path;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::broker::{GroupProtocol, Mechanism, Tls};
use super::pem::{self, Content};
use super::secret::Secret;
use super::{Config, Kafka, oauth};
use crate::diagnostic::{Diagnostic, codes};
use crate::record::wall_clock;

/// How often librdkafka hands out its statistics, in milliseconds. They bring the ends of partitions and the state of the brokers.
pub const STATISTICS_INTERVAL_MS: u32 = 500;

/// The settings of secrets, as messages name them.
const KEY_PASSWORD: &str = "kafka.tls.key_password";
const PASSWORD: &str = "kafka.sasl.password";

/// A property, its value, and why. Users may override these.
pub type Preset = (&'static str, &'static str, &'static str);

/// For all clients.
pub const COMMON: &[Preset] = &[
    ("reconnect.backoff.max.ms", "500", "after an outage the first try must not wait 10 s"),
    ("socket.keepalive.enable", "true", "connections that idle behind a firewall are noticed"),
];

/// For consumers.
pub const CONSUMER: &[Preset] = &[
    (
        "fetch.queue.backoff.ms",
        "5",
        "the default of 1,000 stalls well-compressed input for most of each second",
    ),
    (
        "topic.metadata.refresh.interval.ms",
        "30000",
        "partitions and topics that are added are found within this time; the default is 5 minutes",
    ),
    ("fetch.wait.max.ms", "100", "an idle partition answers before an epoch's time is up"),
    (
        "receive.message.max.bytes",
        "134217728",
        "brokers take batches of up to 100 MiB; the default of 100,000,000 bytes would never get past one",
    ),
];

/// For producers.
pub const PRODUCER: &[Preset] = &[
    ("retry.backoff.ms", "5", "the default adds 100 ms to transactions that follow each other closely"),
    ("retry.backoff.max.ms", "50", "see retry.backoff.ms"),
    ("linger.ms", "5", "the commit flushes anyway; larger batches compress better"),
    ("batch.size", "1000000", "larger batches compress better"),
];

/// Messages that librdkafka tries to hold ready for each consumer: about a second's worth, within the bound on bytes.
const QUEUED_MESSAGES: u64 = 100_000;
/// …and for each partition at least so many.
const QUEUED_MESSAGES_MIN: u64 = 1_000;
/// What each partition may hold ready at least, in bytes: half of it waiting, half of it being fetched.
const PARTITION_SHARE_MIN: u64 = 512 * 1_024;

/// A consumer of a lane. `group_id` comes from [`Kafka::group_id`](super::Kafka::group_id). Each partition has a queue of
/// its own, so the bounds are divided by the `partitions` that the lane may have: librdkafka looks at one queue only
/// before it fetches for it.
pub fn consumer(
    config: &Config,
    group_id: &str,
    lane: u32,
    partitions: u64,
) -> Result<ClientConfig, Diagnostic> {
    let (kafka, limits) = (&config.kafka, &config.limits);
    let partitions = partitions.max(1);
    let share = (limits.fetch_queue_bytes_max / partitions).max(PARTITION_SHARE_MIN);
    let fetched = limits.fetch_partition_bytes_max.min(share / 2);
    let messages = (QUEUED_MESSAGES / partitions).max(QUEUED_MESSAGES_MIN);
    let mut client = base(config)?;
    preset(&mut client, CONSUMER);
    for (name, value) in &kafka.consumer.properties {
        client.set(name, value.to_string());
    }
    client
        .set("group.id", group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "false")
        .set("queued.min.messages", messages.to_string())
        .set("queued.max.messages.kbytes", ((share - fetched) / 1_024).to_string())
        .set("fetch.message.max.bytes", fetched.to_string());
    match kafka.group_protocol {
        GroupProtocol::Classic => {
            client.set("group.protocol", "classic").set("partition.assignment.strategy", "cooperative-sticky")
        }
        GroupProtocol::Consumer => client.set("group.protocol", "consumer"),
    };
    if let Some(instance) = &kafka.group_instance_id {
        client.set("group.instance.id", format!("{instance}-{lane}"));
    }
    Ok(client)
}

/// A transactional producer. `transactional_id` comes from
/// [`Kafka::transactional_id`](super::Kafka::transactional_id).
pub fn producer(config: &Config, transactional_id: &str) -> Result<ClientConfig, Diagnostic> {
    let mut client = producer_base(config)?;
    client
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", config.transaction.timeout_ms.to_string());
    Ok(client)
}

/// A producer without transactions, for the offline commands that only write (a demo's input, a replay's).
pub fn plain_producer(config: &Config) -> Result<ClientConfig, Diagnostic> {
    producer_base(config)
}

/// A client that asks and creates, but neither reads nor writes records.
pub fn admin(config: &Config) -> Result<ClientConfig, Diagnostic> {
    base(config)
}

fn producer_base(config: &Config) -> Result<ClientConfig, Diagnostic> {
    let limits = &config.limits;
    let mut client = base(config)?;
    preset(&mut client, PRODUCER);
    for (name, value) in &config.kafka.producer.properties {
        client.set(name, value.to_string());
    }
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", config.kafka.producer.compression.as_str())
        .set("message.max.bytes", limits.message_bytes_max.to_string())
        .set("queue.buffering.max.kbytes", (limits.producer_queue_bytes_max / 1_024).to_string())
        .set("queue.buffering.max.messages", limits.producer_queue_messages_max.to_string());
    Ok(client)
}

fn base(config: &Config) -> Result<ClientConfig, Diagnostic> {
    let kafka = &config.kafka;
    let mut client = ClientConfig::new();
    // rdkafka takes the level from the `log` crate, which nobody sets up here, and so asks for nothing.
    client.set_log_level(RDKafkaLogLevel::Info);
    preset(&mut client, COMMON);
    client
        .set("bootstrap.servers", config.brokers()?)
        .set("client.id", &kafka.client_id)
        .set("security.protocol", kafka.security_protocol.as_str())
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
    if kafka.security_protocol.tls() {
        let tls = &kafka.tls;
        for (name, key, path, content) in tls_files(tls) {
            pem::look(key, path, content)?;
            client.set(name, path.to_string_lossy());
        }
        if tls.ca_file.is_none() {
            // OpenSSL is linked in and does not know where this system keeps its certificates.
            client.set("ssl.ca.location", "probe");
        }
        if let Some(password) = &tls.key_password {
            client.set("ssl.key.password", password.read(KEY_PASSWORD)?.expose());
        }
        client.set("enable.ssl.certificate.verification", tls.verify.to_string());
        client.set("ssl.endpoint.identification.algorithm", if tls.verify { "https" } else { "none" });
    }
    if let (true, Some(mechanism)) = (kafka.security_protocol.sasl(), kafka.sasl.mechanism) {
        client.set("sasl.mechanisms", mechanism.as_str());
        if mechanism != Mechanism::OauthBearer {
            client.set("sasl.username", kafka.sasl.username.as_deref().unwrap_or_default());
            if let Some(password) = &kafka.sasl.password {
                client.set("sasl.password", password.read(PASSWORD)?.expose());
            }
        }
    }
    Ok(client)
}

/// Everything that a client needs from outside of the configuration and that is not there now: files (D001, C006), passwords
/// and the token (C003). `now_ms` is in milliseconds since 1970.
pub fn unreadable(config: &Config, now_ms: i64) -> Vec<Diagnostic> {
    let Kafka { security_protocol: protocol, tls, sasl, .. } = &config.kafka;
    let mut found = Vec::new();
    let secret = |key: &str, secret: &Option<Secret>| secret.as_ref()?.read(key).err();
    if protocol.tls() {
        found
            .extend(tls_files(tls).filter_map(|(_, key, path, content)| pem::look(key, path, content).err()));
        found.extend(secret(KEY_PASSWORD, &tls.key_password));
    }
    match sasl.mechanism.filter(|_| protocol.sasl()) {
        Some(Mechanism::OauthBearer) => found.extend(oauth::token(config, now_ms).err()),
        Some(_) => found.extend(secret(PASSWORD, &sasl.password)),
        None => {}
    }
    found
}

/// librdkafka's property, our setting, the path of each file that TLS needs, and what it should hold.
fn tls_files(tls: &Tls) -> impl Iterator<Item = (&'static str, &'static str, &Path, Content)> {
    let files = [
        ("ssl.ca.location", "kafka.tls.ca_file", &tls.ca_file, Content::Certificate),
        (
            "ssl.certificate.location",
            "kafka.tls.certificate_file",
            &tls.certificate_file,
            Content::Certificate,
        ),
        ("ssl.key.location", "kafka.tls.key_file", &tls.key_file, Content::Key),
    ];
    files.into_iter().filter_map(|(name, key, path, content)| Some((name, key, path.as_deref()?, content)))
}

fn preset(client: &mut ClientConfig, presets: &[Preset]) {
    for (name, value, _) in presets {
        client.set(*name, *value);
    }
}

/// The token to use at `now_ms` (milliseconds since 1970). For `ClientContext::generate_oauth_token` of every client,
/// whose `ENABLE_REFRESH_OAUTH_TOKEN` is on; librdkafka asks only with the mechanism OAUTHBEARER, and only while
/// something polls. Unsecured tokens come from here as well: librdkafka's own are not served to clients that poll
/// events, as rdkafka's do.
pub fn oauth_token(config: &Config, now_ms: i64) -> Result<OAuthToken, Diagnostic> {
    let token = oauth::token(config, now_ms)?;
    Ok(OAuthToken { token: token.token, principal_name: token.principal, lifetime_ms: token.lifetime_ms })
}

/// librdkafka's settings of one client.
pub type ClientSettings = ClientConfig;

/// Where the clients' contexts take OAUTHBEARER tokens from, each time librdkafka asks.
#[derive(Debug, Clone)]
pub struct TokenSource(Arc<Config>);

impl TokenSource {
    /// Tokens as the configuration says.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(config.clone()))
    }

    /// A token for now.
    pub fn token(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth_token(&self.0, wall_clock() / 1_000).map_err(|diagnostic| diagnostic.message.into())
    }
}

/// Asks librdkafka whether it knows a property and takes the value; no client is made.
pub fn try_property(name: &str, value: &str) -> Result<(), String> {
    if name.contains('\0') || value.contains('\0') {
        return Err("a zero byte".into());
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        // The error carries the value; only its reason is passed on.
        Err(KafkaError::ClientConfig(_, reason, _, _)) => Err(without_value(&reason).to_owned()),
        Err(_) => Err("not accepted".into()),
    }
}

/// librdkafka repeats a word that it does not take, and that may be part of a password in the wrong place.
fn without_value(reason: &str) -> &str {
    if reason.starts_with("Invalid value \"") { "it does not take this value" } else { reason }
}

/// What went wrong while a client was made, as a diagnostic without any value.
pub fn creation_failed(error: &KafkaError) -> Diagnostic {
    let reason = match error {
        KafkaError::ClientConfig(_, reason, name, _) => format!("{name}: {reason}"),
        other => other.to_string(),
    };
    Diagnostic::new(codes::D006, format!("the Kafka client cannot be made: {reason}"))
}

#[cfg(test)]
mod tests;
