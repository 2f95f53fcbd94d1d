//! Checks over several settings, and what is allowed but worth a warning.
//!
//! Owns C001, C002, C005 and the warnings. What one setting alone may be is in its schema. Called by `config`.

use tracing_subscriber::EnvFilter;

use super::broker::{GroupProtocol, Mechanism, Properties};
use super::layers::Layers;
use super::limits::MESSAGE_OVERHEAD_BYTES;
use super::{Config, kafka, refused};
use crate::diagnostic::{Code, Diagnostic, codes};

/// Properties that the new group protocol leaves to the broker.
const CLASSIC_ONLY: &[&str] = &["session.timeout.ms", "heartbeat.interval.ms"];

/// Shortest time between two looks at the files of a pipeline, in milliseconds.
const INTERVAL_MS_MIN: u64 = 100;
/// Shortest time between two looks at the topics, in milliseconds.
const LOOK_INTERVAL_MS_MIN: u64 = 500;

/// All faults of a configuration whose settings are each valid alone.
pub fn run(config: &Config, layers: &Layers) -> Vec<Diagnostic> {
    let mut checks = Checks { layers, found: Vec::new() };
    checks.security(config);
    checks.properties("kafka.consumer.properties", &config.kafka.consumer.properties);
    checks.properties("kafka.producer.properties", &config.kafka.producer.properties);
    checks.times(config);
    checks.sizes(config);
    checks.others(config);
    checks.found
}

struct Checks<'l> {
    layers: &'l Layers,
    found: Vec<Diagnostic>,
}

impl Checks<'_> {
    fn fault(&mut self, code: Code, path: &str, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::new(code, message).help(help);
        self.found.push(self.layers.blame(diagnostic, path, None));
    }

    /// C002 at `path` when `holds`.
    fn contradiction(&mut self, holds: bool, path: &str, message: &str, help: &str) {
        if holds {
            self.fault(codes::C002, path, message, help);
        }
    }

    fn security(&mut self, config: &Config) {
        let kafka = &config.kafka;
        let (tls, sasl, oauth) = (&kafka.tls, &kafka.sasl, &kafka.sasl.oauthbearer);
        let protocol = kafka.security_protocol;
        let tls_set = *tls != super::broker::Tls::default();
        self.contradiction(
            tls_set && !protocol.tls(),
            "kafka.tls",
            &format!("TLS is configured, but the security protocol is {}", protocol.as_str()),
            "set kafka.security_protocol to ssl or sasl_ssl, or remove [kafka.tls]",
        );
        self.contradiction(
            tls.certificate_file.is_some() != tls.key_file.is_some(),
            "kafka.tls",
            "a client certificate and its key go together",
            "set both certificate_file and key_file, or neither",
        );
        self.contradiction(
            tls.key_password.is_some() && tls.key_file.is_none(),
            "kafka.tls.key_password",
            "there is a password for a key, but no key_file",
            "set kafka.tls.key_file, or remove the password",
        );
        self.contradiction(
            *sasl != super::broker::Sasl::default() && !protocol.sasl(),
            "kafka.sasl",
            &format!("SASL is configured, but the security protocol is {}", protocol.as_str()),
            "set kafka.security_protocol to sasl_ssl (or sasl_plaintext), or remove [kafka.sasl]",
        );
        self.contradiction(
            protocol.sasl() && sasl.mechanism.is_none(),
            "kafka.security_protocol",
            &format!("the security protocol {} needs a SASL mechanism", protocol.as_str()),
            "set kafka.sasl.mechanism",
        );
        match sasl.mechanism {
            Some(mechanism @ (Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha512)) => {
                self.contradiction(
                    sasl.username.as_deref().is_none_or(str::is_empty) || sasl.password.is_none(),
                    "kafka.sasl.mechanism",
                    &format!("the mechanism {} needs a user name and a password", mechanism.as_str()),
                    "set kafka.sasl.username and kafka.sasl.password",
                );
                self.contradiction(
                    oauth.token_file.is_some() || oauth.unsecured,
                    "kafka.sasl.oauthbearer",
                    &format!("a token is configured, but the mechanism is {}", mechanism.as_str()),
                    "set kafka.sasl.mechanism to OAUTHBEARER, or remove [kafka.sasl.oauthbearer]",
                );
            }
            Some(Mechanism::OauthBearer) => {
                self.contradiction(
                    oauth.token_file.is_some() == oauth.unsecured,
                    "kafka.sasl.oauthbearer",
                    "OAUTHBEARER takes its token either from a file or from nowhere (unsecured)",
                    "set exactly one of token_file and unsecured",
                );
                self.contradiction(
                    oauth.unsecured && oauth.principal.is_none(),
                    "kafka.sasl.oauthbearer",
                    "an unsecured token needs a principal",
                    "set kafka.sasl.oauthbearer.principal",
                );
                self.contradiction(
                    sasl.username.is_some() || sasl.password.is_some(),
                    "kafka.sasl",
                    "OAUTHBEARER uses no user name and no password",
                    "remove kafka.sasl.username and kafka.sasl.password",
                );
            }
            None => {}
        }
    }

    fn properties(&mut self, path: &str, properties: &Properties) {
        for (name, value) in properties {
            let diagnostic = match refused::reason(name) {
                Some(reason) => Diagnostic::new(
                    codes::C001,
                    format!("the librdkafka property `{name}` cannot be set here: {reason}"),
                ),
                None => match kafka::try_property(name, &value.to_string()) {
                    Ok(()) => continue,
                    Err(reason) => {
                        Diagnostic::new(codes::D006, format!("librdkafka refuses `{name}`: {reason}"))
                    }
                },
            };
            self.found.push(self.layers.blame(diagnostic, path, Some(name)));
        }
    }

    fn times(&mut self, config: &Config) {
        let timeout = config.transaction.timeout_ms;
        self.contradiction(
            timeout <= config.epoch.interval_ms,
            "transaction.timeout_ms",
            &format!(
                "the broker would abort each transaction ({timeout} ms) before its epoch ends ({} ms)",
                config.epoch.interval_ms
            ),
            "make transaction.timeout_ms many times as long as epoch.interval_ms",
        );
        let socket = config.kafka.producer.properties.get("socket.timeout.ms");
        if let Some(socket) = socket.and_then(|value| value.to_string().parse::<u64>().ok())
            && socket > timeout
        {
            let message = format!(
                "a request to the broker may take longer ({socket} ms) than its transaction lasts ({timeout} ms)"
            );
            let fault =
                Diagnostic::new(codes::C002, message).help("lower it, or raise transaction.timeout_ms");
            self.found.push(self.layers.blame(fault, "kafka.producer.properties", Some("socket.timeout.ms")));
        }
        if config.kafka.group_protocol == GroupProtocol::Consumer {
            let properties = &config.kafka.consumer.properties;
            for name in CLASSIC_ONLY.iter().filter(|name| properties.contains_key(**name)) {
                let message = format!("`{name}` is the broker's setting with the group protocol `consumer`");
                let fault =
                    Diagnostic::new(codes::C002, message).help("remove it, or use the protocol `classic`");
                self.found.push(self.layers.blame(fault, "kafka.consumer.properties", Some(name)));
            }
        }
    }

    fn sizes(&mut self, config: &Config) {
        let limits = &config.limits;
        let room = limits.message_bytes_max.saturating_sub(MESSAGE_OVERHEAD_BYTES);
        for (path, value) in [
            ("limits.alert_bytes_max", limits.alert_bytes_max),
            ("limits.reject_bytes_max", limits.reject_bytes_max),
        ] {
            self.contradiction(
                value > room,
                path,
                &format!(
                    "{path}, {value} bytes, does not fit into a message of limits.message_bytes_max, {}, with its key and headers",
                    limits.message_bytes_max
                ),
                &format!("at most {room} bytes, or raise limits.message_bytes_max"),
            );
        }
        self.contradiction(
            limits.raw_bytes_max > limits.alert_bytes_max / 2,
            "limits.raw_bytes_max",
            &format!(
                "an original event of limits.raw_bytes_max, {} bytes, escaped, does not fit into an alert of limits.alert_bytes_max, {}",
                limits.raw_bytes_max, limits.alert_bytes_max
            ),
            "at most half of limits.alert_bytes_max",
        );
        self.contradiction(
            limits.fetch_partition_bytes_max > limits.fetch_queue_bytes_max,
            "limits.fetch_partition_bytes_max",
            "one fetch would exceed the memory for all fetched records",
            "at most limits.fetch_queue_bytes_max",
        );
    }

    fn others(&mut self, config: &Config) {
        self.contradiction(
            (1..INTERVAL_MS_MIN).contains(&config.reload.interval_ms),
            "reload.interval_ms",
            &format!("{} ms between two looks is too short", config.reload.interval_ms),
            "at least 100, or 0 to look only at a SIGHUP",
        );
        self.contradiction(
            (1..LOOK_INTERVAL_MS_MIN).contains(&config.input.look_interval_ms),
            "input.look_interval_ms",
            &format!("{} ms between two looks at the topics is too short", config.input.look_interval_ms),
            "at least 500, or 0 to never look",
        );
        let http = &config.http;
        if http.enabled && !http.listen.ip().is_loopback() && !http.allow_non_loopback {
            self.fault(
                codes::C005,
                "http.listen",
                format!("{} can be reached from other machines, and nothing protects it", http.listen),
                "listen on 127.0.0.1, or set http.allow_non_loopback = true behind a network policy or a proxy",
            );
        }
        if let Err(error) = EnvFilter::builder().parse(&config.log.level) {
            self.fault(
                codes::D006,
                "log.level",
                format!("the log directives cannot be read: {error}"),
                "for example `info`, or `info,noroshi::source=debug`",
            );
        }
        if let Some(word) = config.log.level.split(',').map(str::trim).find(|word| !is_directive(word)) {
            self.fault(
                codes::D006,
                "log.level",
                format!("`{}` is no log level", word.escape_default()),
                "write error, warn, info, debug or trace, or a module's level such as `noroshi::source=debug`",
            );
        }
        for server in &config.kafka.bootstrap_servers {
            if !is_address(server) {
                // What stands before an `@` may be a password: it is not shown.
                let (hidden, shown) =
                    server.rsplit_once('@').map_or(("", &**server), |(_, host)| ("***@", host));
                self.fault(
                    codes::D006,
                    "kafka.bootstrap_servers",
                    format!("`{hidden}{}` is no broker address", shown.escape_default()),
                    "write host:port, for example kafka-0.example.org:9092; users and passwords belong into [kafka.sasl]",
                );
            }
        }
    }
}

/// A single word that is no level would be taken for a module's name, and then nothing is logged.
fn is_directive(word: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let bare = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    !bare || levels.iter().any(|level| level.eq_ignore_ascii_case(word))
}

/// `host:port` with a port; IPv6 addresses in brackets.
fn is_address(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let bracketed = bare.len() != host.len();
        port.parse::<u16>().is_ok_and(|port| port > 0)
            && !bare.is_empty()
            && bare.chars().all(|c| allowed(c) || (bracketed && matches!(c, ':' | '%')))
    })
}

/// What is allowed but dangerous.
pub fn warnings(config: &Config) -> Vec<Diagnostic> {
    let kafka = &config.kafka;
    let warn = |message: &str, help: &str| Diagnostic::new(codes::C002, message).help(help).warning();
    let mut found = Vec::new();
    if !kafka.tls.verify {
        found.push(warn(
            "brokers' certificates are not verified (kafka.tls.verify = false): anybody on the way can read and \
             change telemetry and alerts",
            "name the authority's certificate in kafka.tls.ca_file",
        ));
    }
    if kafka.sasl.oauthbearer.unsecured {
        found.push(warn(
            "OAUTHBEARER tokens are unsigned (kafka.sasl.oauthbearer.unsecured): they prove nothing",
            "use kafka.sasl.oauthbearer.token_file",
        ));
    }
    if kafka.security_protocol.sasl() && !kafka.security_protocol.tls() {
        let exposed = matches!(kafka.sasl.mechanism, Some(Mechanism::Plain | Mechanism::OauthBearer));
        if exposed {
            found.push(warn(
                "the password or token goes over the network in clear text (sasl_plaintext)",
                "use kafka.security_protocol = \"sasl_ssl\"",
            ));
        }
    }
    if config.http.enabled && !config.http.listen.ip().is_loopback() {
        found.push(Diagnostic { code: codes::C005, ..warn(
            "the HTTP endpoint can be reached from other machines (http.allow_non_loopback), without authentication",
            "let a network policy or a proxy stand before it",
        ) });
    }
    found
}
