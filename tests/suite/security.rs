//! Who may come in, what is said when somebody may not, and that no secret leaves the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::delivery::{Setup, repository};
use super::kafka::{Broker, Login, Record, broker, unique};
use super::process::{Running, WAIT_MAX, get, program};

/// A rule that finds each of [`event`].
const RULE: &str = "rules/windows/security_log_cleared.sql";

/// In seconds after 1970.
pub const YEAR_2100: u64 = 4_102_444_800;

fn event(number: usize) -> Vec<u8> {
    let text = format!(
        r#"{{"Channel":"Security","EventID":1102,"Hostname":"h{number}","EventTime":"2026-01-02 03:04:05"}}"#
    );
    text.into_bytes()
}

/// A way to the broker: settings and environment.
pub struct Way {
    name: &'static str,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    /// Texts that must appear nowhere.
    secrets: Vec<String>,
}

/// Where the broker listens, and with whose credentials.
pub struct Listeners {
    ssl: String,
    sasl: String,
    oauth: String,
    certificates: PathBuf,
    /// A user who may do everything.
    pub login: Login,
    /// A user who may do nothing but what a test allows.
    pub limited: Login,
}

impl Listeners {
    /// `None` for a broker that somebody else brought.
    pub fn of(broker: &Broker) -> Option<Self> {
        Some(Self {
            ssl: broker.ssl.clone()?,
            sasl: broker.sasl_ssl.clone()?,
            oauth: broker.oauth.clone()?,
            certificates: broker.certificates.clone()?,
            login: broker.login.clone()?,
            limited: broker.limited.clone()?,
        })
    }

    fn file(&self, name: &str) -> String {
        self.certificates.join(name).display().to_string()
    }

    fn tls(&self) -> Way {
        Way {
            name: "client certificate",
            settings: vec![
                format!("kafka.bootstrap_servers={}", self.ssl),
                "kafka.security_protocol=ssl".into(),
                format!("kafka.tls.ca_file={}", self.file("ca.pem")),
                format!("kafka.tls.certificate_file={}", self.file("client.pem")),
                format!("kafka.tls.key_file={}", self.file("client.key")),
            ],
            environment: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// The password in a file, or else in the environment.
    pub fn sasl(&self, mechanism: &'static str, login: &Login, file: Option<&Path>) -> Way {
        let mut environment = Vec::new();
        let password = match file {
            Some(folder) => {
                let path = folder.join(format!("password-{mechanism}-{}", login.user));
                fs::write(&path, &login.password).expect("writes the password");
                format!("kafka.sasl.password.file={}", path.display())
            }
            None => {
                environment.push(("THE_PASSWORD".to_owned(), login.password.clone()));
                "kafka.sasl.password.env=THE_PASSWORD".to_owned()
            }
        };
        Way {
            name: mechanism,
            settings: vec![
                format!("kafka.bootstrap_servers={}", self.sasl),
                "kafka.security_protocol=sasl_ssl".into(),
                format!("kafka.tls.ca_file={}", self.file("ca.pem")),
                format!("kafka.sasl.mechanism={mechanism}"),
                format!("kafka.sasl.username={}", login.user),
                password,
            ],
            environment,
            secrets: vec![login.password.clone()],
        }
    }

    fn unsecured_token(&self) -> Way {
        Way {
            name: "unsecured token",
            settings: vec![
                format!("kafka.bootstrap_servers={}", self.oauth),
                "kafka.security_protocol=sasl_plaintext".into(),
                "kafka.sasl.mechanism=OAUTHBEARER".into(),
                "kafka.sasl.oauthbearer.unsecured=true".into(),
                format!("kafka.sasl.oauthbearer.principal={}", self.login.user),
            ],
            environment: Vec::new(),
            // What each token begins with: {"alg":"none"}.
            secrets: vec!["eyJhbGciOiJub25lIn0".into()],
        }
    }

    /// A token in a file, which is good until so many seconds after 1970.
    pub fn token_file(&self, folder: &Path, expires_s: u64) -> Way {
        let claims = base64(&format!(r#"{{"sub":"{}","iat":0,"exp":{expires_s}}}"#, self.login.user));
        let path = folder.join("token");
        fs::write(&path, format!("{}.{claims}.\n", base64(r#"{"alg":"none"}"#))).expect("writes the token");
        let mut way = self.unsecured_token();
        way.name = "token from a file";
        way.settings.truncate(3);
        way.settings.push(format!("kafka.sasl.oauthbearer.token_file={}", path.display()));
        way.secrets.push(claims);
        way
    }
}

/// In its URL form without padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = text.bytes().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let letter = |six: &[u8]| {
        let value = (0..6).fold(0, |value, at| value << 1 | usize::from(*six.get(at).unwrap_or(&0)));
        char::from(ALPHABET[value])
    };
    bits.chunks(6).map(letter).collect()
}

impl Way {
    fn command(&self, words: &[&str], pipeline: &Path) -> Command {
        let mut command = program();
        command.args(words).arg("--pipeline").arg(pipeline);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the process this way, with one lane.
    pub fn run(&self, setup: &Setup, more: &[&str]) -> Running {
        let mut command = self.command(&["run", "--instance", "test"], setup.folder.path());
        for setting in ["http.listen=127.0.0.1:0", "lanes.count=1"].iter().chain(more) {
            command.args(["--set", setting]);
        }
        Running::spawn(setup.folder.path(), &mut command)
    }

    /// Fails when a secret is in the text.
    pub fn assert_silent(&self, where_: &str, text: &str) {
        for secret in &self.secrets {
            let at = text.find(secret.as_str());
            let around = at.map(|at| text.get(at.saturating_sub(200)..at).unwrap_or_default());
            assert!(at.is_none(), "{}: a secret is in {where_}, after: {around:?}", self.name);
        }
    }
}

/// Records in, alerts out, and at the most talkative log level no secret in anything that is printed or served.
#[test]
fn every_way_into_the_broker_carries_records_and_shows_no_secret() {
    let Some(broker) = broker() else { return };
    let Some(listeners) = Listeners::of(broker) else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let secrets = tempfile::tempdir().expect("a folder");
    let login = &listeners.login;
    let ways = [
        listeners.tls(),
        listeners.sasl("SCRAM-SHA-512", login, Some(secrets.path())),
        listeners.sasl("SCRAM-SHA-256", login, None),
        listeners.sasl("PLAIN", login, Some(secrets.path())),
        listeners.unsecured_token(),
        listeners.token_file(secrets.path(), YEAR_2100),
    ];
    for (at, way) in ways.iter().enumerate() {
        broker.produce(&setup.topic("power"), (0..5).map(|number| Record::new(0, event(number))));
        let mut running = way.run(&setup, &["log.level=trace", "log.format=json", "epoch.interval_ms=20"]);
        let total = i64::try_from(5 * (at + 1)).expect("few");
        running.runs_until("all input is committed", || setup.committed(broker) == total);
        let address = running.http();
        for path in ["/live", "/ready", "/status", "/metrics", "/nothing"] {
            way.assert_silent(path, &get(&address, path).1);
        }
        let (status, log) = running.terminate();
        assert_eq!(status.code(), Some(0), "{}: {log}", way.name);
        way.assert_silent("the log", &log);
        // The librdkafka log is there, so the search was worth it.
        assert!(log.lines().any(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    }
    let alerts = broker.read_committed(&setup.alerts, 5 * ways.len(), WAIT_MAX);
    assert_eq!(alerts.len(), 5 * ways.len());
}

#[test]
fn topics_are_created_over_every_way() {
    let Some(broker) = broker() else { return };
    let Some(listeners) = Listeners::of(broker) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for way in [
        listeners.tls(),
        listeners.sasl("SCRAM-SHA-512", &listeners.login, Some(folder.path())),
        listeners.token_file(folder.path(), YEAR_2100),
    ] {
        let id = unique("created");
        fs::write(
            folder.path().join("pipeline.toml"),
            format!(
                "name = \"{id}\"\nrules = [{:?}]\n[[organisation]]\nid = \"rail\"\nname = \"rail\"\n[[source]]\n\
                 id = \"rail\"\norganisation = \"rail\"\ntopics = [\"{id}.in\"]\nformat = \"windows-json\"\n\
                 [alerts]\ntopic = \"{id}.alerts\"\n[rejects]\ntopic = \"{id}.dead\"\n",
                repository(RULE)
            ),
        )
        .expect("writes the pipeline");
        for _ in 0..2 {
            let words = ["topics", "--create", "--partitions", "2", "--replication-factor", "1"];
            let mut running = Running::spawn(folder.path(), &mut way.command(&words, folder.path()));
            let status = running.wait();
            assert_eq!(status.code(), Some(0), "{}: {}", way.name, running.log());
            assert_eq!(running.log().matches("2 partitions").count(), 3, "{}: {}", way.name, running.log());
            way.assert_silent("the output", &running.log());
        }
        for topic in ["in", "alerts", "dead"] {
            assert_eq!(broker.end_offsets(&format!("{id}.{topic}")), [0, 0], "{}", way.name);
        }
    }
}

/// What is wrong, the settings, the exit code, and what the message says.
type Wrong = (&'static str, Way, u8, Vec<String>);

/// One clear message and the right exit code; no traces of the machinery, no secrets, and no waiting for ever.
#[test]
fn what_is_wrong_is_said_once_and_clearly() {
    let Some(broker) = broker() else { return };
    let Some(listeners) = Listeners::of(broker) else { return };
    let setup = Setup::new(broker, &repository(RULE), "error");
    let folder = setup.folder.path();
    let wrong = Login { password: "canary-7f3a9c".into(), ..listeners.login.clone() };
    let plain = |more: &[&str]| {
        let mut settings = vec![format!("kafka.bootstrap_servers={}", broker.plaintext)];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        Way { name: "plaintext", settings, environment: Vec::new(), secrets: Vec::new() }
    };
    let with = |mut way: Way, more: &str| {
        way.settings.push(more.to_owned());
        way
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (address, taken)).expect("an address");
    let said = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let cases: Vec<Wrong> = vec![
        (
            "nobody listens",
            plain(&["kafka.bootstrap_servers=127.0.0.1:1"]),
            3,
            said(&["no broker answers at 127.0.0.1:1", "Connection refused"]),
        ),
        (
            "wrong password, SCRAM",
            listeners.sasl("SCRAM-SHA-512", &wrong, Some(folder)),
            3,
            said(&["refuses us", "SCRAM-SHA-512"]),
        ),
        (
            "wrong password, PLAIN",
            listeners.sasl("PLAIN", &wrong, None),
            3,
            said(&["refuses us", "Invalid username or password"]),
        ),
        (
            "wrong authority",
            with(
                listeners.sasl("PLAIN", &listeners.login, None),
                &format!("kafka.tls.ca_file={}", listeners.file("wrong-ca.pem")),
            ),
            3,
            said(&["no TLS connection", "certificate"]),
        ),
        (
            "a client certificate that has expired",
            with(
                with(
                    listeners.tls(),
                    &format!("kafka.tls.certificate_file={}", listeners.file("expired.pem")),
                ),
                &format!("kafka.tls.key_file={}", listeners.file("expired.key")),
            ),
            3,
            said(&["refuses us", "kafka.tls.certificate_file", "expired"]),
        ),
        (
            "no such authority",
            with(listeners.sasl("PLAIN", &listeners.login, None), "kafka.tls.ca_file=/nowhere/ca.pem"),
            2,
            said(&["kafka.tls.ca_file", "/nowhere/ca.pem"]),
        ),
        (
            "an authority that is no certificate",
            with(
                listeners.sasl("PLAIN", &listeners.login, None),
                &format!("kafka.tls.ca_file={}", listeners.file("client.key")),
            ),
            2,
            said(&["C006", "kafka.tls.ca_file", "client.key", "it holds a private key"]),
        ),
        (
            "plaintext to a TLS port",
            plain(&[&format!("kafka.bootstrap_servers={}", listeners.sasl)]),
            3,
            said(&["no broker answers", "Disconnected", "kafka.security_protocol"]),
        ),
        (
            "no rights",
            listeners.sasl("SCRAM-SHA-256", &listeners.limited, Some(folder)),
            3,
            said(&["no rights to the topics", &setup.alerts, &setup.topic("rail")]),
        ),
        (
            "a token for somebody without rights",
            with(listeners.unsecured_token(), "kafka.sasl.oauthbearer.principal=limited"),
            3,
            said(&["no rights to the topics"]),
        ),
        (
            "nothing committed and no start declared",
            plain(&[]),
            2,
            said(&["start", &format!("noroshi-{}", setup.id)]),
        ),
        (
            "a property that is ours",
            plain(&["kafka.consumer.properties.\"enable.auto.commit\"=true"]),
            2,
            said(&["C001", "`enable.auto.commit`", "transaction"]),
        ),
        (
            "an unknown key",
            plain(&["kafka.bootstrap_server=x"]),
            2,
            said(&["unknown key", "did you mean `kafka.bootstrap_servers`?"]),
        ),
        ("no log level", plain(&["log.level=loud"]), 2, said(&["log.level", "`loud` is no log level"])),
        (
            "the HTTP address is taken",
            plain(&[&format!("http.listen={}", taken.0)]),
            2,
            said(&[&format!("cannot listen on {}", taken.0), "http.listen"]),
        ),
        (
            "a password in the settings",
            plain(&["kafka.sasl.password=canary-7f3a9c"]),
            2,
            said(&["must not be written into the configuration"]),
        ),
    ];
    // All at once: those that wait for a broker wait together.
    let started: Vec<_> = cases
        .into_iter()
        .map(|(what, mut way, code, expect)| {
            way.secrets.push("canary-7f3a9c".into());
            let level = if way.settings.iter().any(|setting| setting.starts_with("log.level")) {
                &[][..]
            } else {
                &["log.level=trace", "log.format=json"][..]
            };
            // The one that asks for a taken address must win over the default of the others.
            let mut command = way.command(&["run", "--instance", "test"], folder);
            if !way.settings.iter().any(|setting| setting.starts_with("http.listen")) {
                command.args(["--set", "http.listen=127.0.0.1:0"]);
            }
            for setting in ["lanes.count=1"].iter().chain(level) {
                command.args(["--set", setting]);
            }
            (what, Running::spawn(folder, &mut command), way, code, expect)
        })
        .collect();
    for (what, mut running, way, code, expect) in started {
        let status = running.wait();
        let log = running.log();
        assert_eq!(status.code(), Some(i32::from(code)), "{what}: {log}");
        for text in expect {
            assert!(log.contains(&text), "{what}: {text:?} is not in {log}");
        }
        for text in ["panicked", "RUST_BACKTRACE", "stack backtrace", "src/"] {
            assert!(!log.contains(text), "{what}: {text:?} is in {log}");
        }
        let messages =
            log.lines().filter(|line| line.starts_with("noroshi: ") || line.starts_with("error[")).count();
        assert_eq!(messages, 1, "{what}: {log}");
        way.assert_silent(what, &log);
    }
}

#[test]
fn a_missing_topic_or_folder_is_named() {
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let file = setup.folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).expect("the pipeline");
    let bootstrap = format!("kafka.bootstrap_servers={}", broker.plaintext);
    for (what, from, to, code, expect) in [
        ("input", setup.topic("power"), "none.in".to_owned(), 3, "topics are missing: none.in;"),
        ("output", setup.alerts.clone(), "none.alerts".to_owned(), 3, "topics are missing: none.alerts;"),
        ("rejects", setup.rejects.clone(), "none.dead".to_owned(), 3, "topics are missing: none.dead;"),
        ("rules", RULE.to_owned(), "none.sql".to_owned(), 2, "none.sql"),
    ] {
        fs::write(&file, text.replace(&from, &to)).expect("writes the pipeline");
        let mut running =
            Running::start(setup.folder.path(), setup.folder.path(), std::slice::from_ref(&bootstrap));
        let status = running.wait();
        assert_eq!(status.code(), Some(code), "{what}: {}", running.log());
        assert!(running.log().contains(expect), "{what}: {}", running.log());
    }
    let nowhere = setup.folder.path().join("nowhere");
    let mut running = Running::start(setup.folder.path(), &nowhere, &[bootstrap]);
    assert_eq!(running.wait().code(), Some(2), "{}", running.log());
    assert!(running.log().contains("nowhere"), "{}", running.log());
}

/// `check` reads the configuration, and says nothing of what it may not say.
#[test]
fn check_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, "canary-51c0").expect("writes the password");
    for (setting, code) in [
        (format!("{{ file = {:?} }}", password.display().to_string()), 0),
        ("{ env = \"THE_PASSWORD\" }".to_owned(), 0),
        ("\"canary-51c0\"".to_owned(), 1),
        ("canary-51c0".to_owned(), 1),
        ("{ value = \"canary-51c0\" }".to_owned(), 1),
    ] {
        let file = folder.path().join("noroshi.toml");
        let text = format!(
            "[kafka]\nbootstrap_servers = [\"a:1\"]\nsecurity_protocol = \"sasl_ssl\"\n[kafka.sasl]\n\
             mechanism = \"PLAIN\"\nusername = \"x\"\npassword = {setting}\n"
        );
        fs::write(&file, text).expect("writes the configuration");
        for format in ["human", "json"] {
            let mut command = program();
            command.current_dir(folder.path()).args(["check", "--format", format, "--config"]).arg(&file);
            command.env("THE_PASSWORD", "canary-51c0");
            let mut running = Running::spawn(folder.path(), &mut command);
            let status = running.wait();
            assert_eq!(status.code(), Some(code), "{setting}: {}", running.log());
            assert!(!running.log().contains("canary-51c0"), "{setting}: {}", running.log());
        }
    }
}
