//! The independent reader: rsigma, over the rows that our tables have of each event.
//!
//! Owns nothing of our rules but the names of columns: what a field means is the same on both sides, what a rule means
//! is the peer's own reading, and where a rule applies stands in `routes`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use noroshi::decode::{self, DecodeLimits};
use noroshi::normalise::layout::Layout;
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::schema::log_source::{LogSource, Route};
use noroshi::normalise::time::ZoneOffset;
use noroshi::rules::{self, RuleLimits};
use rsigma_eval::{Engine, JsonEvent};
use serde_json::{Map, Value};

use super::Hit;
use super::routes::sources;

/// What the peer finds in flat Windows events, one a line.
pub fn hits(folders: &[PathBuf], lines: &[String]) -> BTreeSet<Hit> {
    let catalog = Catalog::stock().expect("the stock tables");
    let engines = engines(folders);
    let projection = Projection::full(&catalog);
    let format = decode::format("windows-json").expect("a format");
    let mut layout = Layout::new(&projection, format);
    let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
    let mut found = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        let event: Map<String, Value> = serde_json::from_str(line).expect("an object");
        let mut rows: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let decoded = decoder.decode(line.as_bytes(), &mut |slots| {
            for row in layout.read(slots, ZoneOffset::UTC) {
                let table = &projection.tables()[row.table];
                let names = table.schema.fields().iter().map(|field| field.name().clone());
                rows.insert(table.table.name.clone(), names.zip(row.values).collect());
            }
        });
        decoded.expect("the test data is good");
        let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let channel =
            if text("Channel").is_empty() { channel_of(text("SourceName")) } else { text("Channel") };
        let id = event.get("EventID").and_then(|id| id.as_i64().or_else(|| id.as_str()?.parse().ok()));
        for (category, service) in sources(channel, id.unwrap_or_default()) {
            let Some(engine) = engines.get(&(category.map(str::to_owned), service.map(str::to_owned))) else {
                continue;
            };
            let asked = LogSource {
                category: category.map(str::to_owned),
                product: Some("windows".to_owned()),
                service: service.map(str::to_owned),
            };
            for route in catalog.log_sources().routes(&asked) {
                let Some(row) = rows.get(&route.table.name) else { continue };
                let seen = Value::Object(mapped(&event, row, route));
                for result in engine.evaluate(&JsonEvent::borrow(&seen)) {
                    found.insert((result.header.rule_id.clone().expect("an id"), at));
                }
            }
        }
    }
    found
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

type Engines = BTreeMap<(Option<String>, Option<String>), Engine>;

/// An engine for each log source of the Windows rules.
fn engines(folders: &[PathBuf]) -> Engines {
    let (files, unfound) = rules::files(folders, &RuleLimits::default());
    // A folder of the set may hold no rule.
    assert!(unfound.iter().all(|told| told.code.id == "R008"), "{unfound:?}");
    let mut rules: BTreeMap<(Option<String>, Option<String>), Vec<rsigma_parser::SigmaRule>> =
        BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a rule");
        let read = rsigma_parser::parse_sigma_yaml(&text).expect("YAML");
        for rule in read.rules {
            // Without values for its placeholders a rule is not armed here; the peer takes them as they stand.
            if rule.logsource.product.as_deref() == Some("windows") && !text.contains("|expand") {
                let key = (rule.logsource.category.clone(), rule.logsource.service.clone());
                rules.entry(key).or_default().push(rule);
            }
        }
    }
    let engine = |rules: Vec<rsigma_parser::SigmaRule>| {
        let mut engine = Engine::new();
        let failed = engine.add_rules(&rules);
        assert!(failed.is_empty(), "{failed:?}");
        engine
    };
    rules.into_iter().map(|(key, rules)| (key, engine(rules))).collect()
}
