//! librdkafka's configuration: what each client gets, and what is refused.

use super::*;
use crate::config::broker::{Property, SecurityProtocol};
use crate::config::secret::Secret;

const CANARY: &str = "canary-51c2";

fn config() -> Config {
    let mut config = Config::default();
    config.kafka.bootstrap_servers = vec!["a:9092".into(), "b:9092".into()];
    config
}

fn assert_has(client: &ClientConfig, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(client.get(name), *value, "{name}");
    }
}

#[test]
fn consumers_and_producers_get_what_exactly_once_needs() {
    let config = config();
    assert_has(
        &consumer(&config, "noroshi-main", 3, 1).expect("consumer"),
        &[
            ("bootstrap.servers", Some("a:9092,b:9092")),
            ("group.id", Some("noroshi-main")),
            ("enable.auto.commit", Some("false")),
            ("enable.auto.offset.store", Some("false")),
            ("auto.offset.reset", Some("error")),
            ("isolation.level", Some("read_committed")),
            ("partition.assignment.strategy", Some("cooperative-sticky")),
            ("fetch.queue.backoff.ms", Some("5")),
            ("queued.max.messages.kbytes", Some("61440")),
            ("fetch.message.max.bytes", Some("4194304")),
            ("group.instance.id", None),
        ],
    );
    assert_has(
        &producer(&config, "noroshi-main-0-3").expect("producer"),
        &[
            ("transactional.id", Some("noroshi-main-0-3")),
            ("transaction.timeout.ms", Some("60000")),
            ("enable.idempotence", Some("true")),
            ("acks", Some("all")),
            ("queue.buffering.max.kbytes", Some("65536")),
            ("message.timeout.ms", None),
            ("security.protocol", Some("plaintext")),
        ],
    );
    assert_has(&plain_producer(&config).expect("producer"), &[("transactional.id", None)]);
}

#[test]
fn what_waits_and_what_is_fetched_stays_within_the_bound_of_the_lane() {
    let number = |client: &ClientConfig, name: &str| -> u64 {
        client.get(name).and_then(|text| text.parse().ok()).expect("a number")
    };
    for (bound, partitions, within) in [
        (64 << 20, 1, 64 << 20),
        (64 << 20, 7, 64 << 20),
        (64 << 20, 128, 64 << 20),
        // Below a floor for each partition nothing would move.
        (64 << 20, 1_000, 1_000 * (512 << 10)),
        (1 << 20, 8, 8 * (512 << 10)),
        (2 << 30, 4, 2 << 30),
    ] {
        let mut config = config();
        config.limits.fetch_queue_bytes_max = bound;
        let client = consumer(&config, "noroshi-main", 0, partitions).expect("consumer");
        let fetched = number(&client, "fetch.message.max.bytes");
        let queued = number(&client, "queued.max.messages.kbytes") * 1_024;
        assert!(partitions * (queued + fetched) <= within, "{bound} over {partitions}: {queued} + {fetched}");
        assert!(
            fetched >= 256 << 10 && queued >= 256 << 10,
            "{bound} over {partitions}: {queued} + {fetched}"
        );
        assert!(number(&client, "queued.min.messages") >= 1_000);
        assert!(client.create_native_config().is_ok());
    }
}

#[test]
fn every_property_that_is_set_is_one_that_librdkafka_knows() {
    let folder = tempfile::tempdir().expect("folder");
    let password = folder.path().join("password");
    std::fs::write(&password, CANARY).expect("write");
    let mut config = config();
    config.kafka.security_protocol = SecurityProtocol::SaslSsl;
    config.kafka.sasl.username = Some("me".into());
    config.kafka.sasl.password = Some(Secret::File(password));
    config.kafka.group_instance_id = Some("pod-0".into());
    for mechanism in
        [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::OauthBearer]
    {
        config.kafka.sasl.mechanism = Some(mechanism);
        for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
            config.kafka.group_protocol = protocol;
            for client in [consumer(&config, "g", 0, 1), producer(&config, "t"), admin(&config)] {
                let client = client.expect("built");
                assert!(client.create_native_config().is_ok(), "{mechanism:?} {protocol:?}");
                assert!(!format!("{client:?}").contains(CANARY));
            }
        }
    }
    // librdkafka judges properties together only when a client is made.
    config.kafka.sasl.mechanism = Some(Mechanism::Plain);
    config.kafka.security_protocol = SecurityProtocol::SaslPlaintext;
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        config.kafka.group_protocol = protocol;
        let consumer: Result<rdkafka::consumer::BaseConsumer, _> =
            consumer(&config, "g", 0, 1).expect("built").create();
        assert!(consumer.is_ok(), "{:?}", consumer.err());
    }
    let producer: Result<rdkafka::producer::BaseProducer, _> =
        producer(&config, "t").expect("built").create();
    assert!(producer.is_ok(), "{:?}", producer.err());
}

#[test]
fn lanes_are_members_of_their_own() {
    let mut config = config();
    config.kafka.group_instance_id = Some("pod-0".into());
    config.kafka.group_protocol = GroupProtocol::Consumer;
    assert_has(
        &consumer(&config, "g", 2, 1).expect("consumer"),
        &[("group.instance.id", Some("pod-0-2")), ("partition.assignment.strategy", None)],
    );
    assert_eq!(config.kafka.group_id("main"), "noroshi-main");
    assert_eq!(config.kafka.transactional_id("main", "pod-0", 2), "noroshi-main-pod-0-2");
}

#[test]
fn users_override_presets_but_never_what_delivery_rests_on() {
    let mut config = config();
    let properties = &mut config.kafka.consumer.properties;
    properties.insert("fetch.wait.max.ms".into(), Property::Integer(20));
    properties.insert("enable.auto.commit".into(), Property::Boolean(true));
    assert_has(
        &consumer(&config, "g", 0, 1).expect("consumer"),
        &[("fetch.wait.max.ms", Some("20")), ("enable.auto.commit", Some("false"))],
    );
}

#[test]
fn tls_and_sasl_are_passed_on_only_with_their_protocol() {
    let mut config = config();
    config.kafka.tls.verify = false;
    let folder = tempfile::tempdir().expect("folder");
    let authority = folder.path().join("ca.pem");
    let block = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    std::fs::write(&authority, block).expect("write");
    config.kafka.tls.ca_file = Some(authority.clone());
    assert_has(&admin(&config).expect("client"), &[("ssl.ca.location", None)]);
    config.kafka.security_protocol = SecurityProtocol::Ssl;
    assert_has(
        &admin(&config).expect("client"),
        &[
            ("ssl.ca.location", authority.to_str()),
            ("enable.ssl.certificate.verification", Some("false")),
            ("ssl.endpoint.identification.algorithm", Some("none")),
        ],
    );
}

#[test]
fn what_is_missing_is_a_diagnostic() {
    let without = Config::default();
    assert_eq!(admin(&without).expect_err("no broker").code.id, "D004");
    let mut config = config();
    config.kafka.security_protocol = SecurityProtocol::SaslSsl;
    config.kafka.sasl.mechanism = Some(Mechanism::Plain);
    config.kafka.sasl.password = Some(Secret::File("/nowhere/at/all".into()));
    assert_eq!(admin(&config).expect_err("no secret").code.id, "C003");
    for (path, expect) in [("/nowhere/ca.pem", "cannot open /nowhere/ca.pem"), ("/", "/ is no file")] {
        config.kafka.tls.ca_file = Some(path.into());
        let error = admin(&config).expect_err("no authority");
        assert_eq!(error.code.id, "D001");
        assert!(error.message.contains("`kafka.tls.ca_file`") && error.message.contains(expect), "{error}");
    }
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "no PEM").expect("write");
    config.kafka.tls.ca_file = None;
    config.kafka.tls.key_file = Some(path);
    assert_eq!(admin(&config).expect_err("no key").code.id, "C006");
}

#[test]
fn all_that_is_missing_comes_at_once() {
    let text = r#"
        [kafka]
        bootstrap_servers = ["a:9093"]
        security_protocol = "PROTOCOL"
        [kafka.tls]
        ca_file = "/nowhere/ca.pem"
        certificate_file = "/nowhere/cert.pem"
        key_file = "/nowhere/key.pem"
        key_password = { file = "/nowhere/key-password" }
        [kafka.sasl]
        mechanism = "MECHANISM"
        username = "u"
        password = { file = "/nowhere/password" }
        [kafka.sasl.oauthbearer]
        token_file = "/nowhere/token"
    "#;
    let tls = ["D001 ca.pem", "D001 cert.pem", "D001 key.pem", "C003 key-password"];
    for (protocol, mechanism, expect) in [
        ("plaintext", "PLAIN", [].as_slice()),
        ("ssl", "PLAIN", &tls),
        ("sasl_plaintext", "SCRAM-SHA-256", &["C003 password"]),
        ("sasl_plaintext", "OAUTHBEARER", &["C003 token"]),
        ("sasl_ssl", "PLAIN", &[&tls[..], &["C003 password"]].concat()),
    ] {
        let text = text.replace("PROTOCOL", protocol).replace("MECHANISM", mechanism);
        let config: Config = toml::from_str(&text).expect("shape");
        let found = unreadable(&config, 0);
        assert_eq!(found.len(), expect.len(), "{protocol} {mechanism}: {found:?}");
        for (found, expect) in found.iter().zip(expect) {
            let (code, file) = expect.split_once(' ').expect("two words");
            assert_eq!(found.code.id, code, "{protocol} {mechanism}");
            assert!(found.message.contains(&format!("/nowhere/{file}: ")), "{}", found.message);
        }
    }
}

#[test]
fn librdkafka_is_asked_about_names_and_values() {
    for (name, value, expect) in [
        ("fetch.min.bytes", "1", Ok(())),
        ("fetch.min.byte", "1", Err("No such configuration property")),
        ("fetch.min.bytes", CANARY, Err("fetch.min.bytes")),
        ("client.rack", "a\0b", Err("zero byte")),
    ] {
        match (try_property(name, value), expect) {
            (Ok(()), Ok(())) => {}
            (Err(reason), Err(part)) => {
                assert!(reason.contains(part) && !reason.contains(CANARY), "{name}: {reason}");
            }
            (found, _) => panic!("{name}={value}: {found:?}"),
        }
    }
}
