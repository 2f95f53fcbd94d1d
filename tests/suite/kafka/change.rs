//! Changes to topics and groups that befall a reader: partitions added, topics deleted, records deleted, offsets set.
//!
//! Owns the calls for it; what Noroshi makes of them is left to the tests.

use rdkafka::admin::NewPartitions;
use rdkafka::consumer::CommitMode;

use super::*;

impl Broker {
    fn admin(&self) -> (AdminClient<DefaultClientContext>, AdminOptions) {
        let admin = self.config().create().expect("an admin client");
        (admin, AdminOptions::new().operation_timeout(Some(STEP_MAX)))
    }

    /// From here on the topic has so many partitions, which can be written.
    pub fn add_partitions(&self, topic: &str, partitions: i32) {
        let (admin, options) = self.admin();
        let count = usize::try_from(partitions).expect("some");
        let outcomes = block_on(admin.create_partitions(&[NewPartitions::new(topic, count)], &options))
            .unwrap_or_else(|error| panic!("cannot add partitions to {topic}: {error}"));
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        self.wait_for(topic, partitions);
    }

    /// Deletes a topic, and waits until nobody knows it.
    pub fn delete_topic(&self, topic: &str) {
        let (admin, options) = self.admin();
        let outcomes = block_on(admin.delete_topics(&[topic], &options))
            .unwrap_or_else(|error| panic!("cannot delete {topic}: {error}"));
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        self.wait_for(topic, 0);
    }

    /// Deletes a topic and makes another one of the same name, with some records in its first partition.
    pub fn recreate_topic(&self, topic: &str, partitions: i32, count: usize, record: impl Fn() -> Record) {
        self.delete_topic(topic);
        self.create_topic(topic, partitions);
        self.produce(topic, (0..count).map(|_| record()));
    }

    /// Deletes the records of a partition that are before an offset.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let (admin, options) = self.admin();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        let outcome = block_on(admin.delete_records(&list, &options))
            .unwrap_or_else(|error| panic!("cannot delete records of {topic}: {error}"));
        assert!(outcome.elements().iter().all(|element| element.error().is_ok()), "{outcome:?}");
    }

    /// Sets offsets of a group without members.
    pub fn set_group_offsets(&self, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            self.commit_as(group, topic, *partition, *offset, "");
        }
    }

    /// Commits an offset with its metadata for a group without members.
    pub fn commit_as(&self, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(offset)).expect("an offset");
        element.set_metadata(metadata);
        let mut config = self.config();
        let client: BaseConsumer =
            config.set("group.id", group).set("enable.auto.commit", "false").create().expect("a client");
        client.commit(&list, CommitMode::Sync).unwrap_or_else(|error| panic!("cannot set {list:?}: {error}"));
    }

    fn wait_for(&self, topic: &str, partitions: i32) {
        let reader = self.reader();
        let deadline = Instant::now() + STEP_MAX;
        while led_partitions(&reader, topic) != partitions {
            assert!(Instant::now() < deadline, "{topic} has not {partitions} partitions after {STEP_MAX:?}");
        }
    }
}
