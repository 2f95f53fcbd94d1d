//! Layers, faults and warnings of the configuration.

use super::*;
use crate::config::broker::{Mechanism, Property};
use crate::config::secret::Secret;

const CANARY: &str = "canary-9b1d";

struct Given<'a> {
    file: &'a str,
    environment: &'a [(&'a str, &'a str)],
    set: &'a [&'a str],
}

fn load(given: &Given<'_>) -> Result<Config, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join(DEFAULT_FILE), given.file).expect("write");
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let result = Config::load(&LoadOptions {
        file: None,
        directory: folder.path().to_path_buf(),
        environment: given.environment.iter().map(owned).collect(),
        set: given.set.iter().map(|pair| (*pair).to_owned()).collect(),
    });
    let shown = format!("{result:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    if let Err(found) = &result {
        for diagnostic in found {
            let shown = format!("{}{diagnostic}{}", diagnostic.render(false), diagnostic.to_json());
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
    result
}

fn file(text: &str) -> Result<Config, Vec<Diagnostic>> {
    load(&Given { file: text, environment: &[], set: &[] })
}

/// `line:column message [code]`, without help and folder.
fn brief(result: Result<Config, Vec<Diagnostic>>) -> Vec<String> {
    let found = result.expect_err("faults");
    found
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.location.as_ref().map_or_else(String::new, |location| {
                let (line, column) = location.file.line_column(location.span.start);
                format!("{line}:{column}:")
            });
            format!("{place}{} {}", diagnostic.code.id, diagnostic.message)
        })
        .collect()
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = Config::load(&LoadOptions { directory: "/nowhere".into(), ..LoadOptions::default() });
    assert_eq!(config.as_ref().ok(), Some(&Config::default()));
    assert_eq!(file("").ok(), Some(Config::default()));
    assert_eq!(Config::default().brokers().expect_err("no broker").code.id, "D004");
    assert!(Config::default().warnings().is_empty());
}

#[test]
fn a_named_file_must_exist() {
    let options = LoadOptions { file: Some("/nowhere/noroshi.toml".into()), ..LoadOptions::default() };
    assert_eq!(Config::load(&options).expect_err("no file")[0].code.id, "D001");
}

#[test]
fn a_full_file_is_read() {
    let config = file(
        r#"
        [kafka]
        bootstrap_servers = ["a:9093", "[::1]:9093"]
        security_protocol = "sasl_ssl"
        group_protocol = "consumer"
        [kafka.tls]
        ca_file = "/etc/ca.pem"
        key_password = { env = "KEY_PASSWORD" }
        key_file = "/etc/key.pem"
        certificate_file = "/etc/cert.pem"
        [kafka.sasl]
        mechanism = "SCRAM-SHA-512"
        username = "noroshi"
        password = { file = "/run/secrets/password" }
        [kafka.consumer.properties]
        "fetch.min.bytes" = 4096
        "client.rack" = "a"
        [limits]
        batch_rows_max = 1_024
        [http]
        listen = "[::1]:0"
        "#,
    )
    .expect("valid");
    assert_eq!(config.brokers().expect("brokers"), "a:9093,[::1]:9093");
    assert_eq!(config.kafka.sasl.mechanism, Some(Mechanism::ScramSha512));
    assert_eq!(config.kafka.sasl.password, Some(Secret::File("/run/secrets/password".into())));
    assert_eq!(config.kafka.consumer.properties["fetch.min.bytes"], Property::Integer(4_096));
    assert_eq!(config.limits.batch_rows_max, 1_024);
    assert_eq!(config.limits.record_bytes_max, Limits::default().record_bytes_max);
    assert!(config.http.listen.is_ipv6());
}

#[test]
fn later_layers_win() {
    let text = "[epoch]\ninterval_ms = 100\n[kafka.sasl]\npassword = { file = '/a' }\n[log]\nlevel = 'warn'\n\
                [kafka.consumer.properties]\n'client.rack' = 'file'\n'fetch.min.bytes' = 1\n";
    let given = |environment, set| Given { file: text, environment, set };
    let sasl: &[(&str, &str)] = &[
        ("NOROSHI__KAFKA__SECURITY_PROTOCOL", "sasl_plaintext"),
        ("NOROSHI__KAFKA__SASL__MECHANISM", "PLAIN"),
        ("NOROSHI__KAFKA__SASL__USERNAME", "12345"),
        ("NOROSHI__KAFKA__SASL__PASSWORD__ENV", "P"),
        ("NOROSHI__KAFKA__BOOTSTRAP_SERVERS", "a:1, b:2"),
        ("NOROSHI__KAFKA__CONSUMER__PROPERTIES__CLIENT_RACK", "environment"),
        ("NOROSHI__EPOCH__INTERVAL_MS", "300"),
        ("NOROSHI__KAFKA__TLS__VERIFY", "true"),
        ("OTHER__EPOCH", "ignored"),
    ];
    let config = load(&given(sasl, &["epoch.interval_ms=400", "kafka.client_id=a=b"])).expect("valid");
    assert_eq!(config.epoch.interval_ms, 400);
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.kafka.bootstrap_servers, ["a:1", "b:2"]);
    assert_eq!(config.kafka.client_id, "a=b");
    assert_eq!(config.kafka.sasl.username.as_deref(), Some("12345"));
    assert_eq!(config.kafka.sasl.password, Some(Secret::Env("P".into())));
    let properties = &config.kafka.consumer.properties;
    assert_eq!(properties["client.rack"], Property::Text("environment".into()));
    assert_eq!(properties["fetch.min.bytes"], Property::Integer(1));
    let config = load(&given(sasl, &[r#"kafka.sasl.password={ file = "/b" }"#])).expect("valid");
    assert_eq!(config.epoch.interval_ms, 300);
    for name in ["fetch.min.bytes", "\"fetch.min.bytes\"", "'fetch.min.bytes'"] {
        let pair = format!("kafka.consumer.properties.{name}=7");
        let config = load(&Given { file: "", environment: &[], set: &[&pair] });
        let properties = config.expect("valid").kafka.consumer.properties;
        assert_eq!(properties["fetch.min.bytes"].to_string(), "7", "{name}");
    }
    assert_eq!(config.kafka.sasl.password, Some(Secret::File("/b".into())));
    assert!(config.warnings().iter().any(|warning| warning.message.contains("clear text")));
}

#[test]
fn all_faults_of_a_file_come_at_once() {
    let text = "[kafka]\nbootstrap_server = ['a:1']\nsecurity_protocol = 'tls'\n[limits]\nbatch_rows_max = 1\n\
                depth_max = 'deep'\n[http]\nlisten = 'localhost:80'\n[lanez]\n";
    assert_eq!(
        brief(file(text)),
        [
            "2:1:D003 unknown key `bootstrap_server`",
            "3:21:D006 `tls` is not one of the allowed values",
            "5:18:D006 must be at least 64",
            "6:13:D005 expected integer, found a string",
            "8:10:D006 `localhost:80` is no address with a port",
            "9:2:D003 unknown key `lanez`",
        ]
    );
}

#[test]
fn a_key_that_is_given_twice_hides_no_other_fault() {
    let text = "[http]\nlisten = 'localhost:80'\nlisten = '127.0.0.1:80'\n[lanez]\n[kafka]\n[kafka]\nclient_idd = 'a'\n";
    assert_eq!(
        brief(file(text)),
        [
            "2:10:D006 `localhost:80` is no address with a port",
            "3:1:D002 the key `listen` is given twice",
            "4:2:D003 unknown key `lanez`",
            "6:2:D002 the key `kafka` is given twice",
            "7:1:D003 unknown key `client_idd`",
        ]
    );
    assert_eq!(brief(file("[kafka]\n[kafka]\n")), ["2:2:D002 the key `kafka` is given twice"]);
}

#[test]
fn faults_of_one_setting_and_contradictions_name_their_place() {
    for (text, expect) in [
        ("x = ", "D002 "),
        ("[transaction]\ntimeout_ms = 5000\n[epoch]\ninterval_ms = 5000", "2:14:C002 the broker would abort"),
        ("[reload]\ninterval_ms = 99", "2:15:C002 99 ms between two looks"),
        ("[kafka.sasl]\nusername = 'x'", "C002 SASL is configured, but the security protocol is plaintext"),
        ("[kafka]\nsecurity_protocol = 'sasl_ssl'", "2:21:C002 the security protocol sasl_ssl needs"),
        ("[kafka.tls]\nca_file = '/a'", "C002 TLS is configured, but"),
        (
            "[kafka]\nsecurity_protocol = 'ssl'\n[kafka.tls]\nkey_file = '/a'",
            "C002 a client certificate and its key go together",
        ),
        (
            "[kafka]\nsecurity_protocol = 'sasl_ssl'\n[kafka.sasl]\nmechanism = 'OAUTHBEARER'",
            "C002 OAUTHBEARER takes its token either",
        ),
        (
            "[kafka]\nsecurity_protocol = 'sasl_ssl'\n[kafka.sasl]\nmechanism = 'PLAIN'\nusername = 'x'",
            "4:13:C002 the mechanism PLAIN needs a user name and a password",
        ),
        ("[http]\nlisten = '0.0.0.0:9464'", "2:10:C005 0.0.0.0:9464 can be reached"),
        ("[http]\nlisten = 'x'", "2:10:D006 `x` is no address with a port"),
        ("[log]\nlevel = 'info,=,['", "2:9:D006 the log directives cannot be read"),
        ("[log]\nlevel = 'info,loud'", "2:9:D006 `loud` is no log level"),
        ("[kafka]\nbootstrap_servers = ['a']", "2:21:D006 `a` is no broker address"),
        ("[kafka]\nbootstrap_servers = ['u:hidden@a:1']", "2:21:D006 `***@a:1` is no broker address"),
        (
            "[limits]\nalert_bytes_max = 1000000",
            "2:19:C002 limits.alert_bytes_max, 1000000 bytes, does not fit",
        ),
        ("[limits]\nraw_bytes_max = 200000", "2:17:C002 an original event"),
        (
            "[kafka.consumer.properties]\n'fetch.min.byte' = 1",
            "2:20:D006 librdkafka refuses `fetch.min.byte`",
        ),
        ("[kafka.producer.properties]\n'linger.ms' = 'soon'", "2:15:D006 librdkafka refuses `linger.ms`"),
        (
            "[kafka.producer.properties]\n'socket.timeout.ms' = 70000",
            "2:23:C002 a request to the broker may take longer (70000 ms)",
        ),
        (
            "[kafka]\ngroup_protocol = 'consumer'\n[kafka.consumer.properties]\n'session.timeout.ms' = 6000",
            "4:24:C002 `session.timeout.ms` is the broker's setting",
        ),
    ] {
        let found = brief(file(text));
        assert!(found.len() == 1 && found[0].contains(expect), "{text}\n{found:#?}");
    }
}

#[test]
fn a_setting_in_the_wrong_section_is_told_where_it_belongs() {
    let sasl = "did you mean `kafka.sasl.mechanism`?";
    for (file, environment, set, expect) in [
        ("[kafka]\nmechanism = 'PLAIN'", None, None, sasl),
        ("[source]\nmechanism = 'PLAIN'", None, None, sasl),
        ("[sasl]\nmechanism = 'PLAIN'", None, None, "did you mean `kafka.sasl`?"),
        ("[kafka.consumer]\nbatch_rows_max = 9", None, None, "did you mean `limits.batch_rows_max`?"),
        ("", Some("NOROSHI__SOURCE__MECHANISM"), None, "did you mean `NOROSHI__KAFKA__SASL__MECHANISM`?"),
        ("", None, Some("source.consumer.mechanism=PLAIN"), sasl),
        ("", None, Some("mechanism=PLAIN"), sasl),
    ] {
        let environment: Vec<(&str, &str)> = environment.map(|name| (name, "PLAIN")).into_iter().collect();
        let set: Vec<&str> = set.into_iter().collect();
        let found = load(&Given { file, environment: &environment, set: &set }).expect_err("unknown");
        let help = found.iter().find_map(|found| found.help.as_deref());
        assert_eq!(help, Some(expect), "{file}{environment:?}{set:?}: {found:?}");
    }
}

#[test]
fn the_same_faults_in_the_environment_and_on_the_command_line_name_the_variable() {
    let given = Given {
        file: "",
        environment: &[
            ("NOROSHI__LANES__COUNT", "many"),
            ("NOROSHI__LANE__COUNT", "1"),
            ("NOROSHI__KAFKA__SASL__PASSWORD", CANARY),
            ("NOROSHI__HTTP__LISTEN", "0.0.0.0:1"),
        ],
        set: &["epoch.interval_ms=0", "epoch.interval=5", "kafka.sasl.password=canary-9b1d", "canary-9b1d"],
    };
    let found = load(&given).expect_err("faults");
    let help = found.iter().find(|found| found.code.id == "C004").and_then(|found| found.help.clone());
    assert!(help.is_some_and(|help| help.starts_with("did you mean `NOROSHI__LANES__COUNT`")));
    let mut found = brief(Err(found));
    found.sort();
    assert_eq!(
        found,
        [
            "C004 environment variable NOROSHI__LANE__COUNT sets a key that is not known",
            "C005 environment variable NOROSHI__HTTP__LISTEN: 0.0.0.0:1 can be reached from other machines, and \
             nothing protects it",
            "D002 --set takes `section.key=value`, and this one has no `=`",
            "D003 --set epoch.interval: unknown key",
            "D005 environment variable NOROSHI__LANES__COUNT: expected integer, found a string",
            "D006 --set epoch.interval_ms: must be at least 5",
            "D006 --set kafka.sasl.password: the secret `kafka.sasl.password` must not be written into the \
             configuration",
            "D006 environment variable NOROSHI__KAFKA__SASL__PASSWORD: the secret `kafka.sasl.password` must not be \
             written into the configuration",
        ]
    );
}

#[test]
fn every_refused_property_is_refused_for_both_clients_with_its_reason() {
    for (names, reason) in refused::REFUSED {
        for name in *names {
            for client in ["consumer", "producer"] {
                let found = brief(file(&format!("[kafka.{client}.properties]\n'{name}' = '{CANARY}'")));
                assert_eq!(found.len(), 1, "{name}: {found:?}");
                assert!(found[0].contains(":C001 ") && found[0].ends_with(reason), "{}", found[0]);
            }
        }
    }
    let given =
        Given { file: "", environment: &[], set: &["kafka.consumer.properties.Enable.Auto.Commit=true"] };
    assert!(brief(load(&given))[0].starts_with("C001 --set kafka.consumer.properties.Enable.Auto.Commit:"));
}

#[test]
fn a_secret_in_the_file_never_shows() {
    // `load` looks for the canary in all that could be printed.
    for text in [
        "[kafka.sasl]\npassword = 'canary-9b1d'",
        "[kafka.sasl]\npassword = canary-9b1d",
        "[kafka.sasl]\npassword = '''\ncanary-9b1d'''",
        "[kafka.sasl]\npassword = { value = 'canary-9b1d' }",
        "[kafka.sasl.password]\nvalue = 'canary-9b1d'",
        "[kafka]\nsasl = { password = 'canary-9b1d', mechanism = 'NONE' }",
        "[kafka.tls]\nkey_password = ['canary-9b1d']",
        "[kafka.producer.properties]\n'sasl.password' = 'canary-9b1d'",
        "[kafka.producer.properties]\n'ssl.key.passwort' = 1\npassword = 'canary-9b1d'",
        "[kafka.sasl]\npasword = 'canary-9b1d'",
        "[kafka.sasl]\n'pass word' = 'canary-9b1d'",
        "[kafka.sasl]\npwd = 'canary-9b1d'",
        "[kafka.sasl]\npwd = '''\ncanary-9b1d\n'''",
        "[kafka.sasl.pwd]\nx = [{ y = 'canary-9b1d' }]",
        "[kafka]\nsasl = 'canary-9b1d'",
        "[sasl]\npwd = 'canary-9b1d'",
        "[kafka.consumer.properties]\n'sasl.pasword' = 'canary-9b1d'",
        "[kafka.consumer.properties]\n'ssl.keystore.pasword' = 'canary-9b1d'",
        "[kafka.consumer.properties]\nbogus = 'canary-9b1d'",
        "[kafka.consumer.properties]\nbogus = { a = 'canary-9b1d' }",
        "[kafka.consumer.properties]\ndebug = 'canary-9b1d'",
        "[kafka.consumer.properties]\n'fetch.min.bytes' = 'canary-9b1d'",
        "[kafka.consumer]\nproperties = 'canary-9b1d'",
        "[kafka]\nbootstrap_servers = 'u:canary-9b1d@h:9092'",
        "[kafka]\nbootstrap_servers = ['h:1', 'u:canary-9b1d@h:1']",
        "[kafka]\nbootstrap_servers = \"u:canary-9b1d\\u0040h:1\"",
        "[kafka]\nbootstrap_servers = { a = 'canary-9b1d' }",
        "kafka = { bootstrap_servers = ['u:canary-9b1d@h:1'], sasl = { pw = 'canary-9b1d' } }",
        "kafka = 'canary-9b1d'",
        "[kafka.sasl]\npassword canary-9b1d",
        "[kafka.sasl]\npwd canary-9b1d",
        "[kafka.sasl]\npwd canary-9b1d = 1",
        "[kafka.sasl]\npwd = canary-9b1d",
        "[kafka.sasl]\npwd = 'canary-9b1d",
        "[kafka.sasl]\npwd = \"\"\"\ncanary-9b1d = 1",
        "[kafka.sasl]\npwd = 'x' canary-9b1d",
        "[kafka.sasl]\npwd = 'canary-9b1d'\npwd = 'canary-9b1d'",
        "canary-9b1d",
        "canary-9b1d==",
        "[kafka]\nbootstrap_servers = [\n'u:canary-9b1d@h:1'\n'h:2']",
    ] {
        let found = file(text).expect_err(text);
        assert!(found.iter().all(|found| found.location.is_some()), "{text}: {found:?}");
    }
}

#[test]
fn a_secret_in_a_variable_or_an_argument_never_shows() {
    for key in [
        "kafka.security_protocol",
        "kafka.sasl.mechanism",
        "kafka.sasl.pasword",
        "kafka.sasl.password",
        "kafka.sasl",
        "kafka.tls.verify",
        "kafka.producer.compression",
        "kafka.consumer.properties.bogus",
        "kafka.consumer.properties.debug",
        "kafka.consumer.properties.fetch.min.bytes",
    ] {
        let pair = format!("{key}={CANARY}");
        load(&Given { file: "", environment: &[], set: &[&pair] }).expect_err(key);
        let variable = format!("NOROSHI__{}", key.replace('.', "__").to_uppercase());
        load(&Given { file: "", environment: &[(&variable, CANARY)], set: &[] }).expect_err(key);
    }
    let server = format!("kafka.bootstrap_servers=u:{CANARY}@h:9092");
    load(&Given { file: "", environment: &[], set: &[&server] }).expect_err("no address");
}

#[test]
fn a_masked_file_still_shows_which_key_is_meant() {
    for (text, expect) in [
        ("[kafka.sasl]\npasword = 'x'", "pasword = ***"),
        ("[kafka.sasl]\nmechanism = 'NONE'", "mechanism = 'NONE'"),
        ("[kafka]\nbootstrap_servers = ['h:1', 'u:p@h:x']", "bootstrap_servers = ['h:1', ****@h:x']"),
        ("[kafka]\nsecurity_protocol = 'sasl_ssl", "security_protocol = *********"),
        ("[limits\nbatch_rows_max = 1", "[limits"),
        ("[limits]\nbatch_rows = 1", "batch_rows = *"),
    ] {
        let found = file(text).expect_err(text);
        assert!(found.iter().any(|found| found.render(false).contains(expect)), "{text}: {found:?}");
    }
}

#[test]
fn dangerous_settings_are_warned_of() {
    let config = file(
        "[kafka]\nsecurity_protocol = 'sasl_plaintext'\n[kafka.tls]\n[kafka.sasl]\nmechanism = 'OAUTHBEARER'\n\
         [kafka.sasl.oauthbearer]\nunsecured = true\nprincipal = 'x'\n[http]\nlisten = '0.0.0.0:1'\n\
         allow_non_loopback = true\n",
    )
    .expect("allowed");
    let warnings: Vec<(&str, bool)> =
        config.warnings().iter().map(|warning| (warning.code.id, warning.is_error())).collect();
    assert_eq!(warnings, [("C002", false), ("C002", false), ("C005", false)]);
}
