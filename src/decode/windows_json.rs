//! `windows-json`: flat Windows event JSON, as NXLog, Logstash and similar agents write it.
//!
//! One object an event, keys are the names of the event's own fields (`EventID`, `Channel`, `Image`, …).

use super::{Format, TimeField};

/// The format.
pub struct WindowsJson;

impl Format for WindowsJson {
    fn name(&self) -> &'static str {
        "windows-json"
    }

    fn description(&self) -> &'static str {
        "flat Windows event JSON: one object an event, keys are the event's own field names"
    }

    fn time_fields(&self) -> &'static [TimeField] {
        &[
            // Sysmon's own time, always UTC. `EventTime` is the agent's local time without a zone, and
            // `@timestamp` is when the shipper saw it.
            TimeField { path: "UtcTime", utc: true },
            TimeField { path: "TimeCreated", utc: true },
            TimeField { path: "SystemTime", utc: true },
            TimeField { path: "@timestamp", utc: true },
            TimeField { path: "EventTime", utc: false },
        ]
    }

    fn mark(&self) -> &'static str {
        "EventID"
    }
}
