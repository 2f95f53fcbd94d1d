//! A real Kafka broker for the delivery tests: where it is, topics, producing, reading what was committed.
//!
//! Owns the plumbing and proves it on itself; what Noroshi must do with records is left to the tests that
//! call it. `scripts/test` starts the broker and sets the variables that are read here. Without them such a
//! test says that it was skipped, or fails when `NOROSHI_TEST_REQUIRE_KAFKA` is set.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub mod acl;
mod change;
pub mod own;
pub mod scram;

/// No single step of the plumbing takes longer on a healthy broker, however busy the machine.
const STEP_MAX: Duration = Duration::from_secs(60);
/// How long one poll of a reader blocks.
const POLL: Duration = Duration::from_millis(100);
/// How long one poll of a producer blocks; it never returns early.
const PRODUCER_POLL: Duration = Duration::from_millis(1);

/// A user of the broker.
#[derive(Debug, Clone)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password, for SCRAM and PLAIN.
    pub password: String,
}

/// Where the broker listens, and who may come in. `scripts/kafka` makes all of it; a broker that somebody
/// else brings may have the plaintext listener only.
#[derive(Debug, Clone)]
pub struct Broker {
    /// `host:port` without any security.
    pub plaintext: String,
    /// `host:port` of the TLS listener, which wants a client certificate.
    pub ssl: Option<String>,
    /// `host:port` of the TLS listener with SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN.
    pub sasl_ssl: Option<String>,
    /// `host:port` of the listener with OAUTHBEARER and unsigned tokens, without TLS.
    pub oauth: Option<String>,
    /// A listener for a proxy, and the address that its clients are told: where the proxy must listen.
    pub proxy: Option<(String, String)>,
    /// The same with SCRAM-SHA-512.
    pub proxy_scram: Option<(String, String)>,
    /// The same with TLS and SCRAM-SHA-512.
    pub proxy_tls: Option<(String, String)>,
    /// Folder with `ca.pem`, `client.pem`, `client.key` and `wrong-ca.pem`.
    pub certificates: Option<PathBuf>,
    /// A user who may do everything.
    pub login: Option<Login>,
    /// A user who may do nothing.
    pub limited: Option<Login>,
}

/// The broker of this test run; `None` when there is none, and then the test returns at once.
pub fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    let broker = BROKER.get_or_init(Broker::from_environment).as_ref();
    if broker.is_none() {
        assert!(
            variable("NOROSHI_TEST_REQUIRE_KAFKA").is_none(),
            "NOROSHI_TEST_REQUIRE_KAFKA is set, but NOROSHI_TEST_KAFKA names no broker; scripts/test starts one"
        );
        // Not `eprintln!`: the test runner would keep it to itself, as the test passes.
        let thread = thread::current();
        let name = thread.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "skipped: {name} needs Kafka; scripts/test starts one");
    }
    broker
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name that no other test, process or earlier run on the same broker has.
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    static STARTED: OnceLock<u64> = OnceLock::new();
    let started = STARTED
        .get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{started:x}-{}-{count}", std::process::id())
}

/// A record to produce.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The partition; `None` leaves it to the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// A record of `partition` with a value and nothing else.
    pub fn new(partition: i32, value: impl Into<Vec<u8>>) -> Self {
        Self { partition: Some(partition), value: Some(value.into()), ..Self::default() }
    }
}

impl Broker {
    fn from_environment() -> Option<Self> {
        Self::from_variables(variable)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let login = |who: &str| {
            Some(Login {
                user: variable(&format!("NOROSHI_TEST_KAFKA_{who}USER"))?,
                password: variable(&format!("NOROSHI_TEST_KAFKA_{who}PASSWORD"))?,
            })
        };
        let proxy = |of: &str| {
            let behind = variable(&format!("NOROSHI_TEST_KAFKA_BEHIND{of}"));
            behind.zip(variable(&format!("NOROSHI_TEST_KAFKA_PROXY{of}")))
        };
        Some(Self {
            plaintext: variable("NOROSHI_TEST_KAFKA")?,
            ssl: variable("NOROSHI_TEST_KAFKA_SSL"),
            sasl_ssl: variable("NOROSHI_TEST_KAFKA_SASL_SSL"),
            oauth: variable("NOROSHI_TEST_KAFKA_OAUTH"),
            proxy: proxy(""),
            proxy_scram: proxy("_SCRAM"),
            proxy_tls: proxy("_TLS"),
            certificates: variable("NOROSHI_TEST_KAFKA_CERTS").map(PathBuf::from),
            login: login(""),
            limited: login("LIMITED_"),
        })
    }

    /// librdkafka properties of the plaintext listener.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.plaintext);
        // A broker that a test has restarted is found again at once.
        config.set("reconnect.backoff.max.ms", "500");
        config
    }

    /// Path of a file in the certificate folder, as librdkafka takes it.
    pub fn certificate(&self, file: &str) -> Option<String> {
        Some(self.certificates.as_ref()?.join(file).to_string_lossy().into_owned())
    }

    /// Creates a topic with the broker's settings, as [`Broker::create_topic_with`] does.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// Creates a topic with settings of its own, and waits until each of its partitions can be written.
    pub fn create_topic_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("an admin client");
        let options = AdminOptions::new().operation_timeout(Some(STEP_MAX));
        let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let wanted = [settings.iter().fold(wanted, |wanted, (key, value)| wanted.set(key, value))];
        let outcomes = block_on(admin.create_topics(&wanted, &options))
            .unwrap_or_else(|error| panic!("cannot create topic {topic}: {error}"));
        for outcome in outcomes {
            if let Err((name, code)) = outcome {
                panic!("cannot create topic {name}: {code}");
            }
        }
        // The controller knows it; the broker hears of it a moment later.
        let reader = self.reader();
        let deadline = Instant::now() + STEP_MAX;
        while led_partitions(&reader, topic) != partitions {
            assert!(Instant::now() < deadline, "topic {topic} got no leaders within {STEP_MAX:?}");
        }
    }

    /// A topic's setting.
    pub fn topic_setting(&self, topic: &str, key: &str) -> Option<String> {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("an admin client");
        let options = AdminOptions::new().request_timeout(Some(STEP_MAX));
        let found = block_on(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options))
            .unwrap_or_else(|error| panic!("no settings of {topic}: {error}"));
        found.into_iter().find_map(|found| {
            let found = found.unwrap_or_else(|code| panic!("no settings of {topic}: {code}"));
            found.get(key)?.value.clone()
        })
    }

    /// Writes the records in order, outside of any transaction, and waits until the broker has them all.
    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = Record>) {
        let producer: BaseProducer<Failures> = self
            .config()
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            // What is too large is the topic's to say.
            .set("message.max.bytes", "1000000000")
            .create_with_context(Failures::default())
            .expect("a producer");
        for record in records {
            let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            outgoing.partition = record.partition;
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.value.as_deref();
            if !record.headers.is_empty() {
                outgoing.headers = Some(headers(&record.headers));
            }
            loop {
                match producer.send(outgoing) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                        outgoing = back;
                        producer.poll(PRODUCER_POLL);
                    }
                    Err((error, _)) => panic!("cannot produce to {topic}: {error}"),
                }
            }
        }
        // `flush` would do, but it waits in slices of 100 ms.
        let deadline = Instant::now() + STEP_MAX;
        while producer.in_flight_count() > 0 {
            assert!(Instant::now() < deadline, "records for {topic} were not delivered within {STEP_MAX:?}");
            producer.poll(PRODUCER_POLL);
        }
        let failures = producer.context().0.lock().expect("no thread panicked while it held the list");
        assert!(failures.is_empty(), "records for {topic} were not delivered: {failures:?}");
    }

    /// Waits until `expected` committed records are in the topic, then returns all that are, by partition and
    /// offset: more than expected, where there are more. Panics when they do not come within `timeout`.
    pub fn read_committed(&self, topic: &str, expected: usize, timeout: Duration) -> Vec<OwnedMessage> {
        let deadline = Instant::now() + timeout;
        let (reader, _) = self.assigned(topic);
        let mut seen = 0;
        while seen < expected {
            assert!(
                Instant::now() < deadline,
                "{topic} has {seen} committed records after {timeout:?}, {expected} were expected"
            );
            // Errors are outages that pass, or the end of a partition for now.
            if let Some(Ok(_)) = reader.poll(POLL) {
                seen += 1;
            }
        }
        self.committed_now(topic)
    }

    /// All records that are committed at this moment, by partition and offset.
    pub fn committed_now(&self, topic: &str) -> Vec<OwnedMessage> {
        let (reader, partitions) = self.assigned(topic);
        let deadline = Instant::now() + STEP_MAX;
        let mut ended = BTreeSet::new();
        let mut last_error = None;
        let mut messages = Vec::new();
        // A reader of committed records meets the end of a partition at the last stable offset.
        while ended.len() < partitions {
            assert!(
                Instant::now() < deadline,
                "the end of {topic} was not reached within {STEP_MAX:?}; last error: {last_error:?}"
            );
            match reader.poll(POLL) {
                None => {}
                Some(Ok(message)) => messages.push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => last_error = Some(error),
            }
        }
        messages.sort_by_key(|message| (message.partition(), message.offset()));
        messages
    }

    /// For each partition the last stable offset: where a reader of committed records stops.
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let reader = self.reader();
        (0..led_partitions(&reader, topic))
            .map(|partition| {
                let (_, end) = reader
                    .fetch_watermarks(topic, partition, STEP_MAX)
                    .unwrap_or_else(|error| panic!("no end offset of {topic}/{partition}: {error}"));
                end
            })
            .collect()
    }

    /// Whether a transaction is open in the topic: its end is then not yet the end for readers of committed records.
    pub fn is_transaction_open(&self, topic: &str) -> bool {
        let mut config = self.config();
        let reader: BaseConsumer =
            config.set("isolation.level", "read_uncommitted").create().expect("a reader");
        self.end_offsets(topic).into_iter().zip(0..).any(|(stable, partition)| {
            let (_, end) = reader
                .fetch_watermarks(topic, partition, STEP_MAX)
                .unwrap_or_else(|error| panic!("no end offset of {topic}/{partition}: {error}"));
            stable < end
        })
    }

    /// For each partition the offset that a consumer group has committed.
    pub fn group_offsets(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let reader: BaseConsumer = self
            .config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .expect("a reader");
        let mut wanted = TopicPartitionList::new();
        let partitions = led_partitions(&reader, topic);
        for partition in 0..partitions {
            wanted.add_partition(topic, partition);
        }
        // A broker that has just begun may not know yet that it is the group's.
        let patience = Instant::now() + STEP_MAX;
        let found = loop {
            match reader.committed_offsets(wanted.clone(), STEP_MAX) {
                Ok(found) => break found,
                Err(error) => {
                    assert!(Instant::now() < patience, "no offsets of group {group}: {error}");
                }
            }
        };
        (0..partitions)
            .map(|partition| match found.find_partition(topic, partition)?.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
            .collect()
    }

    /// A reader of committed records that belongs to no group's business.
    fn reader(&self) -> BaseConsumer {
        self.config()
            .set("group.id", unique("reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "20")
            .set("isolation.level", "read_committed")
            .create()
            .expect("a reader")
    }

    /// A reader at the beginning of each partition of the topic, and how many partitions there are.
    fn assigned(&self, topic: &str) -> (BaseConsumer, usize) {
        let reader = self.reader();
        let partitions = led_partitions(&reader, topic);
        assert!(partitions > 0, "topic {topic} does not exist");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap_or_else(|error| panic!("cannot read {topic}/{partition}: {error}"));
        }
        reader.assign(&assignment).unwrap_or_else(|error| panic!("cannot read {topic}: {error}"));
        (reader, assignment.count())
    }
}

/// How many partitions of the topic have a leader; 0 when there is no such topic.
fn led_partitions(reader: &BaseConsumer, topic: &str) -> i32 {
    let metadata = reader
        .fetch_metadata(Some(topic), STEP_MAX)
        .unwrap_or_else(|error| panic!("no metadata of {topic}: {error}"));
    let led = metadata
        .topics()
        .iter()
        .flat_map(|found| found.partitions())
        .filter(|partition| partition.leader() >= 0)
        .count();
    i32::try_from(led).expect("Kafka counts partitions in 32 bits")
}

fn headers(pairs: &[(String, Vec<u8>)]) -> OwnedHeaders {
    pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Collects what the broker did not take.
#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            let mut failures = self.0.lock().expect("no thread panicked while it held the list");
            failures.push(error.to_string());
        }
    }
}

/// Waits for a future that another thread completes, as those of the admin client are.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

mod tests {
    use rdkafka::client::OAuthToken;
    use rdkafka::consumer::ConsumerContext;
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn what_is_produced_is_read_back_by_partition_and_offset() {
        let Some(broker) = broker() else { return };
        let topic = unique("support");
        broker.create_topic(&topic, 2);
        assert_eq!(broker.end_offsets(&topic), [0, 0]);
        assert!(broker.committed_now(&topic).is_empty());

        let tombstone = Record {
            partition: Some(1),
            key: Some(b"k".to_vec()),
            value: None,
            headers: vec![("h".into(), b"v".to_vec())],
        };
        broker.produce(&topic, [Record::new(1, "b"), Record::new(0, "a"), tombstone]);

        let read = broker.read_committed(&topic, 3, STEP_MAX);
        let places: Vec<_> =
            read.iter().map(|message| (message.partition(), message.offset(), message.payload())).collect();
        assert_eq!(places, [(0, 0, Some(&b"a"[..])), (1, 0, Some(&b"b"[..])), (1, 1, None)]);
        assert_eq!(read[2].key(), Some(&b"k"[..]));
        let header = read[2].headers().expect("headers").get(0);
        assert_eq!((header.key, header.value), ("h", Some(&b"v"[..])));
        assert_eq!(broker.end_offsets(&topic), [1, 2]);
        assert_eq!(broker.group_offsets(&unique("group"), &topic), [None, None]);
    }

    #[test]
    fn an_open_transaction_is_not_read() {
        let Some(broker) = broker() else { return };
        let topic = unique("support-open");
        broker.create_topic(&topic, 1);
        let producer: BaseProducer = broker
            .config()
            .set("transactional.id", unique("support"))
            .create()
            .expect("a transactional producer");
        producer.init_transactions(STEP_MAX).expect("init");
        let write = |value: &str| {
            producer.begin_transaction().expect("begin");
            let record: BaseRecord<'_, (), str> = BaseRecord::to(&topic).payload(value);
            producer.send(record).map_err(|(error, _)| error).expect("send");
            producer.flush(STEP_MAX).expect("flush");
        };
        write("aborted");
        producer.abort_transaction(STEP_MAX).expect("abort");
        write("committed");
        assert!(broker.committed_now(&topic).is_empty());
        producer.commit_transaction(STEP_MAX).expect("commit");
        let read = broker.read_committed(&topic, 1, STEP_MAX);
        assert_eq!(read.iter().map(Message::payload).collect::<Vec<_>>(), [Some(&b"committed"[..])]);
    }

    /// Hands out an unsigned token. Without this, rdkafka takes librdkafka's refresh events and drops them.
    struct Unsigned;

    impl ClientContext for Unsigned {
        const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

        fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
            // {"alg":"none"} . {"sub":"noroshi","iat":0,"exp":4102444800}: until 2100-01-01.
            let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub3Jvc2hpIiwiaWF0IjowLCJleHAiOjQxMDI0NDQ4MDB9.";
            let principal_name = "noroshi".into();
            Ok(OAuthToken { token: token.into(), principal_name, lifetime_ms: 4_102_444_800_000 })
        }
    }

    impl ConsumerContext for Unsigned {}

    #[test]
    fn every_secured_listener_lets_its_user_in() {
        let Some(broker) = broker() else { return };
        let (Some(ssl), Some(sasl), Some(oauth)) = (&broker.ssl, &broker.sasl_ssl, &broker.oauth) else {
            return; // A broker that somebody else brought.
        };
        let certificate = |file| broker.certificate(file).expect("NOROSHI_TEST_KAFKA_CERTS");
        let tls = [
            ("ssl.ca.location", certificate("ca.pem")),
            ("ssl.certificate.location", certificate("client.pem")),
            ("ssl.key.location", certificate("client.key")),
        ];
        let login = |login: &Option<Login>, mechanism: &str| {
            let login = login.clone().expect("NOROSHI_TEST_KAFKA_USER and the others");
            vec![
                ("ssl.ca.location", certificate("ca.pem")),
                ("sasl.mechanism", mechanism.to_owned()),
                ("sasl.username", login.user),
                ("sasl.password", login.password),
            ]
        };
        let token = vec![("sasl.mechanism", "OAUTHBEARER".to_owned())];
        let topic = unique("support-listeners");
        broker.create_topic(&topic, 1);
        for (name, address, protocol, settings, seen) in [
            ("client certificate", ssl, "SSL", tls.to_vec(), 1),
            ("SCRAM-SHA-512", sasl, "SASL_SSL", login(&broker.login, "SCRAM-SHA-512"), 1),
            ("SCRAM-SHA-256", sasl, "SASL_SSL", login(&broker.login, "SCRAM-SHA-256"), 1),
            ("PLAIN", sasl, "SASL_SSL", login(&broker.login, "PLAIN"), 1),
            ("no rights", sasl, "SASL_SSL", login(&broker.limited, "SCRAM-SHA-512"), 0),
            ("token", oauth, "SASL_PLAINTEXT", token, 1),
        ] {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", address).set("security.protocol", protocol);
            config.set("group.id", unique("reader")).set("enable.auto.commit", "false");
            for (key, value) in settings {
                config.set(key, value);
            }
            let client: BaseConsumer<Unsigned> = config.create_with_context(Unsigned).expect(name);
            // Serves the request for a token, where there is one.
            let _ = client.poll(POLL);
            let metadata = client.fetch_metadata(Some(&topic), STEP_MAX).expect(name);
            let partitions: usize = metadata.topics().iter().map(|found| found.partitions().len()).sum();
            assert_eq!(partitions, seen, "{name}");
        }
    }
}
