//! The `[limits]` settings: every bound of the engine, with its unit in its name (I-7).
//!
//! Owns names, documentation and defaults. What happens at a bound is the business of the module that enforces it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::DecodeLimits;

/// What headers, keys and framing may add to a message beside its value, in bytes.
pub const MESSAGE_OVERHEAD_BYTES: u64 = 16 * 1024;

/// Every bound. What exceeds one is rejected, cut, paused or counted, never dropped in silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest record that is decoded, in bytes after decompression. Larger ones are rejected. Topics that take much more
    /// than the default also take batches that no consumer can unpack: docs/operations.md, "Compressed batches".
    #[schemars(range(min = 1_024, max = 104_857_600))]
    pub record_bytes_max: u64,
    /// How deep JSON may be nested. Deeper records are rejected.
    #[schemars(range(min = 4, max = 128))]
    pub depth_max: u32,
    /// How many events one record may hold. Records with more are rejected.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub events_per_record_max: u32,
    /// Rows in one batch that rules see. More makes rules cheaper by the row and needs more memory.
    #[schemars(range(min = 64, max = 65_536))]
    pub batch_rows_max: u32,
    /// Memory for what is known of values that rules have looked at, in bytes for each lane: values that come again need not
    /// be looked at again. When it is full, what has not come up lately is forgotten.
    #[schemars(range(min = 65_536, max = 2_147_483_648_u64))]
    pub match_memory_bytes_max: u64,
    /// Memory for fetched records that wait, in bytes for each lane. The partitions that a lane may have share it, each
    /// with at least 512 KiB. It is checked before a fetch, so a fetch of strongly compressed data can exceed it.
    #[schemars(range(min = 1_048_576, max = 2_147_483_648_u64))]
    pub fetch_queue_bytes_max: u64,
    /// What one fetch asks of one partition, in bytes as stored by the broker; at most half of the partition's share
    /// of fetch_queue_bytes_max.
    #[schemars(range(min = 65_536, max = 104_857_600))]
    pub fetch_partition_bytes_max: u64,
    /// Memory for alerts and rejects on their way to the brokers, in bytes for each lane.
    #[schemars(range(min = 1_048_576, max = 2_147_483_648_u64))]
    pub producer_queue_bytes_max: u64,
    /// Alerts and rejects on their way to the brokers, for each lane.
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub producer_queue_messages_max: u32,
    /// Largest message that is produced, in bytes. Must not exceed `max.message.bytes` of the output topics: they
    /// refuse a larger message, and its record becomes a reject.
    #[schemars(range(min = 32_768, max = 104_857_600))]
    pub message_bytes_max: u64,
    /// Largest value of a rejected record in the dead-letter topic, in bytes. More is cut, and headers say so.
    #[schemars(range(min = 1_024, max = 104_857_600))]
    pub reject_bytes_max: u64,
    /// Largest alert value, in bytes. Evidence is cut until it fits, and the alert says so.
    #[schemars(range(min = 65_536, max = 104_857_600))]
    pub alert_bytes_max: u64,
    /// Largest original event that an alert carries as evidence, in bytes. More is cut, and the alert says so.
    #[schemars(range(min = 0, max = 104_857_600))]
    pub raw_bytes_max: u64,
    /// Rules in one pipeline.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rules_max: u32,
    /// Time that one rule's evaluation may take for one batch, in milliseconds. A rule that takes longer is parked:
    /// docs/rules.md, "Rules that are parked".
    #[schemars(range(min = 10, max = 600_000))]
    pub rule_batch_ms_max: u64,
    /// Memory that one rule's evaluation may take at once, in bytes for each lane. Rows are evaluated in smaller groups until
    /// it is enough; a row that needs more by itself is one that the rule fails on.
    #[schemars(range(min = 1_048_576, max = 17_179_869_184_u64))]
    pub rule_evaluation_bytes_max: u64,
    /// Rows that one rule may find in each `rule_window_ms`, for each lane. A rule that finds more is parked.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub rule_rows_max: u64,
    /// Rows that one rule may fail on in each `rule_window_ms`, for each lane. A rule that fails on more is parked.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub rule_failed_rows_max: u64,
    /// Rows that one rule may panic on in each `rule_window_ms`, for each lane. A rule that panics on more is parked.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub rule_panics_max: u64,
    /// How long the rows are counted together that a rule finds or fails on, in milliseconds.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub rule_window_ms: u64,
    /// SQL text of one rule, in bytes.
    #[schemars(range(min = 256, max = 10_485_760))]
    pub rule_sql_bytes_max: u64,
    /// Metric series with labels that grow while the process runs: rules, organisations, partitions. Beyond it a
    /// series counts under the label `other`.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub metric_series_max: u32,
    /// Errors that `/status` remembers.
    #[schemars(range(min = 1, max = 1_000))]
    pub status_errors_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let decode = DecodeLimits::default();
        Self {
            record_bytes_max: decode.record_bytes_max as u64,
            depth_max: u32::try_from(decode.depth_max).unwrap_or(64),
            events_per_record_max: u32::try_from(decode.events_per_record_max).unwrap_or(10_000),
            batch_rows_max: 8_192,
            match_memory_bytes_max: 64 << 20,
            fetch_queue_bytes_max: 64 << 20,
            fetch_partition_bytes_max: 4 << 20,
            producer_queue_bytes_max: 64 << 20,
            producer_queue_messages_max: 200_000,
            message_bytes_max: 1_000_000,
            reject_bytes_max: 900_000,
            alert_bytes_max: 262_144,
            raw_bytes_max: 65_536,
            rules_max: 20_000,
            rule_batch_ms_max: 5_000,
            rule_evaluation_bytes_max: 128 << 20,
            rule_rows_max: 1_000_000,
            rule_failed_rows_max: 1_000,
            rule_panics_max: 20,
            rule_window_ms: 60_000,
            rule_sql_bytes_max: 65_536,
            metric_series_max: 10_000,
            status_errors_max: 50,
        }
    }
}

impl Limits {
    /// The part that decoders enforce.
    pub fn decode(&self) -> DecodeLimits {
        DecodeLimits {
            record_bytes_max: usize::try_from(self.record_bytes_max).unwrap_or(usize::MAX),
            depth_max: self.depth_max as usize,
            events_per_record_max: self.events_per_record_max as usize,
        }
    }
}
