//! The metadata of a rule: the front matter's shape, with Sigma's names.
//!
//! Owns types only; `rules::file` reads them, `detect::alert` copies them into alerts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sigma's severity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum RuleLevel {
    /// For enrichment of other events; no alert by itself.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// Relevant, to be looked at.
    #[default]
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl RuleLevel {
    /// All, from the lowest.
    pub const ALL: &[Self] = &[Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name as written in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// OCSF `severity_id` and its caption.
    pub fn severity(self) -> (i64, &'static str) {
        match self {
            Self::Informational => (1, "Informational"),
            Self::Low => (2, "Low"),
            Self::Medium => (3, "Medium"),
            Self::High => (4, "High"),
            Self::Critical => (5, "Critical"),
        }
    }
}

/// Sigma's maturity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum RuleStatus {
    /// In use without problems.
    Stable,
    /// Mostly stable.
    Test,
    /// May need tuning.
    #[default]
    Experimental,
    /// Replaced; not run.
    Deprecated,
    /// Cannot be used; not run.
    Unsupported,
}

impl RuleStatus {
    /// The name as written in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Test => "test",
            Self::Experimental => "experimental",
            Self::Deprecated => "deprecated",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whose rows a rule may see together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum RuleScope {
    /// One organisation at a time.
    #[default]
    PerOrg,
    /// All organisations together.
    CrossOrg,
}

/// The YAML between `/*---` and `---*/`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleMeta {
    /// Unique and lasting identity: a UUID, or letters, digits, `.`, `_` and `-`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    pub id: String,
    /// One line: what was detected.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// What the rule looks for and why it matters.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    pub description: Option<String>,
    /// stable, test, experimental, deprecated or unsupported; the last two are not run.
    #[serde(default)]
    pub status: RuleStatus,
    /// informational, low, medium, high or critical.
    #[serde(default)]
    pub level: RuleLevel,
    /// ATT&CK and other tags: `attack.t1003.001`, `attack.credential-access`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Links.
    #[serde(default)]
    pub references: Vec<String>,
    /// Known harmless causes.
    #[serde(default)]
    pub falsepositives: Vec<String>,
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<String>,
    /// When it was written, `YYYY-MM-DD`.
    #[serde(default)]
    pub date: Option<String>,
    /// When it was last changed, `YYYY-MM-DD`.
    #[serde(default)]
    pub modified: Option<String>,
    /// Licence of the rule.
    #[serde(default)]
    pub license: Option<String>,
    /// Version shown on alerts; without it the hash of the file's content.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub version: Option<String>,
    /// per_org or cross_org.
    #[serde(default)]
    pub scope: RuleScope,
    /// Output columns that say what the alert is about; part of the Kafka key.
    #[serde(default)]
    pub entity: Vec<String>,
    /// One alert per entity in this time (`1h`). Not available in this version.
    #[serde(default)]
    pub suppress: Option<String>,
    /// Tests, run by `noroshi test`.
    #[serde(default)]
    pub tests: Vec<RuleTest>,
}

/// One test of a rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleTest {
    /// What it shows.
    pub name: String,
    /// A file of records beside the rule (with `format`), or rows of the rule's table.
    pub given: Given,
    /// Format of the file's records.
    #[serde(default)]
    pub format: Option<String>,
    /// How many alerts, or for each alert in order the output columns that it must have.
    pub expect: Expect,
}

/// Input of a rule's test.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Given {
    /// Path of a file, relative to the rule.
    File(String),
    /// Rows of the rule's table: column → value. Columns not given are null.
    Rows(Vec<serde_json::Map<String, serde_json::Value>>),
}

/// What a rule's test expects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expect {
    /// So many alerts.
    Count(u64),
    /// These alerts, in order; each names some of its output columns.
    Alerts(Vec<serde_json::Map<String, serde_json::Value>>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{committed::assert_committed, document::schema_of};

    #[test]
    fn the_schema_for_editors_is_current() {
        let schema = schema_of::<RuleMeta>().page("Metadata of a Noroshi rule");
        assert_committed("schemas/rule.schema.json", &schema);
    }
}
