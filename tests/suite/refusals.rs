//! What the brokers refuse for good: a record too large for its topic, a topic without rights, a topic that is not there.
//! The others go on, and nothing is lost or double (I-1, I-2).

mod pace;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::Value;

use super::delivery::{PARTITIONS, Setup, identity, repository};
use super::kafka::{Broker, Record, broker};
use super::process::{Running, WAIT_MAX, get, program};

/// A rule that finds each of [`event`].
const RULE: &str = "rules/windows/security_log_cleared.sql";

/// An event that the rule finds, with something in it that no compression makes smaller than three quarters.
pub fn event(number: usize, padding: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 + number as u64;
    let noise: String = (0..padding)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[(state % 64) as usize],
            )
        })
        .collect();
    let text = format!(
        r#"{{"Channel":"Security","EventID":1102,"Hostname":"h{number}","EventTime":"2026-01-02 03:04:05","x":"{noise}"}}"#
    );
    text.into_bytes()
}

/// Rewrites the pipeline's output topics.
fn outputs(setup: &Setup, alerts: &str, rejects: &str) {
    let file = setup.folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).expect("the pipeline");
    let text = text.replace(&setup.alerts, alerts).replace(&setup.rejects, rejects);
    fs::write(&file, text).expect("writes the pipeline");
}

pub fn header(message: &OwnedMessage, key: &str) -> Option<String> {
    let found = message.headers()?.iter().find(|header| header.key == key)?.value?;
    Some(String::from_utf8_lossy(found).into_owned())
}

/// Offsets of the records that alerts are about; each alert once.
fn alerted(alerts: &[OwnedMessage]) -> BTreeSet<(String, i64, i64)> {
    let ids: BTreeSet<String> = alerts.iter().map(|alert| identity(alert).1).collect();
    assert_eq!(ids.len(), alerts.len(), "each alert is there once");
    let place = |alert: &OwnedMessage| {
        let (_, topic, partition, offset, _) = identity(alert).0;
        (topic, partition, offset)
    };
    alerts.iter().map(place).collect()
}

fn parked(address: &str) -> Vec<String> {
    let status: Value = serde_json::from_str(&get(address, "/status").1).expect("JSON");
    let parked = status["parked"].as_array().expect("a list").iter();
    parked.map(|parked| parked["organisation"].as_str().expect("a name").to_owned()).collect()
}

/// Most of the records that are read are small, one is fat; a topic of alerts takes no fat one. It becomes a reject, whole
/// or, where the dead letters' topic is as small, bare; the others alert, each once.
#[test]
fn a_record_whose_alert_is_too_large_for_its_topic_is_found_and_rejected() {
    const RECORDS: usize = 60;
    const FAT: usize = 37;
    let Some(broker) = broker() else { return };
    for (what, letters, bare) in [("whole", "1000000", false), ("bare", "9000", true)] {
        let setup = Setup::new(broker, &repository(RULE), "earliest");
        let (alerts, rejects) = (format!("{}.small", setup.id), format!("{}.letters", setup.id));
        broker.create_topic_with(&alerts, 2, &[("max.message.bytes", "20000")]);
        broker.create_topic_with(&rejects, 1, &[("max.message.bytes", letters)]);
        outputs(&setup, &alerts, &rejects);
        let topic = setup.topic("power");
        let record = |number: usize| {
            let padding = if number == FAT { 48_000 } else { 1_000 };
            Record::new(i32::try_from(number % PARTITIONS).expect("few"), event(number, padding))
        };
        broker.produce(&topic, (0..RECORDS).map(record));
        broker.produce(&setup.topic("rail"), (0..RECORDS).map(|number| Record::new(0, event(number, 1_000))));

        let mut running = setup.run(broker, 1, &[]);
        let total = i64::try_from(2 * RECORDS).expect("few");
        running.runs_until("all input is committed", || setup.committed(broker) == total);
        let found = broker.read_committed(&alerts, 2 * RECORDS - 1, WAIT_MAX);
        let place = (
            topic.clone(),
            i64::try_from(FAT % PARTITIONS).expect("few"),
            i64::try_from(FAT / PARTITIONS).expect("few"),
        );
        let places = alerted(&found);
        assert_eq!((found.len(), places.contains(&place)), (2 * RECORDS - 1, false), "{what}");

        let rejected = broker.read_committed(&rejects, 1, WAIT_MAX);
        assert_eq!(rejected.len(), 1, "{what}");
        let said = |key: &str| header(&rejected[0], key);
        assert_eq!(said("noroshi-reject-code").as_deref(), Some("sink_refused"), "{what}");
        assert_eq!(said("noroshi-reject-id"), Some(format!("{topic}/{}/{}", place.1, place.2)), "{what}");
        let reason = said("__connect.errors.exception.message").expect("a reason");
        assert!(reason.contains(&alerts) || bare, "{what}: {reason}");
        assert!(reason.contains("max.message.bytes") && reason.contains("1000000"), "{what}: {reason}");
        let bytes = event(FAT, 48_000);
        let value = rejected[0].payload().expect("a value");
        assert_eq!(value, if bare { &b""[..] } else { &bytes }, "{what}");
        assert_eq!(said("noroshi-reject-bytes"), bare.then(|| bytes.len().to_string()), "{what}");

        let metrics = get(&running.http(), "/metrics").1;
        let line = "noroshi_rejects_total{source=\"power-windows\",code=\"sink_refused\"} 1";
        assert!(metrics.contains(line), "{what}: {line} is not in\n{metrics}");
        let (status, log) = running.terminate();
        assert_eq!(status.code(), Some(0), "{what}: {log}");
    }
}

/// The same in an epoch so large that the refusal comes while its other outputs are still being sent: here it is a dead
/// letter that its topic does not take.
#[test]
fn what_is_refused_while_others_are_being_sent_is_found() {
    const RECORDS: usize = 6_000;
    const FAT: usize = 40;
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let rejects = format!("{}.letters", setup.id);
    broker.create_topic_with(&rejects, 1, &[("max.message.bytes", "400000")]);
    outputs(&setup, &setup.alerts.clone(), &rejects);
    let topic = setup.topic("power");
    let fat = &event(FAT, 700_000)[1..];
    let record = |number| Record::new(0, if number == FAT { fat.to_vec() } else { event(number, 1) });
    broker.produce(&topic, (0..RECORDS).map(record));
    let mut running = setup.run(broker, 1, &["epoch.interval_ms=5000"]);
    let total = i64::try_from(RECORDS).expect("few");
    running.runs_until("all input is committed", || setup.committed(broker) == total);
    let found = broker.read_committed(&setup.alerts, RECORDS - 1, WAIT_MAX);
    assert_eq!((found.len(), alerted(&found).len()), (RECORDS - 1, RECORDS - 1));
    let rejected = broker.read_committed(&rejects, 1, WAIT_MAX);
    let said = |key: &str| header(&rejected[0], key);
    assert_eq!((rejected.len(), said("noroshi-reject-id")), (1, Some(format!("{topic}/0/{FAT}"))));
    assert_eq!(said("noroshi-reject-bytes"), Some(fat.len().to_string()));
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    // The search for it is one of halves; what stands still in between would take minutes.
    let refused = log.matches("A transaction call failed").count();
    assert!((2..60).contains(&refused), "{refused} refusals: {log}");
}

/// When not even a dead letter without any bytes is taken, nothing is skipped: the process stops and says why.
#[test]
fn a_topic_of_dead_letters_that_takes_nothing_stops_the_process() {
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let rejects = format!("{}.letters", setup.id);
    broker.create_topic_with(&rejects, 1, &[("max.message.bytes", "100")]);
    outputs(&setup, &setup.alerts.clone(), &rejects);
    broker.produce(
        &setup.topic("power"),
        [event(0, 1), b"no event".to_vec(), event(2, 1)].map(|v| Record::new(0, v)),
    );
    let mut running = setup.run(broker, 1, &[]);
    assert_eq!(running.wait().code(), Some(3), "{}", running.log());
    let log = running.log();
    for part in
        [&format!("{}/0/1", setup.topic("power")), &rejects, "not even a dead letter", "max.message.bytes"]
    {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert_eq!(setup.committed(broker), 1, "what stands before it is through");
}

/// The client waits for a topic to come back as long as the transaction lasts; nobody else has to.
#[test]
fn a_shared_topic_that_is_deleted_is_named_before_the_transaction_is_over() {
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let produce = |number| broker.produce(&setup.topic("power"), [Record::new(0, event(number, 1))]);
    produce(0);
    let mut running = setup.run(broker, 1, &[]);
    running.runs_until("it has committed", || setup.committed(broker) == 1);
    broker.delete_topic(&setup.alerts);
    produce(1);
    assert_eq!(running.wait().code(), Some(3), "{}", running.log());
    let log = running.log();
    assert!(log.contains(&format!("publishing to `{}`", setup.alerts)), "{log}");
    assert!(!log.contains("not delivered in time"), "{log}");
    assert_eq!(setup.committed(broker), 1);
    broker.create_topic(&setup.alerts, 1);
    let mut running = setup.run(broker, 1, &[]);
    running.runs_until("it catches up", || setup.committed(broker) == 2);
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// One organisation's own topic is deleted while alerts flow, and made anew: it is parked meanwhile, and nobody else.
#[test]
fn an_organisation_whose_topic_is_deleted_waits_and_the_others_go_on() {
    const ORGANISATIONS: [&str; 3] = ["ministry", "power", "rail"];
    const RECORDS: i64 = 200;
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = |org: &str| format!("{}.own.{org}", setup.id);
    outputs(&setup, &topic("{org_id}"), &setup.rejects.clone());
    ORGANISATIONS.iter().for_each(|org| broker.create_topic(&topic(org), 1));
    let feed = || {
        for org in ORGANISATIONS {
            broker.produce(&setup.topic(org), (0..200).map(|number| Record::new(0, event(number, 1))));
        }
    };
    let group = format!("noroshi-{}", setup.id);
    let committed = |org: &str| -> i64 {
        broker.group_offsets(&group, &setup.topic(org)).into_iter().map(|offset| offset.unwrap_or(0)).sum()
    };
    // Shorter than librdkafka waits for a topic that is not there.
    let settings = ["transaction.timeout_ms=20000", "parking.retry_ms=1000", "parking.retry_max_ms=1000"];
    let mut running = setup.run(broker, 1, &settings);
    let address = running.http();
    feed();
    running.runs_until("all are through", || ORGANISATIONS.iter().all(|org| committed(org) == RECORDS));
    broker.delete_topic(&topic("power"));
    feed();
    running.runs_until("the others are through", || {
        committed("ministry") == 2 * RECORDS && committed("rail") == 2 * RECORDS
    });
    running.runs_until("it is parked, and it alone", || parked(&address) == ["power"]);
    assert_eq!(committed("power"), RECORDS);
    broker.create_topic(&topic("power"), 1);
    running.runs_until("it has caught up", || committed("power") == 2 * RECORDS);
    // Those before went with the topic.
    let found = broker.read_committed(&topic("power"), 200, WAIT_MAX);
    assert_eq!((found.len(), alerted(&found).len()), (200, 200));
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// A topic that is not there when the process starts parks its organisation, and nobody else.
#[test]
fn an_organisation_whose_topic_is_made_later_starts_late_and_misses_nothing() {
    const RECORDS: usize = 40;
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = |org: &str| format!("{}.own.{org}", setup.id);
    outputs(&setup, &topic("{org_id}"), &setup.rejects.clone());
    for org in ["ministry", "power"] {
        broker.create_topic(&topic(org), 1);
    }
    for org in ["ministry", "power", "rail"] {
        broker.produce(&setup.topic(org), (0..RECORDS).map(|number| Record::new(0, event(number, 1))));
    }
    // Longer than anybody here waits.
    let settings = ["parking.retry_ms=600000", "parking.retry_max_ms=600000", "reload.interval_ms=200"];
    let mut running = setup.run(broker, 2, &settings);
    let address = running.http();
    let records = i64::try_from(RECORDS).expect("few");
    running.runs_until("the others are through", || setup.committed(broker) == 2 * records);
    running.runs_until("it is parked", || parked(&address).contains(&"rail".to_owned()));
    assert!(
        running.log().contains(&format!("the topic `{}` is not there", topic("rail"))),
        "{}",
        running.log()
    );

    // A reload frees nobody whose topic is the same, and says nothing of the kind.
    let status = || serde_json::from_str::<Value>(&get(&address, "/status").1).expect("JSON");
    let file = setup.folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).expect("the pipeline");
    fs::write(&file, format!("{text}# Changed.\n")).expect("writes the pipeline");
    running.runs_until("each lane runs the changed files", || {
        let status = status();
        (0..2).all(|lane| status["lanes"][lane]["generation"] == 2)
    });
    assert_eq!(parked(&address), ["rail", "rail"]);
    assert!(!running.log().contains("published to again"), "{}", running.log());
    // Whoever asks gets a look at the topic, and no try while it is not there.
    let retries = || -> Vec<i64> {
        let status = status();
        let parked = status["parked"].as_array().expect("a list").iter();
        parked.filter_map(|parked| parked["retry_at_ms"].as_i64()).collect()
    };
    let before = retries();
    running.signal("HUP");
    running.runs_until("each lane has looked", || {
        let now = retries();
        now.len() == 2 && now.iter().zip(&before).all(|(now, before)| now > before)
    });
    assert!(!running.log().contains("is tried again.\n"), "{}", running.log());

    broker.create_topic(&topic("rail"), 1);
    running.signal("HUP");
    running.runs_until("it is through as well", || setup.committed(broker) == 3 * records);
    assert_eq!(parked(&address), [""; 0]);
    assert!(running.log().contains("A parked organisation is tried again."), "{}", running.log());
    for org in ["ministry", "power", "rail"] {
        let found = broker.read_committed(&topic(org), RECORDS, WAIT_MAX);
        assert_eq!((found.len(), alerted(&found).len()), (RECORDS, RECORDS), "{org}");
    }
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("A parked organisation is published to again."), "{log}");

    // With no organisation left there is nothing to start.
    outputs(&setup, &topic("{org_id}"), &setup.rejects.clone());
    let file = setup.folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).expect("the pipeline").replace(".own.", ".none.");
    fs::write(&file, text).expect("writes the pipeline");
    let mut running = setup.run(broker, 1, &[]);
    assert_eq!(running.wait().code(), Some(3), "{}", running.log());
    assert!(running.log().contains("topics are missing"), "{}", running.log());
}

/// Rights on a broker of `scripts/kafka`.
struct Rights<'b> {
    folder: &'b str,
}

impl Rights<'_> {
    /// Calls Kafka's own tool.
    fn change(&self, words: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let mut command = Command::new(script);
        command.args(["acl", "--dir", self.folder, "--"]).args(words).args(["--force"]).stdin(Stdio::null());
        let done = command.output().expect("scripts/kafka starts");
        let said =
            String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{words:?}: {said}");
    }
}

fn as_limited(broker: &Broker, setup: &Setup, more: &[&str]) -> Option<Running> {
    let (servers, login, certificates) =
        (broker.sasl_ssl.as_ref()?, broker.limited.as_ref()?, broker.certificates.as_ref()?);
    let mut command = program();
    command.args(["run", "--instance", "test", "--pipeline"]).arg(setup.folder.path());
    command.env("THE_PASSWORD", &login.password);
    let settings = [
        format!("kafka.bootstrap_servers={servers}"),
        "kafka.security_protocol=sasl_ssl".to_owned(),
        format!("kafka.tls.ca_file={}", certificates.join("ca.pem").display()),
        "kafka.sasl.mechanism=SCRAM-SHA-512".to_owned(),
        format!("kafka.sasl.username={}", login.user),
        "kafka.sasl.password.env=THE_PASSWORD".to_owned(),
        "http.listen=127.0.0.1:0".to_owned(),
        "lanes.count=1".to_owned(),
        format!("kafka.id_prefix={}-", setup.id),
    ];
    for setting in settings.iter().map(String::as_str).chain(more.iter().copied()) {
        command.args(["--set", setting]);
    }
    Some(Running::spawn(setup.folder.path(), &mut command))
}

/// The right to write to one organisation's topic is taken away while alerts flow, and given back: it is parked meanwhile,
/// the others go on, and then it catches up. Without the right on the shared topic of dead letters the process stops.
#[test]
fn an_organisation_without_rights_to_its_topic_waits_and_the_others_go_on() {
    // So many that the refusal comes while others of their epoch are still being sent.
    const RECORDS: usize = 1_500;
    const ORGANISATIONS: [&str; 3] = ["ministry", "power", "rail"];
    let Some(broker) = broker() else { return };
    let Ok(folder) = std::env::var("NOROSHI_TEST_KAFKA_DIR") else { return };
    let rights = Rights { folder: &folder };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = |org: &str| format!("{}.own.{org}", setup.id);
    outputs(&setup, &topic("{org_id}"), &setup.rejects.clone());
    for org in ORGANISATIONS {
        broker.create_topic(&topic(org), 2);
    }
    let (id, all) = (setup.id.as_str(), ["--allow-principal", "User:limited", "--operation", "All"]);
    let patterns =
        ["--resource-pattern-type", "prefixed", "--topic", id, "--group", id, "--transactional-id", id];
    rights.change(&[&["--add"], &all[..], &patterns[..]].concat());
    let deny = |change: &str, topic: &str| {
        let who = ["--deny-principal", "User:limited", "--operation", "Write", "--topic", topic];
        rights.change(&[&[change], &who[..]].concat());
    };
    let group = format!("{id}-{id}");
    let committed = |org: &str| -> i64 {
        broker.group_offsets(&group, &setup.topic(org)).into_iter().map(|offset| offset.unwrap_or(0)).sum()
    };
    let mut fed = 0;
    let mut feed = || {
        for org in ORGANISATIONS {
            let record = |number: usize| {
                Record::new(i32::try_from(number % PARTITIONS).expect("few"), event(number, 1))
            };
            broker.produce(&setup.topic(org), (fed..fed + RECORDS).map(record));
        }
        fed += RECORDS;
        i64::try_from(fed).expect("few")
    };
    let settings = ["parking.retry_ms=1000", "parking.retry_max_ms=1000"];
    let Some(mut running) = as_limited(broker, &setup, &settings) else { return };
    let address = running.http();
    let one = feed();
    running.runs_until("all are through", || ORGANISATIONS.iter().all(|org| committed(org) == one));

    deny("--add", &topic("rail"));
    let two = feed();
    running
        .runs_until("the others are through", || committed("ministry") == two && committed("power") == two);
    running.runs_until("it is parked", || parked(&address) == ["rail"]);
    let metrics = get(&address, "/metrics").1;
    let line = "noroshi_parked{organisation=\"rail\",lane=\"0\"} 1";
    // It may just be tried again.
    assert!(metrics.contains(line) || metrics.contains(&line.replace("} 1", "} 0")), "{metrics}");
    assert_eq!(get(&address, "/ready").0, 200, "the others are served");
    let log = running.log();
    let told = log.lines().find(|line| line.contains("An organisation is parked")).expect("a line");
    for part in
        ["rail", &topic("rail"), "Topic authorization failed", "the right Write on this topic is missing"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert_eq!(committed("rail"), one);
    // And they still go on.
    let three = feed();
    running.runs_until("the others are through again", || {
        committed("ministry") == three && committed("power") == three
    });
    assert_eq!(committed("rail"), one);

    deny("--remove", &topic("rail"));
    running.runs_until("it has caught up", || committed("rail") == three);
    for org in ORGANISATIONS {
        let found = broker.read_committed(&topic(org), 3 * RECORDS, WAIT_MAX);
        assert_eq!((found.len(), alerted(&found).len()), (3 * RECORDS, 3 * RECORDS), "{org}");
    }
    running.runs_until("nobody is parked", || parked(&address).is_empty());

    // A topic that all need is another matter.
    deny("--add", &setup.rejects);
    broker.produce(&setup.topic("power"), [Record::new(0, b"no event".to_vec())]);
    assert_eq!(running.wait().code(), Some(3), "{}", running.log());
    let log = running.log();
    let line = format!("publishing to `{}`: TopicAuthorizationFailed", setup.rejects);
    assert!(log.lines().any(|said| said.starts_with("noroshi: lane 0: ") && said.contains(&line)), "{log}");
    deny("--remove", &setup.rejects);
}
