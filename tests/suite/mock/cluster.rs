//! librdkafka's mock cluster in this process: brokers that answer as a test says.
//!
//! Owns the cluster and what is scripted on it. Errors are put on one broker's own list, because only of that can be
//! asked what is left of it: so a test can tell that its error was given. The mock checks producer ids, coordinators
//! and leaders, but it keeps no offsets of transactions and hides no aborted record: what readers see is left to the
//! tests on a real broker.

use std::ffi::c_int;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as native;
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaErrorCode as Code, RDKafkaRespErr};

/// Brokers of a cluster, numbered from 1. The first coordinates everything and leads all partitions, until moved.
pub const BROKERS: i32 = 3;
/// Where alerts go.
pub const ALERTS: &str = "alerts";
/// Where rejects would go.
pub const REJECTS: &str = "dead-letters";
/// Where records come from.
pub const INPUT: &str = "in.power";

/// A cluster that lives as long as this value.
pub struct Cluster {
    /// The client inside of which librdkafka runs the cluster.
    host: BaseProducer,
}

impl Cluster {
    /// Starts one for a transactional id and a group; it has both topics, of one partition each.
    pub fn start(transactional_id: &str, group: &str) -> Self {
        let host: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", BROKERS.to_string())
            .create()
            .expect("a client with a mock cluster");
        let cluster = Self { host };
        for topic in [ALERTS, REJECTS, INPUT] {
            cluster.mock().create_topic(topic, 1, BROKERS).expect("a topic");
            cluster.lead(topic, Some(1));
        }
        cluster.coordinate_transaction(transactional_id, 1);
        cluster.coordinate_group(group, 1);
        // SAFETY: the cluster lives inside `host`.
        unsafe {
            native::rd_kafka_mock_start_request_tracking(cluster.native());
            native::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.native(), 0);
        }
        cluster
    }

    fn mock(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.host.client().mock_cluster().expect("the client runs a cluster")
    }

    fn native(&self) -> *mut native::rd_kafka_mock_cluster_t {
        // SAFETY: the client lives as long as `self`, and owns the cluster.
        let cluster = unsafe { native::rd_kafka_handle_mock_cluster(self.host.client().native_ptr()) };
        assert!(!cluster.is_null(), "the client runs a cluster");
        cluster
    }

    /// `host:port,…`.
    pub fn servers(&self) -> String {
        self.mock().bootstrap_servers()
    }

    /// The next request of this kind that this broker gets is answered so, and so late. `BrokerTransportFailure`
    /// closes the connection instead; a delay beyond the client's patience loses the answer.
    pub fn answer(&self, broker: i32, api: Api, code: Code, delay: Duration) {
        let delay = c_int::try_from(delay.as_millis()).expect("a short delay");
        // SAFETY: one pair of ints follows, as the count says.
        let done = unsafe {
            native::rd_kafka_mock_broker_push_request_error_rtts(
                self.native(),
                broker,
                api as i16,
                1,
                code as c_int,
                delay,
            )
        };
        assert_eq!(done, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, "{api:?}");
    }

    /// Answers that were scripted for a broker and not given.
    pub fn unanswered(&self, broker: i32, api: Api) -> usize {
        let mut count = usize::MAX;
        // SAFETY: `count` outlives the call.
        let done = unsafe {
            native::rd_kafka_mock_broker_error_stack_cnt(self.native(), broker, api as i16, &raw mut count)
        };
        assert_eq!(done, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, "{api:?}");
        assert_ne!(count, usize::MAX, "nothing was scripted for {api:?}");
        count
    }

    /// Requests of a kind that the brokers have had so far.
    pub fn requests(&self, api: Api) -> usize {
        let mut count = 0;
        // SAFETY: the array and its elements are ours until they are destroyed, once, below.
        unsafe {
            let requests = native::rd_kafka_mock_get_requests(self.native(), &raw mut count);
            if requests.is_null() {
                return 0;
            }
            let of_this = std::slice::from_raw_parts(requests, count)
                .iter()
                .filter(|request| native::rd_kafka_mock_request_api_key(**request) == api as i16)
                .count();
            native::rd_kafka_mock_request_destroy_array(requests, count);
            of_this
        }
    }

    /// Says of a topic, when it is asked for, that it has this error.
    pub fn refuse_topic(&self, topic: &str, error: RDKafkaRespErr) {
        self.mock().topic_error(topic, error).expect("a topic");
    }

    /// Moves the leadership of a topic's partition; `None` leaves it without.
    pub fn lead(&self, topic: &str, broker: Option<i32>) {
        self.mock().partition_leader(topic, 0, broker).expect("a broker");
    }

    /// Moves the coordination of a transactional id.
    pub fn coordinate_transaction(&self, id: &str, broker: i32) {
        self.mock().coordinator(MockCoordinator::Transaction(id.to_owned()), broker).expect("a broker");
    }

    /// Moves the coordination of a group.
    pub fn coordinate_group(&self, group: &str, broker: i32) {
        self.mock().coordinator(MockCoordinator::Group(group.to_owned()), broker).expect("a broker");
    }

    /// Closes a broker's connections and takes no more.
    pub fn down(&self, broker: i32) {
        self.mock().broker_down(broker).expect("a broker");
    }

    /// Takes connections again.
    pub fn up(&self, broker: i32) {
        self.mock().broker_up(broker).expect("a broker");
    }

    /// How late a broker answers everything.
    pub fn slow(&self, broker: i32, delay: Duration) {
        self.mock().broker_round_trip_time(broker, delay).expect("a broker");
    }
}
