//! The consumer that `noroshi run` is measured against: it does nothing with what it gets.
//!
//! Owns its configuration and its assignment. Who counts what it reads, and on which cores, is the callers'.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Reads these partitions of a topic from their beginning, in no group.
pub fn consumer(servers: &str, topic: &str, partitions: impl Iterator<Item = i32>) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", format!("bare-{}", std::process::id()))
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.message.max.bytes", "4194304")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("assigns");
    consumer
}
