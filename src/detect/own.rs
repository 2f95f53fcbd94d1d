//! Alerts of the engine itself: about a source or a rule, and of no event.
//!
//! Owns what they have in common: a built-in rule of level high, no table, nothing of any record but the position with which
//! they are told. What they say is theirs. Used by `flood` and `parked`.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::alert::headers::HeaderTemplate;
use super::alert::{Alert, AlertInput, AlertLimits, Tlp, build_as};
use crate::normalise::schema::Table;
use crate::record::{OrgId, Position, TimeMicros};
use crate::rules::meta::{RuleLevel, RuleMeta, RuleScope, RuleStatus};

/// Version of the built-in rules: part of their alerts' ids.
pub(super) const RULE_VERSION: &str = "1";

/// Whom an alert is for, and with which of its records it is told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Who is told.
    pub org_id: &'a OrgId,
    /// The organisation's name.
    pub org_name: &'a str,
    /// One of its sources.
    pub source: &'a str,
    /// Who may see the alert.
    pub tlp: Tlp,
    /// The record of that source.
    pub position: &'a Position,
    /// When Kafka received that record.
    pub ingest_time: Option<TimeMicros>,
    /// The alert's own time.
    pub now: TimeMicros,
    /// Bounds.
    pub limits: &'a AlertLimits,
    /// Headers that the pipeline adds.
    pub headers: &'a [HeaderTemplate],
}

/// A built-in rule.
pub(super) fn rule(id: &str, title: &str, description: &str, entity: &[&str]) -> RuleMeta {
    RuleMeta {
        id: id.into(),
        title: title.into(),
        description: Some(description.into()),
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
        entity: entity.iter().map(|name| (*name).to_owned()).collect(),
        suppress: None,
        tests: Vec::new(),
    }
}

/// What stands for a table: the alert is about none.
pub(super) fn table(name: &str) -> Table {
    Table {
        name: name.into(),
        class_uid: 0,
        description: String::new(),
        columns: Vec::new(),
        views: Vec::new(),
        incomplete: false,
    }
}

/// The alert that says this.
pub(super) fn alert<const N: usize>(
    told: &Told<'_>,
    rule: &RuleMeta,
    table: &Table,
    id: Uuid,
    says: [(&str, Value); N],
) -> Alert {
    let output: Map<String, Value> = says.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let alert = AlertInput {
        rule,
        rule_version: RULE_VERSION,
        org_id: told.org_id,
        org_name: told.org_name,
        source: told.source,
        tlp: told.tlp,
        table,
        row: &[],
        output: &output,
        position: told.position,
        event_time: told.ingest_time.unwrap_or(told.now),
        time_is_told: true,
        ingest_time: told.ingest_time,
        now: told.now,
        raw: &[],
        raw_from: None,
        limits: told.limits,
        headers: told.headers,
    };
    build_as(&alert, id)
}
