//! The librdkafka properties that users cannot pass through, each with its reason.
//!
//! Owns the list. A property is on it because Noroshi sets it itself, because changing it would break exactly-once
//! delivery or a bound, or because it is a secret. Called by `config::check` and `config::reference`.

/// librdkafka names → why it is refused, and what to use instead.
pub const REFUSED: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "set by `kafka.bootstrap_servers`"),
    (&["client.id"], "set by `kafka.client_id`"),
    (&["security.protocol"], "set by `kafka.security_protocol`"),
    (&["group.id"], "made of `kafka.id_prefix` and the pipeline's name"),
    (&["group.instance.id"], "made of `kafka.group_instance_id` and the lane"),
    (&["group.protocol", "group.protocol.type"], "set by `kafka.group_protocol`"),
    (
        &["partition.assignment.strategy"],
        "cooperative-sticky: others take all partitions from a lane in the middle of its epoch",
    ),
    (
        &["enable.auto.commit", "auto.commit.interval.ms"],
        "offsets are committed in the transaction of their epoch and nowhere else (I-1)",
    ),
    (
        &[
            "enable.auto.offset.store",
            "offset.store.method",
            "auto.commit.enable",
            "auto.offset.store.enable",
        ],
        "offsets are committed in the transaction of their epoch and nowhere else (I-1)",
    ),
    (
        &["auto.offset.reset"],
        "error: where a partition begins is declared with its source, and a committed offset that is gone is a loss \
         that must be seen",
    ),
    (&["isolation.level"], "read_committed: input of aborted transactions must not raise alerts"),
    (&["enable.partition.eof"], "the lane would take the end of a partition for an error"),
    (&["check.crcs"], "always on: a damaged record must not pass for a good one"),
    (&["queued.max.messages.kbytes", "queued.min.messages"], "bounded by `limits.fetch_queue_bytes_max`"),
    (
        &["fetch.message.max.bytes", "max.partition.fetch.bytes"],
        "bounded by `limits.fetch_partition_bytes_max`",
    ),
    (&["transactional.id"], "made of `kafka.id_prefix`, the pipeline, the instance and the lane"),
    (&["transaction.timeout.ms"], "set by `transaction.timeout_ms`"),
    (
        &["message.timeout.ms", "delivery.timeout.ms"],
        "follows `transaction.timeout_ms`: a message that outlives its transaction cannot commit",
    ),
    (&["enable.idempotence", "enable.gapless.guarantee"], "transactions need the idempotent producer (I-1)"),
    (
        &["acks", "request.required.acks"],
        "all: an alert that only one broker has can be lost after its commit",
    ),
    (
        &["max.in.flight.requests.per.connection", "max.in.flight", "max.inflight"],
        "more than 5 would break the order that the idempotent producer needs",
    ),
    (
        &["retries", "message.send.max.retries"],
        "the transaction's timeout bounds retries; fewer would abort epochs for nothing",
    ),
    (
        &["queue.buffering.max.kbytes", "queue.buffering.max.messages"],
        "bounded by `limits.producer_queue_bytes_max` and `limits.producer_queue_messages_max`",
    ),
    (&["message.max.bytes"], "set by `limits.message_bytes_max`"),
    (&["compression.type", "compression.codec"], "set by `kafka.producer.compression`"),
    (
        &["delivery.report.only.error"],
        "each delivery is counted: without the reports a lost alert would go unseen",
    ),
    (
        &["statistics.interval.ms"],
        "the statistics bring the lag and the state of the brokers; they cannot be turned off",
    ),
    (&["sasl.mechanism", "sasl.mechanisms"], "set by `kafka.sasl.mechanism`"),
    (&["sasl.username"], "set by `kafka.sasl.username`"),
    (&["sasl.password"], "a secret: use `kafka.sasl.password`"),
    (&["ssl.key.password"], "a secret: use `kafka.tls.key_password`"),
    (&["ssl.ca.location", "ssl.ca.pem", "ssl_ca"], "set by `kafka.tls.ca_file`"),
    (
        &["ssl.certificate.location", "ssl.certificate.pem", "ssl_certificate"],
        "set by `kafka.tls.certificate_file`",
    ),
    (&["ssl.key.location", "ssl.key.pem", "ssl_key"], "set by `kafka.tls.key_file`"),
    (
        &["ssl.keystore.location", "ssl.keystore.password"],
        "a secret: use `kafka.tls.certificate_file` and `kafka.tls.key_file`",
    ),
    (
        &["enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"],
        "set by `kafka.tls.verify`, which is logged when it is off",
    ),
    (
        &["ssl.engine.location", "ssl.engine.id", "ssl.providers", "plugin.library.paths"],
        "would load foreign code into the process",
    ),
    (&["sasl.kerberos.kinit.cmd"], "would run a command"),
    (
        &["enable.sasl.oauthbearer.unsecure.jwt", "sasl.oauthbearer.config"],
        "set by `kafka.sasl.oauthbearer.unsecured`",
    ),
    (
        &[
            "sasl.oauthbearer.method",
            "sasl.oauthbearer.client.id",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
        ],
        "this build asks no identity provider: use `kafka.sasl.oauthbearer.token_file`",
    ),
    (&["debug"], "librdkafka's debug log can hold credentials and telemetry"),
    (&["internal.termination.signal", "log.queue", "enabled_events"], "internal to the client library"),
];

/// Why a property is refused; `None` when it may pass.
pub fn reason(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    REFUSED.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, reason)| *reason)
}
