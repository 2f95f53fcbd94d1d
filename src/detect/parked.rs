//! The alert about a rule that is parked: until it is changed it finds nothing.
//!
//! Owns the built-in rule and what its alert shows: which rule, why, since when, and with which record of the organisation it
//! was told; nothing of any event. When a rule is parked is `detect::guard`'s to say. Called by `pipeline::outlets`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::alert::headers::HeaderTemplate;
use super::alert::{Alert, AlertInput, AlertLimits, Tlp, build_as, rule_alert_id};
use super::guard::parks::ParkedRule;
use crate::normalise::schema::Table;
use crate::record::{OrgId, Position, TimeMicros};
use crate::rules::Rule;
use crate::rules::meta::{RuleLevel, RuleMeta, RuleScope, RuleStatus};

/// Id of the built-in rule.
pub const RULE_ID: &str = "noroshi.rule-parked";
/// Its version: part of its alerts' ids.
const RULE_VERSION: &str = "1";
/// A rule that is parked again in the same window, by another process or after a restart, is the same alert. In
/// microseconds.
const WINDOW: TimeMicros = 3_600 * 1_000_000;

static RULE: LazyLock<RuleMeta> = LazyLock::new(|| {
    RuleMeta {
    id: RULE_ID.into(),
    title: "A rule is parked and finds nothing".into(),
    description: Some(
        "The evaluation of a rule failed too often, or took too much time or memory, or the rule found too many rows. It is not \
         evaluated any more, and all others go on. It stays parked until its file is changed or the process is restarted."
            .into(),
    ),
    status: RuleStatus::Stable,
    level: RuleLevel::High,
    tags: Vec::new(),
    references: Vec::new(),
    falsepositives: Vec::new(),
    author: None,
    date: None,
    modified: None,
    license: None,
    version: Some(RULE_VERSION.into()),
    scope: RuleScope::PerOrg,
    entity: vec!["rule".into(), "table".into()],
    suppress: None,
    tests: Vec::new(),
}
});

/// What stands for a table: the alert is about none.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table {
    name: "noroshi.rules".into(),
    class_uid: 0,
    description: String::new(),
    columns: Vec::new(),
    views: Vec::new(),
    incomplete: false,
});

/// A rule that is parked, for one of the organisations that it looked at.
#[derive(Debug, Clone, Copy)]
pub struct ParkedInput<'a> {
    /// Who is told.
    pub org_id: &'a OrgId,
    /// The organisation's name.
    pub org_name: &'a str,
    /// One of its sources that the rule looked at.
    pub source: &'a str,
    /// Who may see the alert.
    pub tlp: Tlp,
    /// The record of that source with which it is told.
    pub position: &'a Position,
    /// When Kafka received that record.
    pub ingest_time: Option<TimeMicros>,
    /// The alert's own time.
    pub now: TimeMicros,
    /// The rule.
    pub rule: &'a Rule,
    /// Why, and since when.
    pub parked: &'a ParkedRule,
    /// Bounds.
    pub limits: &'a AlertLimits,
    /// Headers that the pipeline adds.
    pub headers: &'a [HeaderTemplate],
}

/// The alert.
pub fn rule_parked(input: &ParkedInput<'_>) -> Alert {
    let ParkedInput { rule, parked, .. } = input;
    let table = rule.table.name.as_str();
    let mut output = Map::new();
    for (name, value) in [
        ("rule", json!(rule.meta.id)),
        ("rule_version", json!(rule.version)),
        ("rule_title", json!(rule.meta.title)),
        ("table", json!(table)),
        ("reason", json!(parked.reason.as_str())),
        ("why", json!(parked.why)),
        ("since", json!(parked.since.div_euclid(1_000))),
    ] as [(&str, Value); 7]
    {
        output.insert(name.to_owned(), value);
    }
    let ours = (RULE_ID, RULE_VERSION);
    let its = (rule.meta.id.as_str(), rule.version.as_str(), table);
    let window_start_ms = parked.since.div_euclid(WINDOW).saturating_mul(WINDOW / 1_000);
    let id = rule_alert_id(ours, input.org_id, its, window_start_ms);
    let alert = AlertInput {
        rule: &RULE,
        rule_version: RULE_VERSION,
        org_id: input.org_id,
        org_name: input.org_name,
        source: input.source,
        tlp: input.tlp,
        table: &TABLE,
        row: &[],
        output: &output,
        position: input.position,
        event_time: input.ingest_time.unwrap_or(input.now),
        time_is_told: true,
        ingest_time: input.ingest_time,
        now: input.now,
        raw: &[],
        raw_from: None,
        limits: input.limits,
        headers: input.headers,
    };
    build_as(&alert, id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::detect::guard::Reason;
    use crate::diagnostic::SourceFile;
    use crate::normalise::schema::Catalog;
    use crate::rules::{self, RuleLimits};

    fn rule(id: &str, version: &str) -> Arc<Rule> {
        let text = format!(
            "/*---\nid: {id}\ntitle: Too slow\nversion: '{version}'\n---*/\nSELECT Computer FROM windows_security WHERE EventID = 1\n"
        );
        let catalog = Catalog::stock().expect("the built-in tables");
        let loaded = rules::load_files(&[SourceFile::new("r.sql", text)], &catalog, &RuleLimits::default());
        loaded.rules.into_iter().next().expect("a rule")
    }

    #[test]
    fn the_alert_is_about_a_rule_for_an_organisation() {
        let made = |org: &str, rule: &Rule, since, offset| {
            let position = Position { topic: "in.power".into(), partition: 2, offset, index: 0 };
            rule_parked(&ParkedInput {
                org_id: &OrgId::new(org),
                org_name: "Power",
                source: "windows",
                tlp: Tlp::Amber,
                position: &position,
                ingest_time: Some(1_790_000_000_000_000),
                now: 1_790_000_001_000_000,
                rule,
                parked: &ParkedRule { rule: 0, reason: Reason::Time, why: "slow".into(), since },
                limits: &AlertLimits::default(),
                headers: &[],
            })
        };
        let since = 1_789_999_200_000_000;
        let first = rule("slow", "1");
        let alert = made("power", &first, since, 7);
        let value: Value = serde_json::from_slice(&alert.value).expect("JSON");
        assert_eq!(alert.key, b"power|slow|windows_security");
        for (pointer, expect) in [
            ("/class_uid", json!(2004)),
            ("/severity", json!("High")),
            ("/message", json!("A rule is parked and finds nothing (rule=slow, table=windows_security)")),
            ("/metadata/tenant_uid", json!("power")),
            ("/finding_info/uid", json!(alert.id.to_string())),
            ("/finding_info/analytic/uid", json!(RULE_ID)),
            ("/evidences/0/data/output/reason", json!("time")),
            ("/evidences/0/data/output/since", json!(1_789_999_200_000_i64)),
            ("/raw_data", Value::Null),
            ("/unmapped/noroshi/positions/0/offset", json!(7)),
        ] {
            assert_eq!(value.pointer(pointer).unwrap_or(&Value::Null), &expect, "{pointer}");
        }
        let schema: Value = serde_json::from_str(super::super::alert::SCHEMA).expect("JSON");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let (newer, other) = (rule("slow", "2"), rule("other", "1"));
        for (what, org, rule, since, offset, same) in [
            ("another record: the epoch was read again", "power", &first, since, 9_999, true),
            (
                "again within the hour: another process, or a restart",
                "power",
                &first,
                since + 9_000_000,
                7,
                true,
            ),
            ("an hour later", "power", &first, since + WINDOW, 7, false),
            ("another version", "power", &newer, since, 7, false),
            ("another rule", "power", &other, since, 7, false),
            ("another organisation", "rail", &first, since, 7, false),
        ] {
            assert_eq!(made(org, rule, since, offset).id == alert.id, same, "{what}");
        }
    }
}
