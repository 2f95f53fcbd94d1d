//! The shape of `pipeline.toml`, with the documentation that editors show.
//!
//! Owns types and defaults only; what the values mean is checked by `pipeline::definition`, which reads them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::steps::{Framing, Packing};
use crate::detect::alert::Tlp;
use crate::rules::meta::{RuleLevel, RuleStatus};

/// `pipeline.toml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// Name of the pipeline: part of the consumer group and of the transactional ids. Default: the folder's name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Folder with `tables/` and, for Sigma's log sources, `sigma/`, relative to this file. Default: those built into the
    /// program.
    #[serde(default)]
    pub schemas: Option<String>,
    /// Files and folders with rules, relative to this file.
    #[serde(default = "default_rules")]
    pub rules: Vec<String>,
    /// Which of the rules run. Default: all but deprecated and unsupported ones.
    #[serde(default)]
    pub select: SelectFile,
    /// Folder with the values of Sigma's placeholders, relative to this file: `NAME.txt` for `%NAME%`, a value a line.
    #[serde(default)]
    pub values: Option<String>,
    /// Folder with test cases, relative to this file.
    #[serde(default = "default_cases")]
    pub cases: String,
    /// The organisations whose telemetry is read.
    #[serde(default)]
    pub organisation: Vec<OrganisationFile>,
    /// The feeds.
    #[serde(default)]
    pub source: Vec<SourceFileEntry>,
    /// Where alerts go.
    #[serde(default)]
    pub alerts: SinkFile,
    /// Where records go that could not be decoded.
    #[serde(default)]
    pub rejects: RejectsFile,
}

fn default_rules() -> Vec<String> {
    vec!["rules".into()]
}

fn default_cases() -> String {
    "cases".into()
}

/// `[select]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectFile {
    /// Rules of this level and those above it: informational, low, medium, high, critical.
    #[serde(default)]
    pub level_min: Option<RuleLevel>,
    /// Rules of these levels.
    #[serde(default)]
    pub levels: Option<Vec<RuleLevel>>,
    /// Rules with these statuses: stable, test, experimental, deprecated, unsupported.
    #[serde(default)]
    pub statuses: Option<Vec<RuleStatus>>,
    /// Deprecated rules as well.
    #[serde(default)]
    pub deprecated: bool,
    /// Not these, by their ids.
    #[serde(default)]
    pub disabled: Vec<String>,
}

/// An organisation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationFile {
    /// Short and lasting identity, in alerts as `org_id`: lower-case letters, digits, `.`, `_` and `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Traffic Light Protocol of its alerts.
    #[serde(default)]
    pub tlp: Tlp,
}

/// A source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFileEntry {
    /// Short and lasting identity, in alerts as `source`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub id: String,
    /// Id of the organisation it belongs to.
    pub organisation: String,
    /// Topics, by name.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Topics, by a regular expression that matches the whole name.
    #[serde(default)]
    pub topic_pattern: Option<String>,
    /// Format of the records, or of what is inside of their envelopes.
    pub format: String,
    /// How the value of a record is packed: `none` (the default), `gzip` or `zstd`. Not Kafka's own compression, which the
    /// client takes off by itself.
    #[serde(default)]
    pub packing: Packing,
    /// How it is cut into frames: `record` (the default) or `lines`.
    #[serde(default)]
    pub framing: Framing,
    /// What shippers put around each event, from the outside in.
    #[serde(default)]
    pub envelopes: Vec<String>,
    /// Zone of times that name none: `UTC` (the default) or an offset such as `+09:00`.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// How late events may come, such as `10m`; windows wait for them.
    #[serde(default = "default_lateness")]
    pub allowed_lateness: String,
    /// Where to begin when the group has committed nothing: `earliest`, `latest`, or `error` (the default), which
    /// stops and says so.
    #[serde(default)]
    pub start: Start,
}

fn default_lateness() -> String {
    "10m".into()
}

/// Where a source begins without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Stop and say so.
    #[default]
    Error,
    /// At the oldest record.
    Earliest,
    /// At the next record.
    Latest,
}

/// `[alerts]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkFile {
    /// Topic; `{org_id}` in it gives each organisation its own.
    #[serde(default = "default_alerts")]
    pub topic: String,
    /// Headers that alerts get beside Noroshi's own, for consumers that route by names of theirs, at most 8:
    /// `"splunk.header.index" = "noroshi_{org_id}"`. In values `{alert_id}`, `{org_id}`, `{source}`, `{rule_id}`,
    /// `{rule_version}`, `{level}`, `{severity_id}` and `{tlp}` stand for what the alert says of itself; a value is cut
    /// at 256 bytes.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn default_alerts() -> String {
    "alerts".into()
}

impl Default for SinkFile {
    fn default() -> Self {
        Self { topic: default_alerts(), headers: BTreeMap::new() }
    }
}

/// `[rejects]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectsFile {
    /// Topic; `{org_id}` in it gives each organisation its own.
    #[serde(default = "default_rejects")]
    pub topic: String,
}

fn default_rejects() -> String {
    "dead-letters".into()
}

impl Default for RejectsFile {
    fn default() -> Self {
        Self { topic: default_rejects() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{committed::assert_committed, document::schema_of};

    #[test]
    fn the_schema_for_editors_is_current() {
        let schema = schema_of::<PipelineFile>().page("Noroshi pipeline");
        assert_committed("schemas/pipeline.schema.json", &schema);
    }
}
