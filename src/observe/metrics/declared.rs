//! The table of all metrics: name, kind, unit, labels, meaning.
//!
//! Owns the declaration, from which both the registration and `docs/metrics.md` are made, so that neither can miss
//! one. The handles that count are in `observe::metrics`.

use std::fmt::Write;
use std::marker::PhantomData;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Label names and values of one series.
pub type Labels = Vec<(&'static str, Arc<str>)>;
/// Buckets of every duration, in seconds.
pub const SECONDS_BUCKETS: [f64; 13] =
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];
/// What all names begin with.
const PREFIX: &str = "noroshi";

/// One metric as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Name without prefix, unit and suffix.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// OpenMetrics unit; empty for a plain number.
    pub unit: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it counts, without a full stop.
    pub help: &'static str,
}

impl Declared {
    /// The name as it is scraped: `noroshi_records_total`.
    pub fn exposed(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let total = if self.kind == "counter" { "_total" } else { "" };
        format!("{PREFIX}_{}{unit}{total}", self.name)
    }
}

/// What a kind of metric is registered as.
pub trait Kind {
    const NAME: &'static str;
    type Registered: Clone;
    fn make() -> Self::Registered;
}

impl Kind for Counter {
    const NAME: &'static str = "counter";
    type Registered = Family<Labels, Self>;
    fn make() -> Self::Registered {
        Family::default()
    }
}

impl Kind for Gauge {
    const NAME: &'static str = "gauge";
    type Registered = Family<Labels, Self>;
    fn make() -> Self::Registered {
        Family::default()
    }
}

/// A kind of metric without labels: one series, there from the start at 0, so that an alarm on its absence means
/// what it says.
pub struct Single<K>(PhantomData<K>);

impl Kind for Single<Counter> {
    const NAME: &'static str = "counter";
    type Registered = Counter;
    fn make() -> Self::Registered {
        Counter::default()
    }
}

impl Kind for Single<Gauge> {
    const NAME: &'static str = "gauge";
    type Registered = Gauge;
    fn make() -> Self::Registered {
        Gauge::default()
    }
}

impl Kind for Single<Histogram> {
    const NAME: &'static str = "histogram";
    type Registered = Histogram;
    fn make() -> Self::Registered {
        Histogram::new(SECONDS_BUCKETS)
    }
}

macro_rules! metrics {
    ($($name:ident $kind:ty [$($label:ident)*] $unit:literal $help:literal;)*) => {
        /// All metrics, in the order of the reference page.
        pub const DECLARED: &[Declared] = &[$(Declared {
            name: stringify!($name),
            kind: <$kind as Kind>::NAME,
            unit: $unit,
            labels: &[$(stringify!($label)),*],
            help: $help,
        }),*];

        /// What is registered, one field for each metric.
        pub struct Registered {
            $(#[doc = $help] pub $name: <$kind as Kind>::Registered,)*
        }

        impl Registered {
            /// Makes and registers all of them.
            pub fn register() -> (Registry, Self) {
                let mut registry = Registry::with_prefix(PREFIX);
                $(let $name = <$kind as Kind>::make();
                if $unit.is_empty() {
                    registry.register(stringify!($name), $help, $name.clone());
                } else {
                    let unit = Unit::Other($unit.to_owned());
                    registry.register_with_unit(stringify!($name), $help, unit, $name.clone());
                })*
                (registry, Self { $($name),* })
            }
        }
    };
}

metrics! {
    records Counter [source] "" "Records read";
    record Counter [source] "bytes" "Bytes of the values of records read";
    tombstones Counter [source] "" "Records without a value: skipped";
    events Counter [source] "" "Events decoded from records";
    unmatched_events Counter [source] "" "Events that are in no table that a rule of the pipeline reads: no rule sees them";
    rejects Counter [source code] "" "Records that could not become events, sent to the dead-letter topic";
    flooded_partitions Gauge [source lane] "" "Partitions of the source in which most records are rejected, now";
    parked Gauge [organisation lane] "" "1 while the lane does not read the organisation's sources, because its output topic may not be written to";
    conversion_failures Counter [source] "" "Values that do not fit their column's type: null in the row, whole in the evidence";
    time_fallbacks Counter [source] "" "Events without a readable time: they have the record's time";
    rows Counter [table] "" "Rows of tables that rules saw";
    alerts Counter [rule source organisation] "" "Alerts published";
    match_memory Gauge [lane] "bytes" "What is known of values that rules have looked at; bounded by limits.match_memory_bytes_max";
    match_memory_forgotten Counter [lane] "" "Times that what had not come up lately was forgotten because it was full";
    cuts Counter [what] "" "Alerts, rejects and original events that were cut to their limit";
    rule_errors Counter [rule] "" "Failures of a rule";
    rule_parked Gauge [rule] "" "1 while the rule is parked: it is not evaluated, as it failed or took too much";
    rule_parks Counter [rule reason] "" "Times that a rule was parked, by reason: errors, panics, time, memory, rows";
    rule_rows_unjudged Counter [rule] "" "Rows that a parked rule would have looked at or alerted on; whether it would have alerted on them nobody knows";
    rules Gauge [state] "" "Rules by state: active, and those of them that are parked after failures";
    rule_index Single<Gauge> [] "bytes" "What rules are looked up in: maps, automata and what regular expressions may remember on one thread";
    rule_set_info Gauge [version] "" "The version of the active rule set, as a label; always 1";
    rule_set_loaded Single<Gauge> [] "seconds" "When the active rule set was read, in seconds since 1970";
    reloads Counter [outcome] "" "Changed files that were taken (loaded) or refused; and looks asked for that found no change (unchanged)";
    reload_refused Single<Gauge> [] "" "1 while the files hold a rule set that was refused, and the former one goes on";
    lag Gauge [topic partition] "records" "Records between what is committed and the end of the partition for readers of committed records; 0 when nothing among them can be read";
    held_back Gauge [topic partition] "records" "Records behind the end that readers of committed records see: kept from them by transactions of other producers that are open";
    troubles Counter [kind topic] "" "Troubles that began: a topic that is missing or recreated, a position out_of_range, a foreign transaction that has held_back records for long";
    held_partitions Gauge [lane] "" "Partitions that are not read until somebody sees to them: their topic was made anew or deleted, or their position is gone";
    lost Counter [topic partition] "records" "Records that were deleted before they were read: from the position to the first offset, counted when it is noticed; transaction markers count as well";
    rebalances Counter [kind] "" "Changes of the partitions that lanes own";
    paused_partitions Gauge [lane] "" "Partitions that are not read at the moment, because a queue is full or a source is paused";
    blocked_partitions Gauge [lane] "" "Partitions that stand still, as a batch cannot be unpacked; nothing is skipped";
    unreadable_batches Counter [topic partition] "" "Times that a partition was found to stand still before a batch that cannot be unpacked";
    epochs Counter [outcome] "" "Epochs that ended";
    epoch_duration Single<Histogram> [] "seconds" "Time from the first record of an epoch to its end";
    commit_duration Single<Histogram> [] "seconds" "Time that the commit of an epoch took";
    open_epoch Gauge [lane] "bytes" "Bytes of the alerts and rejects in the open epoch";
    transactions_retried Single<Counter> [] "" "Transaction calls that were made again after a retriable error";
    producers_replaced Single<Counter> [] "" "Producers that were replaced after a doubtful transaction";
    series_overflow Single<Counter> [] "" "Updates that went to a series `other` because limits.metric_series_max is reached";
    resident_memory Single<Gauge> [] "bytes" "Physical memory of the process";
    start_time Single<Gauge> [] "seconds" "When the process started, in seconds since 1970";
    build_info Gauge [version] "" "The version of Noroshi, as a label; always 1";
}

/// `docs/metrics.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n<!-- Generated from src/observe/metrics/declared.rs. To change this page, change the table \
         there, then run\n     NOROSHI_BLESS=1 cargo test observe::metrics -->\n\nServed at `/metrics` in the \
         OpenMetrics text format. Labels never hold bytes of events: they are\nnames from the configuration, from \
         rules and of partitions. Series whose number is not fixed at the\nstart are bounded by \
         `limits.metric_series_max`; beyond it, updates go to series whose labels are all\n`other`, and \
         `noroshi_series_overflow_total` counts them. Rejects by source and code, alerts by rule and source, and \
         the\nerrors of rules are there from the start at 0, while they take no more than half of that bound. \
         Histograms have the buckets ",
    );
    let buckets: Vec<String> = SECONDS_BUCKETS.iter().map(f64::to_string).collect();
    let _ =
        write!(page, "{}.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n", buckets.join(", "));
    let mut sorted: Vec<&Declared> = DECLARED.iter().collect();
    sorted.sort_by_key(|metric| metric.exposed());
    for metric in sorted {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.exposed(), metric.kind, metric.help);
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    page
}
