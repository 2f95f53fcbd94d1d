//! The alert about a rule that is parked: until it is changed it finds nothing.
//!
//! Owns the built-in rule and what its alert shows: which rule, why, since when, and with which record of the organisation it
//! was told; nothing of any event. When a rule is parked is `detect::guard`'s to say. Called by `pipeline::outlets`.

use std::sync::LazyLock;

use serde_json::json;

use super::alert::{Alert, rule_alert_id};
use super::guard::parks::ParkedRule;
use super::own::{self, RULE_VERSION, Told};
use crate::normalise::schema::Table;
use crate::record::TimeMicros;
use crate::rules::Rule;
use crate::rules::meta::RuleMeta;

/// Id of the built-in rule.
pub const RULE_ID: &str = "noroshi.rule-parked";
/// A rule that is parked again in the same window, by another process or after a restart, is the same alert. In
/// microseconds.
const WINDOW: TimeMicros = 3_600 * 1_000_000;

static RULE: LazyLock<RuleMeta> = LazyLock::new(|| {
    own::rule(
        RULE_ID,
        "A rule is parked and finds nothing",
        "The evaluation of a rule failed too often, or took too much time or memory, or the rule found too many rows. It is not \
         evaluated any more, and all others go on. It stays parked until its file is changed or the process is restarted.",
        &["rule", "table"],
    )
});
static TABLE: LazyLock<Table> = LazyLock::new(|| own::table("noroshi.rules"));

/// The alert about a rule that is parked, for one of the organisations that it looked at.
pub fn rule_parked(told: &Told<'_>, rule: &Rule, parked: &ParkedRule) -> Alert {
    let table = rule.table.name.as_str();
    let says = [
        ("rule", json!(rule.meta.id)),
        ("rule_version", json!(rule.version)),
        ("rule_title", json!(rule.meta.title)),
        ("table", json!(table)),
        ("reason", json!(parked.reason.as_str())),
        ("why", json!(parked.why)),
        ("since", json!(parked.since.div_euclid(1_000))),
    ];
    let its = (rule.meta.id.as_str(), rule.version.as_str(), table);
    let window_start_ms = parked.since.div_euclid(WINDOW).saturating_mul(WINDOW / 1_000);
    let id = rule_alert_id((RULE_ID, RULE_VERSION), told.org_id, its, window_start_ms);
    own::alert(told, &RULE, &TABLE, id, says)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::detect::alert::{AlertLimits, Tlp};
    use crate::detect::guard::Reason;
    use crate::diagnostic::SourceFile;
    use crate::normalise::schema::Catalog;
    use crate::record::{OrgId, Position};
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
            let told = Told {
                org_id: &OrgId::new(org),
                org_name: "Power",
                source: "windows",
                tlp: Tlp::Amber,
                position: &position,
                ingest_time: Some(1_790_000_000_000_000),
                now: 1_790_000_001_000_000,
                limits: &AlertLimits::default(),
                headers: &[],
            };
            let parked = ParkedRule { rule: 0, reason: Reason::Time, why: "slow".into(), since };
            rule_parked(&told, rule, &parked)
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
