//! The `[kafka]` settings: how to reach the brokers, who we are there, and what is passed to librdkafka.
//!
//! Owns the shape, the documentation and the defaults. Cross checks are in `config::check`, the translation into
//! librdkafka's properties in `config::kafka`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// How to reach Kafka, and under which names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, each as `host:port`. One is enough to find the others; name two or three so that a
    /// start survives the loss of one. In the environment, separate them by commas. Commands that need no broker
    /// work without it.
    pub bootstrap_servers: Vec<String>,
    /// How connections are protected. `plaintext` and `sasl_plaintext` send telemetry, alerts and (with the
    /// mechanism `PLAIN`) the password in clear text: use them on a trusted network only.
    pub security_protocol: SecurityProtocol,
    /// The name that brokers show in their logs, metrics and quotas.
    #[schemars(length(min = 1, max = 200))]
    pub client_id: String,
    /// What `group.id` and `transactional.id` begin with, so that one prefixed ACL covers all of them. Changing it
    /// makes a new consumer group, which begins again where its sources say.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,100}$"))]
    pub id_prefix: String,
    /// Which rebalance protocol the consumer group speaks. `consumer` (KIP-848) needs Kafka 4.0 or later, where
    /// session timeout and heartbeat are the broker's settings. Do not mix both in one group.
    pub group_protocol: GroupProtocol,
    /// The stable name of this process for static membership: a restart within the session timeout moves no
    /// partitions. Must differ between processes; a lane adds its number. Without it each start is a new member.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,200}$"))]
    pub group_instance_id: Option<String>,
    /// TLS, for the protocols `ssl` and `sasl_ssl`.
    pub tls: Tls,
    /// Authentication, for the protocols `sasl_plaintext` and `sasl_ssl`.
    pub sasl: Sasl,
    /// The consumers, one a lane.
    pub consumer: Consumer,
    /// The transactional producers, one a lane.
    pub producer: Producer,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            security_protocol: SecurityProtocol::Plaintext,
            client_id: "noroshi".into(),
            id_prefix: "noroshi-".into(),
            group_protocol: GroupProtocol::Classic,
            group_instance_id: None,
            tls: Tls::default(),
            sasl: Sasl::default(),
            consumer: Consumer::default(),
            producer: Producer::default(),
        }
    }
}

impl Kafka {
    /// The consumer group of a pipeline: `<id_prefix><pipeline>`.
    pub fn group_id(&self, pipeline: &str) -> String {
        format!("{}{pipeline}", self.id_prefix)
    }

    /// The transactional id of a lane: `<id_prefix><pipeline>-<instance>-<lane>`. `instance` must be stable over
    /// restarts of a process and differ between processes: that is what fences a zombie.
    pub fn transactional_id(&self, pipeline: &str, instance: &str, lane: u32) -> String {
        format!("{}{pipeline}-{instance}-{lane}", self.id_prefix)
    }

    /// The transactional id of the command that sends rejects in again, `<id_prefix><pipeline>-replay`: one at a time for
    /// each pipeline, a second one fences the first. No lane has it, as a lane's ends with its number.
    pub fn replay_id(&self, pipeline: &str) -> String {
        format!("{}{pipeline}-replay", self.id_prefix)
    }
}

/// Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// The name that librdkafka and these settings use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether the connection is encrypted.
    pub fn tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the client authenticates with SASL.
    pub fn sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// Kafka's rebalance protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    Classic,
    Consumer,
}

/// TLS towards the brokers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificates of the authorities that sign the brokers' certificates. Without it the
    /// system's store is searched in its usual places.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate chain, for mutual TLS. Needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the client's private key.
    pub key_file: Option<PathBuf>,
    /// The password of the private key, where it has one.
    pub key_password: Option<Secret>,
    /// Whether the broker's certificate and host name are verified. `false` lets anybody on the way read and
    /// change telemetry and alerts; it is logged as a warning at each start. For experiments only.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: None, certificate_file: None, key_file: None, key_password: None, verify: true }
    }
}

/// SASL authentication towards the brokers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// The mechanism; required with the protocols `sasl_plaintext` and `sasl_ssl`.
    pub mechanism: Option<Mechanism>,
    /// The user name, for `PLAIN` and `SCRAM`.
    pub username: Option<String>,
    /// The password, for `PLAIN` and `SCRAM`.
    pub password: Option<Secret>,
    /// The token, for `OAUTHBEARER`.
    pub oauthbearer: OauthBearer,
}

/// A SASL mechanism, with Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    /// Kafka's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// The token for OAUTHBEARER: from a file that something else keeps fresh, or a made-up one for tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OauthBearer {
    /// A file that holds a JWT. It is read again at each refresh; the lifetime is the token's `exp` claim. A
    /// projected service-account token of Kubernetes fits.
    pub token_file: Option<PathBuf>,
    /// The principal to give with the token. Without it, the token's `sub` claim.
    pub principal: Option<String>,
    /// Makes unsigned tokens for `principal`. Brokers in their stock settings accept them from anybody: they prove
    /// nothing. For experiments only; logged as a warning at each start.
    pub unsecured: bool,
    /// How long an unsecured token is valid, in seconds.
    #[schemars(range(min = 60, max = 86_400))]
    pub unsecured_lifetime_s: u32,
}

impl Default for OauthBearer {
    fn default() -> Self {
        Self { token_file: None, principal: None, unsecured: false, unsecured_lifetime_s: 3_600 }
    }
}

/// Consumer settings. Where reading starts is declared with each source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Consumer {
    /// Further librdkafka consumer properties, by librdkafka's names. Those that Noroshi sets itself are refused.
    /// In the environment the name's dots are underscores: `NOROSHI__KAFKA__CONSUMER__PROPERTIES__FETCH_MIN_BYTES`.
    pub properties: Properties,
}

/// Producer settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Producer {
    /// How batches of alerts and rejects are compressed.
    pub compression: Compression,
    /// Further librdkafka producer properties, by librdkafka's names. Those that Noroshi sets itself are refused.
    pub properties: Properties,
}

impl Default for Producer {
    fn default() -> Self {
        Self { compression: Compression::Lz4, properties: Properties::new() }
    }
}

/// Kafka's compression codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// librdkafka's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// librdkafka properties by name.
pub type Properties = BTreeMap<String, Property>;

/// The value of a librdkafka property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}
