//! A partition whose topic is missing, with the real client on a mock cluster. The mock gives no ids of topics, so what a
//! broker would say of them is said here.

use std::ops::ControlFlow;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::config::Config;
use crate::config::kafka::TokenSource;
use crate::diagnostic::SourceFile;
use crate::source::Source;
use crate::source::audit::TopicId;
use crate::source::kafka::Watching;

const TOPIC: &str = "in.power";
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is not to be read would have come by then.
const QUIET: Duration = Duration::from_millis(500);

struct Reading {
    source: KafkaSource,
    producer: BaseProducer,
}

impl Reading {
    /// Has read these records of the one partition, and the broker has given its topic this id.
    fn of(records: usize, id: &str) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set("linger.ms", "0")
            .create()
            .expect("a client with a mock cluster");
        let cluster = producer.client().mock_cluster().expect("the client runs a cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        let servers = cluster.bootstrap_servers();
        drop(cluster);
        let text = format!(
            "name = \"p\"\n[[organisation]]\nid = \"o\"\nname = \"o\"\n[[source]]\nid = \"s\"\norganisation = \"o\"\n\
             topics = [\"{TOPIC}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n[alerts]\ntopic = \"a\"\n\
             [rejects]\ntopic = \"r\"\n"
        );
        let pipeline = Pipeline::from_text(&SourceFile::new("pipeline.toml", text)).expect("a pipeline");
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", servers)
            .set("group.id", "g")
            // The mock takes seconds with the other.
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error");
        let me = Stamp { writer: "w".into(), life: 1, epoch: 1, birth: None };
        let watching = Watching { look_every: Duration::ZERO, held_back_after: WAIT_MAX };
        let token = TokenSource::new(&Config::default());
        let source = KafkaSource::new(&config, token, "g", me, Arc::new(pipeline), watching);
        let mut reading = Self { source: source.expect("a consumer"), producer };
        reading.produce(records);
        assert_eq!(reading.read(records), offsets(0..records));
        let birth = Birth { id: Some(TopicId(Arc::from(id))), partitions: Some(1) };
        reading.source.positions.born(TOPIC, 0, Some(birth));
        reading
    }

    fn produce(&self, records: usize) {
        for _ in 0..records {
            let record: BaseRecord<'_, (), str> = BaseRecord::to(TOPIC).partition(0).payload("{}");
            self.producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        self.producer.flush(WAIT_MAX).expect("the mock takes it");
    }

    /// The offsets that come until there are so many, and for a moment after that.
    fn read(&mut self, count: usize) -> Vec<i64> {
        let mut read = Vec::new();
        let (deadline, mut quiet) = (Instant::now() + WAIT_MAX, None);
        while Instant::now() < quiet.unwrap_or(deadline) {
            if read.len() >= count {
                quiet.get_or_insert_with(|| Instant::now() + QUIET);
            }
            let notices = self.source.poll(Duration::from_millis(50), usize::MAX, &mut |record| {
                read.push(record.offset);
                ControlFlow::Continue(())
            });
            if notices.contains(&Notice::Assigned) {
                self.source.assign().expect("it is assigned");
            }
        }
        read
    }

    /// A look finds this.
    fn finds(&mut self, found: Found) {
        let described = BTreeMap::from([(TOPIC.to_owned(), found)]);
        // Whoever looks asks for ids, which the mock does not have.
        self.source.look.every = WAIT_MAX;
        self.source.look.due = Instant::now() + WAIT_MAX;
        self.source.take_in(&described);
        self.source.look.every = Duration::ZERO;
        self.source.read_what_is_back(&described).expect("it is read again");
    }
}

fn offsets(range: std::ops::Range<usize>) -> Vec<i64> {
    range.map(|offset| i64::try_from(offset).expect("few")).collect()
}

fn present(id: &str) -> Found {
    Found::Present { id: Some(TopicId(Arc::from(id))), partitions: 1 }
}

#[test]
fn what_waits_for_its_topic_is_read_on_once_the_same_is_back() {
    // What is found after it was missing; whether the lane goes back meanwhile; what is read then.
    for (what, found, goes_back, expect) in [
        ("the same", present("a"), false, offsets(10..15)),
        ("the same, after the lane went back", present("a"), true, offsets(0..15)),
        ("another", present("b"), false, Vec::new()),
        ("nobody says", Found::Unknown, false, Vec::new()),
        ("still nothing", Found::Missing, true, Vec::new()),
    ] {
        let mut reading = Reading::of(10, "a");
        reading.finds(Found::Missing);
        reading.produce(5);
        assert!(reading.read(0).is_empty(), "{what}: it waits");
        if goes_back {
            reading.source.rewind(1, false).expect("it goes back");
        }
        reading.finds(found);
        assert_eq!(reading.read(expect.len()), expect, "{what}");
        assert_eq!(
            reading.source.status().first().map(|place| place.held),
            Some(expect.is_empty()),
            "{what}"
        );
    }
}

#[test]
fn what_was_missing_when_it_was_to_begin_begins_once_it_is_there() {
    let mut reading = Reading::of(10, "a");
    reading.source.look.every = WAIT_MAX;
    reading.source.wait(TOPIC, 0, Hold::Unbegun);
    reading.source.pause_held().expect("it is paused");
    reading.finds(Found::Missing);
    reading.produce(5);
    assert!(reading.read(0).is_empty());
    reading.finds(present("a"));
    assert_eq!(reading.read(15), offsets(0..15));
}
