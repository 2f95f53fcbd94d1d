//! Partitions whose next batch cannot be read: told once for each batch, counted, and told again when it is over.
//!
//! Owns when there is something to say. librdkafka tries such a batch again and again and skips nothing, so the partition
//! stands still while the others go on. Called by `pipeline::watch`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Observed;
use crate::source::PartitionStatus;

/// The blocked partitions of a lane, each with the offset that is not read.
#[derive(Debug, Default)]
pub(super) struct Blocked(BTreeMap<(Arc<str>, i32), i64>);

impl Blocked {
    /// Looks at where the partitions stand; says what is new.
    pub(super) fn tell(&mut self, lane: u32, observed: &Observed, partitions: &[PartitionStatus]) {
        let mut now = BTreeMap::new();
        for partition in partitions {
            let Some(why) = &partition.blocked else { continue };
            let (topic, number, offset) = (&partition.topic, partition.partition, partition.next);
            let place = (Arc::clone(topic), number);
            if self.0.get(&place) != Some(&offset) {
                let what = format!("{topic}/{number} is blocked at offset {offset}: {why}");
                observed.health.error("partition_blocked", &what);
                observed.metrics.unreadable_batch(topic, number);
                tracing::error!(
                    lane,
                    topic = &**topic,
                    partition = number,
                    offset,
                    why = &**why,
                    "A partition is blocked: what comes next cannot be read, and is not skipped."
                );
            }
            now.insert(place, offset);
        }
        for ((topic, number), offset) in &self.0 {
            let given = !partitions.iter().any(|known| known.topic == *topic && known.partition == *number);
            if !given && !now.contains_key(&(Arc::clone(topic), *number)) {
                tracing::info!(
                    lane,
                    topic = &**topic,
                    partition = number,
                    offset,
                    "A partition is read again."
                );
            }
        }
        observed.metrics.blocked_partitions(lane, now.len() as u64);
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::lane::LaneEvents as _;
    use crate::pipeline::watch::tests::watch;

    #[test]
    fn a_blocked_partition_is_counted_once_for_each_batch_and_shown_while_it_lasts() {
        let mut watch = watch();
        let partition = |next, why: Option<&str>| PartitionStatus {
            topic: Arc::from("in"),
            partition: 3,
            next,
            committed: None,
            end: None,
            held_back: 0,
            lag: None,
            held: false,
            blocked: why.map(Arc::from),
        };
        let unpacked = Some("Decompression of message at 7 failed");
        for (next, why, gauge, count) in
            [(7, unpacked, 1, 1), (7, unpacked, 1, 1), (8, None, 0, 1), (9, unpacked, 1, 2)]
        {
            // What is shown is not older than the last look.
            watch.paused(false);
            watch.beat(&|| vec![partition(next, why)], 0);
            let text = watch.observed.metrics.encode();
            for line in [
                format!("noroshi_blocked_partitions{{lane=\"0\"}} {gauge}"),
                format!("noroshi_unreadable_batches_total{{topic=\"in\",partition=\"3\"}} {count}"),
            ] {
                assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
            }
            let status = watch.observed.health.status();
            let shown = status["lanes"][0]["partitions"][0]["blocked"].as_str();
            assert_eq!(shown, why, "{status}");
        }
        let errors = watch.observed.health.status()["errors_total"].as_u64();
        assert_eq!(errors, Some(2));
    }
}
