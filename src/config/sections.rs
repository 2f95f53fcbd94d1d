//! The settings beside Kafka and the limits: lanes, epochs, transactions, reload, HTTP, logs, shutdown.
//!
//! Owns shape, documentation and defaults. Cross checks are in `config::check`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lanes: each has its own consumer, producer and threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lanes {
    /// How many lanes this process runs; 0 means one for each core that it may use. More lanes than input
    /// partitions stay idle.
    #[schemars(range(min = 0, max = 1_024))]
    pub count: u32,
}

impl Lanes {
    /// The number of lanes, never 0.
    pub fn resolved(&self) -> u32 {
        match self.count {
            0 => std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(NonZeroUsize::get(cores)).unwrap_or(1)),
            count => count,
        }
    }
}

/// An epoch: what one Kafka transaction holds. It ends at whichever bound is reached first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Epoch {
    /// How long an epoch stays open, in milliseconds. It adds to the delay of an alert; shorter epochs cost more
    /// transactions on the brokers.
    #[schemars(range(min = 5, max = 60_000))]
    pub interval_ms: u64,
    /// Records after which an epoch is closed early.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub records_max: u64,
    /// Bytes of record values after which an epoch is closed early.
    #[schemars(range(min = 65_536, max = 4_294_967_296_u64))]
    pub bytes_max: u64,
}

impl Default for Epoch {
    fn default() -> Self {
        Self { interval_ms: 200, records_max: 100_000, bytes_max: 64 << 20 }
    }
}

/// Kafka transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transaction {
    /// After this many milliseconds the broker aborts an open transaction. It is the longest outage of the brokers
    /// that an epoch survives, and the longest time that a process that died blocks the readers of its topics.
    /// Must not exceed the brokers' `transaction.max.timeout.ms` (15 minutes in their stock settings).
    #[schemars(range(min = 1_000, max = 900_000))]
    pub timeout_ms: u64,
}

impl Default for Transaction {
    fn default() -> Self {
        Self { timeout_ms: 60_000 }
    }
}

/// What is watched of the topics that are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// How often the broker is asked what stands behind the names of the topics, in milliseconds: at least 500. A topic
    /// that was deleted or made anew is noticed after this time at the latest. 0: never, and offsets are not compared
    /// with the ids of topics either, so that one that was made anew is read on at the old position.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub look_interval_ms: u64,
    /// How long a transaction of another producer may hold back the records of a partition before it is a trouble, in
    /// milliseconds. Longer than the longest that is normal on these topics: Kafka's default timeout is 60 s.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub held_back_ms: u64,
}

impl Default for Input {
    fn default() -> Self {
        Self { look_interval_ms: 10_000, held_back_ms: 120_000 }
    }
}

/// A flood of rejects: a source that sends mostly what cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rejects {
    /// Share of a partition's records, in per cent, from which rejects are a flood: `/ready` turns off, and an alert
    /// about the source is published. It ends at half of it.
    #[schemars(range(min = 1, max = 100))]
    pub flood_percent: u32,
    /// Rejects of a partition in the window that a flood has at least.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub flood_rejects_min: u64,
    /// The window in which they are counted, in milliseconds of the records' timestamps; it slides by a tenth. For
    /// each of these windows since 1970 there is at most one alert id for each source.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub flood_window_ms: u64,
}

impl Default for Rejects {
    fn default() -> Self {
        Self { flood_percent: 50, flood_rejects_min: 100, flood_window_ms: 300_000 }
    }
}

/// Parking: an organisation whose own output topic may not be written to waits, the others go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parking {
    /// A parked organisation is tried again after so many milliseconds. Each time that it is in vain the time doubles.
    /// A try that is in vain makes the lane read one epoch of all organisations again. While its topic is not there, that is
    /// only looked for, each time after `retry_ms`, and nobody reads anything again.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub retry_ms: u64,
    /// …but not to more than this, in milliseconds.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub retry_max_ms: u64,
}

impl Default for Parking {
    fn default() -> Self {
        Self { retry_ms: 30_000, retry_max_ms: 300_000 }
    }
}

/// The HTTP endpoint: `/live`, `/ready`, `/metrics` and `/status`, read-only and without authentication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Whether the endpoint is served.
    pub enabled: bool,
    /// Address and port to listen on. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Permits an address that is not loopback. Anybody who reaches it can read names of topics, rules and
    /// organisations, and how much telemetry each sends: let a network policy or a proxy stand before it.
    pub allow_non_loopback: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 9464)), allow_non_loopback: false }
    }
}

/// Logs, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `human` for people, `json` for collectors: one object a line.
    pub format: LogFormat,
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as
    /// `info,noroshi::source=debug`.
    #[schemars(length(min = 1, max = 1_000))]
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".into() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Human,
    Json,
}

/// Changed rules, tables and pipelines while the process runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// How often the files of the pipeline are looked at, in milliseconds: at least 100, or 0 for only when the
    /// process gets a SIGHUP. A change is taken when two looks in a row, at most a second apart, find the same files.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub interval_ms: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self { interval_ms: 5_000 }
    }
}

/// The end of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long lanes may take to finish their epoch and leave the group, in milliseconds; a quarter of it, at most 2 s, is
    /// for leaving alone. After it the process ends anyway: the open transaction is aborted, its records are read again. An
    /// orchestrator's grace period must be longer.
    #[schemars(range(min = 100, max = 600_000))]
    pub deadline_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { deadline_ms: 30_000 }
    }
}
