//! A rule's result on a row → the alert that is published.
//!
//! Owns the value (an OCSF Detection Finding, class 2004, valid by 1.8.0 and by 1.1.0), the Kafka key and the
//! headers. `detect::evidence` makes OCSF objects of the row, `detect::attack` reads the tags. Pure: no clock,
//! no input but [`AlertInput`]; never fails, however large or odd the event. Called by `detect` and `cli`.

pub(crate) mod bounds;
pub mod headers;
mod identity;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::bounds::{ALERT_BYTES_MIN, AlertLimits};
use self::bounds::{Allowance, Cutter, raw_text};
use self::headers::{AlertHeader, HeaderTemplate};
pub use self::identity::alert_id;
use self::identity::key;
pub(super) use self::identity::{partition_alert_id, rule_alert_id};
use super::attack::attacks;
use super::evidence;
use crate::normalise::schema::Table;
use crate::normalise::time;
use crate::record::{OrgId, Position, TimeMicros, hex};
use crate::rules::meta::{RuleMeta, RuleScope, RuleStatus};

/// JSON Schema of an alert's value.
pub const SCHEMA: &str = include_str!("../../schemas/alert.schema.json");
/// What the header `noroshi-schema` says: format, version, class.
pub const SCHEMA_NAME: &str = "ocsf/1.8.0/2004";
/// OCSF version that alerts are written in.
pub const OCSF_VERSION: &str = "1.8.0";

/// How the note of what was cut names the original record.
const RAW_DATA: &str = "raw_data";
/// Entity columns in the key and in `unmapped.noroshi.entity`; more are left out.
const ENTITY_COLUMNS_MAX: usize = 16;

/// The Traffic Light Protocol 2.0: who may see an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum Tlp {
    /// Everybody.
    Clear,
    /// The community.
    Green,
    /// The recipients' organisations and their clients.
    #[default]
    Amber,
    /// The recipients' organisations.
    #[serde(rename = "amber+strict")]
    AmberStrict,
    /// The recipients alone.
    Red,
}

impl Tlp {
    /// The label as written in configuration, headers and alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }
}

/// What an alert is built from.
#[derive(Debug, Clone, Copy)]
pub struct AlertInput<'a> {
    /// The rule.
    pub rule: &'a RuleMeta,
    /// Its version, as every alert names it (I-8).
    pub rule_version: &'a str,
    /// Whose event it was; from configuration (I-4).
    pub org_id: &'a OrgId,
    /// The organisation's name, for people.
    pub org_name: &'a str,
    /// The source's id.
    pub source: &'a str,
    /// Who may see the alert.
    pub tlp: Tlp,
    /// The table that the rule read.
    pub table: &'a Table,
    /// One value for each column of the table, null when missing; timestamps in epoch milliseconds.
    pub row: &'a [Value],
    /// What the rule's SELECT returned.
    pub output: &'a Map<String, Value>,
    /// Where the event stood in the input.
    pub position: &'a Position,
    /// When it happened.
    pub event_time: TimeMicros,
    /// Whether the event says so; else it has its record's time.
    pub time_is_told: bool,
    /// When Kafka received it.
    pub ingest_time: Option<TimeMicros>,
    /// Now: the alert's own time.
    pub now: TimeMicros,
    /// The bytes of the event.
    pub raw: &'a [u8],
    /// Where they stand in the record, when it holds other events besides.
    pub raw_from: Option<usize>,
    /// Bounds.
    pub limits: &'a AlertLimits,
    /// Headers that the pipeline adds.
    pub headers: &'a [HeaderTemplate],
}

/// An alert, ready for Kafka.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The same for the same input and rule version, whenever and wherever it is built (I-3).
    pub id: Uuid,
    /// Organisation and entity.
    pub key: Vec<u8>,
    /// Printable ASCII; a consumer routes by them without parsing the value.
    pub headers: Vec<AlertHeader>,
    /// JSON on one line.
    pub value: Vec<u8>,
    /// Whether the original record in it was cut.
    pub raw_cut: bool,
    /// Whether anything else of it was cut or left out.
    pub cut: bool,
}

/// Builds the alert for one row that a rule returned.
///
/// The value takes at most `alert_bytes_max` bytes, or [`ALERT_BYTES_MIN`] where that is more. What had to be cut
/// for it is named in `unmapped.noroshi.cut`.
pub fn build(input: &AlertInput<'_>) -> Alert {
    build_as(input, alert_id(&input.rule.id, input.rule_version, input.org_id, &[input.position]))
}

/// The same with an id that is made otherwise.
pub(super) fn build_as(input: &AlertInput<'_>, id: Uuid) -> Alert {
    let bytes_max = input.limits.alert_bytes_max.max(ALERT_BYTES_MIN);
    let (mut value, mut cuts) = (Vec::new(), Cuts::default());
    for allowance in Allowance::ladder(input.limits) {
        let made = finding(input, id, allowance);
        (value, cuts) = (made.0.to_string().into_bytes(), made.1);
        if value.len() <= bytes_max {
            break;
        }
    }
    let entity = entity(input);
    Alert {
        id,
        key: key(input.org_id, entity.iter().map(|(_, text)| text.as_str())),
        headers: headers(input, id),
        value,
        raw_cut: cuts.raw,
        cut: cuts.other,
    }
}

/// What an alert does not show in full.
#[derive(Debug, Clone, Copy, Default)]
struct Cuts {
    raw: bool,
    other: bool,
}

fn headers(input: &AlertInput<'_>, id: Uuid) -> Vec<AlertHeader> {
    let rule = input.rule;
    let ours = [
        ("content-type", "application/json".to_owned()),
        ("noroshi-alert-id", id.to_string()),
        ("noroshi-org-id", input.org_id.as_str().to_owned()),
        ("noroshi-source", input.source.to_owned()),
        ("noroshi-rule-id", rule.id.clone()),
        ("noroshi-rule-version", input.rule_version.to_owned()),
        ("noroshi-level", rule.level.as_str().to_owned()),
        ("noroshi-severity-id", rule.level.severity().0.to_string()),
        ("noroshi-tlp", input.tlp.as_str().to_owned()),
        ("noroshi-schema", SCHEMA_NAME.to_owned()),
    ];
    headers::headers(ours, input.headers)
}

/// The entity columns and their values as text, empty where there is none: from the rule's output, else from the
/// row.
fn entity<'a>(input: &AlertInput<'a>) -> Vec<(&'a str, String)> {
    let columns = input.rule.entity.iter().take(ENTITY_COLUMNS_MAX);
    columns
        .map(|name| {
            let from_row = || input.row.get(input.table.column(name)?);
            let text = match input.output.get(name).or_else(from_row) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (name.as_str(), text)
        })
        .collect()
}

fn finding(input: &AlertInput<'_>, id: Uuid, allowance: Allowance) -> (Value, Cuts) {
    let rule = input.rule;
    let (severity_id, severity) = rule.level.severity();
    let mut cut = Cutter::new(allowance.text_bytes);

    let (raw_data, raw_cut) = raw_text(input.raw, allowance.raw_bytes);
    if raw_cut {
        cut.note(RAW_DATA);
    }
    let (evidence, observables) = evidence(input, allowance, &mut cut);
    let windows = evidence::is_windows(&evidence);
    let finding_info = finding_info(input, id, &mut cut);
    let message = message(input, &mut cut);
    let mut metadata = json!({
        "version": OCSF_VERSION,
        "uid": id.to_string(),
        "product": {"name": "Noroshi", "vendor_name": "Noroshi", "version": env!("CARGO_PKG_VERSION")},
        "tenant_uid": cut.name("org_id", input.org_id.as_str()),
        "log_name": cut.name("source", input.source),
    });
    let told = input.time_is_told.then(|| time::iso(input.event_time)).flatten();
    set(&mut metadata, "original_time", told.map(Value::from));
    set(&mut metadata, "logged_time", input.ingest_time.map(|time| json!(millis(time))));
    let extension = json!([{"name": "win", "uid": "2", "version": OCSF_VERSION}]);
    set(&mut metadata, "extensions", windows.then_some(extension));
    // Last, because it lists what was cut before.
    let noroshi = noroshi(input, allowance, raw_cut, cut);
    let names = noroshi.get("cut").and_then(Value::as_array);
    let other = names.is_some_and(|names| names.iter().any(|name| name != RAW_DATA));
    set(&mut metadata, "is_truncated", names.is_some().then_some(Value::Bool(true)));

    let event_time = millis(input.event_time);
    let mut finding = json!({
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": millis(input.now),
        "start_time": event_time,
        "end_time": event_time,
        "count": 1,
        "is_alert": true,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "message": message,
        "metadata": metadata,
        "finding_info": finding_info,
        "evidences": [evidence],
        "raw_data_size": input.raw.len(),
        "raw_data_hash": {
            "algorithm_id": 3, "algorithm": "SHA-256", "value": hex(&Sha256::digest(input.raw)),
        },
        "unmapped": {"noroshi": noroshi},
    });
    set(&mut finding, "observables", (!observables.is_empty()).then_some(Value::Array(observables)));
    set(&mut finding, "raw_data", (!raw_data.is_empty()).then_some(Value::String(raw_data)));
    (finding, Cuts { raw: raw_cut, other })
}

/// `evidences[0]` and the observables.
fn evidence(
    input: &AlertInput<'_>,
    allowance: Allowance,
    cut: &mut Cutter,
) -> (Map<String, Value>, Vec<Value>) {
    let mut data = json!({"table": cut.name("table", &input.table.name)});
    if allowance.output {
        let fields = input.output.iter().map(|(name, value)| (name.as_str(), value));
        set(&mut data, "output", Some(Value::Object(cut.fields("output", fields))));
    } else {
        cut.note("output");
    }
    if allowance.row {
        let names = input.table.columns.iter().map(|column| column.name.as_str());
        set(&mut data, "row", Some(Value::Object(cut.fields("row", names.zip(input.row)))));
    } else {
        cut.note("row");
    }
    let mut objects = Map::new();
    if allowance.evidence {
        objects = evidence::objects(input.table, input.row, input.position, cut);
    } else {
        cut.note("evidence");
    }
    let (observables, left_out) =
        evidence::observables(input.table, input.row, &objects, allowance.observables, cut);
    if left_out > 0 {
        cut.note("observables");
    }
    objects.insert("data".into(), data);
    (objects, observables)
}

fn finding_info(input: &AlertInput<'_>, id: Uuid, cut: &mut Cutter) -> Value {
    let rule = input.rule;
    let title = cut.text("rule.title", &rule.title);
    let mut analytic = json!({
        "uid": cut.name("rule.id", &rule.id),
        "name": title,
        "version": cut.name("rule.version", input.rule_version),
        "type_id": 1,
        "type": "Rule",
    });
    let state = match rule.status {
        RuleStatus::Stable | RuleStatus::Test => Some((1, "Active")),
        RuleStatus::Experimental => Some((3, "Experimental")),
        RuleStatus::Deprecated | RuleStatus::Unsupported => None,
    };
    set(&mut analytic, "state_id", state.map(|(id, _)| json!(id)));
    set(&mut analytic, "state", state.map(|(_, caption)| json!(caption)));

    let event_time = millis(input.event_time);
    let position = input.position;
    let mut info = json!({
        "uid": id.to_string(),
        "title": title,
        "analytic": analytic,
        "created_time": millis(input.now),
        "first_seen_time": event_time,
        "last_seen_time": event_time,
        "data_sources": [cut.name("source", input.source)],
        "related_events": [{
            "uid": format!(
                "{}/{}/{}/{}",
                cut.name("topic", &position.topic), position.partition, position.offset, position.index,
            ),
        }],
        "related_events_count": 1,
    });
    set(&mut info, "desc", rule.description.as_ref().map(|text| json!(cut.text("rule.description", text))));
    let attacks = attacks(&rule.tags);
    set(&mut info, "attacks", (!attacks.is_empty()).then_some(Value::Array(attacks)));
    let link =
        rule.references.iter().find(|link| link.starts_with("https://") || link.starts_with("http://"));
    set(&mut info, "src_url", link.map(|link| json!(cut.text("rule.references", link))));
    info
}

/// The rule's title, and what it is about.
fn message(input: &AlertInput<'_>, cut: &mut Cutter) -> String {
    let entity: Vec<String> = entity(input)
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    let title = &input.rule.title;
    let text = if entity.is_empty() { title.clone() } else { format!("{title} ({})", entity.join(", ")) };
    cut.text("message", &text)
}

/// What OCSF has no attribute for.
fn noroshi(
    input: &AlertInput<'_>,
    allowance: Allowance,
    raw_cut: bool,
    mut cut: Cutter,
) -> Map<String, Value> {
    let position = input.position;
    let mut entities = Map::new();
    if input.rule.entity.len() > ENTITY_COLUMNS_MAX {
        cut.note("entity");
    }
    for (name, text) in entity(input) {
        let text = cut.text(&format!("entity.{name}"), &text);
        entities.insert(cut.name("entity", name), Value::String(text));
    }
    let mut noroshi = json!({
        "positions": [{
            "topic": cut.name("topic", &position.topic),
            "partition": position.partition,
            "offset": position.offset,
            "index": position.index,
        }],
        "source": cut.name("source", input.source),
        "table": cut.name("table", &input.table.name),
        "org_name": cut.name("org_name", input.org_name),
        "tlp": input.tlp.as_str(),
        "rule": rule(input.rule, allowance, &mut cut),
        "entity": entities,
        "raw_data_bytes": input.raw.len(),
        "raw_data_cut": raw_cut,
    });
    set(&mut noroshi, "ingest_time", input.ingest_time.map(|time| json!(millis(time))));
    set(&mut noroshi, "time_source", (!input.time_is_told).then(|| json!("record")));
    let range = input.raw_from.map(|from| json!([from, from + input.raw.len()]));
    set(&mut noroshi, "raw_data_range", range);
    let names = cut.into_names();
    set(&mut noroshi, "cut", (!names.is_empty()).then(|| json!(names)));
    match noroshi {
        Value::Object(noroshi) => noroshi,
        _ => Map::new(),
    }
}

fn rule(rule: &RuleMeta, allowance: Allowance, cut: &mut Cutter) -> Value {
    let scope = match rule.scope {
        RuleScope::PerOrg => "per_org",
        RuleScope::CrossOrg => "cross_org",
    };
    let mut shown = json!({
        "status": rule.status.as_str(),
        "level": rule.level.as_str(),
        "scope": scope,
    });
    let mut text = |name: &str, text: Option<&String>, cut: &mut Cutter| {
        set(&mut shown, name, text.map(|text| json!(cut.name(&format!("rule.{name}"), text))));
    };
    text("author", rule.author.as_ref(), cut);
    text("date", rule.date.as_ref(), cut);
    text("modified", rule.modified.as_ref(), cut);
    text("license", rule.license.as_ref(), cut);
    let lists =
        [("tags", &rule.tags), ("references", &rule.references), ("falsepositives", &rule.falsepositives)];
    for (name, items) in lists {
        let place = format!("rule.{name}");
        if allowance.rule_texts {
            set(&mut shown, name, Some(cut.list(&place, items)));
        } else if !items.is_empty() {
            cut.note(&place);
        }
    }
    shown
}

fn set(object: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(object), Some(value)) = (object, value) {
        object.insert(name.to_owned(), value);
    }
}

fn millis(time: TimeMicros) -> i64 {
    time.div_euclid(1_000)
}

#[cfg(test)]
mod tests;
