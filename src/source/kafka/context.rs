//! What librdkafka tells the consumer of a lane, noted down for its next poll.
//!
//! Owns the callbacks; they run inside `poll` and decide nothing. Called by librdkafka; the parent takes what is noted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::bindings::rd_kafka_resp_err_t as RespErr;
use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientContext, Statistics};

use super::begin::Beginning;
use super::stuck::stuck;
use crate::config::kafka::TokenSource;

/// A rebalance that librdkafka has announced; it goes on once the lane has carried it out.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    Assign(TopicPartitionList),
    /// Taken; where the group begins is still to be committed.
    Begin(Vec<Beginning>),
    Revoke(TopicPartitionList),
    Lost(TopicPartitionList),
}

/// What callbacks leave for the lane.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) pending: Vec<Pending>,
    pub(super) troubles: Vec<String>,
    /// What the client said of its last error, for whoever gets that error next.
    pub(super) last: Option<String>,
    /// Whether a broker is connected, by the latest statistics.
    pub(super) answering: Option<bool>,
    /// Whether the group is at rest, by the latest statistics; `None` when they are older than the last look.
    pub(super) at_rest: Option<bool>,
    /// Partitions of brokers whose answer the client does not get done with, by the latest statistics.
    pub(super) stuck: Option<Vec<(String, i32)>>,
    /// Where partitions end, by the latest statistics.
    pub(super) ends: Vec<End>,
}

/// Where a partition ends.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// For readers of committed records.
    pub(super) stable: i64,
    /// For all others; what open transactions hold back lies between.
    pub(super) high: i64,
    /// Whether librdkafka fetches it, or means to.
    pub(super) fetched: bool,
    /// Whether it has fetched all up to `stable`, and handed on all of that.
    pub(super) drained: bool,
}

/// Error reports kept between two polls; more say nothing new.
const TROUBLES_MAX: usize = 8;

/// The consumer's context: callbacks only note things down, they run inside `poll`.
pub struct LaneContext {
    pub(super) inbox: Mutex<Inbox>,
    pub(super) closing: AtomicBool,
    pub(super) token: TokenSource,
}

impl LaneContext {
    pub(super) fn inbox(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for LaneContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        let mut inbox = self.inbox();
        inbox.last = Some(reason.to_owned());
        if inbox.troubles.len() < TROUBLES_MAX {
            inbox.troubles.push(format!("{error} ({reason})"));
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut inbox = self.inbox();
        let known = statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        inbox.answering =
            Some(known.clone().count() == 0 || known.clone().any(|broker| broker.state == "UP"));
        inbox.at_rest = statistics.cgrp.as_ref().map(|group| group.join_state == "steady");
        inbox.stuck = Some(stuck(&statistics));
        inbox.ends.clear();
        for (name, topic) in &statistics.topics {
            for (id, partition) in &topic.partitions {
                if *id >= 0 {
                    inbox.ends.push(End {
                        topic: name.clone(),
                        partition: *id,
                        stable: partition.ls_offset,
                        high: partition.hi_offset,
                        fetched: !matches!(&*partition.fetch_state, "none" | "stopping" | "stopped"),
                        drained: partition.fetch_state == "active"
                            && partition.fetchq_cnt == 0
                            && partition.next_offset >= partition.ls_offset,
                    });
                }
            }
        }
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.token.token()
    }
}

impl ConsumerContext for LaneContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            // The consumer is being dropped: nothing is open any more, let it go.
            let _ = match consumer.rebalance_protocol() {
                rdkafka::consumer::RebalanceProtocol::Cooperative => {
                    consumer.incremental_unassign(partitions)
                }
                _ => consumer.unassign(),
            };
            return;
        }
        let list = partitions.clone();
        let pending = match err {
            RespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Pending::Assign(list),
            _ if consumer.assignment_lost() => Pending::Lost(list),
            _ => Pending::Revoke(list),
        };
        self.inbox().pending.push(pending);
    }
}
