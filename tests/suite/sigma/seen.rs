//! How an event looks to a Sigma rule: its own fields, and the columns of our tables under Sigma's names.
//!
//! Owns nothing of what a rule means. Where a rule applies stands in `routes`; here is what it then sees, so that an
//! independent reader of Sigma can be given the same. Called by `peer`, and by the bench that measures that reader.

use std::collections::BTreeMap;

use noroshi::decode::{self, DecodeLimits, Decoder};
use noroshi::normalise::layout::Layout;
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::schema::log_source::{LogSource, Route};
use noroshi::normalise::time::ZoneOffset;
use serde_json::{Map, Value};

use super::routes::{Source, sources};

/// Reads flat Windows events as rules see them.
pub struct Views {
    catalog: Catalog,
    projection: Projection,
    layout: Layout,
    decoder: Box<dyn Decoder>,
}

impl Views {
    /// Over all stock tables.
    pub fn new() -> Self {
        let catalog = Catalog::stock().expect("the stock tables");
        let projection = Projection::full(&catalog);
        let format = decode::format("windows-json").expect("a format");
        let layout = Layout::new(&projection, format);
        let decoder = format.decoder(layout.fields(), DecodeLimits::default());
        Self { catalog, projection, layout, decoder }
    }

    /// What the rules of each log source see of an event; a log source may stand there for several tables.
    pub fn of(&mut self, line: &[u8], wanted: &dyn Fn(Source) -> bool) -> Vec<(Source, Map<String, Value>)> {
        let Self { catalog, projection, layout, decoder } = self;
        let event: Map<String, Value> = serde_json::from_slice(line).expect("an object");
        let mut rows: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let decoded = decoder.decode(line, &mut |slots| {
            for row in layout.read(slots, ZoneOffset::UTC) {
                let table = &projection.tables()[row.table];
                let names = table.schema.fields().iter().map(|field| field.name().clone());
                rows.insert(table.table.name.clone(), names.zip(row.values).collect());
            }
        });
        decoded.expect("the test data is good");
        let mut seen = Vec::new();
        for source in sources_of(&event).into_iter().filter(|source| wanted(*source)) {
            let (category, service) = source;
            let asked = LogSource {
                category: category.map(str::to_owned),
                product: Some("windows".to_owned()),
                service: service.map(str::to_owned),
            };
            for route in catalog.log_sources().routes(&asked) {
                if let Some(row) = rows.get(&route.table.name) {
                    seen.push((source, mapped(&event, row, route)));
                }
            }
        }
        seen
    }
}

/// The log sources of an event.
pub fn sources_of(event: &Map<String, Value>) -> Vec<Source> {
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
    let channel = if text("Channel").is_empty() { channel_of(text("SourceName")) } else { text("Channel") };
    let id = event.get("EventID").and_then(|id| id.as_i64().or_else(|| id.as_str()?.parse().ok()));
    sources(channel, id.unwrap_or_default())
}

/// Events of older agents have no channel.
fn channel_of(provider: &str) -> &str {
    match provider {
        "Microsoft-Windows-Sysmon" => "Microsoft-Windows-Sysmon/Operational",
        "Microsoft-Windows-Security-Auditing" | "Microsoft-Windows-Eventlog" => "Security",
        "Microsoft-Windows-PowerShell" => "Microsoft-Windows-PowerShell/Operational",
        "PowerShell" => "Windows PowerShell",
        other => other,
    }
}

/// An event as a rule sees it: the columns of the table under Sigma's names, and what else the event has.
fn mapped(event: &Map<String, Value>, row: &Map<String, Value>, route: &Route) -> Map<String, Value> {
    let mut seen = event.clone();
    seen.retain(|name, _| !row.keys().any(|column| column.eq_ignore_ascii_case(name)));
    for (name, value) in row.iter().filter(|(_, value)| !value.is_null()) {
        seen.insert(name.clone(), value.clone());
    }
    for (field, columns) in &route.fields {
        // The peer is particular about case: the field as some rule writes it is the column's own spelling, or Sigma's.
        if let Some(value) =
            columns.iter().find_map(|column| row.get(column).filter(|value| !value.is_null()))
        {
            seen.insert(field.clone(), value.clone());
        }
    }
    seen
}
