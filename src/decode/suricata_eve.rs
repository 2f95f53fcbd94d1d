//! `suricata-eve`: Suricata's EVE log, one JSON object an event, with `event_type` naming its kind.

use super::{Format, TimeField};

/// The format.
pub struct SuricataEve;

impl Format for SuricataEve {
    fn name(&self) -> &'static str {
        "suricata-eve"
    }

    fn description(&self) -> &'static str {
        "Suricata EVE JSON: alert, flow, dns and the other event types"
    }

    fn time_fields(&self) -> &'static [TimeField] {
        // `2026-10-03T01:02:03.456789+0000`: a zone without a colon.
        &[TimeField { path: "timestamp", utc: true }]
    }

    fn mark(&self) -> &'static str {
        "event_type"
    }

    fn may_hold(&self, path: &str) -> bool {
        // Suricata writes its keys without capitals. Below them others name some: the metadata of alerts, the parameters of
        // a database's clients.
        !path.split('.').next().unwrap_or(path).bytes().any(|byte| byte.is_ascii_uppercase())
    }
}
